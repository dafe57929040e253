//! What changed since: the log of a store's writes, read from a position on.

use async_trait::async_trait;

use super::bucket::BucketStore;
use super::contract::Store;
use super::key::{DocumentKey, Scope};
use crate::change_log::ChangeKind;
use crate::error::{Error, Kind, Result};

/// A place in the change log: everything up to it was seen. Good for this log only, also after the store was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChangePosition(u64);

impl ChangePosition {
    /// Before the first change.
    pub const START: Self = Self(0);

    /// The position that [`ChangePosition::number`] gave.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// To be kept somewhere.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// Whose changes are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeScope {
    /// All, of every tenant: for copies and caches of the whole store, never for a tenant.
    Everything,
    /// One tenant's, of all collections.
    Tenant(String),
    /// Those of one collection, or of one tenant's part of it.
    Documents(Scope),
}

/// A document changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeEntry {
    /// Where in the log.
    pub position: ChangePosition,
    /// Which one. For [`ChangeKind::Collection`] the text of the key is `*`; a document without a key is named by its
    /// file and place, `PATH#ORDINAL`.
    pub key: DocumentKey,
    /// What happened.
    pub kind: ChangeKind,
    /// When, milliseconds since 1970, by the writer's clock; the order is that of the positions.
    pub at_ms: i64,
    /// The path of its file, as far as the log has it.
    pub path: Option<String>,
}

/// A part of the change log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangePage {
    /// By position. Empty also when no change was of the scope.
    pub entries: Vec<ChangeEntry>,
    /// Where to go on.
    pub next: ChangePosition,
    /// There are changes after `next` already.
    pub more: bool,
}

/// A store that logs each change in the transaction that makes it.
///
/// - Every committed write is in the log once, in the order of commit for each document. A write that leaves text and
///   rows as they were is none. Changes of one document by plain SQL that follow each other may be one entry, the last.
/// - Who goes on from a position misses nothing, however long a transaction that wrote took to commit.
/// - An entry says that a document changed, not how: by the time it is read the document may have changed again.
/// - Documents that were there before the log began (a first copy) have no entry: take [`ChangeFeed::position`], list
///   everything, and go on from that position.
/// - The log is bounded ([`crate::change_log::ChangeRetention`]). A position before what is kept is [`Kind::Refused`],
///   code `R0604`, never a gap.
#[async_trait]
pub trait ChangeFeed: Store {
    /// At most `most` changes of the scope after a position (bounded by the store too).
    ///
    /// # Errors
    /// `R0604` when the log does not reach back that far; `R0405` where there is none; `R0402` and `R0406` for a wrong
    /// scope; when the store is out of reach.
    async fn changes(&self, scope: &ChangeScope, after: ChangePosition, most: usize) -> Result<ChangePage>;

    /// The end of the log: what was committed before the call is before it.
    ///
    /// # Errors
    /// `R0405` where there is none; when the store is out of reach.
    async fn position(&self) -> Result<ChangePosition>;
}

#[async_trait]
impl ChangeFeed for BucketStore {
    async fn changes(&self, _: &ChangeScope, _: ChangePosition, _: usize) -> Result<ChangePage> {
        Err(no_log())
    }

    async fn position(&self) -> Result<ChangePosition> {
        Err(no_log())
    }
}

fn no_log() -> Error {
    Error::new(Kind::Unsupported, "R0405", "files and buckets keep no log of changes")
        .hint("Use a database, or list and compare the ETags.")
}
