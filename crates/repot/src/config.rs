//! What a [`Repot`](crate::Repot) is opened with.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use repot_core::{Clock, Error, Kind, SystemClock};
use repot_json::Limits;

use crate::Result;

/// Connections that read, unless the config says otherwise: what the apps asked for.
const READERS: usize = 5;
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
    /// The model file; not read when there is a `model_text`.
    pub model: PathBuf,
    /// The model itself.
    pub model_text: Option<String>,
    /// What relative paths are relative to.
    pub directory: PathBuf,
    /// Values of `${NAME}` in the model, and the keys of a bucket (`AWS_ACCESS_KEY_ID` and others).
    pub variables: BTreeMap<String, String>,
    /// Connections to a database that read at once.
    pub readers: usize,
    /// Bytes of the largest document.
    pub document_bytes_max: u64,
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
            model: model.to_owned(),
            model_text: None,
            directory: PathBuf::new(),
            variables: BTreeMap::new(),
            readers: READERS,
            document_bytes_max: DOCUMENT_BYTES_MAX,
            json: Limits::default(),
            new_text: NewText::Indented,
            clock: Arc::new(SystemClock),
        }
    }

    /// Reads the environment, once, for the app's `main`: `DATABASE_URL`, else the place that the model says;
    /// `DATABASE_POOL_SIZE`, else `POSTGRES_MAX_CONNECTIONS`, for the connections that read; and every variable for
    /// the model and the bucket. An empty variable counts as none.
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

    fn from_variables(model: &Path, variables: impl Iterator<Item = (String, String)>) -> Result<Self> {
        let mut config = Self::of_model(model);
        config.variables = variables.filter(|(_, value)| !value.is_empty()).collect();
        config.url = config.variables.get("DATABASE_URL").cloned();
        for name in ["POSTGRES_MAX_CONNECTIONS", "DATABASE_POOL_SIZE"] {
            let Some(text) = config.variables.get(name) else { continue };
            config.readers = text.parse().map_err(|error| {
                Error::new(Kind::Invalid, "R0100", format!("{name} is `{text}`, which is no number"))
                    .hint("Say how many connections may be open, such as 5.")
                    .cause(error)
            })?;
        }
        Ok(config)
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // a URL and variables have passwords in them
        f.debug_struct("Config")
            .field("model", &self.model)
            .field("directory", &self.directory)
            .field("readers", &self.readers)
            .field("document_bytes_max", &self.document_bytes_max)
            .field("new_text", &self.new_text)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{Config, READERS};
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
        assert_eq!(config.readers, 10);
        assert!(!format!("{config:?}").contains("canary"));
        let config = of(&[("DATABASE_URL", "")]).unwrap();
        assert_eq!((config.url, config.readers), (None, READERS));
        assert_eq!(of(&[("DATABASE_POOL_SIZE", "many")]).unwrap_err().code(), "R0100");
    }
}
