//! Connections of one kind as a pool: what waits for one, how many there are, which of them idle, and when one is opened
//! or closed. Each connection has a thread of its own; a [`Keeper`](super::crew) starts those threads, and minds the time.
//!
//! A thread that idles leaves what it works with, its tool, in the pool. Who can use that where it is borrows it: the
//! connection counts as in use meanwhile, and its thread sleeps on. Given back, it is the thread's again: for what waits by
//! then, or to idle, or to be closed. Who finds none may wait for one ([`loan`]), in one queue with what waits for threads.

mod loan;

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use repot_core::store::PoolUsage;
use repot_core::{Clock, Error, Kind, Result, Retry};
use tokio::sync::oneshot;

pub(super) use self::loan::Borrowed;

/// How long a connection above those that are kept idles before it is closed: the next of a crowd may be near.
const LINGER_MS: i64 = 1_000;
/// Longest sleep of the keeper.
const SLEEP_MS_MAX: i64 = 3_600_000;

/// How connections are kept, and how long calls wait for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolOptions {
    /// Reading connections that stay open for `idle_ms`; those above them are closed soon after a crowd is gone.
    pub kept_readers: usize,
    /// Writing connections of that kind.
    pub kept_writers: usize,
    /// How long a call waits for a connection before it fails with `R0428`, milliseconds.
    pub wait_ms: u32,
    /// A connection without work for this long is closed, milliseconds; the first that writes stays for the lock.
    pub idle_ms: u32,
    /// A connection that was without work for this long is tried before it is used, milliseconds; 0: each time.
    pub check_ms: u32,
}

impl Default for PoolOptions {
    fn default() -> Self {
        Self { kept_readers: 4, kept_writers: 1, wait_ms: 30_000, idle_ms: 20_000, check_ms: 1_000 }
    }
}

/// Something that waits for a connection, and can be told that there will be none.
pub(super) trait Waits: Send + Sized {
    /// What its thread works with.
    type Tool: Send;

    /// Answers with an error.
    fn fail(self, error: Error);
}

/// Wakes the keeper.
#[derive(Debug, Default)]
pub(super) struct Bell {
    rung: Mutex<bool>,
    heard: Condvar,
}

impl Bell {
    pub(super) fn ring(&self) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.heard.notify_one();
    }

    /// Sleeps until it rings, or for so long; no longer than an hour.
    pub(super) fn sleep(&self, ms: i64) {
        let most = Duration::from_millis(ms.clamp(1, SLEEP_MS_MAX).unsigned_abs());
        let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        let slept = self.heard.wait_timeout_while(rung, most, |rung| !*rung);
        *slept.unwrap_or_else(PoisonError::into_inner).0 = false;
    }
}

/// The bounds of one kind of connections.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// What they do, for errors.
    pub name: &'static str,
    pub most: usize,
    pub kept: usize,
    /// So many are never closed.
    pub least: usize,
    pub wait_ms: i64,
    pub idle_ms: i64,
}

/// One kind of connections, and what waits for them.
pub(super) struct Lane<T: Waits> {
    bounds: Bounds,
    clock: Arc<dyn Clock>,
    bell: Arc<Bell>,
    state: Mutex<State<T>>,
}

struct State<T: Waits> {
    waiting: VecDeque<(Waiter<T>, i64)>,
    /// The last was at work last, and is the next to be at work.
    idle: Vec<Idle<T>>,
    /// There, or to be opened.
    open: usize,
    /// Of these, not there yet.
    starting: usize,
    /// Of these, nobody has begun to open.
    wanted: usize,
    /// When the keeper looks next.
    alarm_ms: i64,
    ended: bool,
}

/// What waits for a connection.
enum Waiter<T: Waits> {
    /// For its thread.
    Job(T),
    /// For its tool.
    Borrower(oneshot::Sender<Result<Idle<T>>>),
}

impl<T: Waits> Waiter<T> {
    fn fail(self, error: Error) {
        match self {
            Self::Job(job) => job.fail(error),
            Self::Borrower(to) => {
                let _gone = to.send(Err(error));
            }
        }
    }
}

/// A connection that idles.
struct Idle<T: Waits> {
    thread: SyncSender<Order<T>>,
    tool: T::Tool,
    since_ms: i64,
}

