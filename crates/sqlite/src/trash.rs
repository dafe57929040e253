//! Deleted documents that can be had back: `repot_trash`.

use crate::connection::Connection;
use repot_core::{Batch, Result, TrashName, TrashWanted, Trashed};
use rusqlite::Row;
use rusqlite::types::Value;

use crate::error::failed;

/// Numbers are never given out twice, so that what was asked for is still what is meant later.
pub(crate) const TABLE: &str = "create table if not exists repot_trash (
  id integer primary key autoincrement,
  unit integer not null,
  collection text not null,
  tenant text,
  key text not null,
  path text not null,
  dictionary integer not null,
  size integer not null,
  deleted_ms integer not null,
  purge_ms integer not null,
  text blob not null
) strict;
create index if not exists repot_trash_key on repot_trash (collection, key);
create index if not exists repot_trash_unit on repot_trash (unit);
create index if not exists repot_trash_purge on repot_trash (purge_ms)";

/// Columns in the order of [`trashed`], but for the text.
const COLUMNS: &str = "id, unit, collection, tenant, key, path, dictionary, size, deleted_ms, purge_ms";

/// Makes the table where it is not there.
pub(crate) fn make(connection: &Connection) -> Result<()> {
    if crate::schema::taken(connection, "repot_trash")?.is_some() {
        return Ok(());
    }
    let what = "make repot_trash";
    let transaction = crate::schema::begin(connection, what)?;
    transaction.execute_batch(TABLE).map_err(failed(what))?;
    transaction.commit().map_err(failed(what))
}

/// Keeps and lets go what the batch says.
pub(crate) fn apply(connection: &Connection, batch: &Batch) -> Result<()> {
    let run = || -> rusqlite::Result<()> {
        for id in &batch.untrash {
            connection.prepare_cached("delete from repot_trash where id = ?1")?.execute([id])?;
        }
        for unit in &batch.trash {
            let mut first = None;
            for one in unit {
                keep(connection, one, first)?;
                first = first.or(Some(connection.last_insert_rowid()));
            }
            let own = "update repot_trash set unit = id where id = ?1";
            connection.prepare_cached(own)?.execute([first])?;
        }
        Ok(())
    };
    run().map_err(failed("write repot_trash"))
}

fn keep(connection: &Connection, one: &Trashed, unit: Option<i64>) -> rusqlite::Result<()> {
    let sql = "insert into repot_trash (unit, collection, tenant, key, path, dictionary, size, deleted_ms, purge_ms, text) \
               values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    let size = i64::try_from(one.size).unwrap_or(i64::MAX);
    let values = rusqlite::params![
        unit.unwrap_or_default(),
        one.collection,
        one.tenant,
        one.key,
        one.path,
        one.dictionary,
        size,
        one.deleted_ms,
        one.purge_ms,
        one.text
    ];
    connection.prepare_cached(sql)?.execute(values).map(drop)
}

/// What is asked for.
pub(crate) fn read(connection: &Connection, wanted: &TrashWanted<'_>) -> Result<Vec<Trashed>> {
    let (rest, values) = statement(wanted);
    let text = if matches!(wanted, TrashWanted::Unit(_)) { "text" } else { "x''" };
    let run = || -> rusqlite::Result<Vec<Trashed>> {
        let mut statement =
            connection.prepare_cached(&format!("select {COLUMNS}, {text} from repot_trash where {rest}"))?;
        statement.query_map(rusqlite::params_from_iter(values), trashed)?.collect()
    };
    run().map_err(failed("read repot_trash"))
}

fn statement(wanted: &TrashWanted<'_>) -> (&'static str, Vec<Value>) {
    let text = |text: &str| Value::Text(text.to_owned());
    let tenant = |tenant: Option<&str>| tenant.map_or(Value::Null, text);
    let count = |most: usize| Value::Integer(i64::try_from(most).unwrap_or(i64::MAX));
    match *wanted {
        TrashWanted::Last { collection, tenant: of, name, now_ms } => {
            let (rest, named) = match name {
                TrashName::Key(key) => (
                    "collection = ?1 and tenant is ?2 and purge_ms > ?3 and key = ?4 order by id desc limit 1",
                    vec![text(key)],
                ),
                TrashName::Path(path) => (
                    "collection = ?1 and tenant is ?2 and purge_ms > ?3 and path = ?4 order by id desc limit 1",
                    vec![text(path)],
                ),
                TrashName::Inside { key, path } => (
                    "collection = ?1 and tenant is ?2 and purge_ms > ?3 and key = ?4 and path = ?5 \
                     order by id desc limit 1",
                    vec![text(key), text(path)],
                ),
            };
            let values = vec![text(collection), tenant(of), Value::Integer(now_ms)];
            (rest, [values, named].concat())
        }
        TrashWanted::Page { collection, tenant: of, after, most, now_ms } => (
            "collection = ?1 and tenant is ?2 and purge_ms > ?3 and id > ?4 order by id limit ?5",
            vec![text(collection), tenant(of), Value::Integer(now_ms), Value::Integer(after), count(most)],
        ),
        TrashWanted::Unit(unit) => ("unit = ?1 order by id", vec![Value::Integer(unit)]),
        TrashWanted::Due { now_ms, most } => {
            ("purge_ms <= ?1 order by purge_ms, id limit ?2", vec![Value::Integer(now_ms), count(most)])
        }
    }
}

fn trashed(row: &Row<'_>) -> rusqlite::Result<Trashed> {
    Ok(Trashed {
        id: row.get(0)?,
        unit: row.get(1)?,
        collection: row.get(2)?,
        tenant: row.get(3)?,
        key: row.get(4)?,
        path: row.get(5)?,
        dictionary: row.get(6)?,
        size: u64::try_from(row.get::<_, i64>(7)?).unwrap_or_default(),
        deleted_ms: row.get(8)?,
        purge_ms: row.get(9)?,
        text: row.get(10)?,
    })
}
