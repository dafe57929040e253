//! What a process does all the time while it takes part in a move.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use repot_core::Result;
use tokio::task::JoinHandle;

use super::change::Progress;
use super::copier::Copied;
use super::member::Moving;
use super::trouble::Loop;

/// How long workers rest when there is nothing to copy, unless somebody wakes them; milliseconds.
const IDLE_MS: u64 = 100;
/// How long a store that is out of reach is left alone, milliseconds.
const AWAY_MS: u64 = 500;
/// How often intents that ran out are looked for, milliseconds.
const MEND_MS: u64 = 500;
/// And notes beside the old store, in rounds of that.
const NOTES_ROUNDS: u32 = 10;
/// How long what is at hand may take at the end, milliseconds.
const STOP_MS: u64 = 3_000;

/// The work of a process that stays in a move: it looks who leads, copies what is marked, and goes on with changes that others
/// began. It ends when this is dropped, in the middle of whatever it does; then others wait for its claims to run out.
#[derive(Debug)]
pub struct Running {
    moving: Arc<Moving>,
    stops: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Running {
    /// Begins, on the caller's runtime.
    #[must_use]
    pub fn start(moving: &Arc<Moving>) -> Self {
        let stops = Arc::new(AtomicBool::new(false));
        let both = || (Arc::clone(moving), Arc::clone(&stops));
        let tasks = vec![
            tokio::spawn(look(both())),
            tokio::spawn(copy(both())),
            tokio::spawn(read(both())),
            tokio::spawn(mend(both())),
        ];
        Self { moving: Arc::clone(moving), stops, tasks }
    }

    /// Ends when what is at hand is done, and gives the lease back, so that nobody waits for this process.
    ///
    /// # Errors
    /// When the new store is out of reach: then others wait until lease and claims are over.
    pub async fn stop(mut self) -> Result<()> {
        self.stops.store(true, Ordering::SeqCst);
        self.moving.wake.notify_waiters();
        self.moving.logged.notify_waiters();
        let ended = async {
            for task in &mut self.tasks {
                let _ended = task.await;
            }
        };
        tokio::select! {
            biased;
            () = ended => {}
            () = self.moving.pacing.pause(STOP_MS) => {}
        }
        self.moving.retire().await
    }
}

/// What a task works for, and whether it is to end.
type Both = (Arc<Moving>, Arc<AtomicBool>);

async fn look((moving, stops): Both) {
    while !(stops.load(Ordering::SeqCst) || moving.is_finished()) {
        let looked = moving.went(Loop::Looking, moving.look().await);
        let ms = if looked.is_some() { moving.options.look_ms } else { AWAY_MS };
        moving.pacing.pause(ms).await;
    }
}

async fn copy((moving, stops): Both) {
    while !(stops.load(Ordering::SeqCst) || moving.is_finished()) {
        let woken = moving.wake.notified();
        match moving.went(Loop::Copying, moving.copy_marked().await) {
            Some(Copied { copied: 0, same: 0, .. }) => tokio::select! {
                () = woken => {}
                () = moving.pacing.pause(IDLE_MS) => {}
            },
            Some(_) => {}
            None => moving.pacing.pause(AWAY_MS).await,
        }
    }
}

async fn read((moving, stops): Both) {
    while !(stops.load(Ordering::SeqCst) || moving.is_finished()) {
        let woken = moving.logged.notified();
        match moving.went(Loop::Reading, moving.read_log().await) {
            Some(true) => {}
            Some(false) => tokio::select! {
                () = woken => {}
                () = moving.pacing.pause(IDLE_MS) => {}
            },
            None => moving.pacing.pause(AWAY_MS).await,
        }
    }
}

async fn mend((moving, stops): Both) {
    for round in 0_u32.. {
        if stops.load(Ordering::SeqCst) || moving.is_finished() {
            return;
        }
        moving.went(Loop::Mending, moving.mend_intents().await);
        if round % NOTES_ROUNDS == 0 {
            moving.went(Loop::TakingUp, moving.mend_notes().await);
        }
        while let Some(Progress::Stepped) = moving.went(Loop::Changing, moving.step().await) {}
        moving.pacing.pause(MEND_MS).await;
    }
}
