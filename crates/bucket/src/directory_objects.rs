//! A directory as a place where documents live, one file each. Readers take no lock: a file appears by a rename,
//! whole. Writers of one folder wait for each other (`flock` on the folder), also between processes; programs that
//! take no such lock are not kept out between the check of a precondition and the write.

mod settling;
mod turns;
mod writing;

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use repot_core::store::{Barrier, ETag, ObjectBody, ObjectMeta, ObjectPowers, Objects, Precondition};
use repot_core::{Clock, Error, Kind, Object, Result, Retry, SystemClock, path_text};
use rustix::fs::{FileType, Stat, fstat};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use crate::beneath::{Beneath, kind, modified_ns, size};
use crate::path_rules::{flaw, folders, obstacle, split};
use crate::walk::{Range, Step, Walk};
use turns::Turns;

/// How often a file may change in place while it is read.
const READS_MAX: usize = 5;
/// Bytes of a SHA-256 that make an `ETag`.
const ETAG_BYTES: usize = 16;
/// Read at once where only the `ETag` is wanted.
const PIECE_BYTES: usize = 64 * 1024;

/// How long a barrier is waited for with the lock of a folder.
const BARRIER_WAIT: Duration = Duration::from_millis(20);

/// The code of a write whose folder somebody else has locked.
const HELD: &str = "R0731";

/// A directory that keeps objects as files.
#[derive(Debug, Clone)]
pub struct DirectoryObjects(Arc<Folder>);

/// How a name is looked for where names fold.
type HoldsName = fn(&OwnedFd, &[u8]) -> Result<bool, Errno>;

/// What the calls share. All of it blocks.
#[derive(Debug)]
struct Folder {
    shown: String,
    beneath: Beneath,
    /// Time of day, for deadlines.
    clock: Arc<dyn Clock>,
    /// Set when it is known whether two names can be one file here: if so, how a name is looked for.
    folding: OnceLock<Option<HoldsName>>,
    turns: Turns,
}

impl DirectoryObjects {
    /// Opens a directory that is there, and holds it open.
    ///
    /// # Errors
    /// `R0101` when it is none or cannot be read.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_with_clock(path, Arc::new(SystemClock))
    }

    /// The same with another time of day, for deadlines.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_with_clock(path: &Path, clock: Arc<dyn Clock>) -> Result<Self> {
        let shown = path.display().to_string();
        let beneath = Beneath::new(path).map_err(|error| match error {
            Errno::NOTDIR => unreachable(format!("{shown} is no directory")),
            error => unreachable(format!("{shown} cannot be opened")).cause(io::Error::from(error)),
        })?;
        Ok(Self(Arc::new(Folder { shown, beneath, clock, folding: OnceLock::new(), turns: Turns::new() })))
    }

    /// Goes on to its end once begun, also when nobody waits for it any more.
    async fn blocking<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Folder) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let folder = Arc::clone(&self.0);
        match tokio::task::spawn_blocking(move || call(&folder)).await {
            Ok(done) => done,
            Err(ended) => match ended.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(ended) => Err(Error::new(Kind::Failed, "R0409", "the program ended during a call")
                    .cause(ended)
                    .retry(Retry::Unknown)),
            },
        }
    }
}

impl fmt::Display for DirectoryObjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.shown)
    }
}

#[async_trait]
impl Objects for DirectoryObjects {
    fn powers(&self) -> ObjectPowers {
        ObjectPowers {
            conditional_put: true,
            conditional_delete: true,
            deadlines: true,
            keys_per_tenant: true,
        }
    }

    async fn probe(&self) -> Result<()> {
        self.blocking(Folder::probe).await
    }

    async fn get(&self, path: &str, bytes_max: u64) -> Result<Option<ObjectBody>> {
        let path = path.to_owned();
        self.blocking(move |folder| folder.get(&path, bytes_max)).await
    }

    async fn head(&self, path: &str) -> Result<Option<ObjectMeta>> {
        let path = path.to_owned();
        self.blocking(move |folder| folder.head(&path)).await
    }

