//! A directory to export into. Each file appears whole, by a rename; nothing is ever written outside, whatever
//! links lie or are laid in the directory.

use std::collections::HashMap;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hasher as _};
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use repot_core::{Error, Kind, Pieces, Result, Sink, path_text};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, fstat, mkdirat, openat, renameat, statat, unlinkat};
use rustix::io::Errno;

use crate::beneath::{Beneath, kind, size};
use crate::path_rules::{each_name, flaw, folders, is_folding, obstacle, split};

/// Files are written in here and moved out when they are whole; what a crash leaves is cleared by the next run.
const STAGING: &str = ".repot-export-unfinished";

/// How to write.
#[derive(Debug, Clone, Copy)]
pub struct SinkOptions {
    /// The directory may hold something already; files that are the same are left alone.
    pub allow_non_empty: bool,
    /// `finish` returns when everything is on the disk.
    pub durable: bool,
}

impl Default for SinkOptions {
    fn default() -> Self {
        Self { allow_non_empty: false, durable: true }
    }
}

/// What writing a file did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// The file was made or replaced.
    New,
    /// It held these bytes already and was left alone.
    Same,
}

/// A directory to export into.
#[derive(Debug)]
pub struct DirectorySink {
    shown: PathBuf,
    beneath: Beneath,
    staging: OwnedFd,
    options: SinkOptions,
    next: AtomicU64,
    /// Where two names can be one (case or Unicode form do not count): which path each inode was written for.
    names: Option<Mutex<HashMap<u64, u64>>>,
}

impl DirectorySink {
    /// Opens `target`, making it if need be.
    ///
    /// # Errors
    /// `R0801` when it is not empty and that is not allowed; `R0805` when it cannot be made.
    pub fn create(target: &Path, options: SinkOptions) -> Result<Self> {
        fs::create_dir_all(target).map_err(|error| failed(target, error))?;
        let mut entries = fs::read_dir(target).map_err(|error| failed(target, error))?;
        // an interrupted export that had not finished a single file left nothing of worth
        let is_empty = entries.all(|entry| entry.is_ok_and(|entry| entry.file_name() == STAGING));
        if !is_empty && !options.allow_non_empty {
            return Err(Error::new(Kind::Refused, "R0801", format!("{} is not empty", target.display()))
                .hint("Name an empty directory, or say --into-existing."));
        }
        let beneath = Beneath::new(target).map_err(|error| failed(target, error.into()))?;
        let staging = stage(&beneath).map_err(|error| failed(&target.join(STAGING), error))?;
        let names = is_folding(&staging).unwrap_or(false).then(Mutex::default);
        Ok(Self { shown: target.to_owned(), beneath, staging, options, next: AtomicU64::new(0), names })
    }

    /// Writes a file, unless it is there with the same bytes, and gives it this time.
    ///
    /// # Errors
    /// As [`Sink::write`].
    pub fn put(&self, path: &str, bytes: &[u8], modified_ns: Option<i64>) -> Result<Written> {
        let place = self.place(path)?;
        if place.size == Some(bytes.len() as u64) && self.holds(&place, bytes) {
            return Ok(Written::Same);
        }
        self.replace(path, &place, &mut |open| {
            open.write_all(bytes).map_err(|error| self.failed(path, error))?;
            let time = modified_ns.and_then(system_time);
            time.map_or(Ok(()), |time| open.set_modified(time)).map_err(|error| self.failed(path, error))
        })?;
        Ok(Written::New)
    }

    fn failed(&self, path: &str, error: io::Error) -> Error {
        failed(&self.shown.join(path), error)
    }

