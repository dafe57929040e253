//! Settings from outside: variables and `.env`. The one place of the program that reads the environment.
//! Precedence: flag, variable, `.env`, repot.toml, default.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where a value came from, for `repot check`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    Flag,
    Variable,
    DotEnv,
    Model,
    Default,
}

impl Origin {
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Flag => "flag",
            Self::Variable => "variable",
            Self::DotEnv => ".env",
            Self::Model => "repot.toml",
            Self::Default => "default",
        }
    }
}

/// Variables and `.env`.
#[derive(Debug, Default)]
pub(crate) struct Environment {
    file: BTreeMap<String, String>,
    /// What a command says instead.
    flags: BTreeMap<String, String>,
}

impl Environment {
    /// Reads `.env` in `directory`, if there is one.
    pub(crate) fn read(directory: &Path) -> Self {
        let text = std::fs::read_to_string(directory.join(".env")).unwrap_or_default();
        Self { file: parse_dot_env(&text), flags: BTreeMap::new() }
    }

    /// Of a `.env` with this text.
    #[cfg(test)]
    pub(crate) fn of_text(text: &str) -> Self {
        Self { file: parse_dot_env(text), flags: BTreeMap::new() }
    }

    /// The value of a variable, from now on, whatever it is outside.
    pub(crate) fn set(&mut self, name: &str, value: String) {
        self.flags.insert(name.to_owned(), value);
    }

    /// A value, and where it came from. An empty value counts as none.
    #[expect(clippy::disallowed_methods, reason = "this is the place that reads the environment")]
    pub(crate) fn get(&self, name: &str) -> Option<(String, Origin)> {
        if let Some(value) = self.flags.get(name) {
            return Some((value.clone(), Origin::Flag));
        }
        let variable = std::env::var(name).ok().filter(|value| !value.is_empty());
        let of_file = || self.file.get(name).filter(|value| !value.is_empty());
        match variable {
            Some(value) => Some((value, Origin::Variable)),
            None => of_file().map(|value| (value.clone(), Origin::DotEnv)),
        }
    }

    /// All variables, with those of `.env` that no variable stands for. Empty ones count as none.
    pub(crate) fn all(&self) -> BTreeMap<String, String> {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        let mut all = self.file.clone();
        all.extend(std::env::vars_os().filter_map(text).filter(|(_, value)| !value.is_empty()));
        all.extend(self.flags.clone());
        all.retain(|_, value| !value.is_empty());
        all
    }

    /// Where files go that are gone with the process: `TMPDIR`, or what the system has for it.
    pub(crate) fn temporary(&self) -> PathBuf {
        self.value("TMPDIR").map_or_else(std::env::temp_dir, PathBuf::from)
    }

    pub(crate) fn value(&self, name: &str) -> Option<String> {
        self.get(name).map(|(value, _)| value)
    }
}

/// `NAME=value` lines; `export ` before and quotes around are taken off; `#` begins a comment line.
fn parse_dot_env(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for line in text.lines() {
        let line = line.trim();
        let line = line.strip_prefix("export ").unwrap_or(line);
        let Some((name, value)) = line.split_once('=').filter(|_| !line.starts_with('#')) else { continue };
        let value = value.trim();
        let quoted = ['"', '\''].iter().find_map(|&quote| value.strip_prefix(quote)?.strip_suffix(quote));
        found.insert(name.trim().to_owned(), quoted.unwrap_or(value).to_owned());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::parse_dot_env;

    #[test]
    fn dot_env() {
        let found = parse_dot_env("# comment\nA=1\nexport B = \"two words\"\nC='x=y'\nno line\n D=\n");
        let pairs: Vec<_> = found.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(pairs, [("A", "1"), ("B", "two words"), ("C", "x=y"), ("D", "")]);
    }
}
