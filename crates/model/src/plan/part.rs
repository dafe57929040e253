//! Changes of a part of a document, from its rows alone: one field, or one element more in a list. What a write of the
//! whole text would do to the rows is done here without the text. Where the rows do not say enough the answer is `None`,
//! and the text has to be read.

mod touch;

use std::borrow::Cow;

use repot_json::{Kind, Value};

use super::Plan;
use super::convert;
use super::program::{Child, Op, Shape};
use super::split::Place;
use super::walker::{Element, Held, Walker};
use crate::row::{Cell, Cells, RowBuffer};

pub use touch::Touched;

/// Which rows are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowsWanted {
    /// Their table.
    pub table: usize,
    /// Columns that are compared, and their cells, encoded one after the other.
    pub columns: Vec<usize>,
    /// The cells.
    pub cells: Vec<u8>,
    /// Only the one with the last position; else all, of which more than two are never looked at.
    pub last: bool,
}

/// Gives the rows that are wanted.
pub type Find<'f, E> = &'f mut dyn FnMut(&RowsWanted) -> Result<RowBuffer, E>;

/// What becomes of a document's rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartRows {
    /// Whole rows as they shall be.
    pub updates: RowBuffer,
    /// For each of them, the columns that change.
    pub columns: Vec<Vec<usize>>,
    /// New rows.
    pub inserts: RowBuffer,
}

/// A row on the way to the part, as it shall be.
#[derive(Debug)]
struct Row {
    table: usize,
    /// Each cell encoded.
    cells: Vec<Vec<u8>>,
    /// Where its element stands.
    at: Vec<String>,
    /// Columns that the change itself sets.
    set: Vec<usize>,
    /// All columns that change.
    changed: Vec<usize>,
}

impl Row {
    fn cell(&self, column: usize) -> Cell<'_> {
        self.cells.get(column).and_then(|cell| Cells::new(cell).next()).unwrap_or(Cell::Null)
    }

    /// Whether it is the row that is wanted.
    fn is(&self, wanted: &RowsWanted) -> bool {
        let mut cells = Cells::new(&wanted.cells);
        self.table == wanted.table
            && wanted.columns.iter().all(|&column| {
                cells.next_raw().is_some_and(|cell| self.cells.get(column).is_some_and(|own| own == cell))
            })
    }

    fn put(&mut self, column: usize, cell: &Cell<'_>) {
        let mut encoded = Vec::new();
        cell.encode(&mut encoded);
        if let Some(place) = self.cells.get_mut(column) {
            *place = encoded;
            if !self.changed.contains(&column) {
                self.changed.push(column);
            }
        }
    }
}

/// What a part is in the rows.
enum Part<'p> {
    /// A column of one of the rows; so many names lead to it from the row's element.
    Column { row: usize, column: usize, names: usize },
    /// A list whose elements are rows, held by one of the rows.
    List { row: usize, child: &'p Child },
}

/// Changes parts of one document in its rows. After a call that gave `None` nothing of it may be used.
#[derive(Debug)]
pub struct PartEditor<'p> {
    plan: &'p Plan,
    /// The columns of the root row that the path fills.
    captured: Vec<usize>,
    path: String,
    /// The root row first.
    rows: Vec<Row>,
    inserts: RowBuffer,
}

impl<'p> PartEditor<'p> {
    /// For the document at this place, whose root row has this key (encoded cells).
    ///
    /// # Errors
    /// Those of `find`.
    pub fn open<E>(
        plan: &'p Plan,
        place: &Place<'_>,
        path: &str,
        key: &[u8],
        find: Find<'_, E>,
    ) -> Result<Option<Self>, E> {
        let root = &plan.roots[place.root];
        let Some(table) = root.table.filter(|_| root.body.is_none() && !root.is_container()) else {
            return Ok(None);
        };
        let mut editor = Self {
            plan,
            captured: root.captured(place.template).collect(),
            path: path.to_owned(),
            rows: Vec::new(),
            inserts: RowBuffer::new(),
        };
        let columns = plan.tables[table].key.clone();
        let wanted = RowsWanted { table, columns, cells: key.to_vec(), last: false };
        Ok(editor.take(&wanted, Vec::new(), find)?.map(|_| editor))
    }

    /// The number of the one row that is wanted, which is taken up if need be; `None`: there is none, or not one alone.
    fn take<E>(
        &mut self,
        wanted: &RowsWanted,
        at: Vec<String>,
        find: Find<'_, E>,
    ) -> Result<Option<usize>, E> {
        if wanted.columns.is_empty() || !self.plan.programs[wanted.table].whole.is_empty() {
            return Ok(None);
        }
        let known = self.rows.iter().position(|row| row.is(wanted));
        if known.is_some() {
            return Ok(known);
        }
        let found = find(wanted)?;
        if found.len() != 1 {
            return Ok(None);
        }
        let mut raw = Cells::new(found.row(0).1);
        let cells = std::iter::from_fn(|| raw.next_raw()).map(<[u8]>::to_vec).collect();
        self.rows.push(Row { table: wanted.table, cells, at, set: Vec::new(), changed: Vec::new() });
        Ok(Some(self.rows.len() - 1))
    }

