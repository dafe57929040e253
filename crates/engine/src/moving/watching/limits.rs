//! The limits of a rollout: from figures to whether it goes back.

use repot_core::moving::Lead;

use super::times::Times;
use super::window::{Act, Watched};
use crate::moving::percent;

/// Fewer calls say nothing of how many fail,
const CALLS_LEAST: u64 = 50;
/// unless so many of them do, and more than half.
const FAILED_LEAST: u64 = 5;
/// Fewer answered calls say nothing of the slowest hundredth,
const ANSWERED_LEAST: u64 = 100;
/// and so do fewer slow ones.
const SLOW_LEAST: u64 = 5;
/// Below this nobody minds, microseconds.
const FLOOR_US: u64 = 20_000;

/// What the guard of a rollout does not let pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Of a thousand calls of the new store so many may fail, of at least fifty calls; of fewer
    /// five, when those are more than half.
    pub errors: u16,
    /// The slowest hundredth of the calls of the new store may take so many percent of what it takes in the old one.
    pub slower_percent: u32,
    /// A copy may be stale for so long, milliseconds.
    pub lag_ms: i64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { errors: 10, slower_percent: 200, lag_ms: 60_000 }
    }
}

/// What 99 of 100 calls of the old store took at the most before the rollout, microseconds; `None`: too few to say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Before {
    /// Of reads.
    pub read_us: Option<u64>,
    /// Of writes.
    pub write_us: Option<u64>,
}

impl Before {
    /// What these figures say; what they do not say is as it was.
    #[must_use]
    pub fn of(watched: &Watched, was: Self) -> Self {
        let told = |act| p99(watched.of(Lead::Old, act));
        Self { read_us: told(Act::Read).or(was.read_us), write_us: told(Act::Write).or(was.write_us) }
    }
}

/// What 99 of 100 calls took at the most, where there were enough of them.
fn p99(times: &Times) -> Option<u64> {
    times.quantile(990).filter(|_| times.answered() >= ANSWERED_LEAST)
}

impl Limits {
    /// The limit that was crossed, for people; `None`: none was.
    #[must_use]
    pub fn crossed(&self, watched: &Watched, before: Before, lag_ms: Option<i64>) -> Option<String> {
        self.errors(&watched.all(Lead::New))
            .or_else(|| self.times(watched, Act::Read, before.read_us))
            .or_else(|| self.times(watched, Act::Write, before.write_us))
            .or_else(|| self.lag(lag_ms?))
    }

    fn errors(&self, new: &Times) -> Option<String> {
        let (failed, calls) = (new.failed(), new.calls());
        let is_enough = calls >= CALLS_LEAST || (failed >= FAILED_LEAST && failed * 2 > calls);
        if !is_enough || failed * 1_000 <= u64::from(self.errors) * calls {
            return None;
        }
        let share = percent(u16::try_from(failed * 1_000 / calls).unwrap_or(u16::MAX));
        Some(format!(
            "{failed} of {calls} calls of the new store failed ({share}, the limit is {})",
            percent(self.errors)
        ))
    }

    /// Calls of one kind are compared with those of the same kind: first with those of the old store in the same half minute.
    fn times(&self, watched: &Watched, act: Act, before_us: Option<u64>) -> Option<String> {
        let new = watched.of(Lead::New, act);
        let took_us = p99(new)?;
        let (old_us, when) = match p99(watched.of(Lead::Old, act)) {
            Some(old_us) => (old_us, "at the same time"),
            None => (before_us?, "before the rollout"),
        };
        let limit_us = (old_us.saturating_mul(self.slower_percent.into()) / 100).max(FLOOR_US);
        if took_us <= limit_us || new.slower_than(limit_us) < SLOW_LEAST {
            return None;
        }
        let what = match act {
            Act::Read => "reads from",
            Act::Write => "writes to",
        };
        let ms = |us: u64| format!("{}.{} ms", us / 1_000, us % 1_000 / 100);
        Some(format!(
            "p99 of {what} the new store is {} (the limit is {}; of the old store it was {} {when})",
            ms(took_us),
            ms(limit_us),
            ms(old_us)
        ))
    }

    fn lag(&self, lag_ms: i64) -> Option<String> {
        (lag_ms > self.lag_ms).then(|| {
            format!("a copy is behind for {} s (the limit is {} s)", lag_ms / 1_000, self.lag_ms / 1_000)
        })
    }
}

#[cfg(test)]
mod tests {
    use repot_core::moving::Lead;

    use super::super::window::{Act, Watched};
    use super::{Before, Limits};

    fn watched(cells: &[(Lead, Act, u64, u64)]) -> Watched {
        let mut watched = Watched::default();
        for (lead, act, calls, us) in cells {
            for _ in 0..*calls {
                watched.note(*lead, *act, Some(*us));
            }
        }
        watched
    }

