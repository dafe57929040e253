//! [`Follower`]: scans, hints and the time between them.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use repot_core::moving::{Hinted, Hints, Marks};
use repot_core::store::{Layout, Objects, Whose};
use repot_core::{Clock, Error, Pacing, Result};
use tokio::sync::Notify;

use super::known::Known;
use super::looking::{Look, Scanned, is_own};
use super::sight::Patience;
use super::status::FollowStatus;

/// First wait after a scan that failed, and the longest.
const BACKOFF_MS: (u64, u64) = (500, 60_000);

/// What a follower works with.
#[derive(Debug, Clone)]
pub struct Followed {
    /// The old store.
    pub objects: Arc<dyn Objects>,
    /// Where the documents lie in it.
    pub layout: Arc<Layout>,
    /// What the new store knows of it.
    pub known: Arc<dyn Known>,
    /// Where changes go.
    pub marks: Arc<dyn Marks>,
    /// What tells of changes at once; `None`: scans find all of them.
    pub hints: Option<Arc<dyn Hints>>,
    /// Time of day.
    pub clock: Arc<dyn Clock>,
    /// Waiting.
    pub pacing: Arc<dyn Pacing>,
}

/// How a follower works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FollowOptions {
    /// Shortest time from the end of a scan to the next, milliseconds.
    pub interval_ms: u64,
    /// Scans take at most this part of the time, in percent, 1 to 100; the time between them grows with what they take.
    pub share_percent: u64,
    /// How long hints are gathered before they are taken up, milliseconds.
    pub debounce_ms: u64,
    /// An object that changed less long ago is marked once more later: it may have changed again in the same tick of the
    /// store's clock. Longer than such a tick and than the two clocks may differ, milliseconds.
    pub young_ms: i64,
    /// The longest time for which a worker may hold a document, with what clocks may differ, milliseconds.
    pub claim_ms: i64,
    /// Bytes of the largest file that is read for the keys in it.
    pub document_bytes_max: u64,
}

impl Default for FollowOptions {
    fn default() -> Self {
        Self {
            interval_ms: 10_000,
            share_percent: 10,
            debounce_ms: 20,
            young_ms: 2_000,
            claim_ms: 60_000,
            document_bytes_max: 16 << 20,
        }
    }
}

/// Follows a store that others write: see the module.
///
/// May be dropped at any moment, and several may follow one store, also in several processes: what one of them did not
/// bring to its end is found by the next scan of any.
pub struct Follower {
    pub(super) with: Followed,
    pub(super) options: FollowOptions,
    status: Mutex<FollowStatus>,
    /// A scan is wanted before its time.
    wanted: Notify,
}

impl fmt::Debug for Follower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let objects = self.with.objects.to_string();
        f.debug_struct("Follower")
            .field("objects", &objects)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Follower {
    /// A follower that did nothing yet.
    #[must_use]
    pub fn new(with: Followed, options: FollowOptions) -> Self {
        Self { with, options, status: Mutex::default(), wanted: Notify::new() }
    }

    /// How far it is.
    #[must_use]
    pub fn status(&self) -> FollowStatus {
        let watching = self.with.hints.as_ref().is_some_and(|hints| hints.is_whole());
        FollowStatus { watching, ..self.state().clone() }
    }

    /// Follows until `stop` comes back. What goes wrong is in the status, and is tried again.
    ///
    /// # Cancel safety
    /// It may be dropped at any moment.
    pub async fn run(&self, stop: impl Future<Output = ()> + Send) {
        tokio::select! {
            biased;
            () = stop => {}
            () = self.scan_again_and_again() => {}
            () = self.listen() => {}
        }
    }

    /// One whole scan: when it comes back, whatever others changed before it began is marked.
    ///
    /// # Errors
    /// When the old store cannot be listed, or the new one is out of reach. Some of what changed may be marked.
    ///
    /// # Cancel safety
    /// It may be dropped at any moment.
    pub async fn scan(&self) -> Result<Scanned> {
        self.look(Look::new(self)).await
    }

    /// The same, and every document that either store has is marked, changed or not: who copies compares them all.
    ///
    /// # Errors
    /// As [`Follower::scan`].
    pub async fn mark_everything(&self) -> Result<Scanned> {
        self.look(Look::new(self).at_everything()).await
    }

    async fn look(&self, mut look: Look<'_>) -> Result<Scanned> {
        let began_ms = self.now_ms();
        let done = match look.below("").await {
            Ok(()) => look.end().await,
            Err(error) => Err(error),
        };
        let (found, trouble) = done.inspect_err(|error| self.failed(error))?;
        let mut state = self.state();
        let now_ms = self.now_ms();
        state.scanned_ms = Some(now_ms);
        state.scan_took_ms = now_ms.saturating_sub(began_ms);
        state.listed = found.listed;
        state.unnamed = found.unnamed;
        state.last_error = trouble.map(|error| error.to_string());
        Ok(found)
    }

    async fn scan_again_and_again(&self) {
        let mut failures = 0;
        loop {
            let began_ms = self.now_ms();
            let (least_ms, most_ms) = if self.scan().await.is_ok() {
                failures = 0;
                let took_ms = u64::try_from(self.now_ms().saturating_sub(began_ms)).unwrap_or(0);
                let share = self.options.share_percent.clamp(1, 100);
                let least_ms = took_ms.saturating_mul(100 - share) / share;
                (least_ms, least_ms.max(self.options.interval_ms))
            } else {
                failures += 1;
                let wait_ms = self.backoff_ms(failures);
                (wait_ms, wait_ms)
            };
            self.with.pacing.pause(least_ms).await;
            tokio::select! {
                () = self.wanted.notified() => {}
                () = self.with.pacing.pause(most_ms - least_ms) => {}
            }
        }
    }

    fn backoff_ms(&self, failures: u32) -> u64 {
        let (first_ms, most_ms) = BACKOFF_MS;
        let wait_ms = first_ms.saturating_mul(1 << (failures - 1).min(16)).min(most_ms);
        // so that those who failed together do not come back together
        wait_ms - self.with.pacing.random() % (wait_ms / 4)
    }

    async fn listen(&self) {
        let Some(hints) = &self.with.hints else { return std::future::pending().await };
        loop {
            hints.wait().await;
            self.with.pacing.pause(self.options.debounce_ms).await;
            let hinted = hints.take();
            if self.take_up(&hinted).await.is_err() || hinted.lost {
                self.wanted.notify_one();
            }
        }
    }

    async fn take_up(&self, hinted: &Hinted) -> Result<()> {
        self.state().hints += (hinted.paths.len() + hinted.folders.len()) as u64;
        let mut look = Look::new(self);
        let done = async {
            for path in &hinted.paths {
                look.hinted(path).await?;
            }
            for folder in &hinted.folders {
                look.below(folder).await?;
            }
            look.end().await
        };
        match done.await {
            Ok((_, None)) => Ok(()),
            Ok((_, Some(error))) | Err(error) => {
                self.failed(&error);
                Err(error)
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, FollowStatus> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, error: &Error) {
        self.state().last_error = Some(error.to_string());
    }

    pub(super) fn marked(&self, count: usize) {
        self.state().marked += count as u64;
    }

    pub(super) fn now_ms(&self) -> i64 {
        self.with.clock.now_ms()
    }

    pub(super) const fn patience(&self) -> Patience {
        Patience { young_ms: self.options.young_ms, claim_ms: self.options.claim_ms }
    }

    pub(super) fn whose(&self, path: &str) -> Whose {
        if is_own(path) { Whose::Nobody } else { self.with.layout.whose(path) }
    }
}
