//! Puts things together: the model file, the source it names, the database that is chosen.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use repot::Place;
use repot_bucket::{DirectorySource, S3Config, S3Source};
use repot_core::{Clock, Echo, Error, Kind, LockHolder, Result, Source, SystemClock, Target, is_echo_wanted};
use repot_engine::store::{PoolOptions, RowObjects, RowSource, RowStoreOptions, open_source_database};
use repot_engine::{Options, TokioPacing, check_source};
use repot_model::language::{self, Model};
use repot_model::plan::Plan;
use repot_model::sql::Dialect;
use repot_postgres::{PostgresOptions, PostgresTarget};
use repot_sqlite::{SqliteOptions, SqliteTarget};

use crate::args::{Bounds, Global};
use crate::database_url::{self, Database};
use crate::errors::Failure;
use crate::output::{self, Output};
use crate::settings::{Environment, Origin};
use crate::variables::hidden;

/// Everything a command needs.
#[derive(Debug)]
pub(crate) struct Project {
    pub directory: PathBuf,
    pub environment: Environment,
    /// What `--model` said.
    pub model_flag: Option<String>,
    /// The model file, as it is shown.
    pub file: String,
    pub model: Model,
    pub text: String,
    pub plan: Plan,
}

impl Project {
    /// Reads and compiles the model.
    pub(crate) fn open(global: &Global) -> Result<Self, Failure> {
        let directory = global.dir.clone();
        let environment = Environment::read(&directory);
        let files = model_files(named_model(global, &environment).as_deref(), &directory)?;
        let lookup = |name: &str| environment.value(name);
        let borrowed: Vec<(&str, &str)> =
            files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        let model = language::parse_files(&borrowed, &lookup).map_err(Failure::Model)?;
        let plan = Plan::compile(&model).map_err(Failure::Model)?;
        let text = joined(&files);
        let file = files.first().map(|(name, _)| name.clone()).unwrap_or_default();
        let model_flag = global.model.as_ref().map(|flag| flag.display().to_string());
        Ok(Self { directory, environment, model_flag, file, model, text, plan })
    }

    /// The source's name and where it came from.
    pub(crate) fn source_name(&self) -> (String, Origin) {
        if let Some(found) = self.environment.get("REPOT_SOURCE") {
            return found;
        }
        match &self.model.settings.source {
            Some(written) => (written.value.clone(), Origin::Model),
            None => ("./data".to_owned(), Origin::Default),
        }
    }

    /// The same for people: without a password.
    pub(crate) fn source_shown(&self) -> String {
        hidden(&self.source_name().0)
    }

    /// Documents come from a database, not from files.
    pub(crate) fn is_from_database(&self) -> bool {
        matches!(self.source_place(), Some(Place::Sqlite(_) | Place::Postgres(_)))
    }

    /// The directory that documents come from, where they are files of one; relative to the project's, as written.
    pub(crate) fn source_directory(&self) -> Option<PathBuf> {
        match self.source_place() {
            Some(Place::Directory(path)) => Some(path),
            _ => None,
        }
    }

    fn source_place(&self) -> Option<Place> {
        Place::parse(&self.source_name().0, Path::new("")).ok()
    }

    /// The same project, whose documents go from its database into another one.
    pub(crate) fn moving_to(mut self, url: &str) -> Self {
        self.environment.set("REPOT_SOURCE", self.database_url().0);
        self.environment.set("DATABASE_URL", url.to_owned());
        self
    }

    pub(crate) fn source(&self) -> Result<Box<dyn Source>> {
        check_source(&self.model)?;
        if self.is_from_database() {
            return Ok(Box::new(self.source_database()?));
        }
        let excluded = match self.database()? {
            Database::Sqlite(file) => vec![file],
            Database::Postgres(_) => Vec::new(),
        };
        open_source(&self.source_name().0, &self.directory, &self.environment, &excluded)
    }

    /// The documents of the database that the source names.
    fn source_database(&self) -> Result<RowSource> {
        let url = self.source_name().0;
        let (old, new) = (self.database_at(&url)?, self.database()?);
        let file = |database: &Database| match database {
            Database::Sqlite(file) => file.canonicalize().ok(),
            Database::Postgres(_) => None,
        };
        if old == new || file(&old).is_some_and(|old| Some(old) == file(&new)) {
            let message = format!("{} is both the source and the database", hidden(&url));
            return Err(Error::new(Kind::Invalid, "R0723", message)
                .hint("Name the old database with REPOT_SOURCE, and the new one with DATABASE_URL."));
        }
        let options = Options::default();
        let options = RowStoreOptions { readers: options.workers, ..store_options(&options) };
        let model = (Arc::new(self.model.clone()), Arc::new(self.plan.clone()), self.text.as_str());
        let rows = Arc::new(open_source_database(self.target_at(&url)?, model, options)?);
        Ok(RowSource::new(Arc::new(RowObjects::new(rows, Arc::new(TokioPacing)))))
    }

