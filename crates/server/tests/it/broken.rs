//! A store that answers everything with one error.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use repot_core::store::{
    Capabilities, Cursor, DeletedPage, Document, DocumentKey, FactChange, Page, Query, QueryExplanation,
    QueryPage, Queryable, Receipt, Scope, Store, Trash, UnitOfWork,
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
}

impl Broken {
    fn fail<T>(&self) -> Result<T> {
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
    fn collections(&self) -> Vec<String> {
        self.collections.clone()
    }
    async fn get(&self, _: &DocumentKey) -> Result<Option<Document>> {
        self.fail()
    }
    async fn exists(&self, _: &DocumentKey) -> Result<bool> {
        self.fail()
    }
    async fn apply(&self, _: UnitOfWork) -> Result<Receipt> {
        self.fail()
    }
    async fn list(&self, _: &Scope, _: Option<&Cursor>, _: usize) -> Result<Page> {
        self.fail()
    }
    async fn probe(&self) -> Result<()> {
        if self.is_silent {
            std::future::pending::<()>().await;
        }
        self.fail()
    }
}

#[async_trait]
impl Trash for Broken {
    async fn deleted(&self, _: &Scope, _: Option<&Cursor>, _: usize) -> Result<DeletedPage> {
        self.fail()
    }
    async fn deleted_at(&self, _: &DocumentKey) -> Result<Option<repot_core::store::Deleted>> {
        self.fail()
    }
    async fn restore_noting(
        &self,
        _: &DocumentKey,
        _: Option<&str>,
        _: Vec<FactChange>,
    ) -> Result<Vec<DocumentKey>> {
        self.fail()
    }
    async fn purge(&self, _: i64, _: usize) -> Result<usize> {
        self.fail()
    }
}

#[async_trait]
impl Queryable for Broken {
    async fn query(&self, _: &Query) -> Result<QueryPage> {
        self.fail()
    }
    async fn explain(&self, _: &Query) -> Result<QueryExplanation> {
        self.fail()
    }
}

/// A body that never comes to its end.
pub(crate) fn endless() -> axum::body::Body {
    axum::body::Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>())
}
