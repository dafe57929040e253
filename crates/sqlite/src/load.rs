//! A batch into the database, in one transaction. The fast way has no savepoints and puts rows in by table and
//! key; when the database refuses a row, the batch is done again by [`crate::careful`].

use repot_core::{Batch, Error, LoadReport, Loading, Refusal, Result};
use repot_model::plan::Plan;
use repot_model::row::Cells;
use repot_model::sql::{Dialect, create_index};
use rusqlite::CachedStatement;

use crate::audit;
use crate::bind;
use crate::careful;
use crate::changes;
use crate::error::{fail, failed, refusal};
use crate::facts;
use crate::marks;
use crate::messages;
use crate::records::{Records, Refused};
use crate::references::References;
use crate::rows::{Access, pick};
use crate::rules;
use crate::schema::set_meta;
use crate::search;
use crate::trash;
use crate::work::Work;

/// Why the fast way ended.
enum Stop {
    /// The database refuses a row.
    Refused,
    /// Something else failed.
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Applies a batch.
pub(crate) fn load(access: Access<'_>, batch: &Batch, loading: Loading) -> Result<LoadReport> {
    if loading == Loading::Bulk {
        index_changed(access, batch)?;
    }
    let refused = match fast(access, batch, loading) {
        Ok(refused) => refused,
        Err(Stop::Refused) if batch.items.iter().any(|item| item.kept.is_some()) => kept_refused(batch),
        Err(Stop::Refused) => careful::load(access, batch, loading)?,
        Err(Stop::Failed(error)) => return Err(error),
    };
    let mut refused: Vec<Refusal> = refused
        .into_iter()
        .map(|((path, ordinal), (code, reason))| Refusal { path, ordinal, code, reason })
        .collect();
    refused.sort_by(|one, other| (&one.path, one.ordinal).cmp(&(&other.path, other.ordinal)));
    Ok(LoadReport { refused })
}

/// The database refuses a batch with changes that are to be kept beside texts: whoever gave it has to read the texts.
fn kept_refused(batch: &Batch) -> Refused {
    let kept = batch.items.iter().filter(|item| item.kept.is_some());
    let reason = || "the database refuses the change".to_owned();
    kept.map(|item| ((item.object.path.clone(), 0), ("R0203", reason()))).collect()
}

fn fast(access: Access<'_>, batch: &Batch, loading: Loading) -> Result<Refused, Stop> {
    let work = Work::begin(access.connection)?;
    rules::enter(access.connection)?;
    let searched = search::enter(access.connection, access.plan, batch)?;
    let mut refused = Refused::new();
    {
        dictionaries(access, batch)?;
        let mut writer = RowWriter::new(access);
        for (table, identity) in batch.items.iter().flat_map(|item| item.changes.deletes.iter()) {
            writer.delete(table, identity).map_err(|error| stop(access, table, error))?;
        }
        for item in &batch.items {
            for (at, (table, row)) in item.changes.updates.iter().enumerate() {
                let columns = item.kept.as_ref().and_then(|kept| kept.columns.get(at));
                let done = match columns {
                    Some(columns) => writer.update_columns(table, row, columns),
                    None => writer.update(table, row),
                };
                done.map_err(|error| stop(access, table, error))?;
            }
        }
        for (table, _, row) in in_order(access, batch) {
            writer.insert(table, row).map_err(|error| stop(access, table, error))?;
        }
        search::index(access, batch, searched)?;
        let mut records = Records::new(access.connection)?;
        for item in &batch.items {
            records.put(item, &refused)?;
        }
        if loading == Loading::Steady {
            let mut references = References::new(access);
            for item in &batch.items {
                item.rows
                    .iter()
                    .chain(item.changes.updates.iter())
                    .for_each(|(table, row)| references.arrived(table, row));
                item.changes.deletes.iter().for_each(|(table, identity)| references.left(table, identity));
            }
            references.settle(&mut writer, &mut refused)?;
            changes::log(access.connection, batch, &records.former, &refused)?;
        }
    }
    search::leave(access.connection, searched)?;
    end((access.plan, loading), work, batch, &refused)?;
    Ok(refused)
}

/// Keeps what was done, unless the batch is all or nothing and something was refused.
pub(crate) fn end(
    (plan, loading): (&Plan, Loading),
    work: Work<'_>,
    batch: &Batch,
    refused: &Refused,
) -> Result<()> {
    if batch.all_or_nothing && !refused.is_empty() {
        return work.undo();
    }
    audit::put(work.connection(), batch)?;
    for (key, value) in &batch.meta {
        set_meta(work.connection(), key, value.as_deref())?;
    }
    trash::apply(work.connection(), batch)?;
    facts::apply(work.connection(), &batch.facts)?;
    if loading == Loading::Steady && plan.has_queues() {
        messages::apply(work.connection(), batch)?;
    }
    marks::meet(work.connection(), batch)?;
    rules::leave(work.connection())?;
    work.keep()
}

fn stop(access: Access<'_>, table: usize, error: rusqlite::Error) -> Stop {
    let name = &access.plan.tables[table].name;
    match refusal(name, &error) {
        Some(_) => Stop::Refused,
        None => Stop::Failed(fail(&format!("write to the table {name}"), error)),
    }
}

/// All rows to insert by table, and where the key is one integer, by key: rows that are neighbours in the
/// table's tree go in one after the other.
fn in_order<'b>(access: Access<'_>, batch: &'b Batch) -> Vec<(usize, i64, &'b [u8])> {
    let count = batch.items.iter().map(|item| item.rows.len()).sum();
    let mut rows = Vec::with_capacity(count);
    for (table, row) in batch.items.iter().flat_map(|item| item.rows.iter()) {
        let key = access.sql.tables[table].integer_key.and_then(|column| match Cells::new(row).nth(column) {
            Some(repot_model::row::Cell::Int(key)) => Some(key),
            _ => None,
        });
        let place = key.unwrap_or_else(|| i64::try_from(rows.len()).unwrap_or(i64::MAX));
        rows.push((table, place, row));
    }
    rows.sort_unstable_by_key(|&(table, place, _)| (table, place));
    rows
}

