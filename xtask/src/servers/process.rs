//! One server process: started, awaited until it answers, stopped by signals that get harder.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::command::run;

/// How long a server may take to answer, on a machine that is busy with other builds.
const START: Duration = Duration::from_secs(60);

/// How long each signal may take to work.
const STOP: Duration = Duration::from_secs(8);

const POLL: Duration = Duration::from_millis(20);

/// A running server, stopped with the value.
#[derive(Debug)]
pub(super) struct Server {
    name: &'static str,
    child: Child,
    log: PathBuf,
    signals: &'static [&'static str],
    patience: Duration,
}

impl Server {
    /// Starts a server that writes what it has to say to `log` and stops on `signals`, tried in order.
    pub(super) fn spawn(
        name: &'static str,
        command: &mut Command,
        log: &Path,
        signals: &'static [&'static str],
    ) -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("{name} cannot be started: {error}");
        let out = File::create(log).map_err(failed)?;
        let err = out.try_clone().map_err(failed)?;
        let child = command.stdin(Stdio::null()).stdout(out).stderr(err).spawn().map_err(failed)?;
        Ok(Self { name, child, log: log.to_path_buf(), signals, patience: STOP })
    }

    /// Waits until `answers` says so; a server that ends or stays silent is an error with the end of its log.
    pub(super) fn await_ready(&mut self, mut answers: impl FnMut() -> bool) -> Result<(), String> {
        let started = Instant::now();
        while started.elapsed() < START {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("{} ended at once ({status}): {}", self.name, last_lines(&self.log)));
            }
            if answers() {
                return Ok(());
            }
            sleep(POLL);
        }
        Err(format!("{} did not answer within {START:?}: {}", self.name, last_lines(&self.log)))
    }

    /// Stops the server by its process id.
    pub(super) fn stop(mut self) -> Result<(), String> {
        self.end()
    }

    fn end(&mut self) -> Result<(), String> {
        for signal in self.signals {
            if self.ended_within(Duration::ZERO)? {
                return Ok(());
            }
            // The child is not yet waited for, so its number cannot have gone to another process.
            run(Command::new("sh").arg("-c").arg(format!("kill -{signal} {}", self.child.id())))?;
            if self.ended_within(self.patience)? {
                return Ok(());
            }
        }
        Err(format!("{} (process {}) does not stop", self.name, self.child.id()))
    }

    fn ended_within(&mut self, limit: Duration) -> Result<bool, String> {
        let started = Instant::now();
        loop {
            let status = self
                .child
                .try_wait()
                .map_err(|error| format!("{} cannot be waited for: {error}", self.name))?;
            if status.is_some() {
                return Ok(true);
            }
            if started.elapsed() >= limit {
                return Ok(false);
            }
            sleep(POLL);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("warning: {error}");
        }
    }
}

/// A port of 127.0.0.1 that nobody listens on now.
pub(super) fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
    listener.map(|address| address.port()).map_err(|error| format!("there is no free port: {error}"))
}

fn last_lines(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines.split_at(lines.len().saturating_sub(5)).1.join("\n")
}

#[cfg(test)]
mod tests {
    use super::super::folder::Folder;
    use super::*;

    fn shell(folder: &Folder, script: &str, signals: &'static [&'static str]) -> Server {
        let log = folder.path().join("log");
        Server::spawn("shell", Command::new("sh").arg("-c").arg(script), &log, signals).unwrap()
    }

    #[test]
    fn a_harder_signal_stops_what_the_first_does_not() {
        let folder = Folder::create().unwrap();
        let mut server =
            shell(&folder, "trap '' INT; echo up; while :; do sleep 0.05; done", &["INT", "KILL"]);
        let log = server.log.clone();
        server.await_ready(|| last_lines(&log) == "up").unwrap();
        server.patience = Duration::from_millis(200);
        let id = server.child.id();
        server.stop().unwrap();
        assert!(!Path::new(&format!("/proc/{id}")).exists());
    }

    #[test]
    fn a_server_that_ends_is_reported_with_its_log() {
        let folder = Folder::create().unwrap();
        let mut server = shell(&folder, "echo no room >&2; exit 3", &["TERM"]);
        let error = server.await_ready(|| false).unwrap_err();
        assert!(error.contains("no room") && error.contains('3'), "{error}");
        server.stop().unwrap();
    }
}
