//! The states of many documents by one statement.

use std::sync::LazyLock;

use repot_core::store::{MADE_BYTES, made_ms, millis};
use repot_core::{Answer, DocumentState, FoundObject, Member, Reader as _, Result, StateReader};
use repot_model::sql::query::{BETWEEN_KEYS, KEYS, Statement};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::ahead;
use crate::ask::Behind;
use crate::error::failed;
use crate::parameters::{given, listed};
use crate::reader::PostgresReader;
use crate::{marks, stored};

const WHAT: &str = "read the states of documents";

/// Mostly nothing of the collection is marked, and often nothing is kept beside texts: that is asked once, and not of each. The keys
/// are rows, so that however few documents there are, none is compared with all of them.
fn states(keys: &str) -> String {
    format!(
        "select d.key, coalesce(p.etag, d.etag), \
         case when (select exists (select from repot_touched m where m.collection = $1)) then {} else 0 end, o.modified_ns, p.made \
         from (select distinct unnest({keys}) as key) k join repot_documents d on d.collection = $1 and d.key = k.key \
         join repot_objects o on o.id = d.object \
         left join lateral (select l.etag, substring(l.change from 1 for {MADE_BYTES}) as made from repot_pending l \
         where (select exists (select from repot_pending)) and l.object = d.object and l.seq > 0 order by l.seq desc limit 1) p on true",
        marks::stamp_sql("d.collection", "d.key")
    )
}

static STATES: LazyLock<String> = LazyLock::new(|| states("$2::text[]"));

/// The same of the documents whose rows the statement before it gave.
static STATES_OF_ROWS: LazyLock<String> =
    LazyLock::new(|| states(&format!("string_to_array(current_setting('{KEYS}'), '{BETWEEN_KEYS}')")));

/// The documents of objects.
static MEMBERS: LazyLock<String> = LazyLock::new(|| {
    let kept = "from repot_pending p where p.object = d.object and p.seq > 0";
    format!(
        "select d.object, d.ordinal::bigint, d.collection, d.key, \
         coalesce((select p.etag {kept} order by p.seq desc limit 1), d.etag), {}, exists (select {kept}) \
         from repot_documents d where d.object = any($1) order by d.object, d.ordinal",
        marks::stamp_sql("d.collection", "d.key")
    )
});

fn member(row: &Row) -> Result<Member, tokio_postgres::Error> {
    Ok(Member {
        object: row.try_get(0)?,
        ordinal: u32::try_from(row.try_get::<_, i64>(1)?).unwrap_or(u32::MAX),
        collection: row.try_get(2)?,
        key: row.try_get(3)?,
        etag: row.try_get(4)?,
        stamp: row.try_get(5)?,
        is_kept: row.try_get(6)?,
    })
}

fn told(rows: &[Row]) -> Result<Vec<DocumentState>> {
    let state = |row: &Row| -> Result<DocumentState, tokio_postgres::Error> {
        let modified_ms = match row.try_get::<_, Option<&[u8]>>(4)? {
            Some(made) => made_ms(made),
            None => millis(row.try_get(3)?),
        };
        Ok(DocumentState { key: row.try_get(0)?, etag: row.try_get(1)?, stamp: row.try_get(2)?, modified_ms })
    };
    rows.iter().map(state).collect::<Result<_, _>>().map_err(|error| failed(WHAT, error))
}

impl StateReader for PostgresReader {
    fn stored_unless(&mut self, path: &str, known: &str) -> Result<Option<FoundObject>> {
        if self.begun {
            // it may have been read ahead
            return self.stored(path);
        }
        let parameters = vec![given(path.to_owned(), Type::TEXT), given(known.to_owned(), Type::TEXT)];
        let rows = self.rows_now("read a document", &stored::FOUND_UNLESS, parameters)?;
        rows.first().map(stored::found_unless).transpose()
    }

    fn members(&mut self, objects: &[i64]) -> Result<Vec<Member>> {
        let given = vec![given(objects.to_vec(), Type::INT8_ARRAY)];
        let rows = self.run(|connection| async move {
            let read = connection.client.query_again(&MEMBERS, &listed(&given)).await;
            read.map_err(|error| failed(WHAT, error))
        })?;
        rows.iter().map(member).collect::<Result<_, _>>().map_err(|error| failed(WHAT, error))
    }

    fn states(&mut self, collection: &str, keys: &[String]) -> Result<Vec<DocumentState>> {
        let given = vec![given(collection.to_owned(), Type::TEXT), given(keys.to_vec(), Type::TEXT_ARRAY)];
        let rows = self.run(|connection| async move {
            let read = connection.client.query_again(&STATES, &listed(&given)).await;
            read.map_err(|error| failed(WHAT, error))
        })?;
        told(&rows)
    }

    fn expect(&mut self, paths: Vec<String>) -> Result<()> {
        if paths.is_empty() || !self.begun || self.within.is_some() {
            return Ok(());
        }
        self.expected =
            self.run(|connection| async move { Ok(ahead::stored(&connection.client, &paths).await?) })?;
        Ok(())
    }

    fn ask_with_states(
        &mut self,
        statement: &Statement,
        collection: &str,
        bytes_max: usize,
    ) -> Result<Option<(Answer, Vec<DocumentState>)>> {
        if self.begun || !statement.keyed {
            return Ok(None);
        }
        let behind = Behind { what: WHAT, sql: &STATES_OF_ROWS, value: collection.to_owned() };
        let (answer, rows) = self.asked_with(statement, bytes_max, Some(&behind))?;
        Ok(Some((answer, told(&rows)?)))
    }
}
