//! The answer of a store's thread, and how long whoever asked waited for its connection.

use std::cell::Cell;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use repot_core::{Error, Kind, Result};
use tokio::sync::oneshot;

tokio::task_local! {
    /// How long the calls of this task waited for connections.
    static WAITED: Cell<Duration>;
}

/// Awaits `call`; gives how long it waited until connections of stores were free, too.
pub async fn waiting<T>(call: impl Future<Output = T>) -> (T, Duration) {
    let call = async {
        let done = call.await;
        (done, WAITED.with(Cell::get))
    };
    WAITED.scope(Cell::new(Duration::ZERO), call).await
}

/// Awaits a connection, as a part of what [`waiting`] counts.
pub(super) async fn count_waiting<T>(connection: impl Future<Output = T>) -> T {
    let since = Instant::now();
    let found = connection.await;
    count(since.elapsed());
    found
}

/// Adds it to what [`waiting`] counts; who asks from elsewhere does not want to know.
pub(super) fn count(waited: Duration) {
    let _untold = WAITED.try_with(|before| before.set(before.get() + waited));
}

/// Where a thread leaves what it found.
pub(super) struct Answer<T> {
    to: oneshot::Sender<Result<T>>,
    begun: Arc<OnceLock<Instant>>,
}

impl<T> Answer<T> {
    /// The two ends.
    pub(super) fn new() -> (Self, Answered<T>) {
        let ((to, from), begun) = (oneshot::channel(), Arc::<OnceLock<Instant>>::default());
        (Self { to, begun: Arc::clone(&begun) }, Answered { from, begun, since: Instant::now() })
    }

    /// The waiting for a connection is over.
    pub(super) fn begin(&self) {
        let _already = self.begun.set(Instant::now());
    }

    /// Nobody waits any more.
    pub(super) fn is_closed(&self) -> bool {
        self.to.is_closed()
    }

    /// Tells it; whether anybody was there to hear it is no matter.
    pub(super) fn send(self, found: Result<T>) {
        let _dropped = self.to.send(found);
    }
}

/// Where it is waited for.
pub(super) struct Answered<T> {
    from: oneshot::Receiver<Result<T>>,
    begun: Arc<OnceLock<Instant>>,
    since: Instant,
}

impl<T> Answered<T> {
    /// What was found.
    ///
    /// # Errors
    /// What the thread says; `R0901` when it ended without a word.
    pub(super) async fn get(self) -> Result<T> {
        let found = self.from.await;
        let until = self.begun.get().copied().unwrap_or_else(Instant::now);
        count(until.saturating_duration_since(self.since));
        found.map_err(|_closed| ended())?
    }
}

pub(super) fn ended() -> Error {
    Error::new(Kind::Internal, "R0901", "a thread of the store ended unexpectedly")
}
