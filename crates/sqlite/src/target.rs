//! [`SqliteTarget`]: the writing connection, opened when it is first needed.

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::connection::Connection;
use repot_core::change_log::ChangeRetention;
use repot_core::{
    Batch, Connections, Decide, Echo, Error, Health, Kind, LoadReport, Loading, LockHolder, Piece,
    QueueAnswer, QueueStep, Reader, Result, RowSecurity, State, Target, TenantGuard, Violation,
};
use repot_model::plan::{Additions, Plan};

use crate::connect::{self, SqliteOptions};
use crate::connections::SqliteConnections;
use crate::error::failed;
use crate::lock::Lock;
use crate::reader::SqliteReader;
use crate::rows::Access;
use crate::statements::PlanSql;
use crate::{changes, finish, load, messages, rules, schema, search};

/// A SQLite database as a target. Nothing is opened or made before it is needed.
pub struct SqliteTarget {
    path: PathBuf,
    options: SqliteOptions,
    echo: Option<Echo>,
    connection: Option<Connection>,
    loading: Option<Loading>,
    sql: Option<Arc<PlanSql>>,
    lock: Option<Lock>,
}

impl SqliteTarget {
    /// The database at `path`; the file need not be there yet.
    ///
    /// # Errors
    /// When the path is a folder.
    pub fn open(path: &Path, options: SqliteOptions) -> Result<Self> {
        if path.is_dir() {
            return Err(Error::new(Kind::Invalid, "R0106", format!("{} is a folder", path.display()))
                .hint("Give the path of a database file."));
        }
        Ok(Self {
            path: path.to_owned(),
            options,
            echo: None,
            connection: None,
            loading: None,
            sql: None,
            lock: None,
        })
    }

    /// Tells each statement, without values. Those that are prepared are told when they are.
    #[must_use]
    pub fn with_echo(mut self, echo: Option<Echo>) -> Self {
        self.echo = echo;
        self
    }

    /// The writing connection; `None` when there is no file and none shall be made.
    pub(crate) fn connection(&mut self, create: bool) -> Result<Option<&Connection>> {
        if self.connection.is_none() {
            if !create && !self.path.exists() {
                return Ok(None);
            }
            self.connection = Some(connect::writer(&self.path, (&self.options, self.echo.as_ref()), create)?);
        }
        Ok(self.connection.as_ref())
    }

