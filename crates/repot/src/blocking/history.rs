//! The record of changes and the log of what changed, for programs without a runtime.

use bytes::Bytes;

use super::{Collection, Repot, Tenant, Unit};
use crate::entity::{Entity, Id};
use crate::stored::Stored;
use crate::{ChangePage, ChangePosition, EntryId, HistoryPage, HistoryQuery, Moment, Result};

impl Repot {
    /// The same documents, written in this actor's name, as [`crate::Repot::acting_as`].
    #[must_use]
    pub fn acting_as(&self, actor: &str) -> Self {
        Self { beneath: self.beneath.acting_as(actor), waiter: self.waiter.clone() }
    }

    /// What changed after a position, everywhere.
    ///
    /// # Errors
    /// As [`crate::Repot::changes`].
    pub fn changes(&self, after: ChangePosition, most: usize) -> Result<ChangePage> {
        self.waiter.wait(self.beneath.changes(after, most))
    }

    /// The end of the log of changes.
    ///
    /// # Errors
    /// As [`crate::Repot::position`].
    pub fn position(&self) -> Result<ChangePosition> {
        self.waiter.wait(self.beneath.position())
    }
}

impl Tenant {
    /// What changed of this tenant after a position.
    ///
    /// # Errors
    /// As [`crate::Tenant::changes`].
    pub fn changes(&self, after: ChangePosition, most: usize) -> Result<ChangePage> {
        self.waiter.wait(self.beneath.changes(after, most))
    }
}

impl Unit {
    /// Says who writes, for the record of changes.
    pub fn by(&mut self, actor: &str) -> &mut Self {
        self.beneath.by(actor);
        self
    }
}

impl<T: Entity> Collection<T> {
    /// What is on record of a document, the newest first.
    ///
    /// # Errors
    /// As [`crate::Collection::history`].
    pub fn history(
        &self,
        id: impl Into<Id> + Send,
        before: Option<EntryId>,
        most: usize,
    ) -> Result<HistoryPage> {
        self.waiter.wait(self.beneath.history(id, before, most))
    }

    /// A question about the record of this collection, for [`Collection::audit`].
    #[must_use]
    pub fn on_record(&self) -> HistoryQuery {
        self.beneath.on_record()
    }

    /// What is on record as asked, of what can be reached from here.
    ///
    /// # Errors
    /// As [`crate::Collection::audit`].
    pub fn audit(&self, query: &HistoryQuery, most: usize) -> Result<HistoryPage> {
        self.waiter.wait(self.beneath.audit(query, most))
    }

    /// The document as it was at a moment.
    ///
    /// # Errors
    /// As [`crate::Collection::as_of`].
    pub fn as_of(&self, id: impl Into<Id> + Send, moment: Moment) -> Result<Option<T>> {
        self.waiter.wait(self.beneath.as_of(id, moment))
    }

    /// The document's exact text as it was at a moment.
    ///
    /// # Errors
    /// As [`crate::Collection::as_of`].
    pub fn text_as_of(&self, id: impl Into<Id> + Send, moment: Moment) -> Result<Option<Bytes>> {
        self.waiter.wait(self.beneath.text_as_of(id, moment))
    }

    /// Takes one write of a document back; gives what is there then.
    ///
    /// # Errors
    /// As [`crate::Collection::revert`].
    pub fn revert(&self, id: impl Into<Id> + Send, entry: EntryId) -> Result<Option<Stored<T>>> {
        self.waiter.wait(self.beneath.revert(id, entry))
    }

    /// The same, if the document is as it was read.
    ///
    /// # Errors
    /// As [`crate::Collection::revert_unchanged`].
    pub fn revert_unchanged(&self, stored: &Stored<T>, entry: EntryId) -> Result<Option<Stored<T>>> {
        self.waiter.wait(self.beneath.revert_unchanged(stored, entry))
    }

    /// Which of these documents changed after a position.
    ///
    /// # Errors
    /// As [`crate::Collection::changes`].
    pub fn changes(&self, after: ChangePosition, most: usize) -> Result<ChangePage> {
        self.waiter.wait(self.beneath.changes(after, most))
    }
}
