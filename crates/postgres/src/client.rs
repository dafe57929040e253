//! The driver's client, which tells the statements that it sends to whoever wants to see them.

use std::collections::HashMap;
use std::error::Error as _;
use std::ops::Deref;
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::error::is_lost;
use crate::standing::Standings;
use repot_core::Echo;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{BorrowToSql, ToSql, Type};
use tokio_postgres::{CopyOutStream, Error, Row, RowStream, SimpleQueryMessage, Statement};

/// A session with the server. A statement that is prepared is told when it is prepared, not each time it is run.
#[derive(Debug)]
pub(crate) struct Client {
    inner: tokio_postgres::Client,
    echo: Option<Echo>,
    /// Statements that were prepared, by their text; empty until the session is known to be nobody else's.
    kept: OnceLock<Mutex<HashMap<String, Statement>>>,
    standings: Standings,
}

/// Statements that a session keeps; when there are more, all are made anew.
pub(crate) const KEPT_MAX: usize = 128;

/// The plan of a kept statement does not hold any more, or somebody took the statement away: it is prepared again the next
/// time.
pub(crate) fn is_stale(error: &Error) -> bool {
    error.code().is_some_and(|code| {
        *code == SqlState::FEATURE_NOT_SUPPORTED || *code == SqlState::INVALID_SQL_STATEMENT_NAME
    })
}

/// The same of an error of ours that was caused by it.
pub(crate) fn was_stale(error: &repot_core::Error) -> bool {
    cause(error).is_some_and(is_stale)
}

/// Whether an error of ours was caused by the end of the connection.
pub(crate) fn was_lost(error: &repot_core::Error) -> bool {
    cause(error).is_some_and(is_lost)
}

fn cause(error: &repot_core::Error) -> Option<&Error> {
    error.source().and_then(|cause| cause.downcast_ref())
}

fn untyped<'a>(values: &'a [Typed<'a>]) -> Vec<&'a (dyn ToSql + Sync)> {
    values.iter().map(|(value, _)| *value).collect()
}

/// A value, and the type that it is sent as.
pub(crate) type Typed<'a> = (&'a (dyn ToSql + Sync), Type);

impl Client {
    pub(crate) fn new(inner: tokio_postgres::Client, echo: Option<Echo>) -> Self {
        Self { inner, echo, kept: OnceLock::new(), standings: Standings::default() }
    }

    /// What the session is set to between transactions.
    pub(crate) const fn standings(&self) -> &Standings {
        &self.standings
    }

    /// The session is nobody else's: statements that come again are prepared once.
    pub(crate) fn keep_statements(&self) {
        self.kept.get_or_init(Mutex::default);
    }

    /// Whether the session is nobody else's.
    pub(crate) fn is_direct(&self) -> bool {
        self.kept.get().is_some()
    }

    /// The statement, prepared once a session; `None` where statements are not kept.
    pub(crate) async fn kept(&self, sql: &str, values: &[Typed<'_>]) -> Result<Option<Statement>, Error> {
        let Some(kept) = self.kept.get() else { return Ok(None) };
        let locked = || kept.lock().unwrap_or_else(PoisonError::into_inner);
        let known = locked().get(sql).cloned();
        if let Some(statement) = known {
            self.say(sql);
            return Ok(Some(statement));
        }
        let types: Vec<Type> = values.iter().map(|(_, kind)| kind.clone()).collect();
        let statement = self.prepare_typed(sql, &types).await?;
        let mut kept = locked();
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(sql.to_owned(), statement.clone());
        Ok(Some(statement))
    }

    /// What is said of a kept statement may be over: a table was changed under it. It is made anew the next time.
    pub(crate) fn forget(&self, sql: &str) {
        if let Some(kept) = self.kept.get() {
            kept.lock().unwrap_or_else(PoisonError::into_inner).remove(sql);
        }
    }

    /// Rows of a statement that [`Client::kept`] gave before: its messages go out at the first poll, in their turn among others.
    pub(crate) async fn query_kept(
        &self,
        (sql, kept): (&str, Option<&Statement>),
        values: &[Typed<'_>],
    ) -> Result<Vec<Row>, Error> {
        match kept {
            Some(kept) => self.inner.query(kept, &untyped(values)).await.inspect_err(|_| self.forget(sql)),
            None => self.query_typed(sql, values).await,
        }
    }

    /// Rows of a statement that comes again and again.
    pub(crate) async fn query_again(&self, sql: &str, values: &[Typed<'_>]) -> Result<Vec<Row>, Error> {
        let Some(statement) = self.kept(sql, values).await? else {
            return self.query_typed(sql, values).await;
        };
        self.inner.query(&statement, &untyped(values)).await.inspect_err(|_| self.forget(sql))
    }

    /// Runs a statement that comes again and again.
    pub(crate) async fn execute_again(&self, sql: &str, values: &[Typed<'_>]) -> Result<u64, Error> {
        let Some(statement) = self.kept(sql, values).await? else {
            return self.execute_typed(sql, values).await;
        };
        self.inner.execute(&statement, &untyped(values)).await.inspect_err(|_| self.forget(sql))
    }

    fn say(&self, sql: &str) {
        if let Some(echo) = &self.echo {
            echo.say(sql);
        }
    }

    pub(crate) async fn batch_execute(&self, sql: &str) -> Result<(), Error> {
        self.say(sql);
        self.inner.batch_execute(sql).await
    }

    pub(crate) async fn simple_query(&self, sql: &str) -> Result<Vec<SimpleQueryMessage>, Error> {
        self.say(sql);
        self.inner.simple_query(sql).await
    }

    pub(crate) async fn prepare_typed(&self, sql: &str, types: &[Type]) -> Result<Statement, Error> {
        self.say(sql);
        self.inner.prepare_typed(sql, types).await
    }

    pub(crate) async fn execute_typed(&self, sql: &str, values: &[Typed<'_>]) -> Result<u64, Error> {
        self.say(sql);
        self.inner.execute_typed(sql, values).await
    }

    pub(crate) async fn query_typed(&self, sql: &str, values: &[Typed<'_>]) -> Result<Vec<Row>, Error> {
        self.say(sql);
        self.inner.query_typed(sql, values).await
    }

    pub(crate) async fn query_typed_one(&self, sql: &str, values: &[Typed<'_>]) -> Result<Row, Error> {
        self.say(sql);
        self.inner.query_typed_one(sql, values).await
    }

    pub(crate) async fn query_typed_opt(
        &self,
        sql: &str,
        values: &[Typed<'_>],
    ) -> Result<Option<Row>, Error> {
        self.say(sql);
        self.inner.query_typed_opt(sql, values).await
    }

    pub(crate) async fn query_typed_raw<P: BorrowToSql, I: IntoIterator<Item = (P, Type)>>(
        &self,
        sql: &str,
        values: I,
    ) -> Result<RowStream, Error> {
        self.say(sql);
        self.inner.query_typed_raw(sql, values).await
    }

    pub(crate) async fn copy_out(&self, sql: &str) -> Result<CopyOutStream, Error> {
        self.say(sql);
        self.inner.copy_out(sql).await
    }
}

/// What runs statements that were prepared, and the state of the session.
impl Deref for Client {
    type Target = tokio_postgres::Client;

    fn deref(&self) -> &tokio_postgres::Client {
        &self.inner
    }
}