    /// From here on another change is made, after those before.
    pub fn begin(&mut self) {
        self.rows.iter_mut().for_each(|row| row.set.clear());
    }

    /// What stands at this place, reading the rows on the way.
    fn part<E>(&mut self, at: &[String], find: Find<'_, E>) -> Result<Option<Part<'p>>, E> {
        let plan = self.plan;
        let (mut row, mut names) = (0, 0);
        let mut shape: &'p Shape = &plan.programs[self.rows[0].table].shape;
        for (number, name) in at.iter().enumerate() {
            if !shape.children.is_empty() {
                let ([child], true) = (shape.children.as_slice(), shape.entries.is_empty()) else {
                    return Ok(None);
                };
                let Some(wanted) = self.held(row, child, name) else { return Ok(None) };
                let Some(taken) = self.take(&wanted, at[..=number].to_vec(), find)? else { return Ok(None) };
                (row, names) = (taken, 0);
                shape = &plan.programs[child.table].shape;
                continue;
            }
            let Some(entry) = shape.entries.iter().find(|entry| entry.name == *name) else { return Ok(None) };
            if number + 1 < at.len() {
                // a column that holds all of it would change too
                if !entry.columns.is_empty() {
                    return Ok(None);
                }
                (shape, names) = (&entry.inner, names + 1);
                continue;
            }
            let inner = &entry.inner;
            return Ok(match (entry.columns.as_slice(), inner.children.as_slice()) {
                (&[column], []) if inner.entries.is_empty() => Some(Part::Column { row, column, names }),
                ([], [child]) if inner.entries.is_empty() && matches!(child.ops.as_slice(), [Op::Each]) => {
                    Some(Part::List { row, child })
                }
                _ => None,
            });
        }
        Ok(None)
    }

    /// The row that an element of a list or an entry of a map is.
    fn held(&self, row: usize, child: &Child, name: &str) -> Option<RowsWanted> {
        let (mut columns, mut cells) = self.holder(row, child);
        let program = &self.plan.programs[child.table];
        let (column, cell) = match child.ops.as_slice() {
            [Op::Each] => {
                let number: i64 = name.parse().ok().filter(|number: &i64| number.to_string() == name)?;
                (self.plan.tables[child.table].position?, Cell::Int(number))
            }
            [Op::Entry(column)] => {
                (*column, convert::word(Cow::Borrowed(name), &program.columns[*column]).ok()?)
            }
            _ => return None,
        };
        columns.push(column);
        cell.encode(&mut cells);
        Some(RowsWanted { table: child.table, columns, cells, last: false })
    }

    /// What all rows have that this row holds as these children.
    fn holder(&self, row: usize, child: &Child) -> (Vec<usize>, Vec<u8>) {
        let (mut columns, mut cells) = (vec![child.key.0], Vec::new());
        self.plan.child_key(child, self.rows[row].cell(child.key.1)).encode(&mut cells);
        if let Some(column) = child.type_column {
            columns.push(column);
            Cell::Text(Cow::Borrowed(&child.parent_name)).encode(&mut cells);
        }
        (columns, cells)
    }

    /// Sets one field.
    ///
    /// # Errors
    /// Those of `find`.
    pub fn set<E>(&mut self, at: &[String], value: Value<'_>, find: Find<'_, E>) -> Result<Option<()>, E> {
        let Some(Part::Column { row, column, names }) = self.part(at, find)? else { return Ok(None) };
        let table = self.rows[row].table;
        if value.kind() == Kind::Null
            || !self.plan.parts[table].plain[column]
            || (row == 0 && self.captured.contains(&column))
        {
            return Ok(None);
        }
        let program = &self.plan.programs[table].columns[column];
        let Ok(new) = convert::cell(value, program) else { return Ok(None) };
        let old = self.rows[row].cell(column);
        // objects on the way are surely there when something stands in them; a default may stand in for nothing
        let sure = names == 0 || (old != Cell::Null && program.default.as_ref() != Some(&old));
        if new == Cell::Null || new == old || !sure {
            return Ok(None);
        }
        self.rows[row].put(column, &new);
        self.rows[row].set.push(column);
        Ok(Some(()))
    }

    /// Adds an element at the end of a list, whose length may be known; gives the length after it.
    ///
    /// # Errors
    /// Those of `find`.
    pub fn append<E>(
        &mut self,
        list: &[String],
        element: Value<'_>,
        length: Option<i64>,
        find: Find<'_, E>,
    ) -> Result<Option<i64>, E> {
        let Some(Part::List { row, child }) = self.part(list, find)? else { return Ok(None) };
        let Some(position) = self.plan.tables[child.table].position else { return Ok(None) };
        let rules = &self.plan.parts[child.table];
        let grows = rules.grows && (rules.grows_anywhere || row == 0);
        if !grows || !self.is_filled(child.table, element) {
            return Ok(None);
        }
        let length = match length {
            Some(length) => length,
            None => {
                let (columns, cells) = self.holder(row, child);
                let last = find(&RowsWanted { table: child.table, columns, cells, last: true })?;
                let last = last.iter().next().and_then(|(_, cells)| Cells::new(cells).nth(position));
                // without elements the list may be null, or not there
                let Some(Cell::Int(last)) = last else { return Ok(None) };
                last + 1
            }
        };
        let Ok(counted) = u64::try_from(length) else { return Ok(None) };
        let mut counters = vec![0; self.plan.tables.len()];
        counters[child.table] = counted;
        let start = self.inserts.len();
        let mut walker = Walker {
            plan: self.plan,
            rows: &mut self.inserts,
            counters: &mut counters,
            path: &self.path,
            ordinal: 0,
            trace: None,
            problems: None,
            skipped: false,
        };
        let key = self.plan.child_key(child, self.rows[row].cell(child.key.1));
        let element = Element { position: Some(length), ..Element::of(element) };
        let made = walker.row(&Held { child, key }, &element);
        let whole = made.is_ok() && !walker.skipped && self.inserts.len() > start;
        Ok(whole.then_some(length + 1))
    }

    /// The element says itself what a write would fill in.
    fn is_filled(&self, table: usize, element: Value<'_>) -> bool {
        self.plan.rules[table].fillings.iter().all(|filling| {
            let names = self.plan.programs[table].columns[filling.column].path.as_deref().unwrap_or_default();
            names.iter().try_fold(element, |here, name| here.get(name)).is_some()
        })
    }

    /// What becomes of the rows.
    #[must_use]
    pub fn finish(self) -> PartRows {
        let mut rows = PartRows { updates: RowBuffer::new(), columns: Vec::new(), inserts: self.inserts };
        for row in self.rows.into_iter().filter(|row| !row.changed.is_empty()) {
            row.cells.iter().for_each(|cell| rows.updates.raw(cell));
            rows.updates.end_row(row.table);
            rows.columns.push(row.changed);
        }
        rows
    }
}

/// What may be changed in a table's rows without their document's text. Follows from the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PartRules {
    /// For each column: nothing but the row itself depends on it.
    plain: Vec<bool>,
    /// The rows of one element more follow from the element and the length of its list.
    grows: bool,
    /// In any list; else only in one that the root row holds.
    grows_anywhere: bool,
}

