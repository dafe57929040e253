//! Objects in a directory: every clause of the contract, hostile paths, several processes, a kill at any instant.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use repot_bucket::{DirectoryObjects, DirectorySource};
use repot_core::store::{ETag, ObjectBody, ObjectMeta, Objects as _, Precondition};
use repot_core::{Error, Kind, Result, Source as _, SystemClock, path_text};
use tokio::runtime::{Builder, Runtime};

const ROOM: u64 = 1 << 20;
/// Set for the processes that the tests start: what to do, and the directory.
const ROLE: &str = "REPOT_TEST_OBJECTS_ROLE";
const ROOT: &str = "REPOT_TEST_OBJECTS_ROOT";

/// The store, called one by one.
pub(crate) struct Calls {
    runtime: Runtime,
    store: DirectoryObjects,
}

impl Calls {
    pub(crate) fn open(root: &Path) -> Self {
        let runtime = Builder::new_current_thread().build().expect("a runtime");
        Self { runtime, store: DirectoryObjects::open(root).expect("a directory") }
    }

    pub(crate) fn get(&self, path: &str) -> Option<ObjectBody> {
        self.runtime.block_on(self.store.get(path, ROOM)).expect("it can be read")
    }

    pub(crate) fn head(&self, path: &str) -> Option<ObjectMeta> {
        self.runtime.block_on(self.store.head(path)).expect("it can be looked at")
    }

    pub(crate) fn put(&self, path: &str, bytes: &[u8], when: &Precondition) -> Result<ETag> {
        self.runtime.block_on(self.store.put(path, bytes.to_vec().into(), when, None))
    }

    pub(crate) fn delete(&self, path: &str, when: &Precondition) -> Result<bool> {
        self.runtime.block_on(self.store.delete(path, when, None))
    }

    pub(crate) fn list(&self, prefix: &str, after: Option<&str>, most: usize) -> Vec<String> {
        let listed = self.runtime.block_on(self.store.list(prefix, after, most)).expect("it can be listed");
        listed.into_iter().map(|meta| meta.path).collect()
    }
}

pub(crate) fn conflict<T: std::fmt::Debug>(done: Result<T>) -> Error {
    let error = done.expect_err("the precondition fails");
    assert_eq!((error.kind(), error.code()), (Kind::Conflict, "R0401"), "{error}");
    error
}

pub(crate) fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn modified_ns(path: &Path) -> i64 {
    let found = fs::metadata(path).expect("a file");
    found.mtime() * 1_000_000_000 + found.mtime_nsec()
}

fn leftover(name: &str) -> String {
    use std::fmt::Write as _;
    let tree = tempfile::tempdir().expect("a directory");
    let etag = Calls::open(tree.path()).put("x", name.as_bytes(), &Precondition::Any).expect("written");
    let mut made = ".repot-unfinished-".to_owned();
    write!(made, "{etag}").expect("a string grows");
    made
}

#[test]
fn an_object_is_written_read_and_removed() {
    let tree = tempfile::tempdir().expect("a directory");
    let calls = Calls::open(tree.path());
    assert!(calls.store.powers().conditional_put && calls.store.powers().conditional_delete);
    assert_eq!(calls.store.to_string(), tree.path().display().to_string());
    calls.runtime.block_on(calls.store.probe()).expect("it can be written");
    assert!(names(tree.path()).is_empty());
    assert_eq!(calls.get("a/b/c.json"), None);
    let etag = calls.put("a/b/c.json", b"{}", &Precondition::Any).expect("written");
    // the first half of the SHA-256 of `{}`
    assert_eq!(etag.as_str(), "44136fa355b3678a1146ad16f7e8649e");
    let modified_ns = modified_ns(&tree.path().join("a/b/c.json"));
    let body = ObjectBody { bytes: "{}".into(), etag: etag.clone(), modified_ns };
    assert_eq!(calls.get("a/b/c.json"), Some(body));
    let head = calls.head("a/b/c.json").expect("it is there");
    assert_eq!(head, ObjectMeta { path: "a/b/c.json".to_owned(), size_bytes: 2, modified_ns, etag: None });
    assert_eq!(names(&tree.path().join("a/b")), ["c.json"]);
    let error = calls.runtime.block_on(calls.store.get("a/b/c.json", 1)).expect_err("too large");
    assert_eq!((error.kind(), error.code()), (Kind::Unsupported, "R0213"));
    assert!(calls.runtime.block_on(calls.store.get("a/b/c.json", 2)).expect("it fits").is_some());
    calls.put("a/x", b"", &Precondition::Any).expect("written");
    assert!(calls.delete("a/b/c.json", &Precondition::Any).expect("removed"));
    assert!(!calls.delete("a/b/c.json", &Precondition::Any).expect("it is gone"));
    // folders go with their last file, the directory itself never
    assert_eq!(names(&tree.path().join("a")), ["x"]);
    assert!(calls.delete("a/x", &Precondition::Any).expect("removed"));
    assert!(names(tree.path()).is_empty());
}

