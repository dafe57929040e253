//! The compiled model: tables and columns, where each column's value stands in a document, and the two
//! directions between documents and rows. Compiled once; nothing looks a name up per row.

mod additions;
mod among;
mod compile;
mod convert;
mod key;
mod lay_over;
mod lists;
mod outline;
mod part;
mod problem;
mod program;
mod references;
mod revise;
mod rules;
mod split;
mod table;
pub mod time;
mod walker;

use crate::language::Format;
use crate::sql::SearchIndex;

pub use additions::Additions;
pub use among::{Gaps, Standing, Stuck};
pub(crate) use convert::decimal;
pub use convert::{json as cell_json, json_into as cell_json_into};
pub use key::{key_cell, key_cells, key_text, key_text_into, uuid_text};
pub use lay_over::{LaidOver, now_like};
pub use outline::{Outline, OutlineEntry, OutlineRows, OutlineStep};
pub(crate) use part::PartRules;
pub use part::{Find, PartEditor, PartRows, RowsWanted, Touched};
pub use problem::{PROBLEMS_MAX, Problem};
pub use revise::{Revised, Revision, StateChange};
pub use rules::{Machine, QueueRules, TableRules};
pub use split::{Misfit, Place, SplitDocument, Splitter};
pub use table::{Column, ColumnKind, ForeignKey, IndexPlan, Parent, SqlDefault, Table};
pub use walker::{place_order, pointer};

pub(crate) use program::{Op, PathReference, TableProgram};

/// A compiled model.
#[derive(Debug, Clone)]
pub struct Plan {
    /// One for each collection with rows, parents before children and, where it can be, referred before
    /// referring.
    pub tables: Vec<Table>,
    /// Collections whose documents are files or stand in files.
    pub roots: Vec<Root>,
    /// Views: name and statement.
    pub views: Vec<(String, String)>,
    /// Hash of everything that decides tables, columns and how documents are split.
    pub hash: String,
    /// One for each table: what a write may change and what it fills in. Not part of the hash.
    pub rules: Vec<TableRules>,
    /// One for each table.
    pub(crate) programs: Vec<TableProgram>,
    /// One for each table.
    pub(crate) parts: Vec<PartRules>,
    pub(crate) searches: Vec<SearchIndex>,
}

/// A collection whose documents are files or stand in files.
#[derive(Debug, Clone)]
pub struct Root {
    /// Index of the collection in the model.
    pub collection: usize,
    /// Its name.
    pub name: String,
    /// Index of its table; `None` when it stays where it is (`move = false`).
    pub table: Option<usize>,
    /// How the file is read.
    pub format: Format,
    /// The document is the file's body and fills this column.
    pub(crate) body: Option<(usize, crate::language::Body)>,
    /// Its documents stand inside a file: the way from the file's root.
    pub(crate) inside: Option<Vec<Op>>,
    /// For each template, for each capture: the column it fills.
    pub(crate) captures: Vec<Vec<Option<usize>>>,
    /// For each template: its captures' names.
    pub(crate) capture_names: Vec<Vec<String>>,
    /// References that the path decides.
    pub(crate) path_references: Vec<PathReference>,
}

impl Root {
    /// Several documents may stand in one file.
    #[must_use]
    pub fn is_container(&self) -> bool {
        self.inside.is_some() || self.format == Format::JsonLines
    }

    /// The columns of the root row that paths of this template fill.
    pub fn captured(&self, template: usize) -> impl Iterator<Item = usize> + '_ {
        self.captures.get(template).into_iter().flatten().flatten().copied()
    }
}

impl Plan {
    /// Whether some table's keys are made from the place of the document ([`place_order`]).
    #[must_use]
    pub fn makes_keys(&self) -> bool {
        self.programs.iter().any(|program| program.auto_key.is_some())
    }

    /// The root of a collection, by its index in the model.
    #[must_use]
    pub fn root(&self, collection: usize) -> Option<&Root> {
        self.roots.iter().find(|root| root.collection == collection)
    }

    /// The table with this name.
    #[must_use]
    pub fn table(&self, name: &str) -> Option<usize> {
        self.tables.iter().position(|table| table.name == name)
    }
}
