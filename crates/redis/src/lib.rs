//! A cache over the Redis protocol (Redis, Valkey, Dragonfly), shared by all processes that name the same server.
//!
//! Losing the server makes things slower, never wrong: what cannot be asked is not there, and what cannot be changed is told.

mod cache;
mod connection;
mod error;
mod names;

pub use cache::RedisCache;
pub use connection::RedisOptions;
