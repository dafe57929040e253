//! Who changed what, texts as they were, changes taken back, and what changed since: of typed collections.

use bytes::Bytes;
use repot_core::store::{
    ChangeFeed, ChangePage, ChangePosition, ChangeScope, DocumentKey, EntryId, History, HistoryPage,
    HistoryQuery, Moment, Precondition, Store, Written,
};
use repot_core::{Error as Cause, Kind};

use crate::Result;
use crate::collection::Collection;
use crate::entity::{Entity, Id};
use crate::open::{Repot, Tenant};
use crate::stored::{Stored, read};

fn record<S: Store + ?Sized>(store: &S) -> Result<&dyn History> {
    store.record().ok_or_else(|| {
        let error = Cause::new(Kind::Unsupported, "R0405", format!("{store} keeps no record of changes"));
        error.hint("Keep the documents in a database, and say `audit = \"1y\"` in the model.").into()
    })
}

fn feed<S: Store + ?Sized>(store: &S) -> Result<&dyn ChangeFeed> {
    store.change_feed().ok_or_else(|| {
        let error = Cause::new(Kind::Unsupported, "R0405", format!("{store} keeps no log of changes"));
        error.hint("Keep the documents in a database.").into()
    })
}

impl Repot {
    /// What changed after a position, in every collection and of every tenant; for caches and copies, never for a tenant.
    /// Goes on with [`ChangePage::next`].
    ///
    /// # Errors
    /// [`crate::Error::Unsupported`] where there is no log ([`crate::Capabilities::change_log`]); code `R0604` when it does not
    /// reach back that far.
    pub async fn changes(&self, after: ChangePosition, most: usize) -> Result<ChangePage> {
        let feed = feed(self.inside.store.as_ref())?;
        Ok(feed.changes(&ChangeScope::Everything, after, most).await?)
    }

    /// The end of the log of changes: to list everything, and go on from here.
    ///
    /// # Errors
    /// [`crate::Error::Unsupported`] where there is no log.
    pub async fn position(&self) -> Result<ChangePosition> {
        Ok(feed(self.inside.store.as_ref())?.position().await?)
    }
}

impl Tenant {
    /// What changed of this tenant after a position, in every collection; as [`Repot::changes`].
    ///
    /// # Errors
    /// As there.
    pub async fn changes(&self, after: ChangePosition, most: usize) -> Result<ChangePage> {
        let scope = ChangeScope::Tenant(self.name.to_string());
        Ok(feed(self.inside.store.as_ref())?.changes(&scope, after, most).await?)
    }
}

impl<T: Entity> Collection<T> {
    /// What is on record of a document, the newest first; `before` goes on with [`HistoryPage::next`].
    ///
    /// # Errors
    /// [`crate::Error::Unsupported`] where the store keeps no record ([`crate::Capabilities::audit`]), or nothing of this
    /// collection is on record.
    pub async fn history(
        &self,
        id: impl Into<Id> + Send,
        before: Option<EntryId>,
        most: usize,
    ) -> Result<HistoryPage> {
        let query = HistoryQuery { before, ..HistoryQuery::of_document(&self.key(id)) };
        self.audit(&query, most).await
    }

    /// A question about the record of this collection, to be narrowed by actor, place and time; for [`Collection::audit`].
    #[must_use]
    pub fn on_record(&self) -> HistoryQuery {
        HistoryQuery::of(self.scope())
    }

    /// What is on record as asked, the newest first, of what can be reached from here: collection and tenant are
    /// this one's, whatever the query says.
    ///
    /// # Errors
    /// As [`Collection::history`].
    pub async fn audit(&self, query: &HistoryQuery, most: usize) -> Result<HistoryPage> {
        let query = HistoryQuery { scope: self.scope(), ..query.clone() };
        Ok(record(self.inside.store.as_ref())?.history(&query, most).await?)
    }

    /// The document as it was at a moment; `None`: it was not there.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`] when the record does not say; [`crate::Error::Validation`] when it cannot be read as this type,
    /// as [`Collection::text_as_of`] can; else as [`Collection::history`].
    pub async fn as_of(&self, id: impl Into<Id> + Send, moment: Moment) -> Result<Option<T>> {
        let key = self.key(id);
        self.recalled(&key, moment).await?.map(|text| read(&key, &text)).transpose()
    }

    /// The document's exact text as it was at a moment; `None`: it was not there.
    ///
    /// # Errors
    /// As [`Collection::as_of`].
    pub async fn text_as_of(&self, id: impl Into<Id> + Send, moment: Moment) -> Result<Option<Bytes>> {
        self.recalled(&self.key(id), moment).await
    }

    async fn recalled(&self, key: &DocumentKey, moment: Moment) -> Result<Option<Bytes>> {
        Ok(record(self.inside.store.as_ref())?.text_at(key, moment).await?)
    }

    /// Takes one write of a document back, as a new write: what others changed since stays. Gives what is there then;
    /// `None` when the write was the document's first, so that it is gone.
    ///
    /// # Errors
    /// [`crate::Error::Conflict`] when the same places were changed since; [`crate::Error::NotFound`] when the entry is not on
    /// record; [`crate::Error::Unsupported`] for what plain SQL did; else as [`Collection::history`].
    pub async fn revert(&self, id: impl Into<Id> + Send, entry: EntryId) -> Result<Option<Stored<T>>> {
        self.taken_back(&self.key(id), entry, Precondition::Any).await
    }

    /// The same, if the document is as it was read.
    ///
    /// # Errors
    /// [`crate::Error::Conflict`] when somebody changed it since; else as [`Collection::revert`].
    pub async fn revert_unchanged(&self, stored: &Stored<T>, entry: EntryId) -> Result<Option<Stored<T>>> {
        self.taken_back(stored.key(), entry, Precondition::Matches(stored.etag().clone())).await
    }

    async fn taken_back(
        &self,
        key: &DocumentKey,
        entry: EntryId,
        when: Precondition,
    ) -> Result<Option<Stored<T>>> {
        let store = self.inside.store.as_ref();
        match record(store)?.revert(key, entry, (None, when)).await? {
            Written::Put(_) => store.get(key).await?.map(Stored::read).transpose(),
            Written::Deleted | Written::Missing => Ok(None),
        }
    }

    /// Which of these documents changed after a position, as [`Repot::changes`]; of one tenant where there is one.
    ///
    /// # Errors
    /// As there.
    pub async fn changes(&self, after: ChangePosition, most: usize) -> Result<ChangePage> {
        let scope = ChangeScope::Documents(self.scope());
        Ok(feed(self.inside.store.as_ref())?.changes(&scope, after, most).await?)
    }
}
