//! Writers of one folder, one after the other. Those of this process wait for their turn; whoever's turn it is asks again and
//! again for the lock that other processes take, too. Nobody keeps a thread meanwhile, so a process that was stopped while it
//! holds a lock holds up who writes there, and nobody else.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use repot_core::{Error, Result};
use tokio::sync::Mutex;

use super::{DirectoryObjects, Folder, HELD};
use crate::path_rules::split;

/// Turns at once; folders that share one wait for each other for no reason.
const TURNS: usize = 256;
/// How long a write without a deadline waits.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(2);

/// Whose turn it is.
#[derive(Debug)]
pub(super) struct Turns(Vec<Mutex<()>>);

impl Turns {
    pub(super) fn new() -> Self {
        Self((0..TURNS).map(|_| Mutex::new(())).collect())
    }

    fn of(&self, path: &str) -> Option<&Mutex<()>> {
        let mut hasher = DefaultHasher::new();
        split(path.as_bytes()).0.hash(&mut hasher);
        let at = usize::try_from(hasher.finish() % TURNS as u64).unwrap_or_default();
        self.0.get(at)
    }
}

impl DirectoryObjects {
    /// Writes in the folder of `path` when its lock is free, which is waited for until the deadline.
    pub(super) async fn writing<T: Send + 'static>(
        &self,
        (path, until_ms): (&str, Option<i64>),
        call: impl Fn(&Folder) -> Result<T> + Send + Sync + 'static,
    ) -> Result<T> {
        let _turn = match self.0.turns.of(path) {
            Some(turn) => Some(turn.lock().await),
            None => None,
        };
        let (call, since) = (Arc::new(call), Instant::now());
        loop {
            let own = Arc::clone(&call);
            let tried = self.blocking(move |folder| {
                let done = own(folder);
                if done.as_ref().is_err_and(is_held) {
                    // short, and for one caller only: callers may have no timer
                    thread::sleep(PAUSE);
                }
                done
            });
            let is_over = || match until_ms {
                Some(until_ms) => self.0.clock.now_ms() >= until_ms,
                None => since.elapsed() >= PATIENCE,
            };
            match tried.await {
                Err(error) if is_held(&error) && !is_over() => {}
                done => return done,
            }
        }
    }
}

fn is_held(error: &Error) -> bool {
    error.code() == HELD
}
