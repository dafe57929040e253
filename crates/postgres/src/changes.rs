//! Changes of rows that are already there: deletes as one join a table, updates row by row in a pipeline.

use std::collections::{BTreeMap, HashMap};

use repot_core::{Batch, Error, Kind};
use repot_model::plan::{ColumnKind, Plan, Table};
use repot_model::row::{Cell, Cells};
use repot_model::sql::quote;
use tokio_postgres::types::Type;

use crate::chain::{Encoded, array_parameter, condition, is_list, parameter};
use crate::copy::Failure;
use crate::encode::type_of;
use crate::flight::Flight;
use crate::left::gone;
use crate::parameters::given;
use crate::transaction::Writer;

/// Updates that are put together before they are sent.
pub(crate) const UPDATED_AT_ONCE: usize = 120;
/// Rows of one delete.
const DELETED_AT_ONCE: usize = 50_000;

/// What is done with rows found by their identity.
#[derive(Debug, Clone, Copy)]
enum Verb {
    Delete,
    Hold,
}

/// A row of changes: item and row in its buffer.
pub(crate) type ChangedRow = (usize, usize);

impl Writer {
    /// Deletes the rows that all items say.
    pub(crate) async fn delete_rows(&mut self, plan: &Plan, batch: &Batch) -> Result<(), Failure> {
        let mut flight = Flight::default();
        say_deletes(plan, batch, &mut flight)?;
        flight.send(self.client()).await
    }

    /// Deletes rows by table and identity; tables referring to others come first.
    pub(crate) async fn delete_by_identity<'r>(
        &self,
        plan: &Plan,
        rows: impl Iterator<Item = (usize, &'r [u8])>,
    ) -> Result<(), Failure> {
        self.delete_found(&plan.tables, rows).await
    }

    /// The same for rows of these tables.
    pub(crate) async fn delete_found<'r>(
        &self,
        tables: &[Table],
        rows: impl Iterator<Item = (usize, &'r [u8])>,
    ) -> Result<(), Failure> {
        let mut flight = Flight::default();
        say_by_identity(tables, rows, Verb::Delete, &mut flight)?;
        flight.send(self.client()).await
    }

    /// Locks the rows that the batch deletes and that documents may refer to: whoever is about to refer to one waits,
    /// and finds it gone. What is still to be sent goes before.
    pub(crate) async fn hold_referred(
        &self,
        plan: &Plan,
        batch: &Batch,
        flight: &mut Flight,
    ) -> Result<(), Failure> {
        let gone = gone(plan, batch);
        if gone.is_empty() {
            return Ok(());
        }
        let mut rows: Vec<(usize, &[u8])> = Vec::new();
        for (table, keys) in &gone {
            rows.extend(keys.iter().map(|key| (*table, key.as_slice())));
        }
        say_by_identity(&plan.tables, rows.into_iter(), Verb::Hold, flight)?;
        flight.send(self.client()).await
    }

    /// Overwrites rows.
    pub(crate) async fn update_rows(
        &mut self,
        plan: &Plan,
        batch: &Batch,
        rows: &[ChangedRow],
    ) -> Result<(), Failure> {
        for rows in rows.chunks(UPDATED_AT_ONCE) {
            let mut flight = Flight::default();
            say_updates(plan, batch, rows, &mut flight)?;
            flight.send(self.client()).await?;
        }
        Ok(())
    }
}

/// The statements that delete the rows that all items say.
pub(crate) fn say_deletes(plan: &Plan, batch: &Batch, flight: &mut Flight) -> Result<(), Error> {
    let rows = batch.items.iter().flat_map(|item| item.changes.deletes.iter());
    say_by_identity(&plan.tables, rows, Verb::Delete, flight)
}

