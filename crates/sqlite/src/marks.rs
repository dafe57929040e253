//! Marks: what plain SQL changed since a document's text was written. Triggers set them; here they are read, and go with
//! the writes that meet them.

use crate::connection::Connection;
use repot_core::{Batch, Error, Kind, Mark, Result, Retry};
use rusqlite::OptionalExtension as _;

use crate::error::failed;

/// The tables of marks, changes and what is kept beside texts (`seq` 0: nothing may be), the view that says who writes, and the view that the triggers insert into.
pub(crate) const TABLES: &str = "\
create table if not exists repot_touched (
  collection text not null,
  key text not null,
  stamp integer not null,
  primary key (collection, key)
) strict, without rowid;
create table if not exists repot_changes (
  seq integer primary key,
  collection text not null,
  tenant text,
  key text not null,
  path text,
  kind integer not null,
  at_ms integer not null
) strict;
create table if not exists repot_pending (
  object integer not null,
  seq integer not null,
  etag text not null,
  change blob not null,
  standing blob not null,
  primary key (object, seq)
) strict, without rowid;
create view if not exists repot_writer as select exists (select 1 from repot_changes where seq = 9223372036854775807) as busy;";

/// The stamp of a document's mark, as a part of a statement: it counts the mark of its whole collection too.
pub(crate) fn stamp_sql(collection: &str, key: &str) -> String {
    format!(
        "(select coalesce(sum(t.stamp), 0) from repot_touched as t where t.collection = {collection} and t.key in ({key}, '*'))"
    )
}

/// The stamp of a document's mark; 0: none.
pub(crate) fn stamp(connection: &Connection, collection: &str, key: &str) -> Result<i64> {
    connection
        .prepare_cached(&format!("select {}", stamp_sql("?1", "?2")))
        .and_then(|mut statement| statement.query_row((collection, key), |row| row.get(0)).optional())
        .map(Option::unwrap_or_default)
        .map_err(failed("read a mark"))
}

/// A page of marks.
pub(crate) fn page(
    connection: &Connection,
    (collection, key): (&str, &str),
    new: Option<&str>,
    most: usize,
) -> Result<Vec<Mark>> {
    let mut sql = "select t.collection, t.key, t.stamp from repot_touched as t \
                   where (t.collection, t.key) > (?1, ?2) and (?3 is null or t.collection = ?3)"
        .to_owned();
    if new.is_some() {
        sql.push_str(
            " and not exists (select 1 from repot_documents as d where d.collection = t.collection and d.key = t.key)",
        );
    }
    sql.push_str(" order by t.collection, t.key limit ?4");
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let read = || -> rusqlite::Result<Vec<Mark>> {
        connection
            .prepare_cached(&sql)?
            .query_map((collection, key, new, most), |row| {
                Ok(Mark { collection: row.get(0)?, key: row.get(1)?, stamp: row.get(2)? })
            })?
            .collect()
    };
    read().map_err(failed("read the marks"))
}

/// Takes away the marks that the batch meets.
pub(crate) fn meet(connection: &Connection, batch: &Batch) -> Result<()> {
    for mark in &batch.marks {
        if stamp(connection, &mark.collection, &mark.key)? != mark.stamp {
            let message = format!("{}/{} was changed with SQL meanwhile", mark.collection, mark.key);
            return Err(Error::new(Kind::Unavailable, "R0411", message)
                .retry(Retry::Safe)
                .hint("Send it again."));
        }
        if mark.stamp != 0 {
            connection
                .prepare_cached("delete from repot_touched where collection = ?1 and key = ?2")
                .and_then(|mut statement| statement.execute((&mark.collection, &mark.key)))
                .map_err(failed("remove a mark"))?;
        }
    }
    Ok(())
}
