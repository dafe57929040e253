//! `cargo xtask ci`: every check in order, with the time each took; the first failure ends it.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::command::{cargo, run as run_command};
use crate::{test, tidy};

/// Runs all steps.
pub(crate) fn run(arguments: &[&str]) -> Result<(), String> {
    let full = match arguments {
        [] => false,
        ["--full"] => true,
        _ => return Err(format!("`cargo xtask ci` takes only --full, not {}", arguments.join(" "))),
    };
    let options = test::Options { full, environment: ENVIRONMENT.to_vec(), ..test::Options::default() };
    let mut timings = Vec::new();
    step(&mut timings, "tidy", tidy::run)?;
    step(&mut timings, "format", || {
        run_command(&mut quiet(&["fmt", "--all", "--check", "--", "--color", "never"]))
    })?;
    step(&mut timings, "clippy", || {
        run_command(&mut quiet(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))
    })?;
    step(&mut timings, "test", || test::run(&options))?;
    step(&mut timings, "doc", || {
        let mut doc = quiet(&["doc", "--workspace", "--no-deps", "--document-private-items"]);
        run_command(doc.env("RUSTDOCFLAGS", "-D warnings"))
    })?;
    let total: Duration = timings.iter().map(|(_, took)| *took).sum();
    let parts: Vec<String> =
        timings.iter().map(|(name, took)| format!("{name} {}", seconds(*took))).collect();
    println!("== all green in {}: {}", seconds(total), parts.join(", "));
    Ok(())
}

/// One build after another: incremental files only cost time, colours only litter a log.
const ENVIRONMENT: [(&str, &str); 2] = [("CARGO_INCREMENTAL", "0"), ("CARGO_TERM_COLOR", "never")];

fn quiet(arguments: &[&str]) -> Command {
    let mut command = cargo(arguments);
    command.envs(ENVIRONMENT);
    command
}

fn step(
    timings: &mut Vec<(&'static str, Duration)>,
    name: &'static str,
    work: impl FnOnce() -> Result<(), String>,
) -> Result<(), String> {
    println!("== {name}");
    let started = Instant::now();
    let outcome = work();
    let took = started.elapsed();
    let verdict = if outcome.is_ok() { "ok" } else { "FAILED" };
    println!("== {name}: {verdict} in {}", seconds(took));
    timings.push((name, took));
    outcome
}

/// A duration as people say it.
pub(crate) fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}
