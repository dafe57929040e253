//! Triggers that hold plain SQL to the state machines of the model, and the mark that lets our own writes pass.

use repot_core::Result;
use repot_model::plan::Plan;
use repot_model::sql::{
    AUDIT_PREFIX, Dialect, STATE_PREFIX, TRANSITION_PREFIX, audit_triggers, create_audit, settle_triggers,
    transition_triggers,
};
use rusqlite::Connection;

use crate::error::failed;
use crate::schema::begin;

/// One row: 1 while a transaction of ours is at work. Triggers that are about plain SQL look at it.
const WRITER: &str = "create table if not exists repot_writer (busy integer not null) strict;
insert into repot_writer (busy) select 0 where not exists (select 1 from repot_writer)";

/// Whether the model has rules that triggers keep.
fn has_triggers(plan: &Plan) -> bool {
    plan.has_history()
}

/// Makes the table that says who writes, where triggers need it.
pub(crate) fn make_writer(connection: &Connection, plan: &Plan) -> Result<()> {
    if !has_triggers(plan) {
        return Ok(());
    }
    connection.execute_batch(WRITER).map_err(failed("make repot_writer"))?;
    connection.execute_batch(create_audit(Dialect::Sqlite)).map_err(failed("make repot_audit"))
}

/// From here to [`leave`] the transaction's writes are ours.
pub(crate) fn enter(connection: &Connection, plan: &Plan) -> Result<()> {
    say(connection, plan, 1)
}

/// Before the commit: nobody else may ever see the mark.
pub(crate) fn leave(connection: &Connection, plan: &Plan) -> Result<()> {
    say(connection, plan, 0)
}

fn say(connection: &Connection, plan: &Plan, busy: i64) -> Result<()> {
    if !has_triggers(plan) {
        return Ok(());
    }
    connection
        .prepare_cached("update repot_writer set busy = ?1")
        .and_then(|mut statement| statement.execute([busy]))
        .map(drop)
        .map_err(failed("mark our own writes"))
}

/// Makes the triggers of this plan, and removes those that it does not have.
pub(crate) fn enforce(connection: &Connection, plan: &Plan) -> Result<()> {
    let what = "make the triggers of the model's transitions";
    make_writer(connection, plan)?;
    let there = || -> rusqlite::Result<Vec<(String, String, Option<String>)>> {
        let pattern = |prefix: &str| prefix.replace('_', "\\_") + "%";
        let patterns = [TRANSITION_PREFIX, AUDIT_PREFIX, STATE_PREFIX].map(pattern);
        connection
            .prepare(
                "select name, tbl_name, sql from sqlite_schema where type = 'trigger' and (name like ?1 escape '\\' or name like ?2 escape '\\' or name like ?3 escape '\\')",
            )?
            .query_map(patterns, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
            .collect()
    };
    let mut wanted = transition_triggers(plan, Dialect::Sqlite);
    wanted.extend(audit_triggers(plan, Dialect::Sqlite));
    let statements = settle_triggers(&wanted, &there().map_err(failed(what))?, Dialect::Sqlite);
    if statements.is_empty() {
        return Ok(());
    }
    let transaction = begin(connection, what)?;
    for statement in statements {
        transaction.execute(&statement, ()).map_err(failed(what))?;
    }
    transaction.commit().map_err(failed(what))
}
