//! The two servers as processes of their own, which end with their handles.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::child::cpu_seconds;

/// A server at work.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl Process {
    /// Starts it; the first line that it prints says where it listens.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        // settings of the person at the keyboard are not part of the measurement
        for name in ["REPOT_MODEL", "REPOT_SOURCE", "REPOT_LISTEN", "REPOT_LOG", "DATABASE_ECHO"] {
            command.env_remove(name);
        }
        let shown = format!("{command:?}");
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut child = child.with_context(|| format!("starting {shown}"))?;
        let out = child.stdout.take().context("its output")?;
        // from here on it is ended whatever fails
        let mut process = Self { child, address: ([127, 0, 0, 1], 0).into() };
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line)?;
        let told: Option<Value> = serde_json::from_str(&line).ok();
        let told = told.as_ref().and_then(|line| line.get("address")?.as_str()).unwrap_or(line.trim());
        process.address = told.parse().with_context(|| format!("{shown} said `{told}`"))?;
        Ok(process)
    }

    /// Processor time so far, seconds; 0 where the system does not tell.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        cpu_seconds(&format!("/proc/{}", self.child.id())).unwrap_or(0.0)
    }

    /// Resident memory in KiB, at its most since it began and now; 0 where the system does not tell.
    pub(crate) fn memory_kib(&self) -> (u64, u64) {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let find = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim().strip_suffix("kB")?.trim().parse().ok()
        };
        (find("VmHWM:").unwrap_or(0), find("VmRSS:").unwrap_or(0))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // nothing more can be done for a server that is to vanish anyway
        drop(self.child.kill().and_then(|()| self.child.wait()));
    }
}
