//! Short reads of PostgreSQL, which whoever reads awaits himself: on whose threads they are asked, and what becomes of their
//! connections when he goes away, when they are too few, when the server ends them, or when his runtime ends.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use repot_core::Echo;
use repot_core::store::{DocumentKey, Query, Queryable as _, Scope, Store as _, StoreExt as _};
use repot_engine::store::{PoolOptions, RowStore, RowStoreOptions};
use repot_postgres::{PostgresOptions, PostgresTarget};
use repot_testkit::conformance::model;
use tokio::runtime::{Builder, Runtime};

use crate::documents::{Database, OwnModel, block_on, note};

/// A statement, and the name of the thread that sent it.
type Said = (Option<String>, String);

/// A store that tells which thread said what to the server, by its name; Repot's own that read have none.
struct Heard {
    store: Arc<RowStore>,
    said: Arc<Mutex<Vec<Said>>>,
    database: Database,
}

impl Heard {
    fn open(readers: usize, model: OwnModel<'_>, options: PostgresOptions) -> Option<Self> {
        Self::open_with(RowStoreOptions { readers, ..Database::options() }, model, options)
    }

    fn open_with(own: RowStoreOptions, model: OwnModel<'_>, options: PostgresOptions) -> Option<Self> {
        let database = Database::postgres()?;
        let said: Arc<Mutex<Vec<Said>>> = Arc::default();
        let sink = Arc::clone(&said);
        let echo = Echo::new(move |sql: &str| {
            sink.lock().unwrap().push((thread::current().name().map(str::to_owned), sql.to_owned()));
        });
        let target = PostgresTarget::open_with_echo(&database.url(), options, Some(echo)).unwrap();
        let store = Arc::new(RowStore::open(Box::new(target), model, own).unwrap());
        Some(Self { store, said, database })
    }

    /// What was said since, when nobody is at work any more.
    fn said(&self) -> Vec<Said> {
        while self.store.pools().0.in_use + self.store.pools().1.in_use > 0 {
            thread::yield_now();
        }
        std::mem::take(&mut *self.said.lock().unwrap())
    }

    /// All that was said since, and some was, was said by those who called.
    fn was_here(&self) -> bool {
        let said = self.said();
        !said.is_empty() && said.iter().all(|(thread, _)| thread.is_some())
    }
}

fn notes() -> Query {
    Query::of(Scope::of("notes")).sort("id").limit(50)
}

