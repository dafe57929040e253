//! Objects in memory that count their calls, hold them back, or fail when a test says so.

use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use repot_core::store::{ETag, MemoryObjects, ObjectBody, ObjectMeta, ObjectPowers, Objects, Precondition};
use repot_core::{Error, Kind, Result, Retry};
use tokio::sync::Semaphore;

/// Memory behind a gate.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) inner: MemoryObjects,
    /// Reads that may pass.
    pub(crate) reads: Semaphore,
    pub(crate) puts: AtomicUsize,
    /// Writes until one fails, and what it does then.
    fault: Mutex<Option<(usize, Fault)>>,
}

/// What a write does instead of succeeding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing, then and ever after, as if the process had ended before it.
    DeadBefore,
    /// It happens, but its answer is lost, and nothing works any more.
    DeadAfter,
    /// It cannot be kept.
    Refused,
}

impl Gate {
    /// Everything passes.
    pub(crate) fn open() -> Arc<Self> {
        let gate = Self::closed();
        gate.reads.add_permits(1_000_000);
        gate
    }

    /// Reads wait.
    pub(crate) fn closed() -> Arc<Self> {
        Arc::new(Self {
            inner: MemoryObjects::new(),
            reads: Semaphore::new(0),
            puts: AtomicUsize::new(0),
            fault: Mutex::new(None),
        })
    }

    /// The write number `at` from now fails, counted from 0.
    pub(crate) fn fail(&self, at: usize, fault: Fault) {
        *self.fault.lock().unwrap() = Some((at, fault));
    }

    /// Everything works again, as after a restart; gives whether the fault came.
    pub(crate) fn mend(&self) -> bool {
        self.fault.lock().unwrap().take().is_none_or(|(left, _)| left == 0)
    }

    fn next(&self) -> Option<Fault> {
        let mut fault = self.fault.lock().unwrap();
        let (left, fault) = fault.as_mut()?;
        if *left > 0 {
            *left -= 1;
            return None;
        }
        let now = *fault;
        if now == Fault::DeadAfter {
            *fault = Fault::DeadBefore;
        }
        Some(now)
    }
}

fn dead() -> Error {
    Error::new(Kind::Unavailable, "R0102", "the process has ended").retry(Retry::Unknown)
}

fn refused(path: &str) -> Error {
    Error::new(Kind::Invalid, "R0403", format!("{path} cannot be kept"))
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("gate")
    }
}

#[async_trait]
impl Objects for Gate {
    fn powers(&self) -> ObjectPowers {
        self.inner.powers()
    }

    async fn probe(&self) -> Result<()> {
        self.inner.probe().await
    }

    async fn get(&self, path: &str, bytes_max: u64) -> Result<Option<ObjectBody>> {
        let _passed = self.reads.acquire().await.unwrap();
        self.inner.get(path, bytes_max).await
    }

    async fn head(&self, path: &str) -> Result<Option<ObjectMeta>> {
        self.inner.head(path).await
    }

    async fn put(&self, path: &str, bytes: Bytes, when: &Precondition) -> Result<ETag> {
        self.puts.fetch_add(1, Ordering::Relaxed);
        match self.next() {
            None => self.inner.put(path, bytes, when).await,
            Some(Fault::Refused) => Err(refused(path)),
            Some(Fault::DeadBefore) => Err(dead()),
            Some(Fault::DeadAfter) => self.inner.put(path, bytes, when).await.and(Err(dead())),
        }
    }

    async fn delete(&self, path: &str, when: &Precondition) -> Result<bool> {
        match self.next() {
            None => self.inner.delete(path, when).await,
            Some(Fault::Refused) => Err(refused(path)),
            Some(Fault::DeadBefore) => Err(dead()),
            Some(Fault::DeadAfter) => self.inner.delete(path, when).await.and(Err(dead())),
        }
    }

    async fn list(&self, prefix: &str, after: Option<&str>, most: usize) -> Result<Vec<ObjectMeta>> {
        self.inner.list(prefix, after, most).await
    }
}
