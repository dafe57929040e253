//! The target against a real server (`REPOT_TEST_POSTGRES`).
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as loudly as tests do")]

mod changes;
mod extend;
mod finish;
mod fixture;
mod lock;
mod lost;
mod reading;
mod refusals;
mod reused;
mod round_trip;
