//! Deleted documents that can be had back: collections with `soft_delete`.

use async_trait::async_trait;

use super::contract::Store;
use super::document::Cursor;
use super::key::{DocumentKey, Scope};
use super::ledger::FactChange;
use crate::error::Result;

/// A deleted document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deleted {
    /// Which one.
    pub key: DocumentKey,
    /// When it was deleted, milliseconds since 1970.
    pub deleted_ms: i64,
    /// Until when it can be had back, milliseconds since 1970.
    pub until_ms: i64,
    /// Size of its text in bytes.
    pub size_bytes: u64,
}

/// A part of the list of deleted documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeletedPage {
    /// In the order in which they were deleted.
    pub items: Vec<Deleted>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<Cursor>,
}

/// A store that keeps what is deleted from collections with `soft_delete` ([`super::Capabilities::soft_delete`]).
///
/// A delete hides the document at once: `get`, `list`, SQL and exports do not have it any more. The documents that it takes
/// along by `cascade` are kept with it, whatever their own collections say. A key can be deleted several times; the last
/// one counts.
#[async_trait]
pub trait Trash: Store {
    /// Deleted documents of this scope that can be had back; at most `most` after the cursor.
    ///
    /// # Errors
    /// As [`Store::list`].
    async fn deleted(&self, scope: &Scope, after: Option<&Cursor>, most: usize) -> Result<DeletedPage>;

    /// When this document was deleted; `None` when none can be had back under this key.
    ///
    /// # Errors
    /// As [`Store::get`].
    async fn deleted_at(&self, key: &DocumentKey) -> Result<Option<Deleted>>;

    /// Puts the document back, byte for byte, and with it all that its delete took along by `cascade`; a document that was
    /// taken along comes back alone. All of them or none. References that the delete set to null stay null. Gives
    /// the keys, the document's own first.
    ///
    /// # Errors
    /// [`crate::Kind::NotFound`], code `R0418`, when none can be had back under this key; [`crate::Kind::Conflict`], code `R0401`,
    /// when there is a document under one of the keys again, `R0203` or `R0305` when the database refuses a row.
    async fn restore(&self, key: &DocumentKey) -> Result<Vec<DocumentKey>> {
        self.restore_as(key, None).await
    }

    /// [`Trash::restore`] by this actor, for the record of changes ([`super::History`]).
    ///
    /// # Errors
    /// As [`Trash::restore`].
    async fn restore_as(&self, key: &DocumentKey, actor: Option<&str>) -> Result<Vec<DocumentKey>> {
        self.restore_noting(key, actor, Vec::new()).await
    }

    /// [`Trash::restore_as`], and what `facts` note, in one transaction.
    ///
    /// # Errors
    /// As [`Trash::restore`]; [`crate::Kind::Fenced`], code `R0401`, when a condition of the facts does not hold.
    async fn restore_noting(
        &self,
        key: &DocumentKey,
        actor: Option<&str>,
        facts: Vec<FactChange>,
    ) -> Result<Vec<DocumentKey>>;

    /// Removes deleted documents for good whose time is over at `now_ms` (milliseconds since 1970), oldest first, at most
    /// `most`; gives how many. Nothing else does: call it now and then.
    ///
    /// # Errors
    /// As [`Store::apply`].
    async fn purge(&self, now_ms: i64, most: usize) -> Result<usize>;
}
