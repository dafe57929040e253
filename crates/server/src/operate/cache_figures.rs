//! Figures of the cache.

use std::borrow::Cow;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use repot_core::CacheUsage;

/// What became of a request to the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CacheOutcome {
    /// The value was there.
    Hit,
    /// It was not.
    Missed,
    /// It is there now.
    Kept,
    /// It is there no more.
    Deleted,
    /// A namespace is empty.
    Purged,
    /// The cache was out of reach.
    Failed,
}

impl CacheOutcome {
    const ALL: [Self; 6] = [Self::Hit, Self::Missed, Self::Kept, Self::Deleted, Self::Purged, Self::Failed];

    const fn word(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Missed => "miss",
            Self::Kept => "kept",
            Self::Deleted => "deleted",
            Self::Purged => "purged",
            Self::Failed => "failed",
        }
    }
}

type Labels = [(&'static str, Cow<'static, str>); 1];

/// What is counted of the cache.
#[derive(Debug, Default)]
pub(crate) struct CacheFigures {
    requests: Family<Labels, Counter>,
    entries: Family<[(&'static str, &'static str); 0], Gauge>,
    size: Family<[(&'static str, &'static str); 0], Gauge>,
    most: Family<[(&'static str, &'static str); 0], Gauge>,
}

impl CacheFigures {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "repot_cache_requests",
            "Requests to the cache: hit, miss, kept, deleted, purged, failed",
            self.requests.clone(),
        );
        let gauges = [
            ("repot_cache_entries", "Values in the memory of this process", &self.entries),
            ("repot_cache_size_bytes", "Bytes of names and values in the memory of this process", &self.size),
            ("repot_cache_size_max_bytes", "Bytes that they may take at the most", &self.most),
        ];
        for (name, about, gauge) in gauges {
            registry.register(name, about, gauge.clone());
        }
        // a rate begins at 0, not with the first of its kind
        for outcome in CacheOutcome::ALL {
            self.count_by(outcome, 0);
        }
    }

    pub(crate) fn count(&self, outcome: CacheOutcome) {
        self.count_by(outcome, 1);
    }

    fn count_by(&self, outcome: CacheOutcome, by: u64) {
        self.requests.get_or_create(&[("outcome", outcome.word().into())]).inc_by(by);
    }

    /// How full it is, where it is in this process.
    pub(super) fn set(&self, usage: Option<CacheUsage>) {
        let values = usage.map(|usage| (usage.entries, usage.bytes, usage.bytes_max));
        let set = |gauge: &Family<_, Gauge>, value: Option<u64>| {
            gauge.clear();
            if let Some(value) = value {
                gauge.get_or_create(&[]).set(i64::try_from(value).unwrap_or(i64::MAX));
            }
        };
        set(&self.entries, values.map(|(entries, ..)| entries));
        set(&self.size, values.map(|(_, size, _)| size));
        set(&self.most, values.map(|(_, _, most)| most));
    }
}
