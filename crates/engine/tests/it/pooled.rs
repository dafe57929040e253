//! Stores behind a pooler that gives a session to another client after each transaction.

use std::collections::BTreeSet;
use std::sync::Arc;

use repot_core::store::{
    DocumentKey, Precondition, Query, Queryable as _, Scope, Store, StoreExt as _, UnitOfWork, Write,
};
use repot_core::{Kind, LockHolder};
use repot_engine::store::RowStore;
use repot_postgres::{PostgresOptions, PostgresTarget};
use repot_testkit::conformance::model;
use tokio_postgres::SimpleQueryMessage;

use crate::documents::{Database, block_on, note, proof};

/// A database with tables, and its URL through the pooler.
fn pooled() -> Option<(Database, String)> {
    let database = Database::postgres()?;
    // making tables needs the lock of a copy, which no pooler can hold
    drop(database.open());
    let Database::Postgres(server, url) = &database else { return None };
    let pooled = server.pooled(url)?;
    Some((database, pooled))
}

fn open(url: &str) -> Arc<dyn Store> {
    let target = PostgresTarget::open(url, PostgresOptions::default()).unwrap();
    Arc::new(RowStore::open(Box::new(target), model(), Database::options()).unwrap())
}

/// Sessions that the pooler of the tests shares among the clients of one database.
const SESSIONS: usize = 4;

/// What each of the pooler's sessions answers: while one client is in a transaction, another is given another session.
async fn in_each_session(url: &str, sql: &str) -> Vec<Vec<String>> {
    let (mut clients, mut answers, mut ids) = (Vec::new(), Vec::new(), BTreeSet::new());
    for _ in 0..SESSIONS {
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client.batch_execute("begin").await.unwrap();
        ids.extend(rows(&client, "select pg_backend_pid()").await);
        answers.push(rows(&client, sql).await);
        clients.push(client);
    }
    assert_eq!(ids.len(), SESSIONS, "each in a session of its own");
    for client in clients {
        client.batch_execute("rollback").await.unwrap();
    }
    answers
}

async fn rows(client: &tokio_postgres::Client, sql: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for message in client.simple_query(sql).await.unwrap() {
        if let SimpleQueryMessage::Row(row) = message {
            let fields: Vec<&str> = (0..row.len()).map(|at| row.get(at).unwrap_or_default()).collect();
            lines.push(fields.join("|"));
        }
    }
    lines
}

