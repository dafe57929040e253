//! Tables: ours, and the making of the user's; where the database stands.

use crate::connection::Connection;
use repot_core::{Error, Kind, Loading, Result, State};
use repot_model::plan::{Additions, IndexPlan, Plan, Table};
use repot_model::sql::{Dialect, create_index, create_table, quote};
use rusqlite::OptionalExtension as _;

use crate::error::{damaged, failed};

/// Version of what our tables hold; raised when an older Repot could not work with it.
pub(crate) const FORMAT: i64 = 2;

pub(crate) const OURS: [&str; 6] = [
    "create table if not exists repot_meta (key text primary key not null, value text not null) strict, without rowid",
    // in order of the path, because that is how listings are compared with it
    "create table repot_objects (
  path text primary key not null,
  id integer not null unique,
  size integer not null,
  modified_ns integer not null,
  etag text,
  sha256 blob not null,
  collection text,
  status integer not null,
  code text,
  reason text,
  frame blob
) strict, without rowid",
    // with a rowid: rows come in order of the primary key anyway, and large texts keep out of the key's tree
    "create table repot_documents (
  object integer not null,
  ordinal integer not null,
  collection text not null,
  key text,
  etag text not null,
  version integer not null,
  dictionary integer not null,
  size integer not null,
  code text,
  reason text,
  text blob not null,
  primary key (object, ordinal)
) strict",
    "create index repot_documents_set_aside on repot_documents (code) where code is not null",
    "create table repot_dictionaries (id integer primary key, collection text not null, bytes blob not null) strict",
    "create table repot_pieces (
  path text not null,
  number integer not null,
  bytes blob not null,
  primary key (path, number)
) strict",
];

const OUR_NAMES: [&str; 11] = [
    "repot_objects",
    "repot_documents",
    "repot_documents_set_aside",
    "repot_dictionaries",
    "repot_pieces",
    "repot_touched",
    "repot_changes",
    "repot_pending",
    "repot_writer",
    "repot_marking",
    "repot_facts",
];

/// The index that finds documents by key; a bulk load builds it at its end.
pub(crate) const DOCUMENTS_BY_KEY: &str =
    "create index if not exists repot_documents_key on repot_documents (collection, key)";

/// Makes all tables, in one transaction.
pub(crate) fn create(connection: &Connection, plan: &Plan, model_text: &str) -> Result<()> {
    let what = "make the tables";
    let transaction = begin(connection, what)?;
    for name in OUR_NAMES.into_iter().chain(plan.tables.iter().flat_map(|table| {
        let indexes = table.indexes.iter().chain(&table.unique).map(|index| index.name.as_str());
        std::iter::once(table.name.as_str()).chain(indexes)
    })) {
        free(connection, name)?;
    }
    for sql in OURS {
        connection.execute(sql, ()).map_err(failed(what))?;
    }
    crate::rules::make_tables(connection)?;
    for table in &plan.tables {
        let sql = create_table(table, &plan.tables, Dialect::Sqlite);
        connection.execute(&sql, ()).map_err(failed(&format!("make the table {}", table.name)))?;
    }
    for (name, sql) in &plan.views {
        let made = connection.execute(&format!("create view {} as {sql}", quote(name)), ());
        made.map_err(|error| {
            Error::new(
                Kind::Invalid,
                "R0111",
                format!("the view {name} is wrong: {}", crate::error::sentence(&error)),
            )
            .hint("Mend the statement of that collection in the model.")
            .cause(error)
        })?;
    }
    for (key, value) in [
        ("format", FORMAT.to_string()),
        ("model", model_text.to_owned()),
        ("plan_hash", plan.hash.clone()),
        ("loading", loading_word(Loading::Bulk).to_owned()),
    ] {
        set_meta(connection, key, Some(&value))?;
    }
    transaction.commit().map_err(failed(what))
}

/// Makes what a model has more, and records the model, in one transaction.
pub(crate) fn extend(
    connection: &Connection,
    old_hash: &str,
    (plan, model_text): (&Plan, &str),
    additions: &Additions,
) -> Result<()> {
    let what = "make the new tables";
    let transaction = begin(connection, what)?;
    match meta(connection, "plan_hash")? {
        Some(hash) if hash == plan.hash => return transaction.rollback().map_err(failed(what)),
        Some(hash) if hash == old_hash => {}
        _ => return Err(of_another_model()),
    }
    for table in additions.tables.iter().map(|&at| &plan.tables[at]) {
        free(connection, &table.name)?;
        let sql = create_table(table, &plan.tables, Dialect::Sqlite);
        connection.execute(&sql, ()).map_err(failed(&format!("make the table {}", table.name)))?;
        for index in &table.indexes {
            build(connection, table, index)?;
        }
    }
    for &(table, index) in &additions.indexes {
        let table = &plan.tables[table];
        build(connection, table, &table.indexes[index])?;
    }
    for (key, value) in [("model", model_text), ("plan_hash", &plan.hash)] {
        set_meta(connection, key, Some(value))?;
    }
    transaction.commit().map_err(failed(what))
}

