//! What is known of an object, what is seen of it, and what follows from the two.

use repot_core::store::ObjectMeta;

/// A state of an object, as a listing tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectState {
    /// Size in bytes.
    pub size_bytes: u64,
    /// Modification time, nanoseconds since 1970; 0 where there is none.
    pub modified_ns: i64,
    /// The store's own `ETag`, where it has one.
    pub etag: Option<String>,
}

impl From<&ObjectMeta> for ObjectState {
    fn from(meta: &ObjectMeta) -> Self {
        let etag = meta.etag.as_ref().map(|etag| etag.as_str().to_owned());
        Self { size_bytes: meta.size_bytes, modified_ns: meta.modified_ns, etag }
    }
}

/// A state of an object whose documents were marked since it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    /// The state.
    pub state: ObjectState,
    /// From then on it is marked once more, milliseconds since 1970; `None`: that is not needed.
    pub again_ms: Option<i64>,
}

impl Sight {
    /// As text.
    #[must_use]
    pub fn encode(&self) -> String {
        let Self { state: ObjectState { size_bytes, modified_ns, etag }, again_ms } = self;
        let again = again_ms.map_or_else(|| "-".to_owned(), |ms| ms.to_string());
        let etag = etag.as_ref().map_or_else(String::new, |etag| format!(" {etag}"));
        format!("{again} {size_bytes} {modified_ns}{etag}")
    }

    /// From its text; `None` for any other, which is as if nothing had been seen.
    #[must_use]
    pub fn decode(text: &str) -> Option<Self> {
        let mut parts = text.splitn(4, ' ');
        let again_ms = match parts.next()? {
            "-" => None,
            again => Some(again.parse().ok()?),
        };
        let (size_bytes, modified_ns) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let etag = parts.next().map(str::to_owned);
        Some(Self { state: ObjectState { size_bytes, modified_ns, etag }, again_ms })
    }
}

/// How long a state must stand until it is believed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// A time stamp may be too coarse to move, or two clocks differ, by less than this, milliseconds.
    pub young_ms: i64,
    /// The longest claim of a worker, milliseconds.
    pub claim_ms: i64,
}

/// What is known of a path.
#[derive(Debug, Default)]
pub(super) struct Found<'f> {
    /// It is there, in this state.
    pub listed: Option<&'f ObjectState>,
    /// The new store has it; from this state, where it is known from which.
    pub recorded: Option<Option<&'f ObjectState>>,
    pub seen: Option<&'f Sight>,
}

/// What becomes of what was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Note {
    Keep,
    Put(Sight),
    Forget,
}

impl Found<'_> {
    /// Whether its documents are to be marked, and what is noted after that.
    pub(super) fn step(&self, holds_several: bool, now_ms: i64, patience: Patience) -> (bool, Note) {
        let Some(listed) = self.listed else {
            // what the new store still has is marked until it has it no more: only that is sure to end well, because a
            // worker may have read the object just before it went
            let note = if self.seen.is_some() { Note::Forget } else { Note::Keep };
            return (self.recorded.is_some() || self.seen.is_some(), note);
        };
        let is_recorded = self.recorded.flatten() == Some(listed);
        match self.seen.filter(|seen| seen.state == *listed) {
            Some(Sight { again_ms: Some(again_ms), .. }) if now_ms < *again_ms => (false, Note::Keep),
            Some(Sight { again_ms: Some(_), .. }) => {
                (true, Note::Put(Sight { state: listed.clone(), again_ms: None }))
            }
            Some(_) if is_recorded => (false, Note::Forget),
            Some(_) => (false, Note::Keep),
            None if is_recorded && self.seen.is_none() => (false, Note::Keep),
            None => (true, Note::Put(patience.sight(listed, holds_several, now_ms))),
        }
    }
}

impl Patience {
    /// What is noted of a state that was seen now.
    ///
    /// It is looked at once more where the state could come back unnoticed: an object may be written twice within one tick
    /// of its time stamp, and a worker may have read it in between. And it is where the object holds several documents: one
    /// that went from it is known only by the new store's record, into which a worker that read it before may still bring
    /// it, until its claim ends.
    pub(super) fn sight(self, state: &ObjectState, holds_several: bool, now_ms: i64) -> Sight {
        let age_ms = now_ms.saturating_sub(state.modified_ns / 1_000_000);
        let is_young = state.modified_ns != 0 && age_ms <= self.young_ms;
        let wait_ms = match (is_young, holds_several) {
            (_, true) => Some(self.claim_ms.max(self.young_ms)),
            (true, false) => Some(self.young_ms),
            (false, false) => None,
        };
        let again_ms = wait_ms.map(|ms| now_ms.saturating_add(ms).saturating_add(1));
        Sight { state: state.clone(), again_ms }
    }
}

