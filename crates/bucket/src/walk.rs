//! A directory tree in byte order of the paths' text. In memory: the entries of the folder at hand and of those
//! above it. A folder stands where its path with a slash behind stands, as in the paths of what it holds.

use std::collections::HashSet;
use std::os::fd::AsFd as _;
use std::sync::Arc;

use repot_core::{Listed, Object, Result, path_text};
use rustix::fs::{AtFlags, Dir, FileType, fstat, statat};
use rustix::io::Errno;

use crate::beneath::{Beneath, kind, modified_ns, size};

/// What stands at a name.
#[derive(Debug)]
enum Found {
    File { size: u64, modified_ns: i64 },
    Folder,
    Skipped(String),
}

/// A folder being walked.
#[derive(Debug)]
struct Level {
    /// Path text with a slash behind; empty for the root.
    prefix: String,
    /// Name as text (a folder's with a slash behind), sorted backwards: the next one is popped.
    entries: Vec<(String, Found)>,
}

/// Walks the tree.
#[derive(Debug)]
pub(crate) struct Walk<'s> {
    beneath: &'s Beneath,
    /// Path texts to leave out.
    excluded: Arc<HashSet<String>>,
    levels: Vec<Level>,
    /// Trouble with a folder, told before what it holds.
    trouble: Option<Listed>,
}

impl<'s> Walk<'s> {
    /// Begins at the root; fails when that cannot be read.
    pub(crate) fn new(beneath: &'s Beneath, excluded: Arc<HashSet<String>>) -> Result<Self, Errno> {
        let mut walk = Self { beneath, excluded, levels: Vec::new(), trouble: None };
        // a removed directory reads as an empty one, as if everything in it had been deleted
        if fstat(beneath.root())?.st_nlink == 0 {
            return Err(Errno::NOENT);
        }
        let entries = walk.entries("")?;
        walk.levels.push(Level { prefix: String::new(), entries });
        Ok(walk)
    }

    fn enter(&mut self, prefix: String) {
        match self.entries(&prefix) {
            Ok(entries) => self.levels.push(Level { prefix, entries }),
            // it went, or became something else, since its own folder was read
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
            Err(error) => self.trouble = Some(unreadable(prefix, error)),
        }
    }

    /// Everything in a folder, looked at once, sorted backwards.
    fn entries(&mut self, prefix: &str) -> Result<Vec<(String, Found)>, Errno> {
        let path = path_text::decode(prefix.strip_suffix('/').unwrap_or(prefix));
        let folder = self.beneath.directory(&path)?;
        let mut dir = Dir::read_from(&folder)?;
        let mut entries = Vec::new();
        while let Some(entry) = dir.read() {
            let entry = match entry {
                Ok(entry) => entry,
                // what was read so far is listed, and that it is not all
                Err(error) if !prefix.is_empty() => {
                    self.trouble = Some(unreadable(prefix.to_owned(), error));
                    break;
                }
                Err(error) => return Err(error),
            };
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let mut text = path_text::encode(name.to_bytes());
            let found = if entry.file_type() == FileType::Directory {
                Some(Found::Folder)
            } else {
                look(statat(folder.as_fd(), name, AtFlags::SYMLINK_NOFOLLOW))
            };
            let Some(found) = found else { continue };
            if matches!(found, Found::Folder) {
                text.push('/');
            }
            entries.push((text, found));
        }
        entries.sort_unstable_by(|one, other| other.0.cmp(&one.0));
        Ok(entries)
    }

    fn is_excluded(&self, path: &str) -> bool {
        !self.excluded.is_empty() && self.excluded.contains(path.strip_suffix('/').unwrap_or(path))
    }
}

impl Iterator for Walk<'_> {
    type Item = Result<Listed>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(trouble) = self.trouble.take() {
                return Some(Ok(trouble));
            }
            let level = self.levels.last_mut()?;
            let Some((name, found)) = level.entries.pop() else {
                self.levels.pop();
                continue;
            };
            let path = format!("{}{name}", level.prefix);
            if self.is_excluded(&path) {
                continue;
            }
            match found {
                Found::Folder => self.enter(path),
                Found::Skipped(reason) => return Some(Ok(Listed::Skipped { path, reason, hides: false })),
                Found::File { size, modified_ns } => {
                    return Some(Ok(Listed::Object(Object { path, size, modified_ns, etag: None })));
                }
            }
        }
    }
}

/// A slash stays behind its path: what is in it comes later in the order, and is unknown, not gone.
fn unreadable(prefix: String, error: Errno) -> Listed {
    Listed::Skipped {
        path: prefix,
        reason: format!("the folder cannot be read: {}", explain(error)),
        hides: true,
    }
}

/// The operating system's words for an error.
pub(crate) fn explain(error: Errno) -> String {
    std::io::Error::from(error).to_string()
}

/// What stands at a name; `None` when it went.
fn look(found: Result<rustix::fs::Stat, Errno>) -> Option<Found> {
    let skipped = |reason: &str| Some(Found::Skipped(reason.to_owned()));
    let stat = match found {
        Ok(stat) => stat,
        Err(Errno::NOENT) => return None,
        Err(error) => return skipped(&explain(error)),
    };
    match kind(&stat) {
        FileType::RegularFile => Some(Found::File { size: size(&stat), modified_ns: modified_ns(&stat) }),
        FileType::Directory => Some(Found::Folder),
        FileType::Symlink => skipped("a symbolic link; links are not followed"),
        FileType::Fifo => skipped("a pipe"),
        FileType::Socket => skipped("a socket"),
        FileType::BlockDevice | FileType::CharacterDevice => skipped("a device"),
        FileType::Unknown => skipped("of a kind that is not known"),
    }
}
