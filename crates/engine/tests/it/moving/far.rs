//! A database behind a connection that is slow or cut.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use repot_core::Result;
use repot_core::store::{
    Capabilities, ChangeFeed, ChangePage, ChangePosition, ChangeScope, Cursor, Document, DocumentKey, Fact,
    FactChange, FactEdit, Ledger, Page, Query, QueryExplanation, QueryPage, Queryable, Receipt, Scope,
    SqlQuestion, SqlSink, Store, UnitOfWork, Write,
};

use repot_core::moving::CopyInto;
use repot_engine::store::RowStore;

use super::objects::{Line, sent};

#[derive(Debug)]
pub(super) struct FarStore {
    pub store: Arc<RowStore>,
    pub line: Arc<Line>,
}

impl FarStore {
    fn facts(&self) -> &dyn Ledger {
        self.store.ledger().unwrap()
    }
}

impl fmt::Display for FarStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.fmt(f)
    }
}

#[async_trait]
impl Store for FarStore {
    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
    }

    fn collections(&self) -> Vec<String> {
        self.store.collections()
    }

    async fn get(&self, key: &DocumentKey) -> Result<Option<Document>> {
        self.line.pass().await?;
        let found = self.store.get(key).await;
        self.line.pass().await?;
        found
    }

    async fn exists(&self, key: &DocumentKey) -> Result<bool> {
        self.line.pass().await?;
        self.store.exists(key).await
    }

    async fn apply(&self, work: UnitOfWork) -> Result<Receipt> {
        let store = Arc::clone(&self.store);
        sent(&self.line, async move { store.apply(work).await }).await
    }

    async fn list(&self, scope: &Scope, after: Option<&Cursor>, most: usize) -> Result<Page> {
        self.line.pass().await?;
        self.store.list(scope, after, most).await
    }

    async fn probe(&self) -> Result<()> {
        self.line.pass().await?;
        self.store.probe().await
    }

    fn change_feed(&self) -> Option<&dyn ChangeFeed> {
        Some(self)
    }

    fn ledger(&self) -> Option<&dyn Ledger> {
        Some(self)
    }
}

/// Another chat than was to be written.
fn spoil(write: &mut Write) {
    if let Write::Put { body, .. } = write {
        let text = String::from_utf8(body.to_vec()).unwrap();
        *body = text.replacen("\"messages\"", "\"spoiled\": true, \"messages\"", 1).into();
    }
}

#[async_trait]
impl CopyInto for FarStore {
    async fn copy_in(&self, mut work: UnitOfWork) -> Result<Receipt> {
        if self.line.spoils.load(Ordering::SeqCst) {
            work.writes.iter_mut().for_each(spoil);
        }
        let store = Arc::clone(&self.store);
        sent(&self.line, async move { store.copy_in(work).await }).await
    }
}

#[async_trait]
impl ChangeFeed for FarStore {
    async fn changes(&self, scope: &ChangeScope, after: ChangePosition, most: usize) -> Result<ChangePage> {
        self.line.pass().await?;
        self.store.change_feed().unwrap().changes(scope, after, most).await
    }

    async fn position(&self) -> Result<ChangePosition> {
        self.line.pass().await?;
        self.store.change_feed().unwrap().position().await
    }
}

#[async_trait]
impl Ledger for FarStore {
    async fn fact(&self, kind: &str, name: &str) -> Result<Option<Fact>> {
        self.line.pass().await?;
        let found = self.facts().fact(kind, name).await;
        self.line.pass().await?;
        found
    }

    async fn named(&self, names: &[(&str, &str)]) -> Result<Vec<Fact>> {
        self.line.pass().await?;
        let found = self.facts().named(names).await;
        self.line.pass().await?;
        found
    }

    async fn facts(&self, kind: &str, after: Option<&str>, most: usize) -> Result<Vec<Fact>> {
        self.line.pass().await?;
        let found = self.facts().facts(kind, after, most).await;
        self.line.pass().await?;
        found
    }

    async fn count_facts(&self, kind: &str) -> Result<u64> {
        self.line.pass().await?;
        self.facts().count_facts(kind).await
    }

    async fn note(&self, change: FactChange) -> Result<()> {
        let store = Arc::clone(&self.store);
        sent(&self.line, async move { store.ledger().unwrap().note(change).await }).await
    }

    async fn update_fact(&self, kind: &str, name: &str, edit: FactEdit) -> Result<()> {
        self.line.pass().await?;
        self.facts().update_fact(kind, name, edit).await
    }

    async fn prune_facts(&self, now_ms: i64) -> Result<usize> {
        self.facts().prune_facts(now_ms).await
    }
}

#[async_trait]
impl Queryable for FarStore {
    async fn query(&self, query: &Query) -> Result<QueryPage> {
        self.line.pass().await?;
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
