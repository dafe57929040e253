//! One connection that all calls share; how often it is tried, and when it is left alone.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, ConnectionAddr, FromRedisValue, RedisError};
use repot_core::{Clock, Pacing, Result};
use tokio::sync::Mutex;

use crate::error::{away, is_lost, skipped, unknown};

/// Pause before the first try after a failure, milliseconds; each further one takes twice as long.
const PAUSE_MS: u64 = 10;

/// What a cache is opened with.
#[derive(Debug, Clone)]
pub struct RedisOptions {
    /// How often a call is tried again, before the server is left alone for `skip_ms`.
    pub retries: u32,
    /// For how long it is not asked then, milliseconds.
    pub skip_ms: u32,
    /// How long a connection or an answer may take, milliseconds.
    pub patience_ms: u32,
    /// Bytes of the largest value.
    pub value_bytes_max: usize,
}

impl Default for RedisOptions {
    fn default() -> Self {
        Self { retries: 3, skip_ms: 30_000, patience_ms: 500, value_bytes_max: 4 << 20 }
    }
}

/// A connection and its number.
type Open = (u64, MultiplexedConnection);

/// The server, behind one connection that is made anew when it was lost.
pub(crate) struct Connection {
    client: Client,
    shown: String,
    options: RedisOptions,
    clock: Arc<dyn Clock>,
    pacing: Arc<dyn Pacing>,
    open: Mutex<(u64, Option<Open>)>,
    /// Failures in a row, of all calls together.
    failures: AtomicU32,
    /// Since when it is not asked; a time that never was: it is.
    skipped_ms: AtomicI64,
}

impl Connection {
    pub(crate) fn new(
        url: &str,
        options: RedisOptions,
        (clock, pacing): (Arc<dyn Clock>, Arc<dyn Pacing>),
    ) -> Result<Self> {
        let client = Client::open(url).map_err(unknown)?;
        let shown = shown(&client);
        Ok(Self {
            client,
            shown,
            options,
            clock,
            pacing,
            open: Mutex::new((0, None)),
            failures: AtomicU32::new(0),
            skipped_ms: AtomicI64::new(i64::MIN),
        })
    }

    pub(crate) const fn options(&self) -> &RedisOptions {
        &self.options
    }

    pub(crate) fn pacing(&self) -> &dyn Pacing {
        self.pacing.as_ref()
    }

    /// Asks, and again where nobody answered.
    pub(crate) async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T> {
        let mut pause_ms = PAUSE_MS;
        for tried in 0.. {
            if self.is_skipped() {
                break;
            }
            let error = match self.once(command).await {
                Ok(answer) => {
                    self.failures.store(0, Ordering::Relaxed);
                    self.skipped_ms.store(i64::MIN, Ordering::Relaxed);
                    return Ok(answer);
                }
                Err(error) => error,
            };
            if !is_lost(&error) {
                return Err(away(&self.shown, error));
            }
            // counted over all calls: many that wait at once do not each try as often as one alone
            let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
            if failures > self.options.retries {
                self.skipped_ms.store(self.clock.now_ms(), Ordering::Relaxed);
            }
            if failures > self.options.retries || tried >= self.options.retries {
                return Err(away(&self.shown, error));
            }
            self.pacing.pause(pause_ms).await;
            pause_ms = pause_ms.saturating_mul(2);
        }
        Err(skipped(&self.shown))
    }

    fn is_skipped(&self) -> bool {
        let since_ms = self.skipped_ms.load(Ordering::Relaxed);
        let until_ms = since_ms.saturating_add(i64::from(self.options.skip_ms));
        (since_ms..until_ms).contains(&self.clock.now_ms())
    }

    async fn once<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, RedisError> {
        let (number, mut connection) = self.connect().await?;
        let answered = command.query_async(&mut connection).await;
        if answered.as_ref().is_err_and(is_lost) {
            let mut open = self.open.lock().await;
            if open.1.as_ref().is_some_and(|(other, _)| *other == number) {
                open.1 = None;
            }
        }
        answered
    }

    async fn connect(&self) -> Result<Open, RedisError> {
        let mut open = self.open.lock().await;
        if let (_, Some(connection)) = &*open {
            return Ok(connection.clone());
        }
        if self.is_skipped() {
            // another call waited for it in vain just now
            return Err(std::io::Error::from(std::io::ErrorKind::NotConnected).into());
        }
        let patience = Some(Duration::from_millis(self.options.patience_ms.into()));
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(patience).set_response_timeout(patience);
        let made = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        let number = open.0 + 1;
        *open = (number, Some((number, made.clone())));
        Ok((number, made))
    }
}

/// Where it is, without user and password.
fn shown(client: &Client) -> String {
    let info = client.get_connection_info();
    let db = info.redis_settings().db();
    match info.addr() {
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
            format!("Redis at {host}:{port}/{db}")
        }
        ConnectionAddr::Unix(path) => format!("Redis at {}, {db}", path.display()),
        _ => "Redis".to_owned(),
    }
}

impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}
