//! From errors of Redis to ours.

use redis::RedisError;
use repot_core::{Error, Kind, Retry};

/// Nobody answers; it may be tried again.
pub(crate) fn is_lost(error: &RedisError) -> bool {
    error.is_io_error() || error.is_connection_dropped() || error.is_timeout()
}

/// The cache cannot be had, for whatever reason: callers do without it.
pub(crate) fn away(shown: &str, error: RedisError) -> Error {
    let message = if is_lost(&error) {
        format!("{shown} is out of reach")
    } else {
        // the server's own words, which repeat no values: "OOM command not allowed ...", "NOAUTH ..."
        format!("{shown} refuses: {}", error.code().unwrap_or("it says no more"))
    };
    unavailable(message).cause(error)
}

/// It was out of reach a moment ago, and is not asked.
pub(crate) fn skipped(shown: &str) -> Error {
    unavailable(format!("{shown} was out of reach a moment ago and is not asked"))
}

fn unavailable(message: String) -> Error {
    Error::new(Kind::Unavailable, "R0448", message)
        .retry(Retry::Unknown)
        .hint("Do without the cache until it is back; check REDIS_URL and that the server runs.")
}

/// A setting that names no server.
pub(crate) fn unknown(error: RedisError) -> Error {
    // the URL may have a password in it, so it is not repeated
    Error::new(Kind::Invalid, "R0100", "REDIS_URL names no server of the Redis protocol")
        .hint("Write redis://host:6379/0, or rediss:// for TLS; user and password go before the host.")
        .cause(error)
}
