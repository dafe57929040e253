//! A piece of work that happens whole or not at all: a transaction, or a savepoint where one is under way.

use crate::connection::Connection;
use repot_core::Result;

use crate::error::failed;

const WHAT: &str = "load a batch";

/// Undone when it is dropped before [`Work::keep`].
pub(crate) struct Work<'c> {
    connection: &'c Connection,
    inner: bool,
    open: bool,
}

impl<'c> Work<'c> {
    /// Begins; a transaction writes from its beginning, so that waiting for others happens here.
    pub(crate) fn begin(connection: &'c Connection) -> Result<Self> {
        let inner = !connection.is_autocommit();
        let sql = if inner { "savepoint work" } else { "begin immediate" };
        connection.run(sql).map_err(failed(WHAT))?;
        Ok(Self { connection, inner, open: true })
    }

    /// The transaction that was begun on this connection.
    pub(crate) const fn begun(connection: &'c Connection) -> Self {
        Self { connection, inner: false, open: true }
    }

    pub(crate) fn connection(&self) -> &'c Connection {
        self.connection
    }

    /// What was done stays; of a savepoint, when the transaction does.
    pub(crate) fn keep(mut self) -> Result<()> {
        let sql = if self.inner { "release work" } else { "commit" };
        self.connection.run(sql).map_err(failed(WHAT))?;
        self.open = false;
        Ok(())
    }

    /// Nothing was done.
    pub(crate) fn undo(mut self) -> Result<()> {
        self.open = false;
        self.back().map_err(failed(WHAT))
    }

    fn back(&self) -> rusqlite::Result<()> {
        // some errors end the transaction by themselves
        if self.connection.is_autocommit() {
            return Ok(());
        }
        self.connection.execute_batch(if self.inner { "rollback to work; release work" } else { "rollback" })
    }
}

impl Drop for Work<'_> {
    fn drop(&mut self) {
        if self.open {
            // the error that led here is the one to tell; a transaction that cannot be rolled back ends with its connection
            let _told_already = self.back();
        }
    }
}
