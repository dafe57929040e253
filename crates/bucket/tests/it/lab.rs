//! A bucket on a test server that checks signatures and fails on demand.

use std::time::{Duration, Instant};

use repot_bucket::{S3Config, S3Source};
use repot_core::{Listed, ReadError, Source as _, path_text};
use repot_s3lab::{Fault, Op, S3Lab};

fn config(lab: &S3Lab) -> S3Config {
    S3Config {
        bucket: lab.bucket().to_owned(),
        endpoint: Some(lab.endpoint()),
        access_key: lab.access_key().to_owned(),
        secret_key: lab.secret_key().to_owned(),
        retry_seconds: 20,
        ..S3Config::default()
    }
}

fn open(lab: &S3Lab) -> S3Source {
    S3Source::open(config(lab)).expect("good settings")
}

fn listed(source: &S3Source) -> Vec<Listed> {
    source.list().expect("it can be listed").map(|entry| entry.expect("an entry")).collect()
}

fn asked(lab: &S3Lab, op: Op) -> usize {
    lab.requests().iter().filter(|request| request.op == op).count()
}

#[test]
fn many_pages_come_in_order_once() {
    let lab = S3Lab::start();
    for number in 0..2_500 {
        lab.put(format!("data/{number}.json"), "{}");
    }
    lab.put("data", "beside");
    lab.put("data!", "beside");
    lab.put("data0", "beside");
    let source =
        S3Source::open(S3Config { prefix: "/data/".to_owned(), ..config(&lab) }).expect("good settings");
    let mut wanted: Vec<String> = (0..2_500).map(|number| format!("{number}.json")).collect();
    wanted.sort();
    let found: Vec<String> = listed(&source).iter().map(|entry| entry.path().to_owned()).collect();
    assert_eq!(found, wanted);
    assert_eq!(asked(&lab, Op::List), 3);
    assert_eq!(source.read("7.json", 10).expect("it is there").bytes, b"{}");
    assert!(matches!(source.read("data0", 10), Err(ReadError::Gone)));
    assert_eq!(listed(&open(&lab)).len(), 2_503);
}

#[test]
fn every_key_is_listed_and_read_under_its_own_name() {
    let lab = S3Lab::start();
    let keys = [
        "a//b",
        "/a",
        "//",
        "a/b",
        "a/b/",
        "%2e%2e/x",
        "100%",
        "a b+c",
        "a?b#c&d=e",
        "caf\u{e9}",
        "cafe\u{301}",
        "\u{1f600}/\u{1f600}",
        "\u{f7e9}",
        "back\\slash",
        "quote\"'<>",
        "tab\t",
        "...",
        "~",
        " ",
        "a:b@c",
        "*",
        "\u{7f}",
    ];
    for key in keys {
        lab.put(key, format!("content of {key:?}"));
    }
    lab.put("folder/", "");
    lab.put("x/../y", "odd");
    lab.put("./z", "odd");
    let source = open(&lab);
    let (mut objects, mut skipped) = (Vec::new(), Vec::new());
    for entry in listed(&source) {
        match entry {
            Listed::Object(object) => objects.push(object),
            Listed::Skipped { path, reason, .. } => skipped.push((path, reason)),
        }
    }
    let skipped: Vec<(&str, &str)> = skipped
        .iter()
        .map(|(path, reason)| (path.as_str(), reason.split(',').next().unwrap_or("")))
        .collect();
    let dots = "a part of the key is . or ..";
    assert_eq!(skipped, [("./z", dots), ("folder/", "the marker of a folder"), ("x/../y", dots)]);
    assert_eq!(objects.len(), keys.len());
    assert!(objects.is_sorted_by(|one, other| one.path < other.path));
    for object in objects {
        let key = String::from_utf8(path_text::decode(&object.path)).expect("a key");
        let read = source.read(&object.path, 1_000).expect("it can be read");
        assert_eq!(read.bytes, format!("content of {key:?}").into_bytes());
        assert_eq!(read.object, object, "the listing and the answer say the same");
        assert!(object.etag.is_some_and(|etag| etag.len() == 32) && object.modified_ns > 0);
    }
    assert!(
        matches!(source.read("x/../y", 10), Err(ReadError::Unreadable(reason)) if reason.starts_with(dots))
    );
}

#[test]
fn passing_faults_are_waited_out() {
    let lab = S3Lab::start();
    for number in 0..5 {
        lab.put(format!("{number}"), vec![b'x'; 100_000]);
    }
    lab.limit_pages(2);
    let source = open(&lab);
    for status in [503, 500, 429] {
        lab.fail(Op::List, Fault::Status(status), 2);
        assert_eq!(listed(&source).len(), 5);
        lab.fail(Op::Get, Fault::Status(status), 2);
        assert_eq!(source.read("1", 100_000).expect("in the end").bytes.len(), 100_000);
    }
    for fault in [Fault::Truncate(0), Fault::Truncate(50_000), Fault::Flip] {
        lab.fail(Op::Get, fault, 2);
        assert_eq!(source.read("1", 100_000).expect("in the end").bytes, vec![b'x'; 100_000]);
    }
    lab.fail(Op::Get, Fault::Delay(Duration::from_millis(300)), 1);
    let since = Instant::now();
    assert_eq!(source.read("1", 100_000).expect("in the end").bytes.len(), 100_000);
    assert!(since.elapsed() >= Duration::from_millis(300));
}

