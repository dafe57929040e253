//! Short reads that are done where they are asked for: which are, what they leave behind when nobody waits for them any
//! more, and what happens beside writers, others who cut the log, and too few connections.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};

use futures_util::FutureExt as _;
use repot_core::store::{Filter, Op, Query, Queryable as _, Scope, Store as _, StoreExt as _};
use repot_core::{Clock, Echo};
use repot_engine::store::{RowStore, RowStoreOptions};
use repot_sqlite::{SqliteOptions, SqliteTarget};
use repot_testkit::TempTree;
use repot_testkit::conformance::model;
use rusqlite::Connection;

use crate::documents::{Database, block_on, note};

/// A clock that the test moves.
#[derive(Debug, Default)]
struct Hand(AtomicI64);

impl Clock for Hand {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// A SQLite store that tells which thread ran which statement.
struct Heard {
    store: Arc<RowStore>,
    said: Arc<Mutex<Vec<(ThreadId, String)>>>,
    clock: Arc<Hand>,
    folder: TempTree,
}

impl Heard {
    fn open(readers: usize) -> Self {
        Self::open_with(readers, |_| ())
    }

    /// `meanwhile` is called with each statement, on the thread that runs it.
    fn open_with(readers: usize, meanwhile: impl Fn(&str) + Send + Sync + 'static) -> Self {
        let (folder, clock) = (TempTree::new(), Arc::new(Hand::default()));
        let said: Arc<Mutex<Vec<(ThreadId, String)>>> = Arc::default();
        let sink = Arc::clone(&said);
        let echo = Echo::new(move |sql: &str| {
            sink.lock().unwrap().push((thread::current().id(), sql.to_owned()));
            meanwhile(sql);
        });
        let file = Database::file(&folder);
        let target = SqliteTarget::open(&file, SqliteOptions::default()).unwrap().with_echo(Some(echo));
        let options =
            RowStoreOptions { readers, clock: Arc::clone(&clock) as Arc<dyn Clock>, ..Database::options() };
        let store = Arc::new(RowStore::open(Box::new(target), model(), options).unwrap());
        Self { store, said, clock, folder }
    }

    fn other(&self) -> Connection {
        Connection::open(Database::file(&self.folder)).unwrap()
    }

    /// Until nobody works; then what was said is forgotten.
    fn rest(&self) {
        while self.store.pools().0.in_use + self.store.pools().1.in_use > 0 {
            thread::yield_now();
        }
        self.said.lock().unwrap().clear();
    }

    /// Whether all that was said since was said here.
    fn was_here(&self) -> bool {
        self.rested(|said| !said.is_empty() && said.iter().all(|one| one.0 == thread::current().id()))
    }

    /// Whether some of it was said elsewhere.
    fn was_elsewhere(&self) -> bool {
        self.rested(|said| said.iter().any(|one| one.0 != thread::current().id()))
    }

    fn rested(&self, is: impl Fn(&[(ThreadId, String)]) -> bool) -> bool {
        while self.store.pools().0.in_use > 0 {
            thread::yield_now();
        }
        let said = std::mem::take(&mut *self.said.lock().unwrap());
        is(&said)
    }

