//! Conditions on words, by the indexes of full text search.

use super::condition::{Condition, Writer};
use super::policies::seen_name;
use super::{Parameter, Statement};
use crate::plan::{ColumnKind, Plan};
use crate::row::Cell;
use crate::search::Term;
use crate::sql::{Dialect, quote, search_indexes};

impl Writer<'_> {
    /// Each term by itself: a text may be so long that its words stand in several parts.
    pub(super) fn search(&mut self, terms: &[Term], table: usize, alias: &str) -> String {
        let Some(index) = search_indexes(self.plan).iter().find(|index| index.table == table) else {
            return "false".to_owned();
        };
        let shape = &self.plan.tables[table];
        let dialect = self.speech.dialect;
        let tenant_asks = self.tenancy.tenant.is_some() && self.tenancy.applies(self.plan, table);
        let rows =
            if self.speech.policed && tenant_asks { seen_name(&index.rows) } else { index.rows.clone() };
        let (rows, keys) = (quote(&rows), index.keys(shape));
        let mut places = Vec::with_capacity(terms.len());
        for term in terms {
            let part = self.alias();
            let found = match dialect {
                Dialect::Sqlite => {
                    let (mark, words) = (self.mark_words(term.fts5()), quote(&index.words));
                    format!("{part}.id in (select rowid from {words} where {words} match {mark})")
                }
                Dialect::Postgres => {
                    format!("{part}.words @@ {}::text::tsquery", self.mark_words(term.tsquery()))
                }
            };
            places.push(if index.has_plain_keys(shape) {
                let own: Vec<String> =
                    shape.identity.iter().map(|&column| self.column(table, column, alias)).collect();
                let own = match own.as_slice() {
                    [only] => only.clone(),
                    _ => format!("({})", own.join(", ")),
                };
                format!("{own} in (select {keys} from {rows} as {part} where {found})")
            } else {
                let same = index.same_row(shape, (&part, alias), dialect);
                format!("exists (select 1 from {rows} as {part} where {same} and {found})")
            });
        }
        match places.as_slice() {
            [only] => only.clone(),
            _ => format!("({})", places.join(" and ")),
        }
    }

    fn mark_words(&mut self, words: String) -> String {
        self.mark_cell(&Cell::Text(words.into()), ColumnKind::Text(None))
    }
}

/// The tables whose words a condition asks for.
#[must_use]
pub fn searched_tables(table: usize, condition: &Condition) -> Vec<usize> {
    let mut found = Vec::new();
    collect(table, condition, &mut found);
    found.sort_unstable();
    found.dedup();
    found
}

fn collect(table: usize, condition: &Condition, found: &mut Vec<usize>) {
    match condition {
        Condition::All(all) | Condition::Any(all) => all.iter().for_each(|one| collect(table, one, found)),
        Condition::Not(inner) => collect(table, inner, found),
        Condition::Holds(held, inner) => collect(held.table, inner, found),
        Condition::Search(_) => found.push(table),
        _ => {}
    }
}

/// The oldest and the newest mark of rows of a searched table that plain SQL changed: two numbers, null where there is
/// none, so the index is as the rows are.
#[must_use]
pub fn marks(plan: &Plan, table: usize) -> Option<Statement> {
    let index = search_indexes(plan).iter().find(|index| index.table == table)?;
    let sql = format!("select min(seq), max(seq) from {}", quote(&index.stale));
    let parameters: Vec<Parameter> = Vec::new();
    Some(Statement {
        sql,
        parameters,
        columns: vec![ColumnKind::Int; 2],
        order: Vec::new(),
        tenant: None,
        keyed: false,
    })
}
