//! The engine over a source that does what the test says, and SQLite.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod audit;
mod audit_sql;
mod busy;
mod documents;
mod look;
mod rules;
mod scripted;
mod writers;
