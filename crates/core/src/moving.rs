//! The words of a live move (docs/protocol.md): who leads, and how far a change of the lead is; and
//! what is asked of those who follow a store that others write.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use sha2::{Digest as _, Sha256};

use crate::error::Result;
use crate::store::{Barrier, DocumentKey, Ledger, ObjectBody, Precondition, Receipt, UnitOfWork};

/// The store whose answer counts for a document: its primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lead {
    /// Where the documents come from: files or a bucket.
    Old,
    /// Where they go: a database.
    New,
}

impl Lead {
    /// The other one, which is the copy.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Old => Self::New,
            Self::New => Self::Old,
        }
    }
}

/// How far a change of the lead is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// No change is on its way.
    Open,
    /// Every server must come to know that a change is near, and ask for each read who leads until it is over.
    Announced,
    /// No write begins; what was written is brought to the other store.
    Draining,
}

/// A store as the copy of another one.
#[async_trait]
pub trait CopyInto: Debug + Send + Sync {
    /// As [`Store::apply`](crate::store::Store::apply), but texts are stored as they are: what the model demands of writes
    /// (states, defaults, times, a required `ETag`) was decided where the document is led.
    ///
    /// # Errors
    /// As [`Store::apply`](crate::store::Store::apply).
    async fn copy_in(&self, work: UnitOfWork) -> Result<Receipt>;
}

/// A write that is about to be sent to a place of objects, by which it can be told later whether it was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    /// Of the object.
    pub path: String,
    /// What must hold for it.
    pub before: Precondition,
    /// SHA-256 of the object from then on; `None`: it is gone.
    pub after: Option<[u8; 32]>,
}

impl Announced {
    /// Whether it was done, by what is there now that it cannot happen any more; `None`: somebody else wrote there since,
    /// and nothing tells.
    #[must_use]
    pub fn is_done(&self, there: Option<&ObjectBody>) -> Option<bool> {
        let found: Option<[u8; 32]> = there.map(|object| Sha256::digest(&object.bytes).into());
        if found == self.after {
            return Some(true);
        }
        match &self.before {
            Precondition::Any => None,
            before => before.check(&self.path, there.map(|object| &object.etag)).is_ok().then_some(false),
        }
    }
}

/// Who wants to know of a write before it is sent.
#[async_trait]
pub trait Announce: Debug + Send + Sync {
    /// It is sent when this returns, and not sent where this fails.
    ///
    /// # Errors
    /// Why it may not be sent: the error of the write.
    async fn announce(&self, write: Announced) -> Result<()>;
}

/// A store of objects that says what it is about to write, or waits before it does.
#[async_trait]
pub trait Announcing: Debug + Send + Sync {
    /// As [`Store::apply`](crate::store::Store::apply); each write of an object is announced, also the second one where somebody
    /// else was faster.
    ///
    /// # Errors
    /// As [`Store::apply`](crate::store::Store::apply), and those of [`Announce::announce`].
    async fn apply_announced(&self, work: UnitOfWork, to: Arc<dyn Announce>) -> Result<Receipt>;

    /// As [`Store::apply`](crate::store::Store::apply), and nothing is changed before the barrier is passed; what is read for the
    /// write may be read before that.
    ///
    /// # Errors
    /// As [`Store::apply`](crate::store::Store::apply), and that of the barrier.
    async fn apply_behind(&self, work: UnitOfWork, barrier: &Barrier) -> Result<Receipt>;
}

/// Programs that write the old store without taking part in the move, where that store can tell them from those who do.
#[async_trait]
pub trait Outsiders: Debug + Send + Sync {
    /// What the old store remembers beside its documents.
    fn ledger(&self) -> &dyn Ledger;

    /// Refuses their writes, in whatever process, until they are let in; comes back when none of them is on its way any more. `to`:
    /// where the documents go, for people. Durable when it returns.
    ///
    /// # Errors
    /// `R0453` when one that began before is not over; when the old store is out of reach. New ones may be refused by then.
    async fn keep_out(&self, to: &str) -> Result<()>;

    /// What the last [`Outsiders::keep_out`] left, another thing each time; `None`: everybody may write.
    ///
    /// # Errors
    /// When the old store is out of reach.
    async fn kept_out(&self) -> Result<Option<String>>;

    /// Lets them write again, unless they were kept out anew since this was seen.
    ///
    /// # Errors
    /// When the old store is out of reach.
    async fn let_in(&self, seen: &str) -> Result<()>;
}

/// Where a worker is told that copies of documents may be stale.
#[async_trait]
pub trait Marks: Debug + Send + Sync {
    /// The copies of these documents may be stale. It is durable when this returns, and saying it twice is as saying it
    /// once more: each time raises the version of the mark.
    ///
    /// # Errors
    /// When it could not be written down; some of them may have been.
    async fn mark(&self, keys: &[DocumentKey]) -> Result<()>;
}

/// What changed in a place of objects, as far as was noticed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hinted {
    /// Paths of objects that may have changed, come or gone.
    pub paths: BTreeSet<String>,
    /// Folders, with a slash behind, in which anything may have changed, come or gone.
    pub folders: BTreeSet<String>,
    /// Something was missed, and nobody knows what.
    pub lost: bool,
}

impl Hinted {
    /// Whether nothing was noticed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty() && self.folders.is_empty() && !self.lost
    }
}

/// Tells at once what others change in a place of objects. Only a hint: some changes are told twice, some never.
#[async_trait]
pub trait Hints: Debug + Send + Sync {
    /// Comes back when there is something to [`Hints::take`].
    ///
    /// # Cancel safety
    /// Dropping it loses nothing.
    async fn wait(&self);

    /// What was noticed since the last call.
    fn take(&self) -> Hinted;

    /// Whether everything is watched, as far as it knows.
    fn is_whole(&self) -> bool;
}