impl PartRules {
    pub(super) fn of(plan: &Plan, table: usize) -> Self {
        let (shape, rules) = (&plan.tables[table], &plan.rules[table]);
        let within = plan.within(table);
        let inner = |at: &usize| within[*at] && *at != table;
        let nests = shape.parents.iter().any(|parent| within[parent.table]);
        let places: usize = plan.programs.iter().map(|program| program.shape.leads_to(table)).sum();
        // keys made by Repot count all rows of the table in the document
        let counts = plan.programs[table].auto_key.is_some();
        Self {
            plain: (0..shape.columns.len()).map(|column| is_plain(plan, table, column)).collect(),
            grows: !nests
                && rules.machines.is_empty()
                && (!counts || places == 1)
                && (0..plan.tables.len())
                    .filter(inner)
                    .all(|at| plan.programs[at].auto_key.is_none() && plan.rules[at].is_empty()),
            grows_anywhere: !counts,
        }
    }
}

fn is_plain(plan: &Plan, table: usize, column: usize) -> bool {
    let (shape, rules) = (&plan.tables[table], &plan.rules[table]);
    let mut referred = plan.tables.iter().flat_map(|other| &other.foreign_keys);
    let mut parents = shape.parents.iter();
    !(shape.key.contains(&column)
        || shape.identity.contains(&column)
        || shape.position == Some(column)
        || shape.tenant == Some(column)
        || shape.unique.iter().any(|unique| unique.columns.iter().any(|one| one.0 == column))
        || shape.foreign_keys.iter().any(|key| key.column == column)
        || parents.any(|parent| parent.column == column || parent.type_column == Some(column))
        || rules.machines.iter().any(|machine| machine.column == column)
        || rules.map_keys.contains(&column)
        || referred.any(|key| key.table == table && key.target_column == column))
}

impl Shape {
    /// How many ways lead from here to rows of this table, not through other tables.
    fn leads_to(&self, table: usize) -> usize {
        let own = self.children.iter().filter(|child| child.table == table).count();
        own + self.entries.iter().map(|entry| entry.inner.leads_to(table)).sum::<usize>()
    }
}
