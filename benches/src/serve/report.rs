//! The report of `serve`: a table for each place, and what was to be reached.

use std::io::Write;

use anyhow::Result;
use serde_json::{Value, json};

use super::load::{Load, Server};
use crate::args::ServeArguments;
use crate::corpus::Corpus;
use crate::machine::Machine;
use crate::report::{float, grouped, whole};
use crate::store::Place;
use crate::store::work::Measured;

/// At least this part of the throughput by hand.
const THROUGHPUT_LEAST: f64 = 0.8;
/// At most so many times the time of the slowest hundredth by hand.
const P99_MOST: f64 = 1.5;
/// Resident memory at its most, MiB.
const MEMORY_MOST_MIB: f64 = 100.0;

type Line = (Load, usize, Server);

/// What was measured in one place.
#[derive(Debug)]
pub(crate) struct Section {
    place: Place,
    size: usize,
    bytes: u64,
    lines: Vec<(Line, Measured)>,
    /// Processor seconds and requests of each line, all rounds together.
    cpu: Vec<(Line, (f64, u64))>,
    /// Of each process at the end: KiB at its most, and then.
    pub(crate) memory: Vec<(Server, (u64, u64))>,
}

impl Section {
    pub(crate) const fn new(place: Place, corpus: &Corpus) -> Self {
        Self {
            place,
            size: corpus.size,
            bytes: corpus.bytes,
            lines: Vec::new(),
            cpu: Vec::new(),
            memory: Vec::new(),
        }
    }

    /// Adds a round.
    pub(crate) fn add(&mut self, line: Line, measured: Measured, cpu: (f64, u64)) {
        match self.cpu.iter_mut().find(|(known, _)| *known == line) {
            Some((_, sum)) => *sum = (sum.0 + cpu.0, sum.1 + cpu.1),
            None => self.cpu.push((line, cpu)),
        }
        match self.lines.iter_mut().find(|(known, _)| *known == line) {
            Some((_, sum)) => sum.add(measured),
            None => self.lines.push((line, measured)),
        }
    }

    fn find(&self, line: Line) -> Option<&Measured> {
        self.lines.iter().find(|(known, _)| *known == line).map(|(_, measured)| measured)
    }

    /// Processor time of the server for a request, microseconds.
    fn cpu_micros(&self, line: Line) -> f64 {
        let found = self.cpu.iter().find(|(known, _)| *known == line).map(|(_, cpu)| *cpu);
        found.filter(|(_, requests)| *requests > 0).map_or(0.0, |(cpu, requests)| cpu * 1e6 / float(requests))
    }

    /// Throughput and p99 of Repot, each against that by hand.
    fn ratios(&self, load: Load, connections: usize) -> Option<(f64, f64)> {
        let by_hand = self.find((load, connections, Server::Limit))?;
        let repot = self.find((load, connections, Server::Repot))?;
        Some((repot.rate() / by_hand.rate(), repot.percentile(99) / by_hand.percentile(99)))
    }
}

/// For people.
pub(crate) fn tables(
    machine: &Machine,
    arguments: &ServeArguments,
    sections: &[Section],
    out: &mut impl Write,
) -> Result<()> {
    for (name, value) in &machine.facts {
        writeln!(out, "- {name}: {value}")?;
    }
    writeln!(out, "- connections to the database: {} at the most, of both", arguments.pool)?;
    writeln!(
        out,
        "- {} s of each load, server and number of connections, in {} rounds",
        arguments.seconds, arguments.rounds
    )?;
    for section in sections {
        let (size, mb) = (grouped(section.size as u64), float(section.bytes) / 1e6);
        writeln!(out, "\n### {size} conversations on {}, {mb:.1} MB\n", section.place)?;
        writeln!(
            out,
            "| load | connections | server | p50 \u{b5}s | p99 \u{b5}s | CPU \u{b5}s | requests/s | x by hand | p99 x by hand |"
        )?;
        writeln!(out, "| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |")?;
        for ((load, connections, server), measured) in &section.lines {
            let ratios = section.ratios(*load, *connections).filter(|_| *server == Server::Repot);
            let (rate, p99) = ratios.map_or_else(
                || ("-".to_owned(), "-".to_owned()),
                |(rate, p99)| (format!("{rate:.2}"), format!("{p99:.2}")),
            );
            writeln!(
                out,
                "| {} | {connections} | {} | {:.0} | {:.0} | {:.0} | {} | {rate} | {p99} |",
                load.name(),
                server.name(),
                measured.percentile(50),
                measured.percentile(99),
                section.cpu_micros((*load, *connections, *server)),
                grouped(whole(measured.rate())),
            )?;
        }
        writeln!(out)?;
        for (server, (most, now)) in &section.memory {
            let (most, now) = (float(*most) / 1024.0, float(*now) / 1024.0);
            writeln!(
                out,
                "- memory of {}: {most:.0} MiB at its most, {now:.0} MiB at the end",
                server.name()
            )?;
        }
    }
    writeln!(out, "\n### Targets\n")?;
    for line in judge(sections) {
        writeln!(out, "- {line}")?;
    }
    Ok(())
}

