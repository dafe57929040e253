//! PostgreSQL 13 and later as a target: binary COPY in, binary COPY out, one copy, or many stores, under a lock. Database work
//! runs in tasks of a small runtime of this crate; callers see plain blocking functions.

mod address;
mod ask;
mod audit;
mod chain;
mod change_log;
mod changes;
mod check;
mod client;
mod connect;
mod connections;
mod copy;
mod create;
mod decode;
mod encode;
mod error;
mod finish;
mod indexes;
mod kept;
mod left;
mod load;
mod lock;
mod marks;
mod messages;
mod numeric;
mod parameters;
mod query;
mod reader;
mod records;
mod referrers;
mod refuse;
mod rules;
mod runtime;
mod scan;
mod search;
mod stored;
mod target;
mod tenants;
mod tls;
mod transact;
mod transaction;
mod trash;
mod within;

pub use address::PostgresOptions;
pub use reader::PostgresReader;
pub use target::PostgresTarget;
