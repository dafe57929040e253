//! The states of many documents by one statement.

use std::sync::LazyLock;

use repot_core::store::{MADE_BYTES, made_ms, millis};
use repot_core::{DocumentState, FoundObject, Member, Reader as _, Result, StateReader};

use crate::error::failed;
use crate::marks;
use crate::reader::SqliteReader;

/// The keys are a JSON list, so that there is one statement for every number of them.
static STATES: LazyLock<String> = LazyLock::new(|| {
    format!(
        "select d.key, coalesce(p.etag, d.etag), {}, o.modified_ns, substr(p.change, 1, {MADE_BYTES}) \
         from json_each(?2) as j cross join repot_documents as d on d.collection = ?1 and d.key = j.value \
         cross join repot_objects as o on o.id = d.object \
         left join repot_pending as p on p.object = d.object \
         and p.seq = (select max(l.seq) from repot_pending as l where l.object = d.object and l.seq > 0)",
        marks::stamp_sql("d.collection", "d.key")
    )
});

/// The objects are a JSON list, too.
static MEMBERS: LazyLock<String> = LazyLock::new(|| {
    let kept = "from repot_pending as p where p.object = d.object and p.seq > 0";
    format!(
        "select d.object, d.ordinal, d.collection, d.key, coalesce((select p.etag {kept} order by p.seq desc limit 1), d.etag), {}, \
         exists (select 1 {kept}) from repot_documents as d where d.object in (select value from json_each(?1)) order by d.object, d.ordinal",
        marks::stamp_sql("d.collection", "d.key")
    )
});

impl StateReader for SqliteReader {
    fn stored_unless(&mut self, path: &str, _known: &str) -> Result<Option<FoundObject>> {
        // the text is at hand
        self.stored(path)
    }

    fn members(&mut self, objects: &[i64]) -> Result<Vec<Member>> {
        let list: Vec<String> = objects.iter().map(i64::to_string).collect();
        let list = format!("[{}]", list.join(","));
        let connection = self.begin()?;
        let run = || -> rusqlite::Result<Vec<Member>> {
            let mut statement = connection.prepare_cached(&MEMBERS)?;
            let rows = statement.query_map([list], |row| {
                Ok(Member {
                    object: row.get(0)?,
                    ordinal: row.get(1)?,
                    collection: row.get(2)?,
                    key: row.get(3)?,
                    etag: row.get(4)?,
                    stamp: row.get(5)?,
                    is_kept: row.get(6)?,
                })
            })?;
            rows.collect()
        };
        run().map_err(failed("read the states of documents"))
    }

    fn states(&mut self, collection: &str, keys: &[String]) -> Result<Vec<DocumentState>> {
        let mut list = String::from("[");
        for key in keys {
            if list.len() > 1 {
                list.push(',');
            }
            repot_json::edit::quote_into(key, &mut list);
        }
        list.push(']');
        let connection = self.begin()?;
        let run = || -> rusqlite::Result<Vec<DocumentState>> {
            let mut statement = connection.prepare_cached(&STATES)?;
            let rows = statement.query_map((collection, list), |row| {
                let modified_ms = match row.get::<_, Option<Vec<u8>>>(4)? {
                    Some(made) => made_ms(&made),
                    None => millis(row.get(3)?),
                };
                Ok(DocumentState { key: row.get(0)?, etag: row.get(1)?, stamp: row.get(2)?, modified_ms })
            })?;
            rows.collect()
        };
        run().map_err(failed("read the states of documents"))
    }
}
