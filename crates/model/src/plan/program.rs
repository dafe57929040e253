//! What splitting a document does, decided once from the model.

use std::borrow::Cow;

use crate::language::Scalar;
use crate::place::Template;
use crate::plan::ColumnKind;
use crate::row::Cell;

/// What a table's rows are made of.
#[derive(Debug, Clone)]
pub(crate) struct TableProgram {
    /// One for each column.
    pub columns: Vec<ColumnProgram>,
    /// Where in the element's object the columns' values and the children stand.
    pub shape: Shape,
    /// Columns that hold the element itself (`from .`).
    pub whole: Vec<usize>,
    /// The document may name no other fields (`unknown = "refuse"`).
    pub refuse_unknown: bool,
    /// The key column made from the place.
    pub auto_key: Option<usize>,
}

/// How a column is filled and checked.
#[derive(Debug, Clone)]
pub(crate) struct ColumnProgram {
    /// Name, for messages.
    pub name: String,
    /// Type.
    pub kind: ColumnKind,
    /// A null here is a misfit.
    pub required: bool,
    /// Part of the key: text is bounded.
    pub key: bool,
    /// What a missing value becomes.
    pub default: Option<Cell<'static>>,
    /// The only words allowed; empty: any.
    pub words: Vec<String>,
    /// Where in the document it stands: names from the element; `None` when it is not of the document.
    pub path: Option<Vec<String>>,
}

/// The entries of an object that mean something.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shape {
    /// By name.
    pub entries: Vec<ShapeEntry>,
    /// Children whose way begins at this very value (`parent[]`, `parent{key}`).
    pub children: Vec<Child>,
}

/// One entry.
#[derive(Debug, Clone)]
pub(crate) struct ShapeEntry {
    /// Its name, decoded.
    pub name: String,
    /// Columns filled from it.
    pub columns: Vec<usize>,
    /// What stands deeper.
    pub inner: Shape,
}

impl Shape {
    /// The entry for `name`, made if need be.
    pub(crate) fn entry(&mut self, name: &str) -> &mut ShapeEntry {
        let at = self.entries.iter().position(|entry| entry.name == name).unwrap_or_else(|| {
            self.entries.push(ShapeEntry {
                name: name.to_owned(),
                columns: Vec::new(),
                inner: Self::default(),
            });
            self.entries.len() - 1
        });
        &mut self.entries[at]
    }

    /// The shape at the end of `names`.
    pub(crate) fn descend(&mut self, names: &[String]) -> &mut Self {
        names.iter().fold(self, |shape, name| &mut shape.entry(name).inner)
    }

    /// Nothing in it.
    pub(crate) const fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.children.is_empty()
    }
}

/// Rows of another table inside this value.
#[derive(Debug, Clone)]
pub(crate) struct Child {
    /// Their table.
    pub table: usize,
    /// From this value to the elements.
    pub ops: Vec<Op>,
    /// The column of the child that takes the parent's key, and the parent's key column.
    pub key: (usize, usize),
    /// The column that takes the parent's name.
    pub type_column: Option<usize>,
    /// The parent's name.
    pub parent_name: String,
}

/// A step over values that are data.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    /// Into an entry with this name.
    Name(String),
    /// Over the entries of a map; the key fills the column.
    Entry(usize),
    /// Over the elements of a list.
    Each,
}

/// A reference that the path of the document decides.
#[derive(Debug, Clone)]
pub(crate) struct PathReference {
    /// The column it fills.
    pub column: usize,
    /// Name of the table referred to.
    pub target_name: String,
    /// Its templates, the one with most captures first.
    pub templates: Vec<Template>,
    /// The capture of the target that is its key; `None`: the key is made from the path.
    pub key_capture: Option<String>,
}

/// A default constant as a cell.
pub(crate) fn constant(text: &str, kind: ColumnKind) -> Option<Cell<'static>> {
    Some(match kind {
        ColumnKind::Text(_) => Cell::Text(Cow::Owned(text.to_owned())),
        ColumnKind::Int => Cell::Int(text.parse().ok()?),
        ColumnKind::Float => Cell::Float(text.parse().ok().filter(|value: &f64| value.is_finite())?),
        ColumnKind::Bool => Cell::Bool(text.parse().ok()?),
        ColumnKind::Json => Cell::Json(Cow::Owned(text.to_owned())),
        ColumnKind::Decimal => Cell::Decimal(Cow::Owned(super::convert::decimal(text)?)),
        ColumnKind::Time => Cell::Time(super::time::parse_time(text)?),
        ColumnKind::Date => Cell::Date(super::time::parse_date(text)?),
        _ => return None,
    })
}

/// The column type of a scalar.
pub(crate) const fn column_kind(scalar: Scalar) -> ColumnKind {
    match scalar {
        Scalar::Text(most) => ColumnKind::Text(most),
        Scalar::Int => ColumnKind::Int,
        Scalar::Float => ColumnKind::Float,
        Scalar::Decimal => ColumnKind::Decimal,
        Scalar::Bool => ColumnKind::Bool,
        Scalar::Time => ColumnKind::Time,
        Scalar::Date => ColumnKind::Date,
        Scalar::Uuid => ColumnKind::Uuid,
        Scalar::Json => ColumnKind::Json,
        Scalar::Bytes => ColumnKind::Bytes,
    }
}

/// The column type of a list of scalars; lists of other scalars are kept as JSON.
pub(crate) const fn list_kind(scalar: Scalar) -> ColumnKind {
    match scalar {
        Scalar::Text(_) => ColumnKind::TextList,
        Scalar::Int => ColumnKind::IntList,
        Scalar::Float => ColumnKind::FloatList,
        Scalar::Bool => ColumnKind::BoolList,
        _ => ColumnKind::Json,
    }
}
