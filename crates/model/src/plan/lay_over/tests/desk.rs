//! A file on the desk: split, rows changed, laid over, split again.

use repot_json::Limits;

use crate::language;
use crate::plan::LaidOver;
use crate::plan::{Place, Plan, SplitDocument, Splitter};
use crate::row::{Cell, Cells, RowBuffer};

/// A row with its cells apart.
pub(super) type Row = (usize, Vec<Cell<'static>>);

pub(super) fn plan(model: &str) -> Plan {
    let model =
        language::parse(model, "repot.toml", &|_| None).unwrap_or_else(|problems| panic!("{}", problems[0]));
    Plan::compile(&model).unwrap_or_else(|problems| panic!("{}", problems[0]))
}

/// A file at its place.
pub(super) struct Desk<'p> {
    plan: &'p Plan,
    path: &'p str,
    values: Vec<&'p str>,
    roots: Vec<usize>,
}

impl<'p> Desk<'p> {
    pub(super) fn new(plan: &'p Plan, path: &'p str, values: &[&'p str]) -> Self {
        let roots = (0..plan.roots.len()).collect();
        Self { plan, path, values: values.to_vec(), roots }
    }

    pub(super) fn places(&self) -> Vec<Place<'_>> {
        self.roots.iter().map(|&root| Place { root, template: 0, values: &self.values }).collect()
    }

    pub(super) fn split(&self, text: &str) -> (Vec<SplitDocument>, Vec<Vec<Row>>) {
        let (mut rows, mut found) = (RowBuffer::new(), Vec::new());
        Splitter::new(self.plan, Limits::default()).split(
            &self.places(),
            self.path,
            text.as_bytes(),
            &mut rows,
            &mut found,
        );
        let documents =
            found.iter().map(|document| document.rows.clone().map(|at| owned(rows.row(at))).collect());
        let documents = documents.collect();
        (found, documents)
    }

    pub(super) fn lay(&self, text: &str, actual: &[Option<Vec<Row>>]) -> LaidOver {
        let actual: Vec<Option<RowBuffer>> =
            actual.iter().map(|rows| rows.as_ref().map(|rows| buffer(rows))).collect();
        Splitter::new(self.plan, Limits::default())
            .lay_over(&self.places(), self.path, text.as_bytes(), &actual)
            .expect("every document with rows can be split")
    }

    /// Splits `text`, edits the rows of its first document, lays them over; the result says what the rows say.
    pub(super) fn edit(&self, text: &str, edit: impl FnOnce(&mut Sheet<'_>)) -> String {
        let laid = self.attempt(text, edit);
        assert_eq!(laid.notes, Vec::<String>::new());
        String::from_utf8(laid.bytes).unwrap()
    }

    pub(super) fn attempt(&self, text: &str, edit: impl FnOnce(&mut Sheet<'_>)) -> LaidOver {
        let (found, mut documents) = self.split(text);
        for document in &found {
            assert_eq!(document.misfit, None);
        }
        let mut all: Vec<Option<Vec<Row>>> = vec![None; documents.len()];
        let mut sheet = Sheet { plan: self.plan, rows: std::mem::take(&mut documents[0]) };
        let same = self.lay(text, &[Some(sheet.rows.clone())]);
        assert_eq!(
            (same.bytes, same.notes),
            (text.as_bytes().to_vec(), Vec::new()),
            "no change changes nothing"
        );
        edit(&mut sheet);
        sheet.rows.reverse();
        all[0] = Some(sheet.rows);
        self.lay(text, &all)
    }
}

/// The rows of a document, edited as SQL would.
pub(super) struct Sheet<'p> {
    plan: &'p Plan,
    pub(super) rows: Vec<Row>,
}

impl Sheet<'_> {
    pub(super) fn column(&self, table: &str, column: &str) -> (usize, usize) {
        let table = self.plan.table(table).expect("the model has this table");
        let at = self.plan.tables[table].columns.iter().position(|own| own.name == column);
        (table, at.unwrap_or_else(|| panic!("no column {column}")))
    }

    /// `update table set column = cell where filter = value`.
    pub(super) fn set(&mut self, place: &str, filter: (&str, &Cell<'static>), cell: &Cell<'static>) {
        let (table, column) = place.split_once('.').unwrap();
        let (number, by) = self.column(table, filter.0);
        let (_, column) = self.column(table, column);
        let mut hits = 0;
        for row in self.rows.iter_mut().filter(|row| row.0 == number && row.1[by] == *filter.1) {
            row.1[column] = cell.clone();
            hits += 1;
        }
        assert!(hits > 0, "nothing to update in {place}");
    }

    pub(super) fn delete(&mut self, table: &str, filter: (&str, &Cell<'static>)) {
        let (number, by) = self.column(table, filter.0);
        let before = self.rows.len();
        self.rows.retain(|row| row.0 != number || row.1[by] != *filter.1);
        assert!(self.rows.len() < before);
    }

    pub(super) fn insert(&mut self, table: &str, cells: &[(&str, Cell<'static>)]) {
        let number = self.plan.table(table).unwrap();
        let mut row = vec![Cell::Null; self.plan.tables[number].columns.len()];
        for (name, cell) in cells {
            row[self.column(table, name).1] = cell.clone();
        }
        self.rows.push((number, row));
    }

    pub(super) fn cell(&self, table: &str, column: &str) -> Cell<'static> {
        let (number, column) = self.column(table, column);
        self.rows.iter().find(|row| row.0 == number).unwrap().1[column].clone()
    }
}

pub(super) fn text(text: &str) -> Cell<'static> {
    Cell::Text(text.to_owned().into())
}

pub(super) fn json(text: &str) -> Cell<'static> {
    Cell::Json(text.to_owned().into())
}

pub(super) fn owned(row: (usize, &[u8])) -> Row {
    let cells = Cells::new(row.1).map(|cell| match cell {
        Cell::Text(text) => Cell::Text(text.into_owned().into()),
        Cell::Json(text) => Cell::Json(text.into_owned().into()),
        Cell::Decimal(text) => Cell::Decimal(text.into_owned().into()),
        Cell::Bytes(bytes) => Cell::Bytes(bytes.into_owned().into()),
        Cell::List(bytes) => Cell::List(bytes.into_owned().into()),
        Cell::Null => Cell::Null,
        Cell::Int(value) => Cell::Int(value),
        Cell::Float(value) => Cell::Float(value),
        Cell::Bool(value) => Cell::Bool(value),
        Cell::Time(value) => Cell::Time(value),
        Cell::Date(value) => Cell::Date(value),
        Cell::Uuid(value) => Cell::Uuid(value),
    });
    (row.0, cells.collect())
}

pub(super) fn buffer(rows: &[Row]) -> RowBuffer {
    let mut out = RowBuffer::new();
    for (table, cells) in rows {
        for cell in cells {
            out.cell(cell);
        }
        out.end_row(*table);
    }
    out
}
