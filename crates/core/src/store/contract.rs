//! The contract of a store, and the shortcuts over it.

use std::fmt::{Debug, Display};

use async_trait::async_trait;
use bytes::Bytes;
use repot_json::patch::{Pointer, resolve};
use repot_json::{Limits, Tree};

use super::change::Change;
use super::changes::ChangeFeed;
use super::document::{Cursor, Document, Edit, Page, Receipt, UnitOfWork, Write, Written};
use super::etag::{ETag, Precondition};
use super::history::History;
use super::key::{DocumentKey, Scope};
use super::ledger::Ledger;
use super::trash::Trash;
use super::vitals::Vitals;
use super::work_queue::{LeaseToken, WorkQueue};
use crate::error::{Error, Kind, Result};

/// What a store can do. A call beyond it is [`Kind::Unsupported`], code `R0405`, before anything happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Writes in one unit of work.
    pub atomic_writes_max: usize,
    /// Bytes of one document.
    pub document_bytes_max: u64,
    /// Preconditions on puts hold also against other processes.
    pub conditional_put: bool,
    /// Preconditions on deletes hold also against other processes.
    pub conditional_delete: bool,
    /// Two tenants may use the same key. In a database they may not where the table's key is without the tenant, as
    /// the model says; the second write is [`Kind::Conflict`], code `R0203`.
    pub keys_per_tenant: bool,
    /// Answers questions about rows ([`super::Queryable`]).
    pub queries: bool,
    /// A document whose path does not follow from its key is found by it. Elsewhere its place names it
    /// ([`DocumentKey::at`]), and its key is [`Kind::Unsupported`], code `R0405`.
    pub found_by_key: bool,
    /// Keeps a log of what changed ([`super::ChangeFeed`]).
    pub change_log: bool,
    /// What refers to a document that goes follows the model: it is deleted too (`cascade`), refers to nothing from then on
    /// (`set null`), or holds the document back ([`Kind::Conflict`], code `R0417`). Without, references are only texts.
    pub references: bool,
    /// What is deleted from collections with `soft_delete` can be had back ([`super::Trash`]). Without, each delete is
    /// final.
    pub soft_delete: bool,
    /// The database itself holds tenants apart as well: what a tenant asks runs under a role that sees that tenant's rows
    /// only. `false` also where no collection has tenants.
    pub row_security: bool,
    /// Keeps a record of changes ([`super::History`]). Where it does not, a write that says who writes is refused for
    /// collections that the model puts on audit; others go by without a record.
    pub audit: bool,
    /// Keeps small facts beside the documents ([`super::Ledger`]). Where it does not, a unit of work with facts, or demands on facts, is refused.
    pub ledger: bool,
    /// Collections with `queue` are work queues ([`super::WorkQueue`]), and units of work can demand that a message is held.
    /// Without, the latter are refused.
    pub queues: bool,
    /// A unit of work with a deadline writes nothing after it ([`UnitOfWork::until_ms`]). Without, such a unit is refused.
    pub deadlines: bool,
}

