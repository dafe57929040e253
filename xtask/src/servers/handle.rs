//! The running servers as the task that needs them sees them.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::{install, keeper};

/// Servers that run until this value goes away.
#[derive(Debug)]
pub(crate) struct Servers {
    keeper: Child,
    variables: Vec<(String, String)>,
}

impl Servers {
    /// Installs what is missing and starts the servers.
    pub(crate) fn start() -> Result<Self, String> {
        install::ensure()?;
        let program =
            std::env::current_exe().map_err(|error| format!("this program has no path: {error}"))?;
        let mut command = Command::new(program);
        // A group of its own, so that Ctrl-C reaches the tests and not the one who cleans up after them.
        command.arg(keeper::KEEP).process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut keeper =
            command.spawn().map_err(|error| format!("the keeper of the servers did not start: {error}"))?;
        let printed = keeper.stdout.take().map(BufReader::new);
        let mut servers = Self { keeper, variables: Vec::new() };
        for line in printed.into_iter().flat_map(BufRead::lines) {
            let line = line.map_err(|error| format!("the keeper of the servers cannot be heard: {error}"))?;
            match line.split_once('=') {
                Some((name, value)) => servers.variables.push((name.to_owned(), value.to_owned())),
                None => return Ok(servers),
            }
        }
        Err("the test servers did not start (the reason stands above)".to_owned())
    }

    /// What to set for the tests.
    pub(crate) fn variables(&self) -> Vec<(&str, &str)> {
        self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    /// The servers, for the person who watches.
    pub(crate) fn description(&self) -> String {
        let addresses = self.variables().into_iter().filter(|(_, value)| value.contains("://"));
        addresses.map(|(_, value)| value).collect::<Vec<_>>().join(", ")
    }

    /// Where tests note that they skipped themselves.
    pub(crate) fn skip_log(&self) -> PathBuf {
        let value = self.variables.iter().find(|(name, _)| name == "REPOT_SKIP_LOG").map(|(_, value)| value);
        value.map_or_else(PathBuf::new, |path| Path::new(path).to_path_buf())
    }

    /// Stops the servers and waits until they and their folder are gone.
    pub(crate) fn stop(mut self) -> Result<(), String> {
        self.end()
    }

    /// Closes the pipe, which is the word to stop, and waits; a second time it finds the same end.
    fn end(&mut self) -> Result<(), String> {
        drop(self.keeper.stdin.take());
        match self.keeper.wait() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("the test servers did not stop cleanly ({status})")),
            Err(error) => Err(format!("the keeper of the servers cannot be waited for: {error}")),
        }
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("warning: {error}");
        }
    }
}