/// Keeps the batch's dictionaries.
pub(crate) fn dictionaries(access: Access<'_>, batch: &Batch) -> Result<()> {
    for (id, collection, bytes) in &batch.dictionaries {
        access
            .connection
            .prepare_cached("insert into repot_dictionaries (id, collection, bytes) values (?1, ?2, ?3) on conflict (id) do nothing")
            .and_then(|mut statement| statement.execute((id, collection, bytes)))
            .map_err(failed("keep a dictionary"))?;
    }
    Ok(())
}

/// During a bulk load there are no secondary indexes; a table whose rows are found by their holder gets that
/// one when its first row is to be changed, or each change would read the whole table.
fn index_changed(access: Access<'_>, batch: &Batch) -> Result<()> {
    let mut tables: Vec<usize> = Vec::new();
    for changes in batch.items.iter().map(|item| &item.changes) {
        for (table, _) in changes.deletes.iter().chain(changes.updates.iter()) {
            let shape = &access.plan.tables[table];
            if shape.identity != shape.key && !tables.contains(&table) {
                tables.push(table);
            }
        }
    }
    tables.into_iter().try_for_each(|table| index_holders(access, table))
}

/// Builds the indexes by which rows of `table` are found from their holders, where they are missing.
pub(crate) fn index_holders(access: Access<'_>, table: usize) -> Result<()> {
    let shape = &access.plan.tables[table];
    for index in &shape.indexes {
        let leads = index.columns.first().is_some_and(|&(first, _)| {
            shape.parents.iter().any(|parent| parent.column == first || parent.type_column == Some(first))
        });
        if leads {
            let what = format!("build the index {}", index.name);
            access
                .connection
                .execute(&create_index(shape, index, Dialect::Sqlite), ())
                .map_err(failed(&what))?;
        }
    }
    Ok(())
}

/// Writes rows: one statement for each table and kind of change, made once for a batch.
pub(crate) struct RowWriter<'a> {
    access: Access<'a>,
    inserts: Vec<Option<CachedStatement<'a>>>,
    updates: Vec<Option<CachedStatement<'a>>>,
    deletes: Vec<Option<CachedStatement<'a>>>,
    scratch: Vec<u8>,
}

impl<'a> RowWriter<'a> {
    pub(crate) fn new(access: Access<'a>) -> Self {
        let none = || (0..access.plan.tables.len()).map(|_| None).collect();
        Self { access, inserts: none(), updates: none(), deletes: none(), scratch: Vec::new() }
    }

    pub(crate) fn insert(&mut self, table: usize, row: &[u8]) -> rusqlite::Result<()> {
        let sql = &self.access.sql.tables[table].insert;
        run(self.access, &mut self.inserts[table], sql, row, &mut self.scratch)
    }

    /// Overwrites the row with the same identity.
    pub(crate) fn update(&mut self, table: usize, row: &[u8]) -> rusqlite::Result<()> {
        match &self.access.sql.tables[table].update {
            Some(sql) => run(self.access, &mut self.updates[table], sql, row, &mut self.scratch),
            None => Ok(()),
        }
    }

    /// Overwrites these columns of the row with the same identity; indexes of others are not written.
    fn update_columns(&mut self, table: usize, row: &[u8], columns: &[usize]) -> rusqlite::Result<()> {
        let shape = &self.access.plan.tables[table];
        let sql = self.access.sql.update_columns(self.access.plan, table, columns);
        let cells = [pick(row, columns), pick(row, &shape.identity)].concat();
        let mut statement = self.access.connection.prepare_cached(&sql)?;
        bind::cells(&mut statement, 1, &cells, &mut self.scratch)?;
        statement.raw_execute().map(drop)
    }

    /// Deletes the row of this identity.
    pub(crate) fn delete(&mut self, table: usize, identity: &[u8]) -> rusqlite::Result<()> {
        if self.access.plan.tables[table].identity.is_empty() {
            return Ok(());
        }
        let sql = &self.access.sql.tables[table].delete;
        run(self.access, &mut self.deletes[table], sql, identity, &mut self.scratch)
    }
}

fn run<'a>(
    access: Access<'a>,
    slot: &mut Option<CachedStatement<'a>>,
    sql: &str,
    cells: &[u8],
    scratch: &mut Vec<u8>,
) -> rusqlite::Result<()> {
    let statement = match slot {
        Some(statement) => statement,
        None => slot.insert(access.connection.prepare_cached(sql)?),
    };
    bind::cells(statement, 1, cells, scratch)?;
    statement.raw_execute().map(drop)
}
