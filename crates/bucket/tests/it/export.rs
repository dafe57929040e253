//! Writing an export.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;

use repot_bucket::sink::{DirectorySink, SinkOptions, Written};
use repot_core::{Error, Kind, Listed, Sink as _, Source as _, path_text};

use crate::tree::open;

const INTO_EXISTING: SinkOptions = SinkOptions { allow_non_empty: true, durable: true };

fn create(target: &Path) -> DirectorySink {
    DirectorySink::create(target, SinkOptions::default()).expect("an empty directory")
}

fn everything(target: &Path) -> BTreeSet<String> {
    open(target)
        .list()
        .expect("it can be listed")
        .map(|entry| entry.expect("an entry").path().to_owned())
        .collect()
}

#[test]
fn what_is_written_is_what_a_source_reads() {
    let tree = tempfile::tempdir().expect("a directory");
    let target = tree.path().join("made/by/need");
    let sink = create(&target);
    let long = "n".repeat(255);
    let names: Vec<String> = [
        &b"a/b/c.json"[..],
        b"caf\xe9/\xff",
        "caf\u{e9}".as_bytes(),
        b"..x/...",
        b"a b\nc",
        long.as_bytes(),
        "\u{f7e9}".as_bytes(),
    ]
    .map(path_text::encode)
    .to_vec();
    for name in &names {
        assert_eq!(
            sink.put(name, name.as_bytes(), Some(1_700_000_000_123_456_789)).expect("it can be written"),
            Written::New
        );
        assert_eq!(sink.put(name, name.as_bytes(), None).expect("it can be written"), Written::Same);
    }
    sink.write_pieces("pieces", &mut |each| each(b"one").and_then(|()| each(b"two")))
        .expect("it can be written");
    sink.finish().expect("it ends");
    assert_eq!(fs::read(target.join("pieces")).expect("there"), b"onetwo");
    fs::remove_file(target.join("pieces")).expect("there");
    assert_eq!(everything(&target), names.iter().cloned().collect());
    for entry in open(&target).list().expect("a listing") {
        let Ok(Listed::Object(object)) = entry else { panic!("{entry:?}") };
        assert_eq!(object.modified_ns, 1_700_000_000_123_456_789);
    }
}

#[test]
fn nothing_is_written_outside() {
    let tree = tempfile::tempdir().expect("a directory");
    let outside = tree.path().join("outside");
    fs::create_dir(&outside).expect("a folder");
    fs::write(outside.join("file"), "mine").expect("a file");
    let target = tree.path().join("target");
    fs::create_dir(&target).expect("a folder");
    symlink(&outside, target.join("link")).expect("a link");
    symlink(outside.join("file"), target.join("filelink")).expect("a link");
    fs::create_dir(target.join("folder")).expect("a folder");
    let sink = DirectorySink::create(&target, INTO_EXISTING).expect("allowed");
    let too_long = format!("{}/x", "n".repeat(256));
    let path_too_long = vec!["n".repeat(200); 21].join("/");
    let hostile = [
        "../x",
        "a/../../x",
        "/abs",
        "a//b",
        "",
        ".",
        "..",
        "a/.",
        "a/",
        "nul\0",
        "link/x",
        "link/y/z",
        "filelink",
        "folder",
        ".repot-export-unfinished/x",
        &too_long,
        &path_too_long,
    ];
    for path in hostile {
        for done in [sink.write(path, b"bad"), sink.write_pieces(path, &mut |each| each(b"bad"))] {
            let error: Error = done.expect_err(path);
            assert_eq!((error.code(), error.kind()), ("R0804", Kind::Refused), "{path}");
            assert!(error.message().contains(path), "{error}");
        }
    }
    sink.finish().expect("it ends");
    assert_eq!(fs::read(outside.join("file")).expect("there"), b"mine");
    assert_eq!(fs::read_dir(&outside).expect("there").count(), 1);
    assert_eq!(fs::read_dir(tree.path()).expect("there").count(), 2);
}

#[test]
fn a_link_laid_during_the_export_is_refused() {
    let tree = tempfile::tempdir().expect("a directory");
    let (outside, target) = (tree.path().join("outside"), tree.path().join("target"));
    fs::create_dir(&outside).expect("a folder");
    let sink = create(&target);
    sink.write("a/b/one", b"1").expect("written");
    fs::rename(target.join("a"), target.join("moved")).expect("moved");
    symlink(&outside, target.join("a")).expect("a link");
    fs::create_dir(outside.join("b")).expect("a folder");
    assert_eq!(sink.write("a/b/two", b"2").expect_err("a link").code(), "R0804");
    assert_eq!(fs::read_dir(outside.join("b")).expect("there").count(), 0);
}

