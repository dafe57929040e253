//! What the figures of a running server say (`/metrics`).

use std::collections::BTreeMap;

use super::rules::{Figure, Measured, Reading, Readings};

/// Fewer writes say nothing about a rate.
const WRITES_LEAST: u64 = 100;
const OPERATION: &str = "repot_store_operation_seconds";

/// Figures of a server since its start.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metrics {
    /// Units of work.
    pub writes: u64,
    /// Of these, that met another state than they expected.
    pub conflicts: u64,
    /// 95 % of the reads took at most this, in seconds, as it is written there; `None`: there were none, or more took
    /// longer than what is told apart.
    pub read_p95_s: Option<String>,
    /// The same of writes.
    pub write_p95_s: Option<String>,
    /// Calls that wait for a connection at this moment.
    pub waiting: u64,
}

impl Metrics {
    /// Reads the text; `None`: it has none of these figures.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        let samples: Vec<Sample<'_>> = text.lines().filter_map(Sample::of).collect();
        let is_ours = text.contains(OPERATION);
        let applied = |sample: &&Sample<'_>| {
            sample.name == format!("{OPERATION}_count") && sample.label("operation") == Some("apply")
        };
        let writes = || samples.iter().filter(applied);
        let sum = |samples: &mut dyn Iterator<Item = &Sample<'_>>| samples.map(|sample| sample.value).sum();
        is_ours.then(|| Self {
            writes: sum(&mut writes()),
            conflicts: sum(&mut writes().filter(|sample| sample.label("outcome") == Some("conflict"))),
            read_p95_s: p95(&samples, &|operation| operation != "apply"),
            write_p95_s: p95(&samples, &|operation| operation == "apply"),
            waiting: sum(&mut samples.iter().filter(|sample| sample.name == "repot_pool_waiting")),
        })
    }

    /// The figures that rules are about; `from`: the server.
    #[must_use]
    pub fn readings(&self, from: &str) -> Readings {
        let Self { writes, conflicts, .. } = self;
        let rate = if *writes < WRITES_LEAST {
            Reading::Unknown(format!(
                "{from} counts {writes} writes since its start, and {WRITES_LEAST} are the least for a rate"
            ))
        } else {
            // rounded up, so that what is above a threshold stays above it
            let value = conflicts.saturating_mul(1_000_000).div_ceil(*writes);
            let of = format!("{conflicts} of {writes} writes");
            Reading::Measured(Measured { value, of, from: format!("{from}/metrics") })
        };
        Readings::from([(Figure::ConflictRate, rate)])
    }
}

/// A line.
struct Sample<'t> {
    name: &'t str,
    labels: &'t str,
    value: u64,
}

impl<'t> Sample<'t> {
    fn of(line: &'t str) -> Option<Self> {
        let (series, value) = line.rsplit_once(' ')?;
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        Some(Self { name, labels, value: value.parse().ok()? })
    }

    /// Values of ours have neither quotes nor commas.
    fn label(&self, wanted: &str) -> Option<&'t str> {
        let labels = self.labels.trim_end_matches('}').split(',');
        let pair = labels.filter_map(|label| label.split_once('=')).find(|(name, _)| *name == wanted)?;
        Some(pair.1.trim_matches('"'))
    }
}

/// The bound below which 95 % of the calls are.
fn p95(samples: &[Sample<'_>], is_wanted: &dyn Fn(&str) -> bool) -> Option<String> {
    let name = format!("{OPERATION}_bucket");
    let mut bounds: BTreeMap<u64, (&str, u64)> = BTreeMap::new();
    let mut all = 0;
    for sample in samples.iter().filter(|sample| sample.name == name) {
        let (Some(operation), Some(bound)) = (sample.label("operation"), sample.label("le")) else {
            continue;
        };
        if !is_wanted(operation) {
            continue;
        }
        if bound == "+Inf" {
            all += sample.value;
        } else if let Ok(seconds) = bound.parse::<f64>() {
            // positive floats are in the order of their bits
            bounds.entry(seconds.to_bits()).or_insert((bound, 0)).1 += sample.value;
        }
    }
    let enough = |count: u64| all > 0 && count.saturating_mul(100) >= all.saturating_mul(95);
    bounds.into_values().find(|(_, count)| enough(*count)).map(|(bound, _)| bound.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::rules::{Figure, Reading};
    use super::Metrics;

    fn text(conflicts: u64, writes: u64) -> String {
        format!(
            "# TYPE repot_store_operation_seconds histogram\n\
             repot_store_operation_seconds_count{{operation=\"apply\",outcome=\"ok\"}} {}\n\
             repot_store_operation_seconds_count{{operation=\"apply\",outcome=\"conflict\"}} {conflicts}\n\
             repot_store_operation_seconds_count{{operation=\"get\",outcome=\"ok\"}} 100\n\
             repot_store_operation_seconds_bucket{{le=\"0.001\",operation=\"get\",outcome=\"ok\"}} 94\n\
             repot_store_operation_seconds_bucket{{le=\"0.0025\",operation=\"get\",outcome=\"ok\"}} 95\n\
             repot_store_operation_seconds_bucket{{le=\"+Inf\",operation=\"get\",outcome=\"ok\"}} 100\n\
             repot_store_operation_seconds_bucket{{le=\"0.01\",operation=\"apply\",outcome=\"ok\"}} 0\n\
             repot_store_operation_seconds_bucket{{le=\"+Inf\",operation=\"apply\",outcome=\"ok\"}} 9\n\
             repot_pool_waiting{{pool=\"reading\"}} 2\nrepot_pool_waiting{{pool=\"writing\"}} 3\n# EOF\n",
            writes - conflicts
        )
    }

    #[test]
    fn a_server_says_how_often_writes_conflict() {
        let found = Metrics::of(&text(3, 200)).unwrap();
        assert_eq!((found.writes, found.conflicts, found.waiting), (200, 3, 5));
        assert_eq!(found.read_p95_s.as_deref(), Some("0.0025"));
        assert_eq!(found.write_p95_s, None, "all of them took longer than any bound");
        assert_eq!(Metrics::of("<html>"), None);
    }

    #[test]
    fn a_rate_needs_writes_and_stays_on_its_side_of_a_threshold() {
        let rate = |conflicts, writes| {
            let found = Metrics::of(&text(conflicts, writes)).unwrap().readings("here");
            match found[&Figure::ConflictRate].clone() {
                Reading::Measured(measured) => Some(measured.value),
                Reading::Unknown(_) => None,
            }
        };
        assert_eq!((rate(50, 99), rate(1, 100), rate(0, 100)), (None, Some(10_000), Some(0)));
        assert_eq!(rate(1_000_001, 100_000_000), Some(10_001));
    }
}
