//! `soft_delete`: what is deleted is gone for everybody, and comes back byte for byte until its time is over.

use std::sync::Arc;

use repot_core::store::{
    BucketStore, DocumentKey, Layout, MemoryObjects, Precondition, Scope, Store as _, StoreExt as _,
    Trash as _, UnitOfWork, Write,
};
use repot_core::{Clock as _, Kind};
use repot_engine::store::{RowStore, RowStoreOptions};
use repot_model::language::Model;
use repot_model::plan::Plan;

use repot_testkit::HandClock;

use crate::documents::{Database, block_on};

const DAY_MS: i64 = 86_400_000;

const MODEL: &str = r#"
[repot]
source = "./data"

[dramas]
file        = "dramas/{id}.json"
soft_delete = "30d"

[dramas.fields]
id         = "text key"
title      = "text?"
updated_at = "time? = now on write"

[scenes]
in = "dramas.scenes[]"

[scenes.fields]
id       = "int key auto"
drama_id = "-> dramas cascade auto"
order    = "position"
word     = "text"

[assets]
file = "assets/{id}.json"

[assets.fields]
id    = "text key"
drama = "-> dramas? cascade"
cover = "-> dramas? set null"

[notes]
file        = "notes/{user}/{id}.json"
tenant      = "user"
soft_delete = "1d"

[notes.fields]
id   = "text key"
user = "text"
"#;

type Of<'m> = (Arc<Model>, Arc<Plan>, &'m str);

fn model() -> Of<'static> {
    repot_testkit::compiled(MODEL)
}

fn open(database: &Database, clock: &HandClock) -> RowStore {
    let options = RowStoreOptions { clock: Arc::new(clock.clone()), ..Database::options() };
    RowStore::open(database.target(), model(), options).unwrap()
}

fn clock() -> HandClock {
    HandClock::at(1_700_000_000_000)
}

fn holds(database: &Database) {
    crate::documents::proved(database, model());
}

fn drama(id: &str) -> DocumentKey {
    DocumentKey::new("dramas", id)
}

fn asset(id: &str) -> DocumentKey {
    DocumentKey::new("assets", id)
}

fn note(user: &str, id: &str) -> DocumentKey {
    DocumentKey::new("notes", id).in_tenant(user)
}

async fn text(store: &RowStore, key: &DocumentKey) -> String {
    String::from_utf8(store.require(key).await.unwrap().body.to_vec()).unwrap()
}

async fn gone(store: &RowStore, key: &DocumentKey) {
    assert!(store.delete(key, Precondition::Any).await.unwrap(), "{key}");
    assert!(store.get(key).await.unwrap().is_none());
    assert!(!store.exists(key).await.unwrap());
}

const ODD: &str = "{\"id\" : \"a\", \"n\": 1.0e2, \"n\": 2,\n\t\"scenes\": [ {\"word\": \"one\"}, {\"word\":\"two\"} ], \"updated_at\": null }\n";

