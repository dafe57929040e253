//! Opening what a config names: the one place of this crate that knows the stores.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use repot_bucket::{DirectoryObjects, S3Objects};
use repot_core::combinator::Acting;
use repot_core::store::{
    BucketStore, Capabilities, Layout, MemoryObjects, Objects, Query, QueryPage, Queryable,
};
use repot_core::{Clock, Error as Cause, Kind, LockHolder, Target};
use repot_engine::check_source;
use repot_engine::moving::MovingStore;
use repot_engine::store::{Planned, RowStore, RowStoreOptions, additions, extend, open_source_database};
use repot_json::Limits;
use repot_model::language::{self, Model, Problem};
use repot_model::plan::Plan;
use repot_model::plan::time::utc_text;
use repot_postgres::{PostgresOptions, PostgresTarget};
use repot_sqlite::{SqliteOptions, SqliteTarget};

use crate::collection::Collection;
use crate::config::{Config, NewText};
use crate::entity::{Entity, PerTenant, Shared};
use crate::moving::Move;
use crate::place::{Place, s3_config};
use crate::unit::Unit;
use crate::{Error, Result};

/// An app's documents. Cheap to clone; clones share the store.
#[derive(Debug, Clone)]
pub struct Repot {
    pub(crate) inside: Arc<Inside>,
}

/// What the handles share.
#[derive(Debug, Clone)]
pub(crate) struct Inside {
    pub(crate) store: Arc<dyn Queryable>,
    pub(crate) model: Arc<Model>,
    pub(crate) layout: Layout,
    pub(crate) limits: Limits,
    pub(crate) new_text: NewText,
    clock: Arc<dyn Clock>,
    part: Option<Arc<Move>>,
    /// The store beneath, where it is a database.
    pub(crate) rows: Option<Arc<RowStore>>,
}

impl Inside {
    pub(crate) fn new(
        store: Arc<dyn Queryable>,
        (model, layout): (Arc<Model>, Layout),
        limits: Limits,
        new_text: NewText,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { store, model, layout, limits, new_text, clock, part: None, rows: None }
    }
}

impl Repot {
    /// Opens the documents: reads the model, connects, makes the tables of a new database, and finds out what a
    /// bucket can do. A directory that is not there is made, if the folder that it lies in is there.
    ///
    /// Runs on a Tokio runtime, as all calls do that read or write; see [`crate::blocking`] where there is none.
    ///
    /// # Errors
    /// [`Error::Setup`] when the settings or the model are wrong; [`Error::Unavailable`] when the store is out of reach
    /// or another process holds the database; [`Error::Unsupported`] when the database is of another model.
    pub async fn open(config: Config) -> Result<Self> {
        Self::open_after(None, config).await
    }

    /// Opens the same documents under a changed model, beside this one, which goes on as it is. The change must be an addition:
    /// settings, collections, indexes; on files and buckets also fields that documents need not have. In a database their tables
    /// are made.
    ///
    /// # Errors
    /// [`Error::Unsupported`] or [`Error::Setup`], code `R0451`, when the change is more than that; else as [`Repot::open`].
    pub async fn with_model(&self, config: Config) -> Result<Self> {
        Self::open_after(Some(self.inside.layout.clone()), config).await
    }

    async fn open_after(old: Option<Layout>, config: Config) -> Result<Self> {
        // files and databases are opened by calls that block
        let is_changed = old.is_some();
        let opened = tokio::task::spawn_blocking(move || Ok((open(&config, old.as_ref())?, config))).await;
        let opened: Result<_> = opened.map_err(|error| {
            Cause::new(Kind::Failed, "R0409", "the program ended while documents were opened").cause(error)
        })?;
        let ((mut inside, rows), config) = opened?;
        inside.rows.clone_from(&rows);
        if let Some(rows) = rows
            && let Some(part) = Move::join(&config, &rows, &inside.layout).await?
        {
            if is_changed {
                return Err(Cause::new(Kind::Refused, "R0451", "documents are changing store")
                    .hint("Change the model when the move is finished, or before it begins.")
                    .into());
            }
            inside.store = Arc::new(MovingStore::new(Arc::clone(part.moving())));
            inside.part = Some(Arc::new(part));
        }
        inside.store.probe().await?;
        Ok(Self { inside: Arc::new(inside) })
    }

    /// The documents of a type that everybody shares.
    ///
    /// A type whose documents belong to tenants has no collection here:
    ///
    /// ```compile_fail
    /// # use repot::{Entity, Id, PerTenant, Repot};
    /// # #[derive(serde::Serialize, serde::Deserialize)]
    /// # struct Chat { id: String }
    /// impl Entity for Chat {
    ///     const COLLECTION: &'static str = "chats";
    ///     type Reach = PerTenant;
    ///     fn id(&self) -> Id { (&self.id).into() }
    /// }
    /// # fn all(repot: &Repot) {
    /// repot.collection::<Chat>();
    /// # }
    /// ```
    #[must_use]
    pub fn collection<T: Entity<Reach = Shared>>(&self) -> Collection<T> {
        Collection::new(Arc::clone(&self.inside), None)
    }

