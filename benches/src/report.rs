//! The report: Markdown tables, or JSON.

use std::io::Write;

use anyhow::Result;
use serde_json::{Value, json};

use crate::child::Sample;
use crate::corpus::Kind;
use crate::machine::Machine;
use crate::steps::{Runner, Section, Step};
use crate::target::Engine;

const MEGABYTE: f64 = 1_000_000.0;

/// Most memory a copy may take.
const PEAK_MIB_MAX: f64 = 256.0;
/// Most time a repeated copy may take, as a multiple of the bare listing.
const AGAIN_MAX: f64 = 1.1;

/// What the runs of a step come to.
#[derive(Debug, Clone, Copy)]
struct Summary {
    median: f64,
    fastest: f64,
    slowest: f64,
    cpu: f64,
    peak_mib: f64,
}

impl Summary {
    fn of(samples: &[Sample]) -> Self {
        let seconds = sorted(samples, |sample| sample.seconds);
        Self {
            median: middle(&seconds),
            fastest: seconds.first().copied().unwrap_or(f64::NAN),
            slowest: seconds.last().copied().unwrap_or(f64::NAN),
            cpu: middle(&sorted(samples, |sample| sample.cpu_seconds)),
            peak_mib: float(samples.iter().map(|sample| sample.peak_kib).max().unwrap_or(0)) / 1024.0,
        }
    }
}

fn sorted(samples: &[Sample], of: impl Fn(&Sample) -> f64) -> Vec<f64> {
    let mut values: Vec<f64> = samples.iter().map(of).collect();
    values.sort_unstable_by(f64::total_cmp);
    values
}

fn middle(sorted: &[f64]) -> f64 {
    let half = sorted.len() / 2;
    match sorted {
        [] => f64::NAN,
        odd if odd.len() % 2 == 1 => odd[half],
        even => f64::midpoint(even[half - 1], even[half]),
    }
}

/// Tables for people, and for BENCHMARKS.md.
pub(crate) fn tables(
    machine: &Machine,
    runner: &Runner,
    sections: &[Section],
    out: &mut impl Write,
) -> Result<()> {
    for (name, value) in &machine.facts {
        writeln!(out, "- {name}: {value}")?;
    }
    writeln!(out, "- threads of the limit: {}", runner.threads)?;
    for section in sections {
        let corpus = &section.corpus;
        writeln!(
            out,
            "\n### {} on {}\n\n{} documents, {:.1} MB, {} rows; database {:.1} MB after the limit{}\n",
            corpus.title(),
            section.engine,
            grouped(corpus.documents),
            float(corpus.bytes) / MEGABYTE,
            grouped(section.rows),
            float(section.sizes.0) / MEGABYTE,
            match section.sizes.1 {
                0 => String::new(),
                size => format!(", {:.1} MB after a copy", float(size) / MEGABYTE),
            }
        )?;
        writeln!(
            out,
            "| step | median s | fastest | slowest | x limit | documents/s | MB/s | CPU s | peak MiB |"
        )?;
        writeln!(out, "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")?;
        for (step, samples) in &section.steps {
            row(section, *step, &Summary::of(samples), out)?;
        }
        let judged = judge(section);
        if !judged.is_empty() {
            writeln!(out)?;
        }
        for line in judged {
            writeln!(out, "- {line}")?;
        }
    }
    Ok(())
}

fn row(section: &Section, step: Step, summary: &Summary, out: &mut impl Write) -> Result<()> {
    let rate = float(section.corpus.documents) / summary.median;
    writeln!(
        out,
        "| {} | {:.3} | {:.3} | {:.3} | {} | {} | {:.1} | {:.2} | {:.1} |",
        step.name(),
        summary.median,
        summary.fastest,
        summary.slowest,
        ratio(section, summary).map_or_else(String::new, |ratio| format!("{ratio:.2}")),
        grouped(whole(rate)),
        float(section.corpus.bytes) / MEGABYTE / summary.median,
        summary.cpu,
        summary.peak_mib,
    )?;
    Ok(())
}

fn summary(section: &Section, step: Step) -> Option<Summary> {
    section.steps.iter().find(|(known, _)| *known == step).map(|(_, samples)| Summary::of(samples))
}

