//! Which conditions an index helps, as the plan's indexes and the database's rules tell; what a database makes of it is
//! its own matter, and `explain` shows that too.

use super::condition::{Comparison, Condition, Held, Operand};
use super::{Speech, Tenancy};
use crate::plan::{ColumnKind, Plan};
use crate::sql::Dialect;

/// Looks for indexes.
#[derive(Debug, Clone, Copy)]
pub struct Helps<'p> {
    plan: &'p Plan,
    speech: Speech,
}

impl<'p> Helps<'p> {
    /// On the indexes of `plan`.
    #[must_use]
    pub const fn new(plan: &'p Plan, speech: Speech) -> Self {
        Self { plan, speech }
    }

    /// Whether an index leads to the rows of `table` that fulfil the condition.
    #[must_use]
    pub fn helped(&self, table: usize, condition: &Condition) -> bool {
        self.helped_beside(table, condition, &[])
    }

    /// The same, when an index may lead over columns whose value is known already.
    #[must_use]
    pub fn helped_beside(&self, table: usize, condition: &Condition, known: &[usize]) -> bool {
        match condition {
            Condition::All(all) => {
                let mut known = known.to_vec();
                known.extend(all.iter().filter_map(|one| self.fixed(table, one)));
                all.iter().any(|one| self.helped_beside(table, one, &known))
            }
            Condition::Any(any) => {
                !any.is_empty() && any.iter().all(|one| self.helped_beside(table, one, known))
            }
            Condition::Compare(Operand::Column(column), Comparison::Equal, _)
            | Condition::In(Operand::Column(column), _) => {
                self.comparable(table, *column, true) && self.leads(table, *column, known)
            }
            Condition::Null(Operand::Column(column)) => self.leads(table, *column, known),
            Condition::Compare(Operand::Column(column), ..) => {
                self.comparable(table, *column, false) && self.leads(table, *column, known)
            }
            Condition::Like(Operand::Column(column), pattern) => {
                !pattern.starts_with(['%', '_'])
                    && !pattern.is_empty()
                    && self.comparable(table, *column, false)
                    && self.leads(table, *column, known)
            }
            Condition::Search(_) => true,
            Condition::Holds(Held { table, .. }, inner) => self.helped(*table, inner),
            _ => false,
        }
    }

    /// The column that a condition gives one value.
    #[must_use]
    pub fn fixed(&self, table: usize, condition: &Condition) -> Option<usize> {
        match condition {
            Condition::Compare(Operand::Column(column), Comparison::Equal, _) => {
                self.comparable(table, *column, true).then_some(*column)
            }
            _ => None,
        }
    }

    /// An index is in the order in which we compare.
    fn comparable(&self, table: usize, column: usize, equal: bool) -> bool {
        match (self.plan.tables[table].columns[column].kind, self.speech.dialect) {
            (ColumnKind::Decimal, Dialect::Sqlite) => false,
            (ColumnKind::Text(_), Dialect::Postgres) => equal || self.speech.texts_by_bytes,
            _ => true,
        }
    }

    fn leads(&self, table: usize, column: usize, known: &[usize]) -> bool {
        let shape = &self.plan.tables[table];
        let first = |at: &usize| *at == column || !known.contains(at);
        shape.key.iter().copied().find(first) == Some(column)
            || shape
                .unique
                .iter()
                .chain(&shape.indexes)
                .any(|index| index.columns.iter().map(|&(column, _)| column).find(first) == Some(column))
    }
}

/// Whether nothing leads to the rows: the whole table is read. A tenant's rows are found by an index on its column.
#[must_use]
pub fn reads_all(plan: &Plan, tenancy: &Tenancy, speech: Speech, table: usize, filter: &Condition) -> bool {
    let helps = Helps::new(plan, speech);
    let known: Vec<usize> = tenancy.columns.get(table).copied().flatten().into_iter().collect();
    let tenant_leads = known.iter().any(|&column| helps.leads(table, column, &[]));
    let held_by_tenant = known.is_empty() && tenancy.applies(plan, table);
    !(tenant_leads || held_by_tenant || helps.helped_beside(table, filter, &known))
}
