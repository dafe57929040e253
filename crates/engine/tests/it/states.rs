//! The states of documents beside the rows of a listing: each is the one that reading the document gives.

use std::collections::BTreeMap;
use std::sync::Arc;

use repot_core::store::{
    Change, DocumentKey, Pointer, Precondition, Query, QueryItem, Queryable as _, Scope, Store as _,
    StoreExt as _,
};
use repot_engine::store::RowStore;
use repot_testkit::HandClock;
use repot_testkit::conformance::model;

use crate::documents::{Database, block_on, note};

fn chat(id: &str, tenant: &str) -> DocumentKey {
    DocumentKey::new("chats", id).in_tenant(tenant)
}

#[test]
fn a_key_that_is_asked_for_twice_is_one_key() {
    for database in Database::all() {
        let store = database.try_open().unwrap();
        block_on(async {
            store.create(&note("a"), r#"{"id": "a"}"#).await.unwrap();
            let etag = store.require(&note("a")).await.unwrap().etag;
            for fields in ["id,title,id", "title", "title,title"] {
                for sort in ["id", "-title,-id,id"] {
                    let query = Query::of(Scope::of("notes")).fields(fields).sort(sort).etags();
                    let found = store.query(&query).await.unwrap().items;
                    // a state is that of a document, which is named with it
                    assert_eq!(store.query(&query.keyless()).await.unwrap().items, found);
                    assert_eq!(found.len(), 1);
                    assert_eq!(found[0].etag.as_ref(), Some(&etag), "{fields} {sort}");
                }
            }
        });
    }
}

async fn rows(store: &RowStore, scope: Scope) -> Vec<QueryItem> {
    store.query(&Query::of(scope).limit(1_000).etags()).await.unwrap().items
}

/// What the rows say, by key, after a look at whether reading each document says the same.
async fn told(store: &RowStore, scope: Scope) -> BTreeMap<String, Option<String>> {
    let mut told = BTreeMap::new();
    for item in rows(store, scope).await {
        let key = item.key.unwrap();
        if item.etag.is_some() {
            let found = store.get(&key).await.unwrap().unwrap();
            assert_eq!(
                (item.etag.as_ref(), item.modified_ms),
                (Some(&found.etag), found.modified_ms),
                "{key}"
            );
        }
        told.insert(key.text().to_owned(), item.etag.map(|etag| etag.as_str().to_owned()));
    }
    told
}

#[test]
fn each_row_tells_the_state_that_reading_its_document_gives() {
    for database in Database::all() {
        let store = database.try_open().unwrap();
        block_on(async {
            for id in ["a", "b", "c", "d", "50% of 'ö'"] {
                let body = format!(r#"{{"id": "{id}", "title": "t", "marks": [{{"word": "{id}1"}}]}}"#);
                store.create(&note(id), body).await.unwrap();
            }
            let first = told(&store, Scope::of("notes")).await;
            assert!(first.len() == 5 && first.values().all(Option::is_some), "{first:?}");
            // one is changed beside its text, one with SQL, one with SQL that changes nothing
            let list = Pointer::parse("/marks").unwrap();
            let append = Change::Append { list, element: r#"{"word": "more"}"#.into() };
            store.change(&note("b"), append, Precondition::Any).await.unwrap();
            database.sql("update notes set title = 'n' where id = 'c'");
            database.sql("update notes set title = title where id = 'd'");
            let second = told(&store, Scope::of("notes")).await;
            assert!(second.values().all(Option::is_some), "{second:?}");
            for (key, etag) in &first {
                assert_eq!(second[key] == *etag, !["b", "c"].contains(&key.as_str()), "{key}");
            }
            // it can be written on
            for item in rows(&store, Scope::of("notes")).await {
                let (key, when) = (item.key.unwrap(), Precondition::Matches(item.etag.unwrap()));
                let change = || Change::Merge(r#"{"title": "written"}"#.into());
                store.change(&key, change(), when.clone()).await.unwrap();
                assert_eq!(store.change(&key, change(), when).await.unwrap_err().code(), "R0401", "{key}");
            }
            // a row without a document has no state until somebody reads it as one
            database.sql("insert into notes (id, title) values ('e', 'n')");
            assert_eq!(told(&store, Scope::of("notes")).await["e"], None);
            let made = store.require(&note("e")).await.unwrap();
            let third = told(&store, Scope::of("notes")).await;
            assert_eq!(third["e"].as_deref(), Some(made.etag.as_str()));
            // nobody asked, and rows that documents hold
            let plain = store.query(&Query::of(Scope::of("notes"))).await.unwrap().items;
            assert!(plain.iter().all(|item| item.etag.is_none() && item.key.is_some()));
            let held = rows(&store, Scope::of("marks")).await;
            assert!(!held.is_empty() && held.iter().all(|item| item.etag.is_none()));
        });
    }
}

#[test]
fn of_tenants_and_in_shared_files() {
    for database in Database::all() {
        let store = database.try_open().unwrap();
        block_on(async {
            for (id, tenant) in [("x", "u1"), ("y", "u1"), ("z", "u2")] {
                store.create(&chat(id, tenant), format!(r#"{{"id": "{id}"}}"#)).await.unwrap();
            }
            let card = |id: &str| DocumentKey::of_parts("cards", &["b1", id]);
            for id in ["c1", "c2", "c3"] {
                store.create(&card(id), format!(r#"{{"id": "{id}", "count": 1}}"#)).await.unwrap();
            }
            database.sql("update chats set title = 'n' where id = 'y'");
            database.sql("update cards set count = 2 where id = 'c2'");
            let chats = told(&store, Scope::of("chats").in_tenant("u1")).await;
            assert_eq!(chats.keys().map(String::as_str).collect::<Vec<_>>(), ["x", "y"]);
            let cards = told(&store, Scope::of("cards")).await;
            assert_eq!(cards.len(), 3);
            assert!(chats.values().chain(cards.values()).all(Option::is_some), "{chats:?} {cards:?}");
        });
    }
}

/// The time at which a document was written last is that of the write, also of one of its parts, whether its text has it yet or not.
#[test]
fn a_document_says_when_it_was_written_last() {
    const BEGIN_MS: i64 = 1_700_000_000_789;
    for database in Database::all() {
        let clock = HandClock::at(BEGIN_MS);
        let mut options = Database::options();
        options.clock = Arc::new(clock.clone());
        let store = RowStore::open(database.target(), model(), options).unwrap();
        block_on(async {
            let said = async |key: &DocumentKey| {
                let found = store.require(key).await.unwrap();
                let rows = rows(&store, Scope::of(key.collection())).await;
                let row = rows.iter().find(|row| row.key.as_ref() == Some(key)).unwrap();
                assert_eq!((row.etag.as_ref(), row.modified_ms), (Some(&found.etag), found.modified_ms));
                let full = Query { full: true, ..Query::of(Scope::of(key.collection())) };
                let full = store.query(&full).await.unwrap().items;
                let whole = full.iter().find(|row| row.key.as_ref() == Some(key)).unwrap();
                assert_eq!(whole.modified_ms, found.modified_ms);
                found.modified_ms
            };
            let (a, b) = (note("a"), note("b"));
            for key in [&a, &b] {
                let body = format!(r#"{{"id": "{}", "marks": []}}"#, key.text());
                store.create(key, body).await.unwrap();
            }
            assert_eq!(said(&a).await, Some(BEGIN_MS));
            let mut last_ms = BEGIN_MS;
            for change in
                [("/marks", r#"{"word": "x"}"#), ("/title", "\"t\""), ("/marks", r#"{"word": "y"}"#)]
            {
                let at = Pointer::parse(change.0).unwrap();
                let change = match change {
                    ("/title", value) => Change::Set { at, value: value.into() },
                    (_, element) => Change::Append { list: at, element: element.into() },
                };
                last_ms = clock.turn(60_000);
                store.change(&a, change, Precondition::Any).await.unwrap();
                assert_eq!(said(&a).await, Some(last_ms));
            }
            // a text is made of it, which is no write
            clock.turn(60_000);
            store.settle().await.unwrap();
            assert_eq!(said(&a).await, Some(last_ms));
            assert_eq!(said(&b).await, Some(BEGIN_MS));
            // nobody knows when SQL did it, until it is found
            database.sql("update notes set title = 's' where id = 'a'");
            assert_eq!(said(&a).await, None);
            last_ms = clock.turn(60_000);
            store.settle().await.unwrap();
            assert_eq!(said(&a).await, Some(last_ms));
            last_ms = clock.turn(60_000);
            store.put(&a, r#"{"id": "a"}"#).await.unwrap();
            assert_eq!(said(&a).await, Some(last_ms));
        });
    }
}
