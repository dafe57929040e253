//! One who listens, at a position of its own.

use std::sync::Arc;

use repot_core::Result;

use super::entry::Entry;
use super::hub::{Feed, Look, Place};
use super::wanted::Wanted;

/// A listener. It holds the changes that it tells next, and no more.
pub(crate) struct Listener {
    feed: Feed,
    wanted: Wanted,
    position: u64,
    /// Of which log the position is; `None`: that is not known yet.
    epoch: Option<u64>,
    found: Vec<Arc<Entry>>,
    _place: Place,
}

impl Listener {
    /// Listens to what comes after this position.
    ///
    /// # Errors
    /// `R0610` when there are too many.
    pub(crate) fn new(feed: Feed, wanted: Wanted, position: u64) -> Result<Self> {
        let place = feed.place()?;
        Ok(Self { feed, wanted, position, epoch: None, found: Vec::new(), _place: place })
    }

    /// Everything up to here was given, or was not wanted.
    pub(crate) fn position(&self) -> u64 {
        self.found.first().map_or(self.position, |first| first.seq.saturating_sub(1))
    }

    pub(crate) const fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// Looks whether the log knows the position.
    ///
    /// # Errors
    /// As [`Listener::next`].
    pub(crate) async fn check(&mut self) -> Result<()> {
        match self.feed.look(self.position, None) {
            Look::Behind(epoch, from) => self.catch_up(epoch, from).await,
            Look::Nothing | Look::Found(..) => Ok(()),
        }
    }

    /// The next changes, which are some; waits for them. May be given up at any time: what was not given comes again.
    ///
    /// # Errors
    /// `R0604` when it was so slow that the log does not reach back to it; when the store is out of reach.
    pub(crate) async fn next(&mut self) -> Result<Vec<Arc<Entry>>> {
        loop {
            if !self.found.is_empty() {
                return Ok(std::mem::take(&mut self.found));
            }
            let mut news = self.feed.news();
            match self.feed.look(self.position, self.epoch) {
                Look::Nothing => {
                    // its sender lives as long as the feed, which is held here
                    let _told = news.changed().await;
                }
                Look::Found(found, position) => self.take(found, position),
                Look::Behind(epoch, from) => self.catch_up(epoch, from).await?,
            }
        }
    }

    async fn catch_up(&mut self, epoch: u64, from: u64) -> Result<()> {
        let (found, next, more) = self.feed.catch_up(self.position).await?;
        self.epoch = Some(epoch);
        // what the log had before it was read has been read with it
        self.take(found, if more { next } else { next.max(from) });
        Ok(())
    }

    fn take(&mut self, found: Vec<Arc<Entry>>, position: u64) {
        self.position = self.position.max(position);
        self.found = found.into_iter().filter(|entry| self.wanted.has(entry)).collect();
    }
}
