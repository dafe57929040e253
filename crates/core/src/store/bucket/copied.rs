//! What a live move asks of a store of objects: copies of documents that another store leads, and to be told of writes
//! before they are sent.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::shelf::Shelf;
use super::{BucketStore, Queues, Turns};
use crate::error::Result;
use crate::moving::{Announce, Announced, Announcing, CopyInto};
use crate::store::barrier::Barrier;
use crate::store::contract::Store as _;
use crate::store::document::{Receipt, UnitOfWork};
use crate::store::etag::{ETag, Precondition};
use crate::store::layout::Layout;
use crate::store::objects::{ObjectBody, ObjectMeta, ObjectPowers, Objects};

impl BucketStore {
    /// The same documents among other objects, or by another layout.
    fn beside(&self, objects: Arc<dyn Objects>, layout: Layout) -> Self {
        let Shelf { objects: _, layout: _, document_bytes_max, clock } = &*self.shelf;
        let shelf =
            Shelf { objects, layout, document_bytes_max: *document_bytes_max, clock: Arc::clone(clock) };
        Self { shelf: Arc::new(shelf), queues: Queues::default(), turns: Turns::default(), journal: None }
    }
}

#[async_trait]
impl CopyInto for BucketStore {
    async fn copy_in(&self, work: UnitOfWork) -> Result<Receipt> {
        let own = self.beside(Arc::clone(&self.shelf.objects), self.shelf.layout.verbatim());
        own.apply(UnitOfWork { actor: None, ..work }).await
    }
}

#[async_trait]
impl Announcing for BucketStore {
    async fn apply_announced(&self, work: UnitOfWork, to: Arc<dyn Announce>) -> Result<Receipt> {
        let objects = Arc::new(AnnouncedObjects { objects: Arc::clone(&self.shelf.objects), to });
        self.beside(objects, self.shelf.layout.clone()).apply(work).await
    }

    async fn apply_behind(&self, work: UnitOfWork, barrier: &Barrier) -> Result<Receipt> {
        self.apply_with(work, Some(barrier)).await
    }
}

/// Objects whose writes are announced.
#[derive(Debug)]
struct AnnouncedObjects {
    objects: Arc<dyn Objects>,
    to: Arc<dyn Announce>,
}

impl AnnouncedObjects {
    async fn announce(&self, path: &str, when: &Precondition, after: Option<&Bytes>) -> Result<()> {
        let after = after.map(|bytes| Sha256::digest(bytes).into());
        self.to.announce(Announced { path: path.to_owned(), before: when.clone(), after }).await
    }
}

impl fmt::Display for AnnouncedObjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.objects.fmt(f)
    }
}

#[async_trait]
impl Objects for AnnouncedObjects {
    fn powers(&self) -> ObjectPowers {
        self.objects.powers()
    }

    async fn probe(&self) -> Result<()> {
        self.objects.probe().await
    }

    async fn get(&self, path: &str, bytes_max: u64) -> Result<Option<ObjectBody>> {
        self.objects.get(path, bytes_max).await
    }

    async fn head(&self, path: &str) -> Result<Option<ObjectMeta>> {
        self.objects.head(path).await
    }

    async fn put(
        &self,
        path: &str,
        bytes: Bytes,
        when: &Precondition,
        until_ms: Option<i64>,
    ) -> Result<ETag> {
        self.announce(path, when, Some(&bytes)).await?;
        self.objects.put(path, bytes, when, until_ms).await
    }

    async fn delete(&self, path: &str, when: &Precondition, until_ms: Option<i64>) -> Result<bool> {
        self.announce(path, when, None).await?;
        self.objects.delete(path, when, until_ms).await
    }

    async fn settle(&self, path: &str, until_ms: i64) -> Result<()> {
        self.objects.settle(path, until_ms).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>, most: usize) -> Result<Vec<ObjectMeta>> {
        self.objects.list(prefix, after, most).await
    }
}
