//! What a writing transaction has locked, for those who read in it.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use repot_core::{Error, Kind, Result, Retry};

use crate::ahead::Seen;

/// A transaction of a writer: what it locked.
#[derive(Debug)]
pub(crate) struct Within {
    /// Paths that were to be locked.
    pub paths: HashSet<String>,
    /// Numbers of the objects that were there.
    pub numbers: HashSet<i64>,
    /// It is to be done again: an object came to be at one of the paths meanwhile, so it is not locked, or a table was changed
    /// under a statement that the session keeps.
    pub escaped: AtomicBool,
    /// What was read with the locks.
    pub seen: Mutex<Seen>,
}

impl Within {
    /// An answer that was read ahead.
    pub(crate) fn seen<T>(&self, find: impl FnOnce(&mut Seen) -> Option<T>) -> Option<T> {
        find(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether an object that was read at a path to be locked is locked.
    ///
    /// # Errors
    /// [`Kind::Unavailable`], code `R0411`, when another writer made it meanwhile; then everything has to be done again.
    pub(crate) fn check(&self, path: &str, object: i64) -> Result<()> {
        if !self.paths.contains(path) || self.numbers.contains(&object) {
            return Ok(());
        }
        self.escaped.store(true, Ordering::Relaxed);
        let message = format!("{path} was made by another writer meanwhile");
        Err(Error::new(Kind::Unavailable, "R0411", message).retry(Retry::Safe))
    }
}
