//! Reading and writing in one transaction, which keeps every other writer out from its beginning.

use repot_core::{Batch, Decide, LoadReport, Result};
use repot_model::plan::Plan;

use crate::error::failed;
use crate::load;
use crate::reader::SqliteReader;
use crate::rows::Access;
use crate::target::SqliteTarget;
use crate::work::Work;

impl SqliteTarget {
    /// Lets `decide` read in a transaction that writes, and applies what it gives.
    pub(crate) fn decided(&mut self, plan: &Plan, decide: Decide<'_>) -> Result<LoadReport> {
        // a transaction that an earlier call left behind by a panic in `decide` went with its connection
        let (_, sql, loading) = self.ready(plan)?;
        let Some(connection) = self.take_connection() else { return Ok(LoadReport::default()) };
        if let Err(error) = connection.run("begin immediate") {
            self.give_connection(connection);
            return Err(failed("begin to write")(error));
        }
        let mut reader = SqliteReader::within(connection, self.path(), std::sync::Arc::clone(&sql));
        let decided = decide(&mut reader);
        let connection = reader.into_connection();
        let work = Work::begun(&connection);
        let applied = decided.and_then(|batch| match batch {
            None => work.undo().map(|()| LoadReport::default()),
            Some(batch) => {
                let batch = Batch { all_or_nothing: true, ..batch };
                let report =
                    load::load(Access { connection: &connection, plan, sql: &sql }, &batch, loading)?;
                if report.refused.is_empty() {
                    work.keep()?;
                } else {
                    work.undo()?;
                }
                Ok(report)
            }
        });
        self.give_connection(connection);
        applied
    }
}
