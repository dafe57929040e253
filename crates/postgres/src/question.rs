//! Questions of the user's with values, bounds of time and rows, and an end that others can make: the statement is cancelled
//! on the server.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use repot_core::store::{QueryValue, SqlNames, SqlPart, SqlQuestion, SqlSink, sql_text, sql_time_is_up};
use repot_core::{Error, Kind, Result};
use tokio_postgres::types::{Format, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{NoTls, SimpleQueryMessage};

use crate::address::{Address, Protection};
use crate::calls::called;
use crate::connect::Connection;
use crate::error::failed;
use crate::query::{is_told_about, tell, wrong};
use crate::runtime::Runtime;
use crate::tls;

/// Rows fetched at once.
const FETCHED: usize = 200;
/// How often it is looked whether somebody ended the question.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Functions that are volatile and do no more than read.
const READING: &[&str] = &[
    "clock_timestamp",
    "gen_random_uuid",
    "pg_database_size",
    "pg_indexes_size",
    "pg_relation_size",
    "pg_sleep",
    "pg_sleep_for",
    "pg_table_size",
    "pg_total_relation_size",
    "random",
    "timeofday",
];

/// A question on a session that is in a transaction which only reads.
#[derive(Debug, Clone)]
pub(crate) struct Asking {
    pub connection: Arc<Connection>,
    pub address: Address,
    pub question: SqlQuestion,
    begin: Instant,
}

impl Asking {
    pub(crate) fn new(connection: Arc<Connection>, address: Address, question: SqlQuestion) -> Self {
        Self { connection, address, question, begin: Instant::now() }
    }

    /// Asks; whatever happens, the transaction goes on as before.
    pub(crate) fn run(self, runtime: &Runtime, sink: &mut SqlSink) -> Result<bool> {
        let bound = format!(
            "savepoint repot_question; {}; set local standard_conforming_strings = on",
            self.bound()?
        );
        let connection = Arc::clone(&self.connection);
        runtime.run(async move {
            connection.client.batch_execute(&bound).await.map_err(|error| failed("begin a query", error))
        })?;
        let answer = self.clone().answer(runtime, sink);
        let connection = self.connection;
        runtime.run(async move {
            let end = "rollback to savepoint repot_question; release savepoint repot_question";
            connection.client.batch_execute(end).await.map_err(|error| failed("end a query", error))
        })?;
        answer
    }

    fn answer(self, runtime: &Runtime, sink: &mut SqlSink) -> Result<bool> {
        let most = self.question.rows_max;
        let asking = self.clone();
        let (columns, mut rows, mut more) = runtime.run(async move { asking.open().await })?;
        let names = SqlNames::new(&columns)?;
        if !sink(SqlPart::Columns(columns)) {
            return Ok(false);
        }
        let mut given = 0;
        loop {
            for row in rows {
                if given == most {
                    return Ok(true);
                }
                let cells = row.iter().map(|cell| cell.as_deref().unwrap_or("null"));
                if !sink(SqlPart::Row(names.row(cells))) {
                    return Ok(false);
                }
                given += 1;
            }
            if !more {
                return Ok(false);
            }
            let asking = self.clone();
            (rows, more) = runtime.run(async move { asking.fetch(FETCHED).await })?;
        }
    }

    /// The time that is left, for the next statement.
    fn bound(&self) -> Result<String> {
        let limit = Duration::from_millis(self.question.time_ms);
        let left = limit.checked_sub(self.begin.elapsed()).filter(|left| left.as_millis() > 0);
        let left = left.ok_or_else(|| sql_time_is_up(self.question.time_ms))?;
        Ok(format!("set local statement_timeout = {}", left.as_millis()))
    }

    /// The columns and the first rows, each cell as JSON; whether there may be more.
    async fn open(&self) -> Result<(Vec<String>, Rows, bool)> {
        let client = &self.connection.client;
        let sql = self.question.sql.trim().trim_end_matches(';');
        self.check(sql).await?;
        let given: Vec<AsText> = self.question.parameters.iter().map(AsText::of).collect();
        let typed: Vec<(&(dyn ToSql + Sync), Type)> =
            given.iter().map(|value| (value as &(dyn ToSql + Sync), Type::UNKNOWN)).collect();
        if is_told_about(sql) {
            let told =
                self.watched(tell(client, (sql, &typed), self.question.rows_max.saturating_add(1))).await?;
            let cell = |cell: Option<String>| cell.map(|text| sql_text(&text));
            let rows = told.rows.into_iter().map(|row| row.into_iter().map(cell).collect()).collect();
            return Ok((told.columns, rows, false));
        }
        let types: Vec<Type> = typed.iter().map(|(_, kind)| kind.clone()).collect();
        let prepared = client.prepare_typed(sql, &types).await.map_err(|error| wrong(error, 0))?;
        if prepared.params().len() != typed.len() {
            let wanted = prepared.params().len();
            let message =
                format!("the statement has {wanted} parameters, and {} values are given", typed.len());
            return Err(
                Error::new(Kind::Invalid, "R0111", message).hint("Give one value for each `$1`, `$2`.")
            );
        }
        let columns: Vec<String> = prepared.columns().iter().map(|column| column.name().to_owned()).collect();
        // it is closed in this session, whoever uses it next
        drop(prepared);
        // refused here already, before it is wrapped
        SqlNames::new(&columns)?;
        let names: Vec<String> = (1..=columns.len()).map(|at| format!("c{at}")).collect();
        let cells: Vec<String> = names.iter().map(|name| format!("to_json({name})::text")).collect();
        let before =
            format!("declare repot_question no scroll cursor for select {} from (\n", cells.join(", "));
        let declared = format!("{before}{sql}\n) as repot_question ({})", names.join(", "));
        let opened = async {
            client
                .execute_typed(&declared, &typed)
                .await
                .map_err(|error| wrong(error, before.chars().count()))
        };
        self.watched(opened).await?;
        let (rows, more) = self.fetch(FETCHED).await?;
        Ok((columns, rows, more))
    }

    /// Refuses what may do more than read.
    async fn check(&self, sql: &str) -> Result<()> {
        let refused = |what: &str| {
            Error::new(
                Kind::Invalid,
                "R0436",
                format!("the statement calls {what}, which may do more than read"),
            )
            .hint("Leave it out; a function that only reads is declared `stable` or `immutable`.")
        };
        let names = called(sql).ok_or_else(|| refused("a function whose name cannot be told"))?;
        let volatile = "select proname::text from pg_catalog.pg_proc \
                        where proname = any($1) and provolatile = 'v' and proname <> all($2) order by 1 limit 1";
        let values: [(&(dyn ToSql + Sync), Type); 2] =
            [(&names, Type::TEXT_ARRAY), (&READING, Type::TEXT_ARRAY)];
        let found = self
            .connection
            .client
            .query_typed(volatile, &values)
            .await
            .map_err(|error| failed("look functions up", error))?;
        match found.first() {
            Some(row) => Err(refused(row.get(0))),
            None => Ok(()),
        }
    }

    /// The next rows, and whether there may be more behind them.
    async fn fetch(&self, most: usize) -> Result<(Rows, bool)> {
        let fetch = format!("{}; fetch forward {most} from repot_question", self.bound()?);
        let fetched =
            async { self.connection.client.simple_query(&fetch).await.map_err(|error| wrong(error, 0)) };
        let messages = self.watched(fetched).await?;
        let rows: Rows = messages
            .iter()
            .filter_map(|message| match message {
                SimpleQueryMessage::Row(row) => {
                    Some((0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect())
                }
                _ => None,
            })
            .collect();
        let more = rows.len() == most;
        Ok((rows, more))
    }

    /// Waits for an answer, and has the statement cancelled when somebody ended the question.
    async fn watched<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let mut work = pin!(work);
        loop {
            if let Ok(done) = tokio::time::timeout(LOOK_EVERY, &mut work).await {
                return done.map_err(|error| match error.code() {
                    "R0111" if is_cancelled(&error) => sql_time_is_up(self.question.time_ms).cause(error),
                    _ => error,
                });
            }
            if self.question.stop.is_stopped() {
                self.cancel().await;
            }
        }
    }

    /// Where it cannot be cancelled, its time will end it.
    async fn cancel(&self) {
        let token = self.connection.client.cancel_token();
        let _unreachable = match self.address.protection {
            Protection::None => token.cancel_query(NoTls).await.ok(),
            Protection::Encrypted | Protection::Verified => {
                match tls::connector(matches!(self.address.protection, Protection::Verified)) {
                    Ok(tls) => token.cancel_query(tls).await.ok(),
                    Err(_) => None,
                }
            }
        };
    }
}

type Rows = Vec<Vec<Option<String>>>;

/// Its time was up, or somebody ended it.
pub(crate) fn is_cancelled(error: &Error) -> bool {
    let cause =
        std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<tokio_postgres::Error>());
    cause.and_then(tokio_postgres::Error::code).is_some_and(|code| code.code() == "57014")
}

/// A value as a text, which the server reads as the type that it should have.
#[derive(Debug)]
struct AsText(Option<String>);

impl AsText {
    fn of(value: &QueryValue) -> Self {
        Self(match value {
            QueryValue::Null => None,
            QueryValue::Bool(value) => Some(value.to_string()),
            QueryValue::Int(value) => Some(value.to_string()),
            QueryValue::Float(value) => Some(format!("{value:?}")),
            QueryValue::Text(text) => Some(text.clone()),
        })
    }
}

impl ToSql for AsText {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> std::result::Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        let Some(text) = &self.0 else { return Ok(IsNull::Yes) };
        out.extend_from_slice(text.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    to_sql_checked!();
}
