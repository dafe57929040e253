//! The engine over a source that does what the test says, and SQLite.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod api_keys;
mod audit;
mod audit_following;
mod audit_sql;
mod busy;
mod cache;
mod capability_pages;
mod changes;
mod claimers;
mod containers;
mod documents;
mod follow_random;
mod grouped;
mod idempotency;
mod idempotency_away;
mod index_order;
mod ledger;
mod look;
mod marks;
mod numbers;
mod parts;
mod pooled;
mod pools;
mod prompt;
mod query;
mod query_random;
mod quotas;
mod rate_limits;
mod references;
mod references_shared;
mod restarted;
mod row_security;
mod rules;
mod scripted;
mod search;
mod search_random;
mod sql;
mod tenants_random;
mod trash;
mod trash_names;
mod vitals;
mod work_queue;
mod work_queue_facts;
mod writers;
