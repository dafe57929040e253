//! The driver's connection, which tells the statements that it runs to whoever wants to see them.

use std::ops::{Deref, DerefMut};

use repot_core::Echo;
use rusqlite::{CachedStatement, Params, Result, Row, Statement};

/// A connection to the file. A statement that is prepared is told when it is prepared, not each time it is run.
#[derive(Debug)]
pub(crate) struct Connection {
    inner: rusqlite::Connection,
    echo: Option<Echo>,
}

impl Connection {
    pub(crate) const fn new(inner: rusqlite::Connection, echo: Option<Echo>) -> Self {
        Self { inner, echo }
    }

    fn say(&self, sql: &str) {
        if let Some(echo) = &self.echo {
            echo.say(sql);
        }
    }

    pub(crate) fn execute_batch(&self, sql: &str) -> Result<()> {
        self.say(sql);
        self.inner.execute_batch(sql)
    }

    /// Runs a statement that has no values and gives none, and that is run often.
    pub(crate) fn run(&self, sql: &str) -> Result<()> {
        self.prepare_cached(sql)?.execute(()).map(drop)
    }

    pub(crate) fn execute<P: Params>(&self, sql: &str, values: P) -> Result<usize> {
        self.say(sql);
        self.inner.execute(sql, values)
    }

    pub(crate) fn query_row<T, P: Params, F: FnOnce(&Row<'_>) -> Result<T>>(
        &self,
        sql: &str,
        values: P,
        map: F,
    ) -> Result<T> {
        self.say(sql);
        self.inner.query_row(sql, values, map)
    }

    pub(crate) fn prepare(&self, sql: &str) -> Result<Statement<'_>> {
        self.say(sql);
        self.inner.prepare(sql)
    }

    pub(crate) fn prepare_cached(&self, sql: &str) -> Result<CachedStatement<'_>> {
        self.say(sql);
        self.inner.prepare_cached(sql)
    }
}

/// Settings, functions, and the state of the connection.
impl Deref for Connection {
    type Target = rusqlite::Connection;

    fn deref(&self) -> &rusqlite::Connection {
        &self.inner
    }
}

impl DerefMut for Connection {
    fn deref_mut(&mut self) -> &mut rusqlite::Connection {
        &mut self.inner
    }
}
