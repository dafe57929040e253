//! What went wrong with what a process does all the time: it tries again, and people are told.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use repot_core::Result;

use super::member::Moving;

/// Something that a process does all the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Loop {
    /// Looks who leads.
    Looking,
    /// Copies what is marked.
    Copying,
    /// Reads the log of the new store.
    Reading,
    /// Mends what dead servers left in the new store.
    Mending,
    /// Takes up notes beside the old store.
    TakingUp,
    /// Goes on with changes of the lead.
    Changing,
}

impl fmt::Display for Loop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Looking => "looking who leads",
            Self::Copying => "copying",
            Self::Reading => "reading the log",
            Self::Mending => "mending",
            Self::TakingUp => "taking up notes",
            Self::Changing => "changing the lead",
        })
    }
}

/// What went wrong last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// With what.
    pub what: Loop,
    /// Why, for people.
    pub why: String,
    /// Since when it has gone wrong each time, milliseconds since 1970.
    pub since_ms: i64,
    /// When it went wrong last, milliseconds since 1970.
    pub at_ms: i64,
    /// It has gone well since.
    pub is_over: bool,
}

/// The last trouble of each loop.
#[derive(Debug, Default)]
pub(super) struct Troubles(Mutex<BTreeMap<Loop, Trouble>>);

impl Moving {
    /// Notes how something went; what came of it where it went well.
    pub(super) fn went<T>(&self, what: Loop, done: Result<T>) -> Option<T> {
        let mut troubles = self.troubles.0.lock().unwrap_or_else(PoisonError::into_inner);
        match done {
            Ok(done) => {
                if let Some(trouble) = troubles.get_mut(&what) {
                    trouble.is_over = true;
                }
                Some(done)
            }
            Err(error) => {
                let (why, at_ms) = (error.to_string(), self.clock.now_ms());
                let since_ms = troubles.get(&what).filter(|before| !before.is_over);
                let since_ms = since_ms.map_or(at_ms, |before| before.since_ms);
                troubles.insert(what, Trouble { what, why, since_ms, at_ms, is_over: false });
                None
            }
        }
    }

    /// What went wrong last with each thing that this process does all the time.
    #[must_use]
    pub fn troubles(&self) -> Vec<Trouble> {
        self.troubles.0.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}
