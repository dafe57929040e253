//! Rows of one statement, all at once.

use std::sync::Arc;

use futures_util::future::join;
use repot_core::Result;
use tokio_postgres::Row;

use crate::client::is_stale;
use crate::connect::Connection;
use crate::error::{failed, is_lost};
use crate::fetch::{Fetched, Question};
use crate::parameters::{Parameters, listed};
use crate::reader::PostgresReader;

/// Rows by one statement on the session as it is its own.
pub(crate) async fn alone(
    connection: &Connection,
    what: &str,
    sql: &str,
    parameters: &Parameters,
) -> Result<Vec<Row>> {
    let (client, given) = (&connection.client, listed(parameters));
    let (stood_down, read) = join(client.stand_down(), client.query_again(sql, &given)).await;
    let mut read = stood_down.and(read);
    if read.as_ref().is_err_and(is_stale) {
        read = client.query_again(sql, &given).await;
    }
    read.map_err(|error| {
        if is_lost(&error) {
            connection.give_up();
        }
        failed(what, error)
    })
}

impl PostgresReader {
    /// In the state that it reads.
    pub(crate) fn rows(
        &mut self,
        what: &'static str,
        sql: String,
        parameters: Parameters,
    ) -> Result<Vec<Row>> {
        self.run(|connection| async move {
            connection
                .client
                .query_again(&sql, &listed(&parameters))
                .await
                .map_err(|error| failed(what, error))
        })
    }

    /// Rows by one statement; where no state is held, by itself, without a transaction around it.
    pub(crate) fn rows_now(
        &mut self,
        what: &'static str,
        sql: &str,
        parameters: Parameters,
    ) -> Result<Arc<Vec<Row>>> {
        if self.begun {
            return self.rows(what, sql.to_owned(), parameters).map(Arc::new);
        }
        let parameters = Arc::new(parameters);
        if let Some(fetching) = &mut self.fetching {
            let question = || Question::Rows { what, sql: sql.to_owned(), parameters };
            return match fetching.ask(sql, question)? {
                Fetched::Rows(rows) => Ok(rows),
                Fetched::Answer(_) => Err(fetching.refuse()),
            };
        }
        for again in [true, false] {
            if !self.connection.is_alive() {
                self.reconnect()?;
            }
            let (connection, sql) = (Arc::clone(&self.connection), sql.to_owned());
            let parameters = Arc::clone(&parameters);
            let read = self.runtime.run(async move { alone(&connection, what, &sql, &parameters).await });
            match read {
                // a session that ended while nobody used it
                Err(_) if again && !self.connection.is_alive() => {}
                other => return other.map(Arc::new),
            }
        }
        Ok(Arc::default())
    }
}
