//! Documents as whole objects: the store over a directory, an S3 bucket or memory.

mod copied;
mod journal;
mod record;
mod shelf;
mod together;
mod unit;
mod within;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::barrier::Barrier;
use super::change::Change;
use super::contract::{Capabilities, Store};
use super::deadline::check_deadline;
use super::document::{Cursor, Document, DocumentMeta, Edit, Page, Receipt, UnitOfWork, Write, Written};
use super::etag::{ETag, Precondition, is_overtaken};
use super::key::{DocumentKey, Scope};
use super::layout::Layout;
use super::ledger::no_ledger;
use super::objects::Objects;
use super::work_queue::refuse_holding;
use crate::clock::{Clock, SystemClock};
use crate::error::{Error, Kind, Result, Retry};
use journal::UNIT_WRITES_MAX;
use shelf::Shelf;
use together::Queues;
use within::Turns;

pub use journal::{Journal, Recovery};
pub(super) use within::split;

/// Objects listed at once while a page of documents is filled.
const LISTED_AT_ONCE: usize = 1_000;
/// Times that a change is made anew because another process wrote meanwhile.
const TRIES_MAX: usize = 1_000;

/// Documents, each in an object of its own, or several in one, at the path that the model gives it.
///
/// One object is atomic; a unit of work over several is refused, or done with a [`Journal`]. The `ETag` of a document
/// is that of its object; of one that stands with others in an object, that of its own text.
#[derive(Debug)]
pub struct BucketStore {
    shelf: Arc<Shelf>,
    queues: Queues,
    turns: Turns,
    journal: Option<Journal>,
}

/// What must hold for one write.
#[derive(Clone, Copy)]
struct On<'w> {
    when: &'w Precondition,
    until_ms: Option<i64>,
    barrier: Option<&'w Barrier>,
}

impl On<'_> {
    /// Whether somebody else was faster, so that another try may help.
    fn was_overtaken(&self, error: &Error) -> bool {
        is_overtaken(error) && self.barrier.and_then(Barrier::known).is_none_or(|passed| passed.is_ok())
    }
}

/// The error of a change of what is not there.
pub(crate) fn absent(key: &DocumentKey) -> Error {
    Error::new(Kind::NotFound, "R0402", format!("{key} is not there"))
        .hint("Check the key; `list` shows what is there.")
}

impl BucketStore {
    /// The documents of `layout` in `objects`; none larger than `document_bytes_max`.
    #[must_use]
    pub fn new(objects: Arc<dyn Objects>, layout: Layout, document_bytes_max: u64) -> Self {
        Self {
            shelf: Arc::new(Shelf { objects, layout, document_bytes_max, clock: Arc::new(SystemClock) }),
            queues: Queues::default(),
            turns: Turns::default(),
            journal: None,
        }
    }