#[test]
fn a_file_and_a_folder_of_one_name() {
    let tree = tempfile::tempdir().expect("a directory");
    let sink = create(tree.path());
    sink.write("a", b"file").expect("written");
    assert_eq!(sink.write("a/b", b"x").expect_err("a is a file").code(), "R0804");
    assert_eq!(sink.write("a/b/c", b"x").expect_err("a is a file").code(), "R0804");
    sink.write("d/e", b"file").expect("written");
    assert_eq!(sink.write("d", b"x").expect_err("d is a folder").code(), "R0804");
    sink.finish().expect("it ends");
    assert_eq!(everything(tree.path()), ["a", "d/e"].map(str::to_owned).into());
}

#[test]
fn only_an_empty_directory_without_the_flag() {
    let tree = tempfile::tempdir().expect("a directory");
    fs::write(tree.path().join("mine"), "mine").expect("a file");
    let error = DirectorySink::create(tree.path(), SinkOptions::default()).expect_err("not empty");
    assert_eq!((error.code(), error.kind()), ("R0801", Kind::Refused));
    assert!(error.next_step().is_some_and(|hint| hint.contains("--into-existing")));
    assert_eq!(fs::read_dir(tree.path()).expect("there").count(), 1);
    fs::write(tree.path().join("same"), "same").expect("a file");
    fs::write(tree.path().join("other"), "OTHER").expect("a file");
    let before = fs::metadata(tree.path().join("same")).expect("there");
    let sink = DirectorySink::create(tree.path(), INTO_EXISTING).expect("allowed");
    assert_eq!(sink.put("same", b"same", Some(0)).expect("written"), Written::Same);
    assert_eq!(sink.put("other", b"other", None).expect("written"), Written::New);
    sink.finish().expect("it ends");
    let after = fs::metadata(tree.path().join("same")).expect("there");
    assert_eq!((before.ino(), before.mtime_nsec()), (after.ino(), after.mtime_nsec()));
    assert_eq!(fs::read(tree.path().join("other")).expect("there"), b"other");
    assert_eq!(fs::read(tree.path().join("mine")).expect("there"), b"mine");
    let file = DirectorySink::create(&tree.path().join("mine"), INTO_EXISTING).expect_err("a file");
    assert_eq!(file.code(), "R0805");
}

#[test]
fn what_fails_half_way_leaves_the_old_file_and_no_traces() {
    let tree = tempfile::tempdir().expect("a directory");
    let sink = create(tree.path());
    sink.write("f", b"old").expect("written");
    let failed = sink.write_pieces("f", &mut |each| {
        each(b"half")?;
        Err(Error::new(Kind::Corrupt, "R0803", "the rest is damaged"))
    });
    assert_eq!(failed.expect_err("the pieces end").code(), "R0803");
    assert_eq!(fs::read(tree.path().join("f")).expect("there"), b"old");
    drop(sink);
    assert_eq!(everything(tree.path()), ["f"].map(str::to_owned).into());
}

#[test]
fn what_a_crash_left_is_cleared_by_the_next_run() {
    let tree = tempfile::tempdir().expect("a directory");
    let sink = create(tree.path());
    let crashed = sink.write_pieces("f", &mut |each| {
        each(b"half")?;
        // what is on the disk if the process ends here
        let left =
            fs::read_dir(tree.path()).expect("there").next().expect("the staging folder").expect("an entry");
        let copy = tree.path().join("copy");
        fs::create_dir(&copy).expect("a folder");
        for file in fs::read_dir(left.path()).expect("there") {
            let file = file.expect("an entry");
            assert_eq!(fs::read(file.path()).expect("there"), b"half");
            fs::copy(file.path(), copy.join(file.file_name())).expect("copied");
        }
        Err(Error::new(Kind::Failed, "R0000", "crash"))
    });
    assert!(crashed.is_err());
    drop(sink);
    let staging = tree.path().join(".repot-export-unfinished");
    fs::rename(tree.path().join("copy"), &staging).expect("moved");
    assert_eq!(fs::read_dir(&staging).expect("there").count(), 1);
    // it counts as empty: not a single file was finished
    let sink = create(tree.path());
    sink.write("f", b"whole").expect("written");
    sink.finish().expect("it ends");
    assert_eq!(everything(tree.path()), ["f"].map(str::to_owned).into());
    assert_eq!(fs::read_dir(tree.path()).expect("there").count(), 1);
}

#[test]
fn many_threads_write_into_one_tree() {
    let tree = tempfile::tempdir().expect("a directory");
    let sink = create(tree.path());
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let sink = &sink;
            scope.spawn(move || {
                for number in 0..200 {
                    sink.write(&format!("d{}/e{}/{thread}-{number}", number % 5, number % 3), b"x")
                        .expect("written");
                }
            });
        }
    });
    sink.finish().expect("it ends");
    assert_eq!(everything(tree.path()).len(), 800);
    assert!(
        fs::read_dir(tree.path()).expect("there").all(|entry| entry
            .expect("an entry")
            .file_name()
            .as_bytes()
            .starts_with(b"d"))
    );
}