#[cfg(test)]
mod tests {
    use super::{Found, Note, ObjectState, Patience, Sight};

    const PATIENCE: Patience = Patience { young_ms: 2_000, claim_ms: 60_000 };
    const NOW_MS: i64 = 1_700_000_000_000;

    fn state(age_ms: i64) -> ObjectState {
        ObjectState { size_bytes: 3, modified_ns: (NOW_MS - age_ms) * 1_000_000, etag: None }
    }

    fn seen(age_ms: i64, again_ms: Option<i64>) -> Sight {
        Sight { state: state(age_ms), again_ms }
    }

    #[test]
    fn texts_come_back() {
        for etag in [None, Some("a b"), Some("")] {
            for again_ms in [None, Some(7)] {
                let state = ObjectState { etag: etag.map(str::to_owned), ..state(0) };
                let sight = Sight { state, again_ms };
                assert_eq!(Sight::decode(&sight.encode()), Some(sight));
            }
        }
        for wrong in ["", "-", "- 1", "x 1 2", "- 1 y"] {
            assert_eq!(Sight::decode(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_differs_is_marked() {
        let (old, other) = (state(90_000), state(80_000));
        let step = |found: &Found<'_>| found.step(false, NOW_MS, PATIENCE);
        let settled = |state: &ObjectState| Note::Put(Sight { state: state.clone(), again_ms: None });
        let found = |recorded, seen| Found { listed: Some(&old), recorded, seen };
        assert_eq!(step(&found(Some(Some(&old)), None)), (false, Note::Keep));
        assert_eq!(step(&found(Some(Some(&other)), None)), (true, settled(&old)));
        assert_eq!(step(&found(Some(None), None)), (true, settled(&old)));
        assert_eq!(step(&found(None, None)), (true, settled(&old)));
        // seen already; what the record says as well needs no note
        let (same, before) = (seen(90_000, None), seen(80_000, None));
        assert_eq!(step(&found(None, Some(&same))), (false, Note::Keep));
        assert_eq!(step(&found(Some(Some(&old)), Some(&same))), (false, Note::Forget));
        // it is as it was copied again, and was otherwise meanwhile
        assert_eq!(step(&found(Some(Some(&old)), Some(&before))), (true, settled(&old)));
    }

    #[test]
    fn what_is_gone_is_marked_until_the_new_store_has_it_no_more() {
        let (old, sight) = (state(90_000), seen(90_000, None));
        let step = |recorded, seen| Found { listed: None, recorded, seen }.step(false, NOW_MS, PATIENCE);
        assert_eq!(step(Some(Some(&old)), None), (true, Note::Keep));
        assert_eq!(step(Some(None), Some(&sight)), (true, Note::Forget));
        assert_eq!(step(None, Some(&sight)), (true, Note::Forget));
        assert_eq!(step(None, None), (false, Note::Keep));
    }

    #[test]
    fn what_could_change_unnoticed_is_marked_once_more() {
        let young = state(2_000);
        let again = PATIENCE.sight(&young, false, NOW_MS).again_ms.unwrap();
        assert!(again > young.modified_ns / 1_000_000 + PATIENCE.young_ms);
        assert_eq!(PATIENCE.sight(&state(2_001), false, NOW_MS).again_ms, None);
        assert!(PATIENCE.sight(&state(2_001), true, NOW_MS).again_ms.unwrap() > NOW_MS + 60_000);
        let timeless = ObjectState { modified_ns: 0, etag: Some("e".to_owned()), size_bytes: 1 };
        assert_eq!(PATIENCE.sight(&timeless, false, NOW_MS).again_ms, None);
        let sight = seen(2_000, Some(again));
        let found = Found { listed: Some(&young), recorded: None, seen: Some(&sight) };
        assert_eq!(found.step(false, again - 1, PATIENCE), (false, Note::Keep));
        let settled = Note::Put(Sight { state: young.clone(), again_ms: None });
        assert_eq!(found.step(false, again, PATIENCE), (true, settled));
    }
}
