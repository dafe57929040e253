//! Writes of typed documents that happen together.

use std::sync::Arc;

use repot_core::store::{ETag, Precondition, UnitOfWork, Write, Written};

use crate::collection::Collection;
use crate::entity::{Entity, Id};
use crate::open::Inside;
use crate::stored::Stored;
use crate::{Error, Result};

/// Writes that happen together or not at all; nothing happens before [`Unit::commit`].
///
/// A store takes as many as its [`crate::Capabilities::atomic_writes_max`] says, each document once.
#[derive(Debug)]
#[must_use = "nothing is written before `commit`"]
pub struct Unit {
    inside: Arc<Inside>,
    work: UnitOfWork,
    creates: bool,
}

impl Unit {
    pub(crate) fn new(inside: Arc<Inside>) -> Self {
        Self { inside, work: UnitOfWork::default(), creates: false }
    }

    /// Says who writes, for the record of changes, whatever [`crate::Repot::acting_as`] said.
    pub fn by(&mut self, actor: &str) -> &mut Self {
        self.work.actor = Some(actor.to_owned());
        self
    }

    /// A new document.
    ///
    /// # Errors
    /// [`Error::Validation`] when the value has no JSON text.
    pub fn create<T: Entity>(&mut self, within: &Collection<T>, value: &T) -> Result<&mut Self> {
        let (key, body) = within.new_text(value)?;
        self.work.writes.push(Write::Put { key, body: body.into(), when: Precondition::Absent });
        self.creates = true;
        Ok(self)
    }

    /// The document with this id is this value from now on, whatever is there: for documents whose value does not say
    /// where they are.
    ///
    /// # Errors
    /// [`Error::Validation`] when the value has no JSON text.
    pub fn put_at<T: Entity>(
        &mut self,
        within: &Collection<T>,
        id: impl Into<Id>,
        value: &T,
    ) -> Result<&mut Self> {
        let (key, body) = within.text_at(within.key(id), value)?;
        self.work.writes.push(Write::Put { key, body: body.into(), when: Precondition::Any });
        Ok(self)
    }

    /// What was changed in a value that was read. Where nothing was, the document must still be as it was read.
    ///
    /// # Errors
    /// [`Error::Validation`] when the text cannot be changed to say this; [`Error::Conflict`] when it could not be
    /// read after it was written.
    pub fn update<T: Entity>(&mut self, within: &Collection<T>, stored: &Stored<T>) -> Result<&mut Self> {
        let text = within.update_text(stored)?;
        let body = text.map_or_else(|| stored.document.body.clone(), Into::into);
        let when = Precondition::Matches(stored.etag().clone());
        self.work.writes.push(Write::Put { key: stored.key().clone(), body, when });
        Ok(self)
    }

    /// The document goes, if it is there.
    pub fn delete<T: Entity>(&mut self, within: &Collection<T>, id: impl Into<Id>) -> &mut Self {
        self.work.writes.push(Write::Delete { key: within.key(id), when: Precondition::Any });
        self
    }

    /// Writes everything; gives the new state of each document in the order of the calls, `None` for one that went.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when these are too many for the store; [`Error::Conflict`] when a document is not as it
    /// was read, or one to be created is there ([`Error::Duplicate`] when there is nothing but creations);
    /// [`Error::Validation`] when the model refuses one. Nothing is written then.
    pub async fn commit(self) -> Result<Vec<Option<ETag>>> {
        let all_new = self.creates
            && self
                .work
                .writes
                .iter()
                .all(|write| matches!(write, Write::Put { when: Precondition::Absent, .. }));
        let receipt = self.inside.store.apply(self.work).await;
        let receipt = receipt.map_err(if all_new { Error::of_create } else { Error::from })?;
        let state = |written| match written {
            Written::Put(etag) => Some(etag),
            Written::Deleted | Written::Missing => None,
        };
        Ok(receipt.written.into_iter().map(state).collect())
    }
}
