//! More connections to the server, and whether one that idled still works.

use std::sync::Arc;
use std::time::Duration;

use repot_core::{Connections, Idling, Reader, Result, Target, Writers};

use tokio::runtime::{Handle, RuntimeFlavor};

use crate::address::Address;
use crate::connect::Connection;
use crate::lock::{self, Shared};
use crate::reader::PostgresReader;
use crate::runtime::Runtime;
use crate::target::PostgresTarget;

/// Longest wait for the answer of a session that idled; another is opened then.
const ANSWER_WAIT: Duration = Duration::from_secs(3);

/// Opens connections.
#[derive(Debug)]
pub(crate) struct PostgresConnections {
    pub address: Address,
    pub version: String,
    /// How the target it is from shares the lock.
    pub shares: Option<Shared>,
    /// The role that a tenant's statements run under.
    pub tenants: Option<Arc<str>>,
}

impl Connections for PostgresConnections {
    fn reader(&self) -> Result<Box<dyn Reader>> {
        let direct = self.can_fetch();
        let here = Handle::try_current().ok().filter(|_| direct);
        let home = here.filter(|here| here.runtime_flavor() == RuntimeFlavor::MultiThread);
        let (runtime, tenants) = (Runtime::own()?, self.tenants.clone());
        Ok(Box::new(PostgresReader::open((runtime, home), self.address.clone(), tenants, direct)?))
    }

    /// On sessions that are nobody else's.
    fn can_fetch(&self) -> bool {
        self.shares == Some(Shared::BySession)
    }

    fn writers_max(&self) -> usize {
        usize::MAX
    }

    fn writer(&self) -> Result<Box<dyn Target>> {
        let (to, runtime) = (self.address.clone(), Runtime::own()?);
        let connection = runtime.run(async move { Connection::open(&to).await })?;
        let other = PostgresTarget::with(connection, self.address.clone(), self.version.clone(), runtime);
        let shares = self.shares;
        other.run(move |mut writer| async move { writer.share(shares).await })?;
        Ok(Box::new(other))
    }
}

/// Asks a session that idled for a sign of life; one that gives none is given up.
async fn ask(connection: &Connection) {
    if connection.is_alive() {
        let asked = tokio::time::timeout(ANSWER_WAIT, connection.client.simple_query("")).await;
        if !matches!(asked, Ok(Ok(_))) {
            connection.give_up();
        }
    }
}

impl Idling for PostgresTarget {
    fn wake(&mut self) -> Result<()> {
        self.run(|mut writer| async move {
            ask(&writer.connection).await;
            writer.ready().await
        })
    }
}

impl Writers for PostgresTarget {
    fn writers(&mut self) -> Result<Vec<String>> {
        self.run(|mut writer| async move {
            writer.ready().await?;
            lock::writing(writer.client()).await
        })
    }
}

impl Idling for PostgresReader {
    fn wake(&mut self) -> Result<()> {
        let connection = Arc::clone(&self.connection);
        self.runtime.run(async move {
            ask(&connection).await;
            Ok(())
        })?;
        if self.connection.is_alive() { Ok(()) } else { self.reconnect() }
    }
}