    /// What loading works with: the connection, settled for the way of loading, and the plan's SQL.
    pub(crate) fn ready<'a>(&'a mut self, plan: &'a Plan) -> Result<(&'a Connection, Arc<PlanSql>, Loading)> {
        let nothing = || {
            Error::new(Kind::Invalid, "R0106", "there are no tables to load into")
                .hint("Run `repot copy` first.")
        };
        let loading = match self.loading {
            Some(loading) => loading,
            None => self.state()?.ok_or_else(nothing)?.loading,
        };
        let sql = match &self.sql {
            Some(sql) if sql.hash == plan.hash && sql.tables.len() == plan.tables.len() => Arc::clone(sql),
            _ => Arc::new(PlanSql::new(plan)),
        };
        self.sql = Some(Arc::clone(&sql));
        let first = self.loading.is_none();
        self.loading = Some(loading);
        let options = self.options;
        let connection = self.connection(false)?.ok_or_else(nothing)?;
        if first {
            connect::use_log(connection)?;
            connect::settle(connection, loading, &options)?;
            // of a format before them they are missing
            rules::make_tables(connection)?;
        }
        Ok((connection, sql, loading))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The writing connection, for as long as a reader has it.
    pub(crate) const fn take_connection(&mut self) -> Option<Connection> {
        self.connection.take()
    }

    pub(crate) fn give_connection(&mut self, connection: Connection) {
        self.connection = Some(connection);
    }

    /// Adds where it happened.
    fn tell<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| error.detail(format!("database: {}", self.path.display())))
    }

    fn check_writable(&mut self) -> Result<Health> {
        let Some(connection) = self.connection(false)? else {
            return self.check_folder();
        };
        let tables: i64 = connection
            .query_row("select count(*) from sqlite_schema where type = 'table'", (), |row| row.get(0))
            .map_err(failed("read the database"))?;
        schema::begin(connection, "write to the database")?
            .rollback()
            .map_err(failed("write to the database"))?;
        Ok(Health { message: format!("{self}, writable, {tables} tables"), warnings: Vec::new() })
    }

    /// No file yet: can one be made?
    fn check_folder(&self) -> Result<Health> {
        let mut probe = self.path.clone().into_os_string();
        probe.push(".probe");
        let made = File::create(&probe).and_then(|_| std::fs::remove_file(&probe));
        made.map_err(|error| {
            let denied = error.kind() == std::io::ErrorKind::PermissionDenied;
            let (kind, code) =
                if denied { (Kind::Denied, "R0113") } else { (Kind::TargetUnavailable, "R0106") };
            Error::new(kind, code, format!("cannot make {}", self.path.display()))
                .hint("Check that the folder exists and can be written.")
                .cause(error)
        })?;
        Ok(Health { message: format!("{self}, not there yet, can be made"), warnings: Vec::new() })
    }

    fn put(&mut self, path: &str, piece: &Piece) -> Result<()> {
        let what = "keep a piece of an object";
        let Some(connection) = self.connection(false)? else {
            return Err(Error::new(Kind::Invalid, "R0106", "there are no tables to load into")
                .hint("Run `repot copy` first."));
        };
        let transaction = schema::begin(connection, what)?;
        if piece.number == 0 {
            transaction.execute("delete from repot_pieces where path = ?1", [path]).map_err(failed(what))?;
        }
        transaction
            .execute(
                "insert into repot_pieces (path, number, bytes) values (?1, ?2, ?3)",
                (path, piece.number, &piece.bytes),
            )
            .map_err(failed(what))?;
        transaction.commit().map_err(failed(what))
    }

    fn make(&mut self, plan: &Plan, model_text: &str) -> Result<()> {
        let options = self.options;
        let connection = self.connection(true)?.expect("it was to be made");
        connect::use_log(connection)?;
        schema::create(connection, plan, model_text)?;
        connect::settle(connection, Loading::Bulk, &options)?;
        self.loading = Some(Loading::Bulk);
        Ok(())
    }

    fn existing(&mut self, names: &[&str]) -> Result<Vec<String>> {
        let Some(connection) = self.connection(false)? else { return Ok(Vec::new()) };
        let mut out = Vec::new();
        for name in names {
            if schema::taken(connection, name)?.is_some_and(|(kind, _)| kind == "table" || kind == "view") {
                out.push((*name).to_owned());
            }
        }
        Ok(out)
    }

    fn apply(&mut self, plan: &Plan, batch: &Batch) -> Result<LoadReport> {
        let (connection, sql, loading) = self.ready(plan)?;
        load::load(Access { connection, plan, sql: &sql }, batch, loading)
    }

    fn end(&mut self, plan: &Plan, most: usize, progress: &mut dyn FnMut(&str)) -> Result<Vec<Violation>> {
        let (path, options) = (self.path.clone(), self.options);
        let (connection, sql, loading) = self.ready(plan)?;
        if loading == Loading::Steady {
            rules::enforce(connection, plan)?;
            finish::durable(connection, &path, progress)?;
            return Ok(Vec::new());
        }
        let access = Access { connection, plan, sql: &sql };
        let violations = finish::finish(access, &path, &options, most, progress)?;
        if violations.is_empty() {
            self.loading = Some(Loading::Steady);
        }
        Ok(violations)
    }

    fn set(&mut self, key: &str, value: Option<&str>) -> Result<()> {
        let connection = self.connection(true)?.expect("it was to be made");
        schema::create_meta(connection)?;
        schema::set_meta(connection, key, value)
    }
}

impl fmt::Display for SqliteTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SQLite {}, {}", rusqlite::version(), self.path.display())
    }
}

impl fmt::Debug for SqliteTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteTarget")
            .field("path", &self.path)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl SqliteTarget {
    /// What other connections are opened with.
    pub(crate) const fn opening(&self) -> (&PathBuf, &SqliteOptions, Option<&Echo>) {
        (&self.path, &self.options, self.echo.as_ref())
    }
}

impl TenantGuard for SqliteTarget {
    fn row_security(&mut self, plan: &Plan) -> Result<RowSecurity> {
        Ok(RowSecurity::unsupported(plan))
    }
}