fn text(id: &str, count: usize) -> String {
    format!(r#"{{"id": "{id}", "title": "t{count}", "count": {count}, "marks": [{{"word": "x"}}]}}"#)
}

/// Everything that writes one document, and both ways to read it.
async fn life(store: &dyn Store, id: &str) {
    let key = note(id);
    store.create(&key, text(id, 1)).await.unwrap();
    let etag = store.append(&key, "/marks", r#"{"word": "y"}"#).await.unwrap();
    let error = store.create(&key, text(id, 2)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Conflict, "{error}");
    store.replace(&key, text(id, 3), &etag).await.unwrap();
    assert_eq!(store.require(&key).await.unwrap().body, text(id, 3));
    let other = note(&format!("{id}-other"));
    let put = |key: &DocumentKey| Write::Put {
        key: key.clone(),
        body: text(key.text(), 4).into(),
        when: Precondition::Any,
    };
    store.apply(UnitOfWork::default().with(put(&key)).with(put(&other))).await.unwrap();
    assert!(store.delete(&other, Precondition::Any).await.unwrap());
    assert_eq!(store.require(&key).await.unwrap().body, text(id, 4));
}

/// Twelve writing connections share four sessions, so that each session serves several of them.
#[test]
fn stores_write_behind_a_pooler_of_transactions() {
    let Some((database, url)) = pooled() else { return };
    let stores: Vec<Arc<dyn Store>> = (0..3).map(|_| open(&url)).collect();
    block_on(async {
        let lives = (0..24).map(|at| {
            let store = Arc::clone(&stores[at % 3]);
            tokio::spawn(async move { life(store.as_ref(), &format!("n{at}")).await })
        });
        for one in lives.collect::<Vec<_>>() {
            one.await.unwrap();
        }
    });
    drop(stores);
    assert!(proof(&database).holds());
    assert_eq!(database.ask("select count(*) from notes"), "24\n");
    let held = "select count(*) from pg_locks where locktype = 'advisory' \
                and database = (select oid from pg_database where datname = current_database())";
    assert_eq!(database.ask(held), "0\n");
    // nothing stays behind in the sessions, where another client would meet it
    let left = block_on(in_each_session(&url, "select name, statement from pg_prepared_statements"));
    assert!(left.iter().all(Vec::is_empty), "{left:?}");
}

/// Another process with the same driver gives its statements the same names, and may leave them in a session.
#[test]
fn what_others_left_in_a_session_is_no_hindrance() {
    let Some((database, url)) = pooled() else { return };
    let Database::Postgres(server, _) = &database else { return };
    let store = open(&url);
    block_on(async { store.put(&note("a"), text("a", 1)).await.unwrap() });
    // the pooler gives out first the session that it got back last: this one, and then the same to the store
    let left: Vec<String> = (0..40).map(|at| format!("prepare s{at} as select {at}")).collect();
    assert_eq!(server.query(&url, &left.join(";")), "");
    block_on(async {
        store.put(&note("a"), text("a", 2)).await.unwrap();
        assert_eq!(store.require(&note("a")).await.unwrap().body, text("a", 2));
    });
}

/// The lock of a copy is still respected: each transaction asks for it.
#[test]
fn a_copy_keeps_a_pooled_store_out() {
    let Some((database, url)) = pooled() else { return };
    let store = open(&url);
    let mut copy = database.target();
    copy.lock(&LockHolder { host: "here".to_owned(), pid: 11, since_ms: 0 }).unwrap();
    block_on(async {
        let error = store.put(&note("a"), text("a", 1)).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Locked, "R0701"), "{error}");
    });
    drop(copy);
    block_on(async {
        store.put(&note("a"), text("a", 1)).await.unwrap();
    });
}

/// What tenants ask runs under a role that goes with the transaction: sessions that many share show each its own, and
/// nothing of it stays behind in them.
#[test]
fn tenants_ask_behind_a_pooler() {
    let Some((_database, url)) = pooled() else { return };
    let target = || Box::new(PostgresTarget::open(&url, PostgresOptions::default()).unwrap());
    let open = || Arc::new(RowStore::open(target(), model(), Database::options()).unwrap());
    let stores = [open(), open(), open()];
    assert!(stores.iter().all(|store| store.capabilities().row_security));
    let chat = |at: usize| {
        let body = format!(r#"{{"id": "c{at}", "user_id": "u{}"}}"#, at % 3);
        (DocumentKey::new("chats", &format!("c{at}")).in_tenant(&format!("u{}", at % 3)), body)
    };
    block_on(async {
        for (key, body) in (0..12).map(chat) {
            stores[0].put(&key, body).await.unwrap();
        }
        let asking = (0..48).map(|at| {
            let (store, tenant) = (Arc::clone(&stores[at % 3]), format!("u{}", at % 5));
            tokio::spawn(async move {
                let query = Query::of(Scope::of("chats").in_tenant(&tenant));
                // with states, which are read behind the rows when the role is given back
                let states = at % 2 == 0;
                let query = if states { query.etags() } else { query };
                let found = store.query(&query).await.unwrap().items;
                assert_eq!(found.len(), if at % 5 < 3 { 4 } else { 0 });
                assert!(found.iter().all(|item| item.etag.is_some() == states));
                let said = format!("\"user_id\":\"{tenant}\"");
                assert!(found.iter().all(|item| String::from_utf8_lossy(&item.body).contains(&said)));
            })
        });
        for asked in asking.collect::<Vec<_>>() {
            asked.await.unwrap();
        }
    });
    let left = "select current_user = session_user, coalesce(current_setting('repot.tenant', true), ''), \
                coalesce(current_setting('repot.keys', true), '')";
    for said in block_on(in_each_session(&url, left)) {
        assert_eq!(said, ["t||"]);
    }
}
