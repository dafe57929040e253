//! The steps that end a bulk load.

use std::collections::BTreeSet;

use repot_core::{Kind, Result};
use repot_model::plan::{ColumnKind, IndexPlan, Plan, Table};
use repot_model::sql::{
    Dialect, create_index, create_order_index, foreign_key, index_order, primary_key, quote,
};

use crate::ask::speech;
use crate::finish::BUILD_MEMORY;
use crate::transaction::Writer;

/// Longest part of a text that an index holds when the whole is too long for one, in characters: 600 of four
/// bytes stay below the 2,700 bytes of an index row.
const INDEXED_CHARACTERS: u32 = 600;

/// A step: what it does, for the user, and the statement.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub says: String,
    pub sql: String,
    /// The statement to use instead when a text is too long to be indexed.
    shorter: Option<String>,
}

/// The steps that are not done yet.
pub(crate) async fn steps(writer: &mut Writer, plan: &Plan) -> Result<Vec<Step>> {
    writer.ready().await?;
    let keyed = writer.keyed().await?;
    let constraints = writer.constraints().await?;
    let by_bytes = speech(writer.client()).await?.texts_by_bytes;
    let mut steps = wanted(plan, (&keyed, &constraints), by_bytes);
    let mut step = |says: String, sql: String| steps.push(Step { says, sql, shorter: None });
    for table in
        plan.tables.iter().map(|table| table.name.as_str()).chain(["repot_objects", "repot_documents"])
    {
        step(format!("statistics of {table}"), format!("analyze {}", quote(table)));
    }
    step(
        "end of the bulk load".to_owned(),
        "update repot_meta set value = 'steady' where key = 'loading'".to_owned(),
    );
    Ok(steps)
}

/// The keys, indexes and references to make in a database where these tables have a primary key, and these constraints are; `by_bytes`: it
/// compares texts in our order. Where it does not, documents that are listed without a tenant have an index for the order of pages.
pub(crate) fn wanted(
    plan: &Plan,
    (keyed, constraints): (&BTreeSet<String>, &BTreeSet<String>),
    by_bytes: bool,
) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut step = |says: String, sql: String, shorter| steps.push(Step { says, sql, shorter });
    for table in plan.tables.iter().filter(|table| table.key_is_auto && !keyed.contains(&table.name)) {
        step(format!("primary key of {}", table.name), primary_key(table), None);
    }
    for table in &plan.tables {
        for index in &table.indexes {
            step(
                format!("index {} on {}", index.name, table.name),
                create_index(table, index, Dialect::Postgres),
                shorter(table, index),
            );
        }
    }
    let roots: BTreeSet<usize> = plan.roots.iter().filter_map(|root| root.table).collect();
    for table in roots.into_iter().map(|at| &plan.tables[at]).filter(|table| table.tenant.is_none()) {
        if let Some(sql) = create_order_index(table).filter(|_| !by_bytes) {
            step(format!("index for the order of {}", table.name), sql, None);
        }
    }
    step(
        "index on repot_documents".to_owned(),
        "create index if not exists repot_documents_key on repot_documents (collection, key)".to_owned(),
        None,
    );
    for table in &plan.tables {
        for key in table.foreign_keys.iter().filter(|key| !constraints.contains(&key.name)) {
            // deferrable: documents that refer to each other come in one batch
            let sql = format!("{} deferrable", foreign_key(table, key, &plan.tables));
            step(format!("reference {} of {}", key.name, table.name), sql, None);
        }
    }
    steps
}

/// Does a step; gives what to tell the user if it went another way than planned.
pub(crate) async fn perform(writer: &mut Writer, step: &Step) -> Result<Option<String>> {
    let run = |sql: &str| {
        format!("set local maintenance_work_mem = '{BUILD_MEMORY}'; set local lock_timeout = 0; {sql}")
    };
    let Err(error) = writer.committed(&run(&step.sql), &format!("build the {}", step.says)).await else {
        return Ok(None);
    };
    match (&step.shorter, error.kind()) {
        (Some(shorter), Kind::Conflict) => {
            writer.committed(&run(shorter), &format!("build the {}", step.says)).await?;
            Ok(Some(format!(
                "{}: a text is too long for an index, the first {INDEXED_CHARACTERS} characters are indexed",
                step.says
            )))
        }
        _ => Err(error),
    }
}

/// The index over the beginnings of unbounded texts; `None` when it has none.
fn shorter(table: &Table, index: &IndexPlan) -> Option<String> {
    let mut is_shorter = false;
    let columns: Vec<String> = index
        .columns
        .iter()
        .map(|&(column, descending)| {
            let column = &table.columns[column];
            let name = quote(&column.name);
            let order = index_order(column, descending, Dialect::Postgres);
            match column.kind {
                ColumnKind::Text(most) if most.is_none_or(|most| most > INDEXED_CHARACTERS) => {
                    is_shorter = true;
                    format!("(left({name}, {INDEXED_CHARACTERS})){order}")
                }
                _ => format!("{name}{order}"),
            }
        })
        .collect();
    let sql = format!(
        "create index if not exists {} on {} ({})",
        quote(&index.name),
        quote(&table.name),
        columns.join(", ")
    );
    is_shorter.then_some(sql)
}