#[test]
fn a_failed_precondition_changes_nothing() {
    let tree = tempfile::tempdir().expect("a directory");
    let calls = Calls::open(tree.path());
    let other = Precondition::Matches(ETag::new("other"));
    assert_eq!(conflict(calls.put("d/e/a", b"1", &other)).message(), "d/e/a is not there");
    conflict(calls.delete("d/e/a", &other));
    assert!(names(tree.path()).is_empty(), "no folder is made for nothing");
    let one = calls.put("d/a", b"1", &Precondition::Absent).expect("nothing was there");
    let error = conflict(calls.put("d/a", b"2", &Precondition::Absent));
    assert_eq!(error.details(), [format!("current ETag: {one}")]);
    conflict(calls.put("d/a", b"2", &other));
    conflict(calls.delete("d/a", &other));
    assert_eq!(calls.get("d/a").expect("there").bytes, "1");
    let two = calls.put("d/a", b"2", &Precondition::Matches(one.clone())).expect("it is that state");
    conflict(calls.put("d/a", b"3", &Precondition::Matches(one.clone())));
    conflict(calls.delete("d/a", &Precondition::Matches(one)));
    let absent = calls.delete("d/a", &Precondition::Absent).expect_err("it makes no sense");
    assert_eq!(absent.kind(), Kind::Invalid);
    assert_eq!(names(&tree.path().join("d")), ["a"]);
    assert!(calls.delete("d/a", &Precondition::Matches(two)).expect("it is that state"));
}

#[test]
fn hostile_paths_lead_nowhere() {
    let tree = tempfile::tempdir().expect("a directory");
    let (outside, root) = (tree.path().join("outside"), tree.path().join("root"));
    fs::create_dir(&outside).expect("a folder");
    fs::write(outside.join("file"), "mine").expect("a file");
    fs::create_dir_all(root.join("folder")).expect("a folder");
    fs::write(root.join("plain"), "plain").expect("a file");
    symlink(&outside, root.join("link")).expect("a link");
    symlink(outside.join("file"), root.join("filelink")).expect("a link");
    symlink("plain", root.join("inner")).expect("a link");
    assert!(Command::new("mkfifo").arg(root.join("pipe")).status().expect("mkfifo is there").success());
    let before = names(&root);
    let long = format!("{}/x", "n".repeat(256));
    let far = vec!["n".repeat(200); 21].join("/");
    let calls = Calls::open(&root);
    // texts that no name gives: the bytes would be those of `é`
    let twice = "\u{f7c3}\u{f7a9}";
    let own = leftover("plain");
    let paths = [
        "../outside/file",
        "../x",
        "a/../../x",
        "/abs",
        "a//b",
        "",
        ".",
        "..",
        "a/.",
        "a/",
        "./a",
        "nul\0",
        twice,
        "link/file",
        "link/y/z",
        "filelink",
        "inner",
        "folder",
        "plain/x",
        "plain/x/y",
        "pipe",
        "pipe/x",
        &own,
        &long,
        &far,
    ];
    for path in paths {
        for when in [Precondition::Any, Precondition::Absent, Precondition::Matches(ETag::new("e"))] {
            let error = calls.put(path, b"bad", &when).expect_err(path);
            assert_eq!((error.kind(), error.code()), (Kind::Invalid, "R0403"), "{path:?}: {error}");
        }
        assert_eq!(calls.get(path), None, "{path:?}");
        assert_eq!(calls.head(path), None, "{path:?}");
        match calls.delete(path, &Precondition::Any) {
            Ok(was_there) => assert!(!was_there, "{path:?}"),
            Err(error) => assert_eq!(error.code(), "R0403", "{path:?}"),
        }
        assert!(calls.delete(path, &Precondition::Matches(ETag::new("e"))).is_err(), "{path:?}");
    }
    for prefix in ["../", "..", "/", "//", "link/", "a/../", "nul\0/", "./", "plain/", "folder/", &far] {
        assert!(calls.list(prefix, None, 10).is_empty(), "{prefix:?}");
    }
    assert_eq!(calls.list("", None, 10), ["plain"]);
    assert_eq!(names(&root), before);
    assert_eq!(fs::read(outside.join("file")).expect("there"), b"mine");
    assert_eq!((names(&outside).len(), names(tree.path()).len()), (1, 2));
}

