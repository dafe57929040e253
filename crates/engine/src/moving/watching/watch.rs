//! What one process saw so far, and the reads that wait to be compared. Nothing here ever waits: apps pass by.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use repot_core::moving::Lead;
use repot_core::store::DocumentKey;
use repot_core::{Error, Kind};

use super::figures::{Compared, Figures};
use super::window::{Act, Watched, Window};
use crate::moving::ObjectState;

/// Reads that wait to be compared, at the most,
const QUEUE: usize = 256;
/// and bytes of their answers.
const QUEUE_BYTES: usize = 16 << 20;
/// Objects may change twice within this time, and have one time stamp, milliseconds.
const YOUNG_MS: i64 = 2_000;
/// How many copies must have been brought up in vain where time stamps prove nothing.
const STOOD: u32 = 5;

/// What was found at the first look at a document whose copy was stale: where it is the same after the copy was brought to
/// it, and the copy still differs, the stores differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::moving) struct FirstLook {
    /// A hash of the leading text.
    pub text: u128,
    /// The states of the document's objects in the old store.
    pub states: Vec<Option<ObjectState>>,
    /// So many copies were brought up since, and the next look found the same.
    pub stood: u32,
    /// When it was first so, milliseconds since 1970.
    pub at_ms: i64,
}

impl FirstLook {
    /// Whether this is what `before` was.
    pub(in crate::moving) fn is_as(&self, before: &Self) -> bool {
        self.text == before.text && self.states == before.states
    }

    /// Another program may have changed an object and changed it back within one time stamp.
    pub(in crate::moving) fn is_young(&self) -> bool {
        let is_young = |state: &ObjectState| self.at_ms - state.modified_ns / 1_000_000 <= YOUNG_MS;
        self.states.iter().flatten().any(is_young)
    }

    /// Whether the copy was brought up in vain: nobody can have changed the objects and changed them back since, because then
    /// their time stamps would be others. Where they have none, or are not there, it has to stand for longer.
    pub(in crate::moving) fn is_proof(&self) -> bool {
        let mut states = self.states.iter().flatten().peekable();
        let is_stamped = states.peek().is_some() && states.all(|state| state.modified_ns != 0);
        self.stood >= if is_stamped { 1 } else { STOOD }
    }
}

/// A read that is to be compared.
#[derive(Debug, Clone)]
pub(in crate::moving) struct Sampled {
    /// Which document, as the journal names it.
    pub key: DocumentKey,
    /// Who led it then.
    pub lead: Lead,
    /// Who answered: the one that led, or the copy.
    pub teller: Lead,
    /// The answer.
    pub answer: Option<Bytes>,
    /// It was looked at before.
    pub first: Option<FirstLook>,
    /// Not before this time, milliseconds since 1970.
    pub ripe_ms: i64,
    /// How often it was put off.
    pub tries: u32,
}

impl Sampled {
    fn bytes(&self) -> usize {
        self.answer.as_ref().map_or(0, Bytes::len)
    }
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Sampled>,
    bytes: usize,
}

/// How far the copies are behind, as this process last saw it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::moving) struct Behind {
    pub documents: u64,
    pub lag_ms: Option<i64>,
}

/// What this process saw.
#[derive(Debug, Default)]
pub(in crate::moving) struct Watch {
    window: Mutex<Window>,
    compared: Mutex<Compared>,
    queue: Mutex<Queue>,
    behind: Mutex<Behind>,
    /// Why this process wants to go back and could not yet, with the rollout that it is about.
    wants: Mutex<Option<(i64, String)>>,
    /// The rollout whose calls are in the window.
    armed: Mutex<i64>,
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether an error is the store's and not the app's.
pub(in crate::moving) const fn is_failure(error: &Error) -> bool {
    !matches!(
        error.kind(),
        Kind::Conflict
            | Kind::Fenced
            | Kind::Invalid
            | Kind::Unsupported
            | Kind::Refused
            | Kind::Denied
            | Kind::NotFound
    )
}

impl Watch {
    /// A call of an app ended.
    pub(in crate::moving) fn note(
        &self,
        now_ms: i64,
        call: (Lead, Act),
        begun: Instant,
        error: Option<&Error>,
    ) {
        let us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        // a database that leads and is out of reach was not called at all
        let (lead, act) = match error {
            Some(error) if error.code() == "R0713" => (Lead::New, call.1),
            _ => call,
        };
        let answered = !error.is_some_and(is_failure);
        held(&self.window).note(now_ms, (lead, act), answered.then_some(us));
    }

    /// The calls of the last half minute.
    pub(in crate::moving) fn watched(&self, now_ms: i64) -> Watched {
        held(&self.window).sum(now_ms)
    }

    /// What this process tells the others.
    pub(in crate::moving) fn figures(&self, now_ms: i64) -> Figures {
        Figures { compared: *held(&self.compared), watched: self.watched(now_ms) }
    }

    /// Counts what became of a sampled read.
    pub(in crate::moving) fn count(&self, count: impl FnOnce(&mut Compared)) {
        count(&mut held(&self.compared));
    }

