//! One copy at a time, or any number of stores. A session's advisory lock goes when the process goes, however it ends; a numbered row
//! tells who holds it, and fences a writer that lost it without knowing. Behind a pooler that shares sessions
//! there is no such lock, so one is detected and refused.

use std::time::Duration;

use crate::client::Client;
use repot_core::{Error, Kind, LockHolder, Result, Retry};
use tokio_postgres::SimpleQueryMessage;
use tokio_postgres::types::{ToSql, Type};

use crate::address::Address;
use crate::connect::Connection;
use crate::error::failed;

/// `repo`, the first half of the advisory lock's number; the second is the schema's.
const LOCK_CLASS: i32 = 0x7265_706f;
/// How long the second connection of a pooler may keep the first one waiting.
const POOLER_WAIT: Duration = Duration::from_secs(3);
/// Rounds of the question whether sessions are shared: other clients of a pooler may hide it in one of them.
const POOLER_ROUNDS: usize = 3;

/// How often, and how long between, a holder's name is looked for.
const NAMED_TRIES: usize = 40;
const NAMED_WAIT: Duration = Duration::from_millis(50);

/// The lock while it is held.
#[derive(Debug)]
pub(crate) struct Held {
    connection: Connection,
    /// Process of the session that holds it.
    pub backend: i32,
    /// Grows with each holder.
    pub token: i64,
}

impl Held {
    /// False once the session that holds it has ended.
    pub(crate) fn is_alive(&self) -> bool {
        self.connection.is_alive()
    }

    /// Gives the lock back at once; without this the server does when it notices the end of the session.
    pub(crate) async fn release(&self) {
        let giving = self.connection.client.batch_execute("select pg_advisory_unlock_all()");
        drop(tokio::time::timeout(POOLER_WAIT, giving).await);
    }
}

/// How a lock that stores share is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shared {
    /// By the session, and by each transaction.
    BySession,
    /// Behind a pooler a session is not ours: by each transaction only.
    ByTransaction,
}

/// What each transaction of a store asks for: its number, and whether no copy is at work.
pub(crate) const SHARE: &str =
    "select pg_current_xact_id()::text, pg_try_advisory_xact_lock_shared($1, hashtext(current_schema()))";

