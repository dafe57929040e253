//! Files that change, grow, go and come while they are read.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use repot_core::{Read, ReadError, Source as _};

use crate::tree::open;

const SIZE: usize = 1 << 20;

/// Runs `write` over and over while `read` is asked for some time; gives what was read whole.
fn meanwhile(tree: &Path, write: impl Fn(u64) + Send + Sync, least: usize) -> Vec<Read> {
    let stop = AtomicBool::new(false);
    let source = open(tree);
    let mut reads = Vec::new();
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut round = 0;
            while !stop.load(Ordering::Relaxed) {
                write(round);
                round += 1;
            }
        });
        let since = Instant::now();
        while since.elapsed() < Duration::from_secs(2)
            || (reads.len() < least && since.elapsed() < Duration::from_secs(20))
        {
            match source.read("f", u64::MAX) {
                Ok(read) => reads.push(read),
                Err(ReadError::Changing | ReadError::Gone) => {}
                Err(other) => panic!("{other:?}"),
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    reads
}

fn assert_whole(reads: &[Read]) {
    for read in reads {
        assert_eq!(read.bytes.len() as u64, read.object.size);
        let first = read.bytes.first().expect("it has content");
        assert!(read.bytes.iter().all(|byte| byte == first), "a mixture of two states");
    }
}

#[test]
fn writing_in_place_never_gives_a_mixture() {
    let tree = tempfile::tempdir().expect("a directory");
    fs::write(tree.path().join("f"), [b'A'; SIZE]).expect("a file");
    let file = OpenOptions::new().write(true).open(tree.path().join("f")).expect("it opens");
    let reads = meanwhile(
        tree.path(),
        |round| {
            let bytes = vec![if round % 2 == 0 { b'B' } else { b'A' }; SIZE];
            for (at, piece) in bytes.chunks(64 << 10).enumerate() {
                file.write_all_at(piece, (at * (64 << 10)) as u64).expect("written");
            }
            thread::sleep(Duration::from_millis(round % 4 * 60));
        },
        3,
    );
    assert!(!reads.is_empty(), "between the writes there is time to read");
    assert_whole(&reads);
}

#[test]
fn replacing_never_gives_a_mixture_and_always_a_state() {
    let tree = tempfile::tempdir().expect("a directory");
    fs::write(tree.path().join("f"), [b'A'; SIZE]).expect("a file");
    let root = tree.path().to_owned();
    let reads = meanwhile(
        tree.path(),
        |round| {
            fs::write(root.join("new"), vec![b'a' + u8::try_from(round % 26).expect("small"); SIZE])
                .expect("written");
            fs::rename(root.join("new"), root.join("f")).expect("moved");
            thread::sleep(Duration::from_millis(50));
        },
        3,
    );
    assert!(!reads.is_empty());
    assert_whole(&reads);
}

#[test]
fn a_file_that_never_rests_is_changing() {
    let tree = tempfile::tempdir().expect("a directory");
    fs::write(tree.path().join("f"), [b'A'; 4096]).expect("a file");
    let source = open(tree.path());
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let file = OpenOptions::new().append(true).open(tree.path().join("f")).expect("it opens");
            while !stop.load(Ordering::Relaxed) {
                std::io::Write::write_all(&mut &file, b"more").expect("written");
            }
        });
        thread::sleep(Duration::from_millis(50));
        // on a busy machine the writer may stand still for a while, and that is a rest
        let mut tries = 0..100;
        assert!(tries.any(|_| matches!(source.read("f", u64::MAX), Err(ReadError::Changing))));
        assert!(
            tries.any(|_| matches!(source.read_pieces("f", 1000, &mut |_| Ok(())), Err(ReadError::Changing)))
        );
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn the_modification_time_alone_is_not_trusted() {
    let tree = tempfile::tempdir().expect("a directory");
    let path = tree.path().join("f");
    fs::write(&path, "one two").expect("a file");
    let time = fs::metadata(&path).expect("there").modified().expect("a time");
    let rewritten = open(tree.path()).read_pieces("f", 4, &mut |_| {
        // same size, and the old time again, as a coarse clock would
        let file = File::options().write(true).open(&path).expect("it opens");
        file.write_all_at(b"ONE", 0).expect("written");
        file.set_modified(time)
    });
    assert!(matches!(rewritten, Err(ReadError::Changing)));
}

#[test]
fn size_limits_and_pieces() {
    let tree = tempfile::tempdir().expect("a directory");
    let content: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    fs::write(tree.path().join("f"), &content).expect("a file");
    fs::write(tree.path().join("empty"), "").expect("a file");
    let source = open(tree.path());
    assert!(matches!(source.read("f", 399_999), Err(ReadError::TooLarge { size: 400_000 })));
    assert_eq!(source.read("f", 400_000).expect("it fits").bytes, content);
    assert_eq!(source.read("empty", 0).expect("it fits").bytes, b"");
    assert!(matches!(source.read("gone", 10), Err(ReadError::Gone)));
    assert!(matches!(source.read("f/under-a-file", 10), Err(ReadError::Gone)));
    let mut pieces = Vec::new();
    let state = source.read_pieces("f", 4096, &mut |piece| {
        pieces.push(piece.to_vec());
        Ok(())
    });
    assert_eq!(state.expect("it can be read").size, 400_000);
    assert!(pieces.iter().rev().skip(1).all(|piece| piece.len() == 4096) && pieces.len() == 98);
    assert_eq!(pieces.concat(), content);
    let stopped = source.read_pieces("f", 4096, &mut |_| Err(std::io::Error::other("enough")));
    assert!(matches!(stopped, Err(ReadError::Unreadable(reason)) if reason == "enough"));
}
