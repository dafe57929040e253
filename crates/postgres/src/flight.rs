//! Statements that are sent together: none of them waits for the answer of the one before. When one fails, the server does
//! nothing of those behind it, since all are of one transaction; so a commit may be sent with them.

use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future;
use repot_core::Error;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};

use crate::client::Client;
use crate::copy::Failure;
use crate::parameters::{Parameters, listed};

/// Statements under way at once. So few that `join_all` begins with them in their order.
const AT_ONCE: usize = 30;

/// In a transaction that the server has given up `select` is an error, and `commit` alone would be a rollback without one.
pub(crate) const COMMIT: &str = "select; commit";

/// Statements that wait to be sent, in their order.
#[derive(Default)]
pub(crate) struct Flight(Vec<Said>);

struct Said {
    what: String,
    sql: String,
    values: Parameters,
    /// It divides by zero where what must hold does not; what that means.
    otherwise: Option<Otherwise>,
}

/// Why a transaction fails in which something does not hold that must.
enum Otherwise {
    /// Others came in between: it is to be decided on anew.
    Between(String),
    /// For good.
    Ours(Error),
}

impl Said {
    fn typed(&self) -> Vec<(&(dyn ToSql + Sync), Type)> {
        listed(&self.values)
    }

    fn failure(&self, error: tokio_postgres::Error) -> Failure {
        match &self.otherwise {
            Some(otherwise) if error.code() == Some(&SqlState::DIVISION_BY_ZERO) => match otherwise {
                Otherwise::Between(message) => Failure::Between(message.clone()),
                Otherwise::Ours(error) => Failure::Ours(error.clone()),
            },
            _ => Failure::Server(self.what.clone(), error),
        }
    }
}

/// How the last of a flight that commits went.
pub(crate) enum Landed {
    /// All of it, and the commit.
    Committed,
    /// Nothing is committed, for sure.
    Failed(Failure),
    /// The connection ended, and the server may have committed before that.
    Lost,
}

impl Flight {
    /// Another statement; `what` it is for, should it fail.
    pub(crate) fn say(&mut self, what: impl Into<String>, sql: impl Into<String>, values: Parameters) {
        self.0.push(Said { what: what.into(), sql: sql.into(), values, otherwise: None });
    }

    /// There must be no such row; where there is one, the transaction fails with [`Failure::Between`], and nothing behind it is
    /// done: who waits for the answer first would wait once more.
    pub(crate) fn forbid(
        &mut self,
        what: impl Into<String>,
        rows: &str,
        values: Parameters,
        message: impl Into<String>,
    ) {
        let sql = format!("select 1 / (case when exists ({rows}) then 0 else 1 end)");
        self.must(what, sql, values, Otherwise::Between(message.into()));
    }

    /// There must be such a row; else as with [`Flight::forbid`].
    pub(crate) fn demand(
        &mut self,
        what: impl Into<String>,
        rows: &str,
        values: Parameters,
        message: impl Into<String>,
    ) {
        let sql = format!("select 1 / (case when exists ({rows}) then 1 else 0 end)");
        self.must(what, sql, values, Otherwise::Between(message.into()));
    }

    /// A statement that must change a row; else the transaction fails with `otherwise`, and nothing behind it is done.
    pub(crate) fn change(
        &mut self,
        what: impl Into<String>,
        change: &str,
        values: Parameters,
        otherwise: Error,
    ) {
        let sql = format!("with done as ({change} returning 1) select 1 / (select count(*) from done)");
        self.must(what, sql, values, Otherwise::Ours(otherwise));
    }

    fn must(&mut self, what: impl Into<String>, sql: String, values: Parameters, otherwise: Otherwise) {
        self.0.push(Said { what: what.into(), sql, values, otherwise: Some(otherwise) });
    }

    /// Sends them all, and leaves none.
    ///
    /// # Errors
    /// What the server says of the first that fails.
    pub(crate) async fn send(&mut self, client: &Client) -> Result<(), Failure> {
        let all = std::mem::take(&mut self.0);
        for some in all.chunks(AT_ONCE) {
            let kept = prepared(client, some).await?;
            first(future::join_all(run(client, some, &kept)).await, some)?;
        }
        Ok(())
    }

