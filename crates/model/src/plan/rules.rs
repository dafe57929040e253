//! What the model says about changes of documents, table by table. It decides nothing about tables and rows, so it is
//! not part of [`Plan::hash`]: a database stays the same when it changes.

use std::collections::BTreeMap;

use repot_json::edit::quote;

use super::compile::{columns_before, entry_fields};
use super::program::TableProgram;
use super::{ColumnKind, Plan};
use crate::language::{Collection, DefaultValue};

/// The rules of one table's rows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TableRules {
    /// Fields that a write fills in.
    pub(crate) fillings: Vec<Filling>,
    /// State machines.
    pub machines: Vec<Machine>,
    /// Columns that keys of maps fill.
    pub(crate) map_keys: Vec<usize>,
    /// Columns whose words are searched; see [`crate::search`].
    pub search: Vec<usize>,
}

/// A field that a write fills in.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Filling {
    /// Column index.
    pub column: usize,
    /// With what.
    pub with: Filler,
}

/// What a field is filled with.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Filler {
    /// In a new row, where it is missing: this JSON text, spelled as in the model.
    Constant(String),
    /// In a new row, where it is missing: the time.
    Now,
    /// In a new row, where it is missing: the date, UTC.
    Today,
    /// In a new row, where it is missing, and in each row that changes: the time.
    NowOnWrite,
}

/// The changes that a column of words may make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Column index.
    pub column: usize,
    /// From each word to those it may become.
    pub changes: BTreeMap<String, Vec<String>>,
}

impl Machine {
    /// Whether a value may become another one. What has no value yet may take any; a value that goes away, or a word
    /// that the machine does not know, may not.
    #[must_use]
    pub fn allows(&self, from: Option<&str>, to: Option<&str>) -> bool {
        let Some(from) = from else { return true };
        to == Some(from) || to.is_some_and(|to| self.next(from).iter().any(|word| word == to))
    }

    /// What this word may become.
    #[must_use]
    pub fn next(&self, from: &str) -> &[String] {
        self.changes.get(from).map_or(&[], Vec::as_slice)
    }
}

impl TableRules {
    /// No rules.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.fillings.is_empty() && self.machines.is_empty()
    }

    pub(super) fn of(collection: &Collection, program: &TableProgram) -> Self {
        let column_of = |name: &str| columns_before(collection, |field| field.name == name);
        let fillings = collection.fields.iter().filter_map(|field| {
            let column = column_of(&field.name);
            let place = program.columns.get(column)?;
            // what is not of the document, or is all of it, is not filled in
            place.path.as_ref().filter(|path| !path.is_empty())?;
            let with = match field.default.as_ref()? {
                DefaultValue::Constant(text) => Filler::Constant(match place.kind {
                    ColumnKind::Int
                    | ColumnKind::Float
                    | ColumnKind::Decimal
                    | ColumnKind::Bool
                    | ColumnKind::Json => text.clone(),
                    _ => quote(text),
                }),
                DefaultValue::Now => Filler::Now,
                DefaultValue::Today => Filler::Today,
                DefaultValue::NowOnWrite => Filler::NowOnWrite,
            };
            Some(Filling { column, with })
        });
        let machines = collection
            .transitions
            .iter()
            .map(|(name, changes)| Machine { column: column_of(name), changes: changes.clone() });
        Self {
            fillings: fillings.collect(),
            machines: machines.collect(),
            search: collection.search.iter().map(|name| column_of(name)).collect(),
            map_keys: entry_fields(collection).iter().map(|name| column_of(name)).collect(),
        }
    }
}

impl Plan {
    /// Whether writes of this root's documents depend on what was there before, or fill something in.
    #[must_use]
    pub fn has_rules(&self, root: usize) -> bool {
        let Some(root) = self.roots.get(root).filter(|root| root.body.is_none()) else { return false };
        let Some(table) = root.table else { return false };
        // parents come before their children
        let mut within = vec![false; self.tables.len()];
        for (at, shape) in self.tables.iter().enumerate() {
            within[at] = at == table || shape.parents.iter().any(|parent| within[parent.table]);
        }
        within.iter().zip(&self.rules).any(|(within, rules)| *within && !rules.is_empty())
    }
}