#[test]
fn a_listing_is_a_range_in_byte_order() {
    let tree = tempfile::tempdir().expect("a directory");
    let calls = Calls::open(tree.path());
    let caf = path_text::encode(b"caf\xe9");
    let paths = ["a!", "a/b", "a/c/d", "a/c/e", "a0", "ab/c", caf.as_str(), "z/\u{1f600}"];
    for path in paths {
        calls.put(path, path.as_bytes(), &Precondition::Any).expect("written");
    }
    assert_eq!(calls.list("", None, 100), paths);
    assert_eq!(calls.list("a/", None, 100), ["a/b", "a/c/d", "a/c/e"]);
    assert_eq!(calls.list("a/c", None, 1), ["a/c/d"]);
    assert_eq!(calls.list("a", Some("a/c/d"), 2), ["a/c/e", "a0"]);
    assert_eq!(calls.list("", Some("a/c/"), 2), ["a/c/d", "a/c/e"]);
    assert_eq!(calls.list("", Some("a/c/d/x"), 1), ["a/c/e"]);
    assert_eq!(calls.list("a/c", Some("b"), 9), [""; 0]);
    assert_eq!(calls.list("", None, 0), [""; 0]);
    let meta = &calls.runtime.block_on(calls.store.list("a/b", None, 1)).expect("a listing")[0];
    let modified_ns = modified_ns(&tree.path().join("a/b"));
    assert_eq!(*meta, ObjectMeta { path: "a/b".to_owned(), size_bytes: 3, modified_ns, etag: None });
    let mut page = calls.list("", None, 3);
    let mut all = page.clone();
    while page.len() == 3 {
        page = calls.list("", page.last().map(String::as_str), 3);
        all.extend(page.iter().cloned());
    }
    assert_eq!(all, paths);
}

#[test]
fn folders_outside_of_the_range_are_not_read() {
    let tree = tempfile::tempdir().expect("a directory");
    let calls = Calls::open(tree.path());
    for path in ["a/x", "b/x", "c/x"] {
        calls.put(path, b"", &Precondition::Any).expect("written");
    }
    let set = |path: &str, mode| {
        fs::set_permissions(tree.path().join(path), fs::Permissions::from_mode(mode)).expect("modes");
    };
    set("a", 0o000);
    if fs::read_dir(tree.path().join("a")).is_ok() {
        println!("not checked here: this user may read what modes forbid");
    } else {
        assert_eq!(calls.list("b", None, 9), ["b/x"]);
        assert_eq!(calls.list("", Some("b"), 9), ["b/x", "c/x"]);
        let error = calls.runtime.block_on(calls.store.list("", None, 9)).expect_err("a is closed");
        assert_eq!(error.kind(), Kind::Denied);
        let denied = [
            calls.runtime.block_on(calls.store.get("a/x", ROOM)).map(|_| ()),
            calls.put("a/x", b"", &Precondition::Any).map(|_| ()),
            calls.delete("a/x", &Precondition::Any).map(|_| ()),
        ];
        for done in denied {
            assert_eq!(done.expect_err("a is closed").kind(), Kind::Denied);
        }
    }
    set("a", 0o700);
    assert_eq!(calls.list("", None, 9).len(), 3);
}