    /// One tenant's documents.
    #[must_use]
    pub fn tenant(&self, name: &str) -> Tenant {
        Tenant { inside: Arc::clone(&self.inside), name: name.into() }
    }

    /// Writes that happen together or not at all.
    pub fn unit(&self) -> Unit {
        Unit::new(Arc::clone(&self.inside))
    }

    /// The store itself, for what has no type: bodies that are no JSON, keys that are known at run time only.
    #[must_use]
    pub fn store(&self) -> Arc<dyn Queryable> {
        Arc::clone(&self.inside.store)
    }

    /// The same documents, written in this actor's name where changes are on record (`audit` in the model); see
    /// [`Collection::history`]. Files and buckets keep no record: there a write of a document on audit is refused then
    /// ([`Error::Unsupported`]).
    #[must_use]
    pub fn acting_as(&self, actor: &str) -> Self {
        let store = Arc::new(Acting::new(Arc::clone(&self.inside.store), actor));
        Self { inside: Arc::new(Inside { store, ..self.inside.as_ref().clone() }) }
    }

    /// This process's part in the move of the documents, while one is on its way.
    #[must_use]
    pub fn part(&self) -> Option<&Move> {
        self.inside.part.as_deref()
    }

    /// Where the documents of the model lie, and how they are named.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.inside.layout
    }

    /// A page of rows or documents that fulfil a condition; [`Query::full`] gives whole documents.
    ///
    /// # Errors
    /// [`Error::Validation`] when the query is wrong; [`Error::Unsupported`] where the store has no tables, which
    /// [`Repot::capabilities`] says before.
    pub async fn query(&self, query: &Query) -> Result<QueryPage> {
        Ok(self.inside.store.query(query).await?)
    }

    /// What the store can do.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        self.inside.store.capabilities()
    }

    /// The time of the config's clock as apps write it into documents: RFC 3339, UTC, whole milliseconds.
    #[must_use]
    pub fn now(&self) -> String {
        utc_text(self.inside.clock.now_ms())
    }

    /// Can the store be reached, read and written?
    ///
    /// # Errors
    /// When it cannot.
    pub async fn probe(&self) -> Result<()> {
        Ok(self.inside.store.probe().await?)
    }
}

/// Where the documents live, without passwords; for the line that an app logs when it starts.
impl fmt::Display for Repot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inside.store.fmt(f)
    }
}

/// One tenant's documents: nothing of another tenant can be reached from here.
#[derive(Debug, Clone)]
pub struct Tenant {
    pub(crate) inside: Arc<Inside>,
    pub(crate) name: Arc<str>,
}

impl Tenant {
    /// This tenant's documents of a type.
    #[must_use]
    pub fn collection<T: Entity<Reach = PerTenant>>(&self) -> Collection<T> {
        Collection::new(Arc::clone(&self.inside), Some(Arc::clone(&self.name)))
    }

