//! Triggers of ours on the user's tables: they notice plain SQL and hold it to the state machines of the model. And the
//! mark that lets our own writes pass.

use crate::connection::Connection;
use repot_core::{Loading, Result};
use repot_model::plan::Plan;
use repot_model::sql::{
    Dialect, MARKING_VIEW, SEARCH_PREFIX, TRIGGER_PREFIX, create_audit, enter_messages, mark_everything,
    settle_triggers, triggers,
};

use crate::error::failed;
use crate::facts;
use crate::marks::TABLES;
use crate::messages;
use crate::schema::{FORMAT, begin, loading, meta, set_meta, taken};
use crate::trash;
use crate::work::Work;

/// Makes the tables that the triggers need, all or nothing.
pub(crate) fn make_tables(connection: &Connection) -> Result<()> {
    let work = Work::begin(connection)?;
    if taken(connection, "repot_writer")?.is_some_and(|(kind, _)| kind == "table") {
        // of a version that had a table of that name, with one row; triggers read the view in the same way
        connection.execute_batch("drop table repot_writer").map_err(failed("make our tables"))?;
    }
    connection.execute_batch(&format!("{TABLES}{MARKING_VIEW}")).map_err(failed("make our tables"))?;
    work.keep()
}

/// From here to [`leave`] the transaction's writes are ours, which the view `repot_writer` says. The mark stands last in
/// the change log, where our writes go anyway: a page less for each transaction than in a table of its own.
pub(crate) fn enter(connection: &Connection) -> Result<()> {
    say(
        connection,
        "insert into repot_changes (seq, collection, key, kind, at_ms) values (?1, '', '', -1, 0)",
    )
}

/// Before the commit: nobody else may ever see the mark.
pub(crate) fn leave(connection: &Connection) -> Result<()> {
    say(connection, "delete from repot_changes where seq = ?1")
}

fn say(connection: &Connection, sql: &str) -> Result<()> {
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.execute([i64::MAX]))
        .map(drop)
        .map_err(failed("mark our own writes"))
}

/// Makes the triggers of this plan, and removes those that it does not have.
pub(crate) fn enforce(connection: &Connection, plan: &Plan) -> Result<()> {
    let what = "make our triggers";
    crate::search::settle(connection, plan)?;
    trash::make(connection)?;
    facts::make(connection)?;
    messages::make(connection)?;
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
    if plan.has_history() {
        connection.execute_batch(create_audit(Dialect::Sqlite)).map_err(failed(what))?;
    }
    for statement in statements {
        connection.execute(&statement, ()).map_err(failed(what))?;
    }
    for statement in enter_messages(plan, &wanted, &there, Dialect::Sqlite) {
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