#[test]
fn what_a_crash_left_is_never_seen_and_is_in_nobodys_way() {
    let tree = tempfile::tempdir().expect("a directory");
    let calls = Calls::open(tree.path());
    calls.put("d/a", b"old", &Precondition::Any).expect("written");
    let (own, of_b) = (leftover("a"), leftover("b"));
    for name in [&own, &of_b] {
        fs::write(tree.path().join("d").join(name), "half").expect("a file");
        fs::write(tree.path().join(name), "half").expect("a file");
    }
    assert_eq!(calls.list("", None, 10), ["d/a"]);
    assert_eq!(calls.list("d/.repot-unfinished-", None, 10), [""; 0]);
    let source = DirectorySource::open(tree.path(), Arc::new(SystemClock)).expect("a directory");
    let listed: Vec<String> =
        source.list().expect("a listing").map(|entry| entry.expect("an entry").path().to_owned()).collect();
    assert_eq!(listed, ["d/a"]);
    calls.put("d/a", b"new", &Precondition::Any).expect("written");
    assert_eq!(calls.get("d/a").expect("there").bytes, "new");
    assert_eq!(names(&tree.path().join("d")), [of_b.clone(), "a".to_owned()]);
    assert!(calls.delete("d/a", &Precondition::Any).expect("removed"));
    assert!(!tree.path().join("d").exists(), "what is left does not keep the folder");
}

#[test]
fn rights_stay_when_an_object_is_replaced() {
    let tree = tempfile::tempdir().expect("a directory");
    let calls = Calls::open(tree.path());
    calls.put("a", b"1", &Precondition::Any).expect("written");
    fs::set_permissions(tree.path().join("a"), fs::Permissions::from_mode(0o640)).expect("modes");
    calls.put("a", b"2", &Precondition::Any).expect("written");
    assert_eq!(fs::metadata(tree.path().join("a")).expect("there").permissions().mode() & 0o777, 0o640);
}

#[test]
fn a_directory_that_is_gone_is_no_empty_one() {
    let tree = tempfile::tempdir().expect("a directory");
    let root = tree.path().join("root");
    assert_eq!(DirectoryObjects::open(&root).expect_err("missing").code(), "R0101");
    fs::write(&root, "x").expect("a file");
    assert_eq!(DirectoryObjects::open(&root).expect_err("a file").code(), "R0101");
    fs::remove_file(&root).expect("removed");
    fs::create_dir(&root).expect("a folder");
    let calls = Calls::open(&root);
    fs::remove_dir(&root).expect("removed");
    let ended = [
        calls.runtime.block_on(calls.store.probe()),
        calls.runtime.block_on(calls.store.get("a", ROOM)).map(|_| ()),
        calls.runtime.block_on(calls.store.head("a")).map(|_| ()),
        calls.runtime.block_on(calls.store.list("", None, 1)).map(|_| ()),
        calls.put("a", b"", &Precondition::Any).map(|_| ()),
        calls.put("d/a", b"", &Precondition::Any).map(|_| ()),
        calls.put("a", b"", &Precondition::Matches(ETag::new("e"))).map(|_| ()),
        calls.delete("a", &Precondition::Any).map(|_| ()),
    ];
    for (number, done) in ended.into_iter().enumerate() {
        let error = done.expect_err("it is gone");
        assert_eq!((error.kind(), error.code()), (Kind::Unavailable, "R0101"), "{number}: {error}");
    }
}

#[test]
fn a_dropped_call_is_done_or_not_done() {
    let tree = tempfile::tempdir().expect("a directory");
    let calls = Calls::open(tree.path());
    let body = |round: u8| vec![round; 300_000];
    calls.put("d/a", &body(0), &Precondition::Any).expect("written");
    for round in 1..40 {
        calls.runtime.block_on(async {
            let mut put = Box::pin(calls.store.put("d/a", body(round).into(), &Precondition::Any, None));
            // begun, then given up
            tokio::select! { biased; _ = &mut put => {}, () = std::future::ready(()) => {} }
        });
        let found = calls.get("d/a").expect("there").bytes;
        assert!(found.len() == 300_000 && found.iter().all(|&byte| byte == found[0]));
    }
    // waits for what was begun, as the lock does
    calls.put("d/b", b"", &Precondition::Any).expect("written");
    drop(calls);
    assert_eq!(names(&tree.path().join("d")), ["a", "b"]);
}

#[test]
fn folders_come_and_go_under_many_writers() {
    let tree = tempfile::tempdir().expect("a directory");
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let root = tree.path();
            scope.spawn(move || {
                let calls = Calls::open(root);
                let path = format!("a/b/{}/{thread}", thread % 2);
                for round in 0..60_u8 {
                    let etag = calls.put(&path, &[round], &Precondition::Absent).expect("nothing was there");
                    assert_eq!(calls.get(&path).expect("there").bytes, [round][..]);
                    assert!(calls.delete(&path, &Precondition::Matches(etag)).expect("removed"));
                }
            });
        }
    });
    assert!(names(tree.path()).is_empty());
}

