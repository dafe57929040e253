//! How long calls took, counted in buckets that grow with the time: two histograms are added by adding their counts.

use repot_core::Result;

use crate::packed::{Packer, Unpacker, damaged};

/// Buckets of a doubling: a bucket is at most an eighth of its times wide.
const PER_DOUBLING: u64 = 8;
/// Longer calls count as this long, microseconds; a little above two minutes.
const LONGEST_US: u64 = (1 << 27) - 1;
/// Buckets there are.
const BUCKETS: usize = 200;

/// Times of calls, and how many calls failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Times {
    counts: Vec<u32>,
    answered: u64,
    failed: u64,
}

impl Default for Times {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], answered: 0, failed: 0 }
    }
}

fn bucket(us: u64) -> usize {
    let us = us.min(LONGEST_US);
    if us < PER_DOUBLING {
        return usize::try_from(us).unwrap_or(BUCKETS - 1);
    }
    let doubling = u64::from(us.ilog2());
    let part = (us >> (doubling - 3)) & (PER_DOUBLING - 1);
    usize::try_from((doubling - 2) * PER_DOUBLING + part).unwrap_or(BUCKETS - 1)
}

/// The longest time of a bucket, microseconds.
fn longest(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let (doubling, part) = (bucket / PER_DOUBLING, bucket % PER_DOUBLING);
    if doubling == 0 {
        return part;
    }
    ((PER_DOUBLING + part + 1) << (doubling - 1)) - 1
}

impl Times {
    /// A call was answered after this time, microseconds.
    pub fn answered_in(&mut self, us: u64) {
        if let Some(count) = self.counts.get_mut(bucket(us)) {
            *count = count.saturating_add(1);
        }
        self.answered = self.answered.saturating_add(1);
    }

    /// A call failed.
    pub const fn failed_once(&mut self) {
        self.failed = self.failed.saturating_add(1);
    }

    /// Calls that were answered.
    #[must_use]
    pub const fn answered(&self) -> u64 {
        self.answered
    }

    /// Calls that failed.
    #[must_use]
    pub const fn failed(&self) -> u64 {
        self.failed
    }

    /// All calls.
    #[must_use]
    pub const fn calls(&self) -> u64 {
        self.answered.saturating_add(self.failed)
    }

    /// So many of a thousand of the answered calls took at most this time, microseconds, rounded up to the end of a
    /// bucket; `None`: there were no calls.
    #[must_use]
    pub fn quantile(&self, of_thousand: u64) -> Option<u64> {
        let wanted = self.answered.saturating_mul(of_thousand).div_ceil(1_000).max(1);
        let mut below = 0_u64;
        let found = self.counts.iter().position(|count| {
            below += u64::from(*count);
            below >= wanted
        });
        found.map(longest)
    }

    /// How many of the answered calls certainly took longer than this, microseconds.
    #[must_use]
    pub fn slower_than(&self, us: u64) -> u64 {
        self.counts.iter().skip(bucket(us) + 1).map(|count| u64::from(*count)).sum()
    }

    /// Counts the calls of another histogram too.
    pub fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count = count.saturating_add(*more);
        }
        self.answered = self.answered.saturating_add(other.answered);
        self.failed = self.failed.saturating_add(other.failed);
    }

    pub(super) fn pack(&self, mut packer: Packer) -> Packer {
        let counts = || self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        packer = packer.number(signed(self.failed)).number(signed(counts().count() as u64));
        for (bucket, count) in counts() {
            packer = packer.number(signed(bucket as u64)).number(i64::from(*count));
        }
        packer
    }

    pub(super) fn unpack(read: &mut Unpacker<'_>) -> Result<Self> {
        let mut times = Self { failed: u64::try_from(read.number()?).unwrap_or_default(), ..Self::default() };
        for _ in 0..read.count()? {
            let bucket = usize::try_from(read.number()?).ok();
            let place = bucket.and_then(|bucket| times.counts.get_mut(bucket));
            let place = place.ok_or_else(|| damaged("the times of calls"))?;
            *place = u32::try_from(read.number()?).unwrap_or(u32::MAX);
            times.answered += u64::from(*place);
        }
        Ok(times)
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{BUCKETS, LONGEST_US, Times, bucket, longest};
    use crate::packed::{Packer, Unpacker};

    #[test]
    fn buckets_are_in_order_and_an_eighth_wide() {
        assert_eq!((bucket(0), bucket(LONGEST_US), bucket(u64::MAX)), (0, BUCKETS - 1, BUCKETS - 1));
        for at in 0..BUCKETS {
            let end = longest(at);
            assert_eq!((bucket(end), bucket(end + 1)), (at, (at + 1).min(BUCKETS - 1)), "{at}");
            let begin = if at == 0 { 0 } else { longest(at - 1) + 1 };
            assert!(end - begin <= begin / 8, "{at}: {begin} to {end}");
        }
    }

    #[test]
    fn quantiles_are_of_all_that_was_added() {
        let (mut one, mut other) = (Times::default(), Times::default());
        for ms in 1..=99 {
            one.answered_in(ms * 1_000);
        }
        other.answered_in(5_000_000);
        other.failed_once();
        one.add(&other);
        assert_eq!((one.calls(), one.answered(), one.failed()), (101, 100, 1));
        let about = |of_thousand: u64, ms: u64| {
            let us = one.quantile(of_thousand).unwrap();
            us >= ms * 1_000 && us <= ms * 1_000 * 9 / 8
        };
        assert!(about(500, 50) && about(950, 95) && about(990, 99) && about(1_000, 5_000));
        assert_eq!((one.slower_than(200_000), one.slower_than(10_000_000)), (1, 0));
        assert_eq!(Times::default().quantile(990), None);
        let packed = one.pack(Packer::new(1)).finish();
        assert_eq!(Times::unpack(&mut Unpacker::new("times", 1, &packed).unwrap()).unwrap(), one);
    }
}