    /// The same store with another time of day: for the fields that the model fills with it.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        let Shelf { objects, layout, document_bytes_max, clock: _ } = &*self.shelf;
        self.shelf = Arc::new(Shelf {
            objects: Arc::clone(objects),
            layout: layout.clone(),
            document_bytes_max: *document_bytes_max,
            clock,
        });
        self
    }

    /// With a journal a unit of work may have several documents: they are written down first, then written one by one,
    /// and what a crash leaves is done by the next who writes, or by [`Store::probe`], which whoever opens a store
    /// should call. Until then a reader sees some documents before the unit of work and some after it. Every write
    /// costs two more, and the writers of all processes take turns.
    ///
    /// # Errors
    /// [`Kind::Invalid`], code `R0415`, when the place of the journal is that of a document.
    pub fn with_journal(mut self, journal: Journal) -> Result<Self> {
        if self.shelf.layout.is_claimed(journal.path()) {
            let message = format!("{} is the place of a document, not of a journal", journal.path());
            return Err(Error::new(Kind::Invalid, "R0415", message)
                .hint("Choose a path that no template of the model matches."));
        }
        self.journal = Some(journal);
        Ok(self)
    }

    /// Does what a crash left undone, when the journal has something; gives whether it had.
    ///
    /// # Errors
    /// `R0415` when it cannot be done; then [`Recovery`] says how else.
    pub async fn recover(&self, how: Recovery) -> Result<bool> {
        match &self.journal {
            Some(journal) => {
                journal.demand_conditions(&*self.shelf.objects)?;
                journal.recover(&*self.shelf.objects, how).await
            }
            None => Ok(false),
        }
    }

    /// Refuses a deadline that would not hold, and one that is over.
    fn check_deadline(&self, until_ms: Option<i64>) -> Result<()> {
        if until_ms.is_some() && !self.capabilities().deadlines {
            let message = if self.journal.is_some() {
                format!(
                    "{self} has a recovery journal, and what stands in it is done whenever somebody finds it"
                )
            } else {
                format!("{self} does not refuse what comes after its deadline")
            };
            return Err(Error::new(Kind::Unsupported, "R0405", message)
                .hint("Open it without a journal, or use a store that keeps deadlines (`capabilities`)."));
        }
        check_deadline(until_ms, self.shelf.clock.now_ms())
    }

    async fn put(&self, key: &DocumentKey, body: Bytes, on: On<'_>) -> Result<Written> {
        let layout = &self.shelf.layout;
        layout.check_precondition(key, on.when)?;
        if layout.has_rules(key)? {
            // what is stored depends on what is there
            let new = layout.check_size(key, body.len(), self.shelf.document_bytes_max)?;
            self.shelf.demand_conditions("write a document by the rules of the model")?;
            let path = self.shelf.locate(key).await?.unwrap_or(new);
            return self.rewrite((key, &path), on, &Edit::new(move |_| Ok(Some(body.clone())))).await;
        }
        let new = layout.check_put(key, &body, self.shelf.document_bytes_max)?;
        let path = self.shelf.locate(key).await?.unwrap_or(new);
        let put = self.shelf.put(&path, body, on).await;
        put.map(Written::Put).map_err(|error| error.detail(format!("document: {key}")))
    }

    /// The document as `make` has it from what is there, if nobody wrote it meanwhile; again when somebody did and the
    /// caller does not mind. `None`: it stays as it is.
    async fn rewrite(&self, (key, path): (&DocumentKey, &str), on: On<'_>, make: &Edit) -> Result<Written> {
        let when = on.when;
        for _ in 0..TRIES_MAX {
            check_deadline(on.until_ms, self.shelf.clock.now_ms())?;
            let found = self.shelf.objects.get(path, self.shelf.document_bytes_max).await?;
            let etag = found.as_ref().map(|object| &object.etag);
            when.check(key, etag)?;
            let before = found.as_ref().map(|object| object.bytes.as_ref());
            let body = make.apply(before)?.filter(|body| before != Some(body.as_ref()));
            let Some(body) = body else {
                return Ok(etag.map_or(Written::Missing, |etag| Written::Put(etag.clone())));
            };
            let body = self.shelf.revise((key, path), &body, before)?;
            let still = etag.map_or(Precondition::Absent, |etag| Precondition::Matches(etag.clone()));
            match self.shelf.put(path, body, On { when: &still, ..on }).await {
                Err(error) if on.was_overtaken(&error) && *when == Precondition::Any => {}
                done => {
                    return done.map(Written::Put).map_err(|error| error.detail(format!("document: {key}")));
                }
            }
        }
        Err(Error::new(Kind::Unavailable, "R0411", format!("others wrote {key} {TRIES_MAX} times meanwhile"))
            .retry(Retry::Safe)
            .hint("Send it again; if that goes on, let fewer write this document at once."))
    }

    /// The document as `edit` makes it.
    async fn update(&self, key: &DocumentKey, edit: &Edit, on: On<'_>) -> Result<Written> {
        self.shelf.layout.check_precondition(key, on.when)?;
        self.shelf.demand_conditions("change a document by what is in it")?;
        let layout = &self.shelf.layout;
        let new = layout.paths(key)?.into_iter().next().ok_or_else(|| layout.cannot_hold(key))?;
        let path = self.shelf.locate(key).await?.unwrap_or(new);
        self.rewrite((key, &path), on, edit).await
    }

    /// Reads, changes, and writes if nothing changed meanwhile. Without a precondition the change is made together
    /// with others that wait, and again when something did change.
    async fn patch(&self, key: &DocumentKey, change: &Change, on: On<'_>) -> Result<ETag> {
        let when = on.when;
        when.check_present()?;
        self.shelf.layout.check_precondition(key, when)?;
        self.shelf.demand_conditions("change a part of a document")?;
        let path = self.shelf.locate(key).await?.ok_or_else(|| absent(key))?;
        if *when == Precondition::Any {
            return self.queues.change(&self.shelf, &path, (key, on), change).await;
        }
        let found = self.shelf.objects.get(&path, self.shelf.document_bytes_max).await?;
        when.check(key, found.as_ref().map(|object| &object.etag))?;
        let object = found.ok_or_else(|| absent(key))?;
        let body = self.shelf.changed((key, &path), &object.bytes, change)?;
        let still = Precondition::Matches(object.etag);
        let put = self.shelf.put(&path, body, On { when: &still, ..on }).await;
        put.map_err(|error| error.detail(format!("document: {key}")))
    }

    async fn delete(&self, key: &DocumentKey, on: On<'_>) -> Result<Written> {
        let On { when, until_ms, barrier } = on;
        when.check_present()?;
        self.shelf.layout.check_precondition(key, when)?;
        let Some(path) = self.shelf.locate(key).await? else {
            when.check(key, None)?;
            return Ok(Written::Missing);
        };
        if let Some(barrier) = barrier {
            barrier.passed().await?;
        }
        let deleted = self.shelf.objects.delete(&path, when, until_ms).await;
        let deleted = deleted.map_err(|error| error.detail(format!("document: {key}")))?;
        Ok(if deleted { Written::Deleted } else { Written::Missing })
    }

    /// [`Store::apply`], which changes nothing before the barrier is passed.
    async fn apply_with(&self, work: UnitOfWork, barrier: Option<&Barrier>) -> Result<Receipt> {
        let mut receipt = Receipt::default();
        if !(work.facts.is_empty() && work.demands.is_empty()) {
            return Err(no_ledger(self));
        }
        refuse_holding(&work)?;
        if work.writes.is_empty() {
            return Ok(receipt);
        }
        self.shelf.layout.check_off_record(&work)?;
        self.check_deadline(work.until_ms)?;
        if let Some(journal) = &self.journal {
            if let Some(barrier) = barrier {
                barrier.passed().await?;
            }
            return unit::run(&self.shelf, journal, &work).await;
        }
        let on = On { when: &Precondition::Any, until_ms: work.until_ms, barrier };
        if let Some((path, writes)) = within::of_one_file(&self.shelf, &work.writes)? {
            let written = self.shelf.write_within(&self.turns, &path, (&writes, on)).await?;
            return Ok(Receipt { written });
        }
        unit::refuse_several(&self.shelf, &work)?;
        for write in work.writes {
            receipt.written.push(match write {
                Write::Put { key, body, when } => self.put(&key, body, On { when: &when, ..on }).await?,
                Write::Patch { key, change, when } => {
                    Written::Put(self.patch(&key, &change, On { when: &when, ..on }).await?)
                }
                Write::Update { key, edit, when } => {
                    self.update(&key, &edit, On { when: &when, ..on }).await?
                }
                Write::Delete { key, when } => self.delete(&key, On { when: &when, ..on }).await?,
            });
        }
        Ok(receipt)
    }
}