/// What a thread is told, which gets its tool back with it.
enum Order<T: Waits> {
    /// To do this; since when the connection had nothing to do.
    Work(T, T::Tool, i64),
    /// To close the connection, where it is still there.
    Close(Option<T::Tool>),
}

/// Whether a connection was given to who waits.
enum Served<T: Waits> {
    Yes,
    /// Its thread is gone.
    NoThread(Waiter<T>),
    /// Nobody waits there any more.
    NoWaiter(Idle<T>),
}

impl<T: Waits> Idle<T> {
    fn serve(self, waiter: Waiter<T>) -> Served<T> {
        match waiter {
            Waiter::Job(job) => match self.thread.try_send(Order::Work(job, self.tool, self.since_ms)) {
                Err(
                    TrySendError::Full(Order::Work(job, ..))
                    | TrySendError::Disconnected(Order::Work(job, ..)),
                ) => Served::NoThread(Waiter::Job(job)),
                _ => Served::Yes,
            },
            Waiter::Borrower(to) => match to.send(Ok(self)) {
                Err(Ok(idle)) => Served::NoWaiter(idle),
                _ => Served::Yes,
            },
        }
    }

    /// Has its thread close it.
    fn close(self) {
        let _gone = self.thread.try_send(Order::Close(Some(self.tool)));
    }
}

/// What the keeper has to do.
pub(super) struct Tended {
    /// Connections to open.
    pub start: usize,
    /// When to look again, milliseconds since 1970.
    pub alarm_ms: i64,
    /// Nothing will ever be to do again.
    pub done: bool,
}

