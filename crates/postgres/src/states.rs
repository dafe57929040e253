//! The states of many documents by one statement.

use std::sync::LazyLock;

use repot_core::{DocumentState, Result, StateReader};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::error::failed;
use crate::marks;
use crate::parameters::{listed, one};
use crate::reader::PostgresReader;

static STATES: LazyLock<String> = LazyLock::new(|| {
    format!(
        "select d.key, coalesce((select p.etag from repot_pending p where p.object = d.object and p.seq > 0 order by p.seq desc limit 1), d.etag), {} \
         from repot_documents d where d.collection = $1 and d.key = any($2)",
        marks::stamp_sql("d.collection", "d.key")
    )
});

impl StateReader for PostgresReader {
    fn states(&mut self, collection: &str, keys: &[String]) -> Result<Vec<DocumentState>> {
        const WHAT: &str = "read the states of documents";
        let given = vec![one(collection.to_owned(), Type::TEXT), one(keys.to_vec(), Type::TEXT_ARRAY)];
        let state = |row: &Row| -> Result<DocumentState, tokio_postgres::Error> {
            Ok(DocumentState { key: row.try_get(0)?, etag: row.try_get(1)?, stamp: row.try_get(2)? })
        };
        let rows = self.run(|connection| async move {
            let read = connection.client.query_again(&STATES, &listed(&given)).await;
            read.map_err(|error| failed(WHAT, error))
        })?;
        rows.iter().map(state).collect::<Result<_, _>>().map_err(|error| failed(WHAT, error))
    }
}
