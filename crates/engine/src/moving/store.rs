//! The store that an app gets while its documents change store.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use repot_core::Result;
use repot_core::moving::Lead;
use repot_core::store::{
    Capabilities, ChangeFeed, Cursor, Document, DocumentKey, History, Ledger, Page, Query, QueryExplanation,
    QueryPage, Queryable, Receipt, Scope, SqlQuestion, SqlSink, Store, Trash, UnitOfWork, Vitals, WorkQueue,
};

use super::member::Moving;

/// Documents of which each is led by one of two stores, which changes while they are read and written.
///
/// What both stores can do can be done all the time; references and units of several documents from the moment that the new
/// store leads everything; work queues, trash and history when the move is over.
/// An old store that is a database answers questions while it leads alone; else the new one does, and waits until the copies that
/// they are about are there. Its log is the log of all changes: those of documents that the old store leads are in it when they are copied.
#[derive(Debug)]
pub struct MovingStore {
    moving: Arc<Moving>,
}

impl MovingStore {
    /// The store of a process that takes part in a move.
    #[must_use]
    pub const fn new(moving: Arc<Moving>) -> Self {
        Self { moving }
    }

    /// The new store, once the move is over. Until then what does not go by the leads is not offered.
    fn settled(&self) -> Option<&dyn Queryable> {
        self.moving.is_finished().then_some(&*self.moving.sides.new)
    }
}

impl fmt::Display for MovingStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}", self.moving.sides.old, self.moving.sides.new)
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Store for MovingStore {
    fn capabilities(&self) -> Capabilities {
        let (old, new) = (self.moving.sides.old.capabilities(), self.moving.sides.new.capabilities());
        if self.settled().is_some() {
            return new;
        }
        if self.moving.everything() == Some(Lead::New) {
            return Capabilities { soft_delete: false, audit: false, queues: false, ..new };
        }
        Capabilities {
            atomic_writes_max: 1,
            document_bytes_max: old.document_bytes_max.min(new.document_bytes_max),
            conditional_put: old.conditional_put && new.conditional_put,
            conditional_delete: old.conditional_delete && new.conditional_delete,
            keys_per_tenant: old.keys_per_tenant && new.keys_per_tenant,
            found_by_key: old.found_by_key && new.found_by_key,
            references: false,
            soft_delete: false,
            audit: false,
            queues: false,
            ..new
        }
    }

    fn trash(&self) -> Option<&dyn Trash> {
        self.settled()?.trash()
    }

    fn change_feed(&self) -> Option<&dyn ChangeFeed> {
        self.moving.sides.new.change_feed()
    }

    fn work_queue(&self) -> Option<&dyn WorkQueue> {
        self.settled()?.work_queue()
    }

    fn vitals(&self) -> Option<&dyn Vitals> {
        self.moving.sides.new.vitals()
    }

    fn collections(&self) -> Vec<String> {
        self.moving.sides.old.collections()
    }

    async fn get(&self, key: &DocumentKey) -> Result<Option<Document>> {
        self.moving.read(key).await
    }

    async fn exists(&self, key: &DocumentKey) -> Result<bool> {
        self.moving.is_there(key).await
    }

    async fn apply(&self, work: UnitOfWork) -> Result<Receipt> {
        self.moving.write(work).await
    }

    async fn list(&self, scope: &Scope, after: Option<&Cursor>, most: usize) -> Result<Page> {
        self.moving.page(scope, after, most).await
    }

    async fn probe(&self) -> Result<()> {
        // the old store is enough while it leads everything
        match self.moving.everything() {
            Some(Lead::Old) => self.moving.sides.old.probe().await,
            Some(Lead::New) => self.moving.sides.new.probe().await,
            None => {
                self.moving.sides.old.probe().await?;
                self.moving.sides.new.probe().await
            }
        }
    }

    fn record(&self) -> Option<&dyn History> {
        self.settled()?.record()
    }

    fn ledger(&self) -> Option<&dyn Ledger> {
        self.moving.sides.new.ledger()
    }
}

#[async_trait]
impl Queryable for MovingStore {
    async fn query(&self, query: &Query) -> Result<QueryPage> {
        self.moving.question(query).await
    }

    async fn count(&self, query: &Query) -> Result<u64> {
        self.moving.number(query).await
    }

    async fn read_sql(&self, question: SqlQuestion, sink: SqlSink) -> Result<bool> {
        if let Some(database) = self.moving.asked_of_old().await? {
            return database.read_sql(question, sink).await;
        }
        self.moving.all_caught_up().await?;
        self.moving.sides.new.read_sql(question, sink).await
    }

    async fn explain(&self, query: &Query) -> Result<QueryExplanation> {
        match self.moving.asked_of_old().await? {
            Some(database) => database.explain(query).await,
            None => self.moving.sides.new.explain(query).await,
        }
    }
}
