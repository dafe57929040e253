//! Planned faults reach the client, each as often as planned.

use std::time::{Duration, Instant};

use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use repot_s3lab::{Condition, Fault, OVERTAKER, Op, Request};

use crate::client::{keys, lab, run};

#[test]
fn a_status_comes_as_often_as_planned() {
    let (lab, store) = lab(0);
    lab.put("a", "x");
    lab.fail(Op::Get, Fault::Status(503), 2);
    lab.fail(Op::Get, Fault::Status(403), 1);
    run(async {
        let get = || async { store.get(&Path::from("a")).await };
        assert!(get().await.unwrap_err().to_string().contains("503"));
        assert!(get().await.unwrap_err().to_string().contains("503"));
        assert!(matches!(get().await.unwrap_err(), Error::PermissionDenied { .. }));
        assert_eq!(get().await.unwrap().bytes().await.unwrap(), "x");
    });
    let request = Request { op: Op::Get, key: "a".to_owned() };
    assert_eq!(lab.requests(), vec![request; 4]);
}

#[test]
fn a_client_that_tries_again_gets_through() {
    let (lab, store) = lab(3);
    lab.put("a", "x");
    lab.fail(Op::List, Fault::Status(500), 3);
    assert_eq!(run(keys(&store, "")), ["a"]);
    assert_eq!(lab.requests().len(), 4);
}

#[test]
fn planned_faults_can_be_forgotten() {
    let (lab, store) = lab(0);
    lab.put("a", "x");
    lab.fail(Op::Head, Fault::Status(500), 9);
    lab.heal();
    assert_eq!(run(store.head(&Path::from("a"))).unwrap().size, 1);
}

#[test]
fn a_lost_answer_leaves_the_write_done() {
    let (lab, store) = lab(0);
    lab.fail(Op::Put, Fault::AckLoss, 1);
    run(async {
        let path = Path::from("a");
        let create = || store.put_opts(&path, "x".into(), PutOptions::from(PutMode::Create));
        assert!(create().await.is_err());
        assert_eq!(lab.get("a").unwrap(), b"x");
        assert!(matches!(create().await.unwrap_err(), Error::AlreadyExists { .. }));
    });
}

#[test]
fn a_connection_that_ends_leaves_the_write_done() {
    let (lab, store) = lab(0);
    lab.fail(Op::Put, Fault::Hangup, 1);
    lab.fail(Op::Delete, Fault::Hangup, 1);
    run(async {
        assert!(store.put(&Path::from("a"), "x".into()).await.is_err());
        assert_eq!(lab.get("a").unwrap(), b"x");
        assert!(store.delete(&Path::from("a")).await.is_err());
        assert_eq!(lab.get("a"), None);
    });
}

#[test]
fn another_writer_comes_before_the_lost_answer() {
    let (lab, store) = lab(0);
    lab.fail(Op::Put, Fault::Overtaken, 1);
    assert!(run(store.put(&Path::from("a"), "x".into())).is_err());
    assert_eq!(lab.get("a").unwrap(), OVERTAKER);
}

#[test]
fn a_condition_that_is_ignored_is_accepted() {
    let (lab, store) = lab(0);
    lab.put("a", "x");
    let create = |body: &'static str| {
        run(store.put_opts(&Path::from("a"), body.into(), PutOptions::from(PutMode::Create)))
    };
    assert!(create("y").is_err());
    lab.ignore(Condition::PutIfNoneMatch);
    create("z").unwrap();
    assert_eq!(lab.get("a").unwrap(), b"z");
}

#[test]
fn a_cut_body_is_an_error_and_never_a_short_document() {
    let (lab, store) = lab(0);
    lab.put("a", vec![b'x'; 100_000]);
    for cut in [0, 1, 99_999] {
        lab.fail(Op::Get, Fault::Truncate(cut), 1);
        let read = run(async { store.get(&Path::from("a")).await?.bytes().await });
        assert!(read.is_err(), "cut after {cut} bytes");
    }
    assert_eq!(run(async { store.get(&Path::from("a")).await?.bytes().await }).unwrap().len(), 100_000);
}

#[test]
fn a_flipped_byte_arrives_under_the_old_etag() {
    let (lab, store) = lab(0);
    lab.put("a", "abc");
    lab.fail(Op::Get, Fault::Flip, 1);
    let (tag, body) = run(async {
        let read = store.get(&Path::from("a")).await.unwrap();
        (read.meta.e_tag.clone(), read.bytes().await.unwrap())
    });
    assert_eq!(tag.as_deref(), Some("\"900150983cd24fb0d6963f7d28e17f72\""));
    assert_eq!(body, "`bc");
}

#[test]
fn a_delay_delays() {
    let (lab, store) = lab(0);
    lab.put("a", "x");
    lab.fail(Op::Get, Fault::Delay(Duration::from_millis(300)), 1);
    let started = Instant::now();
    run(store.get(&Path::from("a"))).unwrap();
    assert!(started.elapsed() >= Duration::from_millis(300));
}

#[test]
fn a_stopped_laboratory_is_gone() {
    let (lab, store) = lab(0);
    lab.put("a", "x");
    drop(lab);
    assert!(run(store.get(&Path::from("a"))).is_err());
}
