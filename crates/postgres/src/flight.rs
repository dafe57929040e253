//! Statements that are sent together: none of them waits for the answer of the one before. When one fails, the server does
//! nothing of those behind it, since all are of one transaction.

use futures_util::future;
use tokio_postgres::types::{ToSql, Type};

use crate::client::Client;
use crate::copy::Failure;

/// Statements under way at once. So few that `join_all` begins with them in their order.
const AT_ONCE: usize = 30;

/// A parameter with its type.
pub(crate) type Value = (Box<dyn ToSql + Sync + Send>, Type);

/// A value as a parameter.
pub(crate) fn value(value: impl ToSql + Sync + Send + 'static, kind: Type) -> Value {
    (Box::new(value), kind)
}

/// Statements that wait to be sent, in their order.
#[derive(Default)]
pub(crate) struct Flight(Vec<Said>);

struct Said {
    what: String,
    sql: String,
    values: Vec<Value>,
}

impl Said {
    fn typed(&self) -> Vec<(&(dyn ToSql + Sync), Type)> {
        self.values.iter().map(|(value, kind)| (&**value as &(dyn ToSql + Sync), kind.clone())).collect()
    }
}

impl Flight {
    /// Another statement; `what` it is for, should it fail.
    pub(crate) fn say(&mut self, what: impl Into<String>, sql: impl Into<String>, values: Vec<Value>) {
        self.0.push(Said { what: what.into(), sql: sql.into(), values });
    }

    /// Sends them all, and leaves none; gives how many rows the last one gave or changed.
    ///
    /// # Errors
    /// What the server says of the first that fails.
    pub(crate) async fn send(&mut self, client: &Client) -> Result<u64, Failure> {
        let all = std::mem::take(&mut self.0);
        let mut last = 0;
        for some in all.chunks(AT_ONCE) {
            // prepared before the first is sent, or those behind a new one would overtake it
            let mut kept = Vec::with_capacity(some.len());
            for said in some {
                let statement = client.kept(&said.sql, &said.typed()).await;
                kept.push(statement.map_err(Failure::server(said.what.clone()))?);
            }
            let running = some.iter().zip(&kept).map(|(said, kept)| async move {
                match kept {
                    Some(statement) => {
                        let values: Vec<&(dyn ToSql + Sync)> =
                            said.values.iter().map(|(value, _)| &**value as &(dyn ToSql + Sync)).collect();
                        client.execute(statement, &values).await.inspect_err(|_| client.forget(&said.sql))
                    }
                    None => client.execute_typed(&said.sql, &said.typed()).await,
                }
            });
            for (done, said) in future::join_all(running).await.into_iter().zip(some) {
                last = done.map_err(Failure::server(said.what.clone()))?;
            }
        }
        Ok(last)
    }
}