/// The parameter of [`SHARE`].
pub(crate) fn class() -> [(&'static (dyn ToSql + Sync), Type); 1] {
    [(&LOCK_CLASS, Type::INT4)]
}

/// Shares the lock for as long as the session lives.
pub(crate) async fn share(client: &Client) -> Result<()> {
    let sql = "select pg_try_advisory_lock_shared($1, hashtext(current_schema()))";
    let row = client.query_typed_one(sql, &class()).await.map_err(|error| failed("share the lock", error))?;
    if row.get::<_, Option<bool>>(0) == Some(true) { Ok(()) } else { Err(locked(holder(client).await)) }
}

/// The error of a store that finds a copy at work.
pub(crate) async fn taken(client: &Client) -> Error {
    locked(holder(client).await)
}

/// Are there stores that share the lock?
async fn is_shared(client: &Client) -> bool {
    let sql = "select exists (select from pg_locks where locktype = 'advisory' and classid = $1::int8::oid and granted \
               and mode = 'ShareLock' and database = (select oid from pg_database where datname = current_database()))";
    let row = client.query_typed_one(sql, &[(&i64::from(LOCK_CLASS), Type::INT8)]).await;
    row.is_ok_and(|row| row.get(0))
}

/// The transactions that write under the shared lock, by the number and the session of each. A transaction of a store takes its number
/// and the lock with its first statement, before anything is decided, and gives both back after it has committed.
pub(crate) async fn writing(client: &Client) -> Result<Vec<String>> {
    let sql = "select distinct w.pid::text || ' ' || w.transactionid::text from pg_locks w \
               join pg_locks s on s.pid = w.pid and s.locktype = 'advisory' and s.classid = $1::int8::oid and s.granted \
               and s.database = (select oid from pg_database where datname = current_database()) \
               where w.locktype = 'transactionid' and w.mode = 'ExclusiveLock' and w.granted and w.pid <> pg_backend_pid()";
    let rows = client.query_typed(sql, &[(&i64::from(LOCK_CLASS), Type::INT8)]).await;
    let rows = rows.map_err(|error| failed("look for transactions that write", error))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Takes the lock.
pub(crate) async fn take(address: &Address, me: &LockHolder) -> Result<Held> {
    let what = "take the lock";
    let connection = Connection::open(address).await?;
    if is_pooled(address, &connection.client).await? {
        return Err(Error::new(
            Kind::Unsupported,
            "R0115",
            "the database URL leads to a pooler that shares sessions, where no lock can be held",
        )
        .hint(
            "Give the direct URL of the PostgreSQL server for `copy` (often another host or port, 5432).",
        ));
    }
    let client = &connection.client;
    client
        .batch_execute(
            "set tcp_keepalives_idle = 30; set tcp_keepalives_interval = 10; set tcp_keepalives_count = 3; \
             set client_min_messages = warning; set statement_timeout = 0; set lock_timeout = '30s'; \
             select set_config(name, '0', false) from pg_settings where name = 'idle_session_timeout'",
        )
        .await
        .map_err(|error| failed(what, error))?;
    let row = client
        .query_typed_one(
            "select pg_backend_pid(), pg_try_advisory_lock($1, hashtext(current_schema()))",
            &[(&LOCK_CLASS, Type::INT4)],
        )
        .await
        .map_err(|error| failed(what, error))?;
    if row.get::<_, Option<bool>>(1) != Some(true) {
        if is_shared(client).await {
            let message = "documents are being written in this database through a store";
            return Err(Error::new(Kind::Locked, "R0701", message)
                .retry(Retry::Safe)
                .hint("Close the stores on this database first, or copy into another one."));
        }
        return Err(locked(holder(client).await));
    }
    let backend = row.get(0);
    let token = record(client, me, backend).await.map_err(|error| failed(what, error))?;
    Ok(Held { connection, backend, token })
}

/// Who holds the lock, for people.
pub(crate) const TABLE: &str = "\
create table if not exists repot_lock (one boolean primary key default true check (one), \
  token bigint not null, host text not null, pid bigint not null, since_ms bigint not null, backend int not null)";

async fn record(client: &Client, me: &LockHolder, backend: i32) -> Result<i64, tokio_postgres::Error> {
    client.batch_execute(TABLE).await?;
    let row = client
        .query_typed_one(
            "insert into repot_lock (token, host, pid, since_ms, backend) values (1, $1, $2, $3, $4) on conflict (one) do update \
             set token = repot_lock.token + 1, host = excluded.host, pid = excluded.pid, since_ms = excluded.since_ms, backend = excluded.backend returning token",
            &[
                (&me.host, Type::TEXT),
                (&i64::from(me.pid), Type::INT8),
                (&me.since_ms, Type::INT8),
                (&backend, Type::INT4),
            ],
        )
        .await?;
    Ok(row.get(0))
}

/// Who holds the lock. It writes its name a moment after it took the lock, so a short wait may be needed.
async fn holder(client: &Client) -> Option<LockHolder> {
    for _ in 0..NAMED_TRIES {
        if let Some(found) = named(client).await {
            return Some(found);
        }
        tokio::time::sleep(NAMED_WAIT).await;
    }
    None
}

async fn named(client: &Client) -> Option<LockHolder> {
    let sql = "select host, pid, since_ms from repot_lock where backend in \
               (select pid from pg_locks where locktype = 'advisory' and classid = $1::int8::oid and granted)";
    let row = client.query_typed_opt(sql, &[(&i64::from(LOCK_CLASS), Type::INT8)]).await.ok()??;
    Some(LockHolder {
        host: row.get(0),
        pid: u32::try_from(row.get::<_, i64>(1)).unwrap_or(0),
        since_ms: row.get(2),
    })
}

fn locked(holder: Option<LockHolder>) -> Error {
    let who = holder.map_or_else(
        || "another process".to_owned(),
        |holder| {
            let since = repot_model::plan::time::time_text(holder.since_ms.saturating_mul(1000), ' ', 0);
            format!("process {} on {} (since {since} UTC)", holder.pid, holder.host)
        },
    );
    Error::new(Kind::Locked, "R0701", format!("{who} is copying into this database"))
        .retry(Retry::Safe)
        .hint("Wait until it is done, or end it; its lock ends with it.")
}

/// Do two connections get one session in turn? While a second connection is inside a transaction, the first
/// must still have the session it had.
pub(crate) async fn is_pooled(address: &Address, first: &Client) -> Result<bool> {
    if address.pooled {
        return Ok(true);
    }
    let what = "look for a pooler";
    for _ in 0..POOLER_ROUNDS {
        let before = backend(first).await.map_err(|error| failed(what, error))?;
        let second = Connection::open(address).await?;
        if second.client.batch_execute("begin").await.is_err() {
            return Ok(true);
        }
        let other = backend(&second.client).await.map_err(|error| failed(what, error))?;
        let after = tokio::time::timeout(POOLER_WAIT, backend(first)).await;
        drop(second.client.batch_execute("rollback").await);
        match after {
            Ok(Ok(after)) if after == before && other != before => {}
            Ok(Err(error)) => return Err(failed(what, error)),
            // it waits for the one session there is
            Ok(Ok(_)) | Err(_) => return Ok(true),
        }
    }
    Ok(false)
}

async fn backend(client: &Client) -> Result<String, tokio_postgres::Error> {
    let answer = client.simple_query("select pg_backend_pid()").await?;
    let pid = answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    Ok(pid.unwrap_or_default().to_owned())
}