/// Something that holds documents.
///
/// Contract:
/// - `get` of an absent document is `Ok(None)`; a collection that the model does not have is
///   [`Kind::NotFound`], code `R0402`.
/// - A document is the exact bytes that were put. Bytes that do not fit the model, or that hold another key than
///   the one they are put under, are [`Kind::Invalid`], code `R0404`.
/// - `apply` does all of its writes, and notes all of its facts, or none. A failed precondition is [`Kind::Conflict`], code `R0401`.
///   What it demands of facts holds until all of it is done; else nothing is, with [`Kind::Fenced`], code `R0401`. So it is after its
///   deadline, with code `R0452`.
/// - An acknowledged write survives the end of every process. A write whose outcome is unknown is found out by
///   reading, or its error says [`crate::Retry::Unknown`].
/// - `list` has one order for each store and goes on strictly after a cursor, also when documents came or went
///   meanwhile: what was there all the time is listed exactly once.
/// - A collection with a tenant is reached through a tenant only: a key or scope without one, or with one where
///   the collection has none, is [`Kind::Invalid`], code `R0406`.
/// - A document is named by its key or by its place ([`DocumentKey::at`]); a new one whose place does not follow from
///   its key by its place only, else it is [`Kind::Invalid`], code `R0403`. Two names of one document are two keys,
///   but one document: it is locked, checked and written as one.
/// - A key that the store cannot hold is [`Kind::Invalid`], code `R0403`, when it is written; nothing is found
///   under it when it is read.
/// - Dropping a future leaves the write done or not done, never half.
#[async_trait]
pub trait Store: Debug + Display + Send + Sync + 'static {
    /// What it can do.
    fn capabilities(&self) -> Capabilities;

    /// Where what is deleted can be had back; `None` without [`Capabilities::soft_delete`].
    fn trash(&self) -> Option<&dyn Trash> {
        None
    }

    /// The log of what changed; `None`: this store keeps none.
    fn change_feed(&self) -> Option<&dyn ChangeFeed> {
        None
    }

    /// Its work queues; `None` without [`Capabilities::queues`].
    fn work_queue(&self) -> Option<&dyn WorkQueue> {
        None
    }

    /// Its connections and the database behind them; `None`: nothing of the kind is there.
    fn vitals(&self) -> Option<&dyn Vitals> {
        None
    }

    /// The collections it holds, in the order of the model.
    fn collections(&self) -> Vec<String>;

    /// The document with this key.
    ///
    /// # Errors
    /// As the contract says.
    async fn get(&self, key: &DocumentKey) -> Result<Option<Document>>;

    /// Whether there is a document with this key; its body is not read.
    ///
    /// # Errors
    /// As the contract says.
    async fn exists(&self, key: &DocumentKey) -> Result<bool>;

    /// Writes.
    ///
    /// # Errors
    /// As the contract says.
    async fn apply(&self, work: UnitOfWork) -> Result<Receipt>;

    /// At most `most` documents after the cursor.
    ///
    /// # Errors
    /// As the contract says.
    async fn list(&self, scope: &Scope, after: Option<&Cursor>, most: usize) -> Result<Page>;

    /// Can it be reached, read and written?
    ///
    /// # Errors
    /// When it is out of reach or refuses us.
    async fn probe(&self) -> Result<()>;

    /// Its record of changes, where it keeps one ([`Capabilities::audit`]).
    fn record(&self) -> Option<&dyn History> {
        None
    }

    /// Its small facts beside the documents; `None` without [`Capabilities::ledger`].
    fn ledger(&self) -> Option<&dyn Ledger> {
        None
    }
}

/// Shortcuts; nobody implements them.
#[async_trait]
pub trait StoreExt: Store {
    /// The document, which must be there.
    ///
    /// # Errors
    /// [`Kind::NotFound`], code `R0402`, when it is not; else as [`Store::get`].
    async fn require(&self, key: &DocumentKey) -> Result<Document> {
        self.get(key).await?.ok_or_else(|| {
            Error::new(Kind::NotFound, "R0402", format!("{key} is not there"))
                .hint("Check the key; `list` shows what is there.")
        })
    }

    /// Writes the document, whatever is there.
    ///
    /// # Errors
    /// As [`Store::apply`].
    async fn put(&self, key: &DocumentKey, body: impl Into<Bytes> + Send) -> Result<ETag> {
        self.put_when(key, body, Precondition::Any).await
    }

    /// Writes the document, which must not be there.
    ///
    /// # Errors
    /// [`Kind::Conflict`] when it is; else as [`Store::apply`].
    async fn create(&self, key: &DocumentKey, body: impl Into<Bytes> + Send) -> Result<ETag> {
        self.put_when(key, body, Precondition::Absent).await
    }

    /// Writes the document, which must be in this state.
    ///
    /// # Errors
    /// [`Kind::Conflict`] when it is not; else as [`Store::apply`].
    async fn replace(&self, key: &DocumentKey, body: impl Into<Bytes> + Send, was: &ETag) -> Result<ETag> {
        self.put_when(key, body, Precondition::Matches(was.clone())).await
    }

    /// Writes the document under a precondition.
    ///
    /// # Errors
    /// As [`Store::apply`].
    async fn put_when(
        &self,
        key: &DocumentKey,
        body: impl Into<Bytes> + Send,
        when: Precondition,
    ) -> Result<ETag> {
        let write = Write::Put { key: key.clone(), body: body.into(), when };
        match self.apply(UnitOfWork::default().with(write)).await?.written.pop() {
            Some(Written::Put(etag)) => Ok(etag),
            other => Err(wrong_receipt(self, other.as_ref())),
        }
    }

