//! Writes to a bucket with a deadline: the server refuses what comes later, whatever held it up.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use repot_bucket::S3Objects;
use repot_core::store::{ETag, Objects as _, Precondition};
use repot_core::{Clock, Kind, Result, Retry, SystemClock};
use repot_s3lab::{Condition, Fault, Op, S3Lab};
use repot_testkit::HandClock;

use crate::s3_objects::{bytes, config};

/// A bucket that was probed, for a client whose clock is the machine's until it is turned.
async fn open(lab: &S3Lab) -> (Arc<S3Objects>, HandClock) {
    let clock = HandClock::at(SystemClock.now_ms());
    (with_clock(lab, Arc::new(clock.clone())).await, clock)
}

async fn with_clock(lab: &S3Lab, clock: Arc<dyn Clock>) -> Arc<S3Objects> {
    let objects = S3Objects::open_with_clock(config(lab), clock).expect("good settings");
    objects.probe().await.expect("it can be reached");
    Arc::new(objects)
}

fn over<T: std::fmt::Debug>(done: Result<T>) {
    let error = done.expect_err("its time is over");
    let named = (error.kind(), error.code(), error.may_retry());
    assert_eq!(named, (Kind::Fenced, "R0452", Retry::Safe), "{error}");
}

fn unknown<T: std::fmt::Debug>(done: Result<T>) {
    let error = done.expect_err("nobody knows");
    assert_eq!((error.code(), error.may_retry()), ("R0102", Retry::Unknown), "{error}");
}

async fn until_held(lab: &S3Lab) {
    while lab.held() == 0 {
        tokio::task::yield_now().await;
    }
}

/// Every condition, every byte of a key, puts and removals, with what is sent about the object.
#[tokio::test]
async fn a_write_in_time_is_like_any_other() {
    let lab = S3Lab::start();
    let (objects, clock) = open(&lab).await;
    let until = Some(clock.now_ms() + 60_000);
    for path in ["a.json", "a b/c+d&e=f?g#h%20.json", "caf\u{e9}/\u{1f600}", "~-._*'()!$,:;@"] {
        let absent = Precondition::Absent;
        let first = objects.put(path, bytes("1"), &absent, until).await.unwrap();
        let conflict = objects.put(path, bytes("2"), &absent, until).await.unwrap_err();
        assert_eq!(
            (conflict.kind(), conflict.current_state()),
            (Kind::Conflict, Some(first.as_str())),
            "{conflict}"
        );
        let second =
            objects.put(path, bytes("2"), &Precondition::Matches(first.clone()), until).await.unwrap();
        let stale = Precondition::Matches(first);
        for done in [
            objects.put(path, bytes("3"), &stale, until).await.map(drop),
            objects.delete(path, &stale, until).await.map(drop),
        ] {
            assert_eq!(done.unwrap_err().kind(), Kind::Conflict);
        }
        let read = objects.get(path, 10).await.unwrap().unwrap();
        assert_eq!((&read.bytes[..], &read.etag), (&b"2"[..], &second));
        assert!(objects.delete(path, &Precondition::Matches(second), until).await.unwrap());
        assert!(!objects.delete(path, &Precondition::Any, until).await.unwrap());
    }
    assert_eq!(lab.keys(), Vec::<String>::new());
}

/// A request that was on its way for too long changes nothing, on any condition.
#[tokio::test]
async fn a_request_that_comes_late_is_refused() {
    let lab = S3Lab::start();
    let (objects, clock) = open(&lab).await;
    let etag = objects.put("a", bytes("before"), &Precondition::Any, None).await.unwrap();
    let until = Some(clock.now_ms() + 10_000);
    let put = |path: &'static str, when: Precondition| {
        let objects = Arc::clone(&objects);
        tokio::spawn(async move { objects.put(path, bytes("late"), &when, until).await.map(drop) })
    };
    let remove = |when: Precondition| {
        let objects = Arc::clone(&objects);
        tokio::spawn(async move { objects.delete("a", &when, until).await.map(drop) })
    };
    lab.hold();
    let late = [
        put("a", Precondition::Any),
        put("a", Precondition::Matches(etag.clone())),
        put("b", Precondition::Absent),
        remove(Precondition::Any),
        remove(Precondition::Matches(etag)),
    ];
    while lab.held() < late.len() {
        tokio::task::yield_now().await;
    }
    lab.turn_clock(11);
    lab.release();
    for done in late {
        over(done.await.unwrap());
    }
    let there = lab.objects().into_iter().collect::<Vec<_>>();
    assert_eq!(there, [("docs/a".to_owned(), b"before".to_vec())]);
}

/// Less than a second cannot be signed for, so nothing is sent.
#[tokio::test]
async fn what_is_over_before_it_is_sent_is_not_sent() {
    let lab = S3Lab::start();
    let (objects, clock) = open(&lab).await;
    objects.put("a", bytes("before"), &Precondition::Any, None).await.unwrap();
    let asked = lab.requests().len();
    let now_ms = clock.now_ms();
    for until_ms in [now_ms + 999, now_ms, now_ms - 1, i64::MIN] {
        over(objects.put("a", bytes("late"), &Precondition::Any, Some(until_ms)).await);
    }
    assert_eq!(lab.requests().len(), asked);
    over(objects.delete("a", &Precondition::Any, Some(now_ms + 999)).await);
    assert!(lab.requests().iter().skip(asked).all(|request| request.op == Op::Head));
    assert_eq!(lab.get("docs/a").unwrap(), b"before");
}

