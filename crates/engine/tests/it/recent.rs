//! Texts that are kept in memory after they were read: what is given is the document as it is now, whoever changed it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use repot_core::store::{Document, DocumentKey, ETag, Precondition, Store as _, StoreExt as _};
use repot_engine::store::{RowStore, RowStoreOptions};
use repot_testkit::HandClock;
use repot_testkit::conformance::model;

use crate::documents::{Database, block_on, note};

const RECENT_BYTES: usize = 1 << 20;
const MARK: &str = r#"{"word": "y"}"#;

fn open_with(database: &Database, recent_bytes: usize, clock: &HandClock) -> Arc<RowStore> {
    let clock = Arc::new(clock.clone());
    let options = RowStoreOptions { readers: 4, recent_bytes, clock, ..Database::options() };
    Arc::new(RowStore::open(database.target(), model(), options).unwrap())
}

fn open(database: &Database) -> Arc<RowStore> {
    open_with(database, RECENT_BYTES, &HandClock::at(1_700_000_000_000))
}

fn text(id: &str, title: &str) -> String {
    format!(r#"{{"id": "{id}", "title": "{title}", "marks": [{{"word": "x"}}]}}"#)
}

/// It is what somebody else reads who keeps nothing.
async fn is_as_new((store, other): (&RowStore, &RowStore), key: &DocumentKey) -> Option<Document> {
    let (found, wanted) = (store.get(key).await.unwrap(), other.get(key).await.unwrap());
    assert_eq!(found, wanted);
    found
}

#[test]
fn what_others_change_is_seen_at_once() {
    for database in Database::all() {
        let (store, key) = (open(&database), note("a"));
        let other = open_with(&database, 0, &HandClock::at(1_700_000_100_000));
        let both = (&*store, &*other);
        block_on(async {
            other.put(&key, text("a", "one")).await.unwrap();
            for _ in 0..3 {
                is_as_new(both, &key).await.unwrap();
            }
            // as a whole, by parts, by plain SQL; read again each time, so that it is known each time
            other.put(&key, text("a", "two")).await.unwrap();
            for _ in 0..3 {
                is_as_new(both, &key).await.unwrap();
                other.append(&key, "/marks", MARK).await.unwrap();
                let found = is_as_new(both, &key).await.unwrap();
                assert!(String::from_utf8_lossy(&found.body).contains('y'));
            }
            database.sql("update notes set title = 'three' where id = 'a'");
            for _ in 0..2 {
                let found = is_as_new(both, &key).await.unwrap();
                assert!(String::from_utf8_lossy(&found.body).contains("three"));
            }
            assert!(other.delete(&key, Precondition::Any).await.unwrap());
            assert_eq!(is_as_new(both, &key).await, None);
            // the bytes of before, and their ETag, at another time
            other.put(&key, text("a", "two")).await.unwrap();
            let found = is_as_new(both, &key).await.unwrap();
            assert_eq!(found.modified_ms, Some(1_700_000_100_000));
            database.sql("delete from notes where id = 'a'");
            assert_eq!(is_as_new(both, &key).await, None);
        });
    }
}

/// The time of the last write is the database's, also where the text is known.
#[test]
fn a_known_text_has_the_time_of_its_last_write() {
    for database in Database::all() {
        let clock = HandClock::at(1_700_000_000_000);
        let (store, key) = (open_with(&database, RECENT_BYTES, &clock), note("a"));
        block_on(async {
            store.put(&key, text("a", "one")).await.unwrap();
            for _ in 0..3 {
                store.require(&key).await.unwrap();
            }
            let first = store.require(&key).await.unwrap();
            clock.set(1_700_000_005_000);
            store.delete(&key, Precondition::Any).await.unwrap();
            store.put(&key, text("a", "one")).await.unwrap();
            let second = store.require(&key).await.unwrap();
            assert_eq!((&first.etag, &first.body), (&second.etag, &second.body));
            assert_eq!(
                (first.modified_ms, second.modified_ms),
                (Some(1_700_000_000_000), Some(1_700_000_005_000))
            );
            clock.set(1_700_000_007_000);
            store.append(&key, "/marks", MARK).await.unwrap();
            for _ in 0..3 {
                assert_eq!(store.require(&key).await.unwrap().modified_ms, Some(1_700_000_007_000));
            }
        });
    }
}

/// Known texts are not read, unpacked or put together again: here that could not be done any more.
#[test]
fn a_known_text_is_not_read_again() {
    for database in Database::all() {
        let (store, key) = (open(&database), note("a"));
        let other = open_with(&database, 0, &HandClock::at(0));
        block_on(async {
            store.put(&key, text("a", "one")).await.unwrap();
            // it is kept when it is read for the second time
            for _ in 0..2 {
                store.require(&key).await.unwrap();
            }
            let first = store.require(&key).await.unwrap();
            let damaged = match &database {
                Database::Sqlite(_) => "update repot_documents set text = x'00ff'",
                Database::Postgres(..) => r"update repot_documents set text = '\x00ff'",
            };
            database.unnoticed(damaged);
            for _ in 0..2 {
                assert_eq!(store.require(&key).await.unwrap(), first);
            }
            // who keeps nothing reads it
            assert_eq!(other.require(&key).await.unwrap_err().code(), "R0803");
        });
    }
}

/// Many read what one appends to, in memory for few texts only, so that they come and go: nobody reads less than what was
/// acknowledged before he asked, and one `ETag` always has the same bytes.
#[test]
fn readers_beside_a_writer_see_what_was_acknowledged() {
    const DOCUMENTS: usize = 6;
    for database in Database::all() {
        let store = open_with(&database, 64 << 10, &HandClock::at(1_700_000_000_000));
        let written: Arc<Vec<AtomicUsize>> = Arc::new((0..DOCUMENTS).map(|_| AtomicUsize::new(1)).collect());
        let bytes: Arc<Mutex<HashMap<ETag, Vec<u8>>>> = Arc::default();
        block_on(async {
            for number in 0..DOCUMENTS {
                let id = format!("n{number}");
                store.put(&note(&id), text(&id, &"long ".repeat(3))).await.unwrap();
            }
            let readers: Vec<_> = (0..6)
                .map(|reader| {
                    let (store, written, bytes) =
                        (Arc::clone(&store), Arc::clone(&written), Arc::clone(&bytes));
                    tokio::spawn(async move {
                        for step in 0..150 {
                            let number = (reader + step) % DOCUMENTS;
                            let least = written[number].load(Ordering::SeqCst);
                            let found = store.require(&note(&format!("n{number}"))).await.unwrap();
                            let words = String::from_utf8_lossy(&found.body).matches("\"word\"").count();
                            assert!(words >= least, "{words} of {least}");
                            let known = bytes.lock().unwrap().insert(found.etag, found.body.to_vec());
                            assert!(known.is_none_or(|known| known == found.body));
                        }
                    })
                })
                .collect();
            for step in 0..120 {
                let number = step % DOCUMENTS;
                store.append(&note(&format!("n{number}")), "/marks", MARK).await.unwrap();
                written[number].fetch_add(1, Ordering::SeqCst);
            }
            for reader in readers {
                reader.await.unwrap();
            }
        });
    }
}