fn ratio(section: &Section, summary: &Summary) -> Option<f64> {
    Some(summary.median / self::summary(section, Step::Limit)?.median)
}

/// Each target of the project, with what was measured, met or missed.
fn judge(section: &Section) -> Vec<String> {
    let mut lines = Vec::new();
    let mut say = |what: &str, found: f64, most: f64, unit: &str| {
        let verdict = if found <= most { "met" } else { "MISSED" };
        lines.push(format!("{what}: {found:.2}{unit}, target at most {most}{unit}: {verdict}"));
    };
    let copy_max = if section.engine == Engine::Sqlite { 1.6 } else { 1.5 };
    for (step, most) in [(Step::Copy, copy_max), (Step::Proof, 2.2)] {
        if let Some(found) = summary(section, step).and_then(|summary| ratio(section, &summary)) {
            say(step.name(), found, most, " x the limit");
        }
    }
    if let (Some(list), Some(again)) = (summary(section, Step::List), summary(section, Step::Again)) {
        say(Step::Again.name(), again.median / list.median, AGAIN_MAX, " x the listing");
    }
    if section.corpus.kind == Kind::Conversations {
        let peaks = [Step::Copy, Step::Proof, Step::Again, Step::Export];
        let peaks = peaks.iter().filter_map(|step| summary(section, *step)).map(|summary| summary.peak_mib);
        if let Some(peak) = peaks.max_by(f64::total_cmp) {
            say("peak memory of (b) to (e)", peak, PEAK_MIB_MAX, " MiB");
        }
    }
    lines
}

/// One JSON object.
pub(crate) fn json(
    machine: &Machine,
    runner: &Runner,
    sections: &[Section],
    out: &mut impl Write,
) -> Result<()> {
    let sections: Vec<Value> = sections.iter().map(section_json).collect();
    let report = json!({
        "type": "benchmark",
        "format": 1,
        "machine": machine.json(),
        "limit_threads": runner.threads,
        "sections": sections,
    });
    writeln!(out, "{report:#}")?;
    Ok(())
}

fn section_json(section: &Section) -> Value {
    let steps: Vec<Value> = section
        .steps
        .iter()
        .map(|(step, samples)| {
            let summary = Summary::of(samples);
            let seconds: Vec<f64> = samples.iter().map(|sample| sample.seconds).collect();
            json!({
                "step": step.word(),
                "median_seconds": summary.median,
                "seconds": seconds,
                "times_limit": ratio(section, &summary),
                "documents_per_second": float(section.corpus.documents) / summary.median,
                "megabytes_per_second": float(section.corpus.bytes) / MEGABYTE / summary.median,
                "cpu_seconds": summary.cpu,
                "peak_mib": summary.peak_mib,
            })
        })
        .collect();
    json!({
        "corpus": section.corpus.kind.to_string(),
        "size": section.corpus.size,
        "database": section.engine.to_string(),
        "documents": section.corpus.documents,
        "bytes": section.corpus.bytes,
        "rows": section.rows,
        "database_bytes_limit": section.sizes.0,
        "database_bytes_copy": section.sizes.1,
        "steps": steps,
        "targets": judge(section),
    })
}

#[expect(clippy::cast_precision_loss, reason = "shown with few digits")]
pub(crate) const fn float(number: u64) -> f64 {
    number as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "shown as a rate, never negative"
)]
pub(crate) const fn whole(number: f64) -> u64 {
    number as u64
}

/// `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{Summary, grouped};
    use crate::child::Sample;

    #[test]
    fn the_median_and_the_highest_peak_count() {
        let sample = |seconds: f64, peak_kib: u64| Sample { seconds, cpu_seconds: seconds / 2.0, peak_kib };
        let odd = Summary::of(&[sample(3.0, 1024), sample(1.0, 4096), sample(2.0, 2048)]);
        assert_eq!((odd.median, odd.fastest, odd.slowest, odd.peak_mib), (2.0, 1.0, 3.0, 4.0));
        let even = Summary::of(&[sample(4.0, 0), sample(2.0, 0)]);
        assert_eq!((even.median, even.cpu), (3.0, 1.5));
    }

    #[test]
    fn thousands_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (12_345_678, "12,345,678")] {
            assert_eq!(grouped(number), text);
        }
    }
}
