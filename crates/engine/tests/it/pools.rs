//! Connections of a store on real databases: how many there are, how long calls wait for one, and what idles.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use repot_core::store::{Store, StoreExt as _};
use repot_core::{Clock, Kind, Retry};
use repot_engine::store::{PoolOptions, RowStore, RowStoreOptions};
use repot_testkit::conformance::model;

use crate::documents::{Database, block_on, note, proof};

/// A clock that the test moves.
#[derive(Debug, Clone)]
struct Hand(Arc<AtomicI64>);

impl Hand {
    fn new() -> Self {
        Self(Arc::new(AtomicI64::new(1_700_000_000_000)))
    }

    fn turn(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for Hand {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

fn open(database: &Database, clock: &Hand, pool: PoolOptions) -> Arc<RowStore> {
    let options = RowStoreOptions {
        readers: 3,
        writers: 2,
        pool,
        clock: Arc::new(clock.clone()),
        ..Database::options()
    };
    Arc::new(RowStore::open(database.target(), model(), options).unwrap())
}

/// Sessions of Repot's on this database, beside the one that asks.
fn sessions(database: &Database) -> usize {
    let sql = "select count(*) from pg_stat_activity where application_name = 'repot' and datname = current_database()";
    database.ask(sql).trim().parse().unwrap()
}

fn until(is: impl Fn() -> bool) {
    while !is() {
        std::thread::yield_now();
    }
}

/// Reads and writes wait for a table that somebody locked: no more connections come to be than may, who waits too long
/// is told so, and everybody else is answered when the lock goes.
#[test]
fn more_askers_than_connections() {
    let Some(database) = Database::postgres() else { return };
    let clock = Hand::new();
    let store = open(&database, &clock, PoolOptions::default());
    block_on(store.create(&note("a"), r#"{"id": "a"}"#)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let Database::Postgres(_, url) = &database else { return };
        let (locker, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        locker.batch_execute("begin; lock table repot_objects in access exclusive mode").await.unwrap();
        let read = || {
            tokio::spawn({
                let store = Arc::clone(&store);
                async move { store.get(&note("a")).await }
            })
        };
        let write = |number: usize| {
            let (store, key) = (Arc::clone(&store), note(&format!("w{number}")));
            tokio::spawn(async move { store.create(&key, format!(r#"{{"id": "w{number}"}}"#)).await })
        };
        let mut asked: Vec<_> = (0..20).map(|_| read()).collect();
        let mut written: Vec<_> = (0..20).map(write).collect();
        while store.pools().0.in_use < 3 || store.pools().1.in_use < 2 {
            tokio::task::yield_now().await;
        }
        let (reading, writing) = store.pools();
        assert_eq!((reading.most, reading.open, reading.in_use), (3, 3, 3));
        assert_eq!((writing.most, writing.open, writing.in_use), (2, 2, 2));
        assert_eq!(sessions(&database), 5);
        clock.turn(30_000);
        // another call is what makes the store look at the clock at once
        asked.push(read());
        written.push(write(20));
        for (answers, most) in [(17, 3)] {
            let mut refused = 0;
            let mut left = Vec::new();
            while refused < answers {
                let (first, rest) = {
                    let mut all = std::mem::take(&mut asked);
                    (all.remove(0), all)
                };
                asked = rest;
                if first.is_finished() {
                    let error = first.await.unwrap().unwrap_err();
                    assert_eq!(
                        (error.kind(), error.code(), error.may_retry()),
                        (Kind::Unavailable, "R0428", Retry::Safe)
                    );
                    assert!(
                        error.message().contains(&format!("{most} of at most {most} are in use")),
                        "{error}"
                    );
                    refused += 1;
                } else {
                    left.push(first);
                    if asked.is_empty() {
                        asked = std::mem::take(&mut left);
                    }
                    tokio::task::yield_now().await;
                }
            }
            asked.extend(left);
        }
        locker.batch_execute("rollback").await.unwrap();
        assert_eq!(asked.len(), 4);
        for answer in asked {
            assert!(answer.await.unwrap().unwrap().is_some());
        }
        let mut made = 0;
        for answer in written {
            match answer.await.unwrap() {
                Ok(_) => made += 1,
                Err(error) => assert_eq!(error.code(), "R0428", "{error}"),
            }
        }
        assert_eq!(made, 3, "two were at work, and one came later");
    });
    drop(runtime);
    drop(store);
    assert!(proof(&database).holds());
}

/// A session that ended while nobody used it is replaced, and the caller sees nothing of it: neither a reader nor a writer.
#[test]
fn an_idle_session_that_ended_is_replaced() {
    let Some(database) = Database::postgres() else { return };
    let clock = Hand::new();
    let store = open(&database, &clock, PoolOptions::default());
    block_on(async {
        store.create(&note("a"), r#"{"id": "a"}"#).await.unwrap();
        for count in 1..=10 {
            assert!(store.exists(&note("a")).await.unwrap());
            database.end_sessions();
            clock.turn(5_000);
            if count % 2 == 0 {
                assert!(store.get(&note("a")).await.unwrap().is_some());
            }
            store.put(&note("a"), format!(r#"{{"id": "a", "count": {count}}}"#)).await.unwrap();
        }
    });
}

/// What has nothing to do is closed, to the one that holds the lock; the next call opens another.
#[test]
fn idle_connections_are_closed() {
    let Some(database) = Database::postgres() else { return };
    let clock = Hand::new();
    let store = open(&database, &clock, PoolOptions::default());
    block_on(async {
        store.create(&note("a"), r#"{"id": "a"}"#).await.unwrap();
        let many: Vec<_> = (0..40)
            .map(|number| {
                let store = Arc::clone(&store);
                tokio::spawn(async move {
                    let key = note(&format!("n{number}"));
                    store.create(&key, format!(r#"{{"id": "n{number}"}}"#)).await.unwrap();
                    store.require(&key).await.unwrap();
                })
            })
            .collect();
        for one in many {
            one.await.unwrap();
        }
        assert!(sessions(&database) > 1);
        clock.turn(20_000);
        // each kind looks at the clock when it is called: a write keeps the one that writes, a read opens one
        store.put(&note("a"), r#"{"id": "a", "count": 2}"#).await.unwrap();
        store.get(&note("a")).await.unwrap();
        until(|| sessions(&database) <= 2);
        assert!(store.require(&note("n7")).await.is_ok());
    });
    // the lock is still held
    let error = database.target().lock(&Database::options().me).unwrap_err();
    assert_eq!(error.code(), "R0701");
}

/// As many threads as there are connections read in one file beside the one that writes.
#[test]
fn many_read_beside_one_writer() {
    let database = Database::sqlite();
    let store = open(&database, &Hand::new(), PoolOptions::default());
    block_on(async {
        store.create(&note("a"), r#"{"id": "a", "count": 0}"#).await.unwrap();
        let tasks: Vec<_> = (0..30)
            .map(|at| {
                let store = Arc::clone(&store);
                tokio::spawn(async move {
                    for count in 0..20 {
                        if at == 0 {
                            let text = format!(r#"{{"id": "a", "count": {count}}}"#);
                            store.put(&note("a"), text).await.unwrap();
                        } else {
                            assert!(store.get(&note("a")).await.unwrap().is_some());
                        }
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    let (reading, writing) = store.pools();
    assert!(reading.open <= 3, "{reading:?}");
    assert_eq!((writing.most, writing.open), (1, 1), "a file has one writer, whatever was asked for");
}
