//! The one reader of the log, and the newest changes that it holds for those who listen.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use repot_core::store::{ChangeFeed, ChangePage, ChangePosition, ChangeScope, Queryable};
use repot_core::{Error, Kind, Pacing, Result};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};

use super::entry::Entry;
use crate::app::Options;

/// Changes that one call reads.
const READ_AT_ONCE: usize = 1_024;
/// Changes that a listener takes at once.
const TAKEN_AT_ONCE: usize = 256;
/// Time in which further writes are gathered before the log is read again.
const GATHER_MS: u64 = 5;
/// Pause after the log could not be read.
const FAILED_MS: u64 = 1_000;
/// Listeners that read the log themselves at the same time.
const CATCHING_UP: usize = 4;
/// Bytes of documents that are kept for listeners that tell the same changes.
const DOCUMENT_BYTES: usize = 8 << 20;

/// The feed of a process. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Feed(Arc<Inside>);

struct Inside {
    store: Arc<dyn Queryable>,
    pacing: Arc<dyn Pacing>,
    options: Options,
    state: Mutex<State>,
    /// Somebody wrote.
    bell: Notify,
    /// Something was read.
    news: watch::Sender<()>,
    ending: watch::Sender<bool>,
    places: Arc<Semaphore>,
    catching_up: Semaphore,
}

/// What is in memory: everything after `from` up to `to`.
#[derive(Default)]
struct State {
    entries: VecDeque<Arc<Entry>>,
    from: u64,
    /// `None`: nothing was read yet.
    to: Option<u64>,
    /// Grows when the log was found to be another one than before.
    epoch: u64,
    /// Documents of changes that were told, the oldest first, within [`DOCUMENT_BYTES`].
    documents: VecDeque<(u64, Arc<str>)>,
    document_bytes: usize,
    listeners: usize,
    is_read: bool,
}

/// What is there for a listener.
pub(super) enum Look {
    /// Nothing that it has not seen.
    Nothing,
    /// These changes; with them it has seen everything up to the position.
    Found(Vec<Arc<Entry>>, u64),
    /// It must read the log itself: from the second position on there is something in memory of this epoch.
    Behind(u64, u64),
}

impl Feed {
    pub(crate) fn new(store: Arc<dyn Queryable>, pacing: Arc<dyn Pacing>, options: Options) -> Self {
        Self(Arc::new(Inside {
            store,
            pacing,
            state: Mutex::default(),
            bell: Notify::new(),
            news: watch::Sender::new(()),
            ending: watch::Sender::new(false),
            places: Arc::new(Semaphore::new(options.listeners_max)),
            catching_up: Semaphore::new(CATCHING_UP),
            options,
        }))
    }

    /// Tells when it goes that something may have been written, also when the request that wrote is given up.
    pub(crate) fn writing(&self) -> Writing {
        Writing(Arc::clone(&self.0))
    }

    /// Every listener ends with what it has.
    pub(crate) fn end(&self) {
        self.0.ending.send_replace(true);
    }

    /// Comes back when the server ends.
    pub(crate) async fn ending(&self) {
        let mut ending = self.0.ending.subscribe();
        // the sender lives as long as this
        let _ended = ending.wait_for(|ending| *ending).await;
    }

    pub(crate) fn is_ending(&self) -> bool {
        *self.0.ending.borrow()
    }

    /// Comes back when nobody listens any more.
    pub(crate) async fn ended(&self) {
        let all = u32::try_from(self.0.options.listeners_max).unwrap_or(u32::MAX);
        // the places are never closed
        let _all = self.0.places.acquire_many(all).await;
    }

    /// The end of the log.
    ///
    /// # Errors
    /// `R0405` where there is none; when the store is out of reach.
    pub(crate) async fn position(&self) -> Result<u64> {
        Ok(self.0.log()?.position().await?.number())
    }

    /// A part of the log, of everybody's changes.
    ///
    /// # Errors
    /// As [`ChangeFeed::changes`].
    pub(crate) async fn page(&self, after: u64) -> Result<(Vec<Arc<Entry>>, u64, bool)> {
        let ChangePage { entries, next, more } = self.0.page(after).await?;
        Ok((entries.into_iter().map(|entry| Arc::new(entry.into())).collect(), next.number(), more))
    }

    /// As [`Feed::page`], for somebody who is behind: of those only a few read at the same time.
    pub(super) async fn catch_up(&self, after: u64) -> Result<(Vec<Arc<Entry>>, u64, bool)> {
        let _turn = self.0.catching_up.acquire().await;
        self.page(after).await
    }

    /// A place among those who listen; the reader reads while it is held.
    ///
    /// # Errors
    /// `R0610` when there are too many.
    pub(super) fn place(&self) -> Result<Place> {
        let permit = Arc::clone(&self.0.places).try_acquire_owned().map_err(|_full| {
            let message =
                format!("{} clients listen to changes already, as many as may", self.0.options.listeners_max);
            Error::new(Kind::Unavailable, "R0610", message)
                .hint("Try again later, ask for pages from time to time, or start another server.")
        })?;
        let mut state = self.0.state();
        state.listeners += 1;
        let starts = !std::mem::replace(&mut state.is_read, true);
        drop(state);
        if starts {
            tokio::spawn(Arc::clone(&self.0).read());
        }
        Ok(Place { inside: Arc::clone(&self.0), _permit: permit })
    }

