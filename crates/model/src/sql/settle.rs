//! The triggers of ours on the user's tables, and how those that are there become those that should be.

use super::audit::audit_triggers;
use super::marks::mark_triggers;
use super::messages::message_triggers;
use super::transitions::transition_triggers;
use super::{Dialect, quote, text_literal};
use crate::plan::Plan;

/// What the names of all our triggers begin with.
pub const TRIGGER_PREFIX: &str = "repot_";

/// A trigger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trigger {
    /// At most 63 bytes.
    pub name: String,
    /// Its table.
    pub table: String,
    /// The statement that makes it.
    pub create: String,
    /// On PostgreSQL the statement that makes the function behind it; otherwise empty.
    pub function: String,
    /// What is kept with it, to tell whether it is still the right one: on SQLite the statement itself, on
    /// PostgreSQL a comment.
    pub mark: String,
}

/// All triggers of a plan. `schema`: where the tables are, on PostgreSQL.
#[must_use]
pub fn triggers(plan: &Plan, dialect: Dialect, schema: &str) -> Vec<Trigger> {
    let mut all = transition_triggers(plan, dialect);
    all.extend(audit_triggers(plan, dialect));
    all.extend(mark_triggers(plan, dialect, schema));
    all.extend(message_triggers(plan, dialect, schema));
    all
}

/// The statements that turn the triggers that are there (name, table, mark) into the wanted ones; none when they are.
#[must_use]
pub fn settle_triggers(
    wanted: &[Trigger],
    there: &[(String, String, Option<String>)],
    dialect: Dialect,
) -> Vec<String> {
    let right = |one: &Trigger, (name, table, mark): &(String, String, Option<String>)| {
        one.name == *name && one.table == *table && Some(&one.mark) == mark.as_ref()
    };
    let mut statements = Vec::new();
    for found in there.iter().filter(|found| !wanted.iter().any(|one| right(one, found))) {
        statements.push(match dialect {
            Dialect::Sqlite => format!("drop trigger {}", quote(&found.0)),
            Dialect::Postgres => format!("drop trigger {} on {}", quote(&found.0), quote(&found.1)),
        });
    }
    let missing: Vec<&Trigger> =
        wanted.iter().filter(|one| !there.iter().any(|found| right(one, found))).collect();
    for (at, one) in missing.iter().enumerate() {
        let made = missing.iter().take(at).any(|other| other.function == one.function);
        if !one.function.is_empty() && !made {
            statements.push(one.function.clone());
        }
        statements.push(one.create.clone());
        if dialect == Dialect::Postgres {
            let (name, table) = (quote(&one.name), quote(&one.table));
            statements.push(format!("comment on trigger {name} on {table} is {}", text_literal(&one.mark)));
        }
    }
    statements
}