    /// Nobody reads in a transaction: all of the log can be brought into the database and cut.
    fn nothing_is_open(&self) -> bool {
        let other = self.other();
        let busy: i64 = other.query_row("pragma wal_checkpoint(truncate)", (), |row| row.get(0)).unwrap();
        busy == 0
    }
}

fn notes() -> Query {
    Query::of(Scope::of("notes")).sort("id").limit(50)
}

#[test]
fn short_reads_are_done_here_and_others_on_a_thread() {
    let heard = Heard::open(2);
    let store = &heard.store;
    block_on(async {
        let large = format!(r#"{{"id": "large", "more": "{}"}}"#, "x".repeat(600_000));
        store.create(&note("a"), r#"{"id": "a", "count": 1}"#).await.unwrap();
        store.create(&note("large"), large.clone()).await.unwrap();
        heard.rest();
        // nobody reads yet: a thread opens a connection
        let first = store.require(&note("a")).await.unwrap();
        assert!(heard.was_elsewhere());
        assert_eq!(store.require(&note("a")).await.unwrap(), first);
        let said: Vec<String> = heard.said.lock().unwrap().iter().map(|one| one.1.clone()).collect();
        assert_eq!((said.first().unwrap().as_str(), said.last().unwrap().as_str()), ("begin", "commit"));
        assert!(heard.was_here());
        assert!(store.exists(&note("a")).await.unwrap() && heard.was_here());
        assert!(store.get(&note("none")).await.unwrap().is_none() && heard.was_here());
        assert_eq!(store.query(&notes()).await.unwrap().items.len(), 2);
        assert!(heard.was_here());
        // a large text takes its time
        assert_eq!(store.require(&note("large")).await.unwrap().body, large);
        assert!(heard.was_elsewhere());
        // and so does a row that SQL changed, until it is settled
        heard.other().execute_batch("update notes set count = 2 where id = 'a'").unwrap();
        heard.rest();
        let changed = store.require(&note("a")).await.unwrap();
        assert_eq!(changed.body, r#"{"id": "a", "count": 2}"#);
        assert!(heard.was_elsewhere());
        store.settle().await.unwrap();
        heard.rest();
        assert_eq!(store.require(&note("a")).await.unwrap().body, changed.body);
        assert!(heard.was_here());
        assert!(
            store
                .query(&notes().filter(Filter::Is { field: "nothing".into(), op: Op::Eq, value: "x".into() }))
                .await
                .is_err()
        );
        heard.rest();
        assert!(store.exists(&note("a")).await.unwrap() && heard.was_here(), "after an error, too");
    });
}

/// Rows that no index leads to are looked at here for a moment, then on a thread; the answer is that of the thread.
#[test]
fn a_long_search_goes_on_on_a_thread() {
    let heard = Heard::open(2);
    let many = "insert into notes (id, title) with recursive n(i) as (select 1 union all select i + 1 from n where i < 20000) \
                select printf('n%05d', i), case when i > 19990 then 'wanted' else 'other' end from n";
    heard.other().execute_batch(many).unwrap();
    block_on(async {
        assert!(heard.store.get(&note("none")).await.unwrap().is_none());
        heard.rest();
        let wanted = notes().filter(Filter::Like { field: "title".into(), pattern: "%ante%".into() });
        assert_eq!(heard.store.query(&wanted).await.unwrap().items.len(), 10);
        assert!(heard.was_elsewhere());
        // the connection that broke off reads on
        assert!(heard.store.get(&note("none")).await.unwrap().is_none() && heard.was_here());
        assert_eq!(heard.store.query(&notes()).await.unwrap().items.len(), 50);
        assert!(heard.was_here(), "a page by an index is short among any number of rows");
    });
    assert!(heard.nothing_is_open());
}

/// Futures that are asked once and dropped: before they had an answer, or when the runtime wants its turn. No connection is
/// lost, and none holds a state of the database.
#[test]
fn a_read_that_is_dropped_leaves_its_connection() {
    let heard = Heard::open(2);
    let store = &heard.store;
    block_on(async {
        store.create(&note("a"), r#"{"id": "a"}"#).await.unwrap();
        store.require(&note("a")).await.unwrap();
        heard.rest();
        let (mut answered, mut dropped) = (0, 0);
        for number in 0..1_000 {
            let done = match number % 2 {
                0 => store.get(&note("a")).now_or_never().map(|found| found.unwrap().is_some()),
                _ => store.query(&notes()).now_or_never().map(|page| page.unwrap().items.len() == 1),
            };
            match done {
                Some(right) => {
                    assert!(right);
                    answered += 1;
                }
                None => dropped += 1,
            }
        }
        assert!(answered > 0 && dropped > 0, "{answered} answered, {dropped} dropped");
        tokio::task::yield_now().await;
        let reading = store.pools().0;
        assert_eq!((reading.open, reading.in_use, reading.waiting), (1, 0, 0));
        assert!(heard.nothing_is_open());
        heard.rest();
        assert!(store.exists(&note("a")).await.unwrap() && heard.was_here());
    });
}

/// Who reads without a pause on a runtime with one thread leaves the others their turn.
#[test]
fn reads_without_a_pause_let_others_in() {
    let heard = Heard::open(2);
    block_on(async {
        heard.store.create(&note("a"), r#"{"id": "a"}"#).await.unwrap();
        let (store, done) = (Arc::clone(&heard.store), Arc::new(AtomicBool::new(false)));
        let seen = Arc::clone(&done);
        let reads = tokio::spawn(async move {
            while !seen.load(Ordering::SeqCst) {
                store.require(&note("a")).await.unwrap();
            }
        });
        let other = tokio::spawn(async move {
            tokio::task::yield_now().await;
            done.store(true, Ordering::SeqCst);
        });
        reads.await.unwrap();
        other.await.unwrap();
    });
}

/// Somebody else writes and has not committed: reads are answered here, as of before.
#[test]
fn a_writer_keeps_nobody_waiting() {
    let heard = Heard::open(2);
    block_on(async {
        heard.store.create(&note("a"), r#"{"id": "a", "count": 1}"#).await.unwrap();
        let before = heard.store.require(&note("a")).await.unwrap();
        heard.rest();
        let other = heard.other();
        other.execute_batch("begin exclusive; update notes set count = 2").unwrap();
        assert_eq!(heard.store.require(&note("a")).await.unwrap(), before);
        assert!(heard.was_here());
        other.execute_batch("commit").unwrap();
        assert_eq!(heard.store.require(&note("a")).await.unwrap().body, r#"{"id": "a", "count": 2}"#);
    });
}

/// Answers `go` once something is to be let go.
fn held(sql: &'static str) -> (impl Fn(&str) + Send + Sync, Receiver<()>, Sender<()>) {
    let ((began, begun), (go, goes)) = (channel(), channel());
    let goes = Mutex::new(goes);
    let hold = move |said: &str| {
        if said.contains(sql) && said.starts_with("select") {
            began.send(()).unwrap();
            goes.lock().unwrap().recv().unwrap();
        }
    };
    (hold, begun, go)
}

/// The one connection is at work on a thread: short reads wait for it like all others, for as long as they may.
#[test]
fn where_no_connection_is_free_short_reads_wait() {
    // only a search of child rows says this
    let (hold, begun, go) = held("from \"marks\"");
    let heard = Heard::open_with(1, hold);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        heard.store.create(&note("a"), r#"{"id": "a"}"#).await.unwrap();
        heard.store.require(&note("a")).await.unwrap();
        heard.rest();
        let counted = Filter::Count { list: "marks".into(), op: Op::Eq, count: 0 };
        let (store, query) = (Arc::clone(&heard.store), notes().filter(counted));
        let long = tokio::spawn(async move { store.query(&query).await });
        begun.recv().unwrap();
        let read = || {
            let store = Arc::clone(&heard.store);
            tokio::spawn(async move { store.require(&note("a")).await })
        };
        let early = read();
        while heard.store.pools().0.waiting < 1 {
            tokio::task::yield_now().await;
        }
        heard.clock.0.fetch_add(30_000, Ordering::SeqCst);
        let late = read();
        assert_eq!(early.await.unwrap().unwrap_err().code(), "R0428");
        go.send(()).unwrap();
        assert_eq!(long.await.unwrap().unwrap().items.len(), 1);
        assert!(late.await.unwrap().is_ok());
        heard.rest();
        assert!(heard.store.exists(&note("a")).await.unwrap());
    });
}

/// Readers here, a writer, and somebody who cuts the log all the time: a read sees what was acknowledged before it began,
/// and nothing older than the read before it. The same again after the store was closed and opened.
#[test]
fn what_was_acknowledged_is_seen_whoever_cuts_the_log() {
    let folder = TempTree::new();
    let mut count = 0;
    for _ in 0..2 {
        let target = SqliteTarget::open(&Database::file(&folder), SqliteOptions::default()).unwrap();
        let store = RowStore::open(Box::new(target), model(), Database::options()).unwrap();
        let store = Arc::new(store);
        let (ended, acknowledged) = (AtomicBool::new(false), Arc::new(AtomicI64::new(0)));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        let text = |count: i64| format!(r#"{{"id": "a", "count": {count}}}"#);
        runtime.block_on(store.put(&note("a"), text(count))).unwrap();
        acknowledged.store(count, Ordering::SeqCst);
        let last = count + 100;
        thread::scope(|scope| {
            scope.spawn(|| {
                let other = Connection::open(Database::file(&folder)).unwrap();
                while !ended.load(Ordering::SeqCst) {
                    // who is busy is let be
                    other.query_row("pragma wal_checkpoint(passive)", (), |_| Ok(())).unwrap();
                    let _busy = other.query_row("pragma wal_checkpoint(truncate)", (), |_| Ok(()));
                }
            });
            let readers: Vec<_> = (0..4)
                .map(|_| {
                    let (store, acknowledged) = (Arc::clone(&store), Arc::clone(&acknowledged));
                    runtime.spawn(async move {
                        let mut seen = 0;
                        while seen < last {
                            let least = acknowledged.load(Ordering::SeqCst).max(seen);
                            let found = store.require(&note("a")).await.unwrap().body;
                            let count =
                                &serde_json::from_slice::<serde_json::Value>(&found).unwrap()["count"];
                            seen = count.as_i64().unwrap();
                            assert!(seen >= least, "{seen} after {least}");
                        }
                    })
                })
                .collect();
            while count < last {
                count += 1;
                runtime.block_on(store.put(&note("a"), text(count))).unwrap();
                acknowledged.store(count, Ordering::SeqCst);
            }
            for reader in readers {
                runtime.block_on(reader).unwrap();
            }
            ended.store(true, Ordering::SeqCst);
        });
    }
}

#[test]
fn the_states_of_a_page_are_one_statement() {
    let heard = Heard::open(2);
    block_on(async {
        for id in 0..40 {
            let body = format!(r#"{{"id": "n{id}", "count": 1}}"#);
            heard.store.create(&note(&format!("n{id}")), body).await.unwrap();
        }
        heard.store.query(&notes().etags()).await.unwrap();
        heard.rest();
        let page = heard.store.query(&notes().etags()).await.unwrap();
        assert!(page.items.len() == 40 && page.items.iter().all(|item| item.etag.is_some()));
        assert_eq!(heard.said.lock().unwrap().len(), 4, "begin, rows, states, commit");
        assert!(heard.was_here());
    });
}