/// What is done with rows by table and identity; tables referring to others come first.
fn say_by_identity<'r>(
    tables: &[Table],
    rows: impl Iterator<Item = (usize, &'r [u8])>,
    verb: Verb,
    flight: &mut Flight,
) -> Result<(), Error> {
    // by table and by which identity cells are null, since `=` finds no null
    let mut groups: BTreeMap<(usize, Vec<bool>), Vec<&[u8]>> = BTreeMap::new();
    for (table, cells) in rows {
        let nulls = Cells::new(cells).map(|cell| cell == Cell::Null).collect();
        groups.entry((table, nulls)).or_default().push(cells);
    }
    for ((table, nulls), rows) in groups.iter().rev() {
        for rows in rows.chunks(DELETED_AT_ONCE) {
            say_group(&tables[*table], nulls, rows, (verb, flight))?;
        }
    }
    Ok(())
}

fn say_group(
    table: &Table,
    nulls: &[bool],
    rows: &[&[u8]],
    (verb, flight): (Verb, &mut Flight),
) -> Result<(), Error> {
    let mut selected = Vec::new();
    let mut wanted = Vec::new();
    let mut parameters: Vec<(Encoded, Type)> = Vec::new();
    for (at, (&column, null)) in table.identity.iter().zip(nulls).enumerate() {
        let column = &table.columns[column];
        let name = quote(&column.name);
        if *null {
            wanted.push(format!("t.{name} is null"));
            continue;
        }
        let cells = rows.iter().map(|cells| Cells::new(cells).nth(at).unwrap_or(Cell::Null));
        parameters.push(array_parameter(table, table.identity[at], rows.len(), cells)?);
        selected.push(format!("unnest(${}) as c{at}", parameters.len()));
        wanted.push(format!("t.{name} = v.c{at}"));
    }
    if wanted.len() != table.identity.len() || wanted.is_empty() {
        return Err(Error::new(
            Kind::Internal,
            "R0901",
            format!("{}: a delete without the row's identity", table.name),
        ));
    }
    let name = quote(&table.name);
    let wanted = wanted.join(" and ");
    let listed = selected.join(", ");
    let (sql, what) = match (verb, selected.is_empty()) {
        (Verb::Delete, true) => (format!("delete from {name} t where {wanted}"), "delete"),
        (Verb::Delete, false) => {
            (format!("delete from {name} t using (select {listed}) v where {wanted}"), "delete")
        }
        (Verb::Hold, true) => (format!("select from {name} t where {wanted} for update of t"), "lock"),
        (Verb::Hold, false) => {
            (format!("select from {name} t, (select {listed}) v where {wanted} for update of t"), "lock")
        }
    };
    let values = parameters.into_iter().map(|(value, kind)| given(value, kind)).collect();
    flight.say(format!("{what} rows of {}", table.name), sql, values);
    Ok(())
}

/// The statements that overwrite rows.
pub(crate) fn say_updates(
    plan: &Plan,
    batch: &Batch,
    rows: &[ChangedRow],
    flight: &mut Flight,
) -> Result<(), Error> {
    for group in alike(plan, batch, rows) {
        if let [(item, row)] = group[..] {
            let (table, cells) = batch.items[item].changes.updates.row(row);
            let table = &plan.tables[table];
            let Some((sql, parameters)) = update(table, cells, columns(batch, (item, row)))? else {
                continue;
            };
            say_update(table, sql, parameters, flight);
        } else {
            let (table, (sql, parameters)) = update_alike(plan, batch, &group)?;
            say_update(table, sql, parameters, flight);
        }
    }
    Ok(())
}

fn say_update(table: &Table, sql: String, parameters: Vec<(Encoded, Type)>, flight: &mut Flight) {
    let values = parameters.into_iter().map(|(value, kind)| given(value, kind)).collect();
    flight.say(format!("update rows of {}", table.name), sql, values);
}

/// The columns of a row that change; `None`: that is not said.
fn columns(batch: &Batch, (item, row): ChangedRow) -> Option<&Vec<usize>> {
    batch.items[item].kept.as_ref().and_then(|kept| kept.columns.get(row))
}

