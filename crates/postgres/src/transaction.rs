//! The writer's connection: transactions that a lost lock cannot get through, and commits whose answer got lost.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use crate::client::{Client, KEPT_MAX};
use futures_util::future;
use repot_core::change_log::FormerDocument;
use repot_core::{Error, Kind, Result, Retry};
use repot_model::plan::Plan;
use tokio_postgres::Statement;
use tokio_postgres::types::{ToSql, Type};

use crate::address::Address;
use crate::connect::Connection;
use crate::epoch::{self, Epoch, Fate};
use crate::error::{failed, is_lost};
use crate::flight::COMMIT;
use crate::lock::{self, Held, Shared};

/// How often and how long apart a server is asked what became of a commit: 30 s in all.
const ASKED_MOST: u32 = 120;
const ASK_PAUSE: Duration = Duration::from_millis(250);

/// Everything that writes: one connection, the lock, and what was prepared.
#[derive(Debug)]
pub(crate) struct Writer {
    pub address: Address,
    pub connection: Arc<Connection>,
    pub held: Option<Held>,
    /// The lock is shared with other stores.
    pub shares: Option<Shared>,
    pub next_object: Option<i64>,
    /// Numbers for objects that nobody else gives out.
    pub numbers: Range<i64>,
    /// The objects that the transaction under way has locked: path and number.
    pub locked: HashMap<String, i64>,
    /// Of these, what was read of them with the lock: all documents that they hold, each by its object's path.
    pub known: HashMap<String, Option<FormerDocument>>,
    /// Paths of the objects that the transaction under way has made: path and number.
    pub claimed: HashMap<String, i64>,
    /// Documents that the batch under way removed or overwrites.
    pub former: Vec<FormerDocument>,
    pub prepared: HashMap<String, Statement>,
    /// Whether what the server says of a transaction's number is about that transaction.
    pub epoch: Epoch,
    /// Whether the transaction under way keeps the full text indexes itself; `None`: that was not asked yet.
    pub search_kept: Option<bool>,
}

/// What every transaction of ours begins with; `local`, so that nothing stays behind in a pooled session.
pub(crate) fn begin(client: &Client, address: &Address, mode: &str) -> String {
    if client.is_direct() {
        return format!("begin {mode}");
    }
    format!("begin {mode}; {}", settings(address, "set local"))
}

/// What our statements count on; `set`: for how long.
fn settings(address: &Address, set: &str) -> String {
    let lock_ms = address.options.lock_timeout.as_millis();
    format!(
        "{set} client_min_messages = warning; {set} datestyle = 'ISO'; {set} timezone = 'UTC'; \
         {set} lock_timeout = {lock_ms}; {set} statement_timeout = 0; {set} idle_in_transaction_session_timeout = 0"
    )
}

/// Statements of ours look for a few rows by their keys. A plan is kept while a table grows that was empty when it was made, so none
/// reads a whole table where an index finds the rows; what has no index is read as ever, and is nothing to compile.
pub(crate) const BY_KEYS: &str = "set enable_seqscan = off; set jit = off";

/// Those of a writer have arrays of keys: what is best for one value is best for all, and a plan made anew for each array takes ten
/// times as long as what is done by it.
const ONE_PLAN: &str = "set plan_cache_mode = force_generic_plan";

/// For a session of a writer that is nobody else's.
///
/// # Errors
/// When the server is out of reach.
async fn settle_writer(client: &Client, address: &Address) -> Result<()> {
    settle(client, address).await?;
    client.batch_execute(ONE_PLAN).await.map_err(|error| failed("begin a session", error))
}

/// For a session that is nobody else's: settings and prepared statements stay from here on.
///
/// # Errors
/// When the server is out of reach.
pub(crate) async fn settle(client: &Client, address: &Address) -> Result<()> {
    let set = settings(address, "set");
    let set = format!("{set}; {BY_KEYS}");
    client.batch_execute(&set).await.map_err(|error| failed("begin a session", error))?;
    client.keep_statements();
    Ok(())
}

/// A transaction that reads one state. What is asked in it may be anything, so plans are made as the server is set to.
pub(crate) fn begin_reading(client: &Client, address: &Address) -> String {
    let begin = begin(client, address, "isolation level repeatable read read only");
    format!("{begin}; set local enable_seqscan to default; set local jit to default")
}

/// A transaction that writes: triggers that are about plain SQL let it pass.
pub(crate) fn begin_writing(client: &Client, address: &Address) -> String {
    begin(client, address, "isolation level read committed read write") + "; set local repot.writer = 'on'"
}

impl Writer {
    pub(crate) fn client(&self) -> &Client {
        &self.connection.client
    }

    /// A living connection, and the lock if it was taken.
    ///
    /// # Errors
    /// When the server is out of reach, or the lock is gone.
    pub(crate) async fn ready(&mut self) -> Result<()> {
        if !self.connection.is_alive() {
            self.reconnect().await?;
        }
        match &self.held {
            Some(held) if !held.is_alive() => Err(lock_lost()),
            _ => Ok(()),
        }
    }

    /// Shares the lock by the session, which is nobody else's from here on.
    pub(crate) async fn share_session(&self) -> Result<()> {
        lock::share(self.client()).await?;
        settle_writer(self.client(), &self.address).await
    }

    async fn reconnect(&mut self) -> Result<()> {
        self.prepared.clear();
        self.epoch = Epoch::Unread;
        self.connection = Arc::new(Connection::open(&self.address).await?);
        if self.shares == Some(Shared::BySession) {
            self.share_session().await?;
        }
        Ok(())
    }

