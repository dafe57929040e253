//! A project whose conversations move, and the programs that move them.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::serve::Process;
use crate::store::{chat_model, fill};
use crate::target::Target;

/// Where it is, and with what.
#[derive(Debug)]
pub(crate) struct Project<'a> {
    program: &'a Path,
    pub(crate) target: Target,
    source: PathBuf,
}

impl<'a> Project<'a> {
    /// Copies the corpus into a new database; `server`: a PostgreSQL server, none for SQLite.
    pub(crate) fn make(
        program: &'a Path,
        scratch: &Path,
        server: Option<&str>,
        source: &Path,
    ) -> Result<Self> {
        let target = Target::make(scratch, "live", server)?;
        fill(program, &target, &chat_model(source))?;
        Ok(Self { program, target, source: source.to_owned() })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.program);
        command.arg("--json").arg("-C").arg(&self.target.directory).args(arguments);
        // settings of the person at the keyboard are not part of the measurement
        for name in ["REPOT_MODEL", "REPOT_SOURCE", "REPOT_LOG", "USE_DATABASE", "USE_NEW_DATA_LAYER"] {
            command.env_remove(name);
        }
        match self.target.url() {
            Some(url) => command.env("DATABASE_URL", url),
            None => command.env_remove("DATABASE_URL"),
        };
        command
    }

    /// Serves the documents, wherever they are in their move.
    pub(crate) fn serve(&self) -> Result<Process> {
        Process::start(&mut self.command(&["serve", "--listen", "127.0.0.1:0"]))
    }

    /// Serves the files alone, without any move.
    pub(crate) fn serve_files(&self, files: &Path) -> Result<Process> {
        let files = files.to_string_lossy();
        Process::start(&mut self.command(&["serve", "--listen", "127.0.0.1:0", "--store", &files]))
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
        bail!("repot copy --follow of {} ended", self.source.display())
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
