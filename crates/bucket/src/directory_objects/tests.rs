//! What only the inside shows: folding names, errors of the operating system.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use repot_core::store::Precondition;
use repot_core::{FixedClock, Kind, Retry};
use rustix::io::Errno;

use super::{DirectoryObjects, HoldsName};
use crate::path_rules::{UNFINISHED, holds_name};

fn open(path: &Path) -> DirectoryObjects {
    DirectoryObjects::open(path).expect("a directory")
}

/// As where case does not count: a second name of a file or folder leads to it, and is not in the folder.
const LOWER_ONLY: HoldsName =
    |folder: &OwnedFd, name: &[u8]| Ok(!name.iter().any(u8::is_ascii_uppercase) && holds_name(folder, name)?);

#[test]
fn where_names_fold_only_the_name_that_is_there_leads_to_it() {
    let tree = tempfile::tempdir().expect("a directory");
    let store = open(tree.path());
    let folder = &store.0;
    folder.folding.set(Some(LOWER_ONLY)).expect("not asked yet");
    let etag = folder.put("d/a", b"one", (&Precondition::Any, None)).expect("written");
    fs::hard_link(tree.path().join("d/a"), tree.path().join("d/A")).expect("a second name");
    for when in [Precondition::Any, Precondition::Absent, Precondition::Matches(etag.clone())] {
        let error = folder.put("d/A", b"two", (&when, None)).expect_err("it would overwrite d/a");
        assert_eq!((error.code(), error.kind()), ("R0403", Kind::Invalid), "{error}");
    }
    // a name that such a file system would change
    assert_eq!(folder.put("d/B", b"two", (&Precondition::Any, None)).expect_err("not kept").code(), "R0403");
    assert!(
        folder.get("d/A", 10).expect("no error").is_none() && folder.head("d/A").expect("no error").is_none()
    );
    assert!(!folder.delete("d/A", (&Precondition::Any, None)).expect("no error"));
    assert_eq!(fs::read(tree.path().join("d/a")).expect("there"), b"one");
    assert!(!tree.path().join("d/B").exists());
    folder.put("d/a", b"two", (&Precondition::Matches(etag), None)).expect("its own name");
    assert_eq!(folder.get("d/a", 10).expect("no error").expect("there").bytes, "two");
    fs::remove_file(tree.path().join("d/A")).expect("there");
    assert!(folder.delete("d/a", (&Precondition::Any, None)).expect("removed"));
    assert_eq!(fs::read_dir(tree.path()).expect("there").count(), 0);
}

#[test]
fn whether_names_fold_is_found_out_once_and_leaves_nothing() {
    let tree = tempfile::tempdir().expect("a directory");
    let store = open(tree.path());
    let left = tree.path().join(format!("{UNFINISHED}probe"));
    fs::create_dir(&left).expect("a folder");
    fs::write(left.join("file"), "left by a crash").expect("a file");
    fs::write(tree.path().join("case"), "").expect("a file");
    let folds = tree.path().join("CASE").exists();
    assert_eq!(store.0.folding().is_some(), folds);
    assert!(store.0.folding.get().is_some());
    assert_eq!(fs::read_dir(tree.path()).expect("there").count(), 1);
}

#[test]
fn errors_of_the_operating_system() {
    let tree = tempfile::tempdir().expect("a directory");
    let store = open(tree.path());
    let of = |error: Errno| store.0.trouble("d/a", error);
    assert_eq!((of(Errno::ACCESS).kind(), of(Errno::ACCESS).code()), (Kind::Denied, "R0409"));
    assert_eq!(of(Errno::PERM).kind(), Kind::Denied);
    for full in [Errno::NOSPC, Errno::DQUOT] {
        assert_eq!(of(full).kind(), Kind::Failed);
        assert!(of(full).next_step().is_some_and(|hint| hint.contains("make space")), "{full:?}");
    }
    for impossible in [Errno::NOTDIR, Errno::LOOP, Errno::ISDIR, Errno::NAMETOOLONG, Errno::ILSEQ] {
        assert_eq!(
            (of(impossible).kind(), of(impossible).code()),
            (Kind::Invalid, "R0403"),
            "{impossible:?}"
        );
    }
    assert_eq!((of(Errno::IO).kind(), of(Errno::IO).code()), (Kind::Failed, "R0409"));
    assert_eq!(store.0.unsure("d/a", Errno::IO).may_retry(), Retry::Unknown);
}

/// Whoever holds the lock for ever, or a time that does not come, is said so with the path.
#[test]
fn what_cannot_be_settled_is_named() {
    let tree = tempfile::tempdir().expect("a directory");
    let store = open(tree.path());
    store.0.put("d/a", b"one", (&Precondition::Any, None)).expect("written");
    let folder = fs::File::open(tree.path().join("d")).expect("a folder");
    let settle = |until_ms| store.0.settle_within("d/a", until_ms, Duration::from_millis(10));
    folder.lock().expect("locked");
    let error = settle(0).expect_err("it is locked");
    assert_eq!((error.kind(), error.code(), error.may_retry()), (Kind::Unavailable, "R0453", Retry::Safe));
    assert!(error.message().contains("d/a") && error.message().contains("holds the lock"), "{error}");
    folder.unlock().expect("unlocked");
    settle(0).expect("nobody writes");
    // its clock stands still
    let still = DirectoryObjects::open_with_clock(tree.path(), Arc::new(FixedClock(5))).expect("a directory");
    let error = still.0.settle_within("d/a", 6, Duration::ZERO).expect_err("it is not the time");
    assert!(error.message().contains("not the time yet"), "{error}");
}
