//! Opening the database: settings of writing and of reading connections.

use std::path::Path;
use std::time::Duration;

use crate::connection::Connection;
use repot_core::{Echo, Error, Kind, Loading, Result};
use rusqlite::OpenFlags;
use rusqlite::config::DbConfig;

use crate::error::failed;

/// Bounds of a [`crate::SqliteTarget`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SqliteOptions {
    /// Page cache of the writing connection, bytes.
    pub write_cache_bytes: u32,
    /// Page cache of each reading connection, bytes.
    pub read_cache_bytes: u32,
    /// How long to wait for another program's lock, milliseconds.
    pub busy_timeout_ms: u32,
    /// How large the write-ahead log may grow before it is brought into the database, bytes.
    pub log_bytes: u32,
    /// Page size of a database that is made new: a power of two from 512 to 65,536.
    pub page_bytes: u32,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            write_cache_bytes: 16 << 20,
            read_cache_bytes: 4 << 20,
            busy_timeout_ms: 10_000,
            log_bytes: 256 << 20,
            page_bytes: 4_096,
        }
    }
}

/// Opens for writing. `create`: make the file when it is missing.
pub(crate) fn writer(
    path: &Path,
    (options, echo): (&SqliteOptions, Option<&Echo>),
    create: bool,
) -> Result<Connection> {
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if create {
        flags |= OpenFlags::SQLITE_OPEN_CREATE;
    }
    let connection = open(path, flags, (options, echo), options.write_cache_bytes)?;
    let set = || -> rusqlite::Result<()> {
        // takes effect on an empty file only
        connection.pragma_update(None, "page_size", options.page_bytes)?;
        // references are looked after in `references`: what SQLite would do on its own (cascades into other
        // documents, refusals that depend on the order) would part the rows from the documents
        connection.pragma_update(None, "foreign_keys", false)?;
        connection.pragma_update(None, "synchronous", "full")
    };
    set().map_err(failed("open the database"))?;
    Ok(connection)
}

/// Opens for reading.
pub(crate) fn reader(path: &Path, options: &SqliteOptions, echo: Option<&Echo>) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = open(path, flags, (options, echo), options.read_cache_bytes)?;
    connection.pragma_update(None, "query_only", true).map_err(failed("open the database"))?;
    crate::ask::prepare(&connection).map_err(failed("open the database"))?;
    Ok(connection)
}

fn open(
    path: &Path,
    flags: OpenFlags,
    (options, echo): (&SqliteOptions, Option<&Echo>),
    cache_bytes: u32,
) -> Result<Connection> {
    const STATEMENTS_KEPT: usize = 512;
    if !flags.contains(OpenFlags::SQLITE_OPEN_CREATE) && !path.exists() {
        return Err(Error::new(
            Kind::TargetUnavailable,
            "R0106",
            format!("there is no database at {}", path.display()),
        )
        .hint("Check the path; `repot copy` makes the database."));
    }
    let what = format!("open {}", path.display());
    let connection = rusqlite::Connection::open_with_flags(path, flags).map_err(failed(&what))?;
    let set = || -> rusqlite::Result<()> {
        connection.busy_timeout(Duration::from_millis(u64::from(options.busy_timeout_ms)))?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DDL, false)?;
        // where there are statistics, a statement would be prepared again for each value that it is given
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        connection.pragma_update(None, "cache_size", -i64::from(cache_bytes / 1024))?;
        connection.pragma_update(None, "mmap_size", 0)
    };
    set().map_err(failed(&what))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    Ok(Connection::new(connection, echo.cloned()))
}

/// Turns to the write-ahead log, which lets readers go on while one writes.
pub(crate) fn use_log(connection: &Connection) -> Result<()> {
    connection.pragma_update(None, "journal_mode", "wal").map_err(failed("turn to the write-ahead log"))
}

/// How durable a commit is, and how often the log is brought into the database.
pub(crate) fn settle(connection: &Connection, loading: Loading, options: &SqliteOptions) -> Result<()> {
    let set = || -> rusqlite::Result<()> {
        let page: u32 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
        let pages = i64::from(options.log_bytes / page.max(512)).max(100);
        connection.pragma_update(None, "wal_autocheckpoint", pages)?;
        // a bulk load is durable against a crash of the process; `finish` makes it so against a power cut
        let synchronous = if loading == Loading::Bulk { "normal" } else { "full" };
        connection.pragma_update(None, "synchronous", synchronous)
    };
    set().map_err(failed("set up the database"))
}
