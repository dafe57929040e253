//! Rate limits, shared by all processes on a database: a bucket of tokens for each `[repot.limits]` of the model, which fills
//! evenly and is full at the beginning.

use std::collections::BTreeMap;
use std::sync::Arc;

use repot_core::store::{FactStep, FactValue, Ledger, LedgerExt as _, Store, no_ledger};
use repot_core::{Clock, Error, Kind, Result, Retry};
use repot_model::language::{Model, Rate};
use tokio::sync::Mutex;

use crate::packed::{Packer, Unpacker};

/// Kind of the facts; their name is the limit's.
pub(crate) const KIND: &str = "rate_limit";
/// How their values are written.
const FORM: u8 = 1;

/// What became of tokens that were asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// They were taken.
    Granted {
        /// Whole tokens that are left.
        left: u64,
    },
    /// None was taken: there are not enough.
    Later {
        /// Whole tokens that are there.
        left: u64,
        /// There will be enough after so many milliseconds, if nobody takes any.
        after_ms: u64,
    },
}

impl Taken {
    /// What is left.
    ///
    /// # Errors
    /// [`Kind::Unavailable`], code `R0504`, where there were not enough.
    pub fn granted(self, limit: &str) -> Result<u64> {
        match self {
            Self::Granted { left } => Ok(left),
            Self::Later { left, after_ms } => {
                Err(Error::new(Kind::Unavailable, "R0504", format!("the rate limit {limit} is reached"))
                    .retry(Retry::Safe)
                    .detail(format!("left: {left}"))
                    .detail(format!("enough after: {after_ms} ms"))
                    .hint("Wait and ask again."))
            }
        }
    }
}

/// How full a bucket was at a time. A token is as many drops as its period has milliseconds; so many drops as the limit has
/// tokens come each millisecond. So everything is counted in whole numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bucket {
    drops: u128,
    at_ms: i64,
}

/// A limit in drops.
#[derive(Debug, Clone, Copy)]
struct Flow {
    per_ms: u128,
    token: u128,
    full: u128,
}

impl Flow {
    fn of(rate: Rate) -> Self {
        // bounded so that no product is too large
        let token = rate.per_seconds.max(1).saturating_mul(1_000).min(1 << 63);
        let (per_ms, token) = (u128::from(rate.count), u128::from(token));
        Self { per_ms, token, full: per_ms * token }
    }
}

impl Bucket {
    /// A full one.
    const fn full(flow: Flow, now_ms: i64) -> Self {
        Self { drops: flow.full, at_ms: now_ms }
    }

    /// At this time. A clock that was set back brings no drops, neither now nor when it has caught up.
    fn filled(self, flow: Flow, now_ms: i64) -> Self {
        let Ok(passed) = u128::try_from(now_ms.saturating_sub(self.at_ms)) else { return self };
        let drops = self.drops.saturating_add(passed.saturating_mul(flow.per_ms)).min(flow.full);
        Self { drops, at_ms: now_ms }
    }

    /// Takes so many tokens, where they are there; what is left, and what became of them.
    fn take(self, flow: Flow, tokens: u64, now_ms: i64) -> (Self, Taken) {
        let filled = self.filled(flow, now_ms);
        let wanted = u128::from(tokens) * flow.token;
        let whole = |drops: u128| u64::try_from(drops / flow.token).unwrap_or(u64::MAX);
        if let Some(drops) = filled.drops.checked_sub(wanted) {
            return (Self { drops, ..filled }, Taken::Granted { left: whole(drops) });
        }
        // `filled.at_ms` is ahead of a clock that was set back
        let ahead = u128::try_from(filled.at_ms.saturating_sub(now_ms)).unwrap_or(0);
        let after = (wanted - filled.drops).div_ceil(flow.per_ms.max(1)) + ahead;
        let after_ms = u64::try_from(after).unwrap_or(u64::MAX);
        (filled, Taken::Later { left: whole(filled.drops), after_ms })
    }

    fn pack(self) -> Vec<u8> {
        Packer::new(FORM).number(self.at_ms).bytes(&self.drops.to_le_bytes()).finish()
    }

    fn unpack(value: &[u8]) -> Result<Self> {
        let mut packed = Unpacker::new("a rate limit", FORM, value)?;
        let at_ms = packed.number()?;
        let drops = packed.bytes()?.try_into().map(u128::from_le_bytes);
        Ok(Self { drops: drops.map_err(|_length| crate::packed::damaged("a rate limit"))?, at_ms })
    }
}

/// The rate limits of a model, over the facts of a store.
#[derive(Debug)]
pub struct RateLimits {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    /// Those of one process take turns before they ask the database: a limit that many want holds one connection.
    limits: BTreeMap<String, (Rate, Mutex<()>)>,
}

