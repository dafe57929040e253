//! A store that answers everything with one error.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use repot_core::store::{
    Capabilities, ChangeFeed, ChangePage, ChangePosition, ChangeScope, Claim, ClaimRequest, Cursor, DeadPage,
    DeletedPage, Document, DocumentKey, EntryId, Fact, FactChange, FactEdit, History, HistoryPage,
    HistoryQuery, LeaseToken, Ledger, Moment, Page, Precondition, Query, QueryExplanation, QueryPage,
    Queryable, QueueStats, Receipt, Scope, SqlQuestion, SqlSink, Store, Trash, UnitOfWork, Verdict,
    WorkQueue, Written,
};
use repot_core::{Error, Result};

/// Fails with this error.
#[derive(Debug)]
pub(crate) struct Broken {
    pub error: Error,
    pub capabilities: Capabilities,
    pub collections: Vec<String>,
    /// Whether it can be read, it does not say at all.
    pub is_silent: bool,
    /// It has facts, with which limits are counted and keys are kept.
    pub counts: bool,
}

impl Broken {
    fn refuse<T>(&self) -> Result<T> {
        Err(self.error.clone())
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("broken")
    }
}

#[async_trait]
impl Store for Broken {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }
    fn trash(&self) -> Option<&dyn Trash> {
        Some(self)
    }
    fn change_feed(&self) -> Option<&dyn ChangeFeed> {
        Some(self)
    }
    fn work_queue(&self) -> Option<&dyn WorkQueue> {
        Some(self)
    }
    fn record(&self) -> Option<&dyn History> {
        Some(self)
    }
    fn ledger(&self) -> Option<&dyn Ledger> {
        self.counts.then_some(self as &dyn Ledger)
    }
    fn collections(&self) -> Vec<String> {
        self.collections.clone()
    }
    async fn get(&self, _: &DocumentKey) -> Result<Option<Document>> {
        self.refuse()
    }
    async fn exists(&self, _: &DocumentKey) -> Result<bool> {
        self.refuse()
    }
    async fn apply(&self, _: UnitOfWork) -> Result<Receipt> {
        self.refuse()
    }
    async fn list(&self, _: &Scope, _: Option<&Cursor>, _: usize) -> Result<Page> {
        self.refuse()
    }
    async fn probe(&self) -> Result<()> {
        if self.is_silent {
            std::future::pending::<()>().await;
        }
        self.refuse()
    }
}

#[async_trait]
impl Trash for Broken {
    async fn deleted(&self, _: &Scope, _: Option<&Cursor>, _: usize) -> Result<DeletedPage> {
        self.refuse()
    }
    async fn deleted_at(&self, _: &DocumentKey) -> Result<Option<repot_core::store::Deleted>> {
        self.refuse()
    }
    async fn restore_noting(
        &self,
        _: &DocumentKey,
        _: Option<&str>,
        _: Vec<FactChange>,
    ) -> Result<Vec<DocumentKey>> {
        self.refuse()
    }
    async fn purge(&self, _: i64, _: usize) -> Result<usize> {
        self.refuse()
    }
}

#[async_trait]
impl ChangeFeed for Broken {
    async fn changes(&self, _: &ChangeScope, _: ChangePosition, _: usize) -> Result<ChangePage> {
        self.refuse()
    }
    async fn position(&self) -> Result<ChangePosition> {
        self.refuse()
    }
}

#[async_trait]
impl WorkQueue for Broken {
    async fn claim(&self, _: &ClaimRequest) -> Result<Vec<Claim>> {
        self.refuse()
    }
    async fn settle_message(
        &self,
        _: &DocumentKey,
        _: &LeaseToken,
        _: Verdict,
        _: Vec<FactChange>,
    ) -> Result<i64> {
        self.refuse()
    }
    async fn dead(&self, _: &Scope, _: Option<&Cursor>, _: usize) -> Result<DeadPage> {
        self.refuse()
    }
    async fn revive_noting(&self, _: &Scope, _: Option<&DocumentKey>, _: Vec<FactChange>) -> Result<u64> {
        self.refuse()
    }
    async fn stats(&self, _: &Scope) -> Result<QueueStats> {
        self.refuse()
    }
}

#[async_trait]
impl History for Broken {
    async fn history(&self, _: &HistoryQuery, _: usize) -> Result<HistoryPage> {
        self.refuse()
    }
    async fn text_at(&self, _: &DocumentKey, _: Moment) -> Result<Option<Bytes>> {
        self.refuse()
    }
    async fn revert_noting(
        &self,
        _: &DocumentKey,
        _: EntryId,
        _: (Option<&str>, Precondition),
        _: Vec<FactChange>,
    ) -> Result<Written> {
        self.refuse()
    }
    async fn prune_history(&self) -> Result<()> {
        self.refuse()
    }
}

#[async_trait]
impl Ledger for Broken {
    async fn fact(&self, _: &str, _: &str) -> Result<Option<Fact>> {
        self.refuse()
    }
    async fn named(&self, _: &[(&str, &str)]) -> Result<Vec<Fact>> {
        self.refuse()
    }
    async fn facts(&self, _: &str, _: Option<&str>, _: usize) -> Result<Vec<Fact>> {
        self.refuse()
    }
    async fn count_facts(&self, _: &str) -> Result<u64> {
        self.refuse()
    }
    async fn note(&self, _: FactChange) -> Result<()> {
        self.refuse()
    }
    async fn update_fact(&self, _: &str, _: &str, _: FactEdit) -> Result<()> {
        self.refuse()
    }
    async fn prune_facts(&self, _: i64) -> Result<usize> {
        self.refuse()
    }
}

#[async_trait]
impl Queryable for Broken {
    async fn query(&self, _: &Query) -> Result<QueryPage> {
        self.refuse()
    }
    async fn count(&self, _: &Query) -> Result<u64> {
        self.refuse()
    }
    async fn read_sql(&self, _: SqlQuestion, _: SqlSink) -> Result<bool> {
        self.refuse()
    }
    async fn explain(&self, _: &Query) -> Result<QueryExplanation> {
        self.refuse()
    }
}

/// A body that never comes to its end.
pub(crate) fn endless() -> axum::body::Body {
    axum::body::Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>())
}
