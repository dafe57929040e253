//! Looks into the database, past Repot: what has arrived there?

use std::path::Path;

use anyhow::Result;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _};

use crate::database::Session;
use crate::target::Target;

const SQL: &str = "select title from conversations where id = ";

/// A reading connection.
#[derive(Debug)]
pub(crate) enum Eyes {
    Sqlite(Connection),
    Postgres(Session),
}

impl Eyes {
    pub(crate) fn open(target: &Target) -> Result<Self> {
        Ok(match target.url() {
            Some(url) => Self::Postgres(Session::open(url)?),
            None => Self::Sqlite(Connection::open_with_flags(
                Path::new(&target.text()),
                OpenFlags::SQLITE_OPEN_READ_ONLY,
            )?),
        })
    }

    /// The title of a conversation as its row has it.
    pub(crate) fn title(&mut self, id: &str) -> Result<Option<String>> {
        Ok(match self {
            Self::Sqlite(connection) => connection
                .prepare_cached(&format!("{SQL}?1"))?
                .query_row([id], |row| row.get(0))
                .optional()?,
            Self::Postgres(session) => {
                let row =
                    session.block_on(async |client| client.query_opt(&format!("{SQL}$1"), &[&id]).await)?;
                row.map(|row| row.try_get(0)).transpose()?
            }
        })
    }
}
