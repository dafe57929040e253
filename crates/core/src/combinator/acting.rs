//! [`Acting`]: a store in somebody's hands, so that every write says who it was.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::error::Result;
use crate::store::{
    Capabilities, Cursor, Document, DocumentKey, History, Page, Receipt, Scope, Store, UnitOfWork,
};

/// Writes in the name of an actor, for the record of changes; a unit of work that names one itself keeps it.
#[derive(Debug)]
pub struct Acting {
    store: Arc<dyn Store>,
    actor: Box<str>,
}

impl Acting {
    /// `store`, for writes of `actor`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, actor: &str) -> Self {
        Self { store, actor: actor.into() }
    }
}

impl fmt::Display for Acting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.fmt(f)
    }
}

#[async_trait]
impl Store for Acting {
    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
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
        self.store.record()
    }
}