    fn crossed(watched: &Watched, before: Before) -> Option<String> {
        Limits::default().crossed(watched, before, None)
    }

    #[test]
    fn errors_trip_above_one_in_a_hundred_of_fifty_and_above_half_of_a_few() {
        for (answered, failed, trips) in [
            (49, 1, true),
            (48, 1, false),
            (99, 1, false),
            (98, 1, true),
            (198, 2, false),
            (197, 2, true),
            (0, 50, true),
            (0, 5, true),
            (0, 4, false),
            (4, 5, true),
            (5, 5, false),
        ] {
            let mut seen = watched(&[(Lead::New, Act::Read, answered, 1_000)]);
            for n in 0..failed {
                seen.note(Lead::New, if n == 0 { Act::Read } else { Act::Write }, None);
            }
            let found = crossed(&seen, Before::default());
            assert_eq!(found.is_some(), trips, "{answered} {failed}: {found:?}");
        }
        // those of the old store are no reason to go back to it
        let mut seen = watched(&[(Lead::Old, Act::Read, 50, 1_000)]);
        seen.note(Lead::Old, Act::Read, None);
        assert_eq!(crossed(&seen, Before::default()), None);
        let lenient = Limits { errors: 100, ..Limits::default() };
        let mut seen = watched(&[(Lead::New, Act::Read, 90, 1_000)]);
        (0..10).for_each(|_| seen.note(Lead::New, Act::Read, None));
        assert_eq!(lenient.crossed(&seen, Before::default(), None), None);
        let told = crossed(&seen, Before::default()).unwrap();
        assert_eq!(told, "10 of 100 calls of the new store failed (10 %, the limit is 1 %)");
    }

    #[test]
    fn times_trip_at_twice_those_of_the_same_kind_and_never_by_noise() {
        // 15 ms are told as 15,359 us, 30 as 30,719
        let old = (Lead::Old, Act::Read, 100, 15_000);
        let trips = |cells: &[(Lead, Act, u64, u64)]| crossed(&watched(cells), Before::default());
        assert_eq!(trips(&[old, (Lead::New, Act::Read, 100, 30_718)]), None);
        let told = trips(&[old, (Lead::New, Act::Read, 100, 33_000)]).unwrap();
        assert_eq!(
            told,
            "p99 of reads from the new store is 36.8 ms (the limit is 30.7 ms; of the old store it was 15.3 ms at the same time)"
        );
        // too few calls, on either side; calls of the other kind
        assert_eq!(trips(&[old, (Lead::New, Act::Read, 99, 90_000)]), None);
        assert_eq!(trips(&[(Lead::Old, Act::Read, 99, 15_000), (Lead::New, Act::Read, 100, 90_000)]), None);
        assert_eq!(trips(&[old, (Lead::New, Act::Write, 100, 90_000)]), None);
        // four slow ones of a hundred are noise, five are not
        let fast =
            |slow| [old, (Lead::New, Act::Read, 100 - slow, 1_000), (Lead::New, Act::Read, slow, 90_000)];
        assert_eq!(trips(&fast(4)), None);
        assert!(trips(&fast(5)).is_some());
        // below 20 ms nobody minds
        let quick = (Lead::Old, Act::Write, 100, 500);
        assert_eq!(trips(&[quick, (Lead::New, Act::Write, 100, 19_000)]), None);
        assert!(trips(&[quick, (Lead::New, Act::Write, 100, 21_000)]).unwrap().contains("writes to"));
    }

    #[test]
    fn without_calls_of_the_files_it_is_what_was_before() {
        let before = Before::of(&watched(&[(Lead::Old, Act::Read, 100, 15_000)]), Before::default());
        assert_eq!(before, Before { read_us: Some(15_359), write_us: None });
        let seen = |us| watched(&[(Lead::New, Act::Read, 100, us), (Lead::New, Act::Write, 100, 90_000)]);
        assert_eq!(crossed(&seen(30_718), before), None);
        assert!(crossed(&seen(33_000), before).unwrap().contains("15.3 ms before the rollout"));
        // too few calls change nothing
        assert_eq!(Before::of(&watched(&[(Lead::Old, Act::Read, 99, 1)]), before), before);
    }

    #[test]
    fn lag_trips_above_its_limit() {
        let crossed = |lag_ms| Limits::default().crossed(&Watched::default(), Before::default(), lag_ms);
        assert_eq!((crossed(None), crossed(Some(60_000))), (None, None));
        assert_eq!(crossed(Some(60_001)).unwrap(), "a copy is behind for 60 s (the limit is 60 s)");
    }
}
