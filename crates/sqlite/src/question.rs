//! Questions of the user's with values, bounds of time and rows, and an end that others can make.

use std::time::{Duration, Instant};

use crate::connection::Connection;
use repot_core::store::{QueryValue, SqlNames, SqlPart, SqlQuestion, SqlSink, sql_text, sql_time_is_up};
use repot_core::{Error, Kind, Result};
use rusqlite::Statement;
use rusqlite::hooks::{AuthContext, Authorization};
use rusqlite::limits::Limit;
use rusqlite::types::{Value, ValueRef};

use crate::query::{authorize, refused, wrong};

/// Steps of SQLite's machine after which it is asked whether to go on.
const STEPS_AT_ONCE: i32 = 1_000;
/// Bytes of the longest value that a statement may make.
const VALUE_BYTES_MAX: i32 = 64 << 20;

/// Runs a question. The connection's progress handler is gone after it, whatever it was.
pub(crate) fn run(connection: &mut Connection, question: &SqlQuestion, sink: &mut SqlSink) -> Result<bool> {
    let (begin, limit) = (Instant::now(), Duration::from_millis(question.time_ms));
    let stop = question.stop.clone();
    let is_over = move || stop.is_stopped() || begin.elapsed() >= limit;
    let bytes = connection.limit(Limit::SQLITE_LIMIT_LENGTH).map_err(wrong)?;
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, VALUE_BYTES_MAX).map_err(wrong)?;
    connection.progress_handler(STEPS_AT_ONCE, Some(is_over.clone())).map_err(wrong)?;
    connection.authorizer(Some(authorize)).map_err(wrong)?;
    let done = read(connection, question, sink, &is_over);
    connection.authorizer(None::<fn(AuthContext<'_>) -> Authorization>).map_err(wrong)?;
    connection.progress_handler(0, None::<fn() -> bool>).map_err(wrong)?;
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, bytes).map_err(wrong)?;
    done.map_err(|failure| match failure {
        Failure::Sqlite(error)
            if error.sqlite_error_code() == Some(rusqlite::ErrorCode::OperationInterrupted) =>
        {
            sql_time_is_up(question.time_ms).cause(error)
        }
        Failure::Sqlite(error) => wrong(error),
        Failure::Ours(error) => error,
    })
}

enum Failure {
    Sqlite(rusqlite::Error),
    Ours(Error),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Ours(error)
    }
}

fn read(
    connection: &Connection,
    question: &SqlQuestion,
    sink: &mut SqlSink,
    is_over: &dyn Fn() -> bool,
) -> Result<bool, Failure> {
    let mut statement = connection.prepare(&question.sql)?;
    if !statement.readonly() {
        return Err(refused("the statement would write, or is none").into());
    }
    let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let names = SqlNames::new(&columns)?;
    bind(&mut statement, &question.parameters)?;
    if !sink(SqlPart::Columns(columns)) {
        return Ok(false);
    }
    let (mut rows, mut given) = (statement.raw_query(), 0);
    while let Some(row) = rows.next()? {
        if given == question.rows_max {
            return Ok(true);
        }
        // who takes the rows may take its time
        if is_over() {
            return Err(sql_time_is_up(question.time_ms).into());
        }
        let cells = (0..names.len()).map(|at| row.get_ref(at).map(json)).collect::<Result<Vec<_>, _>>()?;
        if !sink(SqlPart::Row(names.row(cells.into_iter()))) {
            return Ok(false);
        }
        given += 1;
    }
    Ok(false)
}

fn bind(statement: &mut Statement<'_>, parameters: &[QueryValue]) -> Result<(), Failure> {
    let wanted = statement.parameter_count();
    if wanted != parameters.len() {
        let message =
            format!("the statement has {wanted} parameters, and {} values are given", parameters.len());
        return Err(Error::new(Kind::Invalid, "R0111", message)
            .hint("Give one value for each `$1`, `$2`.")
            .into());
    }
    for (at, value) in parameters.iter().enumerate() {
        let value = match value {
            QueryValue::Null => Value::Null,
            QueryValue::Bool(value) => Value::Integer(i64::from(*value)),
            QueryValue::Int(value) => Value::Integer(*value),
            QueryValue::Float(value) => Value::Real(*value),
            QueryValue::Text(text) => Value::Text(text.clone()),
        };
        statement.raw_bind_parameter(at + 1, value)?;
    }
    Ok(())
}

/// A cell as JSON. Bytes are a text, `\x` and their digits, as PostgreSQL writes them.
fn json(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "null".to_owned(),
        ValueRef::Integer(value) => value.to_string(),
        ValueRef::Real(value) if value.is_finite() => format!("{value:?}"),
        ValueRef::Real(value) => sql_text(&value.to_string()),
        ValueRef::Text(text) => sql_text(&String::from_utf8_lossy(text)),
        ValueRef::Blob(bytes) => {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            sql_text(&format!("\\x{hex}"))
        }
    }
}
