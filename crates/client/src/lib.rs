//! Requests to a running Repot server.
//!
//! [`Client`] sends what `http` can say, with the key of the caller, and sends it again where that is safe: calls that may be
//! repeated by themselves, others with an `Idempotency-Key` of its own. What an answer means is the caller's part.

mod attempt;
mod client;

pub use client::{Client, Harmless, Once, Sent};
