//! Statements of the user's: one at a time, and only such as read.

use crate::connection::Connection;
use repot_core::{Error, Kind, QueryResult, Result};
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::types::ValueRef;

use crate::error::sentence;

/// Bytes of a blob that are shown.
const BLOB_SHOWN: usize = 32;
/// Pragmas that only tell something, with or without a name in brackets.
const TELLING: [&str; 20] = [
    "collation_list",
    "compile_options",
    "database_list",
    "foreign_key_check",
    "foreign_key_list",
    "freelist_count",
    "function_list",
    "index_info",
    "index_list",
    "index_xinfo",
    "integrity_check",
    "module_list",
    "page_count",
    "page_size",
    "pragma_list",
    "quick_check",
    "schema_version",
    "table_info",
    "table_list",
    "table_xinfo",
];

/// Runs a statement that reads; at most `most` rows.
pub(crate) fn run(connection: &mut Connection, sql: &str, most: usize) -> Result<QueryResult> {
    connection.authorizer(Some(authorize)).map_err(wrong)?;
    let result = read(connection, sql, most);
    connection.authorizer(None::<fn(AuthContext<'_>) -> Authorization>).map_err(wrong)?;
    result.map_err(wrong)?.ok_or_else(|| refused("the statement would write, or is none"))
}

/// Reading alone: no writes, no other files, no settings, no transactions.
pub(crate) fn authorize(context: AuthContext<'_>) -> Authorization {
    let allowed = match context.action {
        AuthAction::Select | AuthAction::Read { .. } | AuthAction::Recursive => true,
        AuthAction::Function { function_name } => !function_name.eq_ignore_ascii_case("load_extension"),
        AuthAction::Pragma { pragma_name, .. } => {
            TELLING.iter().any(|name| pragma_name.eq_ignore_ascii_case(name))
        }
        _ => false,
    };
    if allowed { Authorization::Allow } else { Authorization::Deny }
}

fn read(connection: &Connection, sql: &str, most: usize) -> rusqlite::Result<Option<QueryResult>> {
    let mut statement = connection.prepare(sql)?;
    if !statement.readonly() || statement.column_count() == 0 {
        return Ok(None);
    }
    let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let mut result = QueryResult { columns, rows: Vec::new(), more: false };
    let mut rows = statement.query(())?;
    while let Some(row) = rows.next()? {
        if result.rows.len() >= most {
            result.more = true;
            break;
        }
        let cells = (0..result.columns.len())
            .map(|at| row.get_ref(at).map(shown))
            .collect::<rusqlite::Result<_>>()?;
        result.rows.push(cells);
    }
    Ok(Some(result))
}

fn shown(value: ValueRef<'_>) -> Option<String> {
    Some(match value {
        ValueRef::Null => return None,
        ValueRef::Integer(value) => value.to_string(),
        ValueRef::Real(value) => format!("{value:?}"),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
        ValueRef::Blob(bytes) => {
            let hex: String = bytes.iter().take(BLOB_SHOWN).map(|byte| format!("{byte:02x}")).collect();
            if bytes.len() > BLOB_SHOWN {
                format!("x'{hex}'.. ({} bytes)", bytes.len())
            } else {
                format!("x'{hex}'")
            }
        }
    })
}

pub(crate) fn refused(why: &str) -> Error {
    Error::new(Kind::Invalid, "R0111", format!("cannot run the query: {why}"))
        .hint("Give one statement that reads, such as `select`; to change data use the database's own tool.")
}

pub(crate) fn wrong(error: rusqlite::Error) -> Error {
    if let Some(
        rusqlite::ErrorCode::DatabaseBusy
        | rusqlite::ErrorCode::DatabaseCorrupt
        | rusqlite::ErrorCode::SystemIoFailure
        | rusqlite::ErrorCode::CannotOpen
        | rusqlite::ErrorCode::NotADatabase,
    ) = error.sqlite_error_code()
    {
        return crate::error::fail("run the query", error);
    }
    refused(&sentence(&error)).cause(error)
}
