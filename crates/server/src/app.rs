//! What requests are answered from.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use repot_core::store::{Layout, Query, Queryable, Shape, Store};
use repot_core::{Cache, Clock, Entropy, Pacing, Result};
use repot_engine::ledger::{ApiKeys, Idempotency, IdempotencyOptions, RateLimits};
use repot_engine::moving::Moving;
use tokio::sync::{Semaphore, oneshot};

use crate::access::Access;
use crate::admin::{Jobs, Operator, Slow};
use crate::feed::Feed;
use crate::jwt::{TokenOptions, Tokens};
use crate::operate::{Figures, Log, Metered, RoomOf, Snapshot};
use crate::reload::Reload;
use crate::trace::Traces;

/// Bounds of a server.
#[derive(Debug, Clone)]
pub struct Options {
    /// Bytes of a request's body at the most.
    pub body_bytes_max: usize,
    /// How long a connection may take to send the head of a request, milliseconds.
    pub head_ms: u64,
    /// How long a request may take to send its body, milliseconds.
    pub body_ms: u64,
    /// How long a client may take nothing of what is sent to it before it loses its connection, milliseconds.
    pub write_ms: u64,
    /// Connections at the same time; others wait to be accepted.
    pub connections_max: usize,
    /// A key must be shown also while there are none; `false`: from the first key on.
    pub keys_required: bool,
    /// Tokens (JWT) that are taken beside keys.
    pub tokens: Option<TokenOptions>,
    /// Nobody but the process that holds it asks: no key is looked for ([`App::answer`]).
    pub is_own: bool,
    /// How long requests may go on after the server was told to stop, milliseconds.
    pub drain_ms: u64,
    /// Clients that listen to changes at the same time.
    pub listeners_max: usize,
    /// Changes that are kept in memory while somebody listens; who is further back reads the log.
    pub feed_entries_max: usize,
    /// How often the log is looked at for what other processes wrote while somebody listens, milliseconds.
    pub feed_poll_ms: u64,
    /// How long the database may be at work for figures, and how long a request for them waits for it, milliseconds.
    pub figures_ms: u32,
    /// How long the database may be at work for a statement of `/v1:query`, milliseconds.
    pub query_ms: u64,
    /// Statements of `/v1:query` at the same time.
    pub queries_max: usize,
    /// Is told each request that ended.
    pub log: Option<Log>,
    /// Is told what of a request took how long.
    pub traces: Option<Traces>,
    /// Tells how much room is on the disk of the store.
    pub room: Option<RoomOf>,
    /// With less of the disk free than this, percent, the server is not well ([`Room::free_percent`](crate::Room)); 0: never.
    pub disk_low_percent: u8,
    /// Where values of `/cache` are kept; `None`: nowhere.
    pub cache: Option<Arc<dyn Cache>>,
    /// For how long, where neither a request nor the model says, milliseconds.
    pub cache_life_ms: u64,
    /// Knows the project around the store; `None`: there is none.
    pub operator: Option<Arc<dyn Operator>>,
    /// The move that this process takes part in, while its documents change store.
    pub moving: Option<Arc<Moving>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            body_bytes_max: 16 << 20,
            head_ms: 10_000,
            body_ms: 60_000,
            write_ms: 60_000,
            connections_max: 4_096,
            keys_required: false,
            tokens: None,
            is_own: false,
            drain_ms: 10_000,
            listeners_max: 2_048,
            feed_entries_max: 4_096,
            feed_poll_ms: 250,
            figures_ms: 50,
            query_ms: 10_000,
            queries_max: 2,
            log: None,
            traces: None,
            room: None,
            disk_low_percent: 10,
            cache: None,
            cache_life_ms: 300_000,
            operator: None,
            moving: None,
        }
    }
}

