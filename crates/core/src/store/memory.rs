//! Objects in memory: the reference of all others, and a store for tests.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use super::deadline::{check_deadline, unsettled};
use super::etag::{ETag, Precondition};
use super::objects::{ObjectBody, ObjectMeta, ObjectPowers, Objects};
use crate::clock::{Clock, SystemClock};
use crate::error::{Error, Kind, Result};

/// Longest path, bytes; that of S3.
const PATH_BYTES_MAX: usize = 1_024;

/// Objects in memory; gone with the process.
#[derive(Debug)]
pub struct MemoryObjects {
    objects: Mutex<Inner>,
    /// Time of day, for deadlines.
    clock: Arc<dyn Clock>,
}

#[derive(Debug, Default)]
struct Inner {
    objects: BTreeMap<String, ObjectBody>,
    writes: u64,
}

impl MemoryObjects {
    /// Nothing in it.
    #[must_use]
    pub fn new() -> Self {
        Self { objects: Mutex::default(), clock: Arc::new(SystemClock) }
    }

    /// The same with another time of day, for deadlines.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryObjects {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for MemoryObjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("memory")
    }
}

fn meta(path: &str, object: &ObjectBody) -> ObjectMeta {
    ObjectMeta {
        path: path.to_owned(),
        size_bytes: object.bytes.len() as u64,
        modified_ns: 0,
        etag: Some(object.etag.clone()),
    }
}

#[async_trait]
impl Objects for MemoryObjects {
    fn powers(&self) -> ObjectPowers {
        ObjectPowers {
            conditional_put: true,
            conditional_delete: true,
            deadlines: true,
            keys_per_tenant: true,
        }
    }

    async fn probe(&self) -> Result<()> {
        Ok(())
    }

    async fn get(&self, path: &str, bytes_max: u64) -> Result<Option<ObjectBody>> {
        let found = self.inner().objects.get(path).cloned();
        if let Some(object) = &found
            && object.bytes.len() as u64 > bytes_max
        {
            let size = object.bytes.len();
            return Err(Error::new(
                Kind::Unsupported,
                "R0213",
                format!("{path} has {size} bytes, {bytes_max} are the most"),
            ));
        }
        Ok(found)
    }

    async fn head(&self, path: &str) -> Result<Option<ObjectMeta>> {
        Ok(self.inner().objects.get(path).map(|object| meta(path, object)))
    }

    async fn put(
        &self,
        path: &str,
        bytes: Bytes,
        when: &Precondition,
        until_ms: Option<i64>,
    ) -> Result<ETag> {
        if path.is_empty() || path.len() > PATH_BYTES_MAX {
            return Err(Error::new(
                Kind::Invalid,
                "R0403",
                format!("a path of {} bytes cannot be kept, 1 to {PATH_BYTES_MAX} can", path.len()),
            ));
        }
        let mut inner = self.inner();
        when.check(&path, inner.objects.get(path).map(|object| &object.etag))?;
        check_deadline(until_ms, self.clock.now_ms())?;
        inner.writes += 1;
        let etag = ETag::new(&inner.writes.to_string());
        inner.objects.insert(path.to_owned(), ObjectBody { bytes, etag: etag.clone(), modified_ns: 0 });
        Ok(etag)
    }

    async fn delete(&self, path: &str, when: &Precondition, until_ms: Option<i64>) -> Result<bool> {
        when.check_present()?;
        let mut inner = self.inner();
        when.check(&path, inner.objects.get(path).map(|object| &object.etag))?;
        check_deadline(until_ms, self.clock.now_ms())?;
        Ok(inner.objects.remove(path).is_some())
    }

    async fn settle(&self, path: &str, until_ms: i64) -> Result<()> {
        // whoever looked at the time before holds the objects until it has written
        let _nobody_writes = self.inner();
        if self.clock.now_ms() >= until_ms {
            Ok(())
        } else {
            Err(unsettled(self, path, "it is not the time yet"))
        }
    }

    async fn list(&self, prefix: &str, after: Option<&str>, most: usize) -> Result<Vec<ObjectMeta>> {
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let inner = self.inner();
        let range = inner.objects.range::<str, _>((start, Bound::Unbounded));
        Ok(range
            .take_while(|(path, _)| path.starts_with(prefix))
            .take(most)
            .map(|(path, object)| meta(path, object))
            .collect())
    }
}
