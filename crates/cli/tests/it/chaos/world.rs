//! What a world is made of: a source, a database, and lines to both.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use repot_s3lab::S3Lab;
use repot_testkit::postgres::PgServer;
use repot_testkit::{Line, OwnPostgres, TempTree, Tree};

use crate::project::{Database, Project, Ran, fed, ran};

/// SQLite's files, where one of the databases is one.
const OLD: &str = "sqlite:///old.db";
const NEW: &str = "sqlite:///repot.db";

/// Where documents come from, and where they go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    BucketToPostgres,
    DirectoryToPostgres,
    DirectoryToSqlite,
    PostgresToPostgres,
    SqliteToPostgres,
}

/// What becomes of what is written past the move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Past {
    Written,
    /// The old database keeps it out.
    Refused,
    /// The old database was out of reach on the way.
    Unknown,
}

/// Where documents come from.
#[derive(Debug)]
enum Source {
    Directory,
    Bucket(S3Lab),
    Database(Database),
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
    source: Source,
    server: Option<PgServer>,
}

/// The address in a URL: `SCHEME://[USER@]ADDRESS[/PATH]`.
fn address(url: &str) -> SocketAddr {
    let after = url.split_once("://").unwrap().1.split('/').next().unwrap();
    after.rsplit('@').next().unwrap().parse().unwrap()
}

/// A line to this database; there is none to a file.
fn line_to(database: &Database) -> Option<Line> {
    match database {
        Database::Postgres(url) => Some(Line::to(address(url))),
        Database::Sqlite => None,
    }
}

/// The database's URL, over this line.
fn url_over(database: &Database, sqlite: &str, line: Option<&Line>) -> String {
    match (database, line) {
        (Database::Postgres(url), Some(line)) => {
            url.replace(&address(url).to_string(), &line.address().to_string())
        }
        (Database::Postgres(url), None) => url.clone(),
        (Database::Sqlite, _) => sqlite.to_owned(),
    }
}

impl World {
    /// With the PostgreSQL that is its own; `None` where there is none on this machine.
    pub(super) fn new(kind: Kind) -> Option<(Self, Option<OwnPostgres>)> {
        let own = if kind == Kind::DirectoryToSqlite { None } else { Some(OwnPostgres::start()?) };
        let server = own.as_ref().map(OwnPostgres::server);
        let fresh =
            || server.as_ref().map_or(Database::Sqlite, |server| Database::Postgres(server.fresh_database()));
        let project = Project::app("council", fresh());
        let source = match kind {
            Kind::DirectoryToPostgres | Kind::DirectoryToSqlite => Source::Directory,
            Kind::BucketToPostgres => {
                let lab = S3Lab::start();
                for (path, bytes) in repot_testkit::read_tree(&project.path("data")).unwrap() {
                    lab.put(format!("app/{}", path.display()), bytes);
                }
                Source::Bucket(lab)
            }
            Kind::PostgresToPostgres => Source::Database(fresh()),
            Kind::SqliteToPostgres => Source::Database(Database::Sqlite),
        };
        let world = Self { project, source, server };
        if let Some(mut copy) = world.alone(&["copy"]) {
            ran(&copy.output().unwrap()).expect(0);
        }
        if kind != Kind::DirectoryToPostgres && kind != Kind::DirectoryToSqlite {
            std::fs::remove_dir_all(world.project.path("data")).unwrap();
        }
        Some((world, own))
    }

    /// A command over the old database, of somebody who knows nothing of a move; `None`: documents come from files.
    fn alone(&self, words: &[&str]) -> Option<Command> {
        let Source::Database(old) = &self.source else { return None };
        let mut command = self.project.command(words);
        command.env("REPOT_LOG", "off").env("DATABASE_URL", url_over(old, OLD, None));
        Some(command)
    }

    /// Lines for one more process.
    pub(super) fn lines(&self) -> Lines {
        let source = match &self.source {
            Source::Directory => None,
            Source::Bucket(lab) => Some(Line::to(address(&lab.endpoint()))),
            Source::Database(old) => line_to(old),
        };
        Lines { source, database: line_to(&self.project.database) }
    }