    /// Puts a read with those that wait; one too many is dropped.
    pub(in crate::moving) fn put(&self, sampled: Sampled) {
        let mut queue = held(&self.queue);
        let bytes = queue.bytes + sampled.bytes();
        if queue.waiting.len() >= QUEUE || bytes > QUEUE_BYTES {
            drop(queue);
            self.count(|compared| compared.dropped += 1);
            return;
        }
        queue.bytes = bytes;
        queue.waiting.push_back(sampled);
    }

    /// At most `most` reads whose time has come.
    pub(in crate::moving) fn take(&self, now_ms: i64, most: usize) -> Vec<Sampled> {
        let mut queue = held(&self.queue);
        let (mut ripe, mut rest) = (Vec::new(), VecDeque::new());
        for sampled in std::mem::take(&mut queue.waiting) {
            if ripe.len() < most && sampled.ripe_ms <= now_ms {
                queue.bytes -= sampled.bytes();
                ripe.push(sampled);
            } else {
                rest.push_back(sampled);
            }
        }
        queue.waiting = rest;
        ripe
    }

    /// Reads that wait.
    pub(in crate::moving) fn waiting(&self) -> usize {
        held(&self.queue).waiting.len()
    }

    pub(in crate::moving) fn set_behind(&self, behind: Behind) {
        *held(&self.behind) = behind;
    }

    pub(in crate::moving) fn behind(&self) -> Behind {
        *held(&self.behind)
    }

    /// From the rollout that began then on, calls of the new store count anew.
    pub(in crate::moving) fn arm(&self, armed: i64) {
        let mut own = held(&self.armed);
        if *own != armed {
            *own = armed;
            held(&self.window).forget(Lead::New);
        }
    }

    /// This process wants the rollout of this time to go back, for this reason; the first one stays.
    pub(in crate::moving) fn want_back(&self, armed: i64, why: &str) {
        let mut wants = held(&self.wants);
        if wants.as_ref().is_none_or(|(own, _)| *own != armed) {
            *wants = Some((armed, why.to_owned()));
        }
    }

    pub(in crate::moving) fn wants_back(&self) -> Option<(i64, String)> {
        held(&self.wants).clone()
    }

    pub(in crate::moving) fn want_nothing(&self) {
        *held(&self.wants) = None;
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use repot_core::moving::Lead;
    use repot_core::store::DocumentKey;

    use super::{FirstLook, QUEUE, QUEUE_BYTES, STOOD, Sampled, Watch};
    use crate::moving::ObjectState;

    fn sampled(bytes: usize, ripe_ms: i64) -> Sampled {
        Sampled {
            key: DocumentKey::new("notes", "a"),
            lead: Lead::Old,
            teller: Lead::Old,
            answer: Some(Bytes::from(vec![b' '; bytes])),
            first: None,
            ripe_ms,
            tries: 0,
        }
    }

    #[test]
    fn what_waits_is_bounded_in_number_and_bytes_and_taken_when_ripe() {
        let watch = Watch::default();
        for _ in 0..QUEUE + 5 {
            watch.put(sampled(1, 10));
        }
        assert_eq!((watch.waiting(), watch.figures(0).compared.dropped), (QUEUE, 5));
        assert!(watch.take(9, 100).is_empty());
        assert_eq!((watch.take(10, 100).len(), watch.waiting()), (100, QUEUE - 100));
        watch.put(sampled(QUEUE_BYTES, 10));
        assert_eq!(watch.figures(0).compared.dropped, 6);
        assert_eq!(watch.take(10, QUEUE).len(), QUEUE - 100);
        watch.put(sampled(QUEUE_BYTES, 10));
        assert_eq!(watch.waiting(), 1);
    }

    #[test]
    fn what_could_have_come_back_unnoticed_proves_nothing() {
        let state = |modified_ms: i64| {
            Some(ObjectState { size_bytes: 1, modified_ns: modified_ms * 1_000_000, etag: None })
        };
        let looked = |states: &[Option<ObjectState>], stood| FirstLook {
            text: 1,
            states: states.to_vec(),
            stood,
            at_ms: 10_000,
        };
        assert!(looked(&[state(7_999)], 1).is_proof() && !looked(&[state(7_999)], 0).is_proof());
        assert!(!looked(&[state(7_999)], 0).is_young() && looked(&[state(8_000)], 0).is_young());
        for timeless in [&[None][..], &[state(0)], &[state(0), state(7_999)]] {
            assert!(!looked(timeless, 0).is_young());
            assert!(!looked(timeless, STOOD - 1).is_proof() && looked(timeless, STOOD).is_proof());
        }
    }

    #[test]
    fn a_rollout_that_begins_forgets_the_calls_of_the_one_before() {
        let watch = Watch::default();
        let call = |lead| watch.note(5, (lead, super::Act::Read), std::time::Instant::now(), None);
        call(Lead::New);
        call(Lead::Old);
        watch.arm(1);
        call(Lead::New);
        watch.arm(1);
        assert_eq!(watch.watched(5).all(Lead::New).calls(), 1);
        assert_eq!(watch.watched(5).all(Lead::Old).calls(), 1);
    }
}
