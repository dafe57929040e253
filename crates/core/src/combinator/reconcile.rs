//! [`Reconcile`]: what happens to a write that met another state than its caller knew.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use repot_json::Limits;
use repot_json::patch::{Lists, Merged, merge3};

use super::counts::ConflictCounts;
use super::remembered::Remembered;
use crate::error::{Error, Kind, Result, Retry};
use crate::pacing::Pacing;
use crate::store::{
    Capabilities, ChangeFeed, Cursor, Document, DocumentKey, ETag, History, Layout, Ledger, Page,
    Precondition, Receipt, Scope, Store, StoreExt as _, Trash, UnitOfWork, Vitals, WorkQueue, Write, Written,
};

/// What is done about a conflict: the state that a write demands ([`Precondition::Matches`]) is no longer there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Strategy {
    /// The caller is told.
    #[default]
    Reject,
    /// A change of a part is made again on the state that is there, after a pause. Whole texts are rejected.
    Retry,
    /// The caller's changes are made in the state that is there, place by place; where both changed one place to
    /// different things, the caller is told the places (`R0414`).
    Merge,
    /// The write is done on whatever is there.
    LastWriteWins,
}

/// How long to wait before trying again: a random time up to a bound that doubles each time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The first bound, milliseconds.
    pub first_ms: u64,
    /// No bound is larger, milliseconds.
    pub most_ms: u64,
    /// Tries of one write, the first included.
    pub tries_max: u32,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first_ms: 10, most_ms: 1_000, tries_max: 10 }
    }
}

/// A store that settles conflicts by a strategy for each collection.
///
/// It counts conflicts, also where it rejects them. Units of work with several writes are only helped by
/// [`Strategy::LastWriteWins`]; with every other strategy their conflicts are the caller's.
///
/// A write that was settled by [`Strategy::Retry`] or [`Strategy::Merge`] left a state that its caller has not seen. So
/// its `ETag` is one that no state has: who writes on with it without reading again is in conflict once more, and no
/// other's change is lost.
#[derive(Debug)]
pub struct Reconcile {
    store: Arc<dyn Store>,
    pacing: Arc<dyn Pacing>,
    backoff: Backoff,
    otherwise: Strategy,
    strategies: HashMap<String, Strategy>,
    lists: HashMap<String, Lists>,
    limits: Limits,
    remembered: Mutex<Remembered>,
    counts: Mutex<BTreeMap<String, ConflictCounts>>,
}

/// These writes with everything else that the caller's unit of work says: who writes, which facts are noted.
fn of(around: &UnitOfWork, writes: Vec<Write>) -> UnitOfWork {
    UnitOfWork { writes, ..around.clone() }
}

/// What a single write is, for settling it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Made again as it is on the state that is there.
    Again,
    /// Merged.
    Merge,
    /// On whatever is there.
    Any,
    No,
}

