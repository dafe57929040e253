//! Two connections that see one state.

use repot_core::{ReaderPair, Result, Snapshots};

use crate::error::failed;
use crate::target::PostgresTarget;

const WHAT: &str = "begin to read";

impl Snapshots for PostgresTarget {
    fn reader_pair(&self) -> Result<ReaderPair> {
        let (mut first, mut second) = (self.open_reader()?, self.open_reader()?);
        let exported = first.run(|connection| async move {
            let row = connection.client.query_one("select pg_export_snapshot()", &[]).await;
            row.and_then(|row| row.try_get::<_, String>(0)).map_err(|error| failed(WHAT, error))
        })?;
        second.run(|connection| async move {
            let sql = format!("set transaction snapshot '{exported}'");
            connection.client.batch_execute(&sql).await.map_err(|error| failed(WHAT, error))
        })?;
        Ok([Box::new(first), Box::new(second)])
    }
}
