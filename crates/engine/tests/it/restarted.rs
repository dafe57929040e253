//! A whole PostgreSQL server that restarts under a store while many write: nothing that was acknowledged is lost, what is
//! said not to have happened did not, and the same store goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use repot_core::store::{DocumentKey, Store as _, StoreExt as _};
use repot_core::{Error, Kind, Retry};
use repot_engine::store::RowStore;
use repot_testkit::conformance::model;
use repot_testkit::{OwnPostgres, Stop};
use tokio::task::JoinHandle;

use crate::documents::{Database, note, proof};

const WRITERS: usize = 6;
/// Acknowledged writes between one event and the next.
const STEPS: usize = 40;

/// How far the writers are.
#[derive(Default)]
struct Progress {
    acknowledged: AtomicUsize,
    failed: AtomicUsize,
    ends: AtomicBool,
}

impl Progress {
    /// Waits until one of the numbers is so much larger, while all write.
    fn until(&self, number: impl Fn(&Self) -> &AtomicUsize, more: usize, writers: &[JoinHandle<usize>]) {
        let wanted = number(self).load(Ordering::SeqCst) + more;
        while number(self).load(Ordering::SeqCst) < wanted {
            assert!(!writers.iter().any(JoinHandle::is_finished), "a writer gave up");
            std::thread::yield_now();
        }
    }

    /// What a call fails with while the server is away.
    fn fails(&self, error: &Error) {
        assert!(matches!(error.kind(), Kind::Unavailable | Kind::TargetUnavailable), "{error:?}");
        assert_ne!(error.may_retry(), Retry::Never, "{error:?}");
        self.failed.fetch_add(1, Ordering::SeqCst);
    }
}

fn text(key: &DocumentKey) -> String {
    format!(r#"{{"id": "{}", "marks": []}}"#, key.text())
}

/// Creates documents and appends to one that all share, each until it is acknowledged; gives how many.
async fn write(store: Arc<RowStore>, progress: Arc<Progress>, writer: usize) -> usize {
    let mut done = 0;
    while !progress.ends.load(Ordering::SeqCst) {
        let key = note(&format!("n{writer}-{done}"));
        // whether a create happened that nobody knows about: then it is there, and once
        let mut perhaps = false;
        while let Err(error) = store.create(&key, text(&key)).await {
            if error.kind() == Kind::Conflict && perhaps {
                break;
            }
            progress.fails(&error);
            perhaps |= error.may_retry() == Retry::Unknown;
            tokio::task::yield_now().await;
        }
        progress.acknowledged.fetch_add(1, Ordering::SeqCst);
        let (word, mut perhaps) = (format!("w{writer}-{done}"), false);
        let element = format!(r#"{{"word": "{word}"}}"#);
        while let Err(error) = store.append(&note("shared"), "/marks", element.clone()).await {
            progress.fails(&error);
            perhaps |= error.may_retry() == Retry::Unknown;
            if perhaps && has(&store, &progress, &word).await {
                break;
            }
            tokio::task::yield_now().await;
        }
        progress.acknowledged.fetch_add(1, Ordering::SeqCst);
        done += 1;
    }
    done
}

/// Whether the word stands in the shared document, once the server says so.
async fn has(store: &RowStore, progress: &Progress, word: &str) -> bool {
    loop {
        match store.require(&note("shared")).await {
            Ok(found) => return String::from_utf8_lossy(&found.body).contains(&format!("\"{word}\"")),
            Err(error) => progress.fails(&error),
        }
        tokio::task::yield_now().await;
    }
}

async fn read(store: Arc<RowStore>, progress: Arc<Progress>) {
    while !progress.ends.load(Ordering::SeqCst) {
        match store.get(&note("shared")).await {
            Ok(found) => assert!(found.is_some()),
            Err(error) => progress.fails(&error),
        }
        tokio::task::yield_now().await;
    }
}

/// Everything is there, once.
async fn check(store: &RowStore, done: &[usize]) {
    let shared = store.require(&note("shared")).await.unwrap().body;
    let shared = String::from_utf8(shared.to_vec()).unwrap();
    assert_eq!(shared.matches("\"word\"").count(), done.iter().sum::<usize>(), "each append is there once");
    for (writer, &done) in done.iter().enumerate() {
        for number in 0..done {
            let key = note(&format!("n{writer}-{number}"));
            assert_eq!(store.require(&key).await.unwrap().body, text(&key));
            assert_eq!(shared.matches(&format!("\"w{writer}-{number}\"")).count(), 1);
        }
    }
}

#[test]
fn a_server_that_restarts_loses_nothing() {
    let Some(mut own) = OwnPostgres::start() else { return };
    let server = own.server();
    let url = server.fresh_database();
    let database = Database::Postgres(server, url);
    let store = Arc::new(database.try_open_as(model()).unwrap());
    let progress = Arc::new(Progress::default());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async { store.create(&note("shared"), text(&note("shared"))).await.unwrap() });
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| runtime.spawn(write(Arc::clone(&store), Arc::clone(&progress), writer)))
        .collect();
    let reader = runtime.spawn(read(Arc::clone(&store), Arc::clone(&progress)));
    for how in [Stop::Fast, Stop::Immediate] {
        progress.until(|own| &own.acknowledged, STEPS, &writers);
        own.stop(how);
        progress.until(|own| &own.failed, WRITERS, &writers);
        own.start_again();
        progress.until(|own| &own.acknowledged, STEPS, &writers);
    }
    progress.ends.store(true, Ordering::SeqCst);
    runtime.block_on(async {
        let mut done = Vec::new();
        for writer in writers {
            done.push(writer.await.unwrap());
        }
        reader.await.unwrap();
        check(&store, &done).await;
    });
    // it still keeps copies out
    let error = database.target().lock(&Database::options().me).unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Locked, "R0701"), "{error}");
    drop(store);
    assert!(proof(&database).holds());
}