fn build(connection: &Connection, table: &Table, index: &IndexPlan) -> Result<()> {
    free(connection, &index.name)?;
    let sql = create_index(table, index, Dialect::Sqlite);
    connection.execute(&sql, ()).map(drop).map_err(failed(&format!("build the index {}", index.name)))
}

/// Nothing may have this name.
fn free(connection: &Connection, name: &str) -> Result<()> {
    let Some((kind, name)) = taken(connection, name)? else { return Ok(()) };
    let message = format!("there is a {kind} {name} that Repot did not make");
    Err(Error::new(Kind::Refused, "R0109", message)
        .hint("Copy into another database, or rename the collection in the model."))
}

pub(crate) fn of_another_model() -> Error {
    Error::new(Kind::Unsupported, "R0151", "the database is of another model than the one to be extended")
        .hint("Open it with the model it was made from, or copy into a fresh database.")
}

/// A transaction that writes from its beginning, so that waiting for others happens here.
pub(crate) fn begin<'c>(connection: &'c Connection, what: &str) -> Result<rusqlite::Transaction<'c>> {
    rusqlite::Transaction::new_unchecked(connection, rusqlite::TransactionBehavior::Immediate)
        .map_err(failed(what))
}

/// What has this name already: its kind and its name as it is written.
pub(crate) fn taken(connection: &Connection, name: &str) -> Result<Option<(String, String)>> {
    connection
        .prepare_cached("select type, name from sqlite_schema where name = ?1 collate nocase")
        .and_then(|mut statement| {
            statement.query_row([name], |row| Ok((row.get(0)?, row.get(1)?))).optional()
        })
        .map_err(failed("read the schema"))
}

const fn loading_word(loading: Loading) -> &'static str {
    match loading {
        Loading::Bulk => "bulk",
        Loading::Steady => "steady",
    }
}

/// Where the database stands.
pub(crate) fn state(connection: &Connection) -> Result<Option<State>> {
    if taken(connection, "repot_meta")?.is_none() {
        return Ok(None);
    }
    let Some(format) = meta(connection, "format")? else { return Ok(None) };
    if format.parse::<i64>().map_or(true, |format| format > FORMAT) {
        return Err(Error::new(
            Kind::Unsupported,
            "R0108",
            format!("the database has format {format}, this Repot knows {FORMAT}"),
        )
        .hint("Use the version of Repot that made it, or a newer one."));
    }
    let need = |key: &str| meta(connection, key)?.ok_or_else(|| damaged(format!("repot_meta has no {key}")));
    let loading = loading(connection)?;
    Ok(Some(State { model_text: need("model")?, plan_hash: need("plan_hash")?, loading }))
}

/// How rows are being loaded.
pub(crate) fn loading(connection: &Connection) -> Result<Loading> {
    match meta(connection, "loading")?.as_deref() {
        Some("bulk") => Ok(Loading::Bulk),
        Some("steady") => Ok(Loading::Steady),
        other => Err(damaged(format!("repot_meta says that loading is {}", other.unwrap_or("nothing")))),
    }
}

/// A value of ours; nothing when there is no such table.
pub(crate) fn meta(connection: &Connection, key: &str) -> Result<Option<String>> {
    connection
        .prepare_cached("select value from repot_meta where key = ?1")
        .and_then(|mut statement| statement.query_row([key], |row| row.get(0)).optional())
        .map_err(failed("read repot_meta"))
}

/// Sets or removes a value of ours.
pub(crate) fn set_meta(connection: &Connection, key: &str, value: Option<&str>) -> Result<()> {
    let done = match value {
        Some(value) => connection.execute(
            "insert into repot_meta (key, value) values (?1, ?2) on conflict (key) do update set value = ?2",
            (key, value),
        ),
        None => connection.execute("delete from repot_meta where key = ?1", [key]),
    };
    done.map(drop).map_err(failed("write repot_meta"))
}

/// Records that the bulk load is over.
pub(crate) fn set_steady(connection: &Connection) -> Result<()> {
    set_meta(connection, "loading", Some(loading_word(Loading::Steady)))
}

/// Makes our table of values where nothing of ours is yet.
pub(crate) fn create_meta(connection: &Connection) -> Result<()> {
    connection.execute(OURS[0], ()).map(drop).map_err(failed("make repot_meta"))
}
