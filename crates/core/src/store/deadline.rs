//! Until when something may be written: whoever was paused on the way to a store is refused there, however long it took.

use std::fmt::Display;

use crate::error::{Error, Kind, Result, Retry};

/// Fails from the deadline on; both are milliseconds since 1970, and without a deadline all is well.
///
/// # Errors
/// [`deadline_over`].
pub fn check_deadline(until_ms: Option<i64>, now_ms: i64) -> Result<()> {
    if until_ms.is_none_or(|until_ms| now_ms < until_ms) { Ok(()) } else { Err(deadline_over()) }
}

/// The error of a write that came after its deadline: [`Kind::Fenced`], code `R0452`. Nothing was written, and nothing of it is on its
/// way.
#[must_use]
pub fn deadline_over() -> Error {
    Error::new(Kind::Fenced, "R0452", "the deadline of the write is over; nothing was written")
        .retry(Retry::Safe)
        .hint("Decide again on what is there now, and write with a new deadline.")
}

/// The error of a place that cannot say yet that nothing comes any more: [`Kind::Unavailable`], code `R0453`.
#[must_use]
pub fn unsettled(place: &dyn Display, path: &str, why: &str) -> Error {
    Error::new(Kind::Unavailable, "R0453", format!("a write of {path} in {place} may still come: {why}"))
        .retry(Retry::Safe)
        .hint("Ask again; if that goes on, look for a process that is stopped while it writes there.")
}
