//! The record of documents that change because of others, that come back, or that plain SQL made.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use repot_core::combinator::Acting;
use repot_core::store::{
    DocumentKey, History as _, HistoryQuery, Moment, Precondition, Scope, Store, StoreExt as _, Trash as _,
    UnitOfWork, Write,
};
use repot_engine::store::RowStore;
use repot_model::language::{Model, parse};
use repot_model::plan::Plan;

use crate::audit::{DAY_MS, Hand, all, open_as, put, shown, text};
use crate::documents::{Database, block_on, proof_of};

const MODEL: &str = r#"
[repot]
source = "./data"

[users]
file        = "users/{id}.json"
audit       = "1y"
soft_delete = "30d"

[users.fields]
id   = "text key"
name = "text? unique"

[posts]
file  = "posts/{id}.json"
audit = "1y"

[posts.fields]
id     = "text key"
owner  = "-> users cascade"
editor = "-> users? set null"

[comments]
in = "posts.comments[]"

[comments.fields]
id      = "int key auto"
post_id = "-> posts cascade auto"
order   = "position"
by      = "-> users cascade"

[tasks]
file = "tasks/{id}.json"

[tasks.fields]
id     = "text key"
status = "open | done = open"
user   = "-> users? set null"

[tasks.transitions.status]
open = ["done"]
done = []

[bills]
file = "bills/{id}.json"

[bills.fields]
id   = "text key"
user = "-> users"

[sessions]
file  = "sessions/{sender}/metadata.json"
audit = "1y"

[sessions.fields]
id     = "uuid key auto"
sender = "text"
status = "text?"
"#;

fn model() -> (Arc<Model>, Arc<Plan>, &'static str) {
    let model = parse(MODEL, "repot.toml", &|_| None).unwrap();
    let plan = Plan::compile(&model).unwrap();
    (Arc::new(model), Arc::new(plan), MODEL)
}

fn open(database: &Database) -> (RowStore, Arc<Hand>) {
    open_as(database, model())
}

fn key(path: &str) -> DocumentKey {
    let (collection, id) = path.split_once('/').unwrap();
    DocumentKey::new(collection, id)
}

fn of(store: &RowStore, path: &str) -> Vec<String> {
    shown(&block_on(all(store, HistoryQuery::of_document(&key(path)))))
}

/// The one value that a statement gives.
fn value(database: &Database, sql: &str) -> String {
    let mut answer = database.target().reader().unwrap().query(sql, 1).unwrap();
    answer.rows.remove(0).remove(0).unwrap()
}

fn everything(store: &RowStore) -> usize {
    let of = |name: &str| block_on(all(store, HistoryQuery::of(Scope::of(name)))).len();
    ["users", "posts", "tasks", "sessions"].into_iter().map(of).sum()
}

fn delete(path: &str) -> Write {
    Write::Delete { key: key(path), when: Precondition::Any }
}

fn document(path: &str, body: &'static str) -> Write {
    Write::Put { key: key(path), body: body.into(), when: Precondition::Any }
}

