//! References from documents that share a file: what a delete does to them, in the same transaction.

use std::sync::Arc;

use repot_core::store::{
    DocumentKey, Event, History as _, HistoryQuery, Precondition, Scope, Store as _, StoreExt as _,
    Trash as _, UnitOfWork, Write,
};
use repot_core::{Error, Kind};
use repot_engine::store::RowStore;

use crate::documents::{Database, OwnModel, block_on, proved};

const MODEL: &str = r#"
[repot]
source = "./data"

[users]
file        = "users/{id}.json"
soft_delete = "30d"

[users.fields]
id   = "text key"
boss = "-> users? set null"

[events]
file  = "events/{day}.jsonl"
audit = "1y"

[events.fields]
id      = "text key"
day     = "text"
by      = "-> users cascade"
to      = "-> users? set null"
about   = "-> events? cascade"
order   = "position"

[cards]
file = "boards/{board}.json"
in   = "cards[]"

[cards.fields]
board = "text"
id    = "text key"
order = "position"
owner = "-> users? set null"

[stickers]
in = "cards.stickers[]"

[stickers.fields]
id      = "int key auto"
card_id = "-> cards cascade auto"
order   = "position"
by      = "-> users cascade"

[files]
file = "files/{id}.json"

[files.fields]
id    = "text key"
event = "-> events cascade"

[rules]
file = "rules.json"
in   = "rules{name}"

[rules.fields]
name = "text key"
who  = "-> users"

[pins]
file   = "pins/{team}.jsonl"
tenant = "team"

[pins.fields]
id   = "text key"
team = "text"
pin  = "-> pins? cascade"
"#;

fn model() -> OwnModel<'static> {
    repot_testkit::compiled(MODEL)
}

fn user(id: &str) -> DocumentKey {
    DocumentKey::new("users", id)
}

fn event(id: &str) -> DocumentKey {
    DocumentKey::new("events", id)
}

fn card(id: &str) -> DocumentKey {
    DocumentKey::at("cards", &[("board", "b"), ("id", id)])
}

fn rule(name: &str) -> DocumentKey {
    DocumentKey::new("rules", name)
}

fn pin(team: &str, id: &str) -> DocumentKey {
    DocumentKey::new("pins", id).in_tenant(team)
}

async fn log(store: &RowStore, day: &str, id: &str, rest: &str) {
    let key = DocumentKey::at("events", &[("day", day), ("id", id)]);
    store.put(&key, format!(r#"{{ "id":"{id}", {rest} }}"#)).await.unwrap();
}

async fn text(store: &RowStore, key: &DocumentKey) -> Option<String> {
    let found = store.get(key).await.unwrap();
    found.map(|document| String::from_utf8(document.body.to_vec()).unwrap())
}

async fn gone(store: &RowStore, key: &DocumentKey) {
    assert!(store.delete(key, Precondition::Any).await.unwrap(), "{key}");
}

async fn refused(store: &RowStore, key: &DocumentKey) -> Error {
    let error = store.delete(key, Precondition::Any).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Conflict, "R0417"), "{error}");
    error
}

fn holds(database: &Database) {
    proved(database, model());
}