    /// What is there after a position that is known to be of the log of this epoch.
    pub(super) fn look(&self, after: u64, epoch: Option<u64>) -> Look {
        let state = self.0.state();
        if epoch != Some(state.epoch) || after < state.from {
            return Look::Behind(state.epoch, state.from);
        }
        let Some(to) = state.to else { return Look::Nothing };
        if after >= to {
            return Look::Nothing;
        }
        let start = state.entries.partition_point(|entry| entry.seq <= after);
        let found: Vec<_> = state.entries.iter().skip(start).take(TAKEN_AT_ONCE).cloned().collect();
        let up_to = match found.last() {
            Some(last) if found.len() == TAKEN_AT_ONCE => last.seq,
            _ => to,
        };
        Look::Found(found, up_to)
    }

    /// The document of a change, as it was told already.
    pub(super) fn document(&self, seq: u64) -> Option<Arc<str>> {
        let state = self.0.state();
        state.documents.iter().rev().find(|(of, _)| *of == seq).map(|(_, text)| Arc::clone(text))
    }

    /// Keeps it for the others, while there are any.
    pub(super) fn keep_document(&self, seq: u64, text: &Arc<str>) {
        let mut state = self.0.state();
        if state.listeners < 2 || text.len() > DOCUMENT_BYTES / 8 {
            return;
        }
        state.document_bytes += text.len();
        state.documents.push_back((seq, Arc::clone(text)));
        while state.document_bytes > DOCUMENT_BYTES || state.documents.len() > READ_AT_ONCE {
            let Some((_, gone)) = state.documents.pop_front() else { break };
            state.document_bytes -= gone.len();
        }
    }

    /// Tells when something was read after this call.
    pub(super) fn news(&self) -> watch::Receiver<()> {
        self.0.news.subscribe()
    }
}

impl Inside {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log(&self) -> Result<&dyn ChangeFeed> {
        self.store.change_feed().ok_or_else(|| {
            Error::new(Kind::Unsupported, "R0405", format!("{} keeps no log of changes", self.store))
                .hint("Keep the documents in a database, or list and compare the ETags.")
        })
    }

    async fn page(&self, after: u64) -> Result<ChangePage> {
        self.log()?.changes(&ChangeScope::Everything, ChangePosition::new(after), READ_AT_ONCE).await
    }

    /// Reads while somebody listens: at once after a write of this process, and from time to time for those of others.
    async fn read(self: Arc<Self>) {
        loop {
            let pause_ms = match self.step().await {
                Ok(true) => GATHER_MS,
                Ok(false) => 0,
                Err(_out_of_reach) => FAILED_MS,
            };
            if !self.goes_on() {
                return;
            }
            if pause_ms > 0 {
                self.pacing.pause(pause_ms).await;
            } else {
                tokio::select! {
                    () = self.bell.notified() => {}
                    () = self.pacing.pause(self.options.feed_poll_ms) => {}
                }
            }
        }
    }

    /// Whether there are listeners; without any, nothing is kept.
    fn goes_on(&self) -> bool {
        let mut state = self.state();
        if state.listeners == 0 {
            *state = State { epoch: state.epoch, ..State::default() };
            return false;
        }
        true
    }

    /// Reads what is new; `true`: there was something.
    async fn step(&self) -> Result<bool> {
        let to = self.state().to;
        let Some(to) = to else {
            let position = self.log()?.position().await?.number();
            let mut state = self.state();
            (state.from, state.to) = (position, Some(position));
            drop(state);
            self.news.send_replace(());
            return Ok(true);
        };
        let page = match self.page(to).await {
            Ok(page) => page,
            // the log went on without us, or is another one now: those who listen find out by themselves
            Err(error) if error.code() == "R0604" => {
                let mut state = self.state();
                let epoch = state.epoch + 1;
                *state = State { epoch, listeners: state.listeners, is_read: true, ..State::default() };
                drop(state);
                return Ok(true);
            }
            Err(error) => return Err(error),
        };
        let next = page.next.number();
        let mut state = self.state();
        state.entries.extend(page.entries.into_iter().map(|entry| Arc::new(Entry::from(entry))));
        state.to = Some(next);
        while state.entries.len() > self.options.feed_entries_max {
            if let Some(gone) = state.entries.pop_front() {
                state.from = gone.seq;
            }
        }
        drop(state);
        if next > to {
            self.news.send_replace(());
        }
        Ok(next > to || page.more)
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("store", &self.0.store).finish_non_exhaustive()
    }
}

/// A request that may write.
pub(crate) struct Writing(Arc<Inside>);

impl Drop for Writing {
    fn drop(&mut self) {
        self.0.bell.notify_one();
    }
}

/// A place among those who listen.
pub(super) struct Place {
    inside: Arc<Inside>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.inside.state();
        state.listeners = state.listeners.saturating_sub(1);
    }
}
