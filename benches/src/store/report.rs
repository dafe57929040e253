//! The report of `store`: a table for each size and place, and what was to be reached.

use std::io::Write;

use anyhow::Result;
use serde_json::{Value, json};

use super::place::Place;
use super::work::{Measured, Work};
use crate::args::StoreArguments;
use crate::corpus::Corpus;
use crate::machine::Machine;
use crate::report::{float, grouped, whole};

/// At most so many times as long as by hand.
const SQLITE_MOST: f64 = 1.3;
const POSTGRES_MOST: f64 = 1.15;
/// Getting among the most documents, against getting among the fewest.
const GROWTH_MOST: f64 = 1.5;

/// What was measured of one size in one place.
#[derive(Debug)]
pub(crate) struct Section {
    place: Place,
    size: usize,
    bytes: u64,
    lines: Vec<(Work, usize, &'static str, Measured)>,
}

impl Section {
    pub(crate) const fn new(place: Place, corpus: &Corpus) -> Self {
        Self { place, size: corpus.size, bytes: corpus.bytes, lines: Vec::new() }
    }

    /// Adds a round.
    pub(crate) fn add(&mut self, work: Work, clients: usize, way: &'static str, measured: Measured) {
        let same =
            |line: &&mut (Work, usize, &str, Measured)| (line.0, line.1, line.2) == (work, clients, way);
        match self.lines.iter_mut().find(same) {
            Some(line) => line.3.add(measured),
            None => self.lines.push((work, clients, way, measured)),
        }
    }

    fn median(&self, work: Work, clients: usize, way: &str) -> Option<f64> {
        let line = self.lines.iter().find(|line| (line.0, line.1, line.2) == (work, clients, way));
        line.map(|line| line.3.percentile(50))
    }

    /// The median against that by hand.
    fn times(&self, work: Work, clients: usize, way: &str) -> Option<f64> {
        let by_hand = self.median(work, clients, "by hand")?;
        self.median(work, clients, way).filter(|_| way != "by hand").map(|own| own / by_hand)
    }
}

/// For people.
pub(crate) fn tables(
    machine: &Machine,
    arguments: &StoreArguments,
    sections: &[Section],
    out: &mut impl Write,
) -> Result<()> {
    for (name, value) in &machine.facts {
        writeln!(out, "- {name}: {value}")?;
    }
    writeln!(
        out,
        "- connections of a Repot store: {0} that read, {0} that write (SQLite: 1)",
        arguments.connections
    )?;
    writeln!(
        out,
        "- {} s of each kind of work, way and number of clients, in {} rounds",
        arguments.seconds, arguments.rounds
    )?;
    for section in sections {
        let (size, mb) = (grouped(section.size as u64), float(section.bytes) / 1e6);
        writeln!(out, "\n### {size} conversations on {}, {mb:.1} MB\n", section.place)?;
        writeln!(out, "| work | clients | way | p50 \u{b5}s | p99 \u{b5}s | calls/s | x by hand (p50) |")?;
        writeln!(out, "| --- | ---: | --- | ---: | ---: | ---: | ---: |")?;
        for (work, clients, way, measured) in &section.lines {
            let times = section.times(*work, *clients, way);
            writeln!(
                out,
                "| {} | {clients} | {way} | {:.0} | {:.0} | {} | {} |",
                work.name(),
                measured.percentile(50),
                measured.percentile(99),
                grouped(whole(measured.rate())),
                times.map_or_else(|| "-".to_owned(), |times| format!("{times:.2}")),
            )?;
        }
    }
    writeln!(out, "\n### Targets\n")?;
    for line in judge(sections) {
        writeln!(out, "- {line}")?;
    }
    Ok(())
}

/// Each target as met or MISSED; one client, medians.
fn judge(sections: &[Section]) -> Vec<String> {
    let mut lines = Vec::new();
    for section in sections {
        let most = match section.place {
            Place::Directory => continue,
            Place::Sqlite => SQLITE_MOST,
            Place::Postgres => POSTGRES_MOST,
        };
        for work in Work::ALL.into_iter().filter(|work| work.reads()) {
            let Some(times) = section.times(work, 1, "Repot") else { continue };
            let what = format!("{} of {} on {}", work.name(), grouped(section.size as u64), section.place);
            lines.push(said(&what, times, most, "by hand"));
        }
    }
    for place in [Place::Directory, Place::Sqlite, Place::Postgres] {
        let of_place: Vec<&Section> = sections.iter().filter(|section| section.place == place).collect();
        let fewest = of_place.iter().min_by_key(|section| section.size);
        let Some((few, many)) = fewest.zip(of_place.iter().max_by_key(|section| section.size)) else {
            continue;
        };
        let medians = few.median(Work::Get, 1, "Repot").zip(many.median(Work::Get, 1, "Repot"));
        if let Some((before, after)) = medians.filter(|_| few.size < many.size) {
            let (less, more) = (grouped(few.size as u64), grouped(many.size as u64));
            let what = format!("get by id of {more} on {place}");
            lines.push(said(&what, after / before, GROWTH_MOST, &format!("that of {less}")));
        }
    }
    lines
}

fn said(what: &str, times: f64, most: f64, of: &str) -> String {
    let met = if times <= most { "met" } else { "MISSED" };
    format!("{what}: {times:.2} x {of}, target at most {most} x: {met}")
}

/// For programs.
pub(crate) fn json(
    machine: &Machine,
    arguments: &StoreArguments,
    sections: &[Section],
    out: &mut impl Write,
) -> Result<()> {
    let section = |section: &Section| {
        let line = |(work, clients, way, measured): &(Work, usize, &str, Measured)| {
            json!({"work": work.name(), "clients": clients, "way": way, "calls": measured.micros.len(),
                "p50_us": measured.percentile(50), "p99_us": measured.percentile(99),
                "calls_a_second": measured.rate()})
        };
        json!({"place": section.place.to_string(), "conversations": section.size, "bytes": section.bytes,
            "lines": section.lines.iter().map(line).collect::<Vec<Value>>()})
    };
    let report = json!({"machine": machine.json(), "connections": arguments.connections,
        "seconds": arguments.seconds, "rounds": arguments.rounds,
        "sections": sections.iter().map(section).collect::<Vec<Value>>(), "targets": judge(sections)});
    writeln!(out, "{report:#}")?;
    Ok(())
}
