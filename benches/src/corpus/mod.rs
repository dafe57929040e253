//! The corpora: generated once for each size, the same bytes on every machine.

mod conversations;
mod dramas;
mod json;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::random::Random;

/// Which corpus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// The council chats: many small documents.
    Conversations,
    /// The dramas: fewer, larger and deeper documents.
    Dramas,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Conversations => "conversations",
            Self::Dramas => "dramas",
        })
    }
}

impl Kind {
    /// The model, with `{source}` where the source's path belongs.
    pub(crate) const fn model(self) -> &'static str {
        match self {
            Self::Conversations => include_str!("../../models/conversations.toml"),
            Self::Dramas => include_str!("../../models/dramas.toml"),
        }
    }
}

/// A corpus on disk.
#[derive(Debug, Clone)]
pub(crate) struct Corpus {
    /// Which.
    pub(crate) kind: Kind,
    /// Conversations or dramas asked for.
    pub(crate) size: usize,
    /// Its directory.
    pub(crate) path: PathBuf,
    /// Files.
    pub(crate) documents: u64,
    /// Bytes of all files.
    pub(crate) bytes: u64,
}

impl Corpus {
    /// Writes a corpus below `directory`.
    pub(crate) fn write(kind: Kind, size: usize, directory: &Path) -> Result<Self> {
        let path = directory.join(format!("{kind}-{size}"));
        let mut writer = Writer { root: path.clone(), documents: 0, bytes: 0 };
        let mut random = Random::new(size as u64);
        match kind {
            Kind::Conversations => conversations::write(size, &mut random, &mut writer)?,
            Kind::Dramas => dramas::write(size, &mut random, &mut writer)?,
        }
        let Writer { root: _, documents, bytes } = writer;
        Ok(Self { kind, size, path, documents, bytes })
    }

    /// Writes so many conversations below `directory`, `per_user` of each user; gives user and id of each too.
    pub(crate) fn chats(
        size: usize,
        per_user: usize,
        directory: &Path,
    ) -> Result<(Self, Vec<(String, String)>)> {
        let path = directory.join(format!("chats-{size}"));
        let mut writer = Writer { root: path.clone(), documents: 0, bytes: 0 };
        let chats = conversations::chats(size, per_user, &mut Random::new(size as u64), &mut writer)?;
        let Writer { root: _, documents, bytes } = writer;
        Ok((Self { kind: Kind::Conversations, size, path, documents, bytes }, chats))
    }

    /// `conversations 10,000`.
    pub(crate) fn title(&self) -> String {
        format!("{} {}", self.kind, crate::report::grouped(self.size as u64))
    }
}

/// The text of a new conversation of that user, on one line.
pub(crate) fn chat_text(id: &str, user: &str, random: &mut Random) -> String {
    conversations::text_of(id, user, random)
}

/// Writes the files and counts them.
#[derive(Debug)]
struct Writer {
    root: PathBuf,
    documents: u64,
    bytes: u64,
}

impl Writer {
    fn directory(&self, relative: &str) -> Result<()> {
        let path = self.root.join(relative);
        fs::create_dir_all(&path).with_context(|| format!("making {}", path.display()))
    }

    fn file(&mut self, relative: &str, text: &str) -> Result<()> {
        let path = self.root.join(relative);
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        self.documents += 1;
        self.bytes += text.len() as u64;
        Ok(())
    }
}
