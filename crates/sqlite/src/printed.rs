//! Everything that makes the tables of a fresh database, as text.

use repot_model::plan::Plan;
use repot_model::sql::{
    Dialect, MARKING_VIEW, create_audit, create_index, create_messages, create_table, quote, settle_search,
    settle_triggers, triggers,
};

use crate::facts;
use crate::marks::TABLES;
use crate::schema::{DOCUMENTS_BY_KEY, OURS};
use crate::trash;

/// The statements that a first copy makes tables, views, indexes and triggers with, in the order in which it runs them; what it
/// writes into tables is not among them. They have no `;` at their ends.
#[must_use]
pub fn schema_sql(plan: &Plan) -> Vec<String> {
    let dialect = Dialect::Sqlite;
    let mut all: Vec<String> = OURS.iter().map(|&sql| sql.to_owned()).collect();
    all.extend([TABLES, MARKING_VIEW].map(ended));
    all.extend(plan.tables.iter().map(|table| create_table(table, &plan.tables, dialect)));
    all.extend(plan.views.iter().map(|(name, sql)| format!("create view {} as {}", quote(name), ended(sql))));
    all.push(DOCUMENTS_BY_KEY.to_owned());
    for table in &plan.tables {
        all.extend(table.indexes.iter().map(|index| create_index(table, index, Dialect::Sqlite)));
    }
    all.extend(settle_search(plan, None, &[], dialect));
    all.push(trash::TABLE.to_owned());
    all.extend([facts::TABLE, create_messages(dialect)].map(ended));
    if plan.has_history() {
        all.push(ended(create_audit(dialect)));
    }
    all.extend(settle_triggers(&triggers(plan, dialect, ""), &[], dialect));
    all
}

fn ended(sql: &str) -> String {
    sql.trim_end().trim_end_matches(';').to_owned()
}