    /// Sends them all, with a commit behind the last.
    pub(crate) async fn commit(mut self, client: &Client) -> Landed {
        let last = self.0.split_off(self.0.len().saturating_sub(1) / AT_ONCE * AT_ONCE);
        if let Err(failure) = self.send(client).await {
            return Landed::Failed(failure);
        }
        let kept = match prepared(client, &last).await {
            Ok(kept) => kept,
            Err(failure) => return Landed::Failed(failure),
        };
        // what cannot even be sent must keep the commit behind it back: the server would know nothing of it
        let unsent = AtomicBool::new(false);
        let noted = run(client, &last, &kept).map(|running| async {
            running.await.inspect_err(|error| {
                if error.as_db_error().is_none() {
                    unsent.store(true, Ordering::Relaxed);
                }
            })
        });
        let committing = async {
            // begun after all statements were
            if unsent.load(Ordering::Relaxed) {
                return None;
            }
            Some(client.batch_execute(COMMIT).await)
        };
        let (done, committed) = future::join(future::join_all(noted), committing).await;
        match (first(done, &last), committed) {
            (Err(failure), None) => Landed::Failed(failure),
            // that nothing was heard of a statement says nothing about the commit behind it
            (Err(Failure::Server(_, error)), Some(_)) if error.as_db_error().is_none() => Landed::Lost,
            (Err(failure), Some(_)) => Landed::Failed(failure),
            (Ok(()), Some(Ok(()))) => Landed::Committed,
            (Ok(()), Some(Err(error))) if !crate::error::is_lost(&error) => {
                Landed::Failed(Failure::Server("commit".to_owned(), error))
            }
            (Ok(()), _) => Landed::Lost,
        }
    }
}

/// The statements, as far as the session keeps any: before the first is sent, or those behind a new one would overtake it.
async fn prepared(client: &Client, some: &[Said]) -> Result<Vec<Option<tokio_postgres::Statement>>, Failure> {
    let mut kept = Vec::with_capacity(some.len());
    for said in some {
        let statement = client.kept(&said.sql, &said.typed()).await;
        kept.push(statement.map_err(Failure::server(said.what.clone()))?);
    }
    Ok(kept)
}

fn run<'a>(
    client: &'a Client,
    some: &'a [Said],
    kept: &'a [Option<tokio_postgres::Statement>],
) -> impl Iterator<Item = impl Future<Output = Result<u64, tokio_postgres::Error>> + 'a> + 'a {
    some.iter().zip(kept).map(move |(said, kept)| async move {
        match kept {
            Some(statement) => {
                let values: Vec<&(dyn ToSql + Sync)> =
                    said.values.iter().map(|(value, _)| &**value as &(dyn ToSql + Sync)).collect();
                client.execute(statement, &values).await.inspect_err(|_| client.forget(&said.sql))
            }
            None => client.execute_typed(&said.sql, &said.typed()).await,
        }
    })
}

/// The first that failed.
fn first(done: Vec<Result<u64, tokio_postgres::Error>>, some: &[Said]) -> Result<(), Failure> {
    done.into_iter()
        .zip(some)
        .try_for_each(|(done, said)| done.map(drop).map_err(|error| said.failure(error)))
}

#[cfg(test)]
mod tests {
    use tokio_postgres::types::Type;

    use super::{Flight, Landed};
    use crate::client::Client;

    /// The server knows nothing of a statement that cannot be sent, and would commit what is left.
    #[test]
    fn a_statement_that_cannot_be_sent_keeps_the_commit_back() {
        let Some(url) = repot_testkit::postgres::fresh_database() else { return };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (inner, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
            tokio::spawn(connection);
            let client = Client::new(inner, None);
            client.batch_execute("create table t (n int)").await.unwrap();
            for is_kept in [false, true] {
                if is_kept {
                    client.keep_statements();
                }
                for (second, lands) in [(true, true), (false, false)] {
                    client.batch_execute("begin").await.unwrap();
                    let mut flight = Flight::default();
                    let sql = "insert into t values ($1)";
                    flight.say("one", sql, vec![(Box::new(1), Type::INT4)]);
                    if second {
                        flight.say("another", sql, vec![(Box::new(2), Type::INT4)]);
                    } else {
                        flight.say("another", sql, vec![(Box::new("2"), Type::INT4)]);
                    }
                    let landed = flight.commit(&client).await;
                    assert_eq!(matches!(landed, Landed::Committed), lands);
                    assert_eq!(matches!(landed, Landed::Failed(_)), !lands);
                    client.batch_execute("rollback").await.unwrap();
                }
            }
            let counted = client.query_one("select count(*) from t", &[]).await.unwrap();
            assert_eq!(
                counted.get::<_, i64>(0),
                4,
                "both of each flight that landed, and none of the others"
            );
        });
    }
}
