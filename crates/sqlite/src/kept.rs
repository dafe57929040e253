//! Changes that are kept beside a document's text: `repot_pending`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::connection::Connection;
use repot_core::{Outline, Result};
use repot_model::plan::RowsWanted;
use repot_model::row::RowBuffer;
use rusqlite::{OptionalExtension as _, Row};

use crate::error::{damaged, failed};
use crate::marks;
use crate::rows::Access;
use crate::statements::{column_name, same};

/// Rows of one answer; one is wanted, and a second says that it is not alone.
const ROWS_MOST: usize = 2;

/// By object, in order: a change and the `ETag` after it.
pub(crate) type Kept = BTreeMap<i64, Vec<(String, Vec<u8>)>>;

/// What is kept for the objects with numbers of this range.
pub(crate) fn of_objects(connection: &Connection, (first, last): (i64, i64)) -> Result<Kept> {
    let run = || -> rusqlite::Result<Kept> {
        let mut kept = Kept::new();
        let mut statement = connection.prepare_cached(
            "select object, etag, change from repot_pending where object between ?1 and ?2 and seq > 0 order by object, seq",
        )?;
        let mut rows = statement.query((first, last))?;
        while let Some(row) = rows.next()? {
            kept.entry(row.get(0)?).or_default().push((row.get(1)?, row.get(2)?));
        }
        Ok(kept)
    };
    run().map_err(failed("read what is kept beside documents"))
}

static OUTLINE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "select o.id, o.status = 0 and o.frame is null and d.code is null, d.collection, d.key, coalesce(p.etag, d.etag), d.size, {}, \
         coalesce(p.seq, 0), p.standing, exists (select 1 from repot_pending as z where z.object = o.id and z.seq = 0), \
         d.dictionary, case when p.seq is null and d.size <= {} then d.text end \
         from repot_objects as o join repot_documents as d on d.object = o.id and d.ordinal = 0 \
         left join repot_pending as p on p.object = o.id and p.seq = (select max(l.seq) from repot_pending as l where l.object = o.id and l.seq > 0) \
         where o.path = ?1",
        marks::stamp_sql("d.collection", "d.key"),
        Outline::TEXT_BYTES_MAX,
    )
});

/// The first document of the object with this path.
pub(crate) fn outline(connection: &Connection, path: &str) -> Result<Option<Outline>> {
    connection
        .prepare_cached(&OUTLINE)
        .and_then(|mut statement| statement.query_row([path], read_outline).optional())
        .map_err(failed("look at a document"))?
        .transpose()
}

fn read_outline(row: &Row<'_>) -> rusqlite::Result<Result<Outline>> {
    let size: i64 = row.get(5)?;
    let Ok(size) = u64::try_from(size) else {
        return Ok(Err(damaged(format!("a document has the size {size}"))));
    };
    Ok(Ok(Outline {
        object: row.get(0)?,
        is_whole: row.get(1)?,
        collection: row.get(2)?,
        key: row.get(3)?,
        etag: row.get(4)?,
        size,
        stamp: row.get(6)?,
        seq: row.get(7)?,
        standing: row.get::<_, Option<Vec<u8>>>(8)?.unwrap_or_default(),
        skips: row.get(9)?,
        text: row.get::<_, Option<_>>(10)?.zip(row.get(11)?),
    }))
}

/// Paths of documents with something kept beside them, after this one.
pub(crate) fn page(connection: &Connection, after: &str, most: usize) -> Result<Vec<String>> {
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let run = || -> rusqlite::Result<Vec<String>> {
        connection
            .prepare_cached(
                "select o.path from repot_objects as o where o.path > ?1 \
                 and o.id in (select p.object from repot_pending as p where p.seq > 0) order by o.path limit ?2",
            )?
            .query_map((after, most), |row| row.get(0))?
            .collect()
    };
    run().map_err(failed("read what is kept beside documents"))
}

/// The rows that are wanted.
pub(crate) fn rows(access: Access<'_>, wanted: &RowsWanted) -> Result<RowBuffer> {
    let mut found = RowBuffer::new();
    for row in access.select(wanted.table, &sql(access, wanted), &wanted.cells)? {
        found.raw(&row);
        found.end_row(wanted.table);
    }
    Ok(found)
}

fn sql(access: Access<'_>, wanted: &RowsWanted) -> String {
    let table = &access.plan.tables[wanted.table];
    let equal: Vec<String> =
        wanted.columns.iter().enumerate().map(|(at, &column)| same(table, column, at + 1)).collect();
    let last = table.position.filter(|_| wanted.last);
    let order = last.map_or_else(
        || format!("limit {ROWS_MOST}"),
        |column| format!("order by {} desc limit 1", column_name(table, column)),
    );
    format!("{} where {} {order}", access.sql.tables[wanted.table].scan, equal.join(" and "))
}
