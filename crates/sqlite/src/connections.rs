//! More connections to the file: any number that read, one that writes.

use std::path::PathBuf;

use repot_core::{Connections, Echo, Error, Idling, Kind, Reader, Result, Target, Writers};

use crate::connect::SqliteOptions;
use crate::error::failed;
use crate::reader::SqliteReader;
use crate::target::SqliteTarget;

/// Opens connections that read.
#[derive(Debug)]
pub(crate) struct SqliteConnections {
    pub path: PathBuf,
    pub options: SqliteOptions,
    pub echo: Option<Echo>,
}

impl Connections for SqliteConnections {
    fn reader(&self) -> Result<Box<dyn Reader>> {
        Ok(Box::new(SqliteReader::open(&self.path, &self.options, self.echo.as_ref())?))
    }

    fn can_fetch(&self) -> bool {
        false
    }

    fn writers_max(&self) -> usize {
        // a second one would only wait for the first
        1
    }

    fn writer(&self) -> Result<Box<dyn Target>> {
        Err(Error::new(Kind::Unsupported, "R0405", "a SQLite file has one writing connection"))
    }
}

/// A connection to a file has nobody at its other end who could go away.
impl Idling for SqliteTarget {
    fn wake(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Nobody writes while this has the only lock for that.
impl Writers for SqliteTarget {
    fn writers(&mut self) -> Result<Vec<String>> {
        if let Some(connection) = self.connection(false)? {
            let kept_out = connection.run("begin immediate").and_then(|()| connection.run("rollback"));
            kept_out.map_err(failed("wait for who writes"))?;
        }
        Ok(Vec::new())
    }
}

impl Idling for SqliteReader {
    fn wake(&mut self) -> Result<()> {
        Ok(())
    }
}
