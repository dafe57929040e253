//! The change log: what our own writes put into it, reading it, and what is old enough to go. One writer at a time numbers
//! the changes by the order of their commits.

use crate::connection::Connection;
use repot_core::change_log::{
    ChangeKind, ChangeRetention, FormerDocument, PRUNED_TO, StoredChange, StoredChanges, changes_of,
};
use repot_core::{Batch, Result};
use rusqlite::Row;

use crate::error::{damaged, failed};
use crate::records::Refused;
use crate::schema::{begin, set_meta};

/// Changes removed by one transaction.
const PRUNED_AT_ONCE: usize = 1_000;

/// Logs what a batch changes, from what its objects held before.
pub(crate) fn log(
    connection: &Connection,
    batch: &Batch,
    former: &[FormerDocument],
    refused: &Refused,
) -> Result<()> {
    let Some(at_ms) = batch.at_ms else { return Ok(()) };
    let is_refused = |item: usize, document: usize| {
        let item = &batch.items[item];
        !refused.is_empty()
            && refused.contains_key(&(item.object.path.clone(), item.documents[document].ordinal))
    };
    let changes = changes_of(&batch.items, former, &is_refused);
    if changes.is_empty() {
        return Ok(());
    }
    let insert = || -> rusqlite::Result<()> {
        let mut statement = connection.prepare_cached(
            "insert into repot_changes (seq, collection, key, path, kind, at_ms) \
             select coalesce(max(seq), 0) + 1, ?1, ?2, ?3, ?4, ?5 from repot_changes where seq < 9223372036854775807",
        )?;
        for change in &changes {
            let kind = change.kind as i16;
            statement.execute((change.collection, &change.key, change.path, kind, at_ms))?;
        }
        Ok(())
    };
    insert().map_err(failed("log changes"))
}

/// Where the log stands, and changes after a position, by one statement.
pub(crate) fn read(connection: &Connection, after: i64, most: usize) -> Result<StoredChanges> {
    const SQL: &str = "\
select h.pruned, h.newest, h.oldest, (select at_ms from repot_changes where seq = h.oldest), c.*
from (select (select value from repot_meta where key = ?3) as pruned, (select max(seq) from repot_changes) as newest,
  (select min(seq) from repot_changes) as oldest) as h
left join (
  select r.seq, r.collection, r.tenant, r.key,
    coalesce(r.path, (select o.path from repot_documents as d join repot_objects as o on o.id = d.object
      where d.collection = r.collection and d.key = r.key limit 1)),
    r.path is null, r.kind, r.at_ms
  from repot_changes as r where r.seq > ?1 order by r.seq limit ?2) as c on true
order by c.seq";
    let what = "read the change log";
    let mut found = StoredChanges::default();
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(SQL).map_err(failed(what))?;
    let mut rows = statement.query((after, most, PRUNED_TO)).map_err(failed(what))?;
    while let Some(row) = rows.next().map_err(failed(what))? {
        if found.rows.is_empty() {
            found = stand(row).map_err(failed(what))??;
        }
        found.rows.extend(change(row).map_err(failed(what))??);
    }
    Ok(found)
}

fn stand(row: &Row<'_>) -> rusqlite::Result<Result<StoredChanges>> {
    let pruned: Option<String> = row.get(0)?;
    let Ok(pruned_to) = pruned.as_deref().unwrap_or("0").parse() else {
        return Ok(Err(damaged(format!("repot_meta has no proper {PRUNED_TO}"))));
    };
    let newest = row.get::<_, Option<i64>>(1)?.unwrap_or(0).max(pruned_to);
    let oldest = row.get::<_, Option<i64>>(2)?.zip(row.get(3)?);
    Ok(Ok(StoredChanges { pruned_to, newest, oldest, unnumbered: false, rows: Vec::new() }))
}

fn change(row: &Row<'_>) -> rusqlite::Result<Result<Option<StoredChange>>> {
    let Some(position) = row.get::<_, Option<i64>>(4)? else { return Ok(Ok(None)) };
    let number = row.get(10)?;
    let Some(kind) = ChangeKind::from_number(number) else {
        return Ok(Err(damaged(format!("change {position} has the kind {number}"))));
    };
    Ok(Ok(Some(StoredChange {
        position,
        collection: row.get(5)?,
        tenant: row.get(6)?,
        key: row.get(7)?,
        path: row.get(8)?,
        by_sql: row.get(9)?,
        kind,
        at_ms: row.get(11)?,
    })))
}

/// Removes some of what is old enough; `true`: there may be more.
pub(crate) fn prune(connection: &Connection, keep: ChangeRetention, now_ms: i64) -> Result<bool> {
    let what = "prune the change log";
    let transaction = begin(connection, what)?;
    let oldest = || -> rusqlite::Result<Vec<(i64, i64)>> {
        let mut statement =
            connection.prepare_cached("select seq, at_ms from repot_changes order by seq limit ?1")?;
        let most = i64::try_from(PRUNED_AT_ONCE).unwrap_or(i64::MAX);
        statement.query_map([most], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
    };
    let rows = oldest().map_err(failed(what))?;
    let newest: Option<i64> = connection
        .query_row("select max(seq) from repot_changes", (), |row| row.get(0))
        .map_err(failed(what))?;
    let Some(to) = keep.prunes_to(&rows, newest.unwrap_or(0), now_ms) else { return Ok(false) };
    connection.execute("delete from repot_changes where seq <= ?1", [to]).map_err(failed(what))?;
    set_meta(connection, PRUNED_TO, Some(&to.to_string()))?;
    transaction.commit().map_err(failed(what))?;
    Ok(rows.len() == PRUNED_AT_ONCE && rows.last().is_some_and(|&(last, _)| last == to))
}
