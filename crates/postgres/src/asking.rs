//! Questions of a reader: the transaction around each, and another try in a new one.

use std::sync::Arc;

use repot_core::{Answer, Result};
use repot_model::sql::query::Statement;

use tokio_postgres::Row;

use crate::ask::{self, Behind};
use crate::client::{was_lost, was_stale};
use crate::error::failed;
use crate::fetch::{Fetched, Question};
use crate::reader::PostgresReader;
use crate::transaction::begin_reading;

impl PostgresReader {
    /// In the state that is held, which begins with the same messages where there is none yet.
    pub(crate) fn asked(&mut self, statement: &Statement, bytes_max: usize) -> Result<Answer> {
        if self.begun {
            return self.question(statement, bytes_max, None);
        }
        for last in [false, true] {
            let begin = self.beginning()?;
            let answer = self.question(statement, bytes_max, Some(begin));
            self.begun = answer.is_ok();
            match answer {
                Err(error) if self.may_ask_again(&error)? && !last => {}
                other => return other,
            }
        }
        Ok(Answer::default())
    }

    /// In a state of its own, unless one is held.
    pub(crate) fn asked_once(&mut self, statement: &Statement, bytes_max: usize) -> Result<Answer> {
        if self.begun {
            return self.question(statement, bytes_max, None);
        }
        Ok(self.asked_with(statement, bytes_max, None)?.0)
    }

    /// In a state of its own, with the rows of what is sent behind it.
    pub(crate) fn asked_with(
        &mut self,
        statement: &Statement,
        bytes_max: usize,
        behind: Option<&Behind>,
    ) -> Result<(Answer, Arc<Vec<Row>>)> {
        if let Some(fetching) = &mut self.fetching {
            let question = || Question::Statement(statement.clone(), bytes_max, behind.cloned());
            return match fetching.ask(&statement.sql, question)? {
                Fetched::Answer(answered) => answered,
                Fetched::Rows(_) => Err(fetching.refuse()),
            };
        }
        if behind.is_none()
            && let Some(answer) = self.asked_alone(statement, bytes_max)
        {
            return Ok((answer?, Arc::default()));
        }
        for last in [false, true] {
            let begin = self.beginning()?;
            let (connection, statement) = (Arc::clone(&self.connection), statement.clone());
            let (role, timeout) = (self.tenants.clone(), self.address.options.query_timeout);
            let behind = behind.cloned();
            let answer = self.runtime.run(async move {
                let begin = (begin.as_str(), role.as_deref());
                ask::run_once(&connection.client, &statement, (bytes_max, timeout), begin, behind).await
            });
            match answer {
                Err(error) if self.may_ask_again(&error)? && !last => {}
                other => return other.map(|(answer, rows)| (answer, Arc::new(rows))),
            }
        }
        Ok((Answer::default(), Arc::default()))
    }

    /// By one statement without a transaction around it; `None`: not in this way.
    fn asked_alone(&self, statement: &Statement, bytes_max: usize) -> Option<Result<Answer>> {
        if !self.connection.is_alive() {
            return None;
        }
        let (connection, statement) = (Arc::clone(&self.connection), statement.clone());
        let (role, bounds) = (self.tenants.clone(), (bytes_max, self.address.options.query_timeout));
        let asked = self.runtime.run(async move {
            Ok(ask::run_alone(&connection.client, &statement, bounds, role.as_deref()).await)
        });
        asked.unwrap_or_else(|error| Some(Err(error)))
    }

    /// What begins a transaction on a session that lives.
    fn beginning(&mut self) -> Result<String> {
        if let Some(fetching) = &mut self.fetching {
            return Err(fetching.refuse());
        }
        if !self.connection.is_alive() {
            self.reconnect()?;
        }
        Ok(begin_reading(&self.connection.client, &self.address))
    }

    fn question(&self, statement: &Statement, bytes_max: usize, begin: Option<String>) -> Result<Answer> {
        let (connection, statement) = (Arc::clone(&self.connection), statement.clone());
        let (role, timeout) = (self.tenants.clone(), self.address.options.query_timeout);
        self.runtime.run(async move {
            let bounds = (bytes_max, timeout);
            ask::run(&connection.client, &statement, bounds, (begin, role.as_deref())).await
        })
    }

    /// After a question that failed with nothing read before it: whether a new transaction may do better, because a table was
    /// changed under a statement that the session keeps, or the session ended while nobody used it.
    fn may_ask_again(&self, error: &repot_core::Error) -> Result<bool> {
        if was_lost(error) {
            self.connection.give_up();
        }
        if !self.connection.is_alive() {
            return Ok(true);
        }
        // whether it began or not, and whether it ended: what comes next begins anew
        let connection = Arc::clone(&self.connection);
        self.runtime.run(async move {
            let ended = connection.client.batch_execute("rollback").await;
            ended.map_err(|error| failed("answer a query", error))
        })?;
        Ok(was_stale(error))
    }
}