impl RateLimits {
    /// The limits of `model`, counted in `store`; `clock` is to be the store's.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, model: &Model) -> Self {
        let limits = model.settings.limits.iter();
        let limits = limits.map(|(name, rate)| (name.clone(), (rate.value, Mutex::default()))).collect();
        Self { store, clock, limits }
    }

    /// The limits by name.
    pub fn limits(&self) -> impl Iterator<Item = (&str, Rate)> {
        self.limits.iter().map(|(name, (rate, _))| (name.as_str(), *rate))
    }

    /// Takes all of `tokens` or none; 0 takes none and says how many are left.
    ///
    /// # Errors
    /// [`Kind::NotFound`], code `R0505`, when the model has no such limit; [`Kind::Refused`], code `R0504`, for more than the
    /// limit ever has; `R0405` when the store keeps no facts; when it is out of reach: [`Retry::Unknown`] where they may have
    /// been taken.
    pub async fn take(&self, name: &str, tokens: u64) -> Result<Taken> {
        let (rate, turn) = self.limits.get(name).ok_or_else(|| {
            Error::new(Kind::NotFound, "R0505", format!("there is no rate limit {name}"))
                .hint("[repot.limits] of the model lists them.")
        })?;
        if tokens > rate.count {
            let message = format!("{tokens} at once are more than the rate limit {name} has: {}", rate.count);
            return Err(Error::new(Kind::Refused, "R0504", message).hint("Ask for fewer at once."));
        }
        let (flow, clock) = (Flow::of(*rate), Arc::clone(&self.clock));
        let ledger: &dyn Ledger = self.store.ledger().ok_or_else(|| no_ledger(&self.store))?;
        let _turn = turn.lock().await;
        ledger
            .decide(KIND, name, move |fact| {
                let now_ms = clock.now_ms();
                let found = fact.map(|fact| Bucket::unpack(&fact.value)).transpose()?;
                // of another limit than before there may be less now
                let found = found.map(|found| Bucket { drops: found.drops.min(flow.full), ..found });
                let bucket = found.unwrap_or(Bucket::full(flow, now_ms));
                let (left, taken) = bucket.take(flow, tokens, now_ms);
                let changes = tokens > 0 && matches!(taken, Taken::Granted { .. });
                let step =
                    if changes { FactStep::Put(FactValue::lasting(left.pack())) } else { FactStep::Keep };
                Ok((step, taken))
            })
            .await
    }
}

#[cfg(test)]
mod tests {
    use repot_model::language::Rate;

    use super::{Bucket, Flow, Taken};

    fn flow(count: u64, per_seconds: u64) -> Flow {
        Flow::of(Rate { count, per_seconds })
    }

    #[test]
    fn tokens_come_back_evenly_and_no_more_than_there_were() {
        let flow = flow(3, 1);
        let (bucket, taken) = Bucket::full(flow, 0).take(flow, 3, 0);
        assert_eq!(taken, Taken::Granted { left: 0 });
        // a third of a second each: nothing is lost to rounding
        for (now_ms, expected) in [
            (0, Taken::Later { left: 0, after_ms: 334 }),
            (333, Taken::Later { left: 0, after_ms: 1 }),
            (334, Taken::Granted { left: 0 }),
        ] {
            assert_eq!(bucket.take(flow, 1, now_ms).1, expected, "{now_ms}");
        }
        let (mut bucket, mut granted) = (bucket, 0);
        for now_ms in 0..=10_000 {
            let taken;
            (bucket, taken) = bucket.take(flow, 1, now_ms);
            granted += u32::from(matches!(taken, Taken::Granted { .. }));
        }
        assert_eq!(granted, 30);
        assert_eq!(bucket.filled(flow, i64::MAX), Bucket::full(flow, i64::MAX));
    }

    #[test]
    fn a_clock_that_is_set_back_gives_nothing() {
        let flow = flow(10, 10);
        let (bucket, _) = Bucket::full(flow, 100_000).take(flow, 10, 100_000);
        let (after, taken) = bucket.take(flow, 1, 40_000);
        assert_eq!((after, taken), (bucket, Taken::Later { left: 0, after_ms: 61_000 }));
        // not again, once it has caught up
        assert_eq!(after.take(flow, 1, 100_500).1, Taken::Later { left: 0, after_ms: 500 });
        assert_eq!(after.take(flow, 1, 101_000).1, Taken::Granted { left: 0 });
    }

    #[test]
    fn the_largest_limits_are_counted_too() {
        let flow = flow(u64::MAX, u64::MAX);
        let bucket = Bucket::full(flow, i64::MIN);
        let (bucket, taken) = bucket.take(flow, u64::MAX, i64::MAX);
        assert_eq!((bucket.drops, taken), (0, Taken::Granted { left: 0 }));
        assert_eq!(Bucket::unpack(&bucket.pack()).unwrap(), bucket);
        let none = Flow::of(Rate { count: 0, per_seconds: 0 });
        assert!(matches!(Bucket::full(none, 0).take(none, 1, 0).1, Taken::Later { .. }));
    }
}
