//! The PostgreSQL server that tests share; each test makes its own database on it.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::requirement::{missing, variable};

/// A running server that tests may make databases on.
#[derive(Debug, Clone)]
pub struct PgServer {
    pub(crate) url: String,
    pub(crate) psql: PathBuf,
}

/// The server named by `REPOT_TEST_POSTGRES` (`cargo xtask test` starts one), or `None` after a printed skip.
///
/// # Panics
/// If there is none and `CI` or `REPOT_REQUIRE_SERVERS=1` demands it.
#[must_use]
pub fn postgres() -> Option<PgServer> {
    let Some(url) = variable("REPOT_TEST_POSTGRES") else {
        missing("PostgreSQL", "run cargo xtask test", &["REPOT_REQUIRE_SERVERS", "CI"]);
        return None;
    };
    let psql = find_psql().expect("psql is installed wherever a PostgreSQL server for tests is");
    Some(PgServer { url, psql })
}

/// The URL of a new, empty database of its own for the calling test, or `None` after a printed skip.
///
/// ```no_run
/// let Some(url) = repot_testkit::postgres::fresh_database() else { return };
/// assert!(url.starts_with("postgresql://"));
/// ```
///
/// # Panics
/// As [`postgres`], and if the server refuses.
#[must_use]
pub fn fresh_database() -> Option<String> {
    Some(postgres()?.fresh_database())
}

impl PgServer {
    /// The URL of the server's maintenance database.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Makes a new, empty database and gives its URL. It lives as long as the server does.
    ///
    /// # Panics
    /// If the server refuses.
    #[must_use]
    pub fn fresh_database(&self) -> String {
        let name = unique_name();
        self.run(&self.url, &format!("create database {name} template template0"));
        with_database(&self.url, &name)
    }

    /// The URL of the same database through the pgbouncer in transaction mode that `REPOT_TEST_PGBOUNCER` names
    /// (`cargo xtask test` starts it before this server), or `None` after a printed skip.
    ///
    /// # Panics
    /// If there is none and `CI` or `REPOT_REQUIRE_SERVERS=1` demands it, or `url` names no database.
    #[must_use]
    pub fn pooled(&self, url: &str) -> Option<String> {
        let Some(pooler) = variable("REPOT_TEST_PGBOUNCER") else {
            missing("pgbouncer", "run cargo xtask test", &["REPOT_REQUIRE_SERVERS", "CI"]);
            return None;
        };
        Some(with_database(&pooler, database(url).expect("the URL of a test's database names it")))
    }

    /// Runs SQL on the database `url` with psql, for preparing what a test needs, and gives what it printed:
    /// unaligned, a row a line, fields parted by `|`.
    ///
    /// # Panics
    /// If a statement fails.
    #[must_use]
    #[expect(clippy::panic, reason = "a test that cannot prepare its database has failed")]
    pub fn query(&self, url: &str, sql: &str) -> String {
        self.try_query(url, sql).unwrap_or_else(|said| panic!("psql failed on {sql:?}: {said}"))
    }

    /// Like [`PgServer::query`]; gives what psql says when a statement fails.
    ///
    /// # Errors
    /// The server's message.
    ///
    /// # Panics
    /// When psql cannot be started.
    pub fn try_query(&self, url: &str, sql: &str) -> Result<String, String> {
        let mut command = Command::new(&self.psql);
        command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", sql]);
        let output = command.output().expect("psql can be started");
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        Ok(String::from_utf8(output.stdout).expect("test servers speak UTF-8"))
    }

    fn run(&self, url: &str, sql: &str) {
        let printed = self.query(url, sql);
        assert!(printed.is_empty(), "{sql} printed {printed}");
    }
}

/// A name that no other test process uses, also when process numbers come round again.
fn unique_name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let chance = RandomState::new().build_hasher().finish();
    format!("repot_{}_{count}_{chance:016x}", std::process::id())
}

/// Replaces the database in a server URL, keeping its parameters.
fn with_database(url: &str, name: &str) -> String {
    let (address, parameters) = url.split_once('?').map_or((url, None), |(left, right)| (left, Some(right)));
    let after_scheme = address.find("://").map_or(0, |at| at + 3);
    let server = match address.rfind('/') {
        Some(at) if at >= after_scheme => address.split_at(at).0,
        _ => address,
    };
    match parameters {
        Some(parameters) => format!("{server}/{name}?{parameters}"),
        None => format!("{server}/{name}"),
    }
}

/// The database that a URL names.
fn database(url: &str) -> Option<&str> {
    let address = url.split_once('?').map_or(url, |(address, _)| address);
    let (_, after_scheme) = address.split_once("://")?;
    after_scheme.split_once('/').map(|(_, name)| name).filter(|name| !name.is_empty())
}

/// psql beside the server that `cargo xtask test` started, on the path, or where Debian puts it.
pub(crate) fn find_psql() -> Option<PathBuf> {
    folders().map(|folder| folder.join("psql")).find(|candidate| candidate.is_file())
}

/// Where PostgreSQL's programs may be.
pub(crate) fn folders() -> impl Iterator<Item = PathBuf> {
    let beside = variable("REPOT_TEST_POSTGRES_BIN").map(PathBuf::from);
    let path = variable("PATH").unwrap_or_default();
    let on_path: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let packaged = versions.map(|version| version.path().join("bin"));
    beside.into_iter().chain(on_path).chain(packaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn database_in_a_url_is_replaced() {
        assert_eq!(with_database("postgresql://u@h:1/postgres", "x"), "postgresql://u@h:1/x");
        assert_eq!(with_database("postgresql://u@h:1", "x"), "postgresql://u@h:1/x");
        assert_eq!(
            with_database("postgresql://u@h/a?sslmode=disable", "x"),
            "postgresql://u@h/x?sslmode=disable"
        );
    }

    #[test]
    fn database_of_a_url_is_found() {
        assert_eq!(database("postgresql://u@h:1/x"), Some("x"));
        assert_eq!(database("postgresql://u@h/a?sslmode=disable&x=/y"), Some("a"));
        assert_eq!(database("postgresql://u@h:1"), None);
        assert_eq!(database("postgresql://u@h:1/"), None);
    }

    #[test]
    fn the_pooler_leads_to_the_same_database() {
        let Some(server) = postgres() else { return };
        let url = server.fresh_database();
        let Some(pooled) = server.pooled(&url) else { return };
        assert_ne!(pooled, url);
        let asked = server.query(&url, "create table t(i int); insert into t values (7)");
        assert_eq!(asked, "");
        assert_eq!(
            server.query(&pooled, "select i, current_database() from t"),
            format!("7|{}\n", database(&url).unwrap())
        );
    }

    #[test]
    fn names_differ() {
        assert_ne!(unique_name(), unique_name());
    }

    #[test]
    fn fresh_databases_are_empty_and_apart() {
        let Some(server) = postgres() else { return };
        let (first, second) = (server.fresh_database(), server.fresh_database());
        assert_ne!(first, second);
        assert_eq!(
            server.query(&first, "create table t(i int); insert into t values (7); select i from t"),
            "7\n"
        );
        let tables = "select count(*) from information_schema.tables where table_schema = 'public'";
        assert_eq!(server.query(&second, tables), "0\n");
        assert_eq!(server.query(&second, "show server_encoding"), "UTF8\n");
        assert_eq!(server.query(&second, "show synchronous_commit"), "on\n");
    }
}
