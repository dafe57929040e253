//! The pool by itself: connections are seats that the tests take, and time is a number.

use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;

use repot_core::{Clock, Error, Kind, Result, Retry};

use super::{Bell, Bounds, LINGER_MS, Lane, PoolUsage, Waits};

#[derive(Debug, Default)]
struct Hand(AtomicI64);

impl Clock for Hand {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// Answers with its number when it is done.
struct Job(u32, Sender<Result<u32>>);

impl Waits for Job {
    type Tool = ();

    fn fail(self, error: Error) {
        self.1.send(Err(error)).unwrap();
    }
}

const BOUNDS: Bounds = Bounds { name: "reading", most: 3, kept: 1, least: 0, wait_ms: 500, idle_ms: 20_000 };

fn lane(bounds: Bounds) -> (Arc<Hand>, Lane<Job>) {
    let hand = Arc::new(Hand::default());
    let lane = Lane::new(bounds, Arc::clone(&hand) as Arc<dyn Clock>, Arc::new(Bell::default()));
    (hand, lane)
}

/// Lets the threads of a test go, also when it fails.
struct Ends<'l>(&'l Lane<Job>);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

fn usage(open: usize, in_use: usize, waiting: usize) -> PoolUsage {
    PoolUsage { most: 3, open, in_use, waiting, waited_ms: 0 }
}

#[test]
fn no_more_are_opened_than_the_bound_and_than_wait() {
    let (_hand, lane) = lane(BOUNDS);
    let (answer, _answers) = channel();
    lane.submit(Job(0, answer.clone()));
    assert_eq!(lane.tend().start, 1);
    // the one that is being opened is for the first; the second needs another
    lane.submit(Job(1, answer.clone()));
    assert_eq!(lane.tend().start, 1);
    for number in 2..10 {
        lane.submit(Job(number, answer.clone()));
    }
    assert_eq!(lane.tend().start, 1);
    assert_eq!(lane.usage(), usage(3, 0, 10));
    let mut seats = [lane.seat(), lane.seat(), lane.seat()];
    let first: Vec<u32> = seats.iter_mut().map(|seat| seat.next().unwrap().0).collect();
    assert_eq!(first, [0, 1, 2]);
    assert_eq!(lane.usage(), usage(3, 3, 7));
    assert_eq!(lane.tend().start, 0);
}

#[test]
fn who_waits_too_long_is_told_how_long_and_why() {
    let (hand, lane) = lane(BOUNDS);
    let (answer, answers) = channel();
    lane.submit(Job(0, answer.clone()));
    assert_eq!(lane.tend().start, 1);
    let mut seat = lane.seat();
    assert_eq!(seat.next().unwrap().0, 0);
    lane.submit(Job(1, answer.clone()));
    hand.0.store(300, Ordering::SeqCst);
    lane.submit(Job(2, answer.clone()));
    assert_eq!(lane.tend().alarm_ms, 500);
    hand.0.store(499, Ordering::SeqCst);
    lane.tend();
    assert!(answers.try_recv().is_err());
    assert_eq!(lane.usage().waited_ms, 499, "of the one that waits longest");
    hand.0.store(500, Ordering::SeqCst);
    assert_eq!(lane.tend().alarm_ms, 800);
    let error = answers.try_recv().unwrap().unwrap_err();
    assert_eq!((error.kind(), error.code(), error.may_retry()), (Kind::Unavailable, "R0428", Retry::Safe));
    assert_eq!(
        error.message(),
        "no reading connection became free within 500 ms: 1 of at most 3 are in use, 1 calls wait"
    );
    // the other is still done
    assert_eq!(seat.next().unwrap().0, 2);
    assert!(answers.try_recv().is_err());
}

#[test]
fn above_those_that_are_kept_a_connection_lingers_shortly() {
    let (hand, lane) = lane(BOUNDS);
    let lane = &lane;
    let (answer, _answers) = channel();
    for number in 0..3 {
        lane.submit(Job(number, answer.clone()));
    }
    assert_eq!(lane.tend().start, 3);
    thread::scope(|scope| {
        let _ends = Ends(lane);
        let ended: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let mut seat = lane.seat();
                    while seat.next().is_some() {}
                })
            })
            .collect();
        while lane.state().idle.len() < 3 {
            thread::yield_now();
        }
        assert_eq!(lane.tend().alarm_ms, LINGER_MS);
        hand.0.store(LINGER_MS, Ordering::SeqCst);
        // two go; the third is kept until it idled for long
        assert_eq!(lane.tend().alarm_ms, 20_000);
        assert_eq!(lane.usage(), usage(1, 0, 0));
        hand.0.store(19_999, Ordering::SeqCst);
        lane.tend();
        assert_eq!(lane.usage(), usage(1, 0, 0));
        hand.0.store(20_000, Ordering::SeqCst);
        assert_eq!(lane.tend().alarm_ms, i64::MAX);
        assert_eq!(lane.usage(), usage(0, 0, 0));
        for thread in ended {
            thread.join().unwrap();
        }
        lane.submit(Job(3, answer));
        assert_eq!(lane.tend().start, 1, "the next call opens one");
    });
}

