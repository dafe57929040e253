//! What a world is made of: a source, a database, and lines to both.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use repot_s3lab::S3Lab;
use repot_testkit::postgres::PgServer;
use repot_testkit::{Line, OwnPostgres, Tree};

use crate::project::{Database, Project, Ran, ran};

/// Where documents come from, and where they go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    BucketToPostgres,
    DirectoryToPostgres,
    DirectoryToSqlite,
}

/// A process's lines; there is none to what is a file.
#[derive(Debug)]
pub(super) struct Lines {
    pub source: Option<Line>,
    pub database: Option<Line>,
}

impl Lines {
    pub(super) fn of(&self, side: Side) -> Option<&Line> {
        match side {
            Side::Source => self.source.as_ref(),
            Side::Database => self.database.as_ref(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Source,
    Database,
}

#[derive(Debug)]
pub(super) struct World {
    pub project: Project,
    lab: Option<S3Lab>,
    server: Option<PgServer>,
}

/// The address in a URL: `SCHEME://[USER@]ADDRESS[/PATH]`.
fn address(url: &str) -> SocketAddr {
    let after = url.split_once("://").unwrap().1.split('/').next().unwrap();
    after.rsplit('@').next().unwrap().parse().unwrap()
}

impl World {
    /// With the PostgreSQL that is its own; `None` where there is none on this machine.
    pub(super) fn new(kind: Kind) -> Option<(Self, Option<OwnPostgres>)> {
        let own = if kind == Kind::DirectoryToSqlite { None } else { Some(OwnPostgres::start()?) };
        let server = own.as_ref().map(OwnPostgres::server);
        let database =
            server.as_ref().map_or(Database::Sqlite, |server| Database::Postgres(server.fresh_database()));
        let project = Project::app("council", database);
        let lab = (kind == Kind::BucketToPostgres).then(|| {
            let lab = S3Lab::start();
            for (path, bytes) in repot_testkit::read_tree(&project.path("data")).unwrap() {
                lab.put(format!("app/{}", path.display()), bytes);
            }
            std::fs::remove_dir_all(project.path("data")).unwrap();
            lab
        });
        Some((Self { project, lab, server }, own))
    }

    /// Lines for one more process.
    pub(super) fn lines(&self) -> Lines {
        let database = match &self.project.database {
            Database::Postgres(url) => Some(Line::to(address(url))),
            Database::Sqlite => None,
        };
        Lines { source: self.lab.as_ref().map(|lab| Line::to(address(&lab.endpoint()))), database }
    }

    /// The command over these lines, or straight. It does not outlive the thread that starts it.
    pub(super) fn command(&self, lines: Option<&Lines>, words: &[&str]) -> Command {
        let mut plain = self.project.command(words);
        plain.env("REPOT_LOG", "off");
        if let Some(lab) = &self.lab {
            let line = lines.and_then(|lines| lines.source.as_ref());
            let endpoint = line.map_or_else(|| lab.endpoint(), |line| format!("http://{}", line.address()));
            plain.env("REPOT_SOURCE", format!("s3://{}/app", lab.bucket()));
            plain.env("REPOT_SOURCE_ENDPOINT", endpoint);
            plain.env("AWS_ACCESS_KEY_ID", lab.access_key());
            plain.env("AWS_SECRET_ACCESS_KEY", lab.secret_key());
        }
        if let (Database::Postgres(url), Some(line)) =
            (&self.project.database, lines.and_then(|lines| lines.database.as_ref()))
        {
            plain.env("DATABASE_URL", url.replace(&address(url).to_string(), &line.address().to_string()));
        }
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(plain.get_program()).args(plain.get_args());
        for (name, value) in plain.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
    }

    /// Runs a command over lines that always flow.
    pub(super) fn run(&self, words: &[&str]) -> Ran {
        ran(&self.command(None, words).output().unwrap())
    }

    /// Another program writes a file, or an object.
    pub(super) fn put_file(&self, path: &str, text: &str) {
        match &self.lab {
            Some(lab) => lab.put(format!("app/{path}"), text.as_bytes()),
            None => {
                let path = self.project.path("data").join(path);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, text).unwrap();
            }
        }
    }

    /// The documents in the source, and what stands beside them.
    pub(super) fn files(&self) -> (Tree, Tree) {
        let tree = match &self.lab {
            None => repot_testkit::read_tree(&self.project.path("data")).unwrap(),
            Some(lab) => {
                let own = |key: String| key.strip_prefix("app/").map(Into::into);
                lab.objects().into_iter().filter_map(|(key, bytes)| Some((own(key)?, bytes))).collect()
            }
        };
        // also what whoever is killed leaves: a trial of what the bucket can do, a file that was not in its place yet
        let is_ours = |path: &Path| path.iter().any(|part| part.to_string_lossy().starts_with(".repot"));
        tree.into_iter().partition(|(path, _)| !is_ours(path))
    }

    pub(super) fn is_sqlite(&self) -> bool {
        self.server.is_none()
    }

    /// The first value that the database gives for this.
    pub(super) fn sql(&self, sql: &str) -> String {
        match &self.project.database {
            Database::Postgres(url) => self.server.as_ref().unwrap().query(url, sql).trim().to_owned(),
            Database::Sqlite => {
                let file = rusqlite::Connection::open(self.project.path("repot.db")).unwrap();
                file.query_row(sql, [], |row| row.get::<_, Option<String>>(0)).unwrap().unwrap_or_default()
            }
        }
    }
}
