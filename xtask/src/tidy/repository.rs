//! The text files of the repository, read once.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::command::output;

/// Files by their path in the repository, with `/` between folders.
#[derive(Debug, Default)]
pub(super) struct Repository {
    texts: BTreeMap<String, String>,
    others: Vec<String>,
}

impl Repository {
    /// The files that git tracks, and those it would track if they were added.
    pub(super) fn tracked(root: &Path) -> Result<Self, String> {
        let mut git = Command::new("git");
        git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"])
            .current_dir(root);
        let listed = output(&mut git)?;
        let mut repository = Self::default();
        for path in listed.split('\0').filter(|path| !path.is_empty()) {
            let full = root.join(path);
            // One that is deleted but not yet staged, or a link, has nothing to check.
            if !fs::symlink_metadata(&full).is_ok_and(|meta| meta.is_file()) {
                continue;
            }
            let bytes = fs::read(&full).map_err(|error| format!("{path} cannot be read: {error}"))?;
            match String::from_utf8(bytes) {
                Ok(text) => drop(repository.texts.insert(path.to_owned(), text)),
                Err(_) => repository.others.push(path.to_owned()),
            }
        }
        Ok(repository)
    }

    /// A repository of these files.
    #[cfg(test)]
    pub(super) fn of<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let texts = files.into_iter().map(|(path, text)| (path.to_owned(), text.to_owned())).collect();
        Self { texts, others: Vec::new() }
    }

    /// How many files there are.
    pub(super) fn len(&self) -> usize {
        self.texts.len() + self.others.len()
    }

    /// The text of one file.
    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.texts.get(path).map(String::as_str)
    }

    /// All text files, in order of their paths.
    pub(super) fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// The files of one language.
    pub(super) fn with_ending<'a>(&'a self, ending: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.texts().filter(move |(path, _)| path.ends_with(ending))
    }

    /// Whether a file or a folder is here.
    pub(super) fn has(&self, path: &str) -> bool {
        let folder = format!("{path}/");
        let mut all = self.texts.keys().chain(&self.others);
        path.is_empty() || all.any(|file| file == path || file.starts_with(&folder))
    }
}

/// The last part of a path.
pub(super) fn file_name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

/// Everything before the last part of a path.
pub(super) fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}
