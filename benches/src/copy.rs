//! `copy`: all corpora on all databases, several rounds, one report.

use std::io::Write;

use anyhow::Result;

use crate::args::CopyArguments;
use crate::corpus::{Corpus, Kind};
use crate::ground::Ground;
use crate::limit;
use crate::report;
use crate::steps::{Runner, Section};
use crate::target::Engine;

/// Measures and writes the report to `out`; how far it is goes to standard error.
pub(crate) fn run(arguments: &CopyArguments, out: &mut impl Write) -> Result<()> {
    let engines: Vec<Engine> = match arguments.only {
        Some(engine) => vec![engine],
        None => vec![Engine::Sqlite, Engine::Postgres],
    };
    // held until the end: dropping it stops the server
    let ground = Ground::prepare(&arguments.ground, engines.contains(&Engine::Postgres))?;
    let repot = match arguments.limit_only {
        true => None,
        false => Some(ground.program(arguments.ground.repot.as_deref())?),
    };
    let (own, scratch, server) = (ground.own.clone(), ground.scratch().to_owned(), ground.url.clone());
    let threads = arguments.threads.or_else(|| std::thread::available_parallelism().ok().map(usize::from));
    let runner = Runner { own, repot, scratch, server, threads: threads.unwrap_or(2) };
    let mut sections = Vec::new();
    for (kind, size) in wanted(arguments) {
        let corpus = Corpus::write(kind, size, ground.scratch())?;
        for engine in &engines {
            sections.push(measure(&runner, &corpus, *engine, arguments.runs)?);
        }
        std::fs::remove_dir_all(&corpus.path)?;
    }
    if arguments.ground.json {
        report::json(&ground.machine, &runner, &sections, out)
    } else {
        report::tables(&ground.machine, &runner, &sections, out)
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
