//! SQLite as a target: rows and texts in one file, written by one connection in large transactions, read by
//! others. [`SqliteTarget`] is the way in.

mod ask;
mod audit;
mod bind;
mod careful;
mod changes;
mod connect;
mod connection;
mod connections;
mod decode;
mod error;
mod facts;
mod finish;
mod kept;
mod list_text;
mod load;
mod lock;
mod marks;
mod messages;
mod printed;
mod prompt;
mod query;
mod question;
mod reader;
mod records;
mod references;
mod referrers;
mod rows;
mod rules;
mod schema;
mod search;
mod snapshots;
mod statements;
mod states;
mod target;
mod time_text;
mod transact;
mod trash;
mod work;

pub use connect::SqliteOptions;
pub use error::CODES;
pub use printed::schema_sql;
pub use target::SqliteTarget;
