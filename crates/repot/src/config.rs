//! What a [`Repot`](crate::Repot) is opened with.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use repot_core::{Clock, Echo, Error, Kind, SystemClock, is_echo_wanted};
use repot_engine::store::{PoolOptions, RECENT_BYTES};
use repot_json::Limits;

use crate::Result;

/// Connections that are kept, and those that may come on top, unless the config says otherwise: what the apps asked for.
const POOL_SIZE: usize = 5;
const POOL_OVERFLOW: usize = 10;
/// Bytes of the largest document, unless the config says otherwise.
const DOCUMENT_BYTES_MAX: u64 = 16 << 20;

/// How documents that are made new are written; others keep the formatting they have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewText {
    /// On one line, without white space.
    Compact,
    /// One entry a line, two spaces a level.
    Indented,
}

/// Where documents live, and what they look like.
#[derive(Clone)]
pub struct Config {
    /// `./data`, `s3://bucket/prefix`, `sqlite:///app.db`, `postgresql://...`, `memory:` (see [`crate::Place`]).
    /// `None`: what the model says as `target`, else as `source`.
    pub url: Option<String>,
    /// Where documents are moving from, while a move is on its way in the database at `url`: a directory or a bucket. `None`:
    /// what the model says as `source`.
    pub source: Option<String>,
    /// Whether this process stays, while documents move: then it finds out what others change in the source, copies, and holds
    /// a lease, so that its reads need not ask the database who leads. It should [`crate::Move::leave`] at its end. Where it
    /// is `false`, others do that, and the process may end after any call.
    pub follows: bool,
    /// Whether a move begins now, where none is on its way: from then on whoever opens the database takes part in it.
    pub begins_move: bool,
    /// The model file; not read when there is a `model_text`.
    pub model: PathBuf,
    /// The model itself.
    pub model_text: Option<String>,
    /// What relative paths are relative to.
    pub directory: PathBuf,
    /// Values of `${NAME}` in the model, and the keys of a bucket (`AWS_ACCESS_KEY_ID` and others).
    pub variables: BTreeMap<String, String>,
    /// Connections to a database that are kept open between calls. About a third of them write, the rest read; one at
    /// least does either.
    pub pool_size: usize,
    /// Connections that may come on top of these while many call at once; they go soon after.
    pub pool_overflow: usize,
    /// How long a call waits for a connection before it fails with `R0428`, milliseconds.
    pub pool_wait_ms: u32,
    /// A connection without work for this long is closed, milliseconds; one stays.
    pub pool_idle_ms: u32,
    /// Who is told the statements that go to a database, without values; see [`Config::with_echo`].
    pub echo: Option<Echo>,
    /// Bytes of the largest document.
    pub document_bytes_max: u64,
    /// Bytes of texts that are kept in memory after they were read, for each database. The database is still asked with each read, whether
    /// the text is the same; 0: none are kept.
    pub recent_bytes: usize,
    /// Bounds of one JSON text.
    pub json: Limits,
    /// How new documents are written.
    pub new_text: NewText,
    /// Tells the time of day.
    pub clock: Arc<dyn Clock>,
}

impl Config {
    /// The documents of the model file `model`, at `url`; relative paths are relative to the current directory.
    #[must_use]
    pub fn new(url: &str, model: impl AsRef<Path>) -> Self {
        Self { url: Some(url.to_owned()), ..Self::of_model(model.as_ref()) }
    }

    /// The same with the model's text itself.
    #[must_use]
    pub fn with_model_text(url: &str, model: &str) -> Self {
        Self { model_text: Some(model.to_owned()), ..Self::new(url, "repot.toml") }
    }

    fn of_model(model: &Path) -> Self {
        Self {
            url: None,
            source: None,
            follows: true,
            begins_move: false,
            model: model.to_owned(),
            model_text: None,
            directory: PathBuf::new(),
            variables: BTreeMap::new(),
            pool_size: POOL_SIZE,
            pool_overflow: POOL_OVERFLOW,
            pool_wait_ms: PoolOptions::default().wait_ms,
            pool_idle_ms: PoolOptions::default().idle_ms,
            echo: None,
            document_bytes_max: DOCUMENT_BYTES_MAX,
            recent_bytes: RECENT_BYTES,
            json: Limits::default(),
            new_text: NewText::Indented,
            clock: Arc::new(SystemClock),
        }
    }

    /// Reads the environment, once, for the app's `main`: `DATABASE_URL`, else the place that the model says;
    /// `DATABASE_POOL_SIZE` for the connections that are kept, and `POSTGRES_MAX_CONNECTIONS` for the most there may be; and
    /// every variable for the model and the bucket. An empty variable counts as none.
    ///
    /// # Errors
    /// [`crate::Error::Setup`], code `R0100`, when a pool size is no number.
    pub fn from_env(model: impl AsRef<Path>) -> Result<Self> {
        Self::from_variables(
            model.as_ref(),
            std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
        )
    }

