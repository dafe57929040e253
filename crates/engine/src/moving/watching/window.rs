//! What a process saw of both stores in the last half minute, in bounded memory.

use std::collections::VecDeque;

use repot_core::Result;
use repot_core::moving::Lead;

use super::times::Times;
use crate::packed::{Packer, Unpacker};

/// Seconds that are remembered, the one that goes on among them.
const SECONDS: i64 = 30;

/// What an app did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// It read a document.
    Read,
    /// It wrote one or several.
    Write,
}

/// Calls of the two stores by apps: single documents read, units of work written. Questions and listings are not among
/// them, because only one of the stores answers those.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Watched {
    /// By store and act, in the order of [`place`].
    cells: [Times; 4],
}

const fn place(lead: Lead, act: Act) -> usize {
    match (lead, act) {
        (Lead::Old, Act::Read) => 0,
        (Lead::Old, Act::Write) => 1,
        (Lead::New, Act::Read) => 2,
        (Lead::New, Act::Write) => 3,
    }
}

impl Watched {
    /// Calls of one kind to one store.
    #[must_use]
    pub fn of(&self, lead: Lead, act: Act) -> &Times {
        let [old_read, old_write, new_read, new_write] = &self.cells;
        match (lead, act) {
            (Lead::Old, Act::Read) => old_read,
            (Lead::Old, Act::Write) => old_write,
            (Lead::New, Act::Read) => new_read,
            (Lead::New, Act::Write) => new_write,
        }
    }

    /// All calls to one store.
    #[must_use]
    pub fn all(&self, lead: Lead) -> Times {
        let mut all = self.of(lead, Act::Read).clone();
        all.add(self.of(lead, Act::Write));
        all
    }

    /// A call was answered after so many microseconds, or failed (`None`).
    pub fn note(&mut self, lead: Lead, act: Act, us: Option<u64>) {
        if let Some(times) = self.cells.get_mut(place(lead, act)) {
            match us {
                Some(us) => times.answered_in(us),
                None => times.failed_once(),
            }
        }
    }

    /// Counts what another process saw too.
    pub fn add(&mut self, other: &Self) {
        for (times, more) in self.cells.iter_mut().zip(&other.cells) {
            times.add(more);
        }
    }

    fn forget(&mut self, lead: Lead) {
        for act in [Act::Read, Act::Write] {
            if let Some(times) = self.cells.get_mut(place(lead, act)) {
                *times = Times::default();
            }
        }
    }

    pub(super) fn pack(&self, packer: Packer) -> Packer {
        self.cells.iter().fold(packer, |packer, times| times.pack(packer))
    }

    pub(super) fn unpack(read: &mut Unpacker<'_>) -> Result<Self> {
        let mut watched = Self::default();
        for times in &mut watched.cells {
            *times = Times::unpack(read)?;
        }
        Ok(watched)
    }
}

/// The last half minute, by seconds.
#[derive(Debug, Default)]
pub(super) struct Window {
    seconds: VecDeque<(i64, Watched)>,
}

impl Window {
    /// A call ended at this time, milliseconds since 1970.
    pub(super) fn note(&mut self, now_ms: i64, (lead, act): (Lead, Act), us: Option<u64>) {
        // a clock that was put back goes on in the second that it was in
        let second = self.seconds.back().map_or(i64::MIN, |(last, _)| *last).max(now_ms.div_euclid(1_000));
        if self.seconds.back().is_none_or(|(last, _)| *last != second) {
            self.seconds.retain(|(at, _)| *at > second - SECONDS);
            self.seconds.push_back((second, Watched::default()));
        }
        if let Some((_, watched)) = self.seconds.back_mut() {
            watched.note(lead, act, us);
        }
    }

    /// What was seen until this time.
    pub(super) fn sum(&self, now_ms: i64) -> Watched {
        let after = now_ms.div_euclid(1_000) - SECONDS;
        let mut sum = Watched::default();
        for (_, watched) in self.seconds.iter().filter(|(at, _)| *at > after) {
            sum.add(watched);
        }
        sum
    }

    /// Forgets the calls to one store: what was before counts no more.
    pub(super) fn forget(&mut self, lead: Lead) {
        for (_, watched) in &mut self.seconds {
            watched.forget(lead);
        }
    }
}

#[cfg(test)]
mod tests {
    use repot_core::moving::Lead;

    use super::{Act, Window};

    #[test]
    fn what_is_older_than_half_a_minute_counts_no_more() {
        let mut window = Window::default();
        let key = (Lead::New, Act::Read);
        for second in 0..100 {
            window.note(second * 1_000 + 5, key, Some(7));
            window.note(second * 1_000 + 5, (Lead::Old, Act::Write), None);
            assert!(window.seconds.len() <= 30, "memory is bounded");
        }
        let calls = |window: &Window, now_ms| window.sum(now_ms).of(Lead::New, Act::Read).calls();
        assert_eq!((calls(&window, 99_900), calls(&window, 100_000), calls(&window, 129_000)), (30, 29, 0));
        // a clock that is put back
        window.note(3, key, Some(7));
        assert_eq!(calls(&window, 99_900), 31);
        window.forget(Lead::New);
        assert_eq!(calls(&window, 99_900), 0);
        assert_eq!(window.sum(99_900).all(Lead::Old).failed(), 30);
    }
}
