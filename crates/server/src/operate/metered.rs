//! [`Metered`]: a store whose calls are counted and timed.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use repot_core::Result;
use repot_core::store::{
    Capabilities, ChangeFeed, Cursor, Document, DocumentKey, History, Ledger, Page, Query, QueryExplanation,
    QueryPage, Queryable, Receipt, Scope, SqlQuestion, SqlSink, Store, Trash, UnitOfWork, Vitals, WorkQueue,
};

use repot_engine::store::waiting;

use super::figures::Figures;
use crate::trace::Running;

/// Counts and times what goes through it; does nothing else.
#[derive(Debug)]
pub(crate) struct Metered {
    store: Arc<dyn Queryable>,
    figures: Arc<Figures>,
}

impl Metered {
    pub(crate) fn new(store: Arc<dyn Queryable>, figures: Arc<Figures>) -> Self {
        Self { store, figures }
    }

    async fn timed<T>(&self, operation: &'static str, call: impl Future<Output = Result<T>>) -> Result<T> {
        let begin = Instant::now();
        let done = match Running::current() {
            None => call.await,
            Some(request) => {
                let (done, waited) = waiting(call).await;
                request.called(operation, begin, waited, done.as_ref().err());
                done
            }
        };
        self.figures.operated(operation, done.as_ref().err(), begin.elapsed());
        done
    }
}

impl fmt::Display for Metered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.fmt(f)
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Store for Metered {
    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
    }

    fn trash(&self) -> Option<&dyn Trash> {
        self.store.trash()
    }

    fn change_feed(&self) -> Option<&dyn ChangeFeed> {
        self.store.change_feed()
    }

    fn ledger(&self) -> Option<&dyn Ledger> {
        self.store.ledger()
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
        self.timed("get", self.store.get(key)).await
    }

    async fn exists(&self, key: &DocumentKey) -> Result<bool> {
        self.timed("exists", self.store.exists(key)).await
    }

    async fn apply(&self, work: UnitOfWork) -> Result<Receipt> {
        self.timed("apply", self.store.apply(work)).await
    }

    async fn list(&self, scope: &Scope, after: Option<&Cursor>, most: usize) -> Result<Page> {
        self.timed("list", self.store.list(scope, after, most)).await
    }

    async fn probe(&self) -> Result<()> {
        self.timed("probe", self.store.probe()).await
    }

    fn record(&self) -> Option<&dyn History> {
        self.store.record()
    }
}

#[async_trait]
impl Queryable for Metered {
    async fn query(&self, query: &Query) -> Result<QueryPage> {
        self.timed("query", self.store.query(query)).await
    }

    async fn count(&self, query: &Query) -> Result<u64> {
        self.timed("count", self.store.count(query)).await
    }

    async fn read_sql(&self, question: SqlQuestion, sink: SqlSink) -> Result<bool> {
        self.timed("read_sql", self.store.read_sql(question, sink)).await
    }

    async fn explain(&self, query: &Query) -> Result<QueryExplanation> {
        self.timed("explain", self.store.explain(query)).await
    }
}
