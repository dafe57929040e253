//! [`PostgresTarget`]: the blocking face of the writer.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use repot_core::change_log::ChangeRetention;
use repot_core::{
    Ahead, Batch, Connections, Decide, Echo, Error, Health, Kind, LoadReport, LockHolder, Piece, QueueAnswer,
    QueueStep, Reader, Result, RowSecurity, State, Target, TenantGuard, Violation,
};
use repot_model::plan::{Additions, Plan};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::address::{Address, PostgresOptions};
use crate::connect::Connection;
use crate::connections::PostgresConnections;
use crate::epoch::Epoch;
use crate::error::failed;
use crate::reader::PostgresReader;
use crate::runtime::Runtime;
use crate::transaction::{SharedPlan, Writer};
use crate::{create, indexes, lock};

/// A PostgreSQL database that takes documents.
pub struct PostgresTarget {
    writer: Arc<Mutex<Writer>>,
    plan: SharedPlan,
    /// What the next transaction reads with its locks.
    pub(crate) ahead: Ahead,
    /// The role that a tenant's statements run under, once it is known that it can be taken.
    tenants: Option<Arc<str>>,
    pub(crate) address: Address,
    version: String,
    /// In which the connections of [`Target::reader`] live.
    reading: OnceLock<Runtime>,
    // last, so that everything above ends while it still runs
    pub(crate) runtime: Runtime,
}

impl PostgresTarget {
    /// Connects to the database at `url` (`postgresql://USER:PASSWORD@HOST:PORT/DATABASE`, also with the schemes
    /// `postgres` and `postgresql+psycopg2`, `+asyncpg`, `+psycopg`). Encrypted unless the host is this machine or
    /// the URL says `sslmode=disable`; `sslmode=verify-full` also checks the certificate.
    ///
    /// # Errors
    /// When the URL is wrong or the server is out of reach.
    pub fn open(url: &str, options: PostgresOptions) -> Result<Self> {
        Self::open_with_echo(url, options, None)
    }

    /// The same; `echo` is told each statement, without values. Statements that are prepared are told once a connection.
    ///
    /// # Errors
    /// As [`PostgresTarget::open`].
    pub fn open_with_echo(url: &str, options: PostgresOptions, echo: Option<Echo>) -> Result<Self> {
        let address = Address { echo, ..Address::parse(url, options)? };
        let runtime = Runtime::own()?;
        let to = address.clone();
        let (connection, version) = runtime.run(async move {
            let connection = Connection::open(&to).await?;
            let row = connection
                .client
                .query_typed_one("select current_setting('server_version'), current_schema() is null", &[])
                .await
                .map_err(|error| failed("look at the server", error))?;
            if row.get::<_, bool>(1) {
                return Err(Error::new(
                    Kind::Denied,
                    "R0113",
                    format!("{to} has no schema in the user's search_path that exists"),
                )
                .hint("Make one with `create schema`, or set search_path for the user."));
            }
            let version: String = row.get(0);
            Ok((connection, version.split(' ').next().unwrap_or_default().to_owned()))
        })?;
        Ok(Self::with(connection, address, version, runtime))
    }

    pub(crate) fn with(connection: Connection, address: Address, version: String, runtime: Runtime) -> Self {
        let writer = Writer {
            address: address.clone(),
            connection: Arc::new(connection),
            held: None,
            shares: None,
            next_object: None,
            numbers: 0..0,
            locked: HashMap::new(),
            known: HashMap::new(),
            claimed: HashMap::new(),
            former: Vec::new(),
            prepared: HashMap::new(),
            epoch: Epoch::default(),
            search_kept: None,
        };
        let (writer, plan) = (Arc::new(Mutex::new(writer)), SharedPlan::default());
        let ahead = Ahead::default();
        Self { writer, plan, ahead, tenants: None, address, version, reading: OnceLock::new(), runtime }
    }

    pub(crate) fn run<T: Send + 'static, F: Future<Output = Result<T>> + Send + 'static>(
        &self,
        work: impl FnOnce(OwnedMutexGuard<Writer>) -> F + Send + 'static,
    ) -> Result<T> {
        let writer = Arc::clone(&self.writer);
        self.runtime.run(async move { work(writer.lock_owned().await).await })
    }
}

impl fmt::Display for PostgresTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgreSQL {} at {}", self.version, self.address)
    }
}

impl fmt::Debug for PostgresTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresTarget({self})")
    }
}

impl PostgresTarget {
    pub(crate) fn open_reader(&self) -> Result<PostgresReader> {
        let runtime = match self.reading.get() {
            Some(runtime) => runtime.clone(),
            None => {
                let made = Runtime::new()?;
                self.reading.get_or_init(|| made).clone()
            }
        };
        PostgresReader::open((runtime, None), self.address.clone(), self.tenants.clone(), false)
    }
}

impl Drop for PostgresTarget {
    fn drop(&mut self) {
        // the server frees the lock by itself once it sees the connection end; this makes it at once
        let released = self.run(|mut writer| async move {
            if let Some(held) = writer.held.take() {
                held.release().await;
            }
            Ok(())
        });
        drop(released);
    }
}

impl TenantGuard for PostgresTarget {
    fn row_security(&mut self, plan: &Plan) -> Result<RowSecurity> {
        let plan = self.plan.of(plan);
        self.run(|mut writer| async move { writer.row_security(&plan).await })
    }
}

