//! The cache over the Redis protocol, against real servers.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod away;
mod promises;

use std::sync::Arc;

use repot_redis::{RedisCache, RedisOptions};
use repot_testkit::{HandClock, QuickPacing};

/// A cache on this server, whose clock a test turns.
fn cache(url: &str, clock: &HandClock) -> RedisCache {
    // a busy machine is no server that is away
    let options = RedisOptions { patience_ms: 10_000, ..RedisOptions::default() };
    RedisCache::new(url, options, Arc::new(clock.clone()), Arc::new(QuickPacing::default())).unwrap()
}
