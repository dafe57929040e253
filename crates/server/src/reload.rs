//! Another model under a running server: requests that came go on over the old store, new ones get the new one.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use axum::Router;
use repot_core::store::{Layout, Queryable};
use repot_core::{Error, Result};
use tokio::sync::oneshot;

use crate::app::App;
use crate::routes::router;

/// Since when the model is in force, and why a changed one is not.
#[derive(Debug)]
pub(crate) struct Reload {
    since_ms: AtomicI64,
    refused: Mutex<Option<(i64, Error)>>,
}

impl Reload {
    pub(crate) fn new(now_ms: i64) -> Self {
        Self { since_ms: AtomicI64::new(now_ms), refused: Mutex::default() }
    }

    pub(crate) fn since_ms(&self) -> i64 {
        self.since_ms.load(Ordering::Relaxed)
    }

    pub(crate) fn refused(&self) -> Option<(i64, Error)> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn refuse(&self, refused: Option<(i64, Error)>) {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = refused;
    }
}

/// What requests are answered from at this moment. Cheap to clone; clones are one.
#[derive(Clone)]
pub struct Models(Arc<RwLock<(App, Router)>>);

/// Comes back when the last request over an old model has ended.
#[derive(Debug)]
pub struct Ended(oneshot::Receiver<()>);

impl Ended {
    /// Waits for it.
    pub async fn wait(self) {
        // nothing is ever sent: the sender goes with what it is in
        let _gone = self.0.await;
    }
}

impl Models {
    pub(crate) fn new(app: App) -> Self {
        Self(Arc::new(RwLock::new((app.clone(), router(app)))))
    }

    /// The routes for a request that comes now.
    pub(crate) fn routes(&self) -> Router {
        self.0.read().unwrap_or_else(PoisonError::into_inner).1.clone()
    }

    /// What is in force.
    #[must_use]
    pub fn app(&self) -> App {
        self.0.read().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// From now on requests are answered from this store, whose model `layout` is of. Figures, cache and work in the background
    /// go on. Streams of the old one end, and their clients come back where they were; its store is let go of with its
    /// last request, which is told by what this gives.
    ///
    /// # Errors
    /// As [`App::new`]; then everything is as before.
    pub fn replace(&self, store: Arc<dyn Queryable>, layout: Layout) -> Result<Ended> {
        let (ends, ended) = oneshot::channel();
        let new = self.app().over(store, layout)?;
        let now_ms = new.clock().now_ms();
        let routes = router(new.clone());
        let old = {
            let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *current, (new.clone(), routes)).0
        };
        new.reload().since_ms.store(now_ms, Ordering::Relaxed);
        new.reload().refuse(None);
        old.tell_end(ends);
        old.feed().end();
        Ok(Ended(ended))
    }

    /// Notes why a changed model is not taken over; `None`: the file is again what is in force.
    pub fn refuse(&self, error: Option<Error>) {
        let app = self.app();
        app.reload().refuse(error.map(|error| (app.clock().now_ms(), error)));
    }
}

impl fmt::Debug for Models {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Models").field(&self.app()).finish()
    }
}