    async fn put(
        &self,
        path: &str,
        bytes: Bytes,
        when: &Precondition,
        until_ms: Option<i64>,
    ) -> Result<ETag> {
        let (own, when) = (path.to_owned(), when.clone());
        self.writing((path, until_ms), move |folder| folder.put(&own, &bytes, (&when, until_ms))).await
    }

    /// The content is on the disk beside its place when the barrier is passed.
    async fn put_behind(
        &self,
        barrier: &Barrier,
        path: &str,
        bytes: Bytes,
        when: &Precondition,
        until_ms: Option<i64>,
    ) -> Result<ETag> {
        let (passing, own, content, own_when) =
            (barrier.clone(), path.to_owned(), bytes.clone(), when.clone());
        let tried = self.writing((path, until_ms), move |folder| {
            folder.put_if(&own, &content, (&own_when, until_ms), &|| passing.passed_within(BARRIER_WAIT))
        });
        if let Some(etag) = tried.await? {
            return Ok(etag);
        }
        barrier.passed().await?;
        self.put(path, bytes, when, until_ms).await
    }

    async fn delete(&self, path: &str, when: &Precondition, until_ms: Option<i64>) -> Result<bool> {
        let (own, when) = (path.to_owned(), when.clone());
        self.writing((path, until_ms), move |folder| folder.delete(&own, (&when, until_ms))).await
    }

    async fn settle(&self, path: &str, until_ms: i64) -> Result<()> {
        let path = path.to_owned();
        self.blocking(move |folder| folder.settle(&path, until_ms)).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>, most: usize) -> Result<Vec<ObjectMeta>> {
        let range = Range { prefix: prefix.to_owned(), after: after.map(str::to_owned), most: Some(most) };
        self.blocking(move |folder| folder.list(range, most)).await
    }
}

impl Folder {
    fn get(&self, path: &str, bytes_max: u64) -> Result<Option<ObjectBody>> {
        for _ in 0..READS_MAX {
            let Some((mut open, before)) = self.file(path)? else { return Ok(None) };
            let failed = |error: io::Error| self.unreadable(path, error);
            if size(&before) > bytes_max {
                return Err(Error::new(
                    Kind::Unsupported,
                    "R0213",
                    format!("{path} has {} bytes, {bytes_max} are the most", size(&before)),
                ));
            }
            let expected = usize::try_from(size(&before)).map_err(io::Error::other).map_err(failed)?;
            // one byte more than it should have: the end is seen without growing
            let mut bytes = Vec::with_capacity(expected + 1);
            (&mut open).take(size(&before) + 1).read_to_end(&mut bytes).map_err(failed)?;
            if is_unchanged(&open, &before, bytes.len() as u64).map_err(failed)? {
                let etag = etag(Sha256::digest(&bytes).as_slice());
                return Ok(Some(ObjectBody { bytes: bytes.into(), etag, modified_ns: modified_ns(&before) }));
            }
        }
        Err(self.changing(path))
    }

    fn head(&self, path: &str) -> Result<Option<ObjectMeta>> {
        let found = self.file(path)?;
        Ok(found.map(|(_, stat)| ObjectMeta {
            path: path.to_owned(),
            size_bytes: size(&stat),
            modified_ns: modified_ns(&stat),
            etag: None,
        }))
    }

    fn list(&self, range: Range, most: usize) -> Result<Vec<ObjectMeta>> {
        let mut listed = Vec::new();
        if most == 0 {
            return Ok(listed);
        }
        if let Some((folder, _)) = range.prefix.rsplit_once('/') {
            // nothing is under what can be no folder, nor under another spelling of a folder's name
            let Ok(bytes) = name(folder) else { return Ok(listed) };
            if !self.is_spelled(folder, &bytes)? {
                return Ok(listed);
            }
        }
        let mut walk = Walk::within(&self.beneath, range).map_err(|error| {
            unreachable(format!("{} cannot be listed", self.shown)).cause(io::Error::from(error))
        })?;
        while listed.len() < most
            && let Some(step) = walk.step()
        {
            match step {
                Step::File(object) => {
                    let Object { path, size: size_bytes, modified_ns, etag: _ } = object;
                    listed.push(ObjectMeta { path, size_bytes, modified_ns, etag: None });
                }
                Step::NoFile { .. } => {}
                Step::Unknown { path, error } | Step::Unreadable { path, error } => {
                    return Err(self.unreadable(&path, error.into()));
                }
            }
        }
        Ok(listed)
    }

