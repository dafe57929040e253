//! Intents whose writes ended, and which nobody waits for: what comes while one transaction takes some back goes into the next.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::intent::Intent;

#[derive(Debug, Default)]
pub(super) struct Gathered(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    intents: Vec<Intent>,
    is_seen_to: bool,
}

impl Gathered {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more; `true`: whoever brought it is to see to all that come until there is none.
    pub(super) fn push(&self, intent: Intent) -> bool {
        let mut waiting = self.waiting();
        waiting.intents.push(intent);
        !std::mem::replace(&mut waiting.is_seen_to, true)
    }

    /// All that came by now; empty: none did, and who sees to them is done.
    pub(super) fn take(&self) -> Vec<Intent> {
        let mut waiting = self.waiting();
        waiting.is_seen_to = !waiting.intents.is_empty();
        std::mem::take(&mut waiting.intents)
    }
}
