//! Tools of connections that are used away from their threads.

use std::sync::mpsc::SyncSender;

use repot_core::Result;
use tokio::sync::oneshot;

use super::{Idle, Lane, Order, Waiter, Waits};
use crate::store::answer::{count_waiting, ended};

impl<T: Waits> Lane<T> {
    /// The tool of a connection that idles; the one that was at work last. `None`: all are at work, or there is none yet.
    pub(in crate::store) fn borrow(&self) -> Option<Borrowed<'_, T>> {
        self.borrow_since(i64::MAX)
    }

    /// The same, but `None` where it has had nothing to do for so long.
    fn borrow_since(&self, idled_ms_max: i64) -> Option<Borrowed<'_, T>> {
        let now_ms = self.clock.now_ms();
        let mut state = self.state();
        let overdue = self.mind(&mut state, now_ms);
        let idle = state.idle.pop_if(|idle| now_ms.saturating_sub(idle.since_ms) < idled_ms_max);
        drop(state);
        self.tell(overdue);
        idle.map(|idle| Borrowed::new(self, idle))
    }

    /// The tool of a connection that works; waits for one where all are at work, or there is none yet. `None`: the one that was at
    /// work last has had nothing to do for `idled_ms_max` or longer, so its thread is to look at it first.
    ///
    /// # Errors
    /// As what waits for a thread is answered when there is none.
    pub(in crate::store) async fn loan(&self, idled_ms_max: i64) -> Option<Result<Borrowed<'_, T>>> {
        if let Some(borrowed) = self.borrow_since(idled_ms_max) {
            return Some(Ok(borrowed));
        }
        if !self.state().idle.is_empty() {
            return None;
        }
        let (to, from) = oneshot::channel();
        let mut waiting = Waiting { lane: self, from };
        self.enter(Waiter::Borrower(to));
        let lent = count_waiting(&mut waiting.from).await;
        Some(match lent {
            Ok(idle) => idle.map(|idle| Borrowed::new(self, idle)),
            Err(_closed) => Err(ended()),
        })
    }
}

/// Somebody waits for a tool. One that comes when nobody waits any more goes back.
struct Waiting<'l, T: Waits> {
    lane: &'l Lane<T>,
    from: oneshot::Receiver<Result<Idle<T>>>,
}

impl<T: Waits> Drop for Waiting<'_, T> {
    fn drop(&mut self) {
        self.from.close();
        if let Ok(Ok(idle)) = self.from.try_recv() {
            self.lane.hand_on(&mut self.lane.state(), idle);
        }
    }
}

/// The tool of a connection, in use away from its thread. Dropped, it goes back: to what waits by then, or to idle. Where it was
/// taken and not put back, it is gone, and the connection with it.
pub(in crate::store) struct Borrowed<'l, T: Waits> {
    lane: &'l Lane<T>,
    thread: SyncSender<Order<T>>,
    tool: Option<T::Tool>,
    idled_ms: i64,
}

impl<'l, T: Waits> Borrowed<'l, T> {
    fn new(lane: &'l Lane<T>, Idle { thread, tool, since_ms }: Idle<T>) -> Self {
        let idled_ms = lane.clock.now_ms().saturating_sub(since_ms);
        Self { lane, thread, tool: Some(tool), idled_ms }
    }

    /// What was borrowed; to be put back.
    pub(in crate::store) const fn take(&mut self) -> Option<T::Tool> {
        self.tool.take()
    }

    /// It is there again.
    pub(in crate::store) fn put(&mut self, tool: T::Tool) {
        self.tool = Some(tool);
    }

    /// What is there, to use it as long as this is not dropped.
    pub(in crate::store) const fn tool(&mut self) -> Option<&mut T::Tool> {
        self.tool.as_mut()
    }

    /// How long the connection had nothing to do.
    pub(in crate::store) const fn idled_ms(&self) -> i64 {
        self.idled_ms
    }
}

impl<T: Waits> Drop for Borrowed<'_, T> {
    fn drop(&mut self) {
        let thread = self.thread.clone();
        match self.tool.take() {
            Some(tool) => {
                let idle = Idle { thread, tool, since_ms: self.lane.clock.now_ms() };
                self.lane.hand_on(&mut self.lane.state(), idle);
            }
            // a thread that ended has given its seat back
            None if thread.try_send(Order::Close(None)).is_ok() => self.lane.gone(),
            None => {}
        }
    }
}