    /// The folder of a path, made if need be, and what stands at its name.
    fn place(&self, path: &str) -> Result<Place> {
        let bytes = path_text::decode(path);
        if let Some(wrong) = flaw(&bytes) {
            return Err(impossible(path, wrong));
        }
        if bytes.split(|&byte| byte == b'/').any(|part| part == STAGING.as_bytes()) {
            return Err(impossible(path, "the name is one of Repot's own"));
        }
        let (parent, name) = split(&bytes);
        let folder = self.folder(path, parent)?;
        let (size, inode) = match statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => (None, 0),
            Err(error) => return Err(self.trouble(path, error)),
            Ok(found) => match kind(&found) {
                FileType::RegularFile => {
                    self.claim(path, &bytes, found.st_ino)?;
                    (Some(size(&found)), found.st_ino)
                }
                FileType::Directory => return Err(impossible(path, "a folder of that name is there")),
                _ => return Err(impossible(path, "something that is no file is there")),
            },
        };
        Ok(Place { folder, name: name.to_owned(), bytes: bytes.clone(), size, inode })
    }

    fn folder(&self, path: &str, parent: &[u8]) -> Result<OwnedFd> {
        let open = |folder: &[u8]| self.beneath.directory(folder);
        let found = match open(parent) {
            Err(Errno::NOENT) => {
                for folder in folders(parent) {
                    let (above, name) = split(folder);
                    let above = open(above).map_err(|error| self.trouble(path, error))?;
                    match mkdirat(&above, name, Mode::from_raw_mode(0o777)) {
                        Ok(()) | Err(Errno::EXIST) => {}
                        Err(error) => return Err(self.trouble(path, error)),
                    }
                }
                open(parent)
            }
            found => found,
        };
        let folder = found.map_err(|error| self.trouble(path, error))?;
        if self.names.is_some() && !parent.is_empty() {
            let found = fstat(&folder).map_err(|error| self.trouble(path, error))?;
            self.claim(path, parent, found.st_ino)?;
        }
        Ok(folder)
    }

    /// Where names fold: this inode is of this path and no other of this run.
    fn claim(&self, path: &str, bytes: &[u8], inode: u64) -> Result<()> {
        let Some(names) = &self.names else { return Ok(()) };
        let hash = hash(bytes);
        let before = *names.lock().unwrap_or_else(PoisonError::into_inner).entry(inode).or_insert(hash);
        if before == hash {
            Ok(())
        } else {
            Err(impossible(path, "to this file system it is the name of another exported path"))
        }
    }

    /// The inode of a replaced file may be given out again, so its claim ends.
    fn moved(&self, place: &Place, inode: u64) {
        if let Some(names) = &self.names {
            let mut names = names.lock().unwrap_or_else(PoisonError::into_inner);
            names.remove(&place.inode);
            names.insert(inode, hash(&place.bytes));
        }
    }

    /// Which paths cannot be here, and which troubles end the export?
    fn trouble(&self, path: &str, error: Errno) -> Error {
        match obstacle(error) {
            Some(why) => impossible(path, &why),
            None => self.failed(path, error.into()),
        }
    }

    fn holds(&self, place: &Place, bytes: &[u8]) -> bool {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let Ok(open) = openat(&place.folder, place.name.as_slice(), flags, Mode::empty()) else {
            return false;
        };
        let mut found = Vec::with_capacity(bytes.len() + 1);
        let whole = File::from(open).take(bytes.len() as u64 + 1).read_to_end(&mut found);
        whole.is_ok() && found == bytes
    }

    /// Writes aside and moves it to its place.
    fn replace(
        &self,
        path: &str,
        place: &Place,
        write: &mut dyn FnMut(&mut File) -> Result<()>,
    ) -> Result<()> {
        let aside = self.next.fetch_add(1, Ordering::Relaxed).to_string();
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = openat(&self.staging, aside.as_str(), flags, Mode::from_raw_mode(0o666));
        let mut open = File::from(open.map_err(|error| self.failed(path, error.into()))?);
        let done = write(&mut open).and_then(|()| {
            let inode = fstat(&open).map_err(|error| self.trouble(path, error))?.st_ino;
            let moved = renameat(&self.staging, aside.as_str(), &place.folder, place.name.as_slice());
            moved.map_err(|error| self.trouble(path, error))?;
            self.moved(place, inode);
            Ok(())
        });
        if done.is_err() {
            // the staging folder is cleared by the next run, should this fail too
            let _left = unlinkat(&self.staging, aside.as_str(), AtFlags::empty());
        }
        done
    }
}

