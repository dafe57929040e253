//! Objects behind a connection that is slow, is cut, or delivers what a dead process sent.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use repot_core::store::{ETag, ObjectBody, ObjectMeta, ObjectPowers, Objects, Precondition};
use repot_core::{Error, Kind, Result, Retry};
use tokio::sync::Notify;

/// What goes wrong on the way to a store.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// Nothing gets through, and the caller is told so.
    pub cut: AtomicBool,
    /// Requests take up to so many milliseconds, of which some pass before they arrive.
    pub delay_ms: AtomicU64,
    /// Where the next who writes an object is killed.
    pub death: Mutex<Option<Death>>,
    pub died: Notify,
    /// Copies into the store arrive as another text.
    pub spoils: AtomicBool,
    /// Writes are refused.
    pub refuses: AtomicBool,
    dice: AtomicU64,
}

/// When somebody is killed who writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Death {
    BeforeItIsSent,
    AfterItIsThere,
}

impl Line {
    /// Never comes back where this is the moment of death.
    async fn live_through(&self, moment: Death) {
        let dies = self.death.lock().unwrap().take_if(|death| *death == moment).is_some();
        if dies {
            self.died.notify_one();
            std::future::pending::<()>().await;
        }
    }

    pub(super) fn random(&self) -> u64 {
        let mut mixed = self.dice.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::SeqCst);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn seeded(seed: u64) -> Arc<Self> {
        Arc::new(Self { dice: AtomicU64::new(seed), ..Self::default() })
    }

    pub(super) async fn pass(&self) -> Result<()> {
        let most = self.delay_ms.load(Ordering::SeqCst);
        if most > 0 {
            tokio::time::sleep(Duration::from_millis(self.random() % most)).await;
        }
        if self.cut.load(Ordering::SeqCst) {
            return Err(Error::new(Kind::Unavailable, "R0203", "the line is cut").retry(Retry::Unknown));
        }
        Ok(())
    }
}

/// What is sent arrives, also where nobody waits for the answer any more.
pub(super) async fn sent<T: Send + 'static>(
    line: &Arc<Line>,
    request: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    let line = Arc::clone(line);
    let sent = tokio::spawn(async move {
        line.pass().await?;
        let answer = request.await;
        // the answer may be lost
        line.pass().await?;
        answer
    });
    sent.await.unwrap()
}

/// Objects behind such a line.
#[derive(Debug)]
pub(super) struct Far {
    pub objects: Arc<dyn Objects>,
    pub line: Arc<Line>,
}

impl fmt::Display for Far {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.objects.fmt(f)
    }
}

#[async_trait]
impl Objects for Far {
    fn powers(&self) -> ObjectPowers {
        self.objects.powers()
    }

    async fn probe(&self) -> Result<()> {
        self.line.pass().await?;
        self.objects.probe().await
    }

    async fn get(&self, path: &str, bytes_max: u64) -> Result<Option<ObjectBody>> {
        self.line.pass().await?;
        let found = self.objects.get(path, bytes_max).await;
        self.line.pass().await?;
        found
    }

    async fn head(&self, path: &str) -> Result<Option<ObjectMeta>> {
        self.line.pass().await?;
        self.objects.head(path).await
    }

    async fn put(
        &self,
        path: &str,
        bytes: Bytes,
        when: &Precondition,
        until_ms: Option<i64>,
    ) -> Result<ETag> {
        self.line.live_through(Death::BeforeItIsSent).await;
        if self.line.refuses.load(Ordering::SeqCst) {
            return Err(Error::new(Kind::Unsupported, "R0403", "the store does not take it"));
        }
        let (objects, path, when) = (Arc::clone(&self.objects), path.to_owned(), when.clone());
        let put = sent(&self.line, async move { objects.put(&path, bytes, &when, until_ms).await }).await;
        self.line.live_through(Death::AfterItIsThere).await;
        put
    }

    async fn delete(&self, path: &str, when: &Precondition, until_ms: Option<i64>) -> Result<bool> {
        let (objects, path, when) = (Arc::clone(&self.objects), path.to_owned(), when.clone());
        sent(&self.line, async move { objects.delete(&path, &when, until_ms).await }).await
    }

    async fn settle(&self, path: &str, until_ms: i64) -> Result<()> {
        self.line.pass().await?;
        self.objects.settle(path, until_ms).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>, most: usize) -> Result<Vec<ObjectMeta>> {
        self.line.pass().await?;
        self.objects.list(prefix, after, most).await
    }
}