/// What was at work last works next, so that the others idle.
#[test]
fn few_calls_keep_few_connections_warm() {
    let (hand, lane) = lane(Bounds { kept: 3, ..BOUNDS });
    let lane = &lane;
    let (answer, answers) = channel();
    for number in 0..3 {
        lane.submit(Job(number, answer.clone()));
    }
    assert_eq!(lane.tend().start, 3);
    let idled = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut seat = lane.seat();
                while let Some(Job(number, answer)) = seat.next() {
                    idled.lock().unwrap().push((number, seat.idled_ms()));
                    answer.send(Ok(number)).unwrap();
                }
            });
        }
        let _ends = Ends(lane);
        while lane.state().idle.len() < 3 {
            thread::yield_now();
        }
        for number in 3..8 {
            while lane.usage().in_use > 0 {
                thread::yield_now();
            }
            hand.0.fetch_add(5_000, Ordering::SeqCst);
            lane.submit(Job(number, answer.clone()));
        }
        while lane.usage().in_use > 0 {
            thread::yield_now();
        }
        assert_eq!(lane.usage(), usage(1, 0, 0), "the others idled for too long meanwhile");
    });
    assert_eq!(answers.try_iter().count(), 8);
    let idled = idled.into_inner().unwrap();
    assert_eq!(idled[3..], [(3, 5_000), (4, 5_000), (5, 5_000), (6, 5_000), (7, 5_000)]);
}

#[test]
fn where_none_can_be_opened_all_who_wait_are_told() {
    let (_hand, lane) = lane(BOUNDS);
    let (answer, answers) = channel();
    let refused = Error::new(Kind::TargetUnavailable, "R0106", "nobody is there");
    let again = |error: &Error| Error::new(error.kind(), error.code(), error.message());
    for number in 0..2 {
        lane.submit(Job(number, answer.clone()));
    }
    assert_eq!(lane.tend().start, 2);
    // the other may still come to be
    lane.unopened(&refused, again);
    assert!(answers.try_recv().is_err());
    let mut seat = lane.seat();
    assert_eq!(seat.next().unwrap().0, 0);
    assert_eq!(seat.next().unwrap().0, 1);
    drop(seat);
    lane.submit(Job(2, answer.clone()));
    lane.submit(Job(3, answer.clone()));
    assert_eq!(lane.tend().start, 2);
    lane.unopened(&refused, again);
    lane.unopened(&refused, again);
    for _ in 0..2 {
        assert_eq!(answers.try_recv().unwrap().unwrap_err().code(), "R0106");
    }
    assert_eq!(lane.usage(), usage(0, 0, 0));
}

#[test]
fn a_thread_that_ends_by_itself_is_replaced() {
    let (_hand, lane) = lane(Bounds { most: 1, ..BOUNDS });
    let (answer, _answers) = channel();
    lane.submit(Job(0, answer.clone()));
    assert_eq!(lane.tend().start, 1);
    let mut seat = lane.seat();
    let _at_work = seat.next().unwrap();
    lane.submit(Job(1, answer));
    assert_eq!(lane.tend().start, 0);
    drop(seat);
    assert_eq!(lane.tend().start, 1);
    assert_eq!(lane.seat().next().unwrap().0, 1);
}

#[test]
fn the_last_that_holds_the_lock_stays() {
    let (hand, lane) = lane(Bounds { least: 1, ..BOUNDS });
    let lane = &lane;
    lane.expect_one();
    thread::scope(|scope| {
        let _ends = Ends(lane);
        scope.spawn(|| {
            let mut seat = lane.seat();
            assert!(seat.next().is_none());
        });
        while lane.state().idle.is_empty() {
            thread::yield_now();
        }
        hand.0.store(1_000_000, Ordering::SeqCst);
        assert_eq!(lane.tend().alarm_ms, i64::MAX);
        assert_eq!(lane.usage(), usage(1, 0, 0));
        lane.end();
        assert!(lane.tend().done);
    });
    let (answer, answers) = channel();
    lane.submit(Job(0, answer));
    assert!(answers.try_recv().unwrap().is_err(), "nothing is taken any more");
}

