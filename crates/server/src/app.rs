//! What requests are answered from.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use repot_core::store::{Layout, Query, Queryable, Shape};
use repot_core::{Clock, Pacing, Result};

/// Bounds of a server.
#[derive(Debug, Clone)]
pub struct Options {
    /// Bytes of a request's body at the most.
    pub body_bytes_max: usize,
    /// How long a connection may take to send the head of a request, milliseconds.
    pub head_ms: u64,
    /// How long a request may take to send its body, milliseconds.
    pub body_ms: u64,
    /// Connections at the same time; others wait to be accepted.
    pub connections_max: usize,
    /// How long requests may go on after the server was told to stop, milliseconds.
    pub drain_ms: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            body_bytes_max: 16 << 20,
            head_ms: 10_000,
            body_ms: 60_000,
            connections_max: 4_096,
            drain_ms: 10_000,
        }
    }
}

/// A store, and how its documents are named from outside. Cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Inside>);

struct Inside {
    store: Arc<dyn Queryable>,
    layout: Layout,
    shapes: BTreeMap<String, Shape>,
    clock: Arc<dyn Clock>,
    pacing: Arc<dyn Pacing>,
    options: Options,
    helped: Mutex<BTreeMap<String, Arc<[String]>>>,
    described: OnceLock<Described>,
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
    /// `layout` is of the model that the store was opened with.
    ///
    /// # Errors
    /// When a collection of the store is not of this layout.
    pub fn new(
        store: Arc<dyn Queryable>,
        layout: Layout,
        (clock, pacing): (Arc<dyn Clock>, Arc<dyn Pacing>),
        options: Options,
    ) -> Result<Self> {
        let shape = |name: String| layout.shape(&name).map(|shape| (name, shape));
        let shapes = store.collections().into_iter().map(shape).collect::<Result<_>>()?;
        let (helped, described) = (Mutex::default(), OnceLock::new());
        Ok(Self(Arc::new(Inside { store, layout, shapes, clock, pacing, options, helped, described })))
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Queryable> {
        &self.0.store
    }

    /// The model's places.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.0.layout
    }

    /// Bounds.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.0.options
    }

    /// The time of day.
    #[must_use]
    pub fn clock(&self) -> &dyn Clock {
        self.0.clock.as_ref()
    }

    /// Waiting and chance.
    #[must_use]
    pub fn pacing(&self) -> &dyn Pacing {
        self.0.pacing.as_ref()
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
