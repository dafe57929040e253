//! Questions about rows as SQL of both databases: filter, order, page, references. Text is made from the plan and holds
//! names of the plan alone; every value is a parameter.

mod condition;
mod helps;
mod json;
mod policies;
mod select;
mod words;

pub use condition::{Comparison, Condition, Held, JsonType, Operand};
pub use helps::{Helps, reads_all};
pub use json::{compare_decimals, json_at, json_number};
pub use policies::{Policed, SETTING, has_tenants, policed, settle_policies};
pub use select::{
    BETWEEN_KEYS, Expansion, ExpansionTarget, KEYS, Select, Sort, Statement, count_statement, statement,
};
pub use words::{marks, searched_tables};

use super::Dialect;
use crate::plan::{ColumnKind, Parent, Plan};

/// How a database writes and compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Speech {
    /// Its SQL.
    pub dialect: Dialect,
    /// Texts of a column follow each other by their bytes without being told so (SQLite always; PostgreSQL where the
    /// database was made with the locale `C`).
    pub texts_by_bytes: bool,
    /// What a tenant asks is run under a role that sees that tenant's rows only.
    pub policed: bool,
}

/// A value that a statement is run with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// One encoded cell.
    pub cell: Vec<u8>,
    /// Its type.
    pub kind: ColumnKind,
}

/// Who may see what: for each table of the plan the column that holds the tenant, if it has one, and the tenant that
/// asks.
#[derive(Debug, Clone, Default)]
pub struct Tenancy {
    /// One for each table.
    pub columns: Vec<Option<usize>>,
    /// The tenant's encoded cell, for each table with such a column; `None`: no tenant asks.
    pub tenant: Option<Vec<Option<Vec<u8>>>>,
}

impl Tenancy {
    /// Whether rows of this table, or of a table that holds them, belong to tenants.
    #[must_use]
    pub fn applies(&self, plan: &Plan, table: usize) -> bool {
        let mut seen = vec![table];
        let mut at = 0;
        while let Some(&table) = seen.get(at) {
            if self.columns.get(table).copied().flatten().is_some() {
                return true;
            }
            for parent in &plan.tables[table].parents {
                if !seen.contains(&parent.table) {
                    seen.push(parent.table);
                }
            }
            at += 1;
        }
        false
    }
}

/// The different ways in which rows of `child` name the row of `holder` that holds them.
#[must_use]
pub fn links(plan: &Plan, holder: usize, child: usize) -> Vec<Parent> {
    let mut out: Vec<Parent> = Vec::new();
    for parent in plan.tables[child].parents.iter().filter(|parent| parent.table == holder) {
        if !out.contains(parent) {
            out.push(parent.clone());
        }
    }
    out
}
