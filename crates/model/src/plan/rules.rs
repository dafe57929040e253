//! What the model says about changes of documents, table by table. It decides nothing about tables and rows, so it is
//! not part of [`Plan::hash`]: a database stays the same when it changes.

use std::collections::BTreeMap;

use repot_json::edit::quote;

use super::compile::{columns_before, entry_fields};
use super::program::TableProgram;
use super::{ColumnKind, Plan};
use crate::language::{Collection, DefaultValue, FieldKind, Scalar};

/// The rules of one table's rows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TableRules {
    /// Fields that a write fills in.
    pub(crate) fillings: Vec<Filling>,
    /// State machines.
    pub machines: Vec<Machine>,
    /// Columns that keys of maps fill.
    pub(crate) map_keys: Vec<usize>,
    /// `audit`: seconds that changes are kept on record.
    pub audit: Option<u64>,
    /// Columns whose words are searched; see [`crate::search`].
    pub search: Vec<usize>,
    /// Its documents are messages that workers claim.
    pub queue: Option<QueueRules>,
}

/// `queue = { lease, tries }` of a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueRules {
    /// How long a claim holds where nobody says, milliseconds.
    pub lease_ms: i64,
    /// After so many attempts a message is a dead letter.
    pub tries: u32,
    /// The column `priority`, where there is one with integers.
    pub priority: Option<usize>,
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
            audit: collection.audit.as_ref().map(|life| life.value),
            queue: collection.queue.as_ref().map(|queue| QueueRules {
                lease_ms: i64::try_from(queue.lease.value.saturating_mul(1_000)).unwrap_or(i64::MAX),
                tries: queue.tries,
                priority: collection
                    .field("priority")
                    .filter(|field| field.kind == FieldKind::Scalar(Scalar::Int))
                    .map(|field| column_of(&field.name)),
            }),
        }
    }
}

impl Plan {
    /// The queue that the documents of a collection are.
    #[must_use]
    pub fn queue(&self, collection: &str) -> Option<QueueRules> {
        self.rules.get(self.table(collection)?)?.queue
    }

    /// Whether documents of some collection are messages that workers claim.
    #[must_use]
    pub fn has_queues(&self) -> bool {
        self.rules.iter().any(|rules| rules.queue.is_some())
    }

    /// Whether writes of this root's documents depend on what was there before, or fill something in.
    #[must_use]
    pub fn has_rules(&self, root: usize) -> bool {
        let Some(root) = self.roots.get(root).filter(|root| root.body.is_none()) else { return false };
        let Some(table) = root.table else { return false };
        self.within(table).iter().zip(&self.rules).any(|(within, rules)| *within && !rules.is_empty())
    }

    /// How long changes of this root's documents are kept on record, seconds: as its collection says, or one of those
    /// inside of it, whichever is longer. `None`: they are not recorded.
    #[must_use]
    pub fn audit(&self, root: usize) -> Option<u64> {
        let table = self.roots.get(root)?.table?;
        let within = self.within(table);
        self.rules.iter().zip(within).filter(|(_, within)| *within).filter_map(|(rules, _)| rules.audit).max()
    }

    /// Whether anything of this root's documents is recorded: all changes, or those of states.
    #[must_use]
    pub fn keeps_history(&self, root: usize) -> bool {
        let Some(table) = self.roots.get(root).and_then(|root| root.table) else { return false };
        let kept = |rules: &TableRules| rules.audit.is_some() || !rules.machines.is_empty();
        self.rules.iter().zip(self.within(table)).any(|(rules, within)| within && kept(rules))
    }

    /// Whether anything of any document is recorded.
    #[must_use]
    pub fn has_history(&self) -> bool {
        self.rules.iter().any(|rules| rules.audit.is_some() || !rules.machines.is_empty())
    }

    /// For each table, whether its rows can stand in documents whose root row is in `table`.
    pub(crate) fn within(&self, table: usize) -> Vec<bool> {
        // parents come before their children
        let mut within = vec![false; self.tables.len()];
        for (at, shape) in self.tables.iter().enumerate() {
            within[at] = at == table || shape.parents.iter().any(|parent| within[parent.table]);
        }
        within
    }
}
