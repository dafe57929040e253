//! Units of several callers in one transaction on PostgreSQL: each is done or refused as if it were alone, and one that is kept
//! waiting keeps nobody else.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use repot_core::store::{Change, Pointer, Precondition, StoreExt as _};
use repot_core::{Echo, Kind};
use repot_engine::store::{RowStore, RowStoreOptions};
use repot_postgres::{PostgresOptions, PostgresTarget};
use repot_testkit::conformance::model;
use serde_json::{Value, json};

use crate::documents::{Database, block_on, note, proof};

/// A store with one connection more that writes than can be kept waiting, and what it says to the server.
pub(crate) fn open(url: &str, writers: usize) -> (Arc<RowStore>, Arc<Mutex<Vec<String>>>) {
    let said = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&said);
    let echo = Echo::new(move |sql: &str| sink.lock().unwrap().push(sql.to_owned()));
    let target = PostgresTarget::open_with_echo(url, PostgresOptions::default(), Some(echo)).unwrap();
    let options = RowStoreOptions { readers: 1, writers, ..Database::options() };
    (Arc::new(RowStore::open(Box::new(target), model(), options).unwrap()), said)
}

pub(crate) async fn session(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

#[test]
fn those_who_wait_share_a_transaction_and_each_gets_its_own_answer() {
    const WRITES: usize = 24;
    let Some(database) = Database::postgres() else { return };
    let Database::Postgres(_, url) = &database else { return };
    let (store, said) = open(url, 1);
    block_on(async {
        for number in (0..WRITES).step_by(3) {
            let body = format!(r#"{{"id": "n{number}", "first": true}}"#);
            store.create(&note(&format!("n{number}")), body).await.unwrap();
        }
        // the first is held up alone, so it waits, and the others for it
        let locker = session(url).await;
        locker.batch_execute("begin; lock table repot_objects in share mode").await.unwrap();
        let before = said.lock().unwrap().iter().filter(|sql| sql.ends_with("commit")).count();
        let first = Arc::clone(&store);
        let first = tokio::spawn(async move { first.create(&note("first"), r#"{"id": "first"}"#).await });
        let held = "select 1 from pg_locks where relation = 'repot_objects'::regclass and not granted";
        while locker.query(held, &[]).await.unwrap().is_empty() {}
        let written: Vec<_> = (0..WRITES)
            .map(|number| {
                let store = Arc::clone(&store);
                let body = format!(r#"{{"id": "n{number}", "first": false}}"#);
                tokio::spawn(async move { store.create(&note(&format!("n{number}")), body).await })
            })
            .collect();
        while store.pools().1.waiting < WRITES {
            tokio::task::yield_now().await;
        }
        locker.batch_execute("commit").await.unwrap();
        first.await.unwrap().unwrap();
        for (number, one) in written.into_iter().enumerate() {
            let (there, one) = (number % 3 == 0, one.await.unwrap());
            assert_eq!(
                one.as_ref().err().map(|error| error.kind()),
                there.then_some(Kind::Conflict),
                "{one:?}"
            );
            let body = store.require(&note(&format!("n{number}"))).await.unwrap().body;
            assert_eq!(body.ends_with(b"true}"), there, "{number}");
        }
        let commits = said.lock().unwrap().iter().filter(|sql| sql.ends_with("commit")).count() - before;
        assert!(commits <= 2, "{commits} transactions for {WRITES} writes");
    });
    drop(store);
    assert!(proof(&database).holds());
}

/// A session that holds the lock on one document holds up its writers, and not those of others that came with them.
#[test]
fn one_that_is_kept_waiting_keeps_nobody_else() {
    let Some(database) = Database::postgres() else { return };
    let Database::Postgres(_, url) = &database else { return };
    let (store, _) = open(url, 2);
    block_on(async {
        let put = |id: String| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.put(&note(&id), format!(r#"{{"id": "{id}"}}"#)).await })
        };
        put("held".to_owned()).await.unwrap().unwrap();
        let locker = session(url).await;
        let lock = "begin; select from repot_objects where id in (select object from repot_documents where key = 'held') for update";
        for round in 0..3 {
            locker.batch_execute(lock).await.unwrap();
            let free =
                |part: &str| (0..6).map(|number| put(format!("{part}{round}-{number}"))).collect::<Vec<_>>();
            let before = free("before");
            let held = put("held".to_owned());
            let behind = free("behind");
            for one in before.into_iter().chain(behind) {
                one.await.unwrap().unwrap();
            }
            assert!(!held.is_finished(), "it waits for its own document");
            locker.batch_execute("commit").await.unwrap();
            held.await.unwrap().unwrap();
        }
    });
    drop(store);
    assert!(proof(&database).holds());
}

/// Changes of parts that share a transaction read the rows of one table with one statement, and overwrite them with one.
#[test]
fn rows_of_those_who_share_a_transaction_are_read_and_written_together() {
    const CHATS: usize = 12;
    let Some(database) = Database::postgres() else { return };
    let Database::Postgres(_, url) = &database else { return };
    let (store, said) = open(url, 1);
    let key = |number: usize| note(&format!("n{number}'\"$1"));
    let set = |store: &Arc<RowStore>, number: usize, title: String| {
        let (store, key) = (Arc::clone(store), key(number));
        let change =
            Change::Set { at: Pointer::parse("/title").unwrap(), value: Bytes::from(format!("\"{title}\"")) };
        tokio::spawn(async move { store.change(&key, change, Precondition::Any).await })
    };
    block_on(async {
        for number in 0..CHATS {
            let body = json!({"id": key(number).text(), "title": "t", "marks": []}).to_string();
            store.create(&key(number), body).await.unwrap();
            set(&store, number, "known".to_owned()).await.unwrap().unwrap();
        }
        let locker = session(url).await;
        locker.batch_execute("begin; lock table repot_objects in share mode").await.unwrap();
        let first = Arc::clone(&store);
        let first = tokio::spawn(async move { first.create(&note("first"), r#"{"id": "first"}"#).await });
        let held = "select 1 from pg_locks where relation = 'repot_objects'::regclass and not granted";
        while locker.query(held, &[]).await.unwrap().is_empty() {}
        // one of them is not there, and one is changed twice
        let changed: Vec<_> = (0..=CHATS)
            .map(|number| set(&store, number, format!("title {number}")))
            .chain([set(&store, 0, "last".to_owned())])
            .collect();
        while store.pools().1.waiting < changed.len() {
            tokio::task::yield_now().await;
        }
        said.lock().unwrap().clear();
        locker.batch_execute("commit").await.unwrap();
        first.await.unwrap().unwrap();
        let mut done = Vec::new();
        for one in changed {
            done.push(one.await.unwrap().map_err(|error| error.kind()));
        }
        assert!(done.iter().enumerate().all(|(at, one)| one.is_ok() != (at == CHATS)), "{done:?}");
        let said = said.lock().unwrap().clone();
        let count = |begin: &str| said.iter().filter(|sql| sql.starts_with(begin)).count();
        let (updates, reads) = (count("update \"notes\""), count("select t.\"id\""));
        assert!((1..=2).contains(&updates) && (1..=3).contains(&reads), "{updates} {reads} {said:#?}");
        for number in 0..CHATS {
            let body = store.require(&key(number)).await.unwrap().body;
            let found: Value = serde_json::from_slice(&body).unwrap();
            let title = found["title"].as_str().unwrap();
            // the two changes of the first came in any order
            assert!(title == format!("title {number}") || (number == 0 && title == "last"), "{title}");
            let sql = "select title from notes where id = $1";
            let row = locker.query_one(sql, &[&key(number).id().unwrap()]).await.unwrap();
            assert_eq!(row.get::<_, &str>(0), title);
        }
    });
    drop(store);
    assert!(proof(&database).holds());
}
