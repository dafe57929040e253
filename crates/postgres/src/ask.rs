//! Statements made from the plan: their values as typed parameters, their answers as cells.

use std::pin::pin;
use std::time::Duration;

use crate::client::Client;
use futures_util::StreamExt;
use futures_util::future::{join3, join4};
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

/// Runs a statement until its rows take more than `bytes_max`, in the transaction that was begun; all messages go out before
/// an answer is awaited. That of a tenant runs under the role, which it leaves again whatever becomes of it: the savepoint
/// takes role and setting back also when the statement fails, and needs no look at which role it was before.
pub(crate) async fn run(
    client: &Client,
    statement: &Statement,
    (bytes_max, timeout): (usize, Duration),
    (begin, role): (Option<String>, Option<&str>),
) -> Result<Answer> {
    let begin = begin.map_or_else(String::new, |begin| format!("{begin}; "));
    let bound = format!("{begin}set local statement_timeout = {}", timeout.as_millis());
    asked(client, statement, bytes_max, Around::savepoint(bound, (role, statement))).await
}

/// What is sent behind a statement in its transaction, under the role that was there before.
#[derive(Debug, Clone)]
pub(crate) struct Behind {
    pub what: &'static str,
    pub sql: &'static str,
    pub value: String,
}

/// The same in a transaction of its own, which begins and ends with the same messages: no role, setting or state is left
/// behind, however it ends. With the rows of what is sent behind it.
pub(crate) async fn run_once(
    client: &Client,
    statement: &Statement,
    (bytes_max, timeout): (usize, Duration),
    (begin, role): (&str, Option<&str>),
    behind: Option<Behind>,
) -> Result<(Answer, Vec<Row>)> {
    let mut first = format!("{begin}; set local statement_timeout = {}", timeout.as_millis());
    let Some(Behind { what, sql, value }) = behind else {
        let around = Around::transaction(first, (role, statement));
        return Ok((asked(client, statement, bytes_max, around).await?, Vec::new()));
    };
    if role.is_some() {
        // a pooler may have given the session a role that no `reset role` gives back
        first.push_str("; select set_config('repot.role', current_setting('role'), true)");
    }
    let around = Around::transaction(first, (role, statement));
    let given = parameters(statement)?;
    let typed = borrowed(&given);
    let kept = client.kept(&statement.sql, &typed).await.map_err(|error| wrong(error, 0))?;
    let value: [(&(dyn ToSql + Sync), Type); 1] = [(&value, Type::TEXT)];
    client.kept(sql, &value).await.map_err(|error| failed(what, error))?;
    let takes_back = around.tenant.is_some();
    let work = async {
        let taking_back = async {
            match takes_back {
                true => client.batch_execute(TAKE_BACK).await,
                false => Ok(()),
            }
        };
        let asking = rows(client, (statement, kept.as_ref()), &typed, bytes_max);
        let (answer, taken, more) = join3(asking, taking_back, client.query_again(sql, &value)).await;
        let answer = answer?;
        taken.map_err(|error| failed("give back the role of a tenant", error))?;
        Ok((answer, more.map_err(|error| failed(what, error))?))
    };
    around.run(client, work).await
}

const TAKE_BACK: &str = "select set_config('role', current_setting('repot.role'), true)";

async fn asked(
    client: &Client,
    statement: &Statement,
    bytes_max: usize,
    around: Around<'_>,
) -> Result<Answer> {
    let given = parameters(statement)?;
    let typed = borrowed(&given);
    // now, so that below nothing is waited for between its messages and those that give the role back
    let kept = client.kept(&statement.sql, &typed).await.map_err(|error| wrong(error, 0))?;
    around.run(client, rows(client, (statement, kept.as_ref()), &typed, bytes_max)).await
}

/// What is sent before and behind a statement.
struct Around<'a> {
    first: String,
    tenant: Option<&'a str>,
    end: Option<&'static str>,
}

impl<'a> Around<'a> {
    /// Within a transaction: of a tenant's statement nothing stays.
    fn savepoint(mut first: String, (role, statement): (Option<&str>, &'a Statement)) -> Self {
        let Some((role, tenant)) = role.zip(statement.tenant.as_deref()) else {
            return Self { first, tenant: None, end: None };
        };
        if !first.is_empty() {
            first.push_str("; ");
        }
        first.push_str(&format!("savepoint repot_tenant; set local role {}", quote(role)));
        let end = "rollback to savepoint repot_tenant; release savepoint repot_tenant";
        Self { first, tenant: Some(tenant), end: Some(end) }
    }

    /// With a transaction around it, which takes everything back.
    fn transaction(mut first: String, (role, statement): (Option<&str>, &'a Statement)) -> Self {
        let role = role.zip(statement.tenant.as_deref());
        if let Some((role, _)) = role {
            first.push_str(&format!("; set local role {}", quote(role)));
        }
        Self { first, tenant: role.map(|(_, tenant)| tenant), end: Some("commit") }
    }

    /// Does `work` between its messages; what they say counts first, so that nothing is given that was read without them.
    async fn run<T>(self, client: &Client, work: impl Future<Output = Result<T>>) -> Result<T> {
        let what = if self.tenant.is_some() { "take the role of a tenant" } else { "answer a query" };
        // no text of PostgreSQL holds a NUL, so there are no rows of such a tenant; '' is nobody's
        let tenant = self.tenant.map(|tenant| if tenant.contains('\0') { "" } else { tenant });
        let name = format!("select set_config('{SETTING}', $1, true)");
        // prepared before the first message, so that it is sent in its turn
        let kept = match &tenant {
            Some(tenant) => client.kept(&name, &[(tenant, Type::TEXT)]).await,
            None => Ok(None),
        };
        let kept = kept.map_err(|error| failed(what, error))?;
        let named = async {
            match (&tenant, &kept) {
                (None, _) => Ok(()),
                (Some(tenant), Some(kept)) => client.execute(kept, &[tenant]).await.map(drop),
                (Some(tenant), None) => client.query_typed(&name, &[(tenant, Type::TEXT)]).await.map(drop),
            }
        };
        let end = async {
            match self.end {
                Some(end) => client.batch_execute(end).await,
                None => Ok(()),
            }
        };
        // the last is sent behind the rest, and awaited while the rows are read
        let (taken, named, done, left) = join4(client.batch_execute(&self.first), named, work, end).await;
        taken.map_err(|error| {
            let is_role = self.tenant.is_some() && error.code().is_some_and(|code| code.code() != "57014");
            let error = failed(what, error);
            if is_role { error.hint(MEND) } else { error }
        })?;
        named.map_err(|error| {
            client.forget(&name);
            failed(what, error)
        })?;
        let done = done?;
        left.map_err(|error| failed("end a question", error))?;
        Ok(done)
    }
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
    if role.is_none() || statement.tenant.is_none() {
        return asked.await;
    }
    Around::savepoint(String::new(), (role, statement)).run(client, asked).await
}