/// Lines go, fields become null, rows inside go, and what refers to the lines that go follows; the rest of each file stays.
#[test]
fn a_delete_reaches_into_shared_files() {
    for database in Database::all() {
        let store = database.try_open_as(model()).unwrap();
        block_on(async {
            for id in ["a", "b"] {
                store.put(&user(id), format!(r#"{{"id": "{id}"}}"#)).await.unwrap();
            }
            log(&store, "monday", "e1", r#""by":"b","to":"a""#).await;
            log(&store, "monday", "e2", r#""by":"a","to":"b""#).await;
            log(&store, "monday", "e3", r#""by":"b"  "#).await;
            log(&store, "tuesday", "e4", r#""by":"a","to":"a""#).await;
            // goes with e2, in the same file; and a document of its own with that
            log(&store, "monday", "e5", r#""by":"b","about":"e2""#).await;
            log(&store, "tuesday", "e6", r#""by":"b","about":"e5""#).await;
            let file = DocumentKey::new("files", "f");
            store.put(&file, r#"{"id":"f","event":"e6"}"#).await.unwrap();
            let stickers =
                r#"{ "id":"c1", "owner": "a", "stickers": [{"by":"b"}, {"by": "a"}, {"by":"b"}] }"#;
            store.put(&card("c1"), stickers).await.unwrap();
            store.put(&card("c2"), r#"{ "id":"c2", "owner": "b" }"#).await.unwrap();

            gone(&store, &user("a")).await;

            assert_eq!(text(&store, &event("e1")).await.unwrap(), r#"{ "id":"e1", "by":"b","to":null }"#);
            assert_eq!(text(&store, &event("e3")).await.unwrap(), r#"{ "id":"e3", "by":"b"   }"#);
            for id in ["e2", "e4", "e5", "e6"] {
                assert_eq!(text(&store, &event(id)).await, None, "{id}");
            }
            assert_eq!(text(&store, &file).await, None);
            let cut = r#"{ "id":"c1", "owner": null, "stickers": [{"by":"b"}, {"by":"b"}] }"#;
            assert_eq!(text(&store, &card("c1")).await.unwrap(), cut);
            assert_eq!(text(&store, &card("c2")).await.unwrap(), r#"{ "id":"c2", "owner": "b" }"#);
            let left = database.ask("select id, \"order\" from events order by id");
            assert_eq!(left, "e1|0\ne3|1\n", "what stands after them moved up");
        });
        drop(store);
        holds(&database);
    }
}

/// What went along is kept and comes back with it; each change is on record in the name of who made it.
#[test]
fn what_went_along_comes_back_and_is_on_record() {
    for database in Database::all() {
        let store = database.try_open_as(model()).unwrap();
        block_on(async {
            store.put(&user("a"), r#"{"id": "a"}"#).await.unwrap();
            store.put(&user("b"), r#"{"id": "b"}"#).await.unwrap();
            log(&store, "monday", "e1", r#""by":"a""#).await;
            log(&store, "monday", "e2", r#""by":"b","to":"a""#).await;
            log(&store, "monday", "e3", r#""by":"b","about":"e1""#).await;
            let delete = Write::Delete { key: user("a"), when: Precondition::Any };
            store.apply(UnitOfWork::default().with(delete).by("mara")).await.unwrap();
            let last = async |id: &str| {
                let query = HistoryQuery::of_document(&event(id));
                store.history(&query, 1).await.unwrap().entries.remove(0)
            };
            for (id, wanted) in [("e1", "deleted"), ("e2", "put"), ("e3", "deleted")] {
                let entry = last(id).await;
                let kind = match entry.event {
                    Event::Deleted { .. } => "deleted",
                    Event::Put { .. } => "put",
                    _ => "something else",
                };
                assert_eq!((kind, entry.actor.as_deref()), (wanted, Some("mara")), "{id}");
                let query = HistoryQuery::of_document(&event(id));
                assert_eq!(store.history(&query, 9).await.unwrap().entries.len(), 2, "{id}: once");
            }
            let mut back = store.restore(&user("a")).await.unwrap();
            assert_eq!(back.remove(0), user("a"));
            back.sort();
            assert_eq!(back, [event("e1"), event("e3")]);
            assert_eq!(text(&store, &event("e1")).await.unwrap(), r#"{ "id":"e1", "by":"a" }"#);
            assert_eq!(text(&store, &event("e2")).await.unwrap(), r#"{ "id":"e2", "by":"b","to":null }"#);
            assert!(matches!(last("e3").await.event, Event::Restored { .. }));
        });
        drop(store);
        holds(&database);
    }
}

/// Who must not lose what they refer to is named, and nothing happens; unless they go in the same unit of work.
#[test]
fn shared_documents_hold_a_delete_back() {
    for database in Database::all() {
        let store = database.try_open_as(model()).unwrap();
        block_on(async {
            store.put(&user("a"), r#"{"id": "a"}"#).await.unwrap();
            log(&store, "monday", "e1", r#""by":"a""#).await;
            store.put(&rule("r1"), r#"{"who":"a"}"#).await.unwrap();
            store.put(&rule("r2"), r#"{"who":"a"}"#).await.unwrap();
            let error = refused(&store, &user("a")).await;
            assert!(error.message().contains("rules/r1 (rules.who) refers to it"), "{error}");
            assert!(text(&store, &event("e1")).await.is_some());
            let delete = |key: DocumentKey| Write::Delete { key, when: Precondition::Any };
            let some = UnitOfWork::default().with(delete(user("a"))).with(delete(rule("r1")));
            assert_eq!(store.apply(some).await.unwrap_err().code(), "R0417");
            // a line that is written so that it still refers to it
            let again = Write::Put {
                key: DocumentKey::at("events", &[("day", "monday"), ("id", "e1")]),
                body: r#"{"id":"e1","by":"a","n":1}"#.into(),
                when: Precondition::Any,
            };
            let all = UnitOfWork::default()
                .with(delete(user("a")))
                .with(delete(rule("r1")))
                .with(delete(rule("r2")));
            let error = store.apply(all.clone().with(again)).await.unwrap_err();
            assert!(error.message().contains("events/e1 (events.by) is written in the same unit"), "{error}");
            store.apply(all).await.unwrap();
            assert_eq!(text(&store, &event("e1")).await, None);
        });
        drop(store);
        holds(&database);
    }
}

/// A unit writes some documents of a file, and others of that file follow from it.
#[test]
fn a_file_that_is_written_anyway_takes_what_follows() {
    for database in Database::all() {
        let store = database.try_open_as(model()).unwrap();
        block_on(async {
            store.put(&user("a"), r#"{"id": "a"}"#).await.unwrap();
            store.put(&user("b"), r#"{"id": "b"}"#).await.unwrap();
            for id in ["e1", "e2", "e3", "e4"] {
                let by = if id == "e3" { "b" } else { "a" };
                log(&store, "monday", id, &format!(r#""by":"{by}","to":"a""#)).await;
            }
            let at = |id: &str| DocumentKey::at("events", &[("day", "monday"), ("id", id)]);
            let put = |id: &str| Write::Put {
                key: at(id),
                body: format!(r#"{{"id":"{id}","by":"b"}}"#).into(),
                when: Precondition::Any,
            };
            let work = UnitOfWork::default()
                .with(put("e4"))
                .with(Write::Delete { key: user("a"), when: Precondition::Any })
                .with(put("e5"))
                .with(Write::Delete { key: event("e1"), when: Precondition::Any });
            store.apply(work).await.unwrap();
            let listed = store.list(&Scope::of("events"), None, 9).await.unwrap();
            assert_eq!(listed.items.len(), 3);
            assert_eq!(text(&store, &event("e3")).await.unwrap(), r#"{ "id":"e3", "by":"b","to":null }"#);
            assert_eq!(text(&store, &event("e4")).await.unwrap(), r#"{"id":"e4","by":"b"}"#);
            // a chain inside one file goes in one go
            for number in 0..60 {
                let about =
                    if number == 0 { String::new() } else { format!(r#","about":"t{}""#, number - 1) };
                log(&store, "friday", &format!("t{number}"), &format!(r#""by":"b"{about}"#)).await;
            }
            gone(&store, &event("t0")).await;
            let listed = store.list(&Scope::of("events"), None, 9).await.unwrap();
            assert_eq!(listed.items.len(), 3);
        });
        drop(store);
        holds(&database);
    }
}

/// A tenant's delete does not reach into another one's file, and does not say whose it is.
#[test]
fn another_tenants_line_is_out_of_reach() {
    for database in Database::all() {
        let store = database.try_open_as(model()).unwrap();
        block_on(async {
            store.put(&pin("red", "p1"), r#"{"id":"p1"}"#).await.unwrap();
            store.put(&pin("red", "p2"), r#"{"id":"p2","pin":"p1"}"#).await.unwrap();
            gone(&store, &pin("red", "p1")).await;
            assert_eq!(text(&store, &pin("red", "p2")).await, None);
            store.put(&pin("red", "p3"), r#"{"id":"p3"}"#).await.unwrap();
            store.put(&pin("blue", "secret"), r#"{"id":"secret","pin":"p3"}"#).await.unwrap();
            let error = refused(&store, &pin("red", "p3")).await;
            assert!(!error.to_string().contains("secret") && !error.to_string().contains("blue"), "{error}");
            assert!(text(&store, &pin("blue", "secret")).await.is_some());
        });
        drop(store);
        holds(&database);
    }
}

/// What SQL did to a line that follows is what is laid over before it changes.
#[test]
fn what_sql_changed_follows_too() {
    for database in Database::all() {
        let store = database.try_open_as(model()).unwrap();
        block_on(async {
            for id in ["a", "b"] {
                store.put(&user(id), format!(r#"{{"id": "{id}"}}"#)).await.unwrap();
            }
            log(&store, "monday", "e1", r#""by":"b","to":null"#).await;
            log(&store, "monday", "e2", r#""by":"b","to":"b""#).await;
            database.sql("update events set \"to\" = 'a' where id = 'e1'");
            database.sql("update events set \"by\" = 'a' where id = 'e2'");
            gone(&store, &user("a")).await;
            assert_eq!(text(&store, &event("e1")).await.unwrap(), r#"{ "id":"e1", "by":"b","to":null }"#);
            assert_eq!(text(&store, &event("e2")).await, None);
        });
        drop(store);
        holds(&database);
    }
}

/// Many delete at once while others write lines into the same file: each delete takes its own lines, and no other is lost.
#[test]
fn many_delete_while_others_write_the_file() {
    for database in Database::all() {
        let stores = [(); 2].map(|()| Arc::new(database.try_open_as(model()).unwrap()));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.unwrap().block_on(async {
            const EACH: usize = 6;
            stores[0].put(&user("stays"), r#"{"id":"stays"}"#).await.unwrap();
            for at in 0..EACH {
                let id = format!("u{at}");
                stores[0].put(&user(&id), format!(r#"{{"id":"{id}"}}"#)).await.unwrap();
                log(&stores[0], "monday", &format!("e{at}"), &format!(r#""by":"{id}""#)).await;
            }
            let deletes = (0..EACH).map(|at| {
                let store = Arc::clone(&stores[at % 2]);
                tokio::spawn(async move { gone(&store, &user(&format!("u{at}"))).await })
            });
            let writes = (0..EACH).map(|at| {
                let store = Arc::clone(&stores[(at + 1) % 2]);
                tokio::spawn(async move { log(&store, "monday", &format!("n{at}"), r#""by":"stays""#).await })
            });
            for task in deletes.chain(writes).collect::<Vec<_>>() {
                task.await.unwrap();
            }
            let listed = stores[0].list(&Scope::of("events"), None, 99).await.unwrap();
            let keys: Vec<&str> = listed.items.iter().map(|item| item.key.text()).collect();
            assert_eq!(keys.len(), EACH, "{keys:?}");
            assert!(keys.iter().all(|key| key.contains("id=n")), "{keys:?}");
        });
        drop(stores);
        holds(&database);
    }
}