#[test]
fn lasting_faults_end_with_whose_they_are() {
    let lab = S3Lab::start();
    lab.put("f", "content");
    let source = S3Source::open(S3Config { retry_seconds: 1, ..config(&lab) }).expect("good settings");
    // the bucket answers otherwise: this object's own trouble
    lab.fail(Op::Get, Fault::Status(500), 1_000);
    assert!(matches!(source.read("f", 10), Err(ReadError::Unreadable(_))));
    lab.heal();
    lab.fail(Op::Get, Fault::Flip, 1_000);
    assert!(matches!(source.read("f", 10), Err(ReadError::Unreadable(reason)) if reason.contains("MD5")));
    lab.heal();
    lab.fail(Op::Get, Fault::Status(403), 1);
    assert!(matches!(source.read("f", 10), Err(ReadError::Unreadable(_))));
    lab.fail(Op::Get, Fault::Status(503), 1_000);
    assert!(matches!(source.read("f", 10), Err(ReadError::Source(error)) if error.code() == "R0102"));
    lab.heal();
    lab.fail(Op::List, Fault::Status(503), 1_000);
    let failed = source.list().expect("it begins").next().expect("an error").expect_err("it is out of reach");
    assert_eq!(failed.code(), "R0102");
    assert_eq!(source.check().expect_err("it is out of reach").code(), "R0102");
    lab.heal();
    lab.fail(Op::List, Fault::Status(403), 1);
    assert_eq!(source.check().expect_err("denied").code(), "R0104");
    assert!(source.check().expect("well again").warnings.is_empty());
    assert!(matches!(source.read("nothing", 10), Err(ReadError::Gone)));
    assert!(matches!(source.read("f", 6), Err(ReadError::TooLarge { size: 7 })));
}

#[test]
fn pieces_go_on_where_the_connection_broke() {
    let lab = S3Lab::start();
    let content: Vec<u8> = (0..250_000_u32).flat_map(u32::to_le_bytes).collect();
    lab.put("f", &content);
    lab.put("empty", "");
    let source = open(&lab);
    lab.fail(Op::Get, Fault::Truncate(300_001), 2);
    let mut pieces: Vec<Vec<u8>> = Vec::new();
    let mut keep = |piece: &[u8]| {
        pieces.push(piece.to_vec());
        Ok(())
    };
    let state = source.read_pieces("f", 65_536, &mut keep).expect("in the end");
    assert_eq!(source.read_pieces("empty", 65_536, &mut keep).expect("it is empty").size, 0);
    assert!(pieces.iter().rev().skip(1).all(|piece| piece.len() == 65_536));
    assert_eq!((pieces.concat(), state.size), (content, 1_000_000));
    assert!(asked(&lab, Op::Get) >= 4);
    lab.fail(Op::Get, Fault::Flip, 1);
    assert!(
        matches!(source.read_pieces("f", 65_536, &mut |_| Ok(())), Err(ReadError::Unreadable(reason)) if reason.contains("MD5"))
    );
}

#[test]
fn wrong_keys_are_refused_without_telling_them() {
    let lab = S3Lab::start();
    lab.put("f", "content");
    for wrong in [
        S3Config { secret_key: "canary-secret".to_owned(), ..config(&lab) },
        S3Config { access_key: "nobody".to_owned(), secret_key: "canary-secret".to_owned(), ..config(&lab) },
    ] {
        let source = S3Source::open(wrong).expect("good settings");
        let error = source.check().expect_err("wrong keys");
        assert_eq!(error.code(), "R0104", "{error}");
        let Err(ReadError::Source(read)) = source.read("f", 10) else { panic!("it is the bucket's trouble") };
        for text in [format!("{source} {source:?} {error} {error:?}"), format!("{read} {read:?}")] {
            assert!(!text.contains("canary"), "{text}");
        }
    }
    let elsewhere = S3Config { bucket: "elsewhere".to_owned(), ..config(&lab) };
    assert_eq!(
        S3Source::open(elsewhere).expect("good settings").check().expect_err("no such bucket").code(),
        "R0103"
    );
    let endpoint = lab.endpoint();
    drop(lab);
    let nobody = S3Config {
        bucket: "b".to_owned(),
        endpoint: Some(endpoint),
        access_key: "a".to_owned(),
        secret_key: "s".to_owned(),
        retry_seconds: 1,
        ..S3Config::default()
    };
    let error = S3Source::open(nobody).expect("good settings").check().expect_err("nobody listens");
    assert_eq!(error.code(), "R0102");
    assert!(error.message().contains("refused"), "{error}");
}

#[test]
fn several_threads_read_at_once() {
    let lab = S3Lab::start();
    for number in 0..200 {
        lab.put(format!("{number}"), format!("content {number}"));
    }
    let source = open(&lab);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let source = &source;
            scope.spawn(move || {
                for number in (thread..200).step_by(4) {
                    let read = source.read(&number.to_string(), 100).expect("it is there");
                    assert_eq!(read.bytes, format!("content {number}").into_bytes());
                }
            });
        }
    });
}
