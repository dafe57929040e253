//! The `repot` command, run as a user runs it: on the sample apps, on real data, on both databases.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod advise;
mod apps;
mod between;
mod certificate;
mod chaos;
mod command_page;
mod commands;
mod crash;
mod docs;
mod echo;
mod faults;
mod from_database;
mod incremental;
mod keys;
mod killed;
mod laid_over;
mod left_behind;
mod live_app;
mod lossless;
mod moving;
mod operate;
mod over_http;
mod printed;
mod project;
mod proof;
mod queues;
mod real_data;
mod running;
mod s3;
mod served;
mod settings;
mod soak;
mod source;
mod tenants;
mod watch;
mod writers;
