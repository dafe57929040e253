//! The same work as an app would write it straight on the driver: the model's tables and indexes, statements prepared
//! once a connection, and a conversation's JSON text put together from its rows. No original text is kept, so a
//! document does not come back byte for byte, and nothing is checked but what the tables check.

mod postgres;
mod sqlite;
mod text;

pub(crate) use postgres::Postgres;
pub(crate) use sqlite::Sqlite;
pub(crate) use text::message;
