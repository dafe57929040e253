//! What the figures were measured on.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

/// The machine and the programs, as the report names them.
#[derive(Debug)]
pub(crate) struct Machine {
    /// What, and which.
    pub(crate) facts: Vec<(&'static str, String)>,
}

impl Machine {
    /// Looks; `postgres` is what the server said of itself.
    pub(crate) fn look(postgres: Option<String>) -> Self {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let cpu = line("/proc/cpuinfo", "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned());
        let mut facts = vec![
            ("processor", format!("{cpu}, {cores} cores")),
            ("memory", line("/proc/meminfo", "MemTotal").unwrap_or_default()),
            ("system", format!("{} {}", std::env::consts::OS, first_line("/proc/sys/kernel/osrelease"))),
            ("load average before", first_line("/proc/loadavg")),
            ("compiler", output("rustc", &["--version"])),
            ("SQLite", rusqlite::version().to_owned()),
        ];
        if let Some(postgres) = postgres {
            facts.push(("PostgreSQL", postgres));
        }
        Self { facts }
    }

    /// As a JSON object.
    pub(crate) fn json(&self) -> Value {
        let facts = self.facts.iter().map(|(name, value)| ((*name).to_owned(), json!(value)));
        Value::Object(facts.collect())
    }
}

fn first_line(path: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().next().unwrap_or_default().to_owned()
}

fn line(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim_start_matches([' ', '\t', ':']).to_owned())
}

fn output(program: &str, arguments: &[&str]) -> String {
    Command::new(program).args(arguments).output().map_or_else(
        |error| format!("{program}: {error}"),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}
