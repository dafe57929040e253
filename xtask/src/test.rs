//! `cargo xtask test`: the tests of the workspace with real servers that belong to this run alone.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::ci::seconds;
use crate::command::{cargo, is_set, output, run as run_command};
use crate::http_tools;
use crate::servers::Servers;

/// What to run.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Options {
    /// Longer fault tests.
    pub(crate) full: bool,
    /// Passed on to nextest, or to `cargo test`.
    pub(crate) arguments: Vec<String>,
    /// Set for the builds and the tests.
    pub(crate) environment: Vec<(&'static str, &'static str)>,
}

impl Options {
    /// Reads `[--full] [-- ARGS]`.
    pub(crate) fn parse(words: &[&str]) -> Result<Self, String> {
        let (own, passed_on) = match words.iter().position(|word| *word == "--") {
            Some(at) => (words.split_at(at).0, words.split_at(at + 1).1),
            None => (words, &[][..]),
        };
        let mut options = Self::default();
        for word in own {
            match *word {
                "--full" => options.full = true,
                other => {
                    return Err(format!(
                        "`cargo xtask test` does not know {other}; what is for nextest goes after --"
                    ));
                }
            }
        }
        options.arguments = passed_on.iter().map(|word| (*word).to_owned()).collect();
        Ok(options)
    }

    /// The tests of this package are among those that are meant.
    fn means(&self, package: &str) -> bool {
        !self.names_packages()
            || self.arguments.iter().any(|word| word == "--workspace" || word.contains(package))
    }

    /// Packages are chosen in the arguments, so the whole workspace is not meant.
    fn names_packages(&self) -> bool {
        let chooses = |word: &String| word == "-p" || word.starts_with("--package") || word == "--workspace";
        self.arguments.iter().any(chooses)
    }
}

/// Variables that name programs in other languages.
type Tools = [(&'static str, PathBuf)];

/// Starts the servers, runs the tests, stops the servers, and says how it went.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    let tools = if options.means("repot-cli") { http_tools::ensure()? } else { Vec::new() };
    let servers = Servers::start()?;
    println!("servers: {}", servers.description());
    let started = Instant::now();
    let outcome = run_tests(options, &servers, &tools);
    let skipped = skips(&servers.skip_log());
    servers.stop()?;
    let took = seconds(started.elapsed());
    outcome.map_err(|error| format!("tests failed after {took}: {error}"))?;
    let selection = if options.arguments.is_empty() { "all tests" } else { "the chosen tests" };
    println!("{selection} passed in {took}; {skipped}");
    Ok(())
}

fn run_tests(options: &Options, servers: &Servers, tools: &Tools) -> Result<(), String> {
    if output(&mut cargo(&["nextest", "--version"])).is_err() {
        println!("cargo-nextest is not installed, so `cargo test` runs the tests");
        return run_command(&mut tests(&["test"], options, servers, tools));
    }
    let profile = if is_set("CI") { "ci" } else { "default" };
    run_command(&mut tests(&["nextest", "run", "--profile", profile], options, servers, tools))?;
    // nextest knows no doc tests; a filter or a choice of packages does not mean them.
    if options.arguments.is_empty() {
        run_command(&mut tests(&["test", "--doc"], options, servers, tools))?;
    }
    Ok(())
}

fn tests(words: &[&str], options: &Options, servers: &Servers, tools: &Tools) -> Command {
    let mut command = cargo(words);
    if !options.names_packages() {
        command.arg("--workspace");
    }
    command.args(&options.arguments);
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_none_or(is_foreign) {
            command.env_remove(&name);
        }
    }
    command.env_remove("REPOT_FULL").env("REPOT_REQUIRE_SERVERS", "1").envs(servers.variables());
    command.envs(tools.iter().map(|(name, path)| (name, path)));
    if options.full {
        command.env("REPOT_FULL", "1");
    }
    command.envs(options.environment.iter().copied());
    command
}

/// Settings of the person who runs the tests: a test must never reach their database or bucket by them.
fn is_foreign(name: &str) -> bool {
    let ours = ["REPOT_SHARED_DATA", "REPOT_REQUIRE_DATA", "REPOT_REQUIRE_SERVERS"];
    let prefixes = ["PG", "AWS_", "R2_", "REPOT_", "S3_"];
    name == "DATABASE_URL" || !ours.contains(&name) && prefixes.iter().any(|prefix| name.starts_with(prefix))
}

/// Counts the skips that the test kit has noted.
fn skips(log: &Path) -> String {
    let noted = fs::read_to_string(log).unwrap_or_default();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for line in noted.lines() {
        *counts.entry(line).or_default() += 1;
    }
    if counts.is_empty() {
        return "none skipped itself".to_owned();
    }
    let parts: Vec<String> =
        counts.iter().map(|(what, count)| format!("{count} for want of {what}")).collect();
    format!("skipped: {}", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_words_come_before_the_dashes() {
        let options = Options::parse(&["--full", "--", "-p", "x", "--full"]).unwrap();
        assert!(options.full && options.names_packages());
        assert!(!options.means("repot-cli") && options.means("x") && Options::default().means("repot-cli"));
        assert_eq!(options.arguments, ["-p", "x", "--full"]);
        assert!(Options::parse(&["-p", "x"]).unwrap_err().contains("after --"));
        assert_eq!(Options::parse(&[]).unwrap(), Options::default());
    }

    #[test]
    fn settings_of_the_person_are_kept_from_the_tests() {
        for name in ["DATABASE_URL", "PGHOST", "AWS_SECRET_ACCESS_KEY", "REPOT_SOURCE", "R2_ACCOUNT_ID"] {
            assert!(is_foreign(name), "{name}");
        }
        for name in ["PATH", "HOME", "REPOT_SHARED_DATA", "REPOT_REQUIRE_DATA", "CARGO_TARGET_DIR", "CI"] {
            assert!(!is_foreign(name), "{name}");
        }
    }

    #[test]
    fn skips_are_counted_by_reason() {
        let log = std::env::temp_dir().join(format!("repot-skips-{}", std::process::id()));
        assert_eq!(skips(&log), "none skipped itself");
        fs::write(&log, "real data sets\nPostgreSQL\nreal data sets\n").unwrap();
        let counted = skips(&log);
        fs::remove_file(&log).unwrap();
        assert_eq!(counted, "skipped: 1 for want of PostgreSQL, 2 for want of real data sets");
    }
}