impl Target for SqliteTarget {
    fn check(&mut self) -> Result<Health> {
        let health = self.check_writable();
        self.tell(health)
    }

    fn state(&mut self) -> Result<Option<State>> {
        let state = match self.connection(false) {
            Ok(Some(connection)) => schema::state(connection),
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        };
        self.tell(state)
    }

    fn clusters_by_key(&self) -> bool {
        true
    }

    fn existing_tables(&mut self, names: &[&str]) -> Result<Vec<String>> {
        let existing = self.existing(names);
        self.tell(existing)
    }

    fn lock(&mut self, me: &LockHolder) -> Result<()> {
        if self.lock.as_ref().is_none_or(|lock| lock.shared) {
            self.lock = None;
            self.lock = Some(Lock::take(&self.path, me)?);
        }
        Ok(())
    }

    fn share(&mut self, _: &LockHolder) -> Result<()> {
        if self.lock.as_ref().is_none_or(|lock| !lock.shared) {
            self.lock = None;
            self.lock = Some(Lock::share(&self.path)?);
        }
        Ok(())
    }

    fn create(&mut self, plan: &Plan, model_text: &str) -> Result<()> {
        let made = self.make(plan, model_text);
        self.tell(made)
    }

    fn extend(&mut self, old_hash: &str, new: (&Plan, &str), additions: &Additions) -> Result<()> {
        let extended = match self.connection(false) {
            Ok(Some(connection)) => schema::extend(connection, old_hash, new, additions),
            Ok(None) => Err(schema::of_another_model()),
            Err(error) => Err(error),
        };
        self.tell(extended)
    }

    fn load(&mut self, plan: &Plan, batch: Batch) -> Result<LoadReport> {
        let report = self.apply(plan, &batch);
        self.tell(report)
    }

    fn transact(&mut self, plan: &Plan, _: &[String], decide: Decide<'_>) -> Result<LoadReport> {
        let report = self.decided(plan, decide);
        self.tell(report)
    }

    fn connections(&self) -> Result<Arc<dyn Connections>> {
        Ok(Arc::new(SqliteConnections {
            path: self.path.clone(),
            options: self.options,
            echo: self.echo.clone(),
        }))
    }

    fn put_piece(&mut self, path: &str, piece: &Piece) -> Result<()> {
        let put = self.put(path, piece);
        self.tell(put)
    }

    fn finish(&mut self, plan: &Plan, most: usize, progress: &mut dyn FnMut(&str)) -> Result<Vec<Violation>> {
        let violations = self.end(plan, most, progress);
        self.tell(violations)
    }

    fn enforce_rules(&mut self, plan: &Plan) -> Result<()> {
        let enforced = self.ready(plan).and_then(|(connection, _, _)| rules::enforce(connection, plan));
        self.tell(enforced)
    }

    fn number_changes(&mut self) -> Result<()> {
        Ok(())
    }

    fn prune_changes(&mut self, keep: ChangeRetention, now_ms: i64) -> Result<bool> {
        let pruned = match self.connection(false) {
            Ok(Some(connection)) => changes::prune(connection, keep, now_ms),
            Ok(None) => Ok(false),
            Err(error) => Err(error),
        };
        self.tell(pruned)
    }

    fn queue(&mut self, steps: &[QueueStep]) -> Result<Vec<QueueAnswer>> {
        let done = match self.connection(false) {
            Ok(Some(connection)) => messages::run(connection, steps),
            Ok(None) => Ok(steps.iter().map(|_| QueueAnswer::default()).collect()),
            Err(error) => Err(error),
        };
        self.tell(done)
    }

    fn index_words(&mut self, plan: &Plan) -> Result<bool> {
        let stepped = self.ready(plan).and_then(|(connection, _, _)| search::step(connection, plan));
        self.tell(stepped)
    }

    fn set_meta(&mut self, key: &str, value: Option<&str>) -> Result<()> {
        let done = self.set(key, value);
        self.tell(done)
    }

    fn reader(&self) -> Result<Box<dyn Reader>> {
        let (path, options, echo) = self.opening();
        Ok(Box::new(SqliteReader::open(path, options, echo)?))
    }
}