/// The rows in groups that are overwritten by one statement each: of several documents, of which the same columns of one row each
/// change, in a table whose rows are told apart by one column. All others are by themselves, in their order.
fn alike(plan: &Plan, batch: &Batch, rows: &[ChangedRow]) -> Vec<Vec<ChangedRow>> {
    let table_of = |(item, row): ChangedRow| batch.items[item].changes.updates.row(row).0;
    let mut of_item: HashMap<(usize, usize), usize> = HashMap::new();
    rows.iter().for_each(|&row| *of_item.entry((row.0, table_of(row))).or_default() += 1);
    let joins = |row: ChangedRow| {
        let (table, cells) = batch.items[row.0].changes.updates.row(row.1);
        let shape = &plan.tables[table];
        let changed = columns(batch, row)?;
        let [key] = shape.identity[..] else { return None };
        let no_list = changed.iter().chain([&key]).all(|&column| !is_list(shape.columns[column].kind));
        let is_plain = !changed.is_empty()
            && !changed.contains(&key)
            && no_list
            && Cells::new(cells).nth(key).is_some_and(|cell| cell != Cell::Null);
        (is_plain && of_item.get(&(row.0, table)) == Some(&1)).then_some((table, changed))
    };
    let (mut kinds, mut groups) = (Vec::new(), Vec::<Vec<ChangedRow>>::new());
    for &row in rows {
        let kind = joins(row);
        match kinds.iter().position(|known| kind.is_some() && *known == kind) {
            Some(at) => groups[at].push(row),
            None => {
                kinds.push(kind);
                groups.push(vec![row]);
            }
        }
    }
    groups
}

/// The statement that overwrites the same columns of several rows, whose identity is one column each.
fn update_alike<'p>(
    plan: &'p Plan,
    batch: &Batch,
    group: &[ChangedRow],
) -> Result<(&'p Table, Statement), Error> {
    let rows: Vec<(usize, &[u8])> =
        group.iter().map(|&(item, row)| batch.items[item].changes.updates.row(row)).collect();
    let table = &plan.tables[rows[0].0];
    let key = table.identity[0];
    let array = |column: usize| {
        let cells = rows.iter().map(|(_, cells)| Cells::new(cells).nth(column).unwrap_or(Cell::Null));
        array_parameter(table, column, rows.len(), cells)
    };
    let mut parameters = vec![array(key)?];
    let name = quote(&table.columns[key].name);
    // values of any length travel in an array of texts
    let as_text = if matches!(table.columns[key].kind, ColumnKind::Text(_)) { "::text" } else { "" };
    let mut sets = Vec::new();
    for &column in columns(batch, group[0]).into_iter().flatten() {
        parameters.push(array(column)?);
        let at = format!("array_position($1, t.{name}{as_text})");
        sets.push(format!("{} = (${})[{at}]", quote(&table.columns[column].name), parameters.len()));
    }
    let sql = format!("update {} t set {} where t.{name} = any($1)", quote(&table.name), sets.join(", "));
    Ok((table, (sql, parameters)))
}

/// The identity cells of a whole row.
pub(crate) fn identity(table: &Table, cells: &[u8]) -> Vec<u8> {
    let all: Vec<Cell<'_>> = Cells::new(cells).collect();
    let mut out = Vec::new();
    for &column in &table.identity {
        all.get(column).unwrap_or(&Cell::Null).encode(&mut out);
    }
    out
}

type Statement = (String, Vec<(Encoded, Type)>);

/// The statement and parameters that overwrite a row, or these columns of it; `None` when its identity is all there is.
fn update(table: &Table, cells: &[u8], columns: Option<&Vec<usize>>) -> Result<Option<Statement>, Error> {
    let (place, mut parameters) = condition(table, &table.identity, &identity(table, cells), "t")?;
    let mut sets = Vec::new();
    for (at, (column, cell)) in table.columns.iter().zip(Cells::new(cells)).enumerate() {
        if !table.identity.contains(&at) && columns.is_none_or(|columns| columns.contains(&at)) {
            parameters.push((parameter(&cell, column.kind)?.0, type_of(column.kind)));
            sets.push(format!("{} = ${}", quote(&column.name), parameters.len()));
        }
    }
    if sets.is_empty() {
        return Ok(None);
    }
    Ok(Some((format!("update {} t set {} where {place}", quote(&table.name), sets.join(", ")), parameters)))
}