    /// The command over these lines, or straight. It does not outlive the thread that starts it.
    pub(super) fn command(&self, lines: Option<&Lines>, words: &[&str]) -> Command {
        let mut plain = self.project.command(words);
        plain.env("REPOT_LOG", "off");
        let line = lines.and_then(|lines| lines.source.as_ref());
        match &self.source {
            Source::Directory => {}
            Source::Bucket(lab) => {
                let endpoint =
                    line.map_or_else(|| lab.endpoint(), |line| format!("http://{}", line.address()));
                plain.env("REPOT_SOURCE", format!("s3://{}/app", lab.bucket()));
                plain.env("REPOT_SOURCE_ENDPOINT", endpoint);
                plain.env("AWS_ACCESS_KEY_ID", lab.access_key());
                plain.env("AWS_SECRET_ACCESS_KEY", lab.secret_key());
            }
            Source::Database(old) => {
                plain.env("REPOT_SOURCE", url_over(old, OLD, line));
            }
        }
        let line = lines.and_then(|lines| lines.database.as_ref());
        plain.env("DATABASE_URL", url_over(&self.project.database, NEW, line));
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

    /// Whether the old store refuses those who take no part while it does not lead.
    pub(super) const fn keeps_out(&self) -> bool {
        matches!(self.source, Source::Database(_))
    }

    /// Another program writes a file, an object, or the old database.
    pub(super) fn put_past(&self, path: &str, text: &str) -> Past {
        match &self.source {
            Source::Bucket(lab) => lab.put(format!("app/{path}"), text.as_bytes()),
            Source::Directory => {
                let path = self.project.path("data").join(path);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, text).unwrap();
            }
            Source::Database(_) => {
                let (user, id) = path.strip_suffix(".json").unwrap().split_once('/').unwrap();
                let mut put = self.alone(&["put", "conversations", id, "--tenant", user]).unwrap();
                let put = fed(&mut put, text);
                match put.code {
                    0 => {}
                    11 if put.err.contains("R0725") => return Past::Refused,
                    // its line was cut, or the server killed
                    11 => return Past::Unknown,
                    _ => panic!("{put:?}"),
                }
            }
        }
        Past::Written
    }

    /// The documents in the source.
    pub(super) fn documents(&self) -> Tree {
        match &self.source {
            Source::Database(_) => {
                let folder = TempTree::new();
                let words = ["export", folder.path().to_str().unwrap()];
                ran(&self.alone(&words).unwrap().output().unwrap()).expect(0);
                repot_testkit::read_tree(folder.path()).unwrap()
            }
            // whoever is killed leaves a trial of what the bucket can do, or a file that was not in its place yet
            _ => self.tree().into_iter().filter(|(path, _)| !is_ours(path)).collect(),
        }
    }

    /// How many notes of what was written without the new database are beside the documents.
    pub(super) fn notes(&self) -> usize {
        match &self.source {
            Source::Database(old) => {
                let sql = "select cast(count(*) as text) from repot_facts where kind = 'object' and name like '.repot/notes%'";
                self.asked(old, OLD, sql).parse().unwrap()
            }
            _ => self.tree().keys().filter(|path| path.starts_with(".repot/notes")).count(),
        }
    }

    fn tree(&self) -> Tree {
        match &self.source {
            Source::Bucket(lab) => {
                let own = |key: String| key.strip_prefix("app/").map(Into::into);
                lab.objects().into_iter().filter_map(|(key, bytes)| Some((own(key)?, bytes))).collect()
            }
            _ => repot_testkit::read_tree(&self.project.path("data")).unwrap(),
        }
    }

    pub(super) const fn is_sqlite(&self) -> bool {
        matches!(self.project.database, Database::Sqlite)
    }

    /// The first value that the new database gives for this.
    pub(super) fn sql(&self, sql: &str) -> String {
        self.asked(&self.project.database, NEW, sql)
    }

    fn asked(&self, database: &Database, sqlite: &str, sql: &str) -> String {
        match database {
            Database::Postgres(url) => self.server.as_ref().unwrap().query(url, sql).trim().to_owned(),
            Database::Sqlite => {
                let path = sqlite.strip_prefix("sqlite:///").unwrap();
                let file = rusqlite::Connection::open(self.project.path(path)).unwrap();
                file.query_row(sql, [], |row| row.get::<_, Option<String>>(0)).unwrap().unwrap_or_default()
            }
        }
    }
}

fn is_ours(path: &Path) -> bool {
    path.iter().any(|part| part.to_string_lossy().starts_with(".repot"))
}