    /// The database's URL and where it came from.
    pub(crate) fn database_url(&self) -> (String, Origin) {
        if let Some(found) = self.environment.get("DATABASE_URL") {
            return found;
        }
        match &self.model.settings.target {
            Some(written) => (written.value.clone(), Origin::Model),
            None => ("sqlite:///repot.db".to_owned(), Origin::Default),
        }
    }

    pub(crate) fn database(&self) -> Result<Database> {
        self.database_at(&self.database_url().0)
    }

    fn database_at(&self, url: &str) -> Result<Database> {
        database_url::parse(url, &self.directory)
    }

    pub(crate) fn dialect(&self) -> Result<Dialect> {
        Ok(match self.database()? {
            Database::Sqlite(_) => Dialect::Sqlite,
            Database::Postgres(_) => Dialect::Postgres,
        })
    }

    pub(crate) fn target(&self) -> Result<Box<dyn Target>> {
        self.target_at(&self.database_url().0)
    }

    /// Another database than the project's own.
    pub(crate) fn target_at(&self, url: &str) -> Result<Box<dyn Target>> {
        let echo = match self.environment.value("DATABASE_ECHO") {
            Some(value) if is_echo_wanted(&value)? => Some(Echo::new(output::echo)),
            _ => None,
        };
        Ok(match self.database_at(url)? {
            Database::Sqlite(file) => {
                Box::new(SqliteTarget::open(&file, SqliteOptions::default())?.with_echo(echo))
            }
            Database::Postgres(url) => {
                Box::new(PostgresTarget::open_with_echo(&url, PostgresOptions::default(), echo)?)
            }
        })
    }

    /// Bounds from flags. A bucket is read by more threads than there are cores, which mostly wait for it.
    pub(crate) fn options(&self, bounds: &Bounds) -> Options {
        let bucket = self.source_name().0.starts_with("s3://");
        let workers = if bucket { 8 } else { Options::default().workers };
        Options {
            workers: bounds.jobs.unwrap_or(workers).clamp(1, 64),
            batch_objects: bounds.batch.clamp(1, 1 << 20),
            document_bytes_max: bounds.document_max.clamp(1, 1_024) << 20,
            ..Options::default()
        }
    }

    /// The target, which must have been copied into.
    pub(crate) fn copied(&self) -> Result<Box<dyn Target>> {
        self.copied_at(&self.database_url().0)
    }

    /// The same for another database.
    pub(crate) fn copied_at(&self, url: &str) -> Result<Box<dyn Target>> {
        let mut target = self.target_at(url)?;
        match target.state()? {
            None => Err(Error::new(Kind::Invalid, "R0118", format!("nothing was copied into {target} yet"))
                .hint("Run repot copy first.")),
            Some(state) if state.plan_hash != self.plan.hash => Err(Error::new(
                Kind::Unsupported,
                "R0151",
                format!("the model changed since {target} was made from it"),
            )
            .hint("Take back the change, or copy into a fresh database.")),
            Some(_) => Ok(target),
        }
    }
}

impl Project {
    /// [`Project::settle`], and says so where it cannot be done now.
    pub(crate) fn settle_aloud(&self, bounds: &Bounds, output: &Output) -> Result<()> {
        if !self.settle(bounds)? {
            output.say("Another Repot copies into this database; what SQL changed is left as it is.");
        }
        Ok(())
    }

    /// Gives documents that plain SQL changed their text, where the database leads; `false`: it cannot now, because another
    /// Repot copies.
    pub(crate) fn settle(&self, bounds: &Bounds) -> Result<bool> {
        let options = store_options(&self.options(bounds));
        let model = (Arc::new(self.model.clone()), Arc::new(self.plan.clone()));
        repot_engine::store::settle(self.target()?, model, &options)
    }
}

/// For a store that one command uses.
pub(crate) fn store_options(options: &Options) -> RowStoreOptions {
    RowStoreOptions {
        readers: 1,
        writers: 1,
        pool: PoolOptions::default(),
        document_bytes_max: options.document_bytes_max,
        recent_bytes: 0,
        json: options.json,
        me: me(&SystemClock),
        clock: Arc::new(SystemClock),
        changes: repot_core::change_log::ChangeRetention::default(),
    }
}

/// A path as it is shown: without `./` in front of it twice.
fn under(directory: &Path, name: &str) -> PathBuf {
    if directory == Path::new(".") { PathBuf::from(name) } else { directory.join(name) }
}

