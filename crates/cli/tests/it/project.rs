//! A folder with a model, data and a database, and the command run in it.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use repot_testkit::TempTree;
use serde_json::Value;

/// Where rows go.
#[derive(Debug, Clone)]
pub(crate) enum Database {
    Sqlite,
    Postgres(String),
}

/// SQLite, and PostgreSQL where there is a server.
pub(crate) fn databases() -> Vec<Database> {
    let postgres = repot_testkit::postgres::fresh_database().map(Database::Postgres);
    std::iter::once(Database::Sqlite).chain(postgres).collect()
}

/// A project folder.
#[derive(Debug)]
pub(crate) struct Project {
    pub folder: TempTree,
    pub database: Database,
}

/// What a run printed and how it ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// The last JSON line.
    pub(crate) fn result(&self) -> Value {
        let line = self.out.lines().last().unwrap_or_default();
        serde_json::from_str(line).unwrap_or_else(|error| panic!("no JSON ({error}) in {self:?}"))
    }

    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "\nout: {}\nerr: {}", self.out, self.err);
        self
    }
}

impl Project {
    pub(crate) fn new(database: Database) -> Self {
        Self { folder: TempTree::new(), database }
    }

    /// With this model file and these data.
    pub(crate) fn with(database: Database, model: &str, data: &[(&str, &[u8])]) -> Self {
        let project = Self::new(database);
        project.folder.write("repot.toml", model);
        for (path, bytes) in data {
            project.folder.write(Path::new("data").join(path), bytes);
        }
        project
    }

    /// A sample app with its model.
    pub(crate) fn app(name: &str, database: Database) -> Self {
        let project = Self::new(database);
        let app = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../apps").join(name);
        repot_testkit::copy_tree(&app, project.folder.path()).unwrap();
        project
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.folder.join(path)
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_repot"));
        command.arg("-C").arg(self.folder.path()).args(words);
        without_settings(&mut command);
        if let Database::Postgres(url) = &self.database {
            command.env("DATABASE_URL", url);
        }
        command
    }

    pub(crate) fn run(&self, words: &[&str]) -> Ran {
        ran(&self.command(words).output().unwrap())
    }

    /// One value of a query.
    pub(crate) fn ask(&self, sql: &str) -> String {
        let result = self.run(&["query", "--json", sql]).expect(0).result();
        let row = &result["rows"][0];
        let value = row.as_object().and_then(|row| row.values().next()).cloned();
        match value {
            Some(Value::String(text)) => text,
            other => format!("{other:?}"),
        }
    }

    /// Runs SQL behind Repot's back.
    pub(crate) fn sql(&self, sql: &str) {
        match &self.database {
            Database::Sqlite => {
                rusqlite::Connection::open(self.path("repot.db")).unwrap().execute_batch(sql).unwrap();
            }
            Database::Postgres(url) => {
                let server = repot_testkit::postgres::postgres().unwrap();
                let _answer = server.query(url, sql);
            }
        }
    }
}

/// Runs a command with this text on its standard input.
pub(crate) fn fed(command: &mut Command, text: &str) -> Ran {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    ran(&child.wait_with_output().unwrap())
}

/// Takes away what the environment of the tests says: settings of their own, and whatever a developer has set.
pub(crate) fn without_settings(command: &mut Command) {
    let ours = [
        "REPOT_",
        "DATABASE_",
        "POSTGRES_",
        "CACHE_",
        "REDIS_",
        "AWS_",
        "R2_",
        "USE_",
        "ENABLE_CACHE",
        "COUNCIL_",
    ];
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| ours.iter().any(|start| name.starts_with(start))) {
            command.env_remove(name);
        }
    }
}

pub(crate) fn ran(output: &Output) -> Ran {
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
