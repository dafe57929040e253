//! A directory tree in byte order of the paths' text, all of it or a range. In memory: the entries of the folder at
//! hand and of those above it. A folder stands where its path with a slash behind stands, as in the paths of what
//! it holds.

use std::collections::HashSet;
use std::ffi::CString;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

use repot_core::{Listed, Object, Result, path_text};
use rustix::fs::{AtFlags, Dir, FileType, fstat, statat};
use rustix::io::Errno;

use crate::beneath::{Beneath, kind, modified_ns, size};
use crate::path_rules::is_unfinished;

/// What stands at a name.
#[derive(Debug)]
enum Found {
    File { size: u64, modified_ns: i64 },
    Folder,
    Skipped(String),
    Unknown(Errno),
}

/// A part of the tree, as texts of paths.
#[derive(Debug, Default)]
pub(crate) struct Range {
    /// Paths begin so; may end in the middle of a name.
    pub(crate) prefix: String,
    /// Paths come strictly after it.
    pub(crate) after: Option<String>,
    /// No more files than these are wanted of it.
    pub(crate) most: Option<usize>,
}

impl Range {
    fn has_file(&self, path: &str) -> bool {
        path.starts_with(&self.prefix) && self.after.as_deref().is_none_or(|after| path > after)
    }

    /// Can a path that begins with this folder's, with a slash behind, be in it?
    fn meets_folder(&self, path: &str) -> bool {
        (path.starts_with(&self.prefix) || self.prefix.starts_with(path))
            && self.after.as_deref().is_none_or(|after| path > after || after.starts_with(path))
    }
}

/// What the walk comes to.
#[derive(Debug)]
pub(crate) enum Step {
    File(Object),
    /// It is no file, for this reason.
    NoFile {
        path: String,
        reason: String,
    },
    /// What it is could not be found out.
    Unknown {
        path: String,
        error: Errno,
    },
    /// What is in the folder, whose path ends with a slash, is not or not wholly known.
    Unreadable {
        path: String,
        error: Errno,
    },
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
    range: Range,
    levels: Vec<Level>,
    /// Trouble with a folder, told before what it holds.
    trouble: Option<Step>,
}

impl<'s> Walk<'s> {
    /// Begins at the root; fails when that cannot be read.
    pub(crate) fn new(beneath: &'s Beneath, excluded: Arc<HashSet<String>>) -> Result<Self, Errno> {
        let range = Range::default();
        let mut walk = Self { beneath, excluded, range, levels: Vec::new(), trouble: None };
        walk.begin(String::new())?;
        Ok(walk)
    }

    /// Begins where the range does; no folder outside of it is read.
    pub(crate) fn within(beneath: &'s Beneath, range: Range) -> Result<Self, Errno> {
        let folder = range.prefix.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
        let mut walk = Self { beneath, excluded: Arc::default(), range, levels: Vec::new(), trouble: None };
        walk.begin(folder)?;
        Ok(walk)
    }

    fn begin(&mut self, prefix: String) -> Result<(), Errno> {
        // a removed directory reads as an empty one, as if everything in it had been deleted
        if fstat(self.beneath.root())?.st_nlink == 0 {
            return Err(Errno::NOENT);
        }
        if prefix.is_empty() {
            let entries = self.entries("")?;
            self.levels.push(Level { prefix, entries });
        } else {
            self.enter(prefix);
        }
        Ok(())
    }

    fn enter(&mut self, prefix: String) {
        match self.entries(&prefix) {
            Ok(entries) => self.levels.push(Level { prefix, entries }),
            // it went, or became something else, since its own folder was read
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
            // only the prefix of a range can be such a path
            Err(Errno::INVAL | Errno::NAMETOOLONG) if self.levels.is_empty() => {}
            Err(error) => self.trouble = Some(Step::Unreadable { path: prefix, error }),
        }
    }

