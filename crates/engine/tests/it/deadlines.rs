//! Units of work with a deadline over databases: whoever waits for others too long writes nothing.

use std::sync::Arc;

use repot_core::store::{
    FactChange, FactValue, Precondition, Receipt, Store, StoreExt as _, UnitOfWork, Write,
};
use repot_core::{Clock as _, Kind, Retry};
use repot_testkit::HandClock;
use tokio::task::JoinHandle;

use crate::documents::{Database, block_on, note};
use crate::ledger::open;

fn write(id: &str, title: &str) -> UnitOfWork {
    let body = format!(r#"{{"id": "{id}", "title": "{title}"}}"#).into();
    UnitOfWork::default().with(Write::Put { key: note(id), body, when: Precondition::Any })
}

fn start(store: &Arc<dyn Store>, unit: UnitOfWork) -> JoinHandle<repot_core::Result<Receipt>> {
    let store = Arc::clone(store);
    tokio::spawn(async move { store.apply(unit).await })
}

/// The unit was in time when it was handed in, and when the writer began with it; not when it could be decided on.
#[test]
fn who_waits_for_others_for_too_long_does_nothing() {
    for database in Database::all() {
        let clock = Arc::new(HandClock::at(1_700_000_000_000));
        let store: Arc<dyn Store> = Arc::new(open(&database, &clock));
        block_on(async {
            store.apply(write("a", "before")).await.unwrap();
            let until_ms = clock.now_ms() + 1_000;
            let fact = FactChange::put("test", "late", FactValue::lasting("x"));
            let units = || {
                [
                    start(&store, write("a", "late").until(until_ms).noting(fact.clone())),
                    start(&store, write("new", "late").until(until_ms)),
                    start(&store, write("free", "in time").until(until_ms + 1)),
                    start(&store, write("plain", "in time")),
                ]
            };
            let done = match &database {
                Database::Sqlite(folder) => {
                    let holder = rusqlite::Connection::open(Database::file(folder)).unwrap();
                    holder.execute_batch("begin immediate").unwrap();
                    let done = units();
                    tokio::task::yield_now().await;
                    clock.turn(1_000);
                    holder.execute_batch("commit").unwrap();
                    done
                }
                Database::Postgres(_, url) => {
                    let holder = crate::grouped::session(url).await;
                    holder.batch_execute("begin; lock table repot_objects in exclusive mode").await.unwrap();
                    let done = units();
                    crate::demands::until_waiting(&crate::grouped::session(url).await, 1).await;
                    clock.turn(1_000);
                    holder.batch_execute("commit").await.unwrap();
                    done
                }
            };
            for (at, done) in done.into_iter().enumerate() {
                match done.await.unwrap() {
                    Ok(_) => assert!(at >= 2, "{at}"),
                    Err(error) => {
                        let named = (error.kind(), error.code(), error.may_retry());
                        assert_eq!(named, (Kind::Fenced, "R0452", Retry::Safe), "{error}");
                        assert!(at < 2, "{at}");
                    }
                }
            }
            let text = store.require(&note("a")).await.unwrap().body;
            assert!(text.ends_with(b"\"before\"}"), "{text:?}");
            assert!(!store.exists(&note("new")).await.unwrap());
            assert!(store.ledger().unwrap().fact("test", "late").await.unwrap().is_none());
        });
    }
}
