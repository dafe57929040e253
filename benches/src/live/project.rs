//! A project whose conversations move, and the programs that move them.

use std::fmt;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::serve::Process;
use crate::store::{chat_model, fill};
use crate::target::Target;

const SERVE: [&str; 3] = ["serve", "--listen", "127.0.0.1:0"];

/// Where documents come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Origin {
    /// Files.
    Directory,
    /// An SQLite database.
    Sqlite,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Directory => "a directory",
            Self::Sqlite => "SQLite",
        })
    }
}

/// Where documents are before the move; another program writes them there.
#[derive(Debug)]
pub(crate) enum Old {
    Directory(PathBuf),
    Sqlite(Target),
}

impl Old {
    /// The corpus at `source`, in its files or in a database called `name`.
    pub(crate) fn make(
        program: &Path,
        (from, name): (Origin, &str),
        scratch: &Path,
        source: &Path,
    ) -> Result<Self> {
        if from == Origin::Directory {
            return Ok(Self::Directory(source.to_owned()));
        }
        let target = Target::make(scratch, name, None)?;
        fill(program, &target, &chat_model(source))?;
        Ok(Self::Sqlite(target))
    }

    /// As a model names it.
    fn named(&self) -> PathBuf {
        match self {
            Self::Directory(path) => path.clone(),
            Self::Sqlite(target) => format!("sqlite:///{}", target.text()).into(),
        }
    }

    /// A server of those who know nothing of a move; `project`: where a model of the documents is.
    pub(crate) fn serve(&self, program: &Path, project: &Path) -> Result<Process> {
        let mut command = plain(program);
        command.env_remove("DATABASE_URL").arg("--json").arg("-C");
        match self {
            Self::Directory(path) => command.arg(project).args(SERVE).arg("--store").arg(path),
            Self::Sqlite(target) => command.arg(&target.directory).args(SERVE),
        };
        Process::start(&mut command)
    }
}

/// The program without the settings of the person at the keyboard, which are not part of the measurement.
fn plain(program: &Path) -> Command {
    let mut command = Command::new(program);
    for name in ["REPOT_MODEL", "REPOT_SOURCE", "REPOT_LOG", "USE_DATABASE", "USE_NEW_DATA_LAYER"] {
        command.env_remove(name);
    }
    command
}

/// Where it is, and with what.
#[derive(Debug)]
pub(crate) struct Project<'a> {
    program: &'a Path,
    pub(crate) target: Target,
    pub(crate) old: Old,
}

impl<'a> Project<'a> {
    /// Copies the old store into a new database; `server`: a PostgreSQL server, none for SQLite.
    pub(crate) fn make(program: &'a Path, scratch: &Path, server: Option<&str>, old: Old) -> Result<Self> {
        let target = Target::make(scratch, "live", server)?;
        fill(program, &target, &chat_model(&old.named()))?;
        Ok(Self { program, target, old })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = plain(self.program);
        command.arg("--json").arg("-C").arg(&self.target.directory).args(arguments);
        match self.target.url() {
            Some(url) => command.env("DATABASE_URL", url),
            None => command.env_remove("DATABASE_URL"),
        };
        command
    }

    /// Serves the documents, wherever they are in their move.
    pub(crate) fn serve(&self) -> Result<Process> {
        Process::start(&mut self.command(&SERVE))
    }

    /// Follows the source until this is dropped; comes back when it does.
    pub(crate) fn follow(&self) -> Result<Follower> {
        let mut command = self.command(&["copy", "--follow", "--no-verify"]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let lines = BufReader::new(child.stdout.take().context("its output")?).lines();
        // from here on it is ended whatever fails
        let follower = Follower(child);
        for line in lines {
            let line: Value = serde_json::from_str(&line?)?;
            if line["type"] == "following" {
                return Ok(follower);
            }
        }
        bail!("repot copy --follow of {} ended", self.old.named().display())
    }

    /// Runs a command to its end; gives how long it took, seconds.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<f64> {
        let begin = Instant::now();
        let output = self.command(arguments).stdin(Stdio::null()).output()?;
        ensure!(output.status.success(), "{arguments:?} failed: {}", String::from_utf8_lossy(&output.stdout));
        Ok(begin.elapsed().as_secs_f64())
    }
}

/// `repot copy --follow` at work; it ends with this.
#[derive(Debug)]
pub(crate) struct Follower(Child);

impl Drop for Follower {
    fn drop(&mut self) {
        // nothing more can be done for a program that is to vanish anyway
        drop(self.0.kill().and_then(|()| self.0.wait()));
    }
}
