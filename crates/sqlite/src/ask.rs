//! Statements made from the plan: their values bound, their answers as cells; and the functions that they need.

use crate::connection::Connection;
use repot_core::{Answer, Result};
use repot_json::Kind;
use repot_model::row::Cells;
use repot_model::sql::query::{Statement, compare_decimals, json_at, json_number};
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::ValueRef;

use crate::error::failed;
use crate::{bind, decode};

const WHAT: &str = "answer a query";

/// Gives a connection the functions and the order of decimals that such statements use.
pub(crate) fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.create_collation("repot_decimal", compare_decimals)?;
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function("repot_json_text", -1, flags, |context| {
        let text = |value: repot_json::Value<'_>| {
            (value.kind() == Kind::String).then(|| value.as_str().map(std::borrow::Cow::into_owned))?
        };
        Ok(at(context, text))
    })?;
    connection.create_scalar_function("repot_json_number", -1, flags, |context| {
        Ok(at(context, |value| (value.kind() == Kind::Number).then(|| json_number(value.raw()))?))
    })?;
    connection.create_scalar_function("repot_json_bool", -1, flags, |context| {
        Ok(at(context, |value| {
            matches!(value.kind(), Kind::True | Kind::False).then(|| value.kind() == Kind::True)
        }))
    })?;
    connection.create_scalar_function("repot_json_null", -1, flags, |context| {
        Ok(at(context, |value| (value.kind() != Kind::Null).then_some(())).is_none())
    })
}

/// The value at the path of a function's arguments: the text, then the steps.
fn at<T>(context: &Context<'_>, then: impl FnOnce(repot_json::Value<'_>) -> Option<T>) -> Option<T> {
    let argument = |at: usize| match context.get_raw(at) {
        ValueRef::Text(text) => std::str::from_utf8(text).ok(),
        _ => None,
    };
    let path: Option<Vec<&str>> = (1..context.len()).map(argument).collect();
    json_at(argument(0)?, &path?, then)
}

/// Runs a statement until its rows take more than `bytes_max`.
pub(crate) fn run(connection: &Connection, statement: &Statement, bytes_max: usize) -> Result<Answer> {
    let read = || -> rusqlite::Result<Answer> {
        let mut prepared = bound(connection, &statement.sql, statement)?;
        let mut rows = prepared.raw_query();
        let mut answer = Answer::default();
        while let Some(row) = rows.next()? {
            if answer.rows.size_bytes() > bytes_max {
                answer.cut = true;
                break;
            }
            for (at, kind) in statement.columns.iter().enumerate() {
                answer.rows.cell(&decode::value(*kind, row.get_ref(at)?));
            }
            answer.rows.end_row(0);
        }
        Ok(answer)
    };
    read().map_err(failed(WHAT))
}

fn bound<'c>(
    connection: &'c Connection,
    sql: &str,
    statement: &Statement,
) -> rusqlite::Result<rusqlite::CachedStatement<'c>> {
    let mut prepared = connection.prepare_cached(sql)?;
    let mut scratch = Vec::new();
    for (at, parameter) in statement.parameters.iter().enumerate() {
        if let Some(cell) = Cells::new(&parameter.cell).next() {
            bind::cell(&mut prepared, at + 1, &cell, &mut scratch)?;
        }
    }
    Ok(prepared)
}

/// What SQLite would do, a step a line, each indented by its depth.
pub(crate) fn explain(connection: &Connection, statement: &Statement) -> Result<Vec<String>> {
    let read = || -> rusqlite::Result<Vec<String>> {
        let sql = format!("explain query plan {}", statement.sql);
        let mut prepared = bound(connection, &sql, statement)?;
        let mut rows = prepared.raw_query();
        let mut depths = std::collections::HashMap::from([(0_i64, 0_usize)]);
        let mut lines = Vec::new();
        while let Some(row) = rows.next()? {
            let (id, parent, detail): (i64, i64, String) = (row.get(0)?, row.get(1)?, row.get(3)?);
            let depth = depths.get(&parent).copied().unwrap_or_default();
            depths.insert(id, depth + 1);
            lines.push(format!("{}{detail}", "  ".repeat(depth)));
        }
        Ok(lines)
    };
    read().map_err(failed("explain a query"))
}
