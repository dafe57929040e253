//! Two connections that see one state.

use repot_core::{ReaderPair, Result, Snapshots};
use rusqlite::ErrorCode;

use crate::connect;
use crate::error::failed;
use crate::reader::SqliteReader;
use crate::target::SqliteTarget;

const WHAT: &str = "begin to read";

impl Snapshots for SqliteTarget {
    fn reader_pair(&self) -> Result<ReaderPair> {
        let (path, options, echo) = self.opening();
        let open = || SqliteReader::open(path, options, echo);
        let mut readers = [open()?, open()?];
        // nobody writes between the beginnings of the two
        let lock = connect::writer(path, (options, echo), false)?;
        match lock.run("begin immediate") {
            Ok(()) => {}
            // who may not write here keeps nobody else from it; a file that cannot be written is at rest
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::ReadOnly) => {}
            Err(error) => return Err(failed(WHAT)(error)),
        }
        for reader in &mut readers {
            // a transaction sees the state of its first read
            reader
                .begin()?
                .query_row("select count(*) from sqlite_schema", [], |_| Ok(()))
                .map_err(failed(WHAT))?;
        }
        drop(lock);
        Ok(readers.map(|reader| Box::new(reader) as _))
    }
}
