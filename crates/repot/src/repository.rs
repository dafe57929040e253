//! Repositories: the verbs that apps have always used, over a collection.

use async_trait::async_trait;

use crate::Result;
use crate::collection::Collection;
use crate::entity::{Entity, Id};
use crate::filters::Filters;
use crate::stored::Stored;

/// A repository of one type. An app's own has a [`Collection`] in it and adds its finders; a collection is one by
/// itself.
#[async_trait]
pub trait Repository<T: Entity>: Send + Sync {
    /// Where the documents are.
    fn documents(&self) -> &Collection<T>;

    /// The document, if it is there.
    ///
    /// # Errors
    /// As [`Collection::get`].
    async fn get_by_id(&self, id: impl Into<Id> + Send + 'async_trait) -> Result<Option<Stored<T>>> {
        self.documents().get(id).await
    }

    /// A page of the documents that pass.
    ///
    /// # Errors
    /// As [`Collection::find`].
    async fn get_all(&self, filters: &Filters, limit: usize, offset: usize) -> Result<Vec<Stored<T>>> {
        self.documents().find(filters, limit, offset).await
    }

    /// Writes a new document and gives it back.
    ///
    /// # Errors
    /// As [`Collection::create`].
    async fn create(&self, entity: T) -> Result<Stored<T>> {
        self.documents().create(entity).await
    }

    /// Writes what was changed and gives it back.
    ///
    /// # Errors
    /// As [`Collection::update`].
    async fn update(&self, entity: Stored<T>) -> Result<Stored<T>> {
        self.documents().update(entity).await
    }

    /// Removes the document; gives whether one was there.
    ///
    /// # Errors
    /// As [`Collection::delete`].
    async fn delete(&self, id: impl Into<Id> + Send + 'async_trait) -> Result<bool> {
        self.documents().delete(id).await
    }
}

impl<T: Entity> Repository<T> for Collection<T> {
    fn documents(&self) -> &Self {
        self
    }
}
