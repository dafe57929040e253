//! Writes to a bucket whose answers are lost, and what is said when it cannot be found out.

use bytes::Bytes;
use repot_bucket::{S3Config, S3Objects};
use repot_core::store::{ETag, Objects as _, Precondition};
use repot_core::{Kind, Retry};
use repot_s3lab::{Fault, OVERTAKER, Op, S3Lab};

use crate::s3_objects::{bytes, config, increment, open};

const LOST: [Fault; 2] = [Fault::AckLoss, Fault::Hangup];

/// The writes of this kind since `before`.
fn sent(lab: &S3Lab, op: Op, before: usize) -> usize {
    lab.requests().iter().skip(before).filter(|request| request.op == op).count()
}

/// A bucket that was probed and gives up soon.
async fn hasty(lab: &S3Lab) -> S3Objects {
    let objects = S3Objects::open(S3Config { retry_seconds: 1, ..config(lab) }).expect("good settings");
    objects.probe().await.expect("it can be reached");
    objects
}

#[tokio::test]
async fn a_put_whose_answer_was_lost_is_done_once() {
    let lab = S3Lab::start();
    let objects = open(&lab).await;
    for fault in LOST {
        let mut when = Precondition::Absent;
        for text in ["1", "2", "3"] {
            let before = lab.requests().len();
            lab.fail(Op::Put, fault, 1);
            let etag = objects.put("a", bytes(text), &when, None).await.expect("it happened");
            assert_eq!(objects.get("a", 9).await.unwrap().unwrap().etag, etag);
            assert_eq!((lab.get("docs/a").unwrap(), sent(&lab, Op::Put, before)), (text.into(), 1));
            when = if text == "2" { Precondition::Any } else { Precondition::Matches(etag) };
        }
        lab.remove("docs/a");
    }
}

#[tokio::test]
async fn a_delete_whose_answer_was_lost_is_done_once() {
    let lab = S3Lab::start();
    let objects = open(&lab).await;
    for fault in LOST {
        for is_conditional in [false, true] {
            let etag = objects.put("a", bytes("1"), &Precondition::Absent, None).await.unwrap();
            let when = if is_conditional { Precondition::Matches(etag) } else { Precondition::Any };
            let before = lab.requests().len();
            lab.fail(Op::Delete, fault, 1);
            assert!(objects.delete("a", &when, None).await.expect("it happened"));
            assert_eq!((lab.get("docs/a"), sent(&lab, Op::Delete, before)), (None, 1));
        }
    }
}

#[tokio::test]
async fn what_another_removed_first_is_removed() {
    let lab = S3Lab::start();
    let objects = open(&lab).await;
    let etag = objects.put("a", bytes("1"), &Precondition::Absent, None).await.unwrap();
    lab.fail(Op::Delete, Fault::Status(404), 1);
    assert!(
        objects.delete("a", &Precondition::Any, None).await.expect("it was there when it was looked for")
    );
    // with a precondition, the other's removal is a conflict
    lab.fail(Op::Head, Fault::Delay(std::time::Duration::ZERO), 1);
    lab.fail(Op::Head, Fault::Status(404), 1);
    lab.fail(Op::Delete, Fault::Status(404), 1);
    let error = objects.delete("a", &Precondition::Matches(etag), None).await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (Kind::Conflict, "a is not there"));
}

#[tokio::test]
async fn what_did_not_happen_is_sent_again() {
    let lab = S3Lab::start();
    let objects = open(&lab).await;
    for fault in [500, 503, 429, 409].map(Fault::Status).into_iter().chain([Fault::Flip]) {
        let before = lab.requests().len();
        lab.fail(Op::Put, fault, 2);
        let etag = objects.put("a", bytes("1"), &Precondition::Absent, None).await.expect("in the end");
        assert_eq!(
            (lab.get("docs/a").unwrap(), sent(&lab, Op::Put, before)),
            (b"1".to_vec(), 3),
            "{fault:?}"
        );
        lab.fail(Op::Delete, if fault == Fault::Flip { Fault::Status(500) } else { fault }, 2);
        assert!(objects.delete("a", &Precondition::Matches(etag), None).await.expect("in the end"));
        assert_eq!((lab.get("docs/a"), sent(&lab, Op::Delete, before)), (None, 3));
    }
}

