//! A budget of bytes in flight: what bounds memory whatever the corpus.

use std::sync::{Condvar, Mutex, PoisonError};

/// Bytes that may be in flight at once.
#[derive(Debug)]
pub(crate) struct Budget {
    most: u64,
    used: Mutex<State>,
    freed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    used: u64,
    closed: bool,
}

impl Budget {
    pub(crate) fn new(most: u64) -> Self {
        Self { most, used: Mutex::default(), freed: Condvar::new() }
    }

    /// Waits until `bytes` fit (something larger than the whole budget waits until it is alone). `false` when
    /// the budget was closed.
    pub(crate) fn take(&self, bytes: u64) -> bool {
        let mut state = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        while !state.closed && state.used > 0 && state.used + bytes > self.most {
            state = self.freed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.used += bytes;
        !state.closed
    }

    pub(crate) fn give_back(&self, bytes: u64) {
        let mut state = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        state.used = state.used.saturating_sub(bytes);
        self.freed.notify_all();
    }

    /// Ends all waiting.
    pub(crate) fn close(&self) {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.freed.notify_all();
    }
}
