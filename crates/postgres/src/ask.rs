//! Statements made from the plan: their values as typed parameters, their answers as cells.

use std::pin::pin;
use std::sync::LazyLock;
use std::time::Duration;

use crate::client::Client;
use futures_util::StreamExt;
use futures_util::future::{join, join3, join4};
use repot_core::{Answer, Error, Kind, Result};
use repot_model::row::{Cell, Cells};
use repot_model::sql::query::{SETTING, Speech, Statement};
use repot_model::sql::{Dialect, quote};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Column, Row};

use crate::chain::{Encoded, borrowed, parameter};
use crate::decode;
use crate::error::failed;
use crate::query::wrong;
use crate::question::is_cancelled;
use crate::standing::Asker;
use crate::stored::Raw;

/// For a role that was there when the store was opened.
const MEND: &str =
    "The role that holds tenants apart is gone, or may not be taken any more; open the store again.";

/// Whether the database compares texts by bytes: where its locale is `C`, or one of the server's own. `null`: that is to be looked at.
const LOCALE: &str = "\
select case coalesce(to_jsonb(d) ->> 'datlocprovider', 'c') when 'b' then true when 'c' then \
case when datcollate in ('C', 'POSIX') then true \
when datcollate in ('C.UTF-8', 'C.utf8') and pg_encoding_to_char(encoding) = 'UTF8' then null else false end \
else false end from pg_database d where datname = current_database()";

/// Whether it does so with a few pairs of texts: cases, signs, accents, characters beyond 65,535, and some that no standard knows yet. The
/// order of the system's `C.UTF-8` is that of the characters' numbers, which in UTF-8 is that of the bytes, unless the system is too old.
const PAIRS: &str = "\
select bool_and(one < other and not other < one) from (values ('A', 'a'), ('B', 'a'), ('Z', '_'), ('_', 'a'), ('a b', 'a-b'), ('a-b', 'aa'), \
('a', 'a '), ('co-op', 'coat'), ('1', 'A'), ('10', '9'), ('z', chr(228)), ('a' || chr(769), chr(225)), (chr(223), chr(339)), \
(chr(65533), chr(65536)), (chr(57344), chr(128512)), (chr(888), chr(913)), (chr(262141), chr(1114109))) as pairs (one, other)";

