//! Objects as copies of documents that another store leads.

use std::sync::Arc;

use async_trait::async_trait;

use super::shelf::Shelf;
use super::{BucketStore, Queues, Turns};
use crate::error::Result;
use crate::moving::CopyInto;
use crate::store::contract::Store as _;
use crate::store::document::{Receipt, UnitOfWork};

#[async_trait]
impl CopyInto for BucketStore {
    async fn copy_in(&self, work: UnitOfWork) -> Result<Receipt> {
        let Shelf { objects, layout, document_bytes_max, clock } = &*self.shelf;
        let shelf = Shelf {
            objects: Arc::clone(objects),
            layout: layout.verbatim(),
            document_bytes_max: *document_bytes_max,
            clock: Arc::clone(clock),
        };
        let own = Self {
            shelf: Arc::new(shelf),
            queues: Queues::default(),
            turns: Turns::default(),
            journal: None,
        };
        own.apply(UnitOfWork { actor: None, ..work }).await
    }
}
