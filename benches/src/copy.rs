//! `copy`: all corpora on all databases, several rounds, one report.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::args::CopyArguments;
use crate::corpus::{Corpus, Kind};
use crate::limit;
use crate::machine::Machine;
use crate::report;
use crate::server::{self, Server};
use crate::steps::{Runner, Section};
use crate::target::Engine;

/// Measures and writes the report to `out`; how far it is goes to standard error.
pub(crate) fn run(arguments: &CopyArguments, out: &mut impl Write) -> Result<()> {
    let own = std::env::current_exe()?;
    let repot = repot(arguments, &own)?;
    let parent = arguments.directory.clone().unwrap_or_else(std::env::temp_dir);
    let scratch = tempfile::Builder::new().prefix("repot-bench").tempdir_in(parent)?;
    open_to_all(scratch.path())?;
    let engines: Vec<Engine> = match arguments.only {
        Some(engine) => vec![engine],
        None => vec![Engine::Sqlite, Engine::Postgres],
    };
    // held until the end: dropping it stops the server
    let server = match (&arguments.url, engines.contains(&Engine::Postgres)) {
        (None, true) => Some(Server::start(scratch.path())?),
        _ => None,
    };
    let url = arguments.url.clone().or_else(|| server.as_ref().map(|server| server.url.clone()));
    let url = url.filter(|_| engines.contains(&Engine::Postgres));
    let machine = Machine::look(url.as_deref().map(server::describe).transpose()?);
    let threads = arguments.threads.or_else(|| std::thread::available_parallelism().ok().map(usize::from));
    let runner =
        Runner { own, repot, scratch: scratch.path().to_owned(), server: url, threads: threads.unwrap_or(2) };
    let mut sections = Vec::new();
    for (kind, size) in wanted(arguments) {
        let corpus = Corpus::write(kind, size, scratch.path())?;
        for engine in &engines {
            sections.push(measure(&runner, &corpus, *engine, arguments.runs)?);
        }
        std::fs::remove_dir_all(&corpus.path)?;
    }
    if arguments.json {
        report::json(&machine, &runner, &sections, out)
    } else {
        report::tables(&machine, &runner, &sections, out)
    }
}

fn measure(runner: &Runner, corpus: &Corpus, engine: Engine, runs: u16) -> Result<Section> {
    let plan = limit::plan(corpus.kind)?;
    let mut section = Section::new(corpus.clone(), engine);
    for run in 1..=runs {
        writeln!(std::io::stderr(), "{} on {engine}: round {run} of {runs}", corpus.title())?;
        runner.round(&plan, &mut section)?;
    }
    Ok(section)
}

fn wanted(arguments: &CopyArguments) -> Vec<(Kind, usize)> {
    let conversations = arguments.conversations.iter().map(|size| (Kind::Conversations, *size));
    let dramas = arguments.dramas.iter().map(|size| (Kind::Dramas, *size));
    conversations.chain(dramas).filter(|(_, size)| *size > 0).collect()
}

/// The server of its own user must be able to reach its directory.
pub(crate) fn open_to_all(directory: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o755))?)
}

/// The program to measure: the one given, or this workspace's, built for release.
fn repot(arguments: &CopyArguments, own: &Path) -> Result<Option<PathBuf>> {
    if arguments.limit_only {
        return Ok(None);
    }
    program(arguments.repot.as_deref(), own).map(Some)
}

/// The program given, or this workspace's, built for release.
pub(crate) fn program(given: Option<&Path>, own: &Path) -> Result<PathBuf> {
    if let Some(given) = given {
        return given.canonicalize().with_context(|| format!("looking for {}", given.display()));
    }
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let target = own.ancestors().nth(2).context("this program lies in a target directory")?;
    let mut build = Command::new("cargo");
    build.args(["build", "--release", "--package", "repot-cli", "--target-dir"]).arg(target);
    let status = build.current_dir(workspace).status().context("starting cargo")?;
    ensure!(status.success(), "repot could not be built");
    Ok(target.join("release").join("repot"))
}
