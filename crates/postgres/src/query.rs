//! Questions of the user: one statement, read only, bounded in time and rows.

use crate::client::{Client, Typed};
use repot_core::{Error, Kind, QueryResult, Result};
use tokio_postgres::SimpleQueryMessage;

use crate::address::Address;
use crate::error::{failed, position};

/// The cursor's name.
const CURSOR: &str = "declare repot_query no scroll cursor for ";

/// Runs `sql` inside the reader's transaction; whatever happens, the transaction goes on as before.
pub(crate) async fn query(client: &Client, address: &Address, sql: &str, most: usize) -> Result<QueryResult> {
    let timeout = address.options.query_timeout.as_millis();
    let open = format!("savepoint repot_query; set local statement_timeout = {timeout}");
    client.batch_execute(&open).await.map_err(|error| failed("begin a query", error))?;
    let answer = ask(client, sql, most).await;
    client
        .batch_execute("rollback to savepoint repot_query; release savepoint repot_query")
        .await
        .map_err(|error| failed("end a query", error))?;
    answer
}

async fn ask(client: &Client, sql: &str, most: usize) -> Result<QueryResult> {
    if is_told_about(sql) {
        return tell(client, (sql, &[]), most).await;
    }
    // the extended protocol takes one statement only, and a cursor only one that reads
    client.execute_typed(&format!("{CURSOR}{sql}"), &[]).await.map_err(|error| wrong(error, CURSOR.len()))?;
    let fetch = format!("fetch forward {} from repot_query", most.saturating_add(1));
    let messages = client.simple_query(&fetch).await.map_err(|error| wrong(error, 0))?;
    let mut result = QueryResult::default();
    for message in messages {
        match message {
            SimpleQueryMessage::RowDescription(columns) => {
                result.columns = columns.iter().map(|column| column.name().to_owned()).collect();
            }
            SimpleQueryMessage::Row(_) if result.rows.len() == most => result.more = true,
            SimpleQueryMessage::Row(row) => {
                result.rows.push((0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect());
            }
            _ => {}
        }
    }
    Ok(result)
}

/// `explain` and `show`, for which there are no cursors.
pub(crate) fn is_told_about(sql: &str) -> bool {
    let word: String = sql.trim_start().chars().take_while(char::is_ascii_alphabetic).collect();
    word.eq_ignore_ascii_case("explain") || word.eq_ignore_ascii_case("show")
}

pub(crate) async fn tell(
    client: &Client,
    (sql, values): (&str, &[Typed<'_>]),
    most: usize,
) -> Result<QueryResult> {
    let rows = client.query_typed(sql, values).await.map_err(|error| wrong(error, 0))?;
    let mut result = QueryResult { more: rows.len() > most, ..QueryResult::default() };
    for row in rows.iter().take(most) {
        if result.columns.is_empty() {
            result.columns = row.columns().iter().map(|column| column.name().to_owned()).collect();
        }
        let raw = |at| row.try_get::<_, crate::stored::Raw<'_>>(at).ok().and_then(|raw| raw.0);
        result.rows.push(
            (0..row.len())
                .map(|at| raw(at).map(|bytes| String::from_utf8_lossy(bytes).into_owned()))
                .collect(),
        );
    }
    Ok(result)
}

pub(crate) fn wrong(error: tokio_postgres::Error, before: usize) -> Error {
    let Some(server) = error.as_db_error() else { return failed("run the query", error) };
    let code = server.code().code();
    if code.starts_with("57P") || code.starts_with("08") {
        return failed("run the query", error);
    }
    let mut message = server.message().to_owned();
    if let Some(at) =
        position(server).and_then(|at| usize::try_from(at).ok()).and_then(|at| at.checked_sub(before))
    {
        message.push_str(&format!(" (at character {at})"));
    }
    let hint = match (code, server.hint()) {
        ("57014", _) => "Ask for less, or add a condition that an index covers.".to_owned(),
        ("25006" | "42601", None) => "Give one statement that only reads, such as `select`.".to_owned(),
        (_, Some(hint)) => hint.to_owned(),
        (_, None) => "Change the statement.".to_owned(),
    };
    let kind = if code == "42501" { Kind::Denied } else { Kind::Invalid };
    let code = if code == "42501" { "R0113" } else { "R0111" };
    Error::new(kind, code, message).hint(hint).cause(error)
}