#[test]
fn a_folder_that_was_replaced_while_a_writer_waited_is_not_written_into() {
    let tree = tempfile::tempdir().expect("a directory");
    let (folder, moved) = (tree.path().join("d"), tree.path().join("moved"));
    fs::create_dir(&folder).expect("a folder");
    let held = fs::File::open(&folder).expect("it opens");
    held.lock().expect("nobody has it");
    std::thread::scope(|scope| {
        let root = tree.path();
        let put = scope.spawn(move || Calls::open(root).put("d/a", b"new", &Precondition::Absent));
        // it looks again and again; at which look the folder is another is chance
        fs::rename(&folder, &moved).expect("moved away");
        fs::create_dir(&folder).expect("another folder");
        drop(held);
        put.join().expect("no panic").expect("written");
    });
    assert_eq!((names(&folder), names(&moved)), (vec!["a".to_owned()], Vec::new()));
}

/// Starts this test binary again for a part to play.
fn start(role: &str, root: &Path) -> Child {
    Command::new(std::env::current_exe().expect("this binary has a path"))
        .args(["--exact", "objects::a_part_in_another_process", "--nocapture"])
        .env(ROLE, role)
        .env(ROOT, root)
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts")
}

/// Nothing by itself: what the processes do that other tests start.
#[test]
fn a_part_in_another_process() {
    let (Some(role), Some(root)) = (std::env::var_os(ROLE), std::env::var_os(ROOT)) else { return };
    let calls = Calls::open(Path::new(&root));
    match role.to_str() {
        Some("count") => (0..INCREMENTS).for_each(|_| increment(&calls)),
        Some("write") => (0..u32::MAX).for_each(|round| {
            let byte = b'a' + u8::try_from(round % 26).expect("a letter");
            calls.put("d/a", &vec![byte; 200_000], &Precondition::Any).expect("written");
            println!("written");
        }),
        other => panic!("{other:?} is no part"),
    }
}

const INCREMENTS: u32 = 100;

fn increment(calls: &Calls) {
    loop {
        let found = calls.get("d/count");
        let when =
            found.as_ref().map_or(Precondition::Absent, |body| Precondition::Matches(body.etag.clone()));
        let count: u32 = found.map_or(0, |body| {
            std::str::from_utf8(&body.bytes).expect("digits").parse().expect("a whole number")
        });
        match calls.put("d/count", (count + 1).to_string().as_bytes(), &when) {
            Ok(_) => return,
            Err(error) => assert_eq!(error.kind(), Kind::Conflict, "{error}"),
        }
    }
}

#[test]
fn two_processes_lose_no_increment() {
    let tree = tempfile::tempdir().expect("a directory");
    let started = [start("count", tree.path()), start("count", tree.path())];
    let calls = Calls::open(tree.path());
    (0..INCREMENTS).for_each(|_| increment(&calls));
    for child in started {
        let ended = child.wait_with_output().expect("it ends");
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stdout));
    }
    let count = calls.get("d/count").expect("there").bytes;
    assert_eq!(count, (3 * INCREMENTS).to_string().as_bytes());
    assert_eq!(names(&tree.path().join("d")), ["count"]);
}

#[test]
fn a_killed_writer_leaves_the_old_or_the_new() {
    let tree = tempfile::tempdir().expect("a directory");
    let calls = Calls::open(tree.path());
    let whole = || {
        let found = calls.get("d/a").expect("never nothing in between").bytes;
        assert!(found.len() == 200_000 && found.iter().all(|&byte| byte == found[0]), "a mixture");
    };
    for round in 0..30_u64 {
        let mut child = start("write", tree.path());
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        assert!(lines.by_ref().map(|line| line.expect("text")).any(|line| line.ends_with("written")));
        // somewhere in a later write: not by the clock, so that the test does not depend on its speed
        for _ in 0..round * 7_919 % 31 {
            whole();
        }
        for _ in 0..round * 104_729 % 200_000 {
            std::hint::spin_loop();
        }
        child.kill().expect("killed");
        assert!(!child.wait().expect("it ended").success());
        whole();
        assert_eq!(calls.list("", None, 10), ["d/a"]);
        calls.put("d/a", &[b'0'; 200_000], &Precondition::Any).expect("written");
        assert_eq!(names(&tree.path().join("d")), ["a"]);
    }
}