/// How this database compares texts.
pub(crate) async fn speech(client: &Client) -> Result<Speech> {
    let ask = async |sql: &str| {
        let rows = client.query_typed(sql, &[]).await.map_err(|error| failed("read the locale", error))?;
        Ok::<Option<bool>, Error>(rows.first().and_then(|row| row.get(0)))
    };
    let texts_by_bytes = match ask(LOCALE).await? {
        Some(known) => known,
        None => ask(PAIRS).await? == Some(true),
    };
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

/// The same by itself, on a session that is nobody else's: one message, or two where another tenant asked before. `None`: not in
/// this way, or not as it should; then [`run_once`] says what is the matter.
pub(crate) async fn run_alone(
    client: &Client,
    statement: &Statement,
    (bytes_max, timeout): (usize, Duration),
    role: Option<&str>,
) -> Option<Result<Answer>> {
    if !client.is_direct() {
        return None;
    }
    let tenant = role.zip(statement.tenant.as_deref());
    let asker = Asker {
        timeout_ms: timeout.as_millis(),
        tenant: tenant.map(|(role, tenant)| (role.to_owned(), named(tenant))),
    };
    let given = parameters(statement).ok()?;
    let typed = borrowed(&given);
    // now, so that nothing is waited for between the settings and the question
    let kept = client.kept(&statement.sql, &typed).await.ok()?;
    let change = client.change_for(asker).await.ok()?;
    let asking = rows(client, (statement, kept.as_ref()), &typed, bytes_max);
    match join(client.stand_for(change), asking).await {
        (Ok(()), Err(error)) if is_cancelled(&error) => Some(Err(error)),
        (Ok(()), Ok(answer)) => Some(Ok(answer)),
        _ => None,
    }
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
    let around = Around::transaction(begin, timeout, (role, statement));
    let Some(Behind { what, sql, value }) = behind else {
        return Ok((asked(client, statement, bytes_max, around).await?, Vec::new()));
    };
    let given = parameters(statement)?;
    let typed = borrowed(&given);
    let kept = client.kept(&statement.sql, &typed).await.map_err(|error| wrong(error, 0))?;
    let value: [(&(dyn ToSql + Sync), Type); 1] = [(&value, Type::TEXT)];
    let more = client.kept(sql, &value).await.map_err(|error| failed(what, error))?;
    let takes_back = around.is_tenants;
    let back = match takes_back {
        true => client.kept(TAKE_BACK, &[]).await.map_err(|error| failed(GIVE_BACK, error))?,
        false => None,
    };
    let work = async {
        let taking_back = async {
            match takes_back {
                true => client.query_kept((TAKE_BACK, back.as_ref()), &[]).await.map(drop),
                false => Ok(()),
            }
        };
        let asking = rows(client, (statement, kept.as_ref()), &typed, bytes_max);
        let (answer, taken, more) =
            join3(asking, taking_back, client.query_kept((sql, more.as_ref()), &value)).await;
        let answer = answer?;
        taken.map_err(|error| failed(GIVE_BACK, error))?;
        Ok((answer, more.map_err(|error| failed(what, error))?))
    };
    around.run(client, work).await
}

const GIVE_BACK: &str = "give back the role of a tenant";
const TAKE_BACK: &str = "select set_config('role', current_setting('repot.role'), true)";

async fn asked(client: &Client, statement: &Statement, bytes_max: usize, around: Around) -> Result<Answer> {
    let given = parameters(statement)?;
    let typed = borrowed(&given);
    // now, so that below nothing is waited for between its messages and those that give the role back
    let kept = client.kept(&statement.sql, &typed).await.map_err(|error| wrong(error, 0))?;
    around.run(client, rows(client, (statement, kept.as_ref()), &typed, bytes_max)).await
}

/// Names the tenant for the transaction.
static TENANT: LazyLock<String> = LazyLock::new(|| format!("select set_config('{SETTING}', $1, true)"));

/// Bounds the time of the statements in the transaction.
const BOUND: &str = "select set_config('statement_timeout', $1, true)";

/// The same, takes the role that holds tenants apart, and names the tenant. The role of before is remembered: a pooler may have given
/// the session one that no `reset role` gives back.
static BOUND_TO_TENANT: LazyLock<String> = LazyLock::new(|| {
    format!(
        "select set_config('statement_timeout', $1, true), set_config('repot.role', current_setting('role'), true), \
         set_config('role', $2, true), set_config('{SETTING}', $3, true)"
    )
});

/// What is sent before and behind a statement.
struct Around {
    first: String,
    /// What is set then, by a statement that comes again and again.
    set: Option<(&'static str, Vec<String>)>,
    is_tenants: bool,
    end: Option<&'static str>,
}

/// No text of PostgreSQL holds a NUL, so there are no rows of such a tenant; '' is nobody's.
fn named(tenant: &str) -> String {
    if tenant.contains('\0') { String::new() } else { tenant.to_owned() }
}

impl Around {
    /// Within a transaction: of a tenant's statement nothing stays.
    fn savepoint(mut first: String, (role, statement): (Option<&str>, &Statement)) -> Self {
        let Some((role, tenant)) = role.zip(statement.tenant.as_deref()) else {
            return Self { first, set: None, is_tenants: false, end: None };
        };
        if !first.is_empty() {
            first.push_str("; ");
        }
        first.push_str(&format!("savepoint repot_tenant; set local role {}", quote(role)));
        let end = "rollback to savepoint repot_tenant; release savepoint repot_tenant";
        Self { first, set: Some((&TENANT, vec![named(tenant)])), is_tenants: true, end: Some(end) }
    }

    /// With a transaction around it, which takes everything back.
    fn transaction(begin: &str, timeout: Duration, (role, statement): (Option<&str>, &Statement)) -> Self {
        let timeout = timeout.as_millis().to_string();
        let tenant = role.zip(statement.tenant.as_deref());
        let set: (&'static str, Vec<String>) = match tenant {
            None => (BOUND, vec![timeout]),
            Some((role, tenant)) => (&BOUND_TO_TENANT, vec![timeout, role.to_owned(), named(tenant)]),
        };
        Self { first: begin.to_owned(), set: Some(set), is_tenants: tenant.is_some(), end: Some("commit") }
    }

    /// Does `work` between its messages; what they say counts first, so that nothing is given that was read without them.
    async fn run<T>(self, client: &Client, work: impl Future<Output = Result<T>>) -> Result<T> {
        let what = if self.is_tenants { "take the role of a tenant" } else { "answer a query" };
        let (name, values) = self.set.unwrap_or_default();
        let values: Vec<(&(dyn ToSql + Sync), Type)> =
            values.iter().map(|value| (value as &(dyn ToSql + Sync), Type::TEXT)).collect();
        // prepared before the first message, so that it is sent in its turn
        let kept = match name {
            "" => None,
            name => client.kept(name, &values).await.map_err(|error| failed(what, error))?,
        };
        let setting = async {
            match name {
                "" => Ok(()),
                name => client.query_kept((name, kept.as_ref()), &values).await.map(drop),
            }
        };
        let end = async {
            match self.end {
                Some(end) => client.batch_execute(end).await,
                None => Ok(()),
            }
        };
        // the last is sent behind the rest, and awaited while the rows are read
        let (begun, set, done, left) = join4(client.begin(&self.first), setting, work, end).await;
        let mended = |error: tokio_postgres::Error| {
            let is_role = self.is_tenants && error.code().is_some_and(|code| code.code() != "57014");
            let error = failed(what, error);
            if is_role { error.hint(MEND) } else { error }
        };
        begun.map_err(mended)?;
        set.map_err(mended)?;
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
        if answer.rows.is_empty() {
            // which is so for all of them
            typed_as(statement, &row)?;
        }
        cells.clear();
        encode(statement, &row, &mut cells)?;
        answer.rows.raw(&cells);
        answer.rows.end_row(0);
    }
    Ok(answer)
}

/// An error where a column is of another type than the model says.
fn typed_as(statement: &Statement, row: &Row) -> Result<()> {
    let mut both = statement.columns.iter().zip(row.columns());
    match both.find(|(kind, column)| !decode::reads_as(column.type_().oid(), **kind)) {
        Some((_, column)) => Err(other_type(column)),
        None => Ok(()),
    }
}

fn other_type(column: &Column) -> Error {
    let message = format!("column {} is of another type than the model says", column.name());
    Error::new(Kind::Corrupt, "R0802", message)
        .hint("It was changed in the database; put it back as `repot plan --sql` prints it.")
}

fn encode(statement: &Statement, row: &Row, cells: &mut Vec<u8>) -> Result<()> {
    for (at, kind) in statement.columns.iter().enumerate() {
        let raw: Raw<'_> = row.try_get(at).map_err(|error| failed("read a row", error))?;
        if !decode::cell(raw.0, *kind, cells) {
            return Err(other_type(&row.columns()[at]));
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
