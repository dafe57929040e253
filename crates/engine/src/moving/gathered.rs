//! Work that waits a moment for more of its kind: what comes meanwhile goes into the same transaction.

use std::sync::{Mutex, PoisonError};

use super::intent::Intent;
use super::member::Moving;

/// Intents whose writes ended, and which nobody waits for.
#[derive(Debug, Default)]
pub(super) struct Gathered(Mutex<Vec<Intent>>);

impl Gathered {
    /// One more; `true`: it is the first, and whoever brought it is to see to all that come until they are taken.
    pub(super) fn push(&self, intent: Intent) -> bool {
        let mut intents = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        intents.push(intent);
        intents.len() == 1
    }

    /// All of them.
    pub(super) fn take(&self) -> Vec<Intent> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Moving {
    /// Comes back when there was time for more to come; at once where somebody waits for copies, as a change of the lead does.
    pub(super) async fn gather(&self, ms: u64) {
        if self.last_control().is_some_and(|control| control.wanted.is_some()) {
            return;
        }
        tokio::select! {
            biased;
            () = self.hurry.notified() => {}
            () = self.pacing.pause(ms) => {}
        }
    }
}
