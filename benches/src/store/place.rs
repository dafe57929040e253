//! All sizes in all places, one report.

use std::fmt;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use tokio::runtime::{Builder, Runtime};

use super::by_hand::{Postgres, Sqlite};
use super::check;
use super::report::{self, Section};
use super::repot::Repot;
use super::work::{Way, Work, measure};
use crate::args::StoreArguments;
use crate::corpus::Corpus;
use crate::database::Session;
use crate::ground::Ground;
use crate::target::Target;

/// Conversations of each user.
pub(crate) const PER_USER: usize = 100;
/// The model, with `{source}` where the source's path belongs.
const MODEL: &str = include_str!("../../models/store.toml");

/// Where documents are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Place {
    /// Files.
    Directory,
    /// The embedded database.
    Sqlite,
    /// The server.
    Postgres,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Directory => "a directory",
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        })
    }
}

/// What a run needs everywhere.
struct Runner<'a> {
    arguments: &'a StoreArguments,
    program: PathBuf,
    ground: &'a Ground,
    runtime: Runtime,
}

/// Measures and writes the report to `out`; how far it is goes to standard error.
pub(crate) fn run(arguments: &StoreArguments, out: &mut impl Write) -> Result<()> {
    // the directory comes last: it is what the databases are filled from
    let places = [Place::Sqlite, Place::Postgres, Place::Directory];
    let places: Vec<Place> =
        places.into_iter().filter(|place| arguments.only.is_none_or(|only| only == *place)).collect();
    // held until the end: dropping it stops the server
    let ground = Ground::prepare(&arguments.ground, places.contains(&Place::Postgres))?;
    let runner = Runner {
        arguments,
        program: ground.program(arguments.ground.repot.as_deref())?,
        ground: &ground,
        runtime: Builder::new_multi_thread().enable_all().build()?,
    };
    let mut sections = Vec::new();
    for &size in &arguments.sizes {
        let (corpus, chats) = Corpus::chats(size, PER_USER, ground.scratch())?;
        let chats: Arc<[(String, String)]> = chats.into();
        for &place in &places {
            sections.push(runner.section(place, &corpus, &chats)?);
        }
        fs::remove_dir_all(&corpus.path)?;
    }
    if arguments.ground.json {
        report::json(&ground.machine, arguments, &sections, out)
    } else {
        report::tables(&ground.machine, arguments, &sections, out)
    }
}

impl Runner<'_> {
    fn section(&self, place: Place, corpus: &Corpus, chats: &Arc<[(String, String)]>) -> Result<Section> {
        let model = chat_model(&corpus.path);
        let connections = self.arguments.connections;
        match place {
            Place::Directory => {
                let ways: Vec<Box<dyn Way>> = vec![Box::new(Repot::directory(&model, &corpus.path)?)];
                self.measure(place, corpus, &ways, chats)
            }
            Place::Sqlite => {
                let target = Target::make(self.ground.scratch(), "store", None)?;
                fill(&self.program, &target, &model)?;
                let file = target.directory.join("repot.db");
                let by_hand = Sqlite::make(&file, &target.directory.join("by_hand.db"))?;
                let repot = Repot::sqlite(&model, &file, connections)?;
                self.measure(place, corpus, &[Box::new(by_hand), Box::new(repot)], chats)
            }
            Place::Postgres => {
                let server = self.ground.url.as_deref().context("there is a server when it is measured")?;
                let target = Target::make(self.ground.scratch(), "store", Some(server))?;
                fill(&self.program, &target, &model)?;
                let url = target.url().context("a target on a server has a URL")?;
                let other = Target::copy_of(self.ground.scratch(), "by_hand", server, url)?;
                let by_hand = Postgres::make(other.url().context("a target on a server has a URL")?)?;
                Session::open(url)?.run("vacuum (analyze)")?;
                Session::open(url)?.run("checkpoint")?;
                let repot = Repot::postgres(&model, url, connections)?;
                self.measure(place, corpus, &[Box::new(by_hand), Box::new(repot)], chats)
            }
        }
    }

    fn measure(
        &self,
        place: Place,
        corpus: &Corpus,
        ways: &[Box<dyn Way>],
        chats: &Arc<[(String, String)]>,
    ) -> Result<Section> {
        let mut section = Section::new(place, corpus);
        self.runtime.block_on(check::same_answers(ways, chats))?;
        let rounds = self.arguments.rounds;
        let seconds = self.arguments.seconds / f64::from(rounds);
        for work in Work::ALL {
            writeln!(std::io::stderr(), "{} on {place}: {}", corpus.title(), work.name())?;
            for &clients in &self.arguments.clients {
                for round in 0..rounds {
                    for way in ways {
                        let how = (clients, seconds, u64::from(round) + 1);
                        let measured = self.runtime.block_on(measure(way.as_ref(), work, chats, how))?;
                        section.add(work, clients, way.name(), measured);
                    }
                }
            }
        }
        self.runtime.block_on(check::writes_arrive(ways, chats))?;
        Ok(section)
    }
}

/// The model of conversations below `source`.
pub(crate) fn chat_model(source: &Path) -> String {
    MODEL.replace("{source}", &source.to_string_lossy())
}

/// Copies the corpus into the target.
pub(crate) fn fill(program: &Path, target: &Target, model: &str) -> Result<()> {
    fs::write(target.directory.join("repot.toml"), model)?;
    let mut command = Command::new(program);
    command.arg("--quiet").arg("-C").arg(&target.directory).args(["copy", "--no-verify"]);
    // settings of the person at the keyboard are not part of the measurement
    for name in ["REPOT_MODEL", "REPOT_SOURCE", "DATABASE_URL"] {
        command.env_remove(name);
    }
    if let Some(url) = target.url() {
        command.env("DATABASE_URL", url);
    }
    let output = command.output().context("starting repot")?;
    ensure!(output.status.success(), "the copy failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
