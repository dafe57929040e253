//! The keys of an issuer, kept: fetched when they are old or one is missing, by one request at a time, and never often.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use repot_core::{Clock, Error, Kind, Result, Retry};

use super::fetch::{Fetched, Place};
use super::keys::KeySet;
use super::options::KeysAt;

/// An issuer that could not be reached is tried again after this time, milliseconds.
const AGAIN_MS: i64 = 10_000;
/// A key that is not in the set has it fetched again this long after the last time, milliseconds: who invents names of keys
/// cannot make the server ask its issuer more often.
const UNKNOWN_MS: i64 = 30_000;
/// So long a set is used beyond its time while the issuer is out of reach, milliseconds.
const OLD_MS: i64 = 60 * 60 * 1_000;

/// An issuer.
#[derive(Debug)]
pub(super) struct Issuer {
    place: Place,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    /// Held by the one who fetches.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    kept: Option<Kept>,
    /// When the issuer was asked last, whatever came of it.
    asked_ms: Option<i64>,
    /// How often it was asked.
    asked: u64,
    /// It did not answer when it was asked last.
    failed: bool,
}

#[derive(Debug, Clone)]
struct Kept {
    set: Arc<KeySet>,
    since_ms: i64,
    fresh_ms: i64,
}

impl Kept {
    /// Not longer ago than this; a clock that was set back makes everything old.
    fn is_within(&self, ms: i64, now_ms: i64) -> bool {
        (self.since_ms..self.since_ms.saturating_add(ms)).contains(&now_ms)
    }

    fn is_usable(&self, now_ms: i64) -> bool {
        self.is_within(self.fresh_ms.saturating_add(OLD_MS), now_ms)
    }
}

impl State {
    /// The issuer was not asked for so long.
    fn is_due(&self, after_ms: i64, now_ms: i64) -> bool {
        self.asked_ms.is_none_or(|asked_ms| !(asked_ms..asked_ms.saturating_add(after_ms)).contains(&now_ms))
    }
}

impl Issuer {
    pub(super) fn open(at: &KeysAt, clock: Arc<dyn Clock>) -> Result<Arc<Self>> {
        let place = Place::open(at)?;
        Ok(Arc::new(Self { place, clock, state: Mutex::default(), turn: tokio::sync::Mutex::default() }))
    }

    /// The state, and the time: told while nobody changes the state, so nothing in it is from later.
    fn look(&self) -> (MutexGuard<'_, State>, i64) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now_ms = self.clock.now_ms();
        (state, now_ms)
    }

    /// Its keys.
    ///
    /// # Errors
    /// `R0439` when it is out of reach and nothing usable is kept.
    pub(super) async fn keys(self: &Arc<Self>) -> Result<Arc<KeySet>> {
        let (now_ms, kept, due, failed, asked) = {
            let (state, now_ms) = self.look();
            let kept = state.kept.clone().filter(|kept| kept.is_usable(now_ms));
            (now_ms, kept, state.is_due(AGAIN_MS, now_ms), state.failed, state.asked)
        };
        match kept {
            Some(kept) if !due || kept.is_within(kept.fresh_ms, now_ms) => return Ok(kept.set),
            // nobody waits again for an issuer that was out of reach
            Some(kept) if failed => {
                let nobody_asks = self.turn.try_lock().is_ok();
                if nobody_asks {
                    drop(self.ask(asked));
                }
                return Ok(kept.set);
            }
            None if !due => return Err(unreachable()),
            _ => {}
        }
        let _panicked = self.ask(asked).await;
        let (state, now_ms) = self.look();
        let kept = state.kept.as_ref().filter(|kept| kept.is_usable(now_ms));
        kept.map(|kept| Arc::clone(&kept.set)).ok_or_else(unreachable)
    }

    /// Its keys, where they are others than these or may be by now.
    pub(super) async fn keys_after(self: &Arc<Self>, seen: &Arc<KeySet>) -> Option<Arc<KeySet>> {
        let other = |state: &State, now_ms| {
            let kept = state.kept.as_ref().filter(|kept| kept.is_usable(now_ms));
            kept.map(|kept| Arc::clone(&kept.set)).filter(|set| !Arc::ptr_eq(set, seen))
        };
        let asked = {
            let (state, now_ms) = self.look();
            if let Some(set) = other(&state, now_ms) {
                return Some(set);
            }
            if !state.is_due(UNKNOWN_MS, now_ms) {
                return None;
            }
            state.asked
        };
        let _panicked = self.ask(asked).await;
        let (state, now_ms) = self.look();
        other(&state, now_ms)
    }

    /// Asks it, unless somebody did since it had been asked so often. Goes on when nobody waits for it any more: who comes and
    /// goes must not keep the set from being fetched.
    fn ask(self: &Arc<Self>, seen: u64) -> tokio::task::JoinHandle<()> {
        let me = Arc::clone(self);
        tokio::spawn(async move {
            let _turn = me.turn.lock().await;
            if me.look().0.asked != seen {
                return;
            }
            let fetched = me.place.fetch().await;
            let (mut state, now_ms) = me.look();
            (state.asked_ms, state.asked, state.failed) = (Some(now_ms), seen + 1, fetched.is_err());
            if let Ok(Fetched { set, fresh_ms }) = fetched {
                state.kept = Some(Kept { set: Arc::new(set), since_ms: now_ms, fresh_ms });
            }
        })
    }
}

fn unreachable() -> Error {
    Error::new(Kind::Unavailable, "R0439", "the keys of the tokens' issuer cannot be had")
        .retry(Retry::Safe)
        .hint("Send it again later; whoever runs the server looks whether it reaches the issuer.")
}