impl Target for PostgresTarget {
    fn check(&mut self) -> Result<Health> {
        self.run(|mut writer| async move { writer.check().await })
    }

    fn state(&mut self) -> Result<Option<State>> {
        self.run(|mut writer| async move {
            writer.ready().await?;
            create::state(writer.client()).await
        })
    }

    fn clusters_by_key(&self) -> bool {
        false
    }

    fn existing_tables(&mut self, names: &[&str]) -> Result<Vec<String>> {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        self.run(|mut writer| async move {
            writer.ready().await?;
            create::existing(writer.client(), &names).await
        })
    }

    fn lock(&mut self, me: &LockHolder) -> Result<()> {
        let me = me.clone();
        self.run(|mut writer| async move {
            if writer.held.as_ref().is_none_or(|held| !held.is_alive()) {
                writer.share_no_more().await;
                let held = lock::take(&writer.address, &me).await?;
                writer.held = Some(held);
                // another holder may have given out numbers since
                writer.next_object = None;
            }
            Ok(())
        })
    }

    fn share(&mut self, _: &LockHolder) -> Result<()> {
        self.run(|mut writer| async move { writer.share(None).await })
    }

    fn create(&mut self, plan: &Plan, model_text: &str) -> Result<()> {
        let plan = self.plan.of(plan);
        let model_text = model_text.to_owned();
        self.run(|mut writer| async move { writer.create(&plan, &model_text).await })
    }

    fn extend(&mut self, old_hash: &str, new: (&Plan, &str), additions: &Additions) -> Result<()> {
        let (plan, model_text) = (self.plan.of(new.0), new.1.to_owned());
        let (old_hash, additions) = (old_hash.to_owned(), additions.clone());
        self.run(|mut writer| async move { writer.extend(&old_hash, (&plan, &model_text), &additions).await })
    }

    fn load(&mut self, plan: &Plan, batch: Batch) -> Result<LoadReport> {
        let plan = self.plan.of(plan);
        self.run(|mut writer| async move { writer.load(&plan, &batch).await })
    }

    fn read_ahead(&mut self, ahead: Ahead) {
        self.ahead = ahead;
    }

    fn transact(&mut self, plan: &Plan, locks: &[String], decide: Decide<'_>) -> Result<LoadReport> {
        let plan = self.plan.of(plan);
        self.decided(&plan, locks, decide)
    }

    fn connections(&self) -> Result<Arc<dyn Connections>> {
        Ok(Arc::new(PostgresConnections {
            tenants: self.tenants.clone(),
            shares: self.run(|writer| async move { Ok(writer.shares) })?,
            address: self.address.clone(),
            version: self.version.clone(),
        }))
    }

    fn put_piece(&mut self, path: &str, piece: &Piece) -> Result<()> {
        let (path, piece) = (path.to_owned(), piece.clone());
        self.run(|mut writer| async move { writer.put_piece(&path, &piece).await })
    }

    fn finish(&mut self, plan: &Plan, most: usize, progress: &mut dyn FnMut(&str)) -> Result<Vec<Violation>> {
        let plan = self.plan.of(plan);
        progress("looking for rows that refer to nothing");
        let shared = Arc::clone(&plan);
        let violations = self.run(move |mut writer| async move { writer.violations(&shared, most).await })?;
        if !violations.is_empty() {
            return Ok(violations);
        }
        self.enforce_rules(&plan)?;
        let shared = Arc::clone(&plan);
        for step in self.run(move |mut writer| async move { indexes::steps(&mut writer, &shared).await })? {
            progress(&step.says);
            if let Some(other) =
                self.run(move |mut writer| async move { indexes::perform(&mut writer, &step).await })?
            {
                progress(&other);
            }
        }
        // last, because each row is found by its key; whatever ends it here, the next search goes on
        let mut steps = 0_usize;
        while self.index_words(&plan)? {
            if steps.is_multiple_of(100) {
                progress("indexing words");
            }
            steps += 1;
        }
        Ok(Vec::new())
    }

    fn enforce_rules(&mut self, plan: &Plan) -> Result<()> {
        let plan = self.plan.of(plan);
        let shared = Arc::clone(&plan);
        self.run(|mut writer| async move { writer.enforce_rules(&shared).await })?;
        self.tenants =
            self.run(|mut writer| async move { writer.enforce_tenants(&plan).await })?.map(Arc::from);
        Ok(())
    }

    fn number_changes(&mut self) -> Result<()> {
        self.run(|mut writer| async move { writer.number_changes().await })
    }

    fn prune_changes(&mut self, keep: ChangeRetention, now_ms: i64) -> Result<bool> {
        self.run(move |mut writer| async move { writer.prune_changes(keep, now_ms).await })
    }

    fn queue(&mut self, steps: &[QueueStep]) -> Result<Vec<QueueAnswer>> {
        let steps = steps.to_vec();
        self.run(move |mut writer| async move { writer.run_messages(&steps).await })
    }

    fn index_words(&mut self, plan: &Plan) -> Result<bool> {
        let plan = self.plan.of(plan);
        self.run(|mut writer| async move { writer.index_step(&plan).await })
    }

    fn set_meta(&mut self, key: &str, value: Option<&str>) -> Result<()> {
        let key = key.to_owned();
        let value = value.map(str::to_owned);
        self.run(|mut writer| async move { writer.set_meta(&key, value.as_deref()).await })
    }

    fn reader(&self) -> Result<Box<dyn Reader>> {
        Ok(Box::new(self.open_reader()?))
    }
}
