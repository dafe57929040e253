//! What a cache is: values by name that may be gone at any time, but are never old ones.

use std::fmt::{Debug, Display};

use async_trait::async_trait;
use bytes::Bytes;

use crate::error::{Error, Kind, Result};

/// Characters of the longest namespace.
pub const CACHE_NAMESPACE_MAX: usize = 128;
/// Characters of the longest key.
pub const CACHE_KEY_MAX: usize = 1_024;
/// The longest life of a value, milliseconds: 366 days.
pub const CACHE_LIFE_MAX_MS: u64 = 366 * 24 * 60 * 60 * 1_000;

/// A part of a cache that is emptied at once.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CacheSpace {
    /// Whose it is; `None`: everybody's. What one tenant puts no other sees.
    pub tenant: Option<String>,
    /// Its name.
    pub namespace: String,
}

/// The name of one value.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CacheName {
    /// The part of the cache that it is in.
    pub space: CacheSpace,
    /// Its name in there.
    pub key: String,
}

impl CacheSpace {
    /// Checks the name's length.
    ///
    /// # Errors
    /// `R0440` when it is empty or longer than [`CACHE_NAMESPACE_MAX`] characters.
    pub fn check(&self) -> Result<()> {
        sized("namespace", &self.namespace, CACHE_NAMESPACE_MAX)
    }
}

impl CacheName {
    /// Checks the lengths of its parts.
    ///
    /// # Errors
    /// `R0440` when one is empty, the namespace longer than [`CACHE_NAMESPACE_MAX`] or the key longer than [`CACHE_KEY_MAX`] characters.
    pub fn check(&self) -> Result<()> {
        self.space.check()?;
        sized("key", &self.key, CACHE_KEY_MAX)
    }
}

fn sized(what: &str, text: &str, most: usize) -> Result<()> {
    let characters = text.chars().count();
    if (1..=most).contains(&characters) {
        return Ok(());
    }
    let message = format!("the {what} has {characters} characters; 1 to {most} are allowed");
    Err(Error::new(Kind::Invalid, "R0440", message).hint("Use a hash of a long name."))
}

/// A value in a cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheValue {
    /// What it is, as a media type.
    pub media: String,
    /// The bytes.
    pub body: Bytes,
}

/// How full a cache of this process is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheUsage {
    /// Values, with those whose life is over but that nobody asked for since.
    pub entries: u64,
    /// Bytes of names and values.
    pub bytes: u64,
    /// Most bytes there may be.
    pub bytes_max: u64,
}

/// Keeps values for a time.
///
/// A value may be gone before its time. What is never so: that a value is given after a later `put`, `delete` or `purge` of its
/// name came back without an error. After an error it is not known whether it was done.
#[async_trait]
pub trait Cache: Debug + Display + Send + Sync + 'static {
    /// The value, if it is there and its time is not over.
    ///
    /// # Errors
    /// `R0448`, [`Kind::Unavailable`], when the cache is out of reach: to callers that is as if it was not there.
    async fn get(&self, name: &CacheName) -> Result<Option<CacheValue>>;

    /// Keeps a value for at most `life_ms` milliseconds, at most [`CACHE_LIFE_MAX_MS`], instead of what was there.
    ///
    /// # Errors
    /// `R0442` when it has more bytes than [`Cache::value_bytes_max`]; `R0448` when the cache is out of reach.
    async fn put(&self, name: &CacheName, value: CacheValue, life_ms: u64) -> Result<()>;

    /// Forgets a value, if there is one.
    ///
    /// # Errors
    /// `R0448` when the cache is out of reach: then the value may be there again later.
    async fn delete(&self, name: &CacheName) -> Result<()>;

    /// Forgets all values of a part, in one step, however many they are.
    ///
    /// # Errors
    /// As [`Cache::delete`].
    async fn purge(&self, space: &CacheSpace) -> Result<()>;

    /// Bytes of the largest value.
    fn value_bytes_max(&self) -> usize;

    /// How full it is; `None` where it is not in this process.
    fn usage(&self) -> Option<CacheUsage>;

    /// Checks the size of a value.
    ///
    /// # Errors
    /// `R0442` when it is too large.
    fn check_size(&self, value: &CacheValue) -> Result<()> {
        let most = self.value_bytes_max();
        if value.body.len() <= most {
            return Ok(());
        }
        let message = format!("the value has {} bytes; the cache takes at most {most}", value.body.len());
        Err(Error::new(Kind::Invalid, "R0442", message)
            .hint("Keep less, or as a document: a cache is for what is small and asked for often."))
    }
}
