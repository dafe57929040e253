//! Documents that are claimed and copied together: what one of them cannot do keeps none of the others back.

use repot_core::Kind;
use repot_core::moving::Marks as _;
use repot_core::store::{DocumentKey, FactChange, FactValue, Precondition, Store as _, StoreExt as _};
use repot_engine::moving::{Copied, MovingOptions};

use super::lab::{Process, World, chat, empty, say, settle, text};
use crate::documents::{Database, block_on};

fn note(field: &str, chat: Option<&str>) -> (DocumentKey, String) {
    let names = chat.map_or_else(String::new, |chat| format!(", \"{field}\": \"{chat}\""));
    let body = format!("{{ \"id\": \"{field}\", \"user_id\": \"u1\"{names} }}\n");
    (DocumentKey::new("notes", field).in_tenant("u1"), body)
}

/// The copies are there, and nothing is left over.
async fn is_same(world: &World, process: &Process, keys: &[DocumentKey]) {
    for key in keys {
        assert_eq!(text(&*world.new, key).await, text(&*world.old(), key).await, "{key}");
    }
    assert_eq!(process.moving.journal().pending().await.unwrap(), 0);
    assert_eq!(process.moving.journal().stuck(10).await.unwrap().len(), 0);
}

async fn begun(world: &World) -> Process {
    let process = world.patient("one", 1);
    process.moving.begin("a test").await.unwrap();
    process
}

/// Until every write has marked its document.
async fn marked(process: &Process, count: usize) {
    let ledger = process.moving.sides().new.ledger().unwrap();
    while ledger.facts("move_mark", None, 100).await.unwrap().len() < count
        || ledger.count_facts("move_intent").await.unwrap() > 0
    {
        tokio::task::yield_now().await;
    }
}

#[test]
fn one_round_copies_more_documents_than_one_transaction() {
    for database in Database::all() {
        let world = World::new(database, MovingOptions::default());
        block_on(async {
            let process = begun(&world).await;
            let keys: Vec<DocumentKey> = (0..40).map(|n| chat("u1", &format!("c{n}"))).collect();
            for key in &keys {
                process.store.create(key, empty("u1", key.text())).await.unwrap();
            }
            marked(&process, keys.len()).await;
            let done = process.moving.copy_marked().await.unwrap();
            assert_eq!(done, Copied { copied: 40, ..Copied::default() });
            is_same(&world, &process, &keys).await;
            // somebody else has one of them, and one did not change
            say(&*process.store, &keys[3], 1).await.unwrap();
            process.moving.mark(&keys[..6]).await.unwrap();
            marked(&process, 6).await;
            let ledger = world.new.ledger().unwrap();
            let names = ledger.facts("move_mark", None, 100).await.unwrap();
            let claim = FactValue::until("another", i64::MAX);
            ledger.note(FactChange::put("move_claim", &names[0].name, claim)).await.unwrap();
            let done = process.moving.copy_marked().await.unwrap();
            assert_eq!((done.copied + done.same, done.left), (5, 1));
            ledger.note(FactChange::remove("move_claim", &names[0].name)).await.unwrap();
            settle(&process).await;
            is_same(&world, &process, &keys).await;
        });
    }
}

/// A reference to nothing, and a document that goes together with one that referred to it.
#[test]
fn what_cannot_be_copied_with_others_is_copied_without_them() {
    for database in Database::all() {
        let world = World::new(database, MovingOptions::default());
        block_on(async {
            let process = begun(&world).await;
            let (key, other) = (chat("u1", "a"), chat("u1", "b"));
            let (goes, stays) = (note("goes", Some("a")), note("stays", Some("a")));
            for key in [&key, &other] {
                process.store.create(key, empty("u1", key.text())).await.unwrap();
            }
            for (note, body) in [&goes, &stays] {
                process.store.create(note, body.clone()).await.unwrap();
            }
            settle(&process).await;
            process.store.delete(&key, Precondition::Any).await.unwrap();
            process.store.put(&goes.0, note("goes", None).1).await.unwrap();
            process.store.put(&stays.0, note("stays", Some("none")).1).await.unwrap();
            say(&*process.store, &other, 1).await.unwrap();
            marked(&process, 4).await;
            let done = process.moving.copy_marked().await.unwrap();
            assert_eq!((done.copied, done.stuck), (3, 1), "{done:?}");
            assert_eq!(text(&*world.new, &other).await, text(&*world.old(), &other).await);
            process.store.put(&stays.0, note("stays", None).1).await.unwrap();
            settle(&process).await;
            is_same(&world, &process, &[key, other, goes.0, stays.0]).await;
        });
    }
}

/// An operator's trigger fails for one document: the database is there, so the others are copied.
#[test]
fn what_fails_for_one_document_keeps_none_of_the_others_back() {
    for database in Database::all() {
        let world = World::new(database, MovingOptions { claim_ms: 500, ..MovingOptions::default() });
        block_on(async {
            let process = begun(&world).await;
            let keys = ["bad", "b", "c"].map(|id| chat("u1", id));
            for key in &keys {
                process.store.create(key, empty("u1", key.text())).await.unwrap();
            }
            settle(&process).await;
            let [made, gone] = fails_for_bad(&world.database);
            world.database.sql(made);
            for key in &keys {
                say(&*process.store, key, 1).await.unwrap();
            }
            marked(&process, keys.len()).await;
            let failed = process.moving.copy_marked().await.unwrap_err();
            assert_eq!(failed.kind(), Kind::Failed, "{failed}");
            for key in &keys[1..] {
                assert_eq!(text(&*world.new, key).await, text(&*world.old(), key).await, "{key}");
            }
            assert_ne!(text(&*world.new, &keys[0]).await, text(&*world.old(), &keys[0]).await);
            world.database.sql(gone);
            settle(&process).await;
            is_same(&world, &process, &keys).await;
        });
    }
}

/// SQL after which nobody can say anything in the chat `bad`, and SQL that ends it.
fn fails_for_bad(database: &Database) -> [&'static str; 2] {
    match database {
        Database::Sqlite(_) => [
            "create trigger bad before insert on messages when new.chat_id = 'bad' begin select json('{'); end",
            "drop trigger bad",
        ],
        Database::Postgres(..) => [
            "create function bad() returns trigger language plpgsql as $$ begin raise 'bad'; end $$; \
             create trigger bad before insert on messages for each row when (new.chat_id = 'bad') execute function bad()",
            "drop trigger bad on messages; drop function bad()",
        ],
    }
}
