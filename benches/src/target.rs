//! Where a step loads to: a new SQLite file or a new PostgreSQL database each time.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use repot_model::plan::Plan;
use repot_model::sql::quote;
use rusqlite::{Connection, OpenFlags};

use crate::database::Session;

/// Which database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Engine {
    /// The embedded one.
    Sqlite,
    /// The server.
    Postgres,
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        })
    }
}

/// An empty place, removed when it is dropped.
#[derive(Debug)]
pub(crate) struct Target {
    /// `repot` works here: its model file, and with SQLite the database.
    pub(crate) directory: PathBuf,
    /// On PostgreSQL: the server, the database's name, and the URL of the database.
    server: Option<(String, String, String)>,
}

impl Target {
    /// Makes one. `server`: the URL of any database of the PostgreSQL server, or none for SQLite.
    pub(crate) fn make(scratch: &Path, name: &str, server: Option<&str>) -> Result<Self> {
        let directory = scratch.join(name);
        fs::create_dir_all(&directory)?;
        let server = match server {
            None => None,
            Some(server) => {
                let name = format!("repot_bench_{}_{name}", std::process::id());
                Session::open(server)?
                    .run(&format!("create database {} template template0", quote(&name)))?;
                Some((server.to_owned(), name.clone(), with_database(server, &name)?))
            }
        };
        Ok(Self { directory, server })
    }

    /// Makes a copy of the PostgreSQL database at `url`, which nobody may be connected to.
    pub(crate) fn copy_of(scratch: &Path, name: &str, server: &str, url: &str) -> Result<Self> {
        let target = Self::make(scratch, name, Some(server))?;
        let (_, copy, _) = target.server.as_ref().context("it is on a server")?;
        let from = url.rsplit('/').next().and_then(|rest| rest.split('?').next()).context("a database")?;
        let mut session = Session::open(server)?;
        session.run(&format!("drop database {}", quote(copy)))?;
        session.run(&format!("create database {} template {}", quote(copy), quote(from)))?;
        Ok(target)
    }

    /// The PostgreSQL database's URL.
    pub(crate) fn url(&self) -> Option<&str> {
        self.server.as_ref().map(|(_, _, url)| url.as_str())
    }

    /// What the limit is told: the URL, or the SQLite file's path.
    pub(crate) fn text(&self) -> String {
        self.url().map_or_else(|| self.file().to_string_lossy().into_owned(), str::to_owned)
    }

    fn file(&self) -> PathBuf {
        self.directory.join("repot.db")
    }

    /// Rows of each of the plan's tables.
    pub(crate) fn counts(&self, plan: &Plan) -> Result<Vec<u64>> {
        let sql = |name: &str| format!("select cast(count(*) as text) from {}", quote(name));
        let mut counts = Vec::new();
        if let Some(url) = self.url() {
            let mut session = Session::open(url)?;
            for table in &plan.tables {
                counts.push(session.text(&sql(&table.name))?.parse()?);
            }
        } else {
            let connection = Connection::open_with_flags(self.file(), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
            for table in &plan.tables {
                let count: String = connection.query_row(&sql(&table.name), [], |row| row.get(0))?;
                counts.push(count.parse()?);
            }
        }
        Ok(counts)
    }

    /// Bytes of the database.
    pub(crate) fn size(&self) -> Result<u64> {
        match self.url() {
            Some(url) => {
                let sql = "select pg_database_size(current_database())::text";
                Ok(Session::open(url)?.text(sql)?.parse()?)
            }
            None => Ok(fs::metadata(self.file())?.len()),
        }
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // what stays behind after a failure goes with the scratch directory or the server
        drop(fs::remove_dir_all(&self.directory));
        if let Some((server, name, _)) = &self.server {
            drop(
                Session::open(server)
                    .and_then(|mut session| session.run(&format!("drop database {}", quote(name)))),
            );
        }
    }
}

/// The same URL with another database.
fn with_database(url: &str, name: &str) -> Result<String> {
    let (scheme, rest) = url.split_once("://").context("the URL of a server begins with postgresql://")?;
    let (rest, query) = rest.split_once('?').map_or((rest, None), |(rest, query)| (rest, Some(query)));
    let authority = rest.split_once('/').map_or(rest, |(authority, _)| authority);
    let query = query.map_or_else(String::new, |query| format!("?{query}"));
    Ok(format!("{scheme}://{authority}/{name}{query}"))
}

#[cfg(test)]
mod tests {
    use super::with_database;

    #[test]
    fn another_database_on_the_same_server() {
        for (url, expected) in [
            ("postgresql://a:b@h:1/db?x=y/z", "postgresql://a:b@h:1/new?x=y/z"),
            ("postgresql://h", "postgresql://h/new"),
        ] {
            assert_eq!(with_database(url, "new").unwrap(), expected);
        }
        assert!(with_database("h/db", "new").is_err());
    }
}
