//! What a process does all the time while it takes part in a move.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use repot_core::Result;
use tokio::task::JoinHandle;

use super::change::Progress;
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
/// How often the guard looks, milliseconds.
const GUARD_MS: u64 = 200;
/// How often a process tells the others what it saw, milliseconds.
const PUBLISH_MS: u64 = 1_000;
/// The first rest and the longest between two tries to bring a rollout back, milliseconds.
const REST_MS: (u64, u64) = (1_000, 60_000);
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
        self.moving.sample_reads(false);
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
            tokio::spawn(compare(both())),
            tokio::spawn(guard(both())),
            tokio::spawn(publish(both())),
        ];
        moving.sample_reads(true);
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
        self.moving.sampled.notify_waiters();
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
        self.moving.take_gathered_back().await;
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
            Some(done) if done.copied + done.same == 0 => tokio::select! {
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
        while let Some(Progress::Stepped) = moving.went(Loop::Changing, moving.step_by(false).await) {}
        moving.pacing.pause(MEND_MS).await;
    }
}

async fn compare((moving, stops): Both) {
    while !(stops.load(Ordering::SeqCst) || moving.is_finished()) {
        let woken = moving.sampled.notified();
        match moving.compare_sampled().await {
            Ok(0) => tokio::select! {
                () = woken => {}
                () = moving.pacing.pause(IDLE_MS) => {}
            },
            Ok(_) => {}
            // what waits meanwhile is bounded, and dropped above that
            Err(_out_of_reach) => moving.pacing.pause(AWAY_MS).await,
        }
    }
}

/// Looks at the limits, and brings a rollout back that was stopped; rests where that cannot be done.
async fn guard((moving, stops): Both) {
    let (mut rest_ms, mut failed_ms) = (0_u64, 0);
    while !(stops.load(Ordering::SeqCst) || moving.is_finished()) {
        let _out_of_reach = moving.watch_over().await;
        rest_ms = rest_ms.saturating_sub(GUARD_MS);
        if rest_ms == 0 {
            failed_ms = match moving.bring_back().await {
                Ok(_) => 0,
                Err(_) => u64::clamp(failed_ms * 2, REST_MS.0, REST_MS.1),
            };
            rest_ms = failed_ms;
        }
        moving.pacing.pause(GUARD_MS).await;
    }
}

async fn publish((moving, stops): Both) {
    while !(stops.load(Ordering::SeqCst) || moving.is_finished()) {
        let _out_of_reach = moving.publish().await;
        moving.pacing.pause(PUBLISH_MS).await;
    }
}