#[tokio::test]
async fn a_412_after_a_lost_answer_is_success_when_the_content_is_ours() {
    let lab = S3Lab::start();
    let objects = open(&lab).await;
    // the first answer is lost, and so is the reading back, for a while
    lab.fail(Op::Put, Fault::AckLoss, 1);
    lab.fail(Op::Head, Fault::Status(503), 2);
    objects.put("a", bytes("1"), &Precondition::Absent, None).await.expect("it happened");
    // a reading back that is behind: it sees nothing, the create is sent again and meets our own first one
    let before = lab.requests().len();
    lab.fail(Op::Put, Fault::Hangup, 1);
    lab.fail(Op::Head, Fault::Status(404), 1);
    objects.put("b", bytes("1"), &Precondition::Absent, None).await.expect("it happened");
    assert_eq!(sent(&lab, Op::Put, before), 2);
    assert_eq!(lab.get("docs/b").unwrap(), b"1");
}

#[tokio::test]
async fn the_same_bytes_of_another_writer_are_not_taken_for_ours() {
    let lab = S3Lab::start();
    let (objects, other) = (open(&lab).await, open(&lab).await);
    other.put("a", bytes("1"), &Precondition::Absent, None).await.unwrap();
    // no answer was lost: whoever made it, we did not
    let error = objects.put("a", bytes("1"), &Precondition::Absent, None).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Conflict);
    // one was: nobody can say whether ours was there before
    lab.fail(Op::Put, Fault::Status(500), 1);
    let error = objects.put("a", bytes("1"), &Precondition::Absent, None).await.unwrap_err();
    assert_eq!((error.kind(), error.may_retry()), (Kind::Unavailable, Retry::Unknown));
    // an object without a mark, on a server that keeps none: its bytes decide
    lab.put("docs/b", "1");
    lab.fail(Op::Put, Fault::Status(500), 1);
    let etag = objects.put("b", bytes("1"), &Precondition::Absent, None).await.expect("the same bytes");
    assert_eq!(etag.as_str(), "c4ca4238a0b923820dcc509a6f75849b");
}

#[tokio::test]
async fn what_cannot_be_found_out_is_said() {
    let lab = S3Lab::start();
    let objects = hasty(&lab).await;
    lab.fail(Op::Put, Fault::Overtaken, 1);
    let error = objects.put("a", bytes("1"), &Precondition::Absent, None).await.unwrap_err();
    assert_eq!((error.kind(), error.may_retry()), (Kind::Unavailable, Retry::Unknown));
    assert_eq!(lab.get("docs/a").unwrap(), OVERTAKER, "the other's write stays");
    let now = objects.head("a").await.unwrap().unwrap().etag.unwrap();
    lab.put("docs/a", "2");
    let two = objects.head("a").await.unwrap().unwrap().etag.unwrap();
    for when in [Precondition::Matches(two.clone()), Precondition::Matches(two)] {
        lab.fail(Op::Delete, Fault::Overtaken, 1);
        let error = objects.delete("a", &when, None).await.unwrap_err();
        assert_eq!((error.kind(), error.may_retry()), (Kind::Unavailable, Retry::Unknown));
        assert_eq!(objects.head("a").await.unwrap().unwrap().etag.as_ref(), Some(&now));
        lab.put("docs/a", "2");
    }
    // nothing can be read back
    lab.fail(Op::Put, Fault::Hangup, 1);
    lab.fail(Op::Head, Fault::Status(503), 100);
    let error = objects.put("c", bytes("1"), &Precondition::Absent, None).await.unwrap_err();
    assert_eq!((error.kind(), error.may_retry()), (Kind::Unavailable, Retry::Unknown));
}