/// Who we are, for the lock.
pub(crate) fn me(clock: &dyn Clock) -> LockHolder {
    let host =
        std::fs::read_to_string("/etc/hostname").map(|name| name.trim().to_owned()).unwrap_or_default();
    LockHolder { host, pid: std::process::id(), since_ms: clock.now_ms() }
}

/// A number that cannot be foreseen, for hashes.
pub(crate) fn seed() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one(std::process::id())
}

/// The text of the model's files as it is now.
pub(crate) fn model_text(global: &Global) -> Result<String> {
    let named = named_model(global, &Environment::read(&global.dir));
    Ok(joined(&model_files(named.as_deref(), &global.dir)?))
}

/// The model file that a flag or a variable names.
fn named_model(global: &Global, environment: &Environment) -> Option<PathBuf> {
    global.model.clone().or_else(|| environment.value("REPOT_MODEL").map(PathBuf::from))
}

fn joined(files: &[(String, String)]) -> String {
    files.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>().join("\n")
}

/// The model's files: the one that is named, else repot.toml, else repot/*.toml.
fn model_files(model: Option<&Path>, directory: &Path) -> Result<Vec<(String, String)>> {
    let read = |path: &Path, shown: String| match std::fs::read_to_string(path) {
        Ok(text) => Ok((shown, text)),
        Err(error) => Err(Error::new(Kind::Invalid, "R0117", format!("{shown} cannot be read")).cause(error)),
    };
    if let Some(file) = model {
        return Ok(vec![read(&directory.join(file), file.display().to_string())?]);
    }
    let single = directory.join("repot.toml");
    if single.exists() {
        return Ok(vec![read(&single, "repot.toml".to_owned())?]);
    }
    let mut several: Vec<PathBuf> = std::fs::read_dir(directory.join("repot"))
        .map(|entries| entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect())
        .unwrap_or_default();
    several.retain(|path| path.extension().is_some_and(|ending| ending == "toml"));
    several.sort();
    if several.is_empty() {
        let place = directory.display();
        return Err(Error::new(Kind::Invalid, "R0107", format!("there is no repot.toml in {place}"))
            .hint("Run repot init DIRECTORY, or name the model with --model."));
    }
    several
        .iter()
        .map(|path| read(path, format!("repot/{}", path.file_name().unwrap_or_default().display())))
        .collect()
}

/// Opens a directory or `s3://bucket/prefix`. `excluded`: our own files, which are no data.
pub(crate) fn open_source(
    name: &str,
    directory: &Path,
    environment: &Environment,
    excluded: &[PathBuf],
) -> Result<Box<dyn Source>> {
    if let Some(rest) = name.strip_prefix("s3://") {
        return Ok(Box::new(S3Source::open(s3_config(rest, environment)?)?));
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let source = DirectorySource::open(&under(directory, name), clock)?;
    let mut ours: Vec<PathBuf> =
        vec![directory.join("repot.toml"), directory.join("repot"), directory.join(".env")];
    for file in excluded {
        ours.push(file.clone());
        for suffix in ["-wal", "-shm", "-journal", ".lock"] {
            let mut beside = file.clone().into_os_string();
            beside.push(suffix);
            ours.push(beside.into());
        }
    }
    Ok(Box::new(source.with_excluded(&ours)))
}

fn s3_config(rest: &str, environment: &Environment) -> Result<S3Config> {
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let first = |names: &[&str]| names.iter().find_map(|name| environment.value(name));
    let missing = |what: &str| {
        Error::new(Kind::Invalid, "R0103", format!("{what} for the bucket {bucket} is not set"))
            .hint("Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and R2_ACCOUNT_ID for Cloudflare R2).")
    };
    let r2 = environment
        .value("R2_ACCOUNT_ID")
        .map(|account| format!("https://{account}.r2.cloudflarestorage.com"));
    let region = first(&["AWS_REGION", "AWS_DEFAULT_REGION"]);
    Ok(S3Config {
        bucket: bucket.to_owned(),
        prefix: prefix.to_owned(),
        // not AWS_ENDPOINT_URL_S3: beside an app that talks to Repot it may name Repot itself
        endpoint: environment.value("REPOT_SOURCE_ENDPOINT").or(r2.clone()),
        region: region.unwrap_or_else(|| if r2.is_some() { "auto" } else { "us-east-1" }.to_owned()),
        access_key: first(&["AWS_ACCESS_KEY_ID", "R2_ACCESS_KEY_ID"])
            .ok_or_else(|| missing("the access key"))?,
        secret_key: first(&["AWS_SECRET_ACCESS_KEY", "R2_SECRET_ACCESS_KEY"])
            .ok_or_else(|| missing("the secret key"))?,
        session_token: environment.value("AWS_SESSION_TOKEN"),
        ..S3Config::default()
    })
}