#[test]
fn what_is_deleted_comes_back_byte_for_byte_with_what_it_took() {
    for database in Database::all() {
        let clock = clock();
        let store = open(&database, &clock);
        block_on(async {
            store.put(&drama("a"), ODD).await.unwrap();
            let before = store.require(&drama("a")).await.unwrap();
            let taken = r#"{"id": "t",   "drama": "a"}"#;
            store.put(&asset("t"), taken).await.unwrap();
            store.put(&asset("c"), r#"{"id": "c", "cover": "a"}"#).await.unwrap();
            assert!(store.trash().is_some() && store.capabilities().soft_delete);
            gone(&store, &drama("a")).await;
            assert!(store.get(&asset("t")).await.unwrap().is_none());
            assert_eq!(text(&store, &asset("c")).await, r#"{"id": "c", "cover": null}"#);
            let listed = store.list(&Scope::of("dramas"), None, 10).await.unwrap();
            assert!(listed.items.is_empty());
            assert_eq!(database.ask("select count(*) from dramas"), "0\n");
            assert_eq!(database.ask("select count(*) from scenes"), "0\n");
            let known = store.deleted_at(&drama("a")).await.unwrap().unwrap();
            assert_eq!(known.deleted_ms, 1_700_000_000_000);
            assert_eq!(known.until_ms, 1_700_000_000_000 + 30 * DAY_MS);
            // it went along, so it is kept as well
            assert_eq!(store.deleted_at(&asset("t")).await.unwrap().unwrap().until_ms, known.until_ms);
            let error = store.restore(&asset("t")).await.unwrap_err();
            assert_eq!((error.kind(), error.code()), (Kind::Conflict, "R0305"), "{error}");
            clock.turn(DAY_MS);
            assert_eq!(store.restore(&drama("a")).await.unwrap(), [drama("a"), asset("t")]);
            // not a byte is filled in, no time set
            let after = store.require(&drama("a")).await.unwrap();
            assert_eq!((after.body, after.etag), (before.body, before.etag));
            assert_eq!(text(&store, &asset("t")).await, taken);
            assert_eq!(text(&store, &asset("c")).await, r#"{"id": "c", "cover": null}"#);
            let error = store.restore(&drama("a")).await.unwrap_err();
            assert_eq!((error.kind(), error.code()), (Kind::NotFound, "R0418"), "{error}");
            assert!(store.deleted_at(&drama("a")).await.unwrap().is_none());
        });
        drop(store);
        holds(&database);
    }
}

#[test]
fn a_new_document_under_the_key_stands_against_the_old_one() {
    for database in Database::all() {
        let clock = clock();
        let store = open(&database, &clock);
        block_on(async {
            store.put(&drama("a"), r#"{"id": "a", "title": "first", "updated_at": null}"#).await.unwrap();
            store.put(&asset("t"), r#"{"id": "t", "drama": "a"}"#).await.unwrap();
            gone(&store, &drama("a")).await;
            store.create(&drama("a"), r#"{"id": "a", "title": "second", "updated_at": null}"#).await.unwrap();
            let error = store.restore(&drama("a")).await.unwrap_err();
            assert_eq!((error.kind(), error.code()), (Kind::Conflict, "R0401"), "{error}");
            assert!(store.get(&asset("t")).await.unwrap().is_none(), "all or nothing");
            assert!(text(&store, &drama("a")).await.contains("second"));
            // what was taken along comes back alone, to the new one
            assert_eq!(store.restore(&asset("t")).await.unwrap(), [asset("t")]);
            assert!(store.delete(&asset("t"), Precondition::Any).await.unwrap());
            assert!(
                store.deleted_at(&asset("t")).await.unwrap().is_none(),
                "its own collection keeps nothing"
            );
            gone(&store, &drama("a")).await;
            // the last one counts
            store.restore(&drama("a")).await.unwrap();
            assert!(text(&store, &drama("a")).await.contains("second"));
            gone(&store, &drama("a")).await;
            assert_eq!(store.deleted(&Scope::of("dramas"), None, 10).await.unwrap().items.len(), 2);
        });
        drop(store);
        holds(&database);
    }
}

#[test]
fn time_over_is_gone_and_purged_by_the_bound() {
    for database in Database::all() {
        let clock = clock();
        let store = open(&database, &clock);
        block_on(async {
            for id in ["a", "b", "c", "d", "e"] {
                store.put(&drama(id), format!(r#"{{"id": "{id}"}}"#)).await.unwrap();
                gone(&store, &drama(id)).await;
                clock.turn(DAY_MS);
            }
            let scope = Scope::of("dramas");
            let page = store.deleted(&scope, None, 2).await.unwrap();
            let keys = |page: &repot_core::store::DeletedPage| -> Vec<String> {
                page.items.iter().map(|one| one.key.text().to_owned()).collect()
            };
            assert_eq!(keys(&page), ["a", "b"]);
            let page = store.deleted(&scope, page.next.as_ref(), 10).await.unwrap();
            assert_eq!(keys(&page), ["c", "d", "e"]);
            assert_eq!(page.next, None);
            // a..c are over after 28 more days: 33, 32, 31 and 30 days for d
            assert_eq!(store.purge(clock.now_ms(), 10).await.unwrap(), 0);
            clock.turn(28 * DAY_MS);
            let error = store.restore(&drama("a")).await.unwrap_err();
            assert_eq!((error.kind(), error.code()), (Kind::NotFound, "R0418"), "{error}");
            assert_eq!(keys(&store.deleted(&scope, None, 10).await.unwrap()), ["e"]);
            assert_eq!(store.purge(clock.now_ms(), 3).await.unwrap(), 3);
            assert_eq!(store.purge(clock.now_ms(), 3).await.unwrap(), 1);
            assert_eq!(store.purge(clock.now_ms(), 3).await.unwrap(), 0);
            store.restore(&drama("e")).await.unwrap();
        });
        drop(store);
        holds(&database);
    }
}

#[test]
fn a_tenant_has_its_own_trash() {
    for database in Database::all() {
        let store = open(&database, &clock());
        block_on(async {
            store.put(&note("u", "n"), r#"{"id": "n", "user": "u"}"#).await.unwrap();
            gone(&store, &note("u", "n")).await;
            assert!(store.deleted_at(&note("v", "n")).await.unwrap().is_none());
            assert_eq!(store.restore(&note("v", "n")).await.unwrap_err().code(), "R0418");
            let of = async |user: &str| {
                store.deleted(&Scope::of("notes").in_tenant(user), None, 10).await.unwrap().items.len()
            };
            assert_eq!((of("u").await, of("v").await), (1, 0));
            let error = store.deleted(&Scope::of("notes"), None, 10).await.unwrap_err();
            assert_eq!(error.code(), "R0406", "{error}");
            let error = store.deleted_at(&DocumentKey::new("notes", "n")).await.unwrap_err();
            assert_eq!(error.code(), "R0406", "{error}");
            assert_eq!(store.restore(&note("u", "n")).await.unwrap(), [note("u", "n")]);
        });
        drop(store);
        holds(&database);
    }
}

/// A unit that is refused keeps nothing; of several deletes in one unit each comes back by itself.
#[test]
fn units_keep_whole_or_nothing() {
    for database in Database::all() {
        let store = open(&database, &clock());
        let delete = |id: &str| Write::Delete { key: drama(id), when: Precondition::Any };
        block_on(async {
            for id in ["a", "b"] {
                store.put(&drama(id), format!(r#"{{"id": "{id}"}}"#)).await.unwrap();
            }
            let bad = Write::Put {
                key: asset("x"),
                body: r#"{"id": "x", "drama": "nobody"}"#.into(),
                when: Precondition::Any,
            };
            let work = UnitOfWork::default().with(delete("a")).with(bad);
            assert_eq!(store.apply(work).await.unwrap_err().code(), "R0305");
            assert!(store.deleted_at(&drama("a")).await.unwrap().is_none());
            assert!(store.exists(&drama("a")).await.unwrap());
            store.apply(UnitOfWork::default().with(delete("a")).with(delete("b"))).await.unwrap();
            assert_eq!(store.restore(&drama("b")).await.unwrap(), [drama("b")]);
            assert!(!store.exists(&drama("a")).await.unwrap());
        });
        drop(store);
        holds(&database);
    }
}

/// Of many that restore one document at once, one does; of restoring and purging either wins, and it is never there twice.
#[test]
fn many_restore_at_once() {
    for database in Database::all() {
        let clock = clock();
        let stores = [(); 2].map(|()| Arc::new(open(&database, &clock)));
        block_on(async {
            for round in 0..8 {
                let key = drama(&format!("d{round}"));
                stores[0].put(&key, format!(r#"{{"id": "d{round}"}}"#)).await.unwrap();
                assert!(stores[0].delete(&key, Precondition::Any).await.unwrap());
                let late = clock.now_ms() + 40 * DAY_MS;
                let purging = {
                    let store = Arc::clone(&stores[1]);
                    tokio::spawn(
                        async move { if round % 2 == 0 { store.purge(late, 10).await } else { Ok(0) } },
                    )
                };
                let tasks: Vec<_> = (0..4)
                    .map(|at| {
                        let (store, key) = (Arc::clone(&stores[at % 2]), key.clone());
                        tokio::spawn(async move { store.restore(&key).await })
                    })
                    .collect();
                let mut restored = 0;
                for task in tasks {
                    match task.await.unwrap() {
                        Ok(_) => restored += 1,
                        Err(error) => {
                            assert!(["R0401", "R0418"].contains(&error.code()), "{error}");
                        }
                    }
                }
                purging.await.unwrap().unwrap();
                let there = stores[0].exists(&key).await.unwrap();
                assert_eq!(usize::from(there), restored, "round {round}");
                assert!(there || round % 2 == 0);
                assert!(stores[0].deleted_at(&key).await.unwrap().is_none());
            }
        });
        drop(stores);
        holds(&database);
    }
}

/// A database that an older version made gets what it lacks when it is opened.
#[test]
fn an_older_database_gets_its_trash() {
    for database in Database::all() {
        let clock = clock();
        drop(open(&database, &clock));
        database.sql("drop table repot_trash");
        let store = open(&database, &clock);
        block_on(async {
            store.put(&drama("a"), ODD).await.unwrap();
            gone(&store, &drama("a")).await;
            store.restore(&drama("a")).await.unwrap();
            assert!(store.exists(&drama("a")).await.unwrap());
        });
    }
}

/// A store without a trash says so; a delete is final there.
#[test]
fn without_a_trash_deletes_are_final() {
    let (model, plan, _) = model();
    let layout = Layout::new(model, plan, repot_json::Limits::default()).unwrap();
    let store = BucketStore::new(Arc::new(MemoryObjects::default()), layout, 1 << 20);
    assert!(store.trash().is_none() && !store.capabilities().soft_delete);
    block_on(async {
        store.put(&drama("a"), r#"{"id": "a"}"#).await.unwrap();
        assert!(store.delete(&drama("a"), Precondition::Any).await.unwrap());
        assert!(!store.exists(&drama("a")).await.unwrap());
    });
}
