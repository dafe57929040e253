//! The full text indexes: made and removed with the model, kept by our own writes, brought up to date with what plain SQL
//! changed.

use std::collections::BTreeSet;

use crate::connection::Connection;
use repot_core::{Batch, Item, Result};
use repot_model::plan::{Plan, Table};
use repot_model::row::{Cell, Cells};
use repot_model::search::{Part, parts};
use repot_model::sql::{
    Dialect, SEARCH_META, SEARCH_PREFIX, SEARCH_STATE, SearchIndex, is_kept_by_writes, quote, search_indexes,
    search_meta, settle_search,
};
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Statement, ToSql, params_from_iter};

use crate::bind;
use crate::error::failed;
use crate::rows::{Access, pick};
use crate::schema::{begin, meta, set_meta};
use crate::work::Work;

const WHAT: &str = "write the full text index";

/// Makes what the model asks for, empty and with a mark on every row; removes what it does not ask for.
pub(crate) fn settle(connection: &Connection, plan: &Plan) -> Result<()> {
    if statements(connection, plan)?.is_empty() {
        return Ok(());
    }
    let what = "make the full text indexes";
    let transaction = begin(connection, what)?;
    for statement in statements(connection, plan)? {
        connection.execute(&statement, ()).map_err(failed(what))?;
    }
    set_meta(connection, SEARCH_META, search_meta(search_indexes(plan)).as_deref())?;
    transaction.commit().map_err(failed(what))
}

fn statements(connection: &Connection, plan: &Plan) -> Result<Vec<String>> {
    let triggers = || -> rusqlite::Result<Vec<(String, String, Option<String>)>> {
        let pattern = SEARCH_PREFIX.replace('_', "\\_") + "%";
        connection
            .prepare(
                "select name, tbl_name, sql from sqlite_schema where type = 'trigger' and name like ?1 escape '\\'",
            )?
            .query_map([pattern], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
            .collect()
    };
    let there = triggers().map_err(failed("read the schema"))?;
    Ok(settle_search(plan, meta(connection, SEARCH_META)?.as_deref(), &there, Dialect::Sqlite))
}

/// From here to [`leave`] the transaction keeps these indexes itself. None where they are not there, or are of another
/// model: then the triggers mark what it writes, if there are any.
pub(crate) fn enter<'p>(connection: &Connection, plan: &'p Plan, batch: &Batch) -> Result<&'p [SearchIndex]> {
    let indexes = search_indexes(plan);
    if batch.items.iter().all(|item| item.kept.is_some()) {
        // triggers look at the columns that are searched, so no other write needs our mark
        let touches = |index: &SearchIndex| {
            let mut written = batch.items.iter().flat_map(Item::written);
            written.any(|(table, _, columns)| table == index.table && index.is_touched_by(columns))
        };
        if !indexes.iter().any(touches) {
            return Ok(&[]);
        }
    }
    let Some(wanted) = search_meta(indexes) else { return Ok(&[]) };
    if !is_kept_by_writes(plan, indexes) || meta(connection, SEARCH_META)?.as_ref() != Some(&wanted) {
        return Ok(&[]);
    }
    say(connection, &wanted)?;
    Ok(indexes)
}

/// Before the commit: nobody else may ever see the mark.
pub(crate) fn leave(connection: &Connection, indexes: &[SearchIndex]) -> Result<()> {
    if indexes.is_empty() { Ok(()) } else { say(connection, "") }
}

fn say(connection: &Connection, spec: &str) -> Result<()> {
    connection
        .prepare_cached(&format!("update {SEARCH_STATE} set spec = ?1"))
        .and_then(|mut statement| statement.execute([spec]))
        .map(drop)
        .map_err(failed(WHAT))
}

/// Indexes the rows of a batch, after they are written.
pub(crate) fn index(access: Access<'_>, batch: &Batch, indexes: &[SearchIndex]) -> Result<()> {
    for index in indexes {
        let table = &access.plan.tables[index.table];
        let mut words = Words::new(access.connection, index, table).map_err(failed(WHAT))?;
        let own = |&(table, _): &(usize, &[u8])| table == index.table;
        for (_, identity) in batch.items.iter().flat_map(|item| item.changes.deletes.iter()).filter(own) {
            words.remove(&Keys::Cells(identity)).map_err(failed(WHAT))?;
        }
        let written = batch.items.iter().flat_map(Item::written);
        for (_, row, _) in
            written.filter(|&(table, _, columns)| table == index.table && index.is_touched_by(columns))
        {
            let identity = pick(row, &table.identity);
            words.put(&Keys::Cells(&identity), &of_row(row, &index.columns)).map_err(failed(WHAT))?;
        }
    }
    Ok(())
}

fn of_row(row: &[u8], columns: &[usize]) -> Vec<Part> {
    let cells: Vec<Cell<'_>> = Cells::new(row).collect();
    parts(columns.iter().filter_map(|&column| match cells.get(column) {
        Some(Cell::Text(text)) => Some(text.as_ref()),
        _ => None,
    }))
}

/// Indexes some of the rows that plain SQL changed; `true` when there may be more.
pub(crate) fn step(connection: &Connection, plan: &Plan) -> Result<bool> {
    let indexes = search_indexes(plan);
    let work = Work::begin(connection)?;
    if meta(connection, SEARCH_META)? != search_meta(indexes) {
        work.undo()?;
        return Ok(false);
    }
    let mut more = false;
    for index in indexes {
        more |= catch_up(connection, index, &plan.tables[index.table]).map_err(failed(WHAT))?;
    }
    work.keep()?;
    Ok(more)
}

