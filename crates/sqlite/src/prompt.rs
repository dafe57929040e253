//! Reads that answer at once or not at all, so that they can be done where they are asked for.
//!
//! A reader of the write-ahead log waits for no writer, and a document that is in the page cache is read in less time than it
//! takes to hand the question to another thread. What can still wait is refused here: a lock (somebody turned the log off, or
//! repairs it) fails instead of being waited for, a read that takes too many steps is broken off, and so is one that meets a
//! long value. What remains is at most some pages from the disk, and the microseconds for which SQLite itself lets a reader rest that meets a checkpoint again
//! and again.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use repot_core::{Missing, Prompt};
use rusqlite::limits::Limit;

use crate::connection::Connection;
use crate::reader::SqliteReader;

/// Steps of SQLite's machine after which it is asked whether to go on.
const STEPS_AT_ONCE: i32 = 1_000;
/// So often it goes on: 16,000 steps are about as long as a millisecond, or some hundred rows.
const TURNS_MAX: i64 = 16;
const NO_BOUND: i64 = i64::MAX;
/// Bytes of the longest value that is read, since a step is longer the longer its value is.
const VALUE_BYTES_MAX: i32 = 64 << 10;

/// How far the reads of a connection may go.
#[derive(Debug)]
pub(crate) struct Bound {
    /// How often SQLite may still ask.
    turns: Arc<AtomicI64>,
    busy_timeout: Duration,
    /// Bytes of the longest value that is read otherwise.
    value_bytes_max: i32,
    waits: bool,
}

impl Bound {
    /// Reads without bounds on this connection, until it is told otherwise.
    pub(crate) fn none(connection: &mut Connection, busy_timeout: Duration) -> rusqlite::Result<Self> {
        let turns = Arc::new(AtomicI64::new(NO_BOUND));
        let left = Arc::clone(&turns);
        let ends = move || {
            let bounded = left.load(Ordering::Relaxed) != NO_BOUND;
            bounded && left.fetch_sub(1, Ordering::Relaxed) <= 0
        };
        connection.progress_handler(STEPS_AT_ONCE, Some(ends))?;
        let value_bytes_max = connection.limit(Limit::SQLITE_LIMIT_LENGTH)?;
        Ok(Self { turns, busy_timeout, value_bytes_max, waits: true })
    }

    /// The same again on a connection whose handler was replaced.
    pub(crate) fn renew(&mut self, connection: &mut Connection) -> rusqlite::Result<()> {
        *self = Self::none(connection, self.busy_timeout)?;
        Ok(())
    }

    /// The end of a transaction is not broken off.
    pub(crate) fn lift(&self) {
        self.turns.store(NO_BOUND, Ordering::Relaxed);
    }

    fn set(&mut self, connection: &Connection, only: bool) -> rusqlite::Result<()> {
        if self.waits == only {
            let (busy_timeout, bytes) = if only {
                (Duration::ZERO, VALUE_BYTES_MAX)
            } else {
                (self.busy_timeout, self.value_bytes_max)
            };
            connection.busy_timeout(busy_timeout)?;
            connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, bytes)?;
            self.waits = !only;
        }
        self.turns.store(if only { TURNS_MAX } else { NO_BOUND }, Ordering::Relaxed);
        Ok(())
    }
}

impl Prompt for SqliteReader {
    fn at_once(&mut self, only: bool) -> bool {
        let (connection, bound) = self.bound();
        bound.is_some_and(|bound| bound.set(connection, only).is_ok())
    }

    /// What failed at once may be well done with time, and an error of its own comes again.
    fn missing(&mut self) -> Missing<'_> {
        Missing::Time
    }
}
