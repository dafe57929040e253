//! [`MemoryCache`]: a cache in the memory of this process.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use quick_cache::sync::{Cache as Shelf, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};
use repot_core::{
    CACHE_LIFE_MAX_MS, Cache, CacheName, CacheSpace, CacheUsage, CacheValue, Clock, Error, Kind, Result,
};

/// Bytes that the bookkeeping of one value takes, about.
const ENTRY_BYTES: u64 = 160;
/// Bytes of the largest value, however large the cache is; of a small cache, an eighth of it.
const VALUE_BYTES_MAX: usize = 4 << 20;
/// Bytes of a usual value, from which the number of values is guessed.
const VALUE_BYTES_USUAL: usize = 2 << 10;
/// Namespaces whose last purge is remembered; when there are more, everything is purged instead.
const PURGES_MAX: usize = 10_000;

/// A value with its time.
#[derive(Debug, Clone)]
struct Kept {
    value: CacheValue,
    until_ms: i64,
    /// When it came, in steps of this cache.
    step: u64,
}

/// Weighs names and values by their bytes.
#[derive(Debug, Clone)]
struct Bytes;

impl Weighter<CacheName, Kept> for Bytes {
    fn weight(&self, name: &CacheName, kept: &Kept) -> u64 {
        let tenant = name.space.tenant.as_ref().map_or(0, String::len);
        let names = tenant + name.space.namespace.len() + name.key.len() + kept.value.media.len();
        ENTRY_BYTES + (names + kept.value.body.len()) as u64
    }
}

/// What was purged.
#[derive(Debug, Default)]
struct Purges {
    /// Values that came before this step are gone.
    all: u64,
    /// Those of one part that came before its step.
    each: HashMap<CacheSpace, u64>,
}

/// Values in memory, bounded by their bytes: what is asked for seldom goes first.
pub struct MemoryCache {
    shelf: Shelf<CacheName, Kept, Bytes>,
    clock: Arc<dyn Clock>,
    bytes_max: usize,
    step: AtomicU64,
    purges: Mutex<Purges>,
}

impl MemoryCache {
    /// At most `bytes_max` bytes of names and values, at least 64 KiB.
    ///
    /// # Errors
    /// `R0901` when the cache cannot be made.
    pub fn new(bytes_max: usize, clock: Arc<dyn Clock>) -> Result<Self> {
        let bytes_max = bytes_max.max(64 << 10);
        // one part: a value may then take as much of the whole as it is said to
        let options = OptionsBuilder::new()
            .shards(1)
            .weight_capacity(bytes_max as u64)
            .estimated_items_capacity((bytes_max / VALUE_BYTES_USUAL).clamp(64, 1 << 16))
            .build()
            .map_err(|error| Error::new(Kind::Internal, "R0901", "the cache cannot be made").cause(error))?;
        let shelf =
            Shelf::with_options(options, Bytes, DefaultHashBuilder::default(), DefaultLifecycle::default());
        Ok(Self { shelf, clock, bytes_max, step: AtomicU64::new(1), purges: Mutex::default() })
    }

    fn purges(&self) -> MutexGuard<'_, Purges> {
        self.purges.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn holds(&self, name: &CacheName, kept: &Kept) -> bool {
        if self.clock.now_ms() >= kept.until_ms {
            return false;
        }
        let purges = self.purges();
        kept.step > purges.all && purges.each.get(&name.space).is_none_or(|&purged| kept.step > purged)
    }
}

impl fmt::Debug for MemoryCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryCache").field("bytes_max", &self.bytes_max).finish_non_exhaustive()
    }
}

impl fmt::Display for MemoryCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "memory, {} MiB", self.bytes_max >> 20)
    }
}

#[async_trait]
impl Cache for MemoryCache {
    async fn get(&self, name: &CacheName) -> Result<Option<CacheValue>> {
        let Some(kept) = self.shelf.get(name) else { return Ok(None) };
        if self.holds(name, &kept) {
            return Ok(Some(kept.value));
        }
        // another may have been put meanwhile
        self.shelf.remove_if(name, |other| other.step == kept.step);
        Ok(None)
    }

    async fn put(&self, name: &CacheName, value: CacheValue, life_ms: u64) -> Result<()> {
        self.check_size(&value)?;
        let life_ms = i64::try_from(life_ms.min(CACHE_LIFE_MAX_MS)).unwrap_or(i64::MAX);
        let until_ms = self.clock.now_ms().saturating_add(life_ms);
        // taken before it is there, so that a purge in between is after it
        let step = self.step.fetch_add(1, Ordering::SeqCst);
        self.shelf.insert(name.clone(), Kept { value, until_ms, step });
        Ok(())
    }

    async fn delete(&self, name: &CacheName) -> Result<()> {
        self.shelf.remove(name);
        Ok(())
    }

    async fn purge(&self, space: &CacheSpace) -> Result<()> {
        let mut purges = self.purges();
        let step = self.step.fetch_add(1, Ordering::SeqCst);
        if purges.each.len() >= PURGES_MAX && !purges.each.contains_key(space) {
            purges.each.clear();
            purges.all = step;
        } else {
            purges.each.insert(space.clone(), step);
        }
        Ok(())
    }

    fn value_bytes_max(&self) -> usize {
        VALUE_BYTES_MAX.min(self.bytes_max / 8)
    }

    fn usage(&self) -> Option<CacheUsage> {
        Some(CacheUsage {
            entries: self.shelf.len() as u64,
            bytes: self.shelf.weight(),
            bytes_max: self.bytes_max as u64,
        })
    }
}
