//! The report of `live`.

use std::io::Write;

use anyhow::Result;
use serde_json::{Value, json};

use super::paced::Paced;
use super::project::Origin;
use crate::args::LiveArguments;
use crate::machine::Machine;
use crate::report::float;
use crate::store::Place;
use crate::store::work::Measured;

/// What following may add to the slowest twentieth of calls.
const FOLLOWING_MOST: f64 = 1.10;
/// What comparing may add.
const COMPARING_MOST: f64 = 1.05;
/// The slowest hundredth of writes during changes of the lead, milliseconds.
const PAUSE_MOST_MS: f64 = 250.0;

/// What was measured in one place.
#[derive(Debug)]
pub(crate) struct Section {
    route: (Origin, Place),
    /// A server over the old store alone.
    pub(crate) alone: Paced,
    /// A server whose old store is followed, in the same rounds.
    pub(crate) following: Paced,
    pub(crate) not_comparing: Paced,
    /// A tenth of the reads is compared, in the same rounds.
    pub(crate) comparing: Paced,
    /// While the lead changes all the time.
    pub(crate) changing: Paced,
    /// Seconds of each change, as the command took.
    pub(crate) changes: Vec<f64>,
    /// By writes/s: those that were reached, and seconds until each watched one was in the database.
    pub(crate) lags: Vec<(f64, f64, Vec<f64>)>,
    /// Documents written while nobody followed, and seconds to catch up.
    pub(crate) catch_up: (usize, f64),
}

impl Section {
    pub(crate) fn new(route: (Origin, Place)) -> Self {
        Self {
            route,
            alone: Paced::default(),
            following: Paced::default(),
            not_comparing: Paced::default(),
            comparing: Paced::default(),
            changing: Paced::default(),
            changes: Vec::new(),
            lags: Vec::new(),
            catch_up: (0, 0.0),
        }
    }

    /// The lines of the table of calls: what it is, the calls, and what they are compared with.
    fn lines(&self) -> [(&'static str, &Paced, Option<&Paced>); 5] {
        [
            ("the old store alone", &self.alone, None),
            ("following", &self.following, Some(&self.alone)),
            ("following, again", &self.not_comparing, None),
            ("comparing 10 % of the reads", &self.comparing, Some(&self.not_comparing)),
            ("the lead changes all the time", &self.changing, Some(&self.not_comparing)),
        ]
    }
}

fn spread(seconds: &[f64]) -> Measured {
    Measured { micros: seconds.iter().map(|one| one * 1e6).collect(), seconds: 0.0 }
}

/// For people.
pub(crate) fn tables(
    machine: &Machine,
    arguments: &LiveArguments,
    sections: &[Section],
    out: &mut impl Write,
) -> Result<()> {
    for (name, value) in &machine.facts {
        writeln!(out, "- {name}: {value}")?;
    }
    writeln!(
        out,
        "- {} conversations; {} reads and as many appends a second over HTTP, timed from when each was due",
        arguments.size, arguments.calls
    )?;
    writeln!(out, "- {} s of each, in {} rounds that take turns", arguments.seconds, arguments.rounds)?;
    for section in sections {
        let (from, to) = section.route;
        writeln!(out, "\n### From {from} to {to}\n")?;
        writeln!(
            out,
            "| the app's calls | read p50 ms | p95 | p99 | append p50 ms | p95 | p99 | failed | p95 x read | p95 x append |"
        )?;
        writeln!(out, "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")?;
        for (name, calls, base) in section.lines() {
            write!(out, "| {name} ")?;
            for measured in [&calls.reads, &calls.appends] {
                for percent in [50, 95, 99] {
                    write!(out, "| {:.1} ", measured.percentile(percent) / 1e3)?;
                }
            }
            write!(out, "| {} ", calls.failed)?;
            let ratio = |now: &Measured, base: &Measured| now.percentile(95) / base.percentile(95);
            match base {
                Some(base) => writeln!(
                    out,
                    "| {:.2} | {:.2} |",
                    ratio(&calls.reads, &base.reads),
                    ratio(&calls.appends, &base.appends)
                )?,
                None => writeln!(out, "| - | - |")?,
            }
        }
        let took = spread(&section.changes);
        writeln!(
            out,
            "\n{} changes of the lead of everything took {:.0} ms (p50) to {:.0} ms (p100) each, the command's start and end included.",
            section.changes.len(),
            took.percentile(50) / 1e3,
            took.percentile(100) / 1e3
        )?;
        writeln!(out, "\n| writes/s past Repot | reached | watched | behind p50 ms | p95 ms | p100 ms |")?;
        writeln!(out, "| ---: | ---: | ---: | ---: | ---: | ---: |")?;
        for (rate, written, lags) in &section.lags {
            let spread = spread(lags);
            writeln!(
                out,
                "| {rate} | {written:.0} | {} | {:.0} | {:.0} | {:.0} |",
                lags.len(),
                spread.percentile(50) / 1e3,
                spread.percentile(95) / 1e3,
                spread.percentile(100) / 1e3
            )?;
        }
        let (documents, seconds) = section.catch_up;
        writeln!(
            out,
            "\n{documents} documents that were written while nobody followed were in the database {seconds:.1} s after the follower's start: {:.0} a second.",
            float(documents as u64) / seconds
        )?;
    }
    writeln!(
        out,
        "\nTo be reached: following at most {FOLLOWING_MOST} x at p95, comparing at most {COMPARING_MOST} x, appends while the lead changes below {PAUSE_MOST_MS} ms at p99."
    )?;
    Ok(())
}

/// For programs.
pub(crate) fn json(
    machine: &Machine,
    arguments: &LiveArguments,
    sections: &[Section],
    out: &mut impl Write,
) -> Result<()> {
    let calls = |measured: &Measured| {
        json!({"calls": measured.micros.len(), "p50_us": measured.percentile(50), "p95_us": measured.percentile(95),
            "p99_us": measured.percentile(99), "max_us": measured.percentile(100)})
    };
    let told: Vec<Value> = sections
        .iter()
        .map(|section| {
            let lines: Vec<Value> = section
                .lines()
                .into_iter()
                .map(|(name, paced, _)| {
                    json!({"what": name, "reads": calls(&paced.reads), "appends": calls(&paced.appends), "failed": paced.failed})
                })
                .collect();
            let lags: Vec<Value> = section
                .lags
                .iter()
                .map(|(rate, written, lags)| json!({"rate": rate, "written": written, "behind": calls(&spread(lags))}))
                .collect();
            json!({"from": section.route.0.to_string(), "place": section.route.1.to_string(), "calls": lines, "changes_s": section.changes, "lags": lags,
                "catch_up": {"documents": section.catch_up.0, "seconds": section.catch_up.1}})
        })
        .collect();
    let report = json!({"machine": machine.facts, "size": arguments.size, "calls": arguments.calls,
        "seconds": arguments.seconds, "rounds": arguments.rounds, "sections": told});
    Ok(writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?)
}