    /// The file at `path`; `None` when there is none, also when there cannot be one.
    fn file(&self, path: &str) -> Result<Option<(File, Stat)>> {
        let Ok(bytes) = name(path) else { return Ok(None) };
        let failed = |error: Errno| self.unreadable(path, error.into());
        let open = match self.beneath.file(&bytes) {
            Ok(open) => open,
            Err(error) if is_nothing(error) => {
                self.is_there()?;
                return Ok(None);
            }
            Err(error) => return Err(failed(error)),
        };
        let stat = fstat(&open).map_err(failed)?;
        let is_file = kind(&stat) == FileType::RegularFile;
        Ok((is_file && self.is_spelled(path, &bytes)?).then(|| (File::from(open), stat)))
    }

    /// Is each part of the path there under this very name? Costs nothing where names do not fold.
    fn is_spelled(&self, path: &str, bytes: &[u8]) -> Result<bool> {
        let Some(holds_name) = self.folding() else { return Ok(true) };
        for part in folders(bytes) {
            let (above, name) = split(part);
            match self.beneath.directory(above).and_then(|above| holds_name(&above, name)) {
                Ok(true) => {}
                Ok(false) => return Ok(false),
                Err(error) if is_nothing(error) => return Ok(false),
                Err(error) => return Err(self.unreadable(path, error.into())),
            }
        }
        Ok(true)
    }

    /// An empty directory and a removed one must not be confused.
    fn is_there(&self) -> Result<()> {
        match fstat(self.beneath.root()) {
            Ok(stat) if stat.st_nlink == 0 => Err(unreachable(format!("{} was removed", self.shown))),
            Ok(_) => Ok(()),
            Err(error) => Err(self.unreadable("", error.into())),
        }
    }

    fn unreadable(&self, path: &str, error: io::Error) -> Error {
        let denied = error.kind() == io::ErrorKind::PermissionDenied;
        let kind = if denied { Kind::Denied } else { Kind::Failed };
        Error::new(kind, "R0201", format!("{}/{path} cannot be read: {error}", self.shown))
            .cause(error)
            .hint("Mend its permissions, then read it again.")
    }

    fn changing(&self, path: &str) -> Error {
        Error::new(Kind::Failed, "R0202", format!("{}/{path} kept changing while it was read", self.shown))
            .hint("Another program writes into the file in place; read it again when that rests.")
            .retry(Retry::Safe)
    }
}

/// The name of a file for this path.
fn name(path: &str) -> Result<Vec<u8>> {
    let bytes = path_text::decode(path);
    if let Some(why) = flaw(&bytes) {
        return Err(impossible(path, why));
    }
    if path_text::encode(&bytes) != path {
        return Err(impossible(path, "it would be listed as another path"));
    }
    Ok(bytes)
}

/// Nothing is there, or something through which no path leads.
fn is_nothing(error: Errno) -> bool {
    // a socket, or a device without a driver
    matches!(error, Errno::NOENT | Errno::NXIO) || obstacle(error).is_some()
}

/// Was it one state from beginning to end? A rename over the file changes other stamps of it than these.
fn is_unchanged(open: &File, before: &Stat, length: u64) -> io::Result<bool> {
    let after = fstat(open)?;
    Ok(length == size(&after) && length == size(before) && modified_ns(before) == modified_ns(&after))
}

fn etag(digest: &[u8]) -> ETag {
    let digit = |four: u8| char::from(b"0123456789abcdef"[usize::from(four)]);
    let text: String =
        digest.iter().take(ETAG_BYTES).flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect();
    ETag::new(&text)
}

fn impossible(path: &str, why: &str) -> Error {
    Error::new(Kind::Invalid, "R0403", format!("{path:?} cannot be a file here: {why}"))
        .hint("Use another key: without `/`, `.` and `..` as parts, at most 255 bytes a part.")
}

fn unreachable(message: String) -> Error {
    Error::new(Kind::Unavailable, "R0101", message).hint("Check the path: it must lead to a directory.")
}

#[cfg(test)]
mod tests;
