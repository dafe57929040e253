//! Connections of a store on real databases: how many there are, how long calls wait for one, and what idles.

use std::sync::{Arc, Mutex};

use repot_core::store::{Store, StoreExt as _};
use repot_core::{Echo, Kind, Result, Retry};
use repot_engine::store::{PoolOptions, PoolUsage, RowStore, RowStoreOptions, waiting};
use repot_postgres::{PostgresOptions, PostgresTarget};
use repot_testkit::HandClock;
use repot_testkit::conformance::model;

use tokio::task::JoinHandle;

use crate::documents::{Database, block_on, note, proof};

fn hand() -> HandClock {
    HandClock::at(1_700_000_000_000)
}

fn open(database: &Database, clock: &HandClock, pool: PoolOptions) -> Arc<RowStore> {
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

/// How many were answered and how many were refused because no connection became free.
async fn answers<T: std::fmt::Debug>(asked: Vec<JoinHandle<Result<T>>>, in_use: &str) -> (usize, usize) {
    let (mut answered, mut refused) = (0, 0);
    for answer in asked {
        match answer.await.unwrap() {
            Ok(_) => answered += 1,
            Err(error) => {
                let known = (error.kind(), error.code(), error.may_retry());
                assert_eq!(known, (Kind::Unavailable, "R0428", Retry::Safe), "{error}");
                assert!(error.message().contains("within 30000 ms"), "{error}");
                assert!(error.message().contains(in_use), "{error}");
                refused += 1;
            }
        }
    }
    (answered, refused)
}

fn ended<T>(asked: &[JoinHandle<T>]) -> usize {
    asked.iter().filter(|one| one.is_finished()).count()
}

/// A connection is free a moment after its answer is there, and after what an opened store does by itself.
fn rest(store: &RowStore) {
    let all = || {
        let (reading, writing) = store.pools();
        reading.in_use + reading.waiting + writing.in_use + writing.waiting
    };
    until(|| all() == 0);
}

/// Reads and writes wait for a table that somebody locked: no more connections come to be than may, who waits too long
/// is told so, and everybody else is answered when the lock goes.
#[test]
fn more_askers_than_connections() {
    let Some(database) = Database::postgres() else { return };
    let Database::Postgres(_, url) = &database else { return };
    let clock = hand();
    let store = open(&database, &clock, PoolOptions::default());
    block_on(async {
        store.create(&note("a"), r#"{"id": "a"}"#).await.unwrap();
        // what the store prunes when it is opened would wait for the tables, too
        rest(&store);
        let (locker, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        // a connection that sets numbers apart for new objects reads their table, and must not wait for that
        let lock = "begin; lock table repot_objects in exclusive mode; \
                    lock table repot_documents in access exclusive mode";
        locker.batch_execute(lock).await.unwrap();
        let read = || {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.require(&note("a")).await })
        };
        let write = |number: usize| {
            let (store, key) = (Arc::clone(&store), note(&format!("w{number}")));
            tokio::spawn(async move { store.create(&key, format!(r#"{{"id": "w{number}"}}"#)).await })
        };
        let mut asked: Vec<_> = (0..20).map(|_| read()).collect();
        let mut written: Vec<_> = (0..20).map(write).collect();
        // one that takes its seat has no call yet
        while store.pools().0.in_use < 3 || store.pools().0.waiting > 17 || store.pools().1.in_use < 2 {
            tokio::task::yield_now().await;
        }
        let (reading, writing) = store.pools();
        assert_eq!(reading, PoolUsage { most: 3, open: 3, in_use: 3, waiting: 17, waited_ms: 0 });
        // how many calls a writer takes at once depends on how many waited when it looked
        assert_eq!((writing.most, writing.open, writing.in_use), (2, 2, 2));
        assert!(writing.waiting <= 18, "{writing:?}");
        assert_eq!(sessions(&database), 5);
        clock.turn(30_000);
        // another call is what makes the store look at the clock at once
        asked.push(read());
        written.push(write(20));
        while ended(&asked) < 17 {
            tokio::task::yield_now().await;
        }
        locker.batch_execute("rollback").await.unwrap();
        assert_eq!(answers(asked, "3 of at most 3 are in use").await, (4, 17));
        let (answered, refused) = answers(written, "2 of at most 2 are in use").await;
        assert!(answered + refused == 21 && answered >= 3, "{answered} answered, {refused} refused");
    });
    drop(store);
    assert!(proof(&database).holds());
}

/// A session that ended while nobody used it is replaced, and the caller sees nothing of it: neither a reader nor a writer.
#[test]
fn an_idle_session_that_ended_is_replaced() {
    let Some(database) = Database::postgres() else { return };
    let clock = hand();
    let store = open(&database, &clock, PoolOptions::default());
    block_on(async {
        store.create(&note("a"), r#"{"id": "a"}"#).await.unwrap();
        for count in 1..=10 {
            assert!(store.exists(&note("a")).await.unwrap());
            rest(&store);
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
    let clock = hand();
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
        rest(&store);
        // one of each kind would be kept anyway
        until(|| sessions(&database) > 2);
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
    let store = open(&database, &hand(), PoolOptions::default());
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

/// A session that was at work a moment ago is used as it is; one that had nothing to do for a second is tried first.
#[test]
fn what_idled_is_tried_before_it_is_used() {
    let Some(database) = Database::postgres() else { return };
    let Database::Postgres(_, url) = &database else { return };
    drop(database.open());
    let (clock, said) = (hand(), Arc::new(Mutex::new(Vec::new())));
    let sink = Arc::clone(&said);
    let echo = Echo::new(move |sql: &str| sink.lock().unwrap().push(sql.to_owned()));
    let target = PostgresTarget::open_with_echo(url, PostgresOptions::default(), Some(echo)).unwrap();
    let options =
        RowStoreOptions { readers: 1, writers: 1, clock: Arc::new(clock.clone()), ..Database::options() };
    let store = RowStore::open(Box::new(target), model(), options).unwrap();
    // the sign of life that is asked for is a statement without text
    let tried = || said.lock().unwrap().iter().filter(|sql| sql.is_empty()).count();
    block_on(async {
        store.put(&note("a"), r#"{"id": "a"}"#).await.unwrap();
        store.require(&note("a")).await.unwrap();
        rest(&store);
        clock.turn(999);
        store.put(&note("a"), r#"{"id": "a", "count": 1}"#).await.unwrap();
        store.require(&note("a")).await.unwrap();
        assert_eq!(tried(), 0);
        rest(&store);
        clock.turn(1_000);
        store.require(&note("a")).await.unwrap();
        assert_eq!(tried(), 1, "the one that reads");
        store.put(&note("a"), r#"{"id": "a", "count": 2}"#).await.unwrap();
        assert_eq!(tried(), 2, "the one that writes");
    });
}

/// Who measures is told how long a call waited for its connection, apart from its own time.
#[test]
fn the_wait_for_a_connection_is_told() {
    let Some(database) = Database::postgres() else { return };
    let Database::Postgres(_, url) = &database else { return };
    let options = RowStoreOptions { readers: 1, writers: 1, clock: Arc::new(hand()), ..Database::options() };
    let store = Arc::new(RowStore::open(database.target(), model(), options).unwrap());
    block_on(async {
        store.create(&note("a"), r#"{"id": "a"}"#).await.unwrap();
        // what the store prunes when it is opened would wait for the tables, too
        rest(&store);
        let (locker, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        locker.batch_execute("begin; lock table repot_objects in access exclusive mode").await.unwrap();
        let read = || {
            let store = Arc::clone(&store);
            tokio::spawn(waiting(async move { store.require(&note("a")).await.map(drop) }))
        };
        let write = |name: &'static str| {
            let store = Arc::clone(&store);
            let text = format!(r#"{{"id": "{name}"}}"#);
            tokio::spawn(waiting(async move { store.create(&note(name), text).await.map(drop) }))
        };
        let stand = async |in_use, waiting| {
            let stands = |pool: PoolUsage| (pool.in_use, pool.waiting) == (in_use, waiting);
            while !stands(store.pools().0) || !stands(store.pools().1) {
                tokio::task::yield_now().await;
            }
        };
        let first = [read(), write("b")];
        // else both might be written in one transaction
        stand(1, 0).await;
        let second = [read(), write("c")];
        stand(1, 1).await;
        let since = std::time::Instant::now();
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        let least = since.elapsed();
        locker.batch_execute("rollback").await.unwrap();
        for one in first {
            one.await.unwrap().0.unwrap();
        }
        for one in second {
            let (done, waited) = one.await.unwrap();
            done.unwrap();
            assert!(waited >= least, "{waited:?} of {least:?}");
        }
        // of another task's calls nothing is told
        assert_eq!(waiting(async {}).await.1, std::time::Duration::ZERO);
    });
}
