//! [`Acting`]: a store in somebody's hands, so that every write says who it was.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::error::{Error, Kind, Result};
use crate::store::{
    Capabilities, ChangeFeed, Cursor, Deleted, DeletedPage, Document, DocumentKey, EntryId, FactChange,
    History, HistoryPage, HistoryQuery, Ledger, Moment, Page, Precondition, Query, QueryExplanation,
    QueryPage, Queryable, Receipt, Scope, SqlQuestion, SqlSink, Store, Trash, UnitOfWork, Vitals, WorkQueue,
    Written,
};

/// Writes in the name of an actor, for the record of changes; a unit of work that names one itself keeps it.
#[derive(Debug)]
pub struct Acting<S: ?Sized = dyn Store> {
    actor: Box<str>,
    store: Arc<S>,
}

impl<S: ?Sized> Acting<S> {
    /// `store`, for writes of `actor`.
    #[must_use]
    pub fn new(store: Arc<S>, actor: &str) -> Self {
        Self { store, actor: actor.into() }
    }
}

impl<S: Store + ?Sized> Acting<S> {
    fn kept(&self) -> Result<&dyn Trash> {
        self.store.trash().ok_or_else(|| cannot(&self.store, "deletes are final"))
    }

    fn recorded(&self) -> Result<&dyn History> {
        self.store.record().ok_or_else(|| cannot(&self.store, "no record of changes is kept"))
    }
}

fn cannot(store: &dyn fmt::Display, why: &str) -> Error {
    Error::new(Kind::Unsupported, "R0405", format!("{store}: {why}"))
        .hint("Keep the documents in a database.")
}

impl<S: Store + ?Sized> fmt::Display for Acting<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.fmt(f)
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<S: Store + ?Sized> Store for Acting<S> {
    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
    }

    fn trash(&self) -> Option<&dyn Trash> {
        self.store.trash().map(|_| self as &dyn Trash)
    }

    fn change_feed(&self) -> Option<&dyn ChangeFeed> {
        self.store.change_feed()
    }

    fn work_queue(&self) -> Option<&dyn WorkQueue> {
        self.store.work_queue()
    }

    fn vitals(&self) -> Option<&dyn Vitals> {
        self.store.vitals()
    }

    fn collections(&self) -> Vec<String> {
        self.store.collections()
    }

    async fn get(&self, key: &DocumentKey) -> Result<Option<Document>> {
        self.store.get(key).await
    }

    async fn exists(&self, key: &DocumentKey) -> Result<bool> {
        self.store.exists(key).await
    }

    async fn apply(&self, mut work: UnitOfWork) -> Result<Receipt> {
        work.actor.get_or_insert_with(|| self.actor.to_string());
        self.store.apply(work).await
    }

    async fn list(&self, scope: &Scope, after: Option<&Cursor>, most: usize) -> Result<Page> {
        self.store.list(scope, after, most).await
    }

    async fn probe(&self) -> Result<()> {
        self.store.probe().await
    }

    fn record(&self) -> Option<&dyn History> {
        self.store.record().map(|_| self as &dyn History)
    }

    fn ledger(&self) -> Option<&dyn Ledger> {
        self.store.ledger()
    }
}

#[async_trait]
impl<S: Queryable + ?Sized> Queryable for Acting<S> {
    async fn query(&self, query: &Query) -> Result<QueryPage> {
        self.store.query(query).await
    }

    async fn count(&self, query: &Query) -> Result<u64> {
        self.store.count(query).await
    }

    async fn read_sql(&self, question: SqlQuestion, sink: SqlSink) -> Result<bool> {
        self.store.read_sql(question, sink).await
    }

    async fn explain(&self, query: &Query) -> Result<QueryExplanation> {
        self.store.explain(query).await
    }
}

#[async_trait]
impl<S: Store + ?Sized> Trash for Acting<S> {
    async fn deleted(&self, scope: &Scope, after: Option<&Cursor>, most: usize) -> Result<DeletedPage> {
        self.kept()?.deleted(scope, after, most).await
    }

    async fn deleted_at(&self, key: &DocumentKey) -> Result<Option<Deleted>> {
        self.kept()?.deleted_at(key).await
    }

    async fn restore_noting(
        &self,
        key: &DocumentKey,
        actor: Option<&str>,
        facts: Vec<FactChange>,
    ) -> Result<Vec<DocumentKey>> {
        self.kept()?.restore_noting(key, actor.or(Some(&self.actor)), facts).await
    }

    async fn purge(&self, now_ms: i64, most: usize) -> Result<usize> {
        self.kept()?.purge(now_ms, most).await
    }
}

#[async_trait]
impl<S: Store + ?Sized> History for Acting<S> {
    async fn history(&self, query: &HistoryQuery, most: usize) -> Result<HistoryPage> {
        self.recorded()?.history(query, most).await
    }

    async fn text_at(&self, key: &DocumentKey, moment: Moment) -> Result<Option<Bytes>> {
        self.recorded()?.text_at(key, moment).await
    }

    async fn revert_noting(
        &self,
        key: &DocumentKey,
        entry: EntryId,
        (actor, when): (Option<&str>, Precondition),
        facts: Vec<FactChange>,
    ) -> Result<Written> {
        let by = (actor.or(Some(&self.actor)), when);
        self.recorded()?.revert_noting(key, entry, by, facts).await
    }

    async fn prune_history(&self) -> Result<()> {
        self.recorded()?.prune_history().await
    }
}