/// Where a file is to be.
struct Place {
    folder: OwnedFd,
    name: Vec<u8>,
    /// The whole path.
    bytes: Vec<u8>,
    /// Size of the file that is there now.
    size: Option<u64>,
    /// Its inode.
    inode: u64,
}

fn hash(path: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(path);
    hasher.finish()
}

/// An empty staging folder.
fn stage(beneath: &Beneath) -> io::Result<OwnedFd> {
    match mkdirat(beneath.root(), STAGING, Mode::from_raw_mode(0o700)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    let staging = beneath.directory(STAGING.as_bytes())?;
    let mut cleared = Ok(());
    each_name(&staging, &mut |name| {
        cleared = unlinkat(&staging, name, AtFlags::empty());
        cleared.is_ok()
    })?;
    cleared?;
    Ok(staging)
}

fn system_time(modified_ns: i64) -> Option<SystemTime> {
    let distance = Duration::from_nanos(modified_ns.unsigned_abs());
    if modified_ns < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(distance)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(distance)
    }
}

fn failed(path: &Path, error: io::Error) -> Error {
    let kind = if error.kind() == io::ErrorKind::PermissionDenied { Kind::Denied } else { Kind::Failed };
    Error::new(kind, "R0805", format!("{} cannot be written: {error}", path.display()))
        .cause(error)
        .hint("Check space and permissions, then export again with --into-existing.")
}

fn impossible(path: &str, why: &str) -> Error {
    Error::new(Kind::Refused, "R0804", format!("{path} cannot be a file here: {why}"))
}

impl Drop for DirectorySink {
    fn drop(&mut self) {
        // an export that ended in an error leaves the staging folder only if something is in it
        let _left = unlinkat(self.beneath.root(), STAGING, AtFlags::REMOVEDIR);
    }
}

impl Sink for DirectorySink {
    fn write(&self, path: &str, bytes: &[u8]) -> Result<()> {
        self.put(path, bytes, None).map(|_written| ())
    }

    fn write_pieces(&self, path: &str, pieces: Pieces<'_>) -> Result<()> {
        let place = self.place(path)?;
        self.replace(path, &place, &mut |open| {
            pieces(&mut |piece| open.write_all(piece).map_err(|error| self.failed(path, error)))
        })
    }

    fn finish(&self) -> Result<()> {
        match unlinkat(self.beneath.root(), STAGING, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(failed(&self.shown.join(STAGING), error.into())),
        }
        if self.options.durable {
            make_durable(&self.beneath).map_err(|error| failed(&self.shown, error.into()))?;
        }
        Ok(())
    }
}

/// One call for all files and folders of the file system, instead of two for each.
#[cfg(target_os = "linux")]
fn make_durable(beneath: &Beneath) -> Result<(), Errno> {
    rustix::fs::syncfs(beneath.root())
}

#[cfg(not(target_os = "linux"))]
fn make_durable(_beneath: &Beneath) -> Result<(), Errno> {
    rustix::fs::sync();
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::{DirectorySink, SinkOptions};

    #[test]
    fn where_names_fold_the_second_is_refused() {
        let tree = tempfile::tempdir().expect("a directory");
        let mut sink = DirectorySink::create(tree.path(), SinkOptions::default()).expect("a sink");
        sink.names = Some(Mutex::default());
        sink.put("a", b"one", None).expect("the first");
        sink.put("a", b"two", None).expect("the same path again");
        // one file under two names, as `a` and `A` are where case does not count
        std::fs::hard_link(tree.path().join("a"), tree.path().join("A")).expect("a second name");
        for bytes in [&b"two"[..], b"other"] {
            assert_eq!(sink.put("A", bytes, None).expect_err("another path").code(), "R0804");
        }
        assert_eq!(std::fs::read(tree.path().join("a")).expect("it is there"), b"two");
    }
}
