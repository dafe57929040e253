//! The figures of one server, in a registry of its own, and their text for Prometheus.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use repot_core::{Error, Kind};

use super::cache_figures::CacheFigures;
use super::line::RequestLine;
use super::move_figures::MoveFigures;
use super::snapshot::Seen;

/// Bounds of the times that are told apart, seconds.
const BOUNDS_S: [f64; 14] =
    [0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
/// What takes longer is slow.
pub(crate) const SLOW: Duration = Duration::from_secs(1);

/// Makes histograms of times.
#[derive(Debug, Clone)]
struct Times;

impl MetricConstructor<Histogram> for Times {
    fn new_metric(&self) -> Histogram {
        Histogram::new(BOUNDS_S)
    }
}

type Name = &'static str;
type Labels<const N: usize> = [(Name, Cow<'static, str>); N];
type TimesBy<const N: usize> = Family<Labels<N>, Histogram, Times>;
type CountBy = Family<Labels<1>, Counter>;
type GaugeBy<const N: usize> = Family<Labels<N>, Gauge>;

/// Everything that is counted.
pub(crate) struct Figures {
    registry: Registry,
    requests: TimesBy<3>,
    pub(crate) in_flight: Gauge,
    slow_requests: CountBy,
    operations: TimesBy<2>,
    conflicts: CountBy,
    failures: CountBy,
    slow_operations: CountBy,
    reachable: GaugeBy<0>,
    pools: GaugeBy<2>,
    waiting: GaugeBy<1>,
    database_size: GaugeBy<0>,
    rows: GaugeBy<1>,
    long_transactions: GaugeBy<0>,
    disk_free: GaugeBy<0>,
    disk_size: GaugeBy<0>,
    memory: GaugeBy<0>,
    cache: CacheFigures,
    moving: MoveFigures,
    source_removable: GaugeBy<0>,
}

impl Figures {
    /// With what counts the traces that are lost, where requests are traced.
    pub(crate) fn new(lost_traces: Option<Counter>) -> Self {
        let times = || TimesBy::new_with_constructor(Times);
        let mut figures = Self {
            registry: Registry::default(),
            requests: times(),
            in_flight: Gauge::default(),
            slow_requests: CountBy::default(),
            operations: TimesBy::new_with_constructor(Times),
            conflicts: CountBy::default(),
            failures: CountBy::default(),
            slow_operations: CountBy::default(),
            reachable: GaugeBy::default(),
            pools: GaugeBy::default(),
            waiting: GaugeBy::default(),
            database_size: GaugeBy::default(),
            rows: GaugeBy::default(),
            long_transactions: GaugeBy::default(),
            disk_free: GaugeBy::default(),
            disk_size: GaugeBy::default(),
            memory: GaugeBy::default(),
            cache: CacheFigures::default(),
            moving: MoveFigures::default(),
            source_removable: GaugeBy::default(),
        };
        figures.register_counted();
        figures.register_seen();
        figures.cache.register(&mut figures.registry);
        figures.moving.register(&mut figures.registry);
        figures.registry.register(
            "repot_traces_lost",
            "Requests that the collector of traces was not told of",
            lost_traces.unwrap_or_default(),
        );
        figures
    }

    /// What is counted as it happens. The text adds `_total` to the names of counters.
    fn register_counted(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "repot_http_request_seconds",
            "Time from a request to the beginning of its answer",
            self.requests.clone(),
        );
        registry.register(
            "repot_http_requests_in_flight",
            "Requests whose answer has not ended",
            self.in_flight.clone(),
        );
        registry.register(
            "repot_http_slow_requests",
            "Requests that took more than a second",
            self.slow_requests.clone(),
        );
        registry.register(
            "repot_store_operation_seconds",
            "Time of a call of the store, with the wait for a connection",
            self.operations.clone(),
        );
        registry.register(
            "repot_store_conflicts",
            "Calls of the store that met another state than they wanted, by error code",
            self.conflicts.clone(),
        );
        registry.register(
            "repot_store_failures",
            "Calls of the store that failed: out of reach, too busy, or by a fault of ours",
            self.failures.clone(),
        );
        registry.register(
            "repot_store_slow_operations",
            "Calls of the store that took more than a second",
            self.slow_operations.clone(),
        );
    }

    /// What is looked up when it is asked for.
    fn register_seen(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "repot_store_reachable",
            "1: the store answered when it was last asked",
            self.reachable.clone(),
        );
        registry.register(
            "repot_pool_connections",
            "Connections to the database: most there may be, open, in use",
            self.pools.clone(),
        );
        registry.register("repot_pool_waiting", "Calls that wait for a connection", self.waiting.clone());
        registry.register("repot_database_size_bytes", "Size of the database", self.database_size.clone());
        registry.register(
            "repot_table_rows",
            "Rows of a table; of large ones as the database estimates them",
            self.rows.clone(),
        );
        registry.register(
            "repot_long_transactions",
            "Transactions older than a minute, whoever began them",
            self.long_transactions.clone(),
        );
        registry.register(
            "repot_disk_free_bytes",
            "Room on the disk of the store that is free",
            self.disk_free.clone(),
        );
        registry.register("repot_disk_size_bytes", "Size of the disk of the store", self.disk_size.clone());
        registry.register(
            "repot_source_removable",
            "1: the source of the move that was finished is no longer needed, and still there",
            self.source_removable.clone(),
        );
        registry.register(
            "repot_process_memory_bytes",
            "Resident memory of the process",
            self.memory.clone(),
        );
    }

    /// Of the cache.
    pub(crate) const fn cache(&self) -> &CacheFigures {
        &self.cache
    }

    /// A request was answered.
    pub(crate) fn answered(&self, line: &RequestLine, took: Duration) {
        let route = || line.route.clone();
        let labels =
            [("route", route()), ("method", line.method.into()), ("status", class(line.status).into())];
        self.requests.get_or_create(&labels).observe(took.as_secs_f64());
        if line.is_slow {
            self.slow_requests.get_or_create(&[("route", route())]).inc();
        }
    }

    /// A call of the store ended.
    pub(crate) fn operated(&self, operation: Name, error: Option<&Error>, took: Duration) {
        let outcome = error.map_or("ok", outcome);
        let labels = [("operation", operation.into()), ("outcome", outcome.into())];
        self.operations.get_or_create(&labels).observe(took.as_secs_f64());
        if took > SLOW {
            self.slow_operations.get_or_create(&[("operation", operation.into())]).inc();
        }
        match (outcome, error) {
            ("conflict", Some(error)) => {
                self.conflicts.get_or_create(&[("code", error.code().into())]).inc();
            }
            ("failed", _) => {
                self.failures.get_or_create(&[("operation", operation.into())]).inc();
            }
            _ => {}
        }
    }

    /// All of it as text, with what is seen now.
    ///
    /// # Errors
    /// When the text cannot be written.
    pub(crate) fn text(&self, seen: &Seen) -> Result<String, fmt::Error> {
        for (name, pool) in &seen.pools {
            for (state, count) in [("most", pool.most), ("open", pool.open), ("in_use", pool.in_use)] {
                let labels = [("pool", (*name).into()), ("state", state.into())];
                self.pools.get_or_create(&labels).set(signed(count as u64));
            }
            self.waiting.get_or_create(&[("pool", (*name).into())]).set(signed(pool.waiting as u64));
        }
        let set = |gauge: &GaugeBy<0>, value: Option<u64>| {
            // what is not known is left out, rather than said to be 0
            gauge.clear();
            if let Some(value) = value {
                gauge.get_or_create(&[]).set(signed(value));
            }
        };
        set(&self.reachable, seen.is_reachable.map(u64::from));
        let database = seen.database.as_ref();
        set(&self.database_size, database.and_then(|database| database.size_bytes));
        let long = database.and_then(|database| database.long_transactions);
        set(&self.long_transactions, long.map(|(count, _)| count));
        set(&self.disk_free, seen.room.map(|room| room.free_bytes));
        set(&self.disk_size, seen.room.map(|room| room.all_bytes));
        set(&self.memory, seen.memory_bytes);
        set(&self.source_removable, seen.removable.map(u64::from));
        self.cache.set(seen.cache);
        self.moving.set(seen.moving.as_ref());
        self.rows.clear();
        for (table, rows) in database.into_iter().flat_map(|database| &database.rows) {
            self.rows.get_or_create(&[("table", table.clone().into())]).set(signed(*rows));
        }
        let mut text = String::with_capacity(16 << 10);
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl fmt::Debug for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Figures")
    }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

const fn class(status: u16) -> Name {
    match status / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    }
}

/// How an error of the store is counted: what the caller met, what the caller did wrong, or a failure.
/// Whether it went wrong, and whose business that is.
pub(crate) const fn outcome(error: &Error) -> Name {
    match error.kind() {
        Kind::Conflict | Kind::Fenced => "conflict",
        Kind::Invalid | Kind::Unsupported | Kind::Refused | Kind::Denied | Kind::NotFound => "refused",
        _ => "failed",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;
    use std::sync::Arc;
    use std::time::Duration;

    use repot_core::store::{Figures as Database, PoolUsage};
    use repot_core::{CacheUsage, Error, Kind};
    use repot_engine::moving::{Compared, Control, MoveSeen};
    use serde_json::Value;

    use super::Figures;
    use crate::operate::line::RequestLine;
    use crate::operate::snapshot::{Room, Seen};

    /// Every figure there is, as Prometheus names them.
    fn names() -> BTreeSet<String> {
        let figures = Figures::new(None);
        let line = RequestLine {
            at_ms: 0,
            id: String::new(),
            method: "GET",
            route: "/healthz".into(),
            status: 200,
            ms: 2_000.0,
            bytes: 0,
            is_slow: true,
            code: None,
            failure: None,
        };
        let slow = Duration::from_secs(2);
        figures.answered(&line, slow);
        for kind in [Kind::Conflict, Kind::Unavailable] {
            figures.operated("apply", Some(&Error::new(kind, "R0401", "")), slow);
        }
        let seen = Seen {
            is_reachable: Some(true),
            database: Some(Database {
                is_of_this_model: true,
                size_bytes: Some(1),
                rows: vec![("notes".to_owned(), 1)],
                long_transactions: Some((1, 70)),
            }),
            pools: vec![("reading", PoolUsage::default())],
            room: Some(Room { free_bytes: 1, all_bytes: 2 }),
            memory_bytes: Some(1),
            cache: Some(CacheUsage { entries: 1, bytes: 1, bytes_max: 1 }),
            moving: Some(MoveSeen {
                control: Arc::new(Control::begin(0, "a test")),
                compared: Compared::default(),
                behind: 0,
                lag_ms: None,
                wants_back: None,
            }),
            removable: Some(true),
        };
        let text = figures.text(&seen).unwrap();
        let mut names = BTreeSet::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            names.insert(line.split(['{', ' ']).next().unwrap().to_owned());
        }
        names
    }

    /// Of a histogram, its name without an end.
    fn base(name: &str) -> &str {
        ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name)
    }

    fn named(text: &str) -> BTreeSet<String> {
        let is_word = |character: char| character.is_ascii_lowercase() || character == '_';
        let words = text.split(|character: char| !is_word(character));
        let words = words.filter(|word| word.starts_with("repot_") && !word.ends_with('_'));
        words.map(str::to_owned).collect()
    }

    fn read(path: &str) -> String {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        std::fs::read_to_string(root.join(path)).unwrap()
    }

    /// What the page lists there is, and what there is it lists.
    #[test]
    fn the_page_lists_every_figure() {
        let there: BTreeSet<String> = names().iter().map(|name| base(name).to_owned()).collect();
        assert_eq!(named(&read("docs/operate.md")), there);
    }

    #[test]
    fn rules_and_dashboard_name_figures_that_exist() {
        let names = names();
        assert!(names.contains("repot_http_request_seconds_bucket"), "{names:?}");
        let rules = read("ops/alerts.yml");
        let dashboard = read("ops/grafana.json");
        for (file, text) in [("alerts.yml", &rules), ("grafana.json", &dashboard)] {
            let wanted = named(text);
            assert!(wanted.len() > 5, "{file}: {wanted:?}");
            let missing: Vec<&String> = wanted.difference(&names).collect();
            assert!(missing.is_empty(), "{file}: {missing:?}");
        }
    }

    fn is_balanced(text: &str) -> bool {
        let count = |one: char| text.matches(one).count();
        [('(', ')'), ('{', '}'), ('[', ']')].iter().all(|(open, close)| count(*open) == count(*close))
            && count('"').is_multiple_of(2)
    }

    #[test]
    fn the_dashboard_is_json_with_a_question_in_each_panel() {
        let dashboard: Value = serde_json::from_str(&read("ops/grafana.json")).unwrap();
        let panels = dashboard["panels"].as_array().unwrap();
        let (rows, others): (Vec<_>, Vec<_>) = panels.iter().partition(|panel| panel["type"] == "row");
        assert!(rows.len() >= 3 && others.len() >= 9);
        for panel in others {
            let targets = panel["targets"].as_array().unwrap();
            assert!(!targets.is_empty(), "{panel}");
            for target in targets {
                let question = target["expr"].as_str().unwrap();
                assert!(is_balanced(question) && !named(question).is_empty(), "{question}");
            }
        }
        let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
        assert_eq!(ids.len(), panels.len());
    }

    /// Seven rules, each with all that Prometheus wants of one.
    #[test]
    fn the_rules_are_whole() {
        let text = read("ops/alerts.yml");
        assert!(!text.contains('\t') && text.contains("\ngroups:\n  - name: repot\n    rules:\n"));
        let rules: Vec<&str> = text.split("      - alert: ").skip(1).collect();
        let names: Vec<&str> = rules.iter().filter_map(|rule| rule.lines().next()).collect();
        let expected = [
            "RepotUnreachable",
            "RepotDiskFull",
            "RepotSlower",
            "RepotPoolExhausted",
            "RepotTransactionsFail",
            "RepotRolloutStopped",
            "RepotCopiesBehind",
        ];
        assert_eq!(names, expected);
        for rule in rules {
            let keys: Vec<&str> = rule
                .lines()
                .skip(1)
                .filter_map(|line| line.strip_prefix("        ").filter(|line| !line.starts_with(' ')))
                .filter_map(|line| line.split_once(':').map(|(key, _)| key))
                .collect();
            assert_eq!(keys, ["expr", "for", "labels", "annotations"], "{rule}");
            let question = rule.split("\n        for:").next().unwrap();
            assert!(is_balanced(question) && !named(question).is_empty(), "{question}");
            assert!(rule.contains("severity: ") && rule.contains("summary: \""), "{rule}");
        }
    }
}
