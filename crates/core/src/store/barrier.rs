//! What must be over before a write changes anything.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};

use crate::error::Result;

/// A write barrier: a write behind it gets ready, and changes nothing before the barrier is passed. Where it cannot be passed, the
/// write is not done, and has its error. Whoever waits for it drives it, and all of them see it passed.
///
/// The term is that of file systems and databases, where what comes behind a barrier is never on the disk before what comes in
/// front of it.
#[derive(Clone)]
pub struct Barrier(Shared<BoxFuture<'static, Result<()>>>);

impl Barrier {
    /// One that is passed when this has succeeded.
    #[must_use]
    pub fn new(over: impl Future<Output = Result<()>> + Send + 'static) -> Self {
        Self(over.boxed().shared())
    }

    /// One that is passed when all of these are; `None`: there are none.
    #[must_use]
    pub fn all(mut several: Vec<Self>) -> Option<Self> {
        let last = several.pop()?;
        Some(if several.is_empty() {
            last
        } else {
            several.push(last);
            let each = futures_util::future::join_all(several.into_iter().map(|one| one.0));
            Self::new(each.map(|passed| passed.into_iter().collect()))
        })
    }

    /// Comes back when it is passed.
    ///
    /// # Errors
    /// It never will be.
    pub async fn passed(&self) -> Result<()> {
        self.0.clone().await
    }

    /// What is known of it already; `None`: it is not over. Drives nothing.
    #[must_use]
    pub fn known(&self) -> Option<Result<()>> {
        self.0.peek().cloned()
    }

    /// The same after at most this time, for which the thread waits.
    #[must_use]
    pub fn passed_within(&self, at_most: Duration) -> Option<Result<()>> {
        let since = Instant::now();
        let waker = Waker::from(Arc::new(Unparks(thread::current())));
        let mut over = pin!(self.0.clone());
        loop {
            if let Poll::Ready(passed) = over.as_mut().poll(&mut Context::from_waker(&waker)) {
                return Some(passed);
            }
            let left = at_most.checked_sub(since.elapsed()).filter(|left| !left.is_zero())?;
            thread::park_timeout(left);
        }
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Barrier").field(&self.0.peek()).finish()
    }
}

struct Unparks(Thread);

impl Wake for Unparks {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
