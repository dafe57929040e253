//! Integration tests of the contract.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

mod barrier;
mod change_log;
mod containers;
mod deadlines;

mod gate;
mod journal;
mod memory;
mod reconcile;
mod together;