/// Lends a tool.
struct Loan(u32, Sender<Result<u32>>);

impl Waits for Loan {
    type Tool = &'static str;

    fn fail(self, error: Error) {
        self.1.send(Err(error)).unwrap();
    }
}

/// A lane with one connection, which a thread of the test answers with, and what that thread does at last.
fn lending(most: usize, then: impl FnOnce(&Lane<Loan>, &Hand)) {
    let hand = Arc::new(Hand::default());
    let bounds = Bounds { most, ..BOUNDS };
    let lane = Lane::new(bounds, Arc::clone(&hand) as Arc<dyn Clock>, Arc::new(Bell::default()));
    let (answer, answers) = channel();
    lane.submit(Loan(0, answer));
    assert_eq!(lane.tend().start, 1);
    thread::scope(|scope| {
        let _ends = EndsLending(&lane);
        scope.spawn(|| {
            let (mut seat, mut tool) = (lane.seat(), "tool");
            while let Some((Loan(number, answer), own)) = seat.rest(tool) {
                tool = own;
                answer.send(Ok(number)).unwrap();
            }
        });
        assert_eq!(answers.recv().unwrap().unwrap(), 0);
        idle(&lane);
        then(&lane, &hand);
    });
}

struct EndsLending<'l>(&'l Lane<Loan>);

impl Drop for EndsLending<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

fn idle(lane: &Lane<Loan>) {
    while lane.usage().in_use > 0 {
        thread::yield_now();
    }
}

#[test]
fn what_is_lent_is_in_use_and_idles_when_it_is_back() {
    lending(1, |lane, hand| {
        hand.0.store(700, Ordering::SeqCst);
        let mut lent = lane.borrow().unwrap();
        assert_eq!((lent.take(), lent.idled_ms()), (Some("tool"), 700));
        assert_eq!((lane.usage().open, lane.usage().in_use), (1, 1));
        assert!(lane.borrow().is_none(), "there is no other");
        // what is in use is not closed, however long
        hand.0.store(90_000, Ordering::SeqCst);
        assert_eq!(lane.tend().alarm_ms, i64::MAX);
        assert_eq!(lane.usage().open, 1);
        lent.put("tool");
        drop(lent);
        assert_eq!((lane.usage().open, lane.usage().in_use), (1, 0));
        assert_eq!(lane.tend().alarm_ms, 110_000);
        hand.0.store(110_000, Ordering::SeqCst);
        assert!(lane.borrow().is_none(), "it idled for too long");
        assert_eq!(lane.usage().open, 0);
    });
}

#[test]
fn who_waits_gets_what_is_given_back_and_who_waits_too_long_is_told() {
    lending(1, |lane, hand| {
        let (answer, answers) = channel();
        let mut lent = lane.borrow().unwrap();
        let tool = lent.take().unwrap();
        lane.submit(Loan(1, answer.clone()));
        hand.0.store(300, Ordering::SeqCst);
        lane.submit(Loan(2, answer.clone()));
        hand.0.store(500, Ordering::SeqCst);
        lane.tend();
        assert_eq!(answers.recv().unwrap().unwrap_err().code(), "R0428");
        lent.put(tool);
        drop(lent);
        assert_eq!(answers.recv().unwrap().unwrap(), 2);
        idle(lane);
        assert!(lane.borrow().is_some());
    });
}

/// Whoever panics with it loses it; another connection comes for those who wait.
#[test]
fn what_is_not_given_back_is_closed_and_replaced() {
    lending(1, |lane, _| {
        let (answer, answers) = channel();
        let mut lent = lane.borrow().unwrap();
        let _lost = lent.take();
        lane.submit(Loan(1, answer));
        assert_eq!(lane.tend().start, 0, "one is the most");
        drop(lent);
        assert_eq!(lane.tend().start, 1);
        let mut seat = lane.seat();
        assert_eq!(seat.rest("other").unwrap().0.0, 1);
        drop(seat);
        assert_eq!(lane.usage().open, 0);
        assert!(answers.try_recv().is_err());
    });
}

