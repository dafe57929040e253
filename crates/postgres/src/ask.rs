//! Statements made from the plan: their values as typed parameters, their answers as cells.

use std::pin::pin;
use std::time::Duration;

use crate::client::Client;
use futures_util::StreamExt;
use futures_util::future::{join, join4};
use repot_core::{Answer, Error, Kind, Result};
use repot_model::row::{Cell, Cells};
use repot_model::sql::query::{SETTING, Speech, Statement};
use repot_model::sql::{Dialect, quote};
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use crate::chain::{Encoded, borrowed, parameter};
use crate::decode;
use crate::error::failed;
use crate::query::wrong;
use crate::stored::Raw;

/// For a role that was there when the store was opened.
const MEND: &str =
    "The role that holds tenants apart is gone, or may not be taken any more; open the store again.";

/// How this database compares texts: by bytes where its locale is `C`.
pub(crate) async fn speech(client: &Client) -> Result<Speech> {
    let sql = "select datcollate in ('C', 'POSIX') and coalesce(to_jsonb(d) ->> 'datlocprovider', 'c') = 'c' \
               from pg_database d where datname = current_database()";
    let rows = client.query_typed(sql, &[]).await.map_err(|error| failed("read the locale", error))?;
    let texts_by_bytes = rows.first().is_some_and(|row| row.get(0));
    Ok(Speech { dialect: Dialect::Postgres, texts_by_bytes, policed: false })
}

fn parameters(statement: &Statement) -> Result<Vec<(Encoded, Type)>> {
    let one = |given: &repot_model::sql::query::Parameter| {
        let cell = Cells::new(&given.cell).next().unwrap_or(Cell::Null);
        parameter(&cell, given.kind)
    };
    statement.parameters.iter().map(one).collect()
}

/// Runs a statement until its rows take more than `bytes_max`; all messages go out before an answer is awaited. That of a
/// tenant runs under the role, which it leaves again whatever becomes of it. `begin`:
/// what begins that transaction.
pub(crate) async fn run(
    client: &Client,
    statement: &Statement,
    (bytes_max, timeout): (usize, Duration),
    (begin, role): (Option<String>, Option<&str>),
) -> Result<Answer> {
    let begin = begin.map_or_else(String::new, |begin| format!("{begin}; "));
    let bound = format!("{begin}set local statement_timeout = {}", timeout.as_millis());
    let given = parameters(statement)?;
    let typed = borrowed(&given);
    // now, so that below nothing is waited for between its messages and those that give the role back
    let kept = client.kept(&statement.sql, &typed).await.map_err(|error| wrong(error, 0))?;
    let work = rows(client, (statement, kept.as_ref()), &typed, bytes_max);
    match (role, &statement.tenant) {
        (Some(role), Some(tenant)) => as_tenant(client, &bound, (role, tenant), work).await,
        _ => {
            let (set, answer) = join(client.batch_execute(&bound), work).await;
            set.map_err(|error| failed("answer a query", error))?;
            answer
        }
    }
}

/// Does `work` under the role that sees this tenant's rows only, after `first`. The savepoint takes role and setting back
/// also when the statement fails, and needs no look at which role it was before.
async fn as_tenant<T>(
    client: &Client,
    first: &str,
    (role, tenant): (&str, &str),
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    // no text of PostgreSQL holds a NUL, so there are no rows of such a tenant; '' is nobody's
    let tenant = if tenant.contains('\0') { "" } else { tenant };
    let begin = format!("{first}; savepoint repot_tenant; set local role {}", quote(role));
    let name = format!("select set_config('{SETTING}', $1, true)");
    let given: [(&(dyn ToSql + Sync), Type); 1] = [(&tenant, Type::TEXT)];
    let end = "rollback to savepoint repot_tenant; release savepoint repot_tenant";
    let what = "take the role of a tenant";
    // prepared before the first message, so that it is sent in its turn
    let kept = client.kept(&name, &given).await.map_err(|error| failed(what, error))?;
    let named = async {
        match kept {
            Some(kept) => client.execute(&kept, &[&tenant]).await.map(drop),
            None => client.query_typed(&name, &given).await.map(drop),
        }
    };
    let (taken, named, done, left) = join4(
        client.batch_execute(&begin),
        named,
        work,
        // sent behind the rest, and awaited while the rows are read
        client.batch_execute(end),
    )
    .await;
    taken.map_err(|error| failed(what, error).hint(MEND))?;
    named.map_err(|error| failed(what, error))?;
    let done = done?;
    left.map_err(|error| failed("leave the role of a tenant", error))?;
    Ok(done)
}

async fn rows(
    client: &Client,
    (statement, kept): (&Statement, Option<&tokio_postgres::Statement>),
    typed: &[(&(dyn ToSql + Sync), Type)],
    bytes_max: usize,
) -> Result<Answer> {
    let rows = match kept {
        Some(kept) => client.query_raw(kept, typed.iter().map(|(value, _)| *value)).await,
        None => client.query_typed_raw(&statement.sql, typed.iter().cloned()).await,
    };
    let rows = rows.map_err(|error| {
        client.forget(&statement.sql);
        wrong(error, 0)
    })?;
    let mut rows = pin!(rows);
    let mut answer = Answer::default();
    let mut cells = Vec::new();
    while let Some(row) = rows.next().await {
        let row = row.map_err(|error| {
            client.forget(&statement.sql);
            wrong(error, 0)
        })?;
        if answer.rows.size_bytes() > bytes_max {
            answer.cut = true;
            break;
        }
        cells.clear();
        encode(statement, &row, &mut cells)?;
        answer.rows.raw(&cells);
        answer.rows.end_row(0);
    }
    Ok(answer)
}

fn encode(statement: &Statement, row: &Row, cells: &mut Vec<u8>) -> Result<()> {
    for (at, (kind, column)) in statement.columns.iter().zip(row.columns()).enumerate() {
        let raw: Raw<'_> = row.try_get(at).map_err(|error| failed("read a row", error))?;
        if !decode::reads_as(column.type_().oid(), *kind) || !decode::cell(raw.0, *kind, cells) {
            let message = format!("column {} is of another type than the model says", column.name());
            return Err(Error::new(Kind::Corrupt, "R0802", message)
                .hint("It was changed in the database; put it back as `repot plan --sql` prints it."));
        }
    }
    Ok(())
}

/// What PostgreSQL would do, as its own `explain` prints it.
pub(crate) async fn explain(
    client: &Client,
    statement: &Statement,
    role: Option<&str>,
) -> Result<Vec<String>> {
    let given = parameters(statement)?;
    let sql = format!("explain {}", statement.sql);
    let asked = async {
        let rows = client.query_typed(&sql, &borrowed(&given)).await.map_err(|error| wrong(error, 0))?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    };
    match (role, &statement.tenant) {
        (Some(role), Some(tenant)) => as_tenant(client, "", (role, tenant), asked).await,
        _ => asked.await,
    }
}