#[tokio::test]
async fn a_server_that_stays_away_is_unavailable() {
    let lab = S3Lab::start();
    let objects = hasty(&lab).await;
    lab.put("docs/a", "1");
    for op in [Op::Get, Op::Head, Op::List] {
        lab.fail(op, Fault::Status(503), 100);
    }
    let errors = [
        objects.get("a", 9).await.unwrap_err(),
        objects.head("a").await.unwrap_err(),
        objects.list("", None, 9).await.unwrap_err(),
        objects.delete("a", &Precondition::Any, None).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(
            (error.kind(), error.code(), error.may_retry()),
            (Kind::Unavailable, "R0102", Retry::Safe)
        );
    }
    lab.heal();
    // refused each time, and looked up: nothing happened
    lab.fail(Op::Put, Fault::Status(503), 100);
    let error = objects.put("b", bytes("1"), &Precondition::Absent, None).await.unwrap_err();
    assert_eq!((error.kind(), error.may_retry()), (Kind::Unavailable, Retry::Safe));
    lab.heal();
    lab.fail(Op::Put, Fault::Status(409), 100);
    let error = objects.put("b", bytes("1"), &Precondition::Absent, None).await.unwrap_err();
    assert_eq!((error.kind(), error.code(), error.may_retry()), (Kind::Conflict, "R0401", Retry::Safe));
    lab.heal();
    assert_eq!(lab.keys(), ["docs/a"]);
    drop(lab);
    let when = Precondition::Matches(ETag::new("0123"));
    let error = objects.put("b", bytes("1"), &when, None).await.unwrap_err();
    assert_eq!((error.kind(), error.may_retry()), (Kind::Unavailable, Retry::Safe), "nothing was sent");
}

#[tokio::test]
async fn a_refusal_is_denied_and_changes_nothing() {
    let lab = S3Lab::start();
    let objects = open(&lab).await;
    lab.put("docs/a", "1");
    for op in [Op::Get, Op::Head, Op::List, Op::Put, Op::Delete] {
        lab.fail(op, Fault::Status(403), 1);
    }
    let errors = [
        objects.get("a", 9).await.unwrap_err(),
        objects.head("a").await.unwrap_err(),
        objects.list("", None, 9).await.unwrap_err(),
        objects.put("a", bytes("2"), &Precondition::Any, None).await.unwrap_err(),
        objects.delete("a", &Precondition::Any, None).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!((error.kind(), error.code(), error.may_retry()), (Kind::Denied, "R0104", Retry::Never));
        assert!(!format!("{error:?}").contains(lab.secret_key()));
    }
    assert_eq!(lab.get("docs/a").unwrap(), b"1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn increments_with_lost_answers_are_counted_once() {
    let lab = S3Lab::start();
    let objects = std::sync::Arc::new(open(&lab).await);
    objects.put("count", bytes("0"), &Precondition::Absent, None).await.unwrap();
    // writers of the same number meet, some heard and some not
    for fault in [Fault::AckLoss, Fault::Status(500), Fault::Hangup, Fault::AckLoss, Fault::Status(503)] {
        lab.fail(Op::Put, fault, 3);
    }
    let tasks = (0..4).map(|_| {
        let objects = std::sync::Arc::clone(&objects);
        tokio::spawn(async move {
            let mut counts = (0, 0);
            for _ in 0..10 {
                *(if increment(&objects).await { &mut counts.0 } else { &mut counts.1 }) += 1;
            }
            counts
        })
    });
    let (mut known, mut unknown) = (0_u64, 0_u64);
    for task in tasks.collect::<Vec<_>>() {
        let counts = task.await.unwrap();
        known += counts.0;
        unknown += counts.1;
    }
    let count: u64 = String::from_utf8(lab.get("docs/count").unwrap()).unwrap().parse().unwrap();
    assert_eq!(known + unknown, 40);
    assert!((known..=known + unknown).contains(&count), "{count} of {known} known, {unknown} unknown");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_see_one_state_or_the_other() {
    let lab = S3Lab::start();
    let objects = std::sync::Arc::new(open(&lab).await);
    let states = [Bytes::from(vec![b'x'; 60_000]), Bytes::from(vec![b'y'; 50_000])];
    objects.put("a", states[0].clone(), &Precondition::Any, None).await.unwrap();
    let (writer, wanted) = (std::sync::Arc::clone(&objects), states.clone());
    let writes = tokio::spawn(async move {
        for turn in 0..60 {
            // a write that is given up is done or not done
            let put = writer.put("a", wanted[turn % 2].clone(), &Precondition::Any, None);
            tokio::select! { _ = put => {}, () = tokio::task::yield_now(), if turn % 3 == 0 => {} }
        }
    });
    for _ in 0..60 {
        let body = objects.get("a", 100_000).await.unwrap().expect("never nothing in between");
        assert!(states.contains(&body.bytes));
    }
    writes.await.unwrap();
}
