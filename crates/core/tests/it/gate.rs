//! Objects in memory that count their calls, hold them back, or fail when a test says so.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

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
    /// Writes that may pass.
    pub(crate) writes: Semaphore,
    /// Writes until one fails, and what it does then; after that the next.
    faults: Mutex<VecDeque<(usize, Fault)>>,
    /// Another always writes just before a conditional write.
    pub(crate) overtake: AtomicBool,
}

/// What a write does instead of succeeding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing works from then on, as if the process had ended before it.
    DeadBefore,
    /// It happens, but its answer is lost, and nothing works any more.
    DeadAfter,
    /// It cannot be kept. The next works.
    Refused,
    /// What came of the first two.
    Dead,
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
        Self::with(MemoryObjects::new())
    }

    /// The same before these.
    pub(crate) fn with(inner: MemoryObjects) -> Arc<Self> {
        Arc::new(Self {
            inner,
            reads: Semaphore::new(0),
            puts: AtomicUsize::new(0),
            writes: Semaphore::new(1_000_000),
            faults: Mutex::default(),
            overtake: AtomicBool::new(false),
        })
    }

    /// The write number `at` fails, counted from 0, from now or from the failure before.
    pub(crate) fn fail(&self, at: usize, fault: Fault) {
        self.faults.lock().unwrap().push_back((at, fault));
    }

    /// Everything works again, as after a restart; gives whether each fault came.
    pub(crate) fn mend(&self) -> bool {
        std::mem::take(&mut *self.faults.lock().unwrap()).iter().all(|(_, fault)| *fault == Fault::Dead)
    }

    fn next(&self) -> Option<Fault> {
        let mut faults = self.faults.lock().unwrap();
        let (left, fault) = faults.front_mut()?;
        let now = *fault;
        if now == Fault::Dead {
            return Some(now);
        }
        if *left > 0 {
            *left -= 1;
            return None;
        }
        if now == Fault::Refused {
            faults.pop_front();
        } else {
            *fault = Fault::Dead;
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

    async fn put(
        &self,
        path: &str,
        bytes: Bytes,
        when: &Precondition,
        until_ms: Option<i64>,
    ) -> Result<ETag> {
        self.writes.acquire().await.unwrap().forget();
        self.puts.fetch_add(1, Ordering::Relaxed);
        if self.overtake.load(Ordering::Relaxed)
            && let Some(there) = self.inner.get(path, 1_000_000).await?
        {
            self.inner.put(path, there.bytes, &Precondition::Any, None).await?;
        }
        match self.next() {
            None => self.inner.put(path, bytes, when, until_ms).await,
            Some(Fault::Refused) => Err(refused(path)),
            Some(Fault::DeadBefore | Fault::Dead) => Err(dead()),
            Some(Fault::DeadAfter) => self.inner.put(path, bytes, when, until_ms).await.and(Err(dead())),
        }
    }

    async fn delete(&self, path: &str, when: &Precondition, until_ms: Option<i64>) -> Result<bool> {
        self.writes.acquire().await.unwrap().forget();
        match self.next() {
            None => self.inner.delete(path, when, until_ms).await,
            Some(Fault::Refused) => Err(refused(path)),
            Some(Fault::DeadBefore | Fault::Dead) => Err(dead()),
            Some(Fault::DeadAfter) => self.inner.delete(path, when, until_ms).await.and(Err(dead())),
        }
    }

    async fn settle(&self, path: &str, until_ms: i64) -> Result<()> {
        self.inner.settle(path, until_ms).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>, most: usize) -> Result<Vec<ObjectMeta>> {
        self.inner.list(prefix, after, most).await
    }
}
