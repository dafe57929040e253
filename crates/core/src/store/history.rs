//! Who changed what: the record that stores keep of documents on audit, and of states.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use repot_json::patch::Pointer;

use super::contract::Store;
use super::document::Written;
use super::etag::{ETag, Precondition};
use super::key::{DocumentKey, Scope};
use super::ledger::FactChange;
use crate::error::Result;

/// Names one entry of the record, for as long as it is kept. Of two changes of one document the later has the larger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId(pub i64);

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Which entries are asked for; the newest come first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryQuery {
    /// Of this collection, or one tenant's part of it.
    pub scope: Scope,
    /// Of this document; its collection and tenant are those of the scope, else `R0406`.
    pub key: Option<DocumentKey>,
    /// By this actor.
    pub actor: Option<String>,
    /// That changed this place of a document, something inside of it, or what holds it. Rows and states changed with
    /// plain SQL have no place, so they are left out then.
    pub place: Option<Pointer>,
    /// At this time or later, milliseconds since 1970.
    pub from_ms: Option<i64>,
    /// Before this time.
    pub until_ms: Option<i64>,
    /// Before this entry: where the next page begins.
    pub before: Option<EntryId>,
}

impl HistoryQuery {
    /// Everything on record of this scope.
    #[must_use]
    pub const fn of(scope: Scope) -> Self {
        Self { scope, key: None, actor: None, place: None, from_ms: None, until_ms: None, before: None }
    }

    /// Everything on record of this document.
    #[must_use]
    pub fn of_document(key: &DocumentKey) -> Self {
        let mut scope = Scope::of(key.collection());
        scope.tenant = key.tenant().map(str::to_owned);
        Self { key: Some(key.clone()), ..Self::of(scope) }
    }

    /// Only what this actor did.
    #[must_use]
    pub fn by(mut self, actor: &str) -> Self {
        self.actor = Some(actor.to_owned());
        self
    }

    /// Only what changed this place.
    #[must_use]
    pub fn at(mut self, place: Pointer) -> Self {
        self.place = Some(place);
        self
    }
}

/// A value that changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldChange {
    /// Where: in the text after, or in the one before for what is no more.
    pub at: Pointer,
    /// The JSON text before; `None`: nothing was there.
    pub old: Option<Bytes>,
    /// The JSON text after; `None`: nothing is there.
    pub new: Option<Bytes>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The document was written through a store.
    Put {
        /// Its version from then on; begins with 1 again where it was removed.
        version: i64,
        /// Its state before; `None`: it was not there.
        before: Option<ETag>,
        /// Its state from then on.
        etag: ETag,
        /// What changed; empty when it was white space only. A document that is no JSON changes as a whole.
        changes: Vec<FieldChange>,
    },
    /// The document was removed through a store.
    Deleted {
        /// Its state before.
        before: ETag,
    },
    /// The document, deleted before, is there again ([`super::Trash::restore`]).
    Restored {
        /// Its version from then on.
        version: i64,
        /// Its state from then on.
        etag: ETag,
    },
    /// The deleted document cannot be had back any more ([`super::Trash::purge`]).
    Purged,
    /// Plain SQL changed a row of the document.
    Row {
        /// Its table.
        table: String,
        /// The row before as JSON; `None`: it is new.
        was: Option<String>,
        /// The row after as JSON; `None`: it went.
        became: Option<String>,
    },
    /// A state changed.
    State {
        /// The table.
        table: String,
        /// The row: its key as text, or its place in the list.
        row: String,
        /// The column.
        field: String,
        /// The word before.
        was: Option<String>,
        /// The word after.
        became: Option<String>,
        /// With plain SQL.
        by_sql: bool,
    },
}

/// An entry of the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryEntry {
    /// Its name.
    pub id: EntryId,
    /// Milliseconds since 1970.
    pub at_ms: i64,
    /// Who did it: as the unit of work says; for plain SQL the database's user where it has users.
    pub actor: Option<String>,
    /// The document; `None` for a row whose document could not be told any more, after a delete that cascaded.
    pub key: Option<DocumentKey>,
    /// What happened.
    pub event: Event,
}

/// A part of the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryPage {
    /// The newest first.
    pub entries: Vec<HistoryEntry>,
    /// Where the next page begins; `None` at the end. A page may have fewer entries than asked for, even none, and go on.
    pub next: Option<EntryId>,
}

/// A moment of a document's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// After this entry.
    After(EntryId),
    /// The newest of this version.
    Version(i64),
    /// At this time, milliseconds since 1970.
    Time(i64),
}

/// A store that keeps a record of changes ([`super::Capabilities::audit`]): of every write of a document whose collection
/// says `audit`, and of every change of a state, in the transaction of the change itself.
#[async_trait]
pub trait History: Store {
    /// At most `most` entries.
    ///
    /// # Errors
    /// `R0405` when nothing of this collection is on record, or when the document is named by a place from which its key does
    /// not follow, and is not there; else as [`Store::list`].
    async fn history(&self, query: &HistoryQuery, most: usize) -> Result<HistoryPage>;

    /// The text of a document as it was; `None`: it was not there.
    ///
    /// # Errors
    /// [`crate::Kind::NotFound`], code `R0402`, when that moment is not on record (any more), or lies between two changes
    /// with plain SQL; `R0405` when the collection is not on audit; else as [`Store::get`].
    async fn text_at(&self, key: &DocumentKey, moment: Moment) -> Result<Option<Bytes>>;

    /// Takes one write of this document back: as a new write by `actor`, in one transaction, under the model's rules. What others changed since stays;
    /// a document that was created is removed, if nobody changed it since; one that was removed is there again, if
    /// no other one is.
    ///
    /// # Errors
    /// [`crate::Kind::NotFound`], code `R0402`, when the entry is not on record; `R0405` for a change made with plain SQL
    /// and for the entry of a state; [`crate::Kind::Conflict`], code `R0414`, when the same places were changed since, `R0401` when
    /// the precondition does not hold; else as [`Store::apply`].
    async fn revert(
        &self,
        key: &DocumentKey,
        entry: EntryId,
        by: (Option<&str>, Precondition),
    ) -> Result<Written> {
        self.revert_noting(key, entry, by, Vec::new()).await
    }

    /// [`History::revert`], and what `facts` note, in one transaction.
    ///
    /// # Errors
    /// As [`History::revert`]; [`crate::Kind::Fenced`], code `R0401`, when a condition of the facts does not hold.
    async fn revert_noting(
        &self,
        key: &DocumentKey,
        entry: EntryId,
        (actor, when): (Option<&str>, Precondition),
        facts: Vec<FactChange>,
    ) -> Result<Written>;

    /// Removes what is older than the model keeps it, in bounded steps. Each audited write removes some too.
    ///
    /// # Errors
    /// As [`Store::apply`].
    async fn prune_history(&self) -> Result<()>;
}
