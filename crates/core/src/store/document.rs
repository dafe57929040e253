//! Documents as they are read, and the units of work that write them.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::change::Change;
use super::etag::{ETag, Precondition};
use super::key::DocumentKey;
use super::ledger::{FactChange, FactDemand};
use super::work_queue::Holding;
use crate::error::Result;

/// A document: its exact text and the `ETag` of that state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Which one.
    pub key: DocumentKey,
    /// Of this state.
    pub etag: ETag,
    /// The very bytes that were written.
    pub body: Bytes,
    /// When it was written last, milliseconds since 1970, as far as the store knows: as its file says, which may hold other documents
    /// too, or by the clock of the process that wrote it to a database. `None`: that is not known, as where plain SQL changed its rows
    /// and no text was made of them yet, and what was written and not read again.
    pub modified_ms: Option<i64>,
}

/// A document in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentMeta {
    /// Which one.
    pub key: DocumentKey,
    /// Size of its text in bytes.
    pub size_bytes: u64,
}

/// Where a listing goes on. Opaque; good for as long as the store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(String);

impl Cursor {
    /// A store's own mark of where a listing stands.
    #[must_use]
    pub const fn new(mark: String) -> Self {
        Self(mark)
    }

    /// The mark.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A part of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// In the store's order.
    pub items: Vec<DocumentMeta>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<Cursor>,
}

/// A change as a function: from the text that is there (`None`: nothing is) to the new one; `None` leaves it as it is.
///
/// A store may call it several times, each time with what is there then, and keeps the outcome of the last call only.
#[derive(Clone)]
pub struct Edit(Arc<EditFn>);

type EditFn = dyn Fn(Option<&[u8]>) -> Result<Option<Bytes>> + Send + Sync;

impl Edit {
    /// A change made by this function.
    pub fn new(edit: impl Fn(Option<&[u8]>) -> Result<Option<Bytes>> + Send + Sync + 'static) -> Self {
        Self(Arc::new(edit))
    }

    /// The new text.
    ///
    /// # Errors
    /// What the function gives.
    pub fn apply(&self, text: Option<&[u8]>) -> Result<Option<Bytes>> {
        (self.0)(text)
    }
}

impl fmt::Debug for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Edit")
    }
}

/// The very same function.
impl PartialEq for Edit {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Edit {}

/// One write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// The document is this text from now on.
    Put {
        /// Which one.
        key: DocumentKey,
        /// The whole text.
        body: Bytes,
        /// What must hold.
        when: Precondition,
    },
    /// A part of the document changes; it must be there.
    Patch {
        /// Which one.
        key: DocumentKey,
        /// How.
        change: Change,
        /// What must hold; never [`Precondition::Absent`].
        when: Precondition,
    },
    /// The document is what a function makes of it; nobody else writes it meanwhile.
    Update {
        /// Which one.
        key: DocumentKey,
        /// How.
        edit: Edit,
        /// What must hold.
        when: Precondition,
    },
    /// The document is gone.
    Delete {
        /// Which one.
        key: DocumentKey,
        /// What must hold; never [`Precondition::Absent`].
        when: Precondition,
    },
}

impl Write {
    /// What must hold.
    #[must_use]
    pub const fn when(&self) -> &Precondition {
        match self {
            Self::Put { when, .. }
            | Self::Patch { when, .. }
            | Self::Update { when, .. }
            | Self::Delete { when, .. } => when,
        }
    }

    /// The document it writes.
    #[must_use]
    pub const fn key(&self) -> &DocumentKey {
        match self {
            Self::Put { key, .. }
            | Self::Patch { key, .. }
            | Self::Update { key, .. }
            | Self::Delete { key, .. } => key,
        }
    }
}

/// Writes that happen together or not at all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnitOfWork {
    /// In this order; no document twice.
    pub writes: Vec<Write>,
    /// Who writes, for the record of changes.
    pub actor: Option<String>,
    /// Facts noted in the very transaction of the writes, each under its condition; no fact twice. There may be facts
    /// without writes.
    pub facts: Vec<FactChange>,
    /// Facts that must be in a certain state until the unit has committed; none of them is among `facts`. There may be demands
    /// without anything else.
    pub demands: Vec<FactDemand>,
    /// From this time on nothing of it is written any more, whatever held it up on its way; milliseconds since 1970. Files and
    /// buckets look when they write; a database looks when it decides on the unit within its transaction, and the commit may come
    /// a moment later, so that there `demands` are what keeps a stale writer out.
    pub until_ms: Option<i64>,
    /// Messages that must be held; see [`super::WorkQueue`].
    pub holding: Vec<Holding>,
}

impl UnitOfWork {
    /// Adds a write.
    #[must_use]
    pub fn with(mut self, write: Write) -> Self {
        self.writes.push(write);
        self
    }

    /// Says who writes.
    #[must_use]
    pub fn by(mut self, actor: &str) -> Self {
        self.actor = Some(actor.to_owned());
        self
    }

    /// Notes a fact with the writes.
    #[must_use]
    pub fn noting(mut self, fact: FactChange) -> Self {
        self.facts.push(fact);
        self
    }

    /// Has nothing written from this time on, milliseconds since 1970.
    #[must_use]
    pub const fn until(mut self, until_ms: i64) -> Self {
        self.until_ms = Some(until_ms);
        self
    }

    /// Demands that a fact is in this state until the unit has committed.
    #[must_use]
    pub fn demanding(mut self, fact: FactDemand) -> Self {
        self.demands.push(fact);
        self
    }
}

/// What a write did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// The document is there, with this `ETag`.
    Put(ETag),
    /// It was removed.
    Deleted,
    /// There was nothing to remove, or nothing was there and the update left it so.
    Missing,
}

/// What a unit of work did: one entry for each of its writes, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Receipt {
    /// The outcomes.
    pub written: Vec<Written>,
}