impl<T: Waits> Lane<T> {
    pub(super) fn new(bounds: Bounds, clock: Arc<dyn Clock>, bell: Arc<Bell>) -> Self {
        let bounds = Bounds { most: bounds.most.max(1), ..bounds };
        let state = State {
            waiting: VecDeque::new(),
            idle: Vec::new(),
            open: 0,
            starting: 0,
            wanted: 0,
            alarm_ms: i64::MAX,
            ended: false,
        };
        Self { bounds, clock, bell, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn usage(&self) -> PoolUsage {
        let now_ms = self.clock.now_ms();
        let state = self.state();
        let waited_ms = state.waiting.front().map_or(0, |(_, since_ms)| now_ms.saturating_sub(*since_ms));
        PoolUsage {
            most: self.bounds.most,
            open: state.open,
            in_use: state.open - state.starting - state.idle.len(),
            waiting: state.waiting.len(),
            waited_ms: waited_ms.try_into().unwrap_or(0),
        }
    }

    /// One connection is there already, and takes its seat soon.
    pub(super) fn expect_one(&self) {
        let mut state = self.state();
        state.open += 1;
        state.starting += 1;
    }

    /// Gives a job to a connection that idles, or lets it wait for one.
    pub(super) fn submit(&self, job: T) {
        self.enter(Waiter::Job(job));
    }

    fn enter(&self, waiter: Waiter<T>) {
        let now_ms = self.clock.now_ms();
        let mut state = self.state();
        if state.ended {
            drop(state);
            waiter.fail(Error::new(Kind::Internal, "R0901", "the store was closed"));
            return;
        }
        let overdue = self.mind(&mut state, now_ms);
        let mut waiter = Some(waiter);
        while let Some(one) = waiter.take() {
            let Some(idle) = state.idle.pop() else {
                waiter = Some(one);
                break;
            };
            match idle.serve(one) {
                Served::Yes => {}
                Served::NoThread(one) => waiter = Some(one),
                Served::NoWaiter(idle) => self.lay_down(&mut state, idle),
            }
        }
        if let Some(waiter) = waiter {
            state.waiting.push_back((waiter, now_ms));
            let due_ms = now_ms.saturating_add(self.bounds.wait_ms);
            if self.want_more(&mut state) || due_ms < state.alarm_ms {
                state.alarm_ms = state.alarm_ms.min(due_ms);
                self.bell.ring();
            }
        }
        drop(state);
        self.tell(overdue);
    }

    /// A connection has nothing to do: it goes to what waits, or idles from now on, or is closed.
    fn hand_on(&self, state: &mut State<T>, mut idle: Idle<T>) {
        while let Some((waiter, asked_ms)) = state.waiting.pop_front() {
            match idle.serve(waiter) {
                Served::Yes => return,
                Served::NoThread(waiter) => {
                    // another connection does it
                    state.waiting.push_front((waiter, asked_ms));
                    if self.want_more(state) {
                        self.bell.ring();
                    }
                    return;
                }
                Served::NoWaiter(unused) => idle = unused,
            }
        }
        if state.ended {
            state.open -= 1;
            idle.close();
        } else {
            self.lay_down(state, idle);
        }
    }

    /// Asks for another connection where one may be and somebody waits for it.
    fn want_more(&self, state: &mut State<T>) -> bool {
        let more = state.open < self.bounds.most && state.starting < state.waiting.len();
        if more {
            state.open += 1;
            state.starting += 1;
            state.wanted += 1;
        }
        more
    }

    /// Closes what idled for too long; gives what waited for too long.
    fn mind(&self, state: &mut State<T>, now_ms: i64) -> Vec<(Waiter<T>, i64)> {
        while state.open - state.starting > self.bounds.least
            && let Some(idle) = state.idle.first()
            && now_ms.saturating_sub(idle.since_ms) >= self.patience_ms(state)
        {
            state.idle.remove(0).close();
            state.open -= 1;
        }
        let mut overdue = Vec::new();
        while let Some((_, since_ms)) = state.waiting.front()
            && now_ms.saturating_sub(*since_ms) >= self.bounds.wait_ms
        {
            overdue.extend(state.waiting.pop_front().map(|(waiter, since_ms)| (waiter, now_ms - since_ms)));
        }
        overdue
    }

    /// How long a connection may idle.
    fn patience_ms(&self, state: &State<T>) -> i64 {
        if state.open > self.bounds.kept { LINGER_MS.min(self.bounds.idle_ms) } else { self.bounds.idle_ms }
    }

    fn tell(&self, overdue: Vec<(Waiter<T>, i64)>) {
        if overdue.is_empty() {
            return;
        }
        let PoolUsage { most, open, in_use, waiting, .. } = self.usage();
        for (waiter, waited_ms) in overdue {
            let name = self.bounds.name;
            let message = format!(
                "no {name} connection became free within {waited_ms} ms: {in_use} of at most {most} are in use, {waiting} calls wait"
            );
            waiter.fail(
                Error::new(Kind::Unavailable, "R0428", message)
                    .retry(Retry::Safe)
                    .detail(format!("open: {open}"))
                    .hint("Send it again later, let fewer ask at once, or allow more connections."),
            );
        }
    }

    /// The time passes: closes, refuses, and says what to open.
    pub(super) fn tend(&self) -> Tended {
        let now_ms = self.clock.now_ms();
        let mut state = self.state();
        let overdue = self.mind(&mut state, now_ms);
        let waits = state.waiting.front().map(|(_, since_ms)| since_ms.saturating_add(self.bounds.wait_ms));
        let idles = state.idle.first().filter(|_| state.open - state.starting > self.bounds.least);
        let idles = idles.map(|idle| idle.since_ms.saturating_add(self.patience_ms(&state)));
        state.alarm_ms = waits.into_iter().chain(idles).min().unwrap_or(i64::MAX);
        let tended =
            Tended { start: std::mem::take(&mut state.wanted), alarm_ms: state.alarm_ms, done: state.ended };
        drop(state);
        self.tell(overdue);
        tended
    }

    /// A connection that was asked for could not be opened. Others go on with what waits; where there is none, that is
    /// told to all who wait.
    pub(super) fn unopened(&self, error: &Error, same: fn(&Error) -> Error) {
        let mut state = self.state();
        state.open -= 1;
        state.starting -= 1;
        let failing = if state.open == 0 { std::mem::take(&mut state.waiting) } else { VecDeque::new() };
        drop(state);
        for (waiter, _) in failing {
            waiter.fail(same(error));
        }
    }

    /// Nothing more is taken; what waits is still done.
    pub(super) fn end(&self) {
        let mut state = self.state();
        state.ended = true;
        for idle in std::mem::take(&mut state.idle) {
            state.open -= 1;
            idle.close();
        }
        drop(state);
        self.bell.ring();
    }

    fn lay_down(&self, state: &mut State<T>, idle: Idle<T>) {
        let idle = Idle { since_ms: self.clock.now_ms(), ..idle };
        let due_ms = idle.since_ms.saturating_add(self.patience_ms(state));
        state.idle.push(idle);
        if due_ms < state.alarm_ms && state.open - state.starting > self.bounds.least {
            state.alarm_ms = due_ms;
            self.bell.ring();
        }
    }

    /// A connection is gone: what waits may need another.
    fn gone(&self) {
        let mut state = self.state();
        state.open -= 1;
        if self.want_more(&mut state) {
            self.bell.ring();
        }
    }

    /// A connection that was asked for is there.
    pub(super) fn seat(&self) -> Seat<'_, T> {
        self.state().starting -= 1;
        let (order, orders) = sync_channel(1);
        Seat { lane: self, order, orders, idled_ms: 0, seated: true }
    }
}

/// An open connection's place in its lane; given back when it is dropped.
pub(super) struct Seat<'l, T: Waits> {
    lane: &'l Lane<T>,
    order: SyncSender<Order<T>>,
    orders: Receiver<Order<T>>,
    idled_ms: i64,
    seated: bool,
}

