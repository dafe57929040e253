//! A clock that tests set.

use std::sync::atomic::{AtomicI64, Ordering};

use repot_core::Clock;

/// Tells the time that it was set to last.
#[derive(Debug)]
pub struct HandClock(AtomicI64);

impl HandClock {
    /// At this time, milliseconds since 1970.
    #[must_use]
    pub const fn at(now_ms: i64) -> Self {
        Self(AtomicI64::new(now_ms))
    }

    /// Sets it, also back.
    pub fn set(&self, now_ms: i64) {
        self.0.store(now_ms, Ordering::SeqCst);
    }

    /// Moves it by so many milliseconds, also back.
    pub fn step(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}
