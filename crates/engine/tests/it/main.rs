//! The engine over a source that does what the test says, and SQLite.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod busy;
mod capability_pages;
mod changes;
mod documents;
mod look;
mod marks;
mod pooled;
mod pools;
mod query;
mod query_random;
mod references;
mod rules;
mod scripted;
mod search;
mod search_random;
mod trash;
mod writers;
