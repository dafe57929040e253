//! Collections in the making: which there are, where their rows live, and what columns they have. Keys and
//! references come later, when whole collections have been compared.

use std::collections::BTreeMap;

use repot_model::language::{FieldKind, Step};

use crate::naming::{Names, singular};
use crate::shape::Node;

/// Where a column's value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// A capture of the path.
    Capture(usize),
    /// Names in the document, outermost first.
    Document(Vec<String>),
    /// The element itself.
    Itself,
    /// The key of the entry, by number of the entry step.
    EntryKey(usize),
    /// The place in the list.
    Position,
    /// The row it lies in.
    Parent,
    /// Made by Repot.
    Made,
    /// The file's content.
    Body,
}

impl Source {
    /// The capture it is, if it is one.
    pub(crate) const fn capture(&self) -> Option<usize> {
        match self {
            Self::Capture(at) => Some(*at),
            _ => None,
        }
    }
}

/// A column in the making.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) source: Source,
    /// The capture that holds the same text in every file.
    pub(crate) capture: Option<usize>,
    pub(crate) kind: FieldKind,
    pub(crate) optional: bool,
    pub(crate) key: bool,
    pub(crate) evidence: Vec<String>,
}

impl Column {
    pub(crate) fn new(name: String, source: Source, kind: FieldKind) -> Self {
        Self { name, source, capture: None, kind, optional: false, key: false, evidence: Vec::new() }
    }
}

/// Where rows live.
#[derive(Debug, Clone)]
pub(crate) enum Home {
    /// The documents of a template are the rows.
    Files,
    /// The rows are inside the files.
    InFiles(Vec<Step>),
    /// In rows of other drafts.
    In(Vec<(usize, Vec<Step>)>),
}

/// A collection in the making.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub(crate) name: String,
    /// Template of the files it comes from.
    pub(crate) leaf: usize,
    pub(crate) home: Home,
    pub(crate) rows: u64,
    pub(crate) columns: Vec<Column>,
    pub(crate) comments: Vec<String>,
    /// Lists of columns that are unique together.
    pub(crate) unique: Vec<Vec<String>>,
    pub(crate) names: Names,
    /// Kept whole: how it is read was decided by the template.
    pub(crate) body: bool,
    /// Name of the lists in several places that it holds.
    pub(crate) base: Option<String>,
}

impl Draft {
    pub(crate) fn new(name: String, leaf: usize, home: Home, rows: u64) -> Self {
        Self {
            name,
            leaf,
            home,
            rows,
            columns: Vec::new(),
            comments: Vec::new(),
            unique: Vec::new(),
            names: Names::default(),
            body: false,
            base: None,
        }
    }

    /// The only key column, if there is exactly one.
    pub(crate) fn single_key(&self) -> Option<&Column> {
        let mut keys = self.columns.iter().filter(|column| column.key);
        keys.next().filter(|_| keys.next().is_none())
    }

    /// Adds the reference to the row it lies in, and the place, before the other columns.
    pub(crate) fn add_place(&mut self, parents: &[String], in_list: bool) {
        let mut columns = Vec::new();
        if let [parent] = parents {
            let one = singular(parent);
            let name =
                self.names.give(&[format!("{one}_id"), format!("parent_{one}_id"), format!("in_{one}_id")]);
            columns.push(Column::new(name, Source::Parent, FieldKind::Ref(parents.to_vec())));
        } else if !parents.is_empty() {
            let name = self.reference_name();
            columns.push(Column::new(name, Source::Parent, FieldKind::Ref(parents.to_vec())));
        }
        if in_list {
            let name = self.names.give(&["order".into(), "position".into(), "list_order".into()]);
            columns.push(Column::new(name, Source::Position, FieldKind::Position));
        }
        columns.append(&mut self.columns);
        self.columns = columns;
    }

    /// A name whose `_type` and `_id` are free, too.
    fn reference_name(&mut self) -> String {
        for name in ["entity", "owner", "parent", "belongs_to"] {
            let mut names = self.names.clone();
            let free = [name.to_owned(), format!("{name}_type"), format!("{name}_id")];
            if free.iter().all(|name| names.give(std::slice::from_ref(name)) == *name) {
                self.names = names;
                return name.to_owned();
            }
        }
        self.names.give(&["in_entity".into()])
    }
}

/// Lists of the same name and kind in several places of one template's documents: one collection.
pub(crate) type Merged = BTreeMap<(usize, String), Node>;