impl Reconcile {
    /// The documents of `store`, whose places are `layout`'s. Every conflict is rejected, until strategies are given.
    /// For merges it keeps the texts that went through it, up to `remember_bytes`: a write that names an older state is
    /// rejected.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        layout: &Layout,
        pacing: Arc<dyn Pacing>,
        remember_bytes: usize,
    ) -> Self {
        let lists = store.collections().into_iter().filter_map(|name| {
            let lists = layout.lists(&name).ok()?;
            Some((name, lists))
        });
        Self {
            lists: lists.collect(),
            limits: layout.limits(),
            store,
            pacing,
            backoff: Backoff::default(),
            otherwise: Strategy::Reject,
            strategies: HashMap::new(),
            remembered: Mutex::new(Remembered::new(remember_bytes)),
            counts: Mutex::default(),
        }
    }

    /// The strategy of all collections that have none of their own.
    #[must_use]
    pub fn otherwise(mut self, strategy: Strategy) -> Self {
        self.otherwise = strategy;
        self
    }

    /// The strategy of one collection.
    #[must_use]
    pub fn with(mut self, collection: &str, strategy: Strategy) -> Self {
        self.strategies.insert(collection.to_owned(), strategy);
        self
    }

    /// How long to wait.
    #[must_use]
    pub const fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// The conflicts so far, by collection.
    #[must_use]
    pub fn conflicts(&self) -> BTreeMap<String, ConflictCounts> {
        lock(&self.counts).clone()
    }

    /// Writes what became of a document that the caller read, as the strategy of its collection has it. Unlike with a
    /// put on condition of its `ETag`, nothing depends on what is remembered.
    ///
    /// # Errors
    /// `R0401` and `R0414`; else as [`Store::apply`].
    pub async fn put_from(&self, read: &Document, body: impl Into<Bytes> + Send) -> Result<ETag> {
        lock(&self.remembered).keep(&read.key, &read.etag, read.body.clone());
        self.put_when(&read.key, body, Precondition::Matches(read.etag.clone())).await
    }

    fn strategy(&self, collection: &str) -> Strategy {
        self.strategies.get(collection).copied().unwrap_or(self.otherwise)
    }

    fn count(&self, collection: &str, add: impl FnOnce(&mut ConflictCounts)) {
        add(lock(&self.counts).entry(collection.to_owned()).or_default());
    }

    /// What a caller will name in a later write.
    fn remember(&self, key: &DocumentKey, etag: &ETag, text: &Bytes) {
        if self.strategy(key.collection()) == Strategy::Merge {
            lock(&self.remembered).keep(key, etag, text.clone());
        }
    }

    fn remember_written(&self, work: &[Write], receipt: &Receipt) {
        for (write, written) in work.iter().zip(&receipt.written) {
            if let (Write::Put { key, body, .. }, Written::Put(etag)) = (write, written) {
                self.remember(key, etag, body);
            }
        }
    }

    async fn one(&self, write: Write, around: &UnitOfWork) -> Result<Receipt> {
        let collection = write.key().collection().to_owned();
        let known = match write.when() {
            Precondition::Matches(etag) => etag.clone(),
            Precondition::Any | Precondition::Absent => return self.plainly(vec![write], around).await,
        };
        self.count(&collection, |counts| counts.writes += 1);
        let error = match self.plainly(vec![write.clone()], around).await {
            Err(error) if is_conflict(&error) => error,
            done => return done,
        };
        self.count(&collection, |counts| counts.conflicts += 1);
        let way = match (self.strategy(&collection), &write) {
            (Strategy::LastWriteWins, _) => Way::Any,
            (Strategy::Retry, Write::Patch { .. } | Write::Update { .. }) => Way::Again,
            (Strategy::Merge, Write::Put { .. } | Write::Patch { .. } | Write::Update { .. }) => Way::Merge,
            _ => Way::No,
        };
        let settled = match way {
            Way::No => return Err(error),
            Way::Any => self.plainly(vec![on_condition(write, Precondition::Any)], around).await,
            Way::Again => self.again(write, error, around).await,
            Way::Merge => self.merge((write, around), &known, error).await,
        }?;
        self.count(&collection, |counts| counts.settled += 1);
        Ok(settled)
    }

    async fn plainly(&self, writes: Vec<Write>, around: &UnitOfWork) -> Result<Receipt> {
        let receipt = self.store.apply(of(around, writes.clone())).await?;
        self.remember_written(&writes, &receipt);
        Ok(receipt)
    }

    /// Makes a change on the state that is there, until nobody is faster.
    async fn again(&self, write: Write, mut error: Error, around: &UnitOfWork) -> Result<Receipt> {
        for tried in 1..self.backoff.tries_max {
            self.pause(tried).await;
            let Some(there) = self.store.get(write.key()).await? else { return Err(error) };
            let next = on_condition(write.clone(), Precondition::Matches(there.etag));
            match self.store.apply(of(around, vec![next])).await {
                Err(lost) if is_conflict(&lost) => error = lost,
                done => return done.map(|_| Receipt { written: vec![Written::Put(self.unseen())] }),
            }
        }
        Err(self.tired(error))
    }

    /// Makes the caller's changes in the state that is there, until nobody is faster.
    async fn merge(
        &self,
        (write, around): (Write, &UnitOfWork),
        known: &ETag,
        mut error: Error,
    ) -> Result<Receipt> {
        let key = write.key().clone();
        let base = lock(&self.remembered).text(&key, known);
        let Some(base) = base else {
            return Err(error.detail("it cannot be merged: the state that it came from is not remembered"));
        };
        let ours = match &write {
            Write::Put { body, .. } => body.clone(),
            Write::Patch { change, .. } => change.apply(&base, self.limits)?.into(),
            Write::Update { edit, .. } => match edit.apply(Some(&base))? {
                Some(body) => body,
                None => return Err(error),
            },
            Write::Delete { .. } => return Err(error),
        };
        for tried in 1..self.backoff.tries_max {
            let Some(there) = self.store.get(&key).await? else { return Err(error) };
            let body = self.merged(&key, &base, &ours, &there)?;
            let next = Write::Put { key: key.clone(), body, when: Precondition::Matches(there.etag) };
            match self.store.apply(of(around, vec![next])).await {
                Ok(_) => {
                    let unseen = self.unseen();
                    self.remember(&key, &unseen, &ours);
                    return Ok(Receipt { written: vec![Written::Put(unseen)] });
                }
                Err(lost) if is_conflict(&lost) => error = lost,
                Err(error) => return Err(error.detail("after merging it with another's change")),
            }
            self.pause(tried).await;
        }
        Err(self.tired(error))
    }

    fn merged(&self, key: &DocumentKey, base: &[u8], ours: &[u8], there: &Document) -> Result<Bytes> {
        let none = Lists::default();
        let lists = self.lists.get(key.collection()).unwrap_or(&none);
        let merged = merge3(base, ours, &there.body, lists, self.limits).map_err(|error| {
            Error::new(Kind::Conflict, "R0414", format!("{key} cannot be merged: {error}"))
                .detail(format!("current ETag: {}", there.etag))
                .hint("Read it again and decide on what is there now.")
                .cause(error)
        })?;
        let places = match merged {
            Merged::Text(text) => return Ok(text.into()),
            Merged::Conflicts(places) => places,
        };
        let message = format!("{key} was changed by another in {} of the same places", places.len());
        let error = Error::new(Kind::Conflict, "R0414", message)
            .detail(format!("current ETag: {}", there.etag))
            .hint("Read it again and decide which is right at the places named.");
        Err(places.iter().fold(error, |error, place| error.detail(format!("place: {place}"))))
    }

    async fn pause(&self, tried: u32) {
        let Backoff { first_ms, most_ms, .. } = self.backoff;
        let bound = first_ms.saturating_mul(1 << (tried - 1).min(32)).min(most_ms);
        self.pacing.pause(self.pacing.random() % bound.saturating_add(1)).await;
    }

    fn tired(&self, error: Error) -> Error {
        error.detail(format!("tried {} times", self.backoff.tries_max)).retry(Retry::Safe)
    }

    /// An `ETag` that no state has.
    fn unseen(&self) -> ETag {
        ETag::new(&format!("unseen-{:016x}{:016x}", self.pacing.random(), self.pacing.random()))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_conflict(error: &Error) -> bool {
    error.kind() == Kind::Conflict && error.code() == "R0401"
}

fn on_condition(mut write: Write, with: Precondition) -> Write {
    match &mut write {
        Write::Put { when, .. }
        | Write::Patch { when, .. }
        | Write::Update { when, .. }
        | Write::Delete { when, .. } => *when = with,
    }
    write
}

impl fmt::Display for Reconcile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "reconcile({})", self.store)
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Store for Reconcile {
    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
    }

    fn change_feed(&self) -> Option<&dyn ChangeFeed> {
        self.store.change_feed()
    }

    fn trash(&self) -> Option<&dyn Trash> {
        self.store.trash()
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
        let found = self.store.get(key).await?;
        if let Some(document) = &found {
            self.remember(key, &document.etag, &document.body);
        }
        Ok(found)
    }

    async fn exists(&self, key: &DocumentKey) -> Result<bool> {
        self.store.exists(key).await
    }

    async fn apply(&self, mut work: UnitOfWork) -> Result<Receipt> {
        if work.writes.len() == 1 {
            return match work.writes.pop() {
                Some(write) => self.one(write, &work).await,
                None => Ok(Receipt::default()),
            };
        }
        let wins = |write: &Write| {
            matches!(write.when(), Precondition::Matches(_))
                && self.strategy(write.key().collection()) == Strategy::LastWriteWins
        };
        let writes = std::mem::take(&mut work.writes);
        match self.plainly(writes.clone(), &work).await {
            Err(error) if is_conflict(&error) && writes.iter().any(wins) => {
                let free =
                    |write: Write| if wins(&write) { on_condition(write, Precondition::Any) } else { write };
                self.plainly(writes.into_iter().map(free).collect(), &work).await
            }
            done => done,
        }
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

    fn ledger(&self) -> Option<&dyn Ledger> {
        self.store.ledger()
    }
}