#[test]
fn short_reads_are_awaited_by_those_who_read_and_others_by_a_thread() {
    let Some(heard) = Heard::open(1, model(), PostgresOptions::default()) else { return };
    let store = &heard.store;
    block_on(async {
        let large = format!(r#"{{"id": "large", "more": "{}"}}"#, "x".repeat(600_000));
        store.create(&note("a"), r#"{"id": "a", "count": 1}"#).await.unwrap();
        store.create(&note("large"), large.clone()).await.unwrap();
        // a connection is opened for it
        let first = store.require(&note("a")).await.unwrap();
        heard.said();
        assert_eq!(store.require(&note("a")).await.unwrap(), first);
        assert!(heard.was_here());
        assert!(store.exists(&note("a")).await.unwrap() && heard.was_here());
        assert_eq!(store.query(&notes()).await.unwrap().items.len(), 2);
        assert!(heard.was_here());
        let page = store.query(&notes().etags()).await.unwrap();
        assert!(page.items.iter().all(|item| item.etag.is_some()) && heard.was_here());
        assert_eq!(store.count(&notes()).await.unwrap(), 2);
        assert!(heard.was_here());
        // a mistake is told once
        assert_eq!(store.query(&notes().sort("none")).await.unwrap_err().code(), "R0412");
        assert_eq!(heard.said(), []);
        // a large text takes its time
        assert_eq!(store.require(&note("large")).await.unwrap().body, large);
        assert!(!heard.was_here());
        // and so does a row that SQL changed
        heard.database.sql("update notes set count = 2 where id = 'a'");
        assert_eq!(store.require(&note("a")).await.unwrap().body, r#"{"id": "a", "count": 2}"#);
        assert!(!heard.was_here());
        store.settle().await.unwrap();
        heard.said();
        assert!(store.exists(&note("a")).await.unwrap() && heard.was_here());
        assert_eq!(store.pools().0.open, 1);
    });
}

/// Those for whom there is no connection at the moment take turns with it, and no thread does it for them.
#[test]
fn many_who_read_share_few_connections() {
    // also where each that idled is tried before it is used, which its thread does
    for check_ms in [1_000, 0] {
        let pool = PoolOptions { check_ms, ..PoolOptions::default() };
        let options = RowStoreOptions { readers: 2, pool, ..Database::options() };
        let Some(heard) = Heard::open_with(options, model(), PostgresOptions::default()) else { return };
        let asked = read_by_many(&heard);
        assert!(asked.len() >= 32 * 40, "{}", asked.len());
        assert!(check_ms == 0 || asked.iter().all(|(thread, _)| thread.is_some()));
        assert!(heard.store.pools().0.open <= 2);
    }
}

/// Which notes were asked for by 32 who read.
fn read_by_many(heard: &Heard) -> Vec<Said> {
    block_on(async {
        for number in 0..20 {
            let id = format!("n{number}");
            heard.store.create(&note(&id), format!(r#"{{"id": "{id}"}}"#)).await.unwrap();
        }
        heard.said();
        let readers = (0..32).map(|reader| {
            let store = Arc::clone(&heard.store);
            tokio::spawn(async move {
                for number in 0..40 {
                    let id = format!("n{}", (reader + number) % 20);
                    let found = store.require(&note(&id)).await.unwrap();
                    assert_eq!(found.body, format!(r#"{{"id": "{id}"}}"#));
                    assert_eq!(store.query(&notes()).await.unwrap().items.len(), 20);
                }
            })
        });
        for reader in readers.collect::<Vec<_>>() {
            reader.await.unwrap();
        }
    });
    heard.said().into_iter().filter(|(_, sql)| sql.contains("from \"notes\"")).collect()
}

const TENANTS: &str = "[repot]\nsource = \"./data\"\n\n[books]\nfile = \"{user}/{id}.json\"\ntenant = \"user\"\n\n\
                       [books.fields]\nid = \"text key\"\nuser = \"text\"\n";

/// Reads that are dropped wherever they are, also while a session is set up for a tenant: no connection is lost, and who is next
/// in its session reads what is his.
#[test]
fn a_read_that_is_dropped_leaves_nothing_to_the_next() {
    let Some(heard) = Heard::open(1, repot_testkit::compiled(TENANTS), PostgresOptions::default()) else {
        return;
    };
    let store = &heard.store;
    let key = |user: &str| DocumentKey::new("books", &format!("of-{user}")).in_tenant(user);
    let books = |user: &str| Query::of(Scope::of("books").in_tenant(user)).sort("id").limit(50);
    block_on(async {
        for user in ["u", "v"] {
            let body = format!(r#"{{"id": "of-{user}", "user": "{user}"}}"#);
            store.create(&key(user), body).await.unwrap();
            store.query(&books(user)).await.unwrap();
        }
        let (mut answered, mut dropped) = (0, 0);
        for number in 0..600_u64 {
            let (one, other) = if number % 2 == 0 { ("u", "v") } else { ("v", "u") };
            // from not at all to longer than it takes
            let time = Duration::from_micros(number % 300 * 5);
            let (all, own) = (books(one), key(one));
            let reading = async {
                match number % 3 {
                    0 => store.get(&own).await.map(drop),
                    _ => store.query(&all).await.map(drop),
                }
            };
            match tokio::time::timeout(time, reading).await {
                Ok(done) => {
                    done.unwrap();
                    answered += 1;
                }
                Err(_) => dropped += 1,
            }
            if number % 5 == 0 {
                assert!(store.exists(&key(one)).await.unwrap());
            }
            let page = store.query(&books(other)).await.unwrap();
            let found: Vec<_> = page.items.iter().filter_map(|item| item.key.as_ref()).collect();
            assert_eq!(found, [&key(other)], "{number}");
        }
        assert!(answered > 0 && dropped > 0, "{answered} answered, {dropped} dropped");
        heard.said();
        let reading = store.pools().0;
        assert_eq!((reading.open, reading.in_use, reading.waiting), (1, 0, 0));
    });
}

/// The time of the statement is over once, not once more on a thread.
#[test]
fn a_read_that_takes_too_long_is_not_begun_again() {
    let options = PostgresOptions { query_timeout: Duration::from_millis(200), ..PostgresOptions::default() };
    let Some(heard) = Heard::open(1, model(), options) else { return };
    block_on(async {
        heard.store.create(&note("a"), r#"{"id": "a"}"#).await.unwrap();
        heard.store.query(&notes()).await.unwrap();
        let (client, connection) =
            tokio_postgres::connect(&heard.database.url(), tokio_postgres::NoTls).await.unwrap();
        let connection = tokio::spawn(connection);
        client.batch_execute("begin; lock table notes in access exclusive mode").await.unwrap();
        heard.said();
        let error = heard.store.query(&notes()).await.unwrap_err();
        assert!(error.to_string().contains("statement timeout"), "{error}");
        let said = heard.said();
        assert_eq!(said.iter().filter(|(_, sql)| sql.contains("from \"notes\"")).count(), 1, "{said:?}");
        client.batch_execute("commit").await.unwrap();
        assert_eq!(heard.store.query(&notes()).await.unwrap().items.len(), 1);
        drop(client);
        connection.await.unwrap().unwrap();
    });
}

/// Futures that were asked once and then left alone, wherever they are, keep no connection from who reads next.
#[test]
fn a_read_that_nobody_looks_at_ends_by_itself() {
    let Some(heard) = Heard::open(1, model(), PostgresOptions::default()) else { return };
    block_on(async {
        heard.store.create(&note("a"), r#"{"id": "a"}"#).await.unwrap();
        let first = heard.store.require(&note("a")).await.unwrap();
        let (key, all) = (note("a"), notes());
        let mut left: Vec<_> = (0..8).map(|_| Box::pin(heard.store.require(&key))).collect();
        let mut page = Box::pin(heard.store.query(&all));
        assert!(futures_util::poll!(&mut page).is_pending());
        for reading in &mut left {
            assert!(futures_util::poll!(reading).is_pending());
        }
        assert_eq!(heard.store.require(&note("a")).await.unwrap(), first);
        assert_eq!(page.await.unwrap().items.len(), 1);
        for reading in left {
            assert_eq!(reading.await.unwrap(), first);
        }
    });
}

/// What is under way for nobody keeps its connection, but not those who read next.
#[test]
fn nobody_waits_behind_a_read_that_was_dropped() {
    let Some(heard) = Heard::open(2, repot_testkit::compiled(TENANTS), PostgresOptions::default()) else {
        return;
    };
    let books = Query::of(Scope::of("books").in_tenant("u")).sort("id").limit(50);
    let key = DocumentKey::new("books", "a").in_tenant("u");
    block_on(async {
        heard.store.create(&key, r#"{"id": "a", "user": "u"}"#).await.unwrap();
        heard.store.query(&books).await.unwrap();
        let (client, connection) =
            tokio_postgres::connect(&heard.database.url(), tokio_postgres::NoTls).await.unwrap();
        let connection = tokio::spawn(connection);
        client.batch_execute("begin; lock table books in access exclusive mode").await.unwrap();
        let asking = tokio::time::timeout(Duration::from_millis(50), heard.store.query(&books));
        assert!(asking.await.is_err());
        // the table of its rows is locked until all have read
        for _ in 0..3 {
            assert_eq!(heard.store.require(&key).await.unwrap().body, r#"{"id": "a", "user": "u"}"#);
        }
        assert_eq!(heard.store.pools().0.in_use, 1);
        drop(client);
        connection.await.unwrap().unwrap();
    });
}

/// A session that the server ended, and connections whose runtime has ended, or was none to live in.
#[test]
fn who_reads_next_finds_another_connection() {
    let Some(heard) = Heard::open(2, model(), PostgresOptions::default()) else { return };
    let several = || Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let one = || Builder::new_current_thread().enable_all().build().unwrap();
    let read = |runtime: &Runtime| {
        runtime.block_on(async {
            assert_eq!(heard.store.require(&note("a")).await.unwrap().body, r#"{"id": "a"}"#);
            assert_eq!(heard.store.query(&notes()).await.unwrap().items.len(), 1);
        });
    };
    let first = one();
    first.block_on(heard.store.create(&note("a"), r#"{"id": "a"}"#)).unwrap();
    read(&first);
    let home = several();
    for runtime in [&home, &first, &home] {
        read(runtime);
        heard.database.end_sessions();
        read(runtime);
    }
    drop(home);
    for runtime in [first, several(), one()] {
        read(&runtime);
        heard.database.end_sessions();
        read(&runtime);
    }
}