/// Each target as met or MISSED.
fn judge(sections: &[Section]) -> Vec<String> {
    let mut lines = Vec::new();
    let met = |is: bool| if is { "met" } else { "MISSED" };
    for section in sections {
        let repot = section.lines.iter().filter(|((_, _, server), _)| *server == Server::Repot);
        for ((load, connections, _), _) in repot {
            let Some((rate, p99)) = section.ratios(*load, *connections) else { continue };
            lines.push(format!(
                "{}, {connections} connections, {}: throughput {rate:.2} x, target at least {THROUGHPUT_LEAST} x: {}; \
                 p99 {p99:.2} x, target at most {P99_MOST} x: {}",
                load.name(),
                section.place,
                met(rate >= THROUGHPUT_LEAST),
                met(p99 <= P99_MOST),
            ));
        }
        let own = section.memory.iter().find(|(server, _)| *server == Server::Repot);
        if let Some((_, (most, _))) = own.filter(|(_, (most, _))| *most > 0) {
            let most = float(*most) / 1024.0;
            let is = met(most <= MEMORY_MOST_MIB);
            lines.push(format!(
                "memory on {}: {most:.0} MiB, target at most {MEMORY_MOST_MIB} MiB: {is}",
                section.place
            ));
        }
    }
    lines
}

/// For programs.
pub(crate) fn json(
    machine: &Machine,
    arguments: &ServeArguments,
    sections: &[Section],
    out: &mut impl Write,
) -> Result<()> {
    let line = |section: &Section, ((load, connections, server), measured): &(Line, Measured)| {
        json!({"load": load.name(), "connections": connections, "server": server.name(),
            "requests": measured.micros.len(), "p50_us": measured.percentile(50),
            "p99_us": measured.percentile(99), "requests_a_second": measured.rate(),
            "cpu_us": section.cpu_micros((*load, *connections, *server))})
    };
    let memory = |(server, (most, now)): &(Server, (u64, u64))| json!({"server": server.name(), "peak_kib": most, "end_kib": now});
    let section = |section: &Section| {
        json!({"place": section.place.to_string(), "conversations": section.size, "bytes": section.bytes,
            "lines": section.lines.iter().map(|one| line(section, one)).collect::<Vec<Value>>(),
            "memory": section.memory.iter().map(memory).collect::<Vec<Value>>()})
    };
    let report = json!({"machine": machine.json(), "pool": arguments.pool, "seconds": arguments.seconds,
        "rounds": arguments.rounds, "sections": sections.iter().map(section).collect::<Vec<Value>>(),
        "targets": judge(sections)});
    writeln!(out, "{report:#}")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Section, judge};
    use crate::serve::load::{Load, Server};
    use crate::store::Place;
    use crate::store::work::Measured;

    #[test]
    fn targets_are_judged() {
        let measured = |micros: f64| Measured { micros: vec![micros; 10], seconds: micros / 1e5 };
        let lines = vec![
            ((Load::Get, 1, Server::Limit), measured(100.0)),
            ((Load::Get, 1, Server::Repot), measured(160.0)),
            ((Load::List, 1, Server::Limit), measured(100.0)),
            ((Load::List, 1, Server::Repot), measured(110.0)),
        ];
        let memory = vec![(Server::Repot, (200 << 10, 1))];
        let said =
            judge(&[Section { place: Place::Sqlite, size: 1, bytes: 1, lines, cpu: Vec::new(), memory }]);
        assert_eq!(said.len(), 3, "{said:?}");
        assert_eq!(said[0].matches("MISSED").count(), 2, "{said:?}");
        assert_eq!(said[1].matches("met").count(), 2, "{said:?}");
        assert!(said[2].ends_with("200 MiB, target at most 100 MiB: MISSED"), "{said:?}");
    }
}
