//! One connection and its task.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::client::Client;
use repot_core::{Error, Kind, Result};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{NoTls, Socket};

use crate::address::{Address, Protection};
use crate::error::failed;
use crate::tls;
use crate::transaction::settle;

/// A connection; its task ends with it.
#[derive(Debug)]
pub(crate) struct Connection {
    pub client: Client,
    alive: Arc<AtomicBool>,
}

impl Connection {
    /// Connects. Nothing is set for the session: behind a pooler it would reach others.
    pub(crate) async fn open(address: &Address) -> Result<Self> {
        let limit = address.config.get_connect_timeout().copied().unwrap_or(address.options.connect_timeout);
        let opening = async {
            match address.protection {
                Protection::None => Self::with(address, NoTls).await,
                Protection::Encrypted => Self::with(address, tls::connector(false)?).await,
                Protection::Verified => Self::with(address, tls::connector(true)?).await,
            }
        };
        tokio::time::timeout(limit, opening).await.unwrap_or_else(|_| {
            Err(Error::new(
                Kind::TargetUnavailable,
                "R0106",
                format!("no answer from PostgreSQL at {address} within {} s", limit.as_secs()),
            )
            .hint("Check host and port in the database URL and that the server runs."))
        })
    }

    /// [`Self::open`]; `direct`: no pooler gives the session to others, so it is set up for reading.
    pub(crate) async fn open_settled(address: &Address, direct: bool) -> Result<Self> {
        let connection = Self::open(address).await?;
        if direct {
            settle(&connection.client, address).await?;
        }
        Ok(connection)
    }

    async fn with<T>(address: &Address, tls: T) -> Result<Self>
    where
        T: MakeTlsConnect<Socket> + Send,
        T::Stream: Send + 'static,
        T::TlsConnect: Send,
        <T::TlsConnect as tokio_postgres::tls::TlsConnect<Socket>>::Future: Send,
    {
        let what = format!("connect to PostgreSQL at {address}");
        let (client, connection) = address.config.connect(tls).await.map_err(|error| {
            let is_server = error.as_db_error().is_some();
            let mapped = failed(&what, error);
            if is_server {
                mapped
            } else if mapped.message().contains("certificate") {
                mapped.hint("Give the server a certificate that this machine trusts, or say `sslmode=require` to encrypt without checking it.")
            } else {
                mapped.hint("Check host and port in the database URL and that the server runs.")
            }
        })?;
        let alive = Arc::new(AtomicBool::new(true));
        let flag = Arc::clone(&alive);
        tokio::spawn(async move {
            // the statement that is under way gets the error; there is nobody else to tell
            drop(connection.await);
            flag.store(false, Ordering::Release);
        });
        Ok(Self { client: Client::new(client, address.echo.clone()), alive })
    }

    /// It failed; the next one to use it is to open another.
    pub(crate) fn give_up(&self) {
        self.alive.store(false, Ordering::Release);
    }

    /// False once the connection has ended, or is of no more use.
    pub(crate) fn is_alive(&self) -> bool {
        self.alive.load(Ordering::Acquire) && !self.client.is_closed() && !self.client.is_stuck()
    }
}