impl fmt::Display for BucketStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shelf.fmt(f)
    }
}

#[async_trait]
impl Store for BucketStore {
    fn capabilities(&self) -> Capabilities {
        let powers = self.shelf.objects.powers();
        Capabilities {
            atomic_writes_max: if self.journal.is_some() { UNIT_WRITES_MAX } else { 1 },
            document_bytes_max: self.shelf.document_bytes_max,
            conditional_put: powers.conditional_put,
            conditional_delete: powers.conditional_delete,
            keys_per_tenant: powers.keys_per_tenant,
            queries: false,
            found_by_key: false,
            change_log: false,
            references: false,
            soft_delete: false,
            row_security: false,
            audit: false,
            ledger: false,
            queues: false,
            // what stands in a journal is done whenever somebody finds it
            deadlines: powers.deadlines && self.journal.is_none(),
        }
    }

    fn collections(&self) -> Vec<String> {
        self.shelf.layout.collections()
    }

    async fn get(&self, key: &DocumentKey) -> Result<Option<Document>> {
        if let Some((path, within)) = within::find(&self.shelf, key)? {
            return self.shelf.get_within(key, (&path, &within)).await;
        }
        let Some(path) = self.shelf.locate(key).await? else { return Ok(None) };
        let found = self.shelf.objects.get(&path, self.shelf.document_bytes_max).await?;
        Ok(found.map(|object| {
            let modified_ms = object.modified_ms();
            Document { key: key.clone(), etag: object.etag, body: object.bytes, modified_ms }
        }))
    }

    async fn exists(&self, key: &DocumentKey) -> Result<bool> {
        if let Some((path, within)) = within::find(&self.shelf, key)? {
            return Ok(self.shelf.get_within(key, (&path, &within)).await?.is_some());
        }
        match self.shelf.locate(key).await? {
            Some(path) => Ok(self.shelf.objects.head(&path).await?.is_some()),
            None => Ok(false),
        }
    }

    async fn apply(&self, work: UnitOfWork) -> Result<Receipt> {
        self.apply_with(work, None).await
    }

    async fn list(&self, scope: &Scope, after: Option<&Cursor>, most: usize) -> Result<Page> {
        self.shelf.layout.check_scope(scope)?;
        if self.shelf.layout.is_shared(&scope.collection) {
            return self.shelf.list_within(scope, after, most).await;
        }
        let prefix = self.shelf.layout.prefix(scope)?;
        let mut after = after.map(|cursor| cursor.as_str().to_owned());
        let mut items = Vec::new();
        while items.len() < most {
            let listed = self.shelf.objects.list(&prefix, after.as_deref(), LISTED_AT_ONCE).await?;
            let ends = listed.len() < LISTED_AT_ONCE;
            for object in listed {
                if items.len() == most {
                    return Ok(Page { items, next: after.map(Cursor::new) });
                }
                if let Some(key) = self.shelf.layout.identify(scope, &object.path)? {
                    items.push(DocumentMeta { key, size_bytes: object.size_bytes });
                }
                after = Some(object.path);
            }
            if ends {
                return Ok(Page { items, next: None });
            }
        }
        Ok(Page { items, next: after.map(Cursor::new) })
    }

    async fn probe(&self) -> Result<()> {
        self.shelf.objects.probe().await?;
        self.recover(Recovery::Refuse).await.map(drop)
    }
}
