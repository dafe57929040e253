//! [`RedisCache`]: the contract of caches in commands of Redis.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use redis::Cmd;
use repot_core::{
    CACHE_LIFE_MAX_MS, Cache, CacheName, CacheSpace, CacheUsage, CacheValue, Clock, Pacing, Result,
};

use crate::connection::{Connection, RedisOptions};
use crate::names;

/// A cache on a server that speaks the Redis protocol. The server ends lives by its own clock.
pub struct RedisCache(Connection);

impl RedisCache {
    /// `url` is as in `redis://host:6379/0`. Nothing is connected yet: a server that is away is no reason not to begin.
    /// `clock` says when a server that was lost is asked again.
    ///
    /// # Errors
    /// `R0100` when the URL names no server.
    pub fn new(
        url: &str,
        options: RedisOptions,
        clock: Arc<dyn Clock>,
        pacing: Arc<dyn Pacing>,
    ) -> Result<Self> {
        Ok(Self(Connection::new(url, options, (clock, pacing))?))
    }

    /// Sixteen bytes that nobody else has.
    fn mark(&self) -> [u8; names::MARK] {
        let random = || u128::from(self.0.pacing().random());
        ((random() << 64) | random()).to_be_bytes()
    }
}

impl fmt::Debug for RedisCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RedisCache").field(&self.0.to_string()).finish()
    }
}

impl fmt::Display for RedisCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[async_trait]
impl Cache for RedisCache {
    async fn get(&self, name: &CacheName) -> Result<Option<CacheValue>> {
        let mut command = Cmd::new();
        command.arg("MGET").arg(names::mark(&name.space)).arg(names::value(name));
        let (mark, stored): (Option<Vec<u8>>, Option<Vec<u8>>) = self.0.ask(&command).await?;
        Ok(mark.zip(stored).and_then(|(mark, stored)| names::unpack(&mark, stored)))
    }

    async fn put(&self, name: &CacheName, value: CacheValue, life_ms: u64) -> Result<()> {
        self.check_size(&value)?;
        let mut command = Cmd::new();
        command.arg("EVAL").arg(names::PUT).arg(2).arg(names::mark(&name.space)).arg(names::value(name));
        command.arg(&self.mark()[..]).arg(life_ms.clamp(1, CACHE_LIFE_MAX_MS)).arg(names::pack(&value));
        self.0.ask(&command).await
    }

    async fn delete(&self, name: &CacheName) -> Result<()> {
        let mut command = Cmd::new();
        command.arg("DEL").arg(names::value(name));
        self.0.ask(&command).await
    }

    async fn purge(&self, space: &CacheSpace) -> Result<()> {
        let mut command = Cmd::new();
        command.arg("DEL").arg(names::mark(space));
        self.0.ask(&command).await
    }

    fn value_bytes_max(&self) -> usize {
        self.0.options().value_bytes_max
    }

    fn usage(&self) -> Option<CacheUsage> {
        None
    }
}
