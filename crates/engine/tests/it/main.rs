//! The engine over a source that does what the test says, and SQLite.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod audit;
mod audit_following;
mod audit_sql;
mod busy;
mod capability_pages;
mod changes;
mod containers;
mod documents;
mod look;
mod marks;
mod numbers;
mod parts;
mod pooled;
mod pools;
mod query;
mod query_random;
mod references;
mod row_security;
mod rules;
mod scripted;
mod search;
mod search_random;
mod tenants_random;
mod trash;
mod vitals;
mod writers;