impl<T: Waits> Seat<'_, T> {
    /// The next job; waits for one, and leaves the tool for others until then. `None`: the connection is to be closed.
    pub(super) fn rest(&mut self, tool: T::Tool) -> Option<(T, T::Tool)> {
        {
            let mut state = self.lane.state();
            let first = state.waiting.pop_front();
            if let Some((Waiter::Job(job), _)) = first {
                self.idled_ms = 0;
                return Some((job, tool));
            }
            if state.ended {
                return None;
            }
            let idle = Idle { thread: self.order.clone(), tool, since_ms: self.lane.clock.now_ms() };
            if let Some(borrower) = first {
                state.waiting.push_front(borrower);
            }
            self.lane.hand_on(&mut state, idle);
        }
        if let Ok(Order::Work(job, tool, since_ms)) = self.orders.recv() {
            self.idled_ms = self.lane.clock.now_ms().saturating_sub(since_ms);
            return Some((job, tool));
        }
        // who closes it has given its seat back
        self.seated = false;
        None
    }

    /// Jobs that were taken wait again, before all others.
    pub(super) fn give_back(&self, jobs: impl DoubleEndedIterator<Item = T>) {
        let now_ms = self.lane.clock.now_ms();
        let mut state = self.lane.state();
        for job in jobs.rev() {
            state.waiting.push_front((Waiter::Job(job), now_ms));
        }
        // others may do them, too
        while self.lane.want_more(&mut state) {}
        while !state.waiting.is_empty()
            && let Some(idle) = state.idle.pop()
        {
            self.lane.hand_on(&mut state, idle);
        }
        drop(state);
        self.lane.bell.ring();
    }

    /// At most `most` of the jobs that wait: those that `choose` says `true` of. With `false` those after it stay, too.
    pub(super) fn take_while_free(&self, most: usize, choose: impl Fn(&T) -> Option<bool>) -> Vec<T> {
        let mut state = self.lane.state();
        let (mut taken, mut left) = (Vec::new(), VecDeque::new());
        while taken.len() < most
            && let Some((waiter, since_ms)) = state.waiting.pop_front()
        {
            let Waiter::Job(job) = waiter else {
                left.push_back((waiter, since_ms));
                continue;
            };
            let chosen = choose(&job);
            if chosen == Some(true) {
                taken.push(job);
                continue;
            }
            left.push_back((Waiter::Job(job), since_ms));
            if chosen == Some(false) {
                break;
            }
        }
        left.append(&mut state.waiting);
        state.waiting = left;
        taken
    }

    /// How long the connection had nothing to do before the job that it was given last.
    pub(super) const fn idled_ms(&self) -> i64 {
        self.idled_ms
    }
}

impl<T: Waits> Drop for Seat<'_, T> {
    fn drop(&mut self) {
        if self.seated {
            // its thread ended by itself
            self.lane.gone();
        }
    }
}

impl<T: Waits<Tool = ()>> Seat<'_, T> {
    /// The next job, where nobody borrows.
    pub(super) fn next(&mut self) -> Option<T> {
        self.rest(()).map(|(job, ())| job)
    }
}

#[cfg(test)]
mod tests;
