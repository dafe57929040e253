//! Triggers of ours on the user's tables: they notice plain SQL and hold it to the state machines of the model. And the
//! mark that lets our own writes pass.

use crate::connection::Connection;
use repot_core::{Loading, Result};
use repot_model::plan::Plan;
use repot_model::sql::{
    Dialect, MARKING_VIEW, SEARCH_PREFIX, TRIGGER_PREFIX, mark_everything, settle_triggers, triggers,
};

use crate::error::failed;
use crate::marks::TABLES;
use crate::schema::{FORMAT, begin, loading, meta, set_meta};
use crate::trash;

/// Makes the tables that the triggers need.
pub(crate) fn make_tables(connection: &Connection) -> Result<()> {
    connection.execute_batch(&format!("{TABLES}{MARKING_VIEW}")).map_err(failed("make our tables"))
}

/// From here to [`leave`] the transaction's writes are ours.
pub(crate) fn enter(connection: &Connection) -> Result<()> {
    say(connection, 1)
}

/// Before the commit: nobody else may ever see the mark.
pub(crate) fn leave(connection: &Connection) -> Result<()> {
    say(connection, 0)
}

fn say(connection: &Connection, busy: i64) -> Result<()> {
    connection
        .prepare_cached("update repot_writer set busy = ?1")
        .and_then(|mut statement| statement.execute([busy]))
        .map(drop)
        .map_err(failed("mark our own writes"))
}

/// Makes the triggers of this plan, and removes those that it does not have.
pub(crate) fn enforce(connection: &Connection, plan: &Plan) -> Result<()> {
    let what = "make our triggers";
    crate::search::settle(connection, plan)?;
    trash::make(connection)?;
    let there = || -> rusqlite::Result<Vec<(String, String, Option<String>)>> {
        let pattern = TRIGGER_PREFIX.replace('_', "\\_") + "%";
        connection
            .prepare(
                "select name, tbl_name, sql from sqlite_schema where type = 'trigger' and name like ?1 escape '\\'",
            )?
            .query_map([pattern], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
            .collect()
    };
    let wanted = triggers(plan, Dialect::Sqlite, "");
    let mut there = there().map_err(failed(what))?;
    // those of the full text indexes come and go with them
    there.retain(|(name, ..)| !name.starts_with(SEARCH_PREFIX));
    let statements = settle_triggers(&wanted, &there, Dialect::Sqlite);
    let old = meta(connection, "format")?.is_some_and(|format| format.parse().unwrap_or(FORMAT) < FORMAT);
    if statements.is_empty() && !old {
        return Ok(());
    }
    let transaction = begin(connection, what)?;
    make_tables(connection)?;
    for statement in statements {
        connection.execute(&statement, ()).map_err(failed(what))?;
    }
    if old {
        if loading(connection)? == Loading::Steady {
            // until now nobody noticed what plain SQL did
            for statement in mark_everything(plan, Dialect::Sqlite) {
                connection.execute(&statement, ()).map_err(failed(what))?;
            }
        }
        set_meta(connection, "format", Some(&FORMAT.to_string()))?;
    }
    transaction.commit().map_err(failed(what))
}
