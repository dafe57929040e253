//! What changed in the new store, whoever changed it, becomes marks: its log is the journal of the documents that it leads.

use repot_core::change_log::ChangeKind;
use repot_core::moving::Lead;
use repot_core::store::{ChangeEntry, ChangePosition, ChangeScope, Cursor, DocumentKey, Scope};
use repot_core::{Error, Kind, Result};

use super::member::{Moving, View};
use super::names::canonical;

/// Entries read at once; their marks and the position fit into one unit of work.
const READ_AT_ONCE: usize = 90;
/// Documents listed at once.
const LISTED_AT_ONCE: usize = 256;

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
            Err(error) if error.code() == "R0604" => return self.mark_all(version, state).await,
            page => page?,
        };
        if page.next.number() == position {
            return Ok(false);
        }
        let mut keys = Vec::new();
        for entry in page.entries {
            if entry.kind == ChangeKind::Collection {
                self.mark_collection(entry.key.collection()).await?;
            } else if let Some(key) = self.named(&entry)
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

    /// The name that the journal has for the document of an entry; `None`: it is in no collection of the old store.
    fn named(&self, entry: &ChangeEntry) -> Option<DocumentKey> {
        let layout = &self.sides.layout;
        if let Ok(key) = canonical(layout, &entry.key) {
            return Some(key);
        }
        let path = entry.path.as_deref()?;
        let key = &entry.key;
        let scope =
            Scope { collection: key.collection().to_owned(), tenant: key.tenant().map(str::to_owned) };
        let alone = layout.identify(&scope, path).ok()?;
        alone.or_else(|| layout.identify_within(&scope, path, key.text()).ok().flatten())
    }

    /// The log was cut off before the position: everything is marked.
    async fn mark_all(&self, version: i64, state: i64) -> Result<bool> {
        let feed = self.sides.new.change_feed().ok_or_else(no_feed)?;
        let end = feed.position().await?;
        for collection in self.sides.new.collections() {
            self.mark_collection(&collection).await?;
        }
        self.journal.read_on(&[], (end.number(), Some(version)), state).await?;
        Ok(true)
    }

    /// Marks every document of a collection that either store has.
    ///
    /// # Errors
    /// When one of them cannot be listed.
    pub(super) async fn mark_collection(&self, collection: &str) -> Result<()> {
        let scope = Scope::of(collection);
        for is_new in [false, true] {
            let mut after: Option<Cursor> = None;
            loop {
                let page = if is_new {
                    self.sides.new.list(&scope, after.as_ref(), LISTED_AT_ONCE).await?
                } else {
                    self.sides.old.list(&scope, after.as_ref(), LISTED_AT_ONCE).await?
                };
                let keys: Result<Vec<_>> =
                    page.items.iter().map(|item| canonical(&self.sides.layout, &item.key)).collect();
                self.journal.mark(&keys?).await?;
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
        }
        Ok(())
    }
}

fn no_feed() -> Error {
    Error::new(Kind::Unsupported, "R0405", "the new store keeps no log of changes")
        .hint("Move into a database.")
}