    /// Changes a part of the document, which must be there; gives its new `ETag`.
    ///
    /// # Errors
    /// [`Kind::NotFound`], code `R0402`, when it is not; `R0407` and `R0408` as [`Change::apply`]; else as
    /// [`Store::apply`].
    async fn change(&self, key: &DocumentKey, change: Change, when: Precondition) -> Result<ETag> {
        let write = Write::Patch { key: key.clone(), change, when };
        match self.apply(UnitOfWork::default().with(write)).await?.written.pop() {
            Some(Written::Put(etag)) => Ok(etag),
            other => Err(wrong_receipt(self, other.as_ref())),
        }
    }

    /// Makes the document what `edit` makes of it, and nobody else writes it meanwhile; gives its new `ETag`. `edit`
    /// gets the text that is there, or `None`; it may be called several times, each time with what is there then.
    ///
    /// # Errors
    /// What `edit` gives; [`Kind::Unavailable`], code `R0411`, when others wrote the document too often meanwhile; `R0405` where the
    /// store has no conditional writes; else as [`Store::apply`].
    async fn update<F>(&self, key: &DocumentKey, edit: F) -> Result<ETag>
    where
        F: Fn(Option<&[u8]>) -> Result<Bytes> + Send + Sync + 'static,
    {
        let edit = Edit::new(move |text| edit(text).map(Some));
        let write = Write::Update { key: key.clone(), edit, when: Precondition::Any };
        match self.apply(UnitOfWork::default().with(write)).await?.written.pop() {
            Some(Written::Put(etag)) => Ok(etag),
            other => Err(wrong_receipt(self, other.as_ref())),
        }
    }

    /// Adds a JSON text at the end of a list of the document, whatever else changes meanwhile. `list` is a JSON Pointer
    /// (RFC 6901) such as `/messages`.
    ///
    /// # Errors
    /// As [`StoreExt::change`].
    async fn append(&self, key: &DocumentKey, list: &str, element: impl Into<Bytes> + Send) -> Result<ETag> {
        let change = Change::Append { list: pointer(list)?, element: element.into() };
        self.change(key, change, Precondition::Any).await
    }

    /// The JSON text at a place of the document, as it stands there; `None` when the document or the place is not there.
    ///
    /// # Errors
    /// `R0407` when `at` is no JSON Pointer or the document no JSON; else as [`Store::get`].
    async fn get_part(&self, key: &DocumentKey, at: &str) -> Result<Option<Bytes>> {
        let at = pointer(at)?;
        let Some(document) = self.get(key).await? else { return Ok(None) };
        let tree = Tree::parse(&document.body, Limits::default()).map_err(|error| {
            Error::new(Kind::Invalid, "R0407", format!("{key} is no JSON, so it has no parts"))
                .hint("Read it whole.")
                .cause(error)
        })?;
        let part = tree.root(&document.body).and_then(|root| resolve(root, &at));
        Ok(part.map(|part| Bytes::copy_from_slice(part.raw().as_bytes())))
    }

    /// The message is done, and its document is removed in the same transaction.
    ///
    /// # Errors
    /// As [`WorkQueue::ack`]; so `R0501` when the token is that of another message.
    async fn ack_and_delete(&self, key: &DocumentKey, token: &LeaseToken) -> Result<()> {
        let write = Write::Delete { key: key.clone(), when: Precondition::Any };
        self.apply(UnitOfWork::default().with(write).acking_own(token.clone(), key)).await.map(drop)
    }

    /// Removes the document; gives whether one was there.
    ///
    /// # Errors
    /// As [`Store::apply`].
    async fn delete(&self, key: &DocumentKey, when: Precondition) -> Result<bool> {
        let write = Write::Delete { key: key.clone(), when };
        match self.apply(UnitOfWork::default().with(write)).await?.written.pop() {
            Some(Written::Deleted) => Ok(true),
            Some(Written::Missing) => Ok(false),
            other => Err(wrong_receipt(self, other.as_ref())),
        }
    }
}

impl<S: Store + ?Sized> StoreExt for S {}

fn pointer(text: &str) -> Result<Pointer> {
    Pointer::parse(text).map_err(|error| {
        Error::new(Kind::Invalid, "R0407", format!("`{text}` is no JSON Pointer: {error}"))
            .hint("Write it as in RFC 6901, such as /characters/0/name.")
            .cause(error)
    })
}

fn wrong_receipt(store: &(impl Display + ?Sized), got: Option<&Written>) -> Error {
    Error::new(Kind::Internal, "R0901", format!("{store} gave {got:?} for a single write"))
}