    /// Everything in a folder, looked at once, sorted backwards.
    fn entries(&mut self, prefix: &str) -> Result<Vec<(String, Found)>, Errno> {
        let path = path_text::decode(prefix.strip_suffix('/').unwrap_or(prefix));
        let folder = self.beneath.directory(&path)?;
        let mut entries = self.names(&folder, prefix)?;
        if self.range.most.is_some() {
            entries.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        }
        let mut files_left = self.range.most.unwrap_or(usize::MAX);
        let mut found = Vec::with_capacity(entries.len());
        for (mut text, name, is_folder) in entries {
            let what = if is_folder {
                Found::Folder
            } else {
                let Some(what) = look(statat(folder.as_fd(), name.as_c_str(), AtFlags::SYMLINK_NOFOLLOW))
                else {
                    continue;
                };
                what
            };
            // a file became a folder meanwhile, or only looking tells which it is
            if !matches!(what, Found::Folder) {
                if !self.range.has_file(&format!("{prefix}{text}")) {
                    continue;
                }
            } else if !is_folder {
                text.push('/');
            }
            let is_file = matches!(what, Found::File { .. });
            found.push((text, what));
            files_left -= usize::from(is_file);
            if files_left == 0 {
                break;
            }
        }
        found.sort_unstable_by(|one, other| other.0.cmp(&one.0));
        Ok(found)
    }

    /// Text, name, and whether it is known to be a folder (its text then ends with a slash), of those in the range.
    fn names(&mut self, folder: &OwnedFd, prefix: &str) -> Result<Vec<(String, CString, bool)>, Errno> {
        let mut dir = Dir::read_from(folder)?;
        let mut names = Vec::new();
        let mut path = prefix.to_owned();
        while let Some(entry) = dir.read() {
            let entry = match entry {
                Ok(entry) => entry,
                // what was read so far is listed, and that it is not all
                Err(error) if !prefix.is_empty() => {
                    self.trouble = Some(Step::Unreadable { path: prefix.to_owned(), error });
                    break;
                }
                Err(error) => return Err(error),
            };
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") || is_unfinished(name.to_bytes()) {
                continue;
            }
            let mut text = path_text::encode(name.to_bytes());
            path.truncate(prefix.len());
            path.push_str(&text);
            let is_file = self.range.has_file(&path);
            path.push('/');
            let meets = self.range.meets_folder(&path);
            let is_folder = entry.file_type() == FileType::Directory;
            if is_folder {
                text.push('/');
            }
            let may_be_file = is_file && !is_folder;
            let may_be_folder = meets && matches!(entry.file_type(), FileType::Directory | FileType::Unknown);
            if may_be_file || may_be_folder {
                names.push((text, name.to_owned(), is_folder));
            }
        }
        Ok(names)
    }

    fn is_excluded(&self, path: &str) -> bool {
        !self.excluded.is_empty() && self.excluded.contains(path.strip_suffix('/').unwrap_or(path))
    }
}

impl Walk<'_> {
    /// The next thing in the range.
    pub(crate) fn step(&mut self) -> Option<Step> {
        loop {
            if let Some(trouble) = self.trouble.take() {
                return Some(trouble);
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
                Found::Folder if self.range.meets_folder(&path) => self.enter(path),
                Found::Folder => {}
                _ if !self.range.has_file(&path) => {}
                Found::Skipped(reason) => return Some(Step::NoFile { path, reason }),
                Found::Unknown(error) => return Some(Step::Unknown { path, error }),
                Found::File { size, modified_ns } => {
                    return Some(Step::File(Object { path, size, modified_ns, etag: None }));
                }
            }
        }
    }
}

impl Iterator for Walk<'_> {
    type Item = Result<Listed>;

    fn next(&mut self) -> Option<Self::Item> {
        let skipped = |path, reason, hides| Listed::Skipped { path, reason, hides };
        Some(Ok(match self.step()? {
            Step::File(object) => Listed::Object(object),
            Step::NoFile { path, reason } => skipped(path, reason, false),
            Step::Unknown { path, error } => skipped(path, explain(error), false),
            // a slash stays behind its path: what is in it comes later in the order, and is unknown, not gone
            Step::Unreadable { path, error } => {
                skipped(path, format!("the folder cannot be read: {}", explain(error)), true)
            }
        }))
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
        Err(error) => return Some(Found::Unknown(error)),
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
