//! The driver's client, which tells the statements that it sends to whoever wants to see them.

use std::ops::Deref;

use repot_core::Echo;
use tokio_postgres::types::{BorrowToSql, ToSql, Type};
use tokio_postgres::{CopyOutStream, Error, Row, RowStream, SimpleQueryMessage, Statement};

/// A session with the server. A statement that is prepared is told when it is prepared, not each time it is run.
#[derive(Debug)]
pub(crate) struct Client {
    inner: tokio_postgres::Client,
    echo: Option<Echo>,
}

type Typed<'a> = (&'a (dyn ToSql + Sync), Type);

impl Client {
    pub(crate) const fn new(inner: tokio_postgres::Client, echo: Option<Echo>) -> Self {
        Self { inner, echo }
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
