//! Listing a directory: names, kinds, order, what is left out.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use proptest::prelude::*;
use repot_bucket::DirectorySource;
use repot_core::{Listed, ReadError, Source as _, SystemClock, path_text};

pub(crate) fn open(path: &Path) -> DirectorySource {
    DirectorySource::open(path, Arc::new(SystemClock)).expect("it is a directory")
}

fn listed(source: &DirectorySource) -> Vec<Listed> {
    source.list().expect("it can be listed").map(|entry| entry.expect("an entry")).collect()
}

fn paths(source: &DirectorySource) -> Vec<String> {
    listed(source).iter().map(|entry| entry.path().to_owned()).collect()
}

fn put(root: &Path, path: &[u8], bytes: &[u8]) {
    let file = root.join(OsStr::from_bytes(path));
    fs::create_dir_all(file.parent().expect("it is inside")).expect("folders");
    fs::write(file, bytes).expect("a file");
}

fn reason(source: &DirectorySource, wanted: &str) -> String {
    let found = listed(source).into_iter().find(|entry| entry.path() == wanted);
    match found.unwrap_or_else(|| panic!("{wanted} is listed")) {
        Listed::Skipped { reason, .. } => reason,
        Listed::Object(object) => panic!("{object:?} is no object"),
    }
}

