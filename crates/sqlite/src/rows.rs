//! Whole rows of single documents: down from a root row to all it holds, and up from any row to its root.

use crate::connection::Connection;
use repot_core::Result;
use repot_model::plan::{ColumnKind, Plan, key_cell, key_text};
use repot_model::row::{Cell, Cells, RowBuffer};

use crate::error::failed;
use crate::statements::PlanSql;
use crate::{bind, decode};

/// Rows deeper than this in one another are taken for a circle.
const DEPTH_MAX: usize = 1_000;

/// A plan with its SQL on a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Access<'a> {
    pub connection: &'a Connection,
    pub plan: &'a Plan,
    pub sql: &'a PlanSql,
}

impl Access<'_> {
    /// Whole rows that `sql` selects for these parameters (encoded cells).
    pub(crate) fn select(&self, table: usize, sql: &str, parameters: &[u8]) -> Result<Vec<Vec<u8>>> {
        let shape = &self.plan.tables[table];
        let run = || -> rusqlite::Result<Vec<Vec<u8>>> {
            let mut statement = self.connection.prepare_cached(sql)?;
            bind::cells(&mut statement, 1, parameters, &mut Vec::new())?;
            let mut rows = statement.raw_query();
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                let mut cells = Vec::new();
                decode::row(shape, row, &mut cells)?;
                found.push(cells);
            }
            Ok(found)
        };
        run().map_err(failed(&format!("read the table {}", shape.name)))
    }

    /// The row of this identity.
    pub(crate) fn by_identity(&self, table: usize, identity: &[u8]) -> Result<Option<Vec<u8>>> {
        if self.plan.tables[table].identity.is_empty() {
            return Ok(None);
        }
        Ok(self.select(table, &self.sql.tables[table].by_identity, identity)?.into_iter().next())
    }

    /// The row of this key.
    pub(crate) fn by_key(&self, table: usize, key: &[u8]) -> Result<Option<Vec<u8>>> {
        if self.plan.tables[table].key.is_empty() {
            return Ok(None);
        }
        Ok(self.select(table, &self.sql.tables[table].by_key, key)?.into_iter().next())
    }

    /// Rows that have the key or a unique value of this one.
    pub(crate) fn holding(&self, table: usize, row: &[u8]) -> Result<Vec<Vec<u8>>> {
        let shape = &self.plan.tables[table];
        let mut found: Vec<_> = self.by_key(table, &pick(row, &shape.key))?.into_iter().collect();
        for (unique, sql) in shape.unique.iter().zip(&self.sql.tables[table].by_unique) {
            let columns: Vec<usize> = unique.columns.iter().map(|&(column, _)| column).collect();
            found.extend(self.select(table, sql, &pick(row, &columns))?);
        }
        Ok(found)
    }

    /// All rows of the document whose root row has this key, parents before what they hold.
    pub(crate) fn document(&self, root: usize, key: &[u8], out: &mut RowBuffer) -> Result<()> {
        let mut waiting: Vec<(usize, Vec<u8>)> =
            self.by_key(root, key)?.map(|row| (root, row)).into_iter().collect();
        while let Some((table, row)) = waiting.pop() {
            out.raw(&row);
            out.end_row(table);
            let start = waiting.len();
            for child in &self.sql.tables[table].children {
                let Some(cell) = Cells::new(&row).nth(child.parent_column) else { continue };
                let mut key = Vec::new();
                as_held(cell, self.plan.tables[child.table].columns[child.column].kind).encode(&mut key);
                let held = self.select(child.table, &child.select, &key)?;
                waiting.extend(held.into_iter().map(|row| (child.table, row)));
            }
            // taken from the end: the first held row comes next
            waiting[start..].reverse();
        }
        Ok(())
    }

    /// From a whole row to the root row of its document: the root's table and encoded key.
    pub(crate) fn climb(&self, table: usize, row: &[u8]) -> Result<Option<(usize, Vec<u8>)>> {
        let (mut table, mut row) = (table, row.to_vec());
        for _ in 0..DEPTH_MAX {
            let shape = &self.plan.tables[table];
            if shape.parents.is_empty() {
                let key = pick(&row, &shape.key);
                return Ok((!shape.key.is_empty()).then_some((table, key)));
            }
            let mut above = None;
            for (parent, key) in holders(self.plan, table, &row) {
                if let Some(found) = self.by_key(parent, &key)? {
                    above = Some((parent, found));
                    break;
                }
            }
            let Some(found) = above else { return Ok(None) };
            (table, row) = found;
        }
        Ok(None)
    }

    /// From a whole row to its document: collection and key text.
    pub(crate) fn root_of(&self, table: usize, row: &[u8]) -> Result<Option<(String, String)>> {
        let root = self.climb(table, row)?;
        Ok(root.map(|(root, key)| (self.plan.tables[root].name.clone(), key_text(&key))))
    }
}

/// The cells of these columns, encoded.
pub(crate) fn pick(row: &[u8], columns: &[usize]) -> Vec<u8> {
    let mut cells = Cells::new(row);
    let mut raw = Vec::new();
    while let Some(cell) = cells.next_raw() {
        raw.push(cell);
    }
    columns.iter().flat_map(|&column| raw.get(column).copied().unwrap_or_default()).copied().collect()
}

/// Which rows may hold this one: table and encoded key.
pub(crate) fn holders(plan: &Plan, table: usize, row: &[u8]) -> Vec<(usize, Vec<u8>)> {
    let shape = &plan.tables[table];
    let cells: Vec<Cell<'_>> = Cells::new(row).collect();
    let mut out = Vec::new();
    for parent in &shape.parents {
        let named = parent.type_column.is_none_or(
            |column| matches!(cells.get(column), Some(Cell::Text(name)) if *name == plan.tables[parent.table].name),
        );
        let Some(cell) = cells.get(parent.column).filter(|cell| named && **cell != Cell::Null) else {
            continue;
        };
        let kind = plan.tables[parent.table].columns[parent.parent_column].kind;
        let mut key = Vec::new();
        as_holder(cell.clone(), kind).encode(&mut key);
        if !out.contains(&(parent.table, key.clone())) {
            out.push((parent.table, key));
        }
    }
    out
}

/// A holder's key as the held row has it: as text where holders of several key types meet.
fn as_held(key: Cell<'_>, kind: ColumnKind) -> Cell<'_> {
    if matches!(kind, ColumnKind::Text(_)) && !matches!(key, Cell::Text(_)) {
        let mut encoded = Vec::new();
        key.encode(&mut encoded);
        return Cell::Text(key_text(&encoded).into());
    }
    key
}

/// The inverse of [`as_held`].
fn as_holder(key: Cell<'_>, kind: ColumnKind) -> Cell<'_> {
    if let Cell::Text(text) = &key
        && !matches!(kind, ColumnKind::Text(_))
        && let Some(cell) = key_cell(kind, text)
    {
        return cell;
    }
    key
}

/// The encoded key that a document's key text stands for.
pub(crate) fn key_cells(plan: &Plan, table: usize, text: &str) -> Option<Vec<u8>> {
    repot_model::plan::key_cells(&plan.tables[table], text)
}