    /// Who it is.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Opens what the config names; rows a second time, as what they are.
fn open(config: &Config, old: Option<&Layout>) -> Result<(Inside, Option<Arc<RowStore>>)> {
    let text = match &config.model_text {
        Some(text) => text.clone(),
        None => read(&config.directory.join(&config.model))?,
    };
    let variable = |name: &str| config.variables.get(name).cloned();
    let file = config.model.display().to_string();
    let model = language::parse(&text, &file, &variable).map_err(|problems| wrong_model(&file, &problems))?;
    let plan = Plan::compile(&model).map_err(|problems| wrong_model(&file, &problems))?;
    let url = config.url.clone().or_else(|| {
        let settings = &model.settings;
        settings.target.as_ref().or(settings.source.as_ref()).map(|written| written.value.clone())
    });
    let place = Place::parse(url.as_deref().unwrap_or_default(), &config.directory)?;
    let (model, plan) = (Arc::new(model), Arc::new(plan));
    let old = old.map(|old| (old.model(), old.plan()));
    if let Some(old) = old {
        additions(old, (&model, &plan))?;
    }
    let mut table_store = None;
    let store = match &place {
        Place::Memory if old.is_some() => {
            let message = "documents in memory go with the store that holds them";
            return Err(Cause::new(Kind::Refused, "R0451", message)
                .hint("Keep the documents elsewhere, or start again.")
                .into());
        }
        Place::Memory => objects(config, (&model, &plan), Arc::new(MemoryObjects::default()))?,
        Place::Directory(path) => {
            check_source(&model)?;
            if !path.exists() {
                std::fs::create_dir(path).map_err(|error| unreadable(path, "made", error))?;
            }
            objects(config, (&model, &plan), Arc::new(DirectoryObjects::open(path)?))?
        }
        Place::Bucket { bucket, prefix } => {
            check_source(&model)?;
            let settings = s3_config(bucket, prefix, &variable)?;
            objects(config, (&model, &plan), Arc::new(S3Objects::open(settings)?))?
        }
        Place::Sqlite(path) => {
            let rows = rows(config, (old, (&model, &plan), &text), sqlite(config, path)?)?;
            Arc::clone(table_store.insert(rows)) as _
        }
        Place::Postgres(url) => {
            let rows = rows(config, (old, (&model, &plan), &text), postgres(config, url)?)?;
            Arc::clone(table_store.insert(rows)) as _
        }
    };
    let layout = Layout::new(Arc::clone(&model), plan, config.json)?;
    let inside = Inside::new(store, (model, layout), config.json, config.new_text, Arc::clone(&config.clock));
    Ok((inside, table_store))
}

fn objects(
    config: &Config,
    (model, plan): (&Arc<Model>, &Arc<Plan>),
    objects: Arc<dyn Objects>,
) -> Result<Arc<dyn Queryable>> {
    let layout = Layout::new(Arc::clone(model), Arc::clone(plan), config.json)?;
    Ok(Arc::new(
        BucketStore::new(objects, layout, config.document_bytes_max).with_clock(Arc::clone(&config.clock)),
    ))
}

fn rows(
    config: &Config,
    (old, (model, plan), text): (Option<Planned<'_>>, (&Arc<Model>, &Arc<Plan>), &str),
    mut target: Box<dyn Target>,
) -> Result<Arc<RowStore>> {
    if let Some(old) = old {
        extend(target.as_mut(), (old, (model, plan)), text, &me(config.clock.as_ref()))?;
    }
    let model = (Arc::clone(model), Arc::clone(plan), text);
    Ok(Arc::new(RowStore::open(target, model, store_options(config))?))
}

fn store_options(config: &Config) -> RowStoreOptions {
    let (readers, writers, pool) = config.pool();
    RowStoreOptions {
        readers,
        writers,
        pool,
        document_bytes_max: config.document_bytes_max,
        recent_bytes: config.recent_bytes,
        json: config.json,
        me: me(config.clock.as_ref()),
        clock: Arc::clone(&config.clock),
        changes: repot_core::change_log::ChangeRetention::default(),
    }
}

pub(crate) fn sqlite(config: &Config, file: &Path) -> Result<Box<dyn Target>> {
    let target = SqliteTarget::open(file, SqliteOptions::default())?;
    Ok(Box::new(target.with_echo(config.echo.clone())))
}

pub(crate) fn postgres(config: &Config, url: &str) -> Result<Box<dyn Target>> {
    Ok(Box::new(PostgresTarget::open_with_echo(url, PostgresOptions::default(), config.echo.clone())?))
}

/// Opens the database that documents come from.
pub(crate) fn source_rows(
    config: &Config,
    layout: &Layout,
    target: Box<dyn Target>,
) -> Result<Arc<RowStore>> {
    // it is there already, so no text of a model is written into it
    let model = (Arc::new(layout.model().clone()), Arc::new(layout.plan().clone()), "");
    Ok(Arc::new(open_source_database(target, model, store_options(config))?))
}

/// Who we are, for the lock.
fn me(clock: &dyn Clock) -> LockHolder {
    let host = std::fs::read_to_string("/etc/hostname").map(|name| name.trim().to_owned());
    LockHolder { host: host.unwrap_or_default(), pid: std::process::id(), since_ms: clock.now_ms() }
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| unreadable(path, "read", error))
}

fn unreadable(path: &Path, done: &str, error: std::io::Error) -> Error {
    Cause::new(Kind::Invalid, "R0117", format!("{} cannot be {done}", path.display()))
        .hint("Check the path; relative ones are relative to the config's `directory`.")
        .cause(error)
        .into()
}

/// The first problem of a model, with all of them as details.
fn wrong_model(file: &str, problems: &[Problem]) -> Error {
    let Some(first) = problems.first() else {
        return Cause::new(Kind::Internal, "R0901", format!("{file} is refused without a reason")).into();
    };
    let message = format!("{file}:{}: {}", first.span.line, first.message);
    let error = Cause::new(Kind::Invalid, first.code, message).hint(first.hint.clone());
    let error = problems.iter().fold(error, |error, problem| error.detail(problem.to_string()));
    Error::Setup(error)
}