/// What comes in from outside: time, waiting, chance, secrets.
#[derive(Debug, Clone)]
pub struct Outside {
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// Waiting and chance.
    pub pacing: Arc<dyn Pacing>,
    /// Secrets.
    pub entropy: Arc<dyn Entropy>,
}

/// A store, and how its documents are named from outside. Cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Inside>);

/// What is of one model.
struct Inside {
    store: Arc<dyn Queryable>,
    layout: Layout,
    shapes: BTreeMap<String, Shape>,
    access: Access,
    idempotency: Idempotency,
    limits: RateLimits,
    feed: Feed,
    helped: Mutex<BTreeMap<String, Arc<[String]>>>,
    snapshot: Snapshot,
    described: OnceLock<Described>,
    common: Arc<Common>,
    /// Goes with the last request, after the store.
    ends: Mutex<Option<oneshot::Sender<()>>>,
}

/// What stays when the model changes.
struct Common {
    outside: Outside,
    options: Options,
    tokens: Option<Arc<Tokens>>,
    questions: Arc<Semaphore>,
    figures: Arc<Figures>,
    slow: Slow,
    jobs: Jobs,
    reload: Reload,
}

/// What the server says of itself, made once.
pub(crate) struct Described {
    /// The `OpenAPI` document.
    pub document: Bytes,
    /// The same as a page.
    pub page: Bytes,
}

/// Forms of listings that are kept with the conditions that no index helps.
const FORMS_MAX: usize = 1_000;

impl App {
    /// `layout` is of the model that the store was opened with, the clock the store's.
    ///
    /// # Errors
    /// When a collection of the store is not of this layout; `R0447` when the file with the keys of tokens has none.
    pub fn new(
        store: Arc<dyn Queryable>,
        layout: Layout,
        outside: Outside,
        options: Options,
    ) -> Result<Self> {
        let reload = Reload::new(outside.clock.now_ms());
        let tokens = options.tokens.clone();
        let tokens = tokens.map(|tokens| Tokens::open(tokens, Arc::clone(&outside.clock))).transpose()?;
        let common = Common {
            tokens: tokens.map(Arc::new),
            questions: Arc::new(Semaphore::new(options.queries_max)),
            outside,
            figures: Arc::new(Figures::new(options.traces.as_ref().map(Traces::lost_figure))),
            options,
            slow: Slow::default(),
            jobs: Jobs::default(),
            reload,
        };
        let locked = common.options.keys_required;
        Self::with(Arc::new(common), (store, layout), locked)
    }

    /// The same server over another store.
    pub(crate) fn over(&self, store: Arc<dyn Queryable>, layout: Layout) -> Result<Self> {
        Self::with(Arc::clone(&self.0.common), (store, layout), self.0.access.was_locked())
    }

    /// `locked`: a key must be shown, also where there are none any more.
    fn with(
        common: Arc<Common>,
        (store, layout): (Arc<dyn Queryable>, Layout),
        locked: bool,
    ) -> Result<Self> {
        let Outside { clock, pacing, entropy } = &common.outside;
        let shape = |name: String| layout.shape(&name).map(|shape| (name, shape));
        let shapes = store.collections().into_iter().map(shape).collect::<Result<_>>()?;
        let store: Arc<dyn Queryable> = Arc::new(Metered::new(store, Arc::clone(&common.figures)));
        let base: Arc<dyn Store> = Arc::clone(&store) as _;
        let keys = ApiKeys::new(Arc::clone(&base), Arc::clone(clock), Arc::clone(entropy));
        let access = Access::new(keys, common.tokens.clone(), locked);
        let limits = RateLimits::new(Arc::clone(&base), Arc::clone(clock), layout.model());
        let options = IdempotencyOptions::default();
        let idempotency = Idempotency::new(base, Arc::clone(clock), Arc::clone(entropy), options);
        let feed = Feed::new(Arc::clone(&store), Arc::clone(pacing), common.options.clone());
        Ok(Self(Arc::new(Inside {
            store,
            layout,
            shapes,
            access,
            idempotency,
            limits,
            feed,
            helped: Mutex::default(),
            snapshot: Snapshot::default(),
            described: OnceLock::new(),
            common,
            ends: Mutex::default(),
        })))
    }

