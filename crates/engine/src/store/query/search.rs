//! Search for words: the question, and whether the index is as the rows are.

use repot_core::{Error, Kind, Result};
use repot_model::plan::Plan;
use repot_model::row::{Cell, Cells};
use repot_model::search::terms;
use repot_model::sql::query::{Condition, marks, searched_tables};
use repot_model::sql::search_indexes;

use super::resolve::Resolved;
use super::values::wrong;
use crate::store::desk::Desk;

/// Searched tables, each with the newest mark that a search waits for.
#[derive(Debug, Clone, Default)]
pub(super) struct Marks(Vec<(usize, i64)>);

impl Marks {
    /// Whether rows that plain SQL changed before the search began wait to be indexed. What it changes later may be left
    /// out, or else a search could wait forever.
    pub(super) fn wait(&mut self, desk: &mut Desk<'_, '_>, resolved: &Resolved<'_>) -> Result<bool> {
        let mut waits = false;
        for table in searched_tables(resolved.select.table, &resolved.select.filter) {
            let Some((oldest, newest)) = range(desk, table)? else {
                self.0.push((table, i64::MIN));
                continue;
            };
            match self.0.iter().find(|(known, _)| *known == table) {
                Some((_, last)) => waits |= oldest <= *last,
                None => {
                    self.0.push((table, newest));
                    waits = true;
                }
            }
        }
        Ok(waits)
    }
}

fn range(desk: &mut Desk<'_, '_>, table: usize) -> Result<Option<(i64, i64)>> {
    let Some(statement) = marks(desk.plan, table) else { return Ok(None) };
    let answer = desk.reader().ask(&statement, usize::MAX)?;
    let Some((_, row)) = answer.rows.iter().next() else { return Ok(None) };
    let mut cells = Cells::new(row);
    Ok(match (cells.next(), cells.next()) {
        (Some(Cell::Int(oldest)), Some(Cell::Int(newest))) => Some((oldest, newest)),
        _ => None,
    })
}

/// The condition that a row's searched texts hold these words.
pub(super) fn search(plan: &Plan, table: usize, words: &str) -> Result<Condition> {
    let name = &plan.tables[table].name;
    if plan.rules[table].search.is_empty() {
        return Err(wrong(format!("{name} is not searched; its model says no `search = [...]`")));
    }
    if search_indexes(plan).iter().all(|index| index.table != table) {
        let message = format!("nothing tells the rows of {name} apart");
        return Err(Error::new(Kind::Unsupported, "R0405", message).hint("Give the collection a key."));
    }
    Ok(Condition::Search(terms(words).map_err(|problem| wrong(problem.to_string()))?))
}
