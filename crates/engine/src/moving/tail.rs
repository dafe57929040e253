//! What changed in the new store, whoever changed it, becomes marks: its log is the journal of the documents that it leads.

use std::sync::Arc;

use repot_core::change_log::ChangeKind;
use repot_core::moving::Lead;
use repot_core::store::{ChangePosition, ChangeScope};
use repot_core::{Error, Kind, Result};

use super::follow::{FollowOptions, Followed, Follower};
use super::member::{Moving, View};
use super::names::named;

/// Entries read at once; their marks and the position fit into one unit of work.
const READ_AT_ONCE: usize = 90;

impl Moving {
    /// Marks what changed in the new store since the log was read last; gives whether there is more.
    ///
    /// # Errors
    /// When the new store is out of reach.
    pub async fn read_log(&self) -> Result<bool> {
        let View::Goes(control, state) = self.ask().await? else { return Ok(false) };
        let Some(feed) = self.sides.new.change_feed() else { return Ok(false) };
        let Some((position, version)) = self.journal.position().await? else {
            // from now on: what was there before was copied and proved, or is marked by who follows the old store
            let end = feed.position().await?;
            self.journal.read_on(&[], (end.number(), None), state).await?;
            return Ok(true);
        };
        let page = feed.changes(&ChangeScope::Everything, ChangePosition::new(position), READ_AT_ONCE).await;
        let page = match page {
            Err(error) if error.code() == "R0604" => return self.begin_anew(version, state).await,
            page => page?,
        };
        if page.next.number() == position {
            return Ok(false);
        }
        let mut keys = Vec::new();
        for entry in page.entries {
            if entry.kind == ChangeKind::Collection {
                // which documents plain SQL changed is not known
                self.mark_everything().await?;
            } else if let Some(key) = named(&self.sides.layout, &entry.key, entry.path.as_deref())
                // what was copied from the old store stands in the log, too
                && (control.leads.of(&key) == Lead::New || entry.kind != ChangeKind::Put)
            {
                keys.push(key);
            }
        }
        if self.journal.read_on(&keys, (page.next.number(), Some(version)), state).await? && !keys.is_empty()
        {
            self.wake.notify_one();
        }
        Ok(page.more)
    }

    /// The log was cut off before the position: everything is marked, and the log is read on from its end.
    async fn begin_anew(&self, version: i64, state: i64) -> Result<bool> {
        let feed = self.sides.new.change_feed().ok_or_else(no_feed)?;
        let end = feed.position().await?;
        self.mark_everything().await?;
        self.journal.read_on(&[], (end.number(), Some(version)), state).await?;
        Ok(true)
    }

    /// Marks every document that either store has, of every tenant.
    async fn mark_everything(&self) -> Result<()> {
        self.follower().mark_everything().await?;
        self.wake.notify_one();
        Ok(())
    }

    /// Follows the old store for this process itself, without hints.
    pub(super) fn follower(&self) -> Follower {
        Follower::new(
            Followed {
                objects: Arc::clone(self.sides.beside.objects()),
                layout: Arc::clone(&self.sides.layout),
                known: Arc::clone(&self.sides.known),
                marks: Arc::new(self.journal.clone()),
                hints: None,
                clock: Arc::clone(&self.clock),
                pacing: Arc::clone(&self.pacing),
            },
            FollowOptions {
                document_bytes_max: self.sides.old.capabilities().document_bytes_max,
                claim_ms: self.options.claim_ms + self.options.skew_ms,
                ..FollowOptions::default()
            },
        )
    }
}

fn no_feed() -> Error {
    Error::new(Kind::Unsupported, "R0405", "the new store keeps no log of changes")
        .hint("Move into a database.")
}