    /// Begins a transaction that commits only while the lock is ours; gives its number.
    ///
    /// # Errors
    /// When the server is out of reach, or the lock is gone.
    pub(crate) async fn begin(&mut self) -> Result<String> {
        self.ready().await?;
        self.know_epoch().await;
        self.search_kept = None;
        let begin = begin_writing(self.client(), &self.address);
        let client = &self.connection.client;
        let number = match &self.held {
            None => {
                let ask = client.query_typed_one("select pg_current_xact_id()::text", &[]);
                let (begun, asked) = future::join(client.batch_execute(&begin), ask).await;
                begun.and(asked).map(|row| Some(row.get::<_, String>(0)))
            }
            Some(held) => {
                // the share lock keeps whoever takes over waiting until this transaction ends
                let fence: [(&(dyn ToSql + Sync), Type); 2] =
                    [(&held.token, Type::INT8), (&held.backend, Type::INT4)];
                let ask = client.query_typed_opt(
                    "select pg_current_xact_id()::text, exists (select from pg_locks where locktype = 'advisory' and granted and pid = $2) \
                     from repot_lock where token = $1 for share",
                    &fence,
                );
                let (begun, asked) = future::join(client.batch_execute(&begin), ask).await;
                begun
                    .and(asked)
                    .map(|row| row.filter(|row| row.get::<_, bool>(1)).map(|row| row.get::<_, String>(0)))
            }
        };
        match number {
            Ok(Some(number)) => Ok(number),
            Ok(None) => {
                self.rollback().await;
                Err(lock_lost())
            }
            Err(error) => {
                self.rollback().await;
                Err(failed("begin a transaction", error))
            }
        }
    }

    /// Rolls back; a connection that is gone has done so itself.
    pub(crate) async fn rollback(&mut self) {
        self.forget_statements();
        drop(self.client().batch_execute("rollback").await);
    }

    /// Commits; `false` when the connection was lost and the server says that nothing was committed.
    ///
    /// # Errors
    /// When the server refuses, or cannot be asked what became of it.
    pub(crate) async fn commit(&mut self, number: &str) -> Result<bool> {
        self.forget_statements();
        match self.client().batch_execute(COMMIT).await {
            Ok(()) => Ok(true),
            Err(error) if is_lost(&error) => self.outcome(number).await,
            Err(error) => {
                self.rollback().await;
                Err(failed("commit", error))
            }
        }
    }

    /// Asks the server what became of a transaction. That something was committed counts only while the server has not
    /// crashed since: a crash gives numbers out again.
    pub(crate) async fn outcome(&mut self, number: &str) -> Result<bool> {
        let unknown = |cause: Option<Error>| {
            let error = Error::new(Kind::TargetUnavailable, "R0106", "the connection was lost while a batch was committed")
                .retry(Retry::Unknown)
                .hint("Run the same command again when the server can be reached; it finds out what was committed and goes on.");
            match cause {
                Some(cause) => error.cause(cause),
                None => error,
            }
        };
        // read anew before the next transaction: behind a pooler a session outlives the server's
        let since = std::mem::take(&mut self.epoch);
        let mut last = None;
        for _ in 0..ASKED_MOST {
            match self.ask(number, &since).await {
                Ok(Fate::Committed) => return Ok(true),
                Ok(Fate::Aborted) => return Ok(false),
                Ok(Fate::Unknown) => return Err(unknown(None)),
                Ok(Fate::Running) => {}
                Err(error) => last = Some(error),
            }
            tokio::time::sleep(ASK_PAUSE).await;
        }
        Err(unknown(last))
    }

    async fn ask(&mut self, number: &str, since: &Epoch) -> Result<Fate> {
        if !self.connection.is_alive() {
            self.reconnect().await?;
        }
        epoch::fate(self.client(), number, since).await
    }

    /// Behind a pooler the session is ours until the transaction ends, so what was prepared in it goes before that: the
    /// messages that close the statements are sent ahead of the one that ends the transaction.
    pub(crate) fn forget_statements(&mut self) {
        if self.shares == Some(Shared::ByTransaction) {
            self.prepared.clear();
        }
    }

    /// The statement, prepared once a connection; behind a pooler once a transaction.
    ///
    /// # Errors
    /// What the server says.
    pub(crate) async fn prepared(
        &mut self,
        sql: &str,
        types: &[Type],
    ) -> Result<Statement, tokio_postgres::Error> {
        if let Some(statement) = self.prepared.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client().prepare_typed(sql, types).await?;
        if self.prepared.len() >= KEPT_MAX {
            self.prepared.clear();
        }
        self.prepared.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    /// Does `sql` in a guarded transaction, once more when the connection is lost and nothing was committed.
    ///
    /// # Errors
    /// What the server says.
    pub(crate) async fn committed(&mut self, sql: &str, what: &str) -> Result<()> {
        loop {
            let number = self.begin().await?;
            if let Err(error) = self.client().batch_execute(sql).await {
                self.rollback().await;
                return Err(failed(what, error));
            }
            if self.commit(&number).await? {
                return Ok(());
            }
        }
    }
}

/// The error of a writer that is no longer the one.
pub(crate) fn lock_lost() -> Error {
    Error::new(Kind::Locked, "R0701", "the lock on the database is lost, so nothing more is written")
        .hint("Run the same command again; it goes on where it stopped.")
}

/// A plan shared with tasks; cloned when it is another one than before.
#[derive(Debug, Default)]
pub(crate) struct SharedPlan(Option<Arc<Plan>>);

impl SharedPlan {
    /// `plan` for a task.
    pub(crate) fn of(&mut self, plan: &Plan) -> Arc<Plan> {
        match &self.0 {
            Some(known)
                if known.hash == plan.hash && known.tables == plan.tables && known.rules == plan.rules =>
            {
                Arc::clone(known)
            }
            _ => {
                let shared = Arc::new(plan.clone());
                self.0 = Some(Arc::clone(&shared));
                shared
            }
        }
    }
}