fn unreadable(read: Result<repot_core::Read, ReadError>) -> String {
    match read {
        Err(ReadError::Unreadable(reason)) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_name_is_listed_and_read() {
    let tree = tempfile::tempdir().expect("a directory");
    let long = [b'n'; 255];
    let names: [&[u8]; 15] = [
        b"plain.json",
        b".hidden",
        b" spaces  ",
        b"line\nbreak",
        b"caf\xe9",
        "caf\u{e9}".as_bytes(),
        "cafe\u{301}".as_bytes(),
        "\u{f7e9}".as_bytes(),
        "\u{1f600}/\u{1f600}".as_bytes(),
        b"..x",
        b"...",
        b"a\\b",
        b"%2e%2e",
        b"\xff\xfe/\xed\xa0\x80",
        &long,
    ];
    for name in names {
        put(tree.path(), name, name);
    }
    let source = open(tree.path());
    let found = listed(&source);
    assert_eq!(found.len(), names.len());
    for entry in found {
        let Listed::Object(object) = entry else { panic!("{entry:?}") };
        let read = source.read(&object.path, 1_000).expect("it can be read");
        assert_eq!(read.bytes, path_text::decode(&object.path));
        assert_eq!(read.object, object);
    }
}

#[test]
fn links_pipes_and_sockets_are_listed_and_not_followed() {
    let outside = tempfile::tempdir().expect("a directory");
    put(outside.path(), b"secret", b"secret");
    let tree = tempfile::tempdir().expect("a directory");
    put(tree.path(), b"real/file", b"x");
    for (to, name) in
        [("real/file", "to-file"), ("real", "to-folder"), ("loop", "loop"), ("nowhere", "dangling")]
    {
        symlink(to, tree.path().join(name)).expect("a link");
    }
    symlink(outside.path(), tree.path().join("out")).expect("a link");
    let made = Command::new("mkfifo").arg(tree.path().join("pipe")).status();
    assert!(made.expect("mkfifo is there").success());
    let _listener = UnixListener::bind(tree.path().join("socket")).expect("a socket");
    let source = open(tree.path());
    assert_eq!(
        paths(&source),
        ["dangling", "loop", "out", "pipe", "real/file", "socket", "to-file", "to-folder"]
    );
    for link in ["to-file", "to-folder", "loop", "dangling", "out"] {
        assert!(reason(&source, link).contains("symbolic link"));
        assert!(unreadable(source.read(link, 10)).contains("symbolic link"), "{link}");
    }
    assert_eq!(reason(&source, "pipe"), "a pipe");
    assert_eq!(reason(&source, "socket"), "a socket");
    // would wait for a writer for ever
    assert!(unreadable(source.read("pipe", 10)).contains("no file"));
    assert!(unreadable(source.read("socket", 10)).contains("no file"));
    assert!(unreadable(source.read("to-folder/file", 10)).contains("symbolic link"));
    assert!(unreadable(source.read("out/secret", 10)).contains("symbolic link"));
    assert!(unreadable(source.read("real", 10)).contains("no file"));
    for path in ["../secret", "/etc/passwd", "real/../real/file", "", "real//file"] {
        assert!(source.read(path, 10_000).is_err(), "{path}");
    }
}

#[test]
fn a_folder_swapped_for_a_link_does_not_lead_out() {
    let outside = tempfile::tempdir().expect("a directory");
    put(outside.path(), b"file", b"secret");
    let tree = tempfile::tempdir().expect("a directory");
    put(tree.path(), b"a/file", b"x");
    put(tree.path(), b"b/file", b"y");
    let source = open(tree.path());
    let mut list = source.list().expect("it can be listed");
    assert_eq!(list.next().expect("a/file").expect("an entry").path(), "a/file");
    for folder in ["a", "b"] {
        fs::rename(tree.path().join(folder), tree.path().join(format!("was-{folder}"))).expect("moved away");
        symlink(outside.path(), tree.path().join(folder)).expect("a link");
    }
    assert!(unreadable(source.read("a/file", 10)).contains("symbolic link"));
    let rest: Vec<String> = list.map(|entry| entry.expect("an entry").path().to_owned()).collect();
    assert!(rest.is_empty(), "{rest:?}");
}

#[test]
fn an_unreadable_folder_is_told_in_its_place_and_the_rest_goes_on() {
    let tree = tempfile::tempdir().expect("a directory");
    for path in [&b"a!"[..], b"a/in", b"a0", b"closed"] {
        put(tree.path(), path, b"x");
    }
    let set = |path: &str, mode| {
        fs::set_permissions(tree.path().join(path), fs::Permissions::from_mode(mode)).expect("modes");
    };
    set("a", 0o000);
    set("closed", 0o000);
    let source = open(tree.path());
    if fs::read_dir(tree.path().join("a")).is_ok() {
        println!("not checked here: this user may read what modes forbid");
    } else {
        // with a slash: what is in it is unknown, and the order holds
        assert_eq!(paths(&source), ["a!", "a/", "a0", "closed"]);
        assert!(reason(&source, "a/").contains("ermission denied"));
        assert!(unreadable(source.read("closed", 10)).contains("ermission denied"));
        assert!(unreadable(source.read("a/in", 10)).contains("ermission denied"));
    }
    set("a", 0o700);
    assert_eq!(paths(&source), ["a!", "a/in", "a0", "closed"]);
}

#[test]
fn our_own_files_are_left_out() {
    let tree = tempfile::tempdir().expect("a directory");
    for path in [&b"repot.db"[..], b"repot.db-wal", b"in/repot.db", b"repot/a.toml", b"data"] {
        put(tree.path(), path, b"x");
    }
    let ours = ["repot.db", "repot.db-wal", "repot.db-shm", "repot", "no/such/folder/x"]
        .map(|name| tree.path().join(name));
    assert_eq!(paths(&open(tree.path()).with_excluded(&ours)), ["data", "in/repot.db"]);
    assert_eq!(paths(&open(tree.path()).with_excluded(&[tree.path().to_owned()])).len(), 5);
}

#[test]
fn what_is_no_directory_is_refused() {
    let tree = tempfile::tempdir().expect("a directory");
    put(tree.path(), b"file", b"x");
    for wrong in ["file", "missing", "file/x"] {
        let error = DirectorySource::open(&tree.path().join(wrong), Arc::new(SystemClock)).expect_err(wrong);
        assert_eq!(error.code(), "R0101");
    }
    let gone = tree.path().join("gone");
    fs::create_dir(&gone).expect("a folder");
    let source = open(&gone);
    fs::remove_dir(&gone).expect("removed");
    assert_eq!(source.check().expect_err("it is gone").code(), "R0101");
    assert_eq!(
        source.list().err().expect("an empty listing would mean that all was deleted").code(),
        "R0101"
    );
}

#[test]
fn ten_thousand_files_come_in_order_once() {
    let tree = tempfile::tempdir().expect("a directory");
    let mut wanted = Vec::new();
    for number in 0..10_000_u32 {
        let path = format!("d{}/e{}/{number}.json", number % 7, number % 13);
        put(tree.path(), path.as_bytes(), b"{}");
        wanted.push(path);
    }
    wanted.sort();
    assert_eq!(paths(&open(tree.path())), wanted);
}

/// Parts that meet around the slash in byte order, and some that are no text.
fn part() -> impl Strategy<Value = Vec<u8>> {
    let bytes = prop::sample::select(vec![
        b'a', b'b', b'!', b'.', b'0', b'-', 0x7f, 0x80, 0xc3, 0xa9, 0xef, 0xf0, 0xff,
    ]);
    prop::collection::vec(bytes, 1..4).prop_filter("a name", |part| part != b"." && part != b"..")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn order_is_that_of_whole_paths(trees in prop::collection::vec(prop::collection::vec(part(), 1..5), 1..40)) {
        let tree = tempfile::tempdir().expect("a directory");
        let mut wanted = BTreeMap::new();
        for parts in &trees {
            let path = parts.join(&b'/');
            let file = tree.path().join(OsStr::from_bytes(&path));
            // some paths are folders of others already
            if fs::create_dir_all(file.parent().expect("inside")).is_ok() && fs::write(&file, &path).is_ok() {
                wanted.insert(path_text::encode(&path), path.len() as u64);
            }
        }
        let found: Vec<(String, u64)> = listed(&open(tree.path())).into_iter().map(|entry| match entry {
            Listed::Object(object) => (object.path, object.size),
            skipped @ Listed::Skipped { .. } => panic!("{skipped:?}"),
        }).collect();
        prop_assert_eq!(found, wanted.into_iter().collect::<Vec<_>>());
    }
}
