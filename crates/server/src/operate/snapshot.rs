//! What was last seen of the store and of the machine: asked for now and then, so that who watches costs nothing.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use repot_core::CacheUsage;
use repot_core::store::{Figures, PoolUsage};
use repot_engine::moving::{Journal, LeftSource, MoveSeen};

use crate::app::App;

/// A database is asked again after this time, other stores after a longer one, since their probes are real requests.
const DATABASE_KEPT: Duration = Duration::from_secs(15);
const OTHERS_KEPT: Duration = Duration::from_secs(60);

/// Room on a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Bytes that may be used.
    pub free_bytes: u64,
    /// Bytes that are used or may be: what a file system keeps for itself is neither, as `df` reckons.
    pub all_bytes: u64,
}

impl Room {
    /// How much is free, whole percent, rounded down.
    #[must_use]
    pub fn free_percent(&self) -> u64 {
        let percent = u128::from(self.free_bytes) * 100 / u128::from(self.all_bytes.max(1));
        u64::try_from(percent).unwrap_or(u64::MAX)
    }
}

/// Tells how much room is on the disk that the store is on. Cheap to clone.
#[derive(Clone)]
pub struct RoomOf(Arc<dyn Fn() -> Option<Room> + Send + Sync>);

impl RoomOf {
    /// Asks `look`, which must not block for long; `None`: it cannot be told.
    pub fn new(look: impl Fn() -> Option<Room> + Send + Sync + 'static) -> Self {
        Self(Arc::new(look))
    }

    pub(crate) fn look(&self) -> Option<Room> {
        (self.0)()
    }
}

impl fmt::Debug for RoomOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RoomOf")
    }
}

/// What there is to see.
#[derive(Debug)]
pub(crate) struct Seen {
    /// `None`: it was not asked yet.
    pub is_reachable: Option<bool>,
    pub database: Option<Figures>,
    pub pools: Vec<(&'static str, PoolUsage)>,
    pub room: Option<Room>,
    pub memory_bytes: Option<u64>,
    pub cache: Option<CacheUsage>,
    pub moving: Option<MoveSeen>,
    /// The source of a move that was finished: whether it is no longer needed, and still there.
    pub removable: Option<bool>,
}

/// What a store answered.
#[derive(Debug, Clone)]
struct Answered {
    at: Instant,
    database: Option<Figures>,
    is_reachable: bool,
    left: Option<LeftSource>,
}

/// The answer of the store that was last asked.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    asked: Arc<AtomicBool>,
    last: Mutex<Option<Answered>>,
}

/// The turn of the one who asks. It ends however the asking does, also by a panic.
#[derive(Debug)]
struct Turn(Arc<AtomicBool>);

impl Turn {
    /// `None`: somebody asks already.
    fn take(asked: &Arc<AtomicBool>) -> Option<Self> {
        (!asked.swap(true, Ordering::AcqRel)).then(|| Self(Arc::clone(asked)))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl Snapshot {
    fn last(&self) -> Option<Answered> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What there is to see; the store is asked again if that was long ago. Waits for it for a moment only.
    pub(crate) async fn look(&self, app: &App) -> Seen {
        let kept = if app.store().vitals().is_some() { DATABASE_KEPT } else { OTHERS_KEPT };
        let is_old = self.last().is_none_or(|last| last.at.elapsed() > kept);
        if is_old && let Some(turn) = Turn::take(&self.asked) {
            let wait = Duration::from_millis(app.options().figures_ms.into());
            let asking = tokio::spawn(ask(app.clone(), turn));
            // it goes on, and the next one sees what it finds
            let _in_time = tokio::time::timeout(wait, asking).await;
        }
        let last = self.last();
        let now_ms = app.clock().now_ms();
        let left = last.as_ref().and_then(|last| last.left.as_ref());
        let removable = left.map(|left| left.is_removable(now_ms));
        let (database, is_reachable) =
            last.map_or((None, None), |last| (last.database, Some(last.is_reachable)));
        Seen {
            is_reachable,
            database,
            pools: app.store().vitals().map(|vitals| vitals.pools()).unwrap_or_default(),
            room: app.options().room.as_ref().and_then(RoomOf::look),
            memory_bytes: memory_bytes(),
            cache: app.options().cache.as_ref().and_then(|cache| cache.usage()),
            moving: app.options().moving.as_ref().and_then(|moving| moving.seen()),
            removable,
        }
    }
}

async fn ask(app: App, turn: Turn) {
    let (found, is_reachable) = match app.store().vitals() {
        Some(vitals) => match vitals.figures(app.options().figures_ms).await {
            Ok(figures) => (Some(figures), true),
            Err(_unreachable) => (None, false),
        },
        None => (None, app.store().probe().await.is_ok()),
    };
    let left = if is_reachable { left(&app).await } else { None };
    let answered = Answered { at: Instant::now(), database: found, is_reachable, left };
    *app.snapshot().last.lock().unwrap_or_else(PoisonError::into_inner) = Some(answered);
    drop(turn);
}

/// The source of a move that was finished in this store.
async fn left(app: &App) -> Option<LeftSource> {
    app.store().ledger()?;
    let journal = Journal::new(Arc::clone(app.store()), Arc::clone(app.shared_clock()));
    journal.left().await.ok().flatten()
}

/// Resident memory of this process, where the system tells.
fn memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib.saturating_mul(1_024))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use super::Turn;

    #[tokio::test]
    async fn a_task_that_panics_leaves_the_turn_to_the_next() {
        let asked = Arc::new(AtomicBool::new(false));
        let turn = Turn::take(&asked).unwrap();
        assert!(Turn::take(&asked).is_none(), "one asks at a time");
        let ended = tokio::spawn(async move {
            let _turn = turn;
            assert_eq!(1 + 1, 3, "a fault of ours");
        });
        assert!(ended.await.unwrap_err().is_panic());
        assert!(Turn::take(&asked).is_some());
    }
}
