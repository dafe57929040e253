//! A blocking PostgreSQL session, just enough for the limit and for making databases.

use anyhow::{Context as _, Result};
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::{Client, NoTls};

/// One connection with a runtime of its own.
#[derive(Debug)]
pub(crate) struct Session {
    runtime: Runtime,
    client: Client,
}

impl Session {
    /// Connects, without TLS: the benchmark is meant for a server on this machine.
    pub(crate) fn open(url: &str) -> Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (client, connection) =
            runtime.block_on(tokio_postgres::connect(url, NoTls)).context("connecting to PostgreSQL")?;
        // its error, if any, is also the error of the statement that is waiting
        runtime.spawn(async move { drop(connection.await) });
        Ok(Self { runtime, client })
    }

    /// Runs a statement.
    pub(crate) fn run(&mut self, sql: &str) -> Result<()> {
        self.runtime.block_on(self.client.batch_execute(sql)).with_context(|| format!("running {sql}"))
    }

    /// The first column of the first row, as text.
    pub(crate) fn text(&mut self, sql: &str) -> Result<String> {
        let row = self
            .runtime
            .block_on(self.client.query_one(sql, &[]))
            .with_context(|| format!("running {sql}"))?;
        Ok(row.try_get(0)?)
    }

    /// Runs something with the client.
    pub(crate) fn block_on<T>(
        &mut self,
        work: impl AsyncFnOnce(&Client) -> Result<T, tokio_postgres::Error>,
    ) -> Result<T> {
        Ok(self.runtime.block_on(work(&self.client))?)
    }
}
