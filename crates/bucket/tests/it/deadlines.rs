//! Writes of files with a deadline: whoever waits for the lock of a folder for too long writes nothing, and nobody is said to be
//! done who may still write.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use repot_bucket::DirectoryObjects;
use repot_core::store::{Objects as _, Precondition};
use repot_core::{Clock, Kind, Result, Retry};
use repot_testkit::{HandClock, TempTree};

use crate::objects::names;

const NOW_MS: i64 = 1_700_000_000_000;

fn over<T: std::fmt::Debug>(done: Result<T>) {
    let error = done.expect_err("its time is over");
    let named = (error.kind(), error.code(), error.may_retry());
    assert_eq!(named, (Kind::Fenced, "R0452", Retry::Safe), "{error}");
}

/// Its time is over, and the lock was never free.
fn held<T: std::fmt::Debug>(done: Result<T>) {
    let error = done.expect_err("somebody has the lock");
    let named = (error.kind(), error.code(), error.may_retry());
    assert_eq!(named, (Kind::Unavailable, "R0731", Retry::Safe), "{error}");
}

fn open(root: &Path, clock: impl Clock + 'static) -> DirectoryObjects {
    DirectoryObjects::open_with_clock(root, Arc::new(clock)).expect("a directory")
}

/// The lock of a folder, as another process has it.
fn lock(folder: &Path) -> File {
    let folder = File::open(folder).expect("a folder");
    folder.lock().expect("it is locked");
    folder
}

/// A writer, and one who removes, are held up by the lock until their time is over.
#[tokio::test]
async fn who_waits_for_the_lock_for_too_long_does_nothing() {
    let (tree, clock) = (TempTree::new(), HandClock::at(NOW_MS));
    let objects = open(tree.path(), clock.clone());
    let until = Some(NOW_MS + 1_000);
    objects.put("d/a", "before".into(), &Precondition::Any, until).await.unwrap();
    let locked = lock(&tree.path().join("d"));
    let start = |path: &'static str, when: Precondition| {
        let objects = objects.clone();
        tokio::spawn(async move { objects.put(path, "late".into(), &when, until).await.map(drop) })
    };
    let etag = objects.get("d/a", 10).await.unwrap().unwrap().etag;
    let writers = [
        start("d/a", Precondition::Any),
        start("d/a", Precondition::Matches(etag)),
        start("d/new", Precondition::Absent),
    ];
    let remover = objects.clone();
    let remover = tokio::spawn(async move { remover.delete("d/a", &Precondition::Any, until).await });
    clock.turn(1_000);
    for writer in writers {
        held(writer.await.unwrap());
    }
    held(remover.await.unwrap());
    drop(locked);
    over(objects.put("d/a", "late".into(), &Precondition::Any, until).await);
    assert_eq!(fs::read(tree.path().join("d/a")).unwrap(), b"before");
    assert_eq!(names(&tree.path().join("d")), ["a"], "nothing is left aside");
    // a folder that was made for it goes again
    over(objects.put("new/folder/a", "late".into(), &Precondition::Any, until).await);
    assert_eq!(names(tree.path()), ["d"]);
    // others go on
    objects.put("d/a", "after".into(), &Precondition::Any, None).await.unwrap();
    objects.put("d/a", "after".into(), &Precondition::Any, Some(NOW_MS + 1_001)).await.unwrap();
    assert!(objects.delete("d/a", &Precondition::Any, Some(NOW_MS + 1_001)).await.unwrap());
}

/// Whoever waits for a lock has no thread meanwhile, so that all others go on.
#[test]
fn a_process_that_is_stopped_holds_up_its_own_folder_only() {
    let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).enable_all().build();
    runtime.unwrap().block_on(async {
        let (tree, clock) = (TempTree::with([("d/a", "1"), ("free/a", "1")]), HandClock::at(NOW_MS));
        let objects = open(tree.path(), clock.clone());
        let locked = lock(&tree.path().join("d"));
        let write = |until: Option<i64>| {
            let objects = objects.clone();
            tokio::spawn(async move { objects.put("d/a", "2".into(), &Precondition::Any, until).await })
        };
        let (late, patient) = ([write(Some(NOW_MS + 1)), write(Some(NOW_MS + 1))], write(None));
        for _ in 0..20 {
            assert!(objects.get("d/a", 10).await.unwrap().is_some());
            objects.put("free/a", "2".into(), &Precondition::Any, Some(NOW_MS + 1)).await.unwrap();
        }
        clock.turn(1);
        for writer in late {
            held(writer.await.unwrap());
        }
        assert!(!patient.is_finished());
        drop(locked);
        patient.await.unwrap().unwrap();
    });
}

/// What is written aside, and whether the folder is locked.
type Seen = (Vec<String>, bool);

/// A clock that notes what is there when it is looked at.
#[derive(Debug)]
struct Watching {
    folder: PathBuf,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Clock for Watching {
    fn now_ms(&self) -> i64 {
        let aside = names(&self.folder).into_iter().filter(|name| name.starts_with(".repot-unfinished-"));
        let texts = aside.map(|name| fs::read_to_string(self.folder.join(name)).expect("a text")).collect();
        let is_locked = File::open(&self.folder).expect("a folder").try_lock().is_err();
        self.seen.lock().expect("nobody panicked").push((texts, is_locked));
        NOW_MS
    }
}

/// All that takes its time comes before the look: what is left then is one step, and the lock is held until it is done.
#[tokio::test]
async fn the_time_is_looked_at_when_all_else_is_done() {
    let tree = TempTree::with([("a", "before")]);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let objects = open(tree.path(), Watching { folder: tree.path().to_owned(), seen: Arc::clone(&seen) });
    let until = Some(NOW_MS + 1);
    let etag = objects.put("a", "after".into(), &Precondition::Any, until).await.unwrap();
    objects.put("a", "again".into(), &Precondition::Matches(etag), until).await.unwrap();
    objects.delete("a", &Precondition::Any, until).await.unwrap();
    let texts = |text: &str| (vec![text.to_owned()], true);
    assert_eq!(*seen.lock().unwrap(), [texts("after"), texts("again"), (Vec::new(), true)]);
}

/// Nothing is settled before the time is over, nor while somebody who may have looked before holds the lock.
#[tokio::test]
async fn a_file_is_settled_once_the_lock_was_free_after_the_deadline() {
    let (tree, clock) = (TempTree::with([("d/a", "1"), ("free/a", "1")]), HandClock::at(NOW_MS));
    let objects = open(tree.path(), clock.clone());
    let held = lock(&tree.path().join("d"));
    let settled = Arc::new(AtomicUsize::new(0));
    let start = |path: &'static str| {
        let (objects, settled) = (objects.clone(), Arc::clone(&settled));
        tokio::spawn(async move {
            objects.settle(path, NOW_MS + 1_000).await.unwrap();
            settled.fetch_add(1, Ordering::SeqCst)
        })
    };
    let (early, waiting) = (start("free/a"), start("d/a"));
    // these have nothing to wait for
    for path in ["free/a", "d/../a", "nowhere/a", "free/a/b"] {
        objects.settle(path, NOW_MS).await.unwrap();
    }
    assert_eq!(settled.load(Ordering::SeqCst), 0, "it is not the time yet");
    clock.turn(1_000);
    early.await.unwrap();
    for _ in 0..3 {
        objects.settle("free/a", NOW_MS + 1_000).await.unwrap();
    }
    assert_eq!(settled.load(Ordering::SeqCst), 1, "one holds the lock");
    drop(held);
    assert_eq!(waiting.await.unwrap(), 1);
}
