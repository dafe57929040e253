//! Writes of files behind a barrier: the content lies aside meanwhile, and nobody else is kept from writing for long.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use repot_bucket::DirectoryObjects;
use repot_core::store::{Barrier, Objects as _, Precondition};
use repot_core::{Error, Kind, Result};
use repot_testkit::{HandClock, TempTree};
use tokio::sync::oneshot;

use crate::objects::names;

const NOW_MS: i64 = 1_700_000_000_000;

/// A barrier that says what is in the folder when it is waited for, and is passed by hand.
struct ByHand {
    barrier: Barrier,
    reached: oneshot::Receiver<Vec<String>>,
    pass: oneshot::Sender<Result<()>>,
}

fn by_hand(folder: &Path) -> ByHand {
    let (reach, reached) = oneshot::channel();
    let (pass, over) = oneshot::channel();
    let folder = folder.to_owned();
    let barrier = Barrier::new(async move {
        reach.send(names(&folder)).expect("the test waits for it");
        over.await.expect("the test passes it")
    });
    ByHand { barrier, reached, pass }
}

fn refused() -> Error {
    Error::new(Kind::Fenced, "R0401", "it cannot be passed")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_replaced_when_the_barrier_is_passed_and_not_where_it_cannot_be() {
    for (before, passes) in [(false, true), (true, true), (false, false), (true, false)] {
        let tree = TempTree::new();
        let objects = DirectoryObjects::open(tree.path()).unwrap();
        if before {
            objects.put("d/a", "before".into(), &Precondition::Any, None).await.unwrap();
        }
        let (ByHand { barrier, reached, pass }, own) = (by_hand(&tree.path().join("d")), objects.clone());
        let writer = tokio::spawn(async move {
            own.put_behind(&barrier, "d/a", "after".into(), &Precondition::Any, None).await
        });
        let mut seen = reached.await.unwrap();
        assert!(seen.remove(0).starts_with(".repot-unfinished-"), "it is ready");
        assert_eq!(seen, if before { vec!["a"] } else { Vec::new() });
        pass.send(if passes { Ok(()) } else { Err(refused()) }).unwrap();
        let written = writer.await.unwrap();
        assert_eq!(written.is_ok(), passes, "{written:?}");
        let there = fs::read_to_string(tree.path().join("d/a")).ok();
        let wanted = if passes { Some("after") } else { before.then_some("before") };
        assert_eq!(there.as_deref(), wanted);
        if let Some(error) = written.err() {
            assert_eq!((error.kind(), error.code()), (Kind::Fenced, "R0401"), "{error}");
        }
        let left = if before || passes { vec!["d"] } else { Vec::new() };
        assert_eq!(names(tree.path()), left, "no folder is left that was made for it");
        if !left.is_empty() {
            assert_eq!(names(&tree.path().join("d")), ["a"], "nothing is left aside");
        }
    }
}

/// The barrier is passed only after others have written in the same folder, of this process and of another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_write_in_the_folder_before_it_is_passed() {
    let tree = TempTree::new();
    let (objects, other) =
        (DirectoryObjects::open(tree.path()).unwrap(), DirectoryObjects::open(tree.path()).unwrap());
    let etag = objects.put("d/a", "before".into(), &Precondition::Any, None).await.unwrap();
    let start = |when: Precondition| {
        let (ByHand { barrier, reached, pass }, own) = (by_hand(&tree.path().join("d")), objects.clone());
        let writer =
            tokio::spawn(async move { own.put_behind(&barrier, "d/a", "after".into(), &when, None).await });
        (reached, pass, writer)
    };
    let (reached, pass, writer) = start(Precondition::Any);
    reached.await.unwrap();
    objects.put("d/b", "mine".into(), &Precondition::Any, None).await.unwrap();
    other.put("d/a", "another's".into(), &Precondition::Any, None).await.unwrap();
    pass.send(Ok(())).unwrap();
    writer.await.unwrap().unwrap();
    assert_eq!(fs::read(tree.path().join("d/a")).unwrap(), b"after");
    // what was demanded is looked at again
    other.put("d/a", "before".into(), &Precondition::Any, None).await.unwrap();
    let (reached, pass, writer) = start(Precondition::Matches(etag));
    reached.await.unwrap();
    other.put("d/a", "another's".into(), &Precondition::Any, None).await.unwrap();
    pass.send(Ok(())).unwrap();
    assert_eq!(writer.await.unwrap().unwrap_err().kind(), Kind::Conflict);
    assert_eq!(fs::read(tree.path().join("d/a")).unwrap(), b"another's");
    assert_eq!(names(&tree.path().join("d")), ["a", "b"]);
}

/// The deadline is looked at behind the barrier.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whose_time_is_over_when_it_is_passed_writes_nothing() {
    let (tree, clock) = (TempTree::new(), HandClock::at(NOW_MS));
    let objects = DirectoryObjects::open_with_clock(tree.path(), Arc::new(clock.clone())).unwrap();
    let (ByHand { barrier, reached, pass }, own) = (by_hand(&tree.path().join("d")), objects.clone());
    let until = Some(NOW_MS + 1_000);
    let writer = tokio::spawn(async move {
        own.put_behind(&barrier, "d/a", "late".into(), &Precondition::Any, until).await
    });
    reached.await.unwrap();
    clock.turn(1_000);
    pass.send(Ok(())).unwrap();
    assert_eq!(writer.await.unwrap().unwrap_err().code(), "R0452");
    assert!(names(tree.path()).is_empty());
}
