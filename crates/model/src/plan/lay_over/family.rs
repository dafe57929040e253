//! The rows of one document as a tree.

use std::collections::HashMap;
use std::ops::Range;

use crate::plan::{Plan, key_text};
use crate::row::{Cell, Cells, RowBuffer};

use super::spell;

/// Rows of one document.
#[derive(Debug)]
pub(super) struct Family<'r> {
    pub(super) members: Vec<Member<'r>>,
    /// The row of the document itself.
    pub(super) root: Option<usize>,
}

/// A row.
#[derive(Debug)]
pub(super) struct Member<'r> {
    pub(super) table: usize,
    pub(super) cells: Vec<Cell<'r>>,
    /// Rows inside it.
    pub(super) children: Vec<usize>,
}

/// Where a row came to stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spot {
    /// In no place of the document.
    Nowhere,
    /// In a map, or the document itself.
    Unlisted,
    /// In a list, with this number.
    At(i64),
}

impl<'r> Family<'r> {
    /// The tree of `rows`: the row of table `root`, with the key cells `wanted` if there is one, holds the others.
    pub(super) fn new(
        plan: &Plan,
        rows: &'r RowBuffer,
        range: Range<usize>,
        root: usize,
        wanted: Option<&[u8]>,
    ) -> Self {
        let mut members: Vec<Member<'r>> = range
            .map(|row| {
                let (table, cells) = rows.row(row);
                Member { table, cells: Cells::new(cells).collect(), children: Vec::new() }
            })
            .collect();
        let mut keys: HashMap<(usize, Vec<u8>), usize> = HashMap::new();
        for (at, member) in members.iter().enumerate() {
            let Some(cell) = plan.tables[member.table].key.first().and_then(|&key| member.cells.get(key))
            else {
                continue;
            };
            let native = encoded(cell);
            if !matches!(cell, Cell::Text(_)) {
                // parents whose keys have several types are referred to by the key's text
                let text = encoded(&Cell::Text(key_text(&native).into()));
                keys.entry((member.table, text)).or_insert(at);
            }
            keys.entry((member.table, native)).or_insert(at);
        }
        for at in 0..members.len() {
            if let Some(parent) = parent(plan, &members[at], &keys) {
                members[parent].children.push(at);
            }
        }
        let of_root = |at: &usize| members[*at].table == root;
        let fits = |at: &usize| wanted.is_some_and(|wanted| identity(plan, &members[*at]) == wanted);
        let root = (0..members.len()).filter(of_root).find(fits).or_else(|| (0..members.len()).find(of_root));
        Self { members, root }
    }

    /// What the tree below `at` says, whatever the keys that Repot makes; `spots` gives the places in lists when
    /// they are not those of the rows.
    pub(super) fn digest(&self, plan: &Plan, at: usize, spots: Option<&[Spot]>) -> Vec<u8> {
        let member = &self.members[at];
        let table = &plan.tables[member.table];
        let mut out = vec![u8::from(true)];
        out.extend((member.table as u64).to_le_bytes());
        for (column, cell) in member.cells.iter().enumerate() {
            let link = table.parents.iter().any(|parent| parent.column == column);
            if link || plan.programs[member.table].auto_key == Some(column) {
                continue;
            }
            match cell {
                Cell::Json(text) => Cell::Json(spell::canonical(text).into()).encode(&mut out),
                Cell::Int(_) | Cell::Null if table.position == Some(column) => {
                    // documents in a file keep their order; nothing is said by their number
                    if table.parents.is_empty() {
                        continue;
                    }
                    match spots.map(|spots| spots[at]) {
                        None => cell.encode(&mut out),
                        Some(Spot::At(number)) => Cell::Int(number).encode(&mut out),
                        Some(_) => Cell::Null.encode(&mut out),
                    }
                }
                _ => cell.encode(&mut out),
            }
        }
        let mut children: Vec<Vec<u8>> =
            member.children.iter().map(|&child| self.digest(plan, child, spots)).collect();
        children.sort_unstable();
        for child in children {
            out.extend((child.len() as u64).to_le_bytes());
            out.extend(child);
        }
        out
    }

    /// A row in words: its table and what tells it apart.
    pub(super) fn name(&self, plan: &Plan, at: usize) -> String {
        let member = &self.members[at];
        let key = key_text(&identity(plan, member));
        let table = &plan.tables[member.table].name;
        if key.is_empty() { table.clone() } else { format!("{table} {key}") }
    }
}

/// The encoded cells that tell rows of a table apart.
pub(super) fn identity(plan: &Plan, member: &Member<'_>) -> Vec<u8> {
    chosen(member, plan.tables[member.table].identity.iter().copied())
}

/// The encoding of some cells.
pub(super) fn chosen(member: &Member<'_>, columns: impl Iterator<Item = usize>) -> Vec<u8> {
    let mut out = Vec::new();
    for column in columns {
        member.cells.get(column).unwrap_or(&Cell::Null).encode(&mut out);
    }
    out
}

fn encoded(cell: &Cell<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    cell.encode(&mut out);
    out
}

fn parent(plan: &Plan, member: &Member<'_>, keys: &HashMap<(usize, Vec<u8>), usize>) -> Option<usize> {
    plan.tables[member.table].parents.iter().find_map(|parent| {
        let named = parent.type_column.is_none_or(|column| {
            matches!(member.cells.get(column), Some(Cell::Text(name)) if *name == plan.tables[parent.table].name)
        });
        let cell = member.cells.get(parent.column).filter(|cell| named && **cell != Cell::Null)?;
        keys.get(&(parent.table, encoded(cell))).copied()
    })
}