    /// `ends` goes when this does.
    pub(crate) fn tell_end(&self, ends: oneshot::Sender<()>) {
        *self.0.ends.lock().unwrap_or_else(PoisonError::into_inner) = Some(ends);
    }

    /// Requests that were slow.
    pub(crate) fn slow(&self) -> &Slow {
        &self.0.common.slow
    }

    /// Work in the background.
    pub(crate) fn jobs(&self) -> &Jobs {
        &self.0.common.jobs
    }

    /// Since when the model is in force, and why a changed one is not.
    pub(crate) fn reload(&self) -> &Reload {
        &self.0.common.reload
    }

    pub(crate) fn shared_clock(&self) -> &Arc<dyn Clock> {
        &self.0.common.outside.clock
    }

    /// The store; what goes through it is counted.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Queryable> {
        &self.0.store
    }

    /// The model's places.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.0.layout
    }

    /// Whether a key must be shown by now.
    ///
    /// # Errors
    /// When the store is out of reach.
    pub async fn is_locked(&self) -> Result<bool> {
        self.0.access.is_locked(self).await
    }

    pub(crate) fn access(&self) -> &Access {
        &self.0.access
    }

    pub(crate) fn idempotency(&self) -> &Idempotency {
        &self.0.idempotency
    }

    pub(crate) fn limits(&self) -> &RateLimits {
        &self.0.limits
    }

    /// Bounds.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.0.common.options
    }

    /// The time of day.
    #[must_use]
    pub fn clock(&self) -> &dyn Clock {
        self.0.common.outside.clock.as_ref()
    }

    /// Waiting and chance.
    #[must_use]
    pub fn pacing(&self) -> &Arc<dyn Pacing> {
        &self.0.common.outside.pacing
    }

    /// Secrets.
    pub(crate) fn entropy(&self) -> &dyn Entropy {
        self.0.common.outside.entropy.as_ref()
    }

    /// What changes.
    pub(crate) fn feed(&self) -> &Feed {
        &self.0.feed
    }

    /// What is counted.
    pub(crate) fn figures(&self) -> &Arc<Figures> {
        &self.0.common.figures
    }

    /// Turns of statements of `/v1:query`.
    pub(crate) fn questions(&self) -> &Arc<Semaphore> {
        &self.0.common.questions
    }

    /// What was last seen of the store.
    pub(crate) fn snapshot(&self) -> &Snapshot {
        &self.0.snapshot
    }

    /// The conditions of a listing that no index helps; the database is asked once for each form of a question.
    ///
    /// # Errors
    /// As [`Queryable::explain`].
    pub(crate) async fn unhelped(&self, form: &str, query: &Query) -> Result<Arc<[String]>> {
        let known = self.0.helped.lock().unwrap_or_else(PoisonError::into_inner).get(form).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let found: Arc<[String]> = self.0.store.explain(query).await?.unindexed.into();
        let mut helped = self.0.helped.lock().unwrap_or_else(PoisonError::into_inner);
        if helped.len() < FORMS_MAX {
            helped.insert(form.to_owned(), Arc::clone(&found));
        }
        drop(helped);
        Ok(found)
    }

    /// The routes, described.
    pub(crate) fn described(&self) -> &Described {
        self.0.described.get_or_init(|| {
            let document = crate::openapi::document(&self.0.layout);
            Described { page: crate::openapi::page(&document).into(), document: document.to_string().into() }
        })
    }

    /// How the documents of a collection are named.
    pub(crate) fn shape(&self, collection: &str) -> Option<&Shape> {
        self.0.shapes.get(collection)
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("store", &self.0.store).finish_non_exhaustive()
    }
}