#[test]
fn what_comes_back_after_the_end_is_closed() {
    lending(2, |lane, _| {
        let lent = lane.borrow().unwrap();
        lane.end();
        assert_eq!(lane.usage().open, 1);
        drop(lent);
        assert_eq!(lane.usage().open, 0);
    });
}

/// Asks for the tool once.
fn ask<F: Future>(future: Pin<&mut F>) -> Option<F::Output> {
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(found) => Some(found),
        Poll::Pending => None,
    }
}

#[test]
fn who_waits_for_a_tool_gets_it_in_turn_with_what_waits_for_its_thread() {
    lending(1, |lane, _| {
        let (answer, answers) = channel();
        let lent = ask(pin!(lane.loan(1_000))).unwrap().unwrap().unwrap();
        let mut first = pin!(lane.loan(1_000));
        assert!(ask(first.as_mut()).is_none());
        lane.submit(Loan(1, answer));
        let mut second = pin!(lane.loan(1_000));
        assert!(ask(second.as_mut()).is_none());
        assert_eq!(lane.usage().waiting, 3);
        drop(lent);
        assert_eq!(lane.usage().waiting, 2, "the first has it");
        assert!(ask(second.as_mut()).is_none());
        let mut lent = ask(first.as_mut()).unwrap().unwrap().unwrap();
        assert_eq!(lent.take(), Some("tool"));
        lent.put("tool");
        assert!(answers.try_recv().is_err());
        drop(lent);
        // the thread hands it on when it is done
        assert_eq!(answers.recv().unwrap().unwrap(), 1);
        let lent = loop {
            match ask(second.as_mut()) {
                Some(lent) => break lent.unwrap().unwrap(),
                None => thread::yield_now(),
            }
        };
        drop(lent);
        assert_eq!((lane.usage().open, lane.usage().in_use, lane.usage().waiting), (1, 0, 0));
    });
}

/// However far it had come to them.
#[test]
fn what_nobody_waits_for_any_more_goes_to_the_next() {
    lending(1, |lane, _| {
        let lent = ask(pin!(lane.loan(1_000))).unwrap().unwrap().unwrap();
        let mut gone: Vec<_> = (0..3).map(|_| Box::pin(lane.loan(1_000))).collect();
        for one in &mut gone {
            assert!(ask(one.as_mut()).is_none());
        }
        let mut next = pin!(lane.loan(1_000));
        assert!(ask(next.as_mut()).is_none());
        drop(gone.remove(0));
        drop(lent);
        // it is under way to the second of them, passed over by the first
        assert!(ask(next.as_mut()).is_none());
        gone.clear();
        assert!(ask(next.as_mut()).unwrap().unwrap().is_ok());
        idle(lane);
        assert_eq!((lane.usage().open, lane.usage().waiting), (1, 0));
    });
}

#[test]
fn who_waits_too_long_for_a_tool_is_told_and_a_tool_that_idled_is_looked_at_first() {
    lending(1, |lane, hand| {
        hand.0.store(999, Ordering::SeqCst);
        let lent = ask(pin!(lane.loan(1_000))).unwrap().unwrap().unwrap();
        let mut late = pin!(lane.loan(1_000));
        assert!(ask(late.as_mut()).is_none());
        hand.0.store(1_499, Ordering::SeqCst);
        lane.tend();
        let error = ask(late.as_mut()).unwrap().unwrap().err().unwrap();
        assert_eq!((error.code(), error.may_retry()), ("R0428", Retry::Safe));
        drop(lent);
        hand.0.store(2_499, Ordering::SeqCst);
        assert!(ask(pin!(lane.loan(1_000))).unwrap().is_none(), "its thread looks at it");
        assert_eq!((lane.usage().open, lane.usage().in_use), (1, 0));
        assert_eq!(lane.borrow().unwrap().idled_ms(), 1_000);
    });
}

#[test]
fn where_none_can_be_opened_who_waits_for_a_tool_is_told() {
    let hand = Arc::new(Hand::default());
    let lane: Lane<Loan> = Lane::new(BOUNDS, hand as Arc<dyn Clock>, Arc::new(Bell::default()));
    let mut waiting = pin!(lane.loan(1_000));
    assert!(ask(waiting.as_mut()).is_none());
    assert_eq!(lane.tend().start, 1, "one is opened for it");
    let error = Error::new(Kind::TargetUnavailable, "R0106", "no answer");
    lane.unopened(&error, Error::clone);
    assert_eq!(ask(waiting.as_mut()).unwrap().unwrap().err().unwrap().code(), "R0106");
}