/// The server took it, but whoever sent it was away until its time was over: nobody knows when it was stored.
#[tokio::test]
async fn an_answer_that_is_read_late_tells_nothing() {
    let lab = S3Lab::start();
    let (objects, clock) = open(&lab).await;
    for removes in [false, true] {
        let until = Some(clock.now_ms() + 60_000);
        lab.hold();
        let sender = Arc::clone(&objects);
        let sent = tokio::spawn(async move {
            if removes {
                sender.delete("a", &Precondition::Any, until).await.map(drop)
            } else {
                sender.put("a", bytes("1"), &Precondition::Absent, until).await.map(drop)
            }
        });
        until_held(&lab).await;
        clock.turn(60_000);
        lab.release();
        unknown(sent.await.unwrap());
        clock.turn(-60_000);
        assert_eq!(lab.get("docs/a").is_some(), !removes);
    }
}

/// A clock that stands still until it was looked at so often; then it is an hour later.
#[derive(Debug)]
struct Late {
    now_ms: i64,
    looks: AtomicUsize,
}

impl Clock for Late {
    fn now_ms(&self) -> i64 {
        let left = self.looks.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        self.now_ms + if left.is_ok() { 0 } else { 3_600_000 }
    }
}

/// The first attempt failed, and the second would come too late: it is known that nothing happened where the server itself said so and
/// a condition tells both apart, and not known otherwise.
#[tokio::test]
async fn a_second_attempt_is_late() {
    for (when, fault, is_known) in [
        (Precondition::Absent, Fault::Status(503), true),
        (Precondition::Absent, Fault::Status(500), true),
        (Precondition::Any, Fault::Status(503), false),
    ] {
        let lab = S3Lab::start();
        // looked at by the probe, at the call, and for the first attempt
        let clock = Late { now_ms: SystemClock.now_ms(), looks: AtomicUsize::new(3) };
        let until_ms = clock.now_ms + 60_000;
        let objects = with_clock(&lab, Arc::new(clock)).await;
        lab.fail(Op::Put, fault, 1);
        let done = objects.put("a", bytes("1"), &when, Some(until_ms)).await;
        if is_known {
            over(done);
        } else {
            unknown(done);
        }
        assert_eq!(lab.keys(), Vec::<String>::new(), "{fault:?}");
    }
}

/// A server that takes everything, or whose clock is not like ours, is found out, and a deadline is refused.
#[tokio::test]
async fn a_server_that_keeps_no_deadlines_is_found_out() {
    // the lab looks at its own clock, and at the machine's
    for (server, client_ms) in [(0, 12_000), (0, -12_000), (12, 0)] {
        let lab = S3Lab::start();
        lab.turn_clock(server);
        let clock = Arc::new(HandClock::at(SystemClock.now_ms() + client_ms));
        assert!(!with_clock(&lab, clock).await.powers().deadlines, "{server} {client_ms}");
    }
    let lab = S3Lab::start();
    lab.ignore(Condition::Expiry);
    let (objects, clock) = open(&lab).await;
    assert!(!objects.powers().deadlines && objects.powers().conditional_put);
    assert_eq!(lab.keys(), Vec::<String>::new(), "the probe leaves nothing");
    let until = Some(clock.now_ms() + 60_000);
    let unprobed = S3Objects::open(config(&lab)).unwrap();
    for done in [
        objects.put("a", bytes("1"), &Precondition::Any, until).await.map(drop),
        objects.delete("a", &Precondition::Any, until).await.map(drop),
        unprobed.put("a", bytes("1"), &Precondition::Any, until).await.map(drop),
    ] {
        let error = done.unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Unsupported, "R0405"), "{error}");
    }
    assert_eq!(lab.keys(), Vec::<String>::new());
    objects.put("a", bytes("1"), &Precondition::Any, None).await.unwrap();
}

/// Until no clock and no connection can bring anything any more.
#[tokio::test]
async fn an_object_is_settled_when_the_time_is_over_for_all() {
    let lab = S3Lab::start();
    let (objects, clock) = open(&lab).await;
    let until_ms = clock.now_ms();
    let waiting = Arc::clone(&objects);
    let waiting = tokio::spawn(async move { waiting.settle("a", until_ms).await });
    clock.turn(20_000);
    for _ in 0..3 {
        objects.head("a").await.unwrap();
    }
    assert!(!waiting.is_finished());
    clock.turn(40_000);
    waiting.await.unwrap().unwrap();
    objects.settle("a", until_ms).await.unwrap();
}

/// What another wrote meanwhile is not overwritten by what was held up and is still in time.
#[tokio::test]
async fn a_condition_is_looked_at_when_the_request_comes() {
    let lab = S3Lab::start();
    let (objects, clock) = open(&lab).await;
    let until = Some(clock.now_ms() + 60_000);
    lab.hold();
    let sender = Arc::clone(&objects);
    let sent = tokio::spawn(async move { sender.put("a", bytes("1"), &Precondition::Absent, until).await });
    until_held(&lab).await;
    lab.put("docs/a", "another's");
    lab.release();
    let error = sent.await.unwrap().unwrap_err();
    let there = objects.head("a").await.unwrap().unwrap().etag;
    assert_eq!((error.kind(), error.current_state()), (Kind::Conflict, there.as_ref().map(ETag::as_str)));
}
