//! Questions that are asked without waiting: the answers are fetched between two runs of the same reading, in the task of whoever
//! wants to read. See [`repot_core::Prompt`].

use std::sync::Arc;

use futures_util::future::join;
use repot_core::{Answer, Error, Kind, Missing, Prompt, Result};
use repot_model::sql::query::{Speech, Statement};
use tokio_postgres::Row;

use crate::ask::{self, Behind};
use crate::error::failed;
use crate::parameters::Parameters;
use crate::question::is_cancelled;
use crate::reader::PostgresReader;
use crate::rows::alone;
use crate::transaction::begin_reading;

/// A question that takes no transaction.
#[derive(Clone)]
pub(crate) enum Question {
    Rows {
        what: &'static str,
        sql: String,
        parameters: Arc<Parameters>,
    },
    /// With the bytes of the largest answer, and what is sent behind it in its transaction.
    Statement(Statement, usize, Option<Behind>),
    Speech,
}

impl Question {
    fn sql(&self) -> &str {
        match self {
            Self::Rows { sql, .. } => sql,
            Self::Statement(statement, ..) => &statement.sql,
            Self::Speech => "",
        }
    }
}

/// What a question was answered with.
#[derive(Clone)]
pub(crate) enum Fetched {
    Rows(Arc<Vec<Row>>),
    /// With the rows of what was sent behind it. An error counts: the statement is wrong, or takes too long.
    Answer(Result<(Answer, Arc<Vec<Row>>)>),
}

/// The questions of a reading, in their order.
#[derive(Default)]
pub(crate) struct Fetching {
    answered: Vec<(Question, Fetched)>,
    /// Of these, the next to be asked.
    at: usize,
    wanted: Option<Question>,
    /// There was something that is not asked in this way.
    refused: bool,
}

impl Fetching {
    /// The answer, where it is there.
    ///
    /// # Errors
    /// It is not.
    pub(crate) fn ask(&mut self, sql: &str, question: impl FnOnce() -> Question) -> Result<Fetched> {
        match self.answered.get(self.at) {
            Some((asked, answer)) if asked.sql() == sql => {
                self.at += 1;
                Ok(answer.clone())
            }
            Some(_) => {
                // what it goes by has changed: it has come another way
                self.answered.truncate(self.at);
                Err(self.want(question()))
            }
            None => Err(self.want(question())),
        }
    }

    /// This is to be fetched.
    pub(crate) fn want(&mut self, question: Question) -> Error {
        self.wanted = Some(question);
        not_here()
    }

    /// This is not asked in this way.
    pub(crate) fn refuse(&mut self) -> Error {
        self.refused = true;
        not_here()
    }
}

fn not_here() -> Error {
    Error::new(Kind::Internal, "R0901", "this cannot be read at once")
}

impl Prompt for PostgresReader {
    fn at_once(&mut self, only: bool) -> bool {
        let can = self.home.is_some() && !self.begun && self.connection.is_alive();
        self.fetching = (only && can).then(Fetching::default);
        can
    }

    fn missing(&mut self) -> Missing<'_> {
        let Some(fetching) = &mut self.fetching else { return Missing::Time };
        match fetching.wanted.take() {
            _ if fetching.refused => Missing::Time,
            Some(question) => Missing::Answer(Box::pin(self.fetch(question))),
            None => Missing::Nothing,
        }
    }
}

impl PostgresReader {
    async fn fetch(&mut self, question: Question) -> Result<()> {
        let client = &self.connection.client;
        let fetched = match &question {
            Question::Rows { what, sql, parameters } => {
                Fetched::Rows(Arc::new(alone(&self.connection, what, sql, parameters).await?))
            }
            Question::Statement(statement, bytes_max, behind) => {
                let bounds = (*bytes_max, self.address.options.query_timeout);
                let role = self.tenants.as_deref();
                let asked = match behind {
                    None => {
                        let asked = ask::run_alone(client, statement, bounds, role).await;
                        asked.ok_or_else(not_here)?.map(|answer| (answer, Vec::new()))
                    }
                    Some(_) => {
                        let begin = begin_reading(client, &self.address);
                        ask::run_once(client, statement, bounds, (&begin, role), behind.clone()).await
                    }
                };
                match asked {
                    // the transaction may be left open, or the session lost
                    Err(error) if !is_cancelled(&error) => return Err(error),
                    asked => Fetched::Answer(asked.map(|(answer, rows)| (answer, Arc::new(rows)))),
                }
            }
            Question::Speech => {
                let (stood_down, speech) = join(client.stand_down(), ask::speech(client)).await;
                stood_down.map_err(|error| failed("read the locale", error))?;
                // from here on it is not asked any more
                self.speech = Some(Speech { policed: self.tenants.is_some(), ..speech? });
                self.again();
                return Ok(());
            }
        };
        if let Some(fetching) = &mut self.fetching {
            fetching.answered.push((question, fetched));
        }
        self.again();
        Ok(())
    }

    /// The reading begins anew.
    const fn again(&mut self) {
        if let Some(fetching) = &mut self.fetching {
            fetching.at = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(sql: &str) -> Question {
        let parameters = Arc::new(Parameters::default());
        Question::Rows { what: "ask", sql: sql.to_owned(), parameters }
    }

    /// One run of a reading that asks these; what it lacks is answered.
    fn run(fetching: &mut Fetching, asks: &[&str]) -> bool {
        fetching.at = 0;
        let lacks = asks.iter().any(|sql| fetching.ask(sql, || question(sql)).is_err());
        if let Some(question) = fetching.wanted.take() {
            fetching.answered.push((question, Fetched::Rows(Arc::new(Vec::new()))));
        }
        !lacks
    }

    /// Such as a text that was known when it was asked for, and is not any more.
    #[test]
    fn a_reading_that_goes_another_way_than_before_is_answered_anew() {
        let mut fetching = Fetching::default();
        for _ in 0..3 {
            assert!(!run(&mut fetching, &["a", "b", "c"]));
        }
        assert!(run(&mut fetching, &["a", "b", "c"]));
        assert!(!run(&mut fetching, &["a", "d", "c"]));
        // what came behind the other question is no answer to this one
        assert_eq!(fetching.answered.iter().map(|(asked, _)| asked.sql()).collect::<Vec<_>>(), ["a", "d"]);
        assert!(!run(&mut fetching, &["a", "d", "c"]));
        assert!(run(&mut fetching, &["a", "d", "c"]));
        assert!(!fetching.refused);
    }
}