fn catch_up(connection: &Connection, index: &SearchIndex, table: &Table) -> rusqlite::Result<bool> {
    let (marks_max, bytes_max) = SearchIndex::bounds();
    let stale = quote(&index.stale);
    let marks: Vec<(i64, Vec<Value>)> = connection
        .prepare_cached(&format!(
            "select seq, {} from {stale} order by seq limit {marks_max}",
            index.keys(table)
        ))?
        .query_map((), |row| {
            let keys = (1..=table.identity.len()).map(|at| row.get(at)).collect::<Result<_, _>>()?;
            Ok((row.get(0)?, keys))
        })?
        .collect::<Result<_, _>>()?;
    if marks.is_empty() {
        return Ok(false);
    }
    let mut words = Words::new(connection, index, table)?;
    let (mut last, mut bytes, mut done) = (0, 0, BTreeSet::new());
    let mut taken = 0;
    for (seq, keys) in &marks {
        if bytes > bytes_max {
            break;
        }
        (last, taken) = (*seq, taken + 1);
        // the keys' own text tells them apart: of two that look alike the second would only be indexed again
        if done.insert(format!("{keys:?}")) {
            let texts = words.texts(keys)?;
            bytes += texts.iter().flatten().map(String::len).sum::<usize>();
            words.put(&Keys::Values(keys), &parts(texts.iter().flatten().map(String::as_str)))?;
        }
    }
    connection.prepare_cached(&format!("delete from {stale} where seq <= ?1"))?.execute([last])?;
    Ok(taken < marks.len() || marks.len() == marks_max)
}

/// What tells a row: encoded cells, or values as they stand in the table.
enum Keys<'k> {
    Cells(&'k [u8]),
    Values(&'k [Value]),
}

impl Keys<'_> {
    fn bind(&self, statement: &mut Statement<'_>) -> rusqlite::Result<()> {
        match self {
            Self::Cells(cells) => bind::cells(statement, 1, cells, &mut Vec::new()),
            Self::Values(values) => values
                .iter()
                .enumerate()
                .try_for_each(|(at, value)| statement.raw_bind_parameter(at + 1, value)),
        }
    }
}

/// The statements of one index.
struct Words<'c> {
    connection: &'c Connection,
    forget: Statement<'c>,
    remove: Statement<'c>,
    row: Statement<'c>,
    words: Statement<'c>,
    texts: Statement<'c>,
    columns: usize,
}

impl<'c> Words<'c> {
    fn new(connection: &'c Connection, index: &SearchIndex, table: &Table) -> rusqlite::Result<Self> {
        let (rows, words) = (quote(&index.rows), quote(&index.words));
        let marks: Vec<String> = (1..=table.identity.len()).map(|at| format!("?{at}")).collect();
        let same = |name: &dyn Fn(usize, usize) -> String| {
            let each = table.identity.iter().enumerate().map(|(at, &column)| {
                let is = if table.columns[column].nullable { "is" } else { "=" };
                format!("{} {is} {}", name(at, column), marks[at])
            });
            each.collect::<Vec<_>>().join(" and ")
        };
        let by_key = same(&|at, _| format!("k{at}"));
        let by_column = same(&|_, column| format!("t.{}", quote(&table.columns[column].name)));
        Ok(Self {
            connection,
            forget: connection.prepare(&format!(
                "delete from {words} where rowid in (select id from {rows} where {by_key})"
            ))?,
            remove: connection.prepare(&format!("delete from {rows} where {by_key}"))?,
            row: connection.prepare(&format!(
                "insert into {rows} ({}) values ({})",
                index.keys(table),
                marks.join(", ")
            ))?,
            words: connection.prepare(&format!("insert into {words} (rowid, words) values (?1, ?2)"))?,
            texts: connection.prepare(&format!(
                "select {} from {} as t where {by_column}",
                index.texts(table, "t"),
                quote(&table.name)
            ))?,
            columns: index.columns.len(),
        })
    }

    fn remove(&mut self, keys: &Keys<'_>) -> rusqlite::Result<()> {
        keys.bind(&mut self.forget)?;
        self.forget.raw_execute()?;
        keys.bind(&mut self.remove)?;
        self.remove.raw_execute().map(drop)
    }

    fn put(&mut self, keys: &Keys<'_>, parts: &[Part]) -> rusqlite::Result<()> {
        self.remove(keys)?;
        for part in parts {
            keys.bind(&mut self.row)?;
            self.row.raw_execute()?;
            let id = self.connection.last_insert_rowid();
            self.words.execute((id, part.spaced()))?;
        }
        Ok(())
    }

    /// The searched texts of a row; none when it is not there.
    fn texts(&mut self, keys: &[Value]) -> rusqlite::Result<Vec<Option<String>>> {
        let columns = self.columns;
        let mut rows = self.texts.query(params_from_iter(keys.iter().map(|key| key as &dyn ToSql)))?;
        let Some(row) = rows.next()? else { return Ok(Vec::new()) };
        let text = |at| {
            // plain SQL can put what is no UTF-8 into a text
            Ok(match row.get_ref(at)? {
                ValueRef::Text(text) => Some(String::from_utf8_lossy(text).into_owned()),
                _ => None,
            })
        };
        (0..columns).map(text).collect()
    }
}