    /// [`Config::from_env`] with these variables instead of the environment's.
    ///
    /// # Errors
    /// As [`Config::from_env`].
    pub fn from_variables(model: &Path, variables: impl Iterator<Item = (String, String)>) -> Result<Self> {
        let mut config = Self::of_model(model);
        config.variables = variables.filter(|(_, value)| !value.is_empty()).collect();
        config.url = config.variables.get("DATABASE_URL").cloned();
        config.source = config.variables.get("REPOT_SOURCE").cloned();
        if let Some(size) = config.number("DATABASE_POOL_SIZE")? {
            config.pool_size = size.max(1);
        }
        if let Some(most) = config.number("POSTGRES_MAX_CONNECTIONS")? {
            config.pool_size = config.pool_size.min(most.max(1));
            config.pool_overflow = most.saturating_sub(config.pool_size);
        }
        Ok(config)
    }

    /// Tells `sink` each statement that goes to a database when the variable `DATABASE_ECHO` is `true`. Values are never
    /// told. To see statements whatever the variable says, set [`Config::echo`].
    ///
    /// # Errors
    /// [`crate::Error::Setup`], code `R0100`, when the variable is neither `true` nor `false`.
    pub fn with_echo(mut self, sink: impl Fn(&str) + Send + Sync + 'static) -> Result<Self> {
        if let Some(value) = self.variables.get("DATABASE_ECHO")
            && is_echo_wanted(value)?
        {
            self.echo = Some(Echo::new(sink));
        }
        Ok(self)
    }

    fn number(&self, name: &str) -> Result<Option<usize>> {
        let Some(text) = self.variables.get(name) else { return Ok(None) };
        let number = text.parse().map_err(|error| {
            Error::new(Kind::Invalid, "R0100", format!("{name} is `{text}`, which is no number"))
                .hint("Say how many connections may be open, such as 5.")
                .cause(error)
        })?;
        Ok(Some(number))
    }

    /// The most connections that read, the most that write, and how they are kept.
    pub(crate) fn pool(&self) -> (usize, usize, PoolOptions) {
        let writing = |all: usize| (all / 3).max(1);
        let reading = |all: usize| all.saturating_sub(writing(all)).max(1);
        let most = self.pool_size.saturating_add(self.pool_overflow);
        let options = PoolOptions {
            kept_readers: reading(self.pool_size),
            kept_writers: writing(self.pool_size),
            wait_ms: self.pool_wait_ms,
            idle_ms: self.pool_idle_ms,
            ..PoolOptions::default()
        };
        (reading(most), writing(most), options)
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // a URL and variables have passwords in them
        f.debug_struct("Config")
            .field("model", &self.model)
            .field("directory", &self.directory)
            .field("pool_size", &self.pool_size)
            .field("pool_overflow", &self.pool_overflow)
            .field("document_bytes_max", &self.document_bytes_max)
            .field("new_text", &self.new_text)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::Config;
    use std::path::Path;

    fn of(variables: &[(&str, &str)]) -> crate::Result<Config> {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::from_variables(Path::new("repot.toml"), variables)
    }

    #[test]
    fn variables() {
        let config =
            of(&[("DATABASE_URL", "postgres://u:canary@h/d"), ("POSTGRES_MAX_CONNECTIONS", "10")]).unwrap();
        assert_eq!(config.url.as_deref(), Some("postgres://u:canary@h/d"));
        assert_eq!((config.pool_size, config.pool_overflow), (5, 5));
        assert!(!format!("{config:?}").contains("canary"));
        let config = of(&[("DATABASE_URL", "")]).unwrap();
        assert_eq!((config.url.as_ref(), config.pool_size, config.pool_overflow), (None, 5, 10));
        let (readers, writers, pool) = config.pool();
        assert_eq!((readers, writers, pool.kept_readers, pool.kept_writers), (10, 5, 4, 1));
        let config = of(&[("DATABASE_POOL_SIZE", "20"), ("POSTGRES_MAX_CONNECTIONS", "10")]).unwrap();
        assert_eq!((config.pool_size, config.pool_overflow), (10, 0));
        let (readers, writers, _) = config.pool();
        assert_eq!((readers, writers), (7, 3));
        for (value, is_wanted) in [("true", true), ("1", true), ("off", false), ("", false)] {
            let config = of(&[("DATABASE_ECHO", value)]).unwrap().with_echo(|_| {}).unwrap();
            assert_eq!(config.echo.is_some(), is_wanted, "{value}");
        }
        let unclear = of(&[("DATABASE_ECHO", "full")]).unwrap().with_echo(|_| {}).unwrap_err();
        assert_eq!(unclear.code(), "R0100");
        let (readers, writers, _) = of(&[("POSTGRES_MAX_CONNECTIONS", "0")]).unwrap().pool();
        assert_eq!((readers, writers), (1, 1), "one reads and one writes, at least");
        assert_eq!(of(&[("DATABASE_POOL_SIZE", "many")]).unwrap_err().code(), "R0100");
    }
}