async fn begin(store: &RowStore) {
    put(store, &key("users/u"), r#"{"id": "u"}"#, "anna").await.unwrap();
    put(store, &key("users/v"), r#"{"id": "v"}"#, "anna").await.unwrap();
    put(store, &key("posts/p"), r#"{ "id": "p", "owner": "u" }"#, "anna").await.unwrap();
    let mixed = r#"{"id": "q", "owner": "v", "editor": "u", "comments": [{"by": "v"}, {"by": "u"}]}"#;
    put(store, &key("posts/q"), mixed, "anna").await.unwrap();
    put(store, &key("tasks/t"), r#"{"id": "t", "user": "u"}"#, "anna").await.unwrap();
}

#[test]
fn what_follows_a_delete_is_on_record_by_who_deleted() {
    for database in Database::all() {
        let (store, _) = open(&database);
        block_on(async {
            begin(&store).await;
            store.apply(UnitOfWork::default().with(delete("users/u")).by("ben")).await.unwrap();
        });
        assert_eq!(of(&store, "users/u")[0], "ben deleted");
        assert_eq!(of(&store, "posts/p")[0], "ben deleted");
        let changed = &of(&store, "posts/q")[0];
        assert!(changed.starts_with("ben put 2 /editor: \"u\" -> "), "{changed}");
        assert!(changed.contains("/comments/1"), "{changed}");
        assert_eq!(of(&store, "posts/q").len(), 2, "once in one unit");
        // nothing of its state changed, and it is not on audit
        assert_eq!(of(&store, "tasks/t").len(), 0);
        block_on(async {
            let before = store.text_at(&key("posts/p"), Moment::Version(1)).await.unwrap();
            assert_eq!(text(before), r#"{ "id": "p", "owner": "u" }"#);
            let now = store.require(&key("posts/q")).await.unwrap();
            let recalled = store.text_at(&key("posts/q"), Moment::Version(2)).await.unwrap();
            assert_eq!(recalled.as_ref(), Some(&now.body));
        });
        assert!(proof_of(&database, model()).holds());
    }
}

#[test]
fn what_comes_back_is_on_record_and_what_goes_for_good() {
    for database in Database::all() {
        let (store, clock) = open(&database);
        let store = Arc::new(store);
        let acting = Acting::new(Arc::<RowStore>::clone(&store) as Arc<dyn Store>, "cleo");
        let (user, post) = (key("users/u"), key("posts/p"));
        block_on(async {
            begin(&store).await;
            assert!(acting.delete(&user, Precondition::Any).await.unwrap());
            acting.trash().unwrap().restore(&user).await.unwrap();
        });
        for path in ["users/u", "posts/p"] {
            assert_eq!(of(&store, path)[..2], ["cleo restored 1", "cleo deleted"], "{path}");
        }
        block_on(async {
            let entries = all(&store, HistoryQuery::of_document(&post)).await;
            for (at, there) in [(0, true), (1, false), (2, true)] {
                let recalled = store.text_at(&post, Moment::After(entries[at].id)).await.unwrap();
                assert_eq!(recalled.is_some(), there, "{at}");
            }
            let recalled = store.text_at(&post, Moment::After(entries[0].id)).await.unwrap();
            assert_eq!(recalled.unwrap(), store.require(&post).await.unwrap().body);
            // coming back can be taken back
            store.revert(&post, entries[0].id, (Some("dora"), Precondition::Any)).await.unwrap();
            assert_eq!(store.get(&post).await.unwrap(), None);
            store.delete(&user, Precondition::Any).await.unwrap();
            let later = clock.0.fetch_add(30 * DAY_MS + 1, Ordering::SeqCst) + 30 * DAY_MS + 1;
            assert_eq!(store.purge(later, 9).await.unwrap(), 1);
        });
        assert_eq!(of(&store, "posts/p")[0], "dora deleted");
        assert_eq!(of(&store, "users/u")[..2], ["- purged", "- deleted"]);
    }
}

#[test]
fn what_is_refused_leaves_nothing_on_record() {
    for database in Database::all() {
        let (store, _) = open(&database);
        block_on(begin(&store));
        block_on(store.put(&key("bills/b"), r#"{"id": "b", "user": "v"}"#)).unwrap();
        block_on(store.put(&key("users/w"), r#"{"id": "w", "name": "w"}"#)).unwrap();
        let before = everything(&store);
        let units = [
            // held back by a bill; the others would have followed
            (vec![delete("users/u"), delete("users/v")], "R0417"),
            // a unique value is taken
            (vec![delete("users/u"), document("users/x", r#"{"id": "x", "name": "w"}"#)], "R0203"),
            // refers to nothing
            (vec![delete("users/u"), document("posts/n", r#"{"id": "n", "owner": "nobody"}"#)], "R0305"),
            // a lost condition after a change of a state
            (
                vec![
                    document("tasks/t", r#"{"id": "t", "status": "done"}"#),
                    Write::Put {
                        key: key("users/v"),
                        body: r#"{"id": "v"}"#.into(),
                        when: Precondition::Absent,
                    },
                ],
                "R0401",
            ),
            // no allowed state
            (vec![delete("users/u"), document("tasks/t", r#"{"id": "t", "status": "lost"}"#)], "R0404"),
        ];
        for (writes, code) in units {
            let unit = UnitOfWork { writes, actor: Some("ben".to_owned()), ..UnitOfWork::default() };
            assert_eq!(block_on(store.apply(unit)).unwrap_err().code(), code);
            assert_eq!(everything(&store), before, "{code}");
        }
        // one that changes nothing is no change
        block_on(put(&store, &key("users/v"), r#"{"id": "v"}"#, "ben")).unwrap();
        assert_eq!(everything(&store), before);
    }
}

/// Settling brings what SQL did into the text: the trigger put it on record, and nobody does again.
#[test]
fn settling_is_no_change() {
    for database in Database::all() {
        let (store, _) = open(&database);
        block_on(begin(&store));
        let before = everything(&store);
        database.sql("update posts set editor = 'v' where id = 'p'");
        database.sql("insert into users (id, name) values ('s', 'by SQL')");
        database.sql("update tasks set status = 'done' where id = 't'");
        database.sql("delete from comments where \"order\" = 1");
        assert_eq!(everything(&store), before + 4);
        block_on(store.settle()).unwrap();
        let there = block_on(store.require(&key("users/s"))).unwrap();
        assert_eq!(everything(&store), before + 4);
        assert_eq!(value(&database, "select count(*) from repot_touched"), "0");
        let recalled = |path: &str| {
            let newest = block_on(all(&store, HistoryQuery::of_document(&key(path)))).remove(0).id;
            block_on(store.text_at(&key(path), Moment::After(newest))).unwrap()
        };
        assert_eq!(recalled("users/s"), Some(there.body));
        assert_eq!(text(recalled("posts/p")), r#"{ "id": "p", "owner": "u", "editor": "v" }"#);
        // the next write goes on from there
        block_on(put(&store, &key("posts/p"), r#"{"id": "p", "owner": "v", "editor": "v"}"#, "ben")).unwrap();
        assert!(of(&store, "posts/p")[0].ends_with(" /owner: \"u\" -> \"v\""), "{:?}", of(&store, "posts/p"));
        assert_eq!(everything(&store), before + 5);
        assert!(proof_of(&database, model()).holds());
    }
}

/// A row that SQL made and no store has seen yet has its text on record all the same.
#[test]
fn the_text_of_a_row_by_sql_is_told() {
    for database in Database::all() {
        let (store, _) = open(&database);
        database.sql("insert into users (id, name) values ('s', 'by SQL')");
        let key = key("users/s");
        let entry = block_on(all(&store, HistoryQuery::of_document(&key))).remove(0);
        let recalled = block_on(store.text_at(&key, Moment::After(entry.id))).unwrap();
        assert_eq!(recalled, Some(block_on(store.require(&key)).unwrap().body));
        database.sql("delete from users");
        let entry = block_on(all(&store, HistoryQuery::of_document(&key))).remove(0);
        assert_eq!(block_on(store.text_at(&key, Moment::After(entry.id))).unwrap(), None);
    }
}

/// Named by its place or by the key that Repot made, it is one document with one record.
#[test]
fn a_document_with_two_names_has_one_record() {
    for database in Database::all() {
        let (store, _) = open(&database);
        let place = DocumentKey::at("sessions", &[("sender", "s1")]);
        block_on(put(&store, &place, r#"{"status": "new"}"#, "anna")).unwrap();
        let id = value(&database, "select cast(id as text) from sessions");
        let named = DocumentKey::new("sessions", &id);
        database.sql("update sessions set status = 'seen'");
        block_on(async {
            // its mark stands under the other name
            put(&store, &place, r#"{"status": "done"}"#, "ben").await.unwrap();
            for key in [&place, &named] {
                let entries = all(&store, HistoryQuery::of_document(key)).await;
                assert_eq!(entries.len(), 3, "{key}");
                assert!(entries.iter().all(|entry| entry.key.as_ref() == Some(&named)), "{entries:?}");
                let first = store.text_at(key, Moment::Version(1)).await.unwrap();
                assert_eq!(text(first), r#"{"status": "new"}"#);
            }
            let newest = all(&store, HistoryQuery::of_document(&place)).await.remove(0).id;
            store.revert(&place, newest, (None, Precondition::Any)).await.unwrap();
            assert_eq!(store.require(&named).await.unwrap().body, r#"{"status": "seen"}"#);
            store.delete(&place, Precondition::Any).await.unwrap();
            assert_eq!(all(&store, HistoryQuery::of_document(&named)).await.len(), 5);
            assert_eq!(all(&store, HistoryQuery::of_document(&place)).await.len(), 5);
        });
    }
}

/// Who opens the database has some of what is too old removed, whether anybody writes or not; a step at a time.
#[test]
fn what_nobody_writes_any_more_grows_old_too() {
    for database in Database::all() {
        let (store, clock) = open(&database);
        let many = (0..150).map(|number| {
            let body = format!(r#"{{"id": "u{number}"}}"#);
            let key = DocumentKey::new("users", &format!("u{number}"));
            Write::Put { key, body: body.into(), when: Precondition::Any }
        });
        block_on(store.apply(UnitOfWork { writes: many.collect(), ..UnitOfWork::default() })).unwrap();
        let later = clock.0.load(Ordering::SeqCst) + 366 * DAY_MS;
        drop(store);
        let left = || value(&database, "select count(*) from repot_audit");
        let again = || {
            let mut options = Database::options();
            options.clock = Arc::new(repot_core::FixedClock(later));
            RowStore::open(database.target(), model(), options).unwrap()
        };
        // the threads end before it is dropped, and what they were asked for first
        drop(again());
        assert_eq!(left(), "50");
        drop(again());
        assert_eq!(left(), "0");
    }
}
