//! A directory as a source. A file is read as one whole state of it.
//!
//! What is noticed: size, both times and inode are compared before and after a reading, so every write that moves
//! a time stamp. A stamp may be too coarse to move (a few milliseconds, two seconds on some file systems), so a
//! file whose time is within two seconds of now is read twice, and one that is younger than 50 ms is left alone
//! for a moment in between. What is not: a writer that stops half-way for longer than that (its half file is the
//! state there is), one that sets the old time again between two calls of ours, and writes to a file system
//! whose clock is more than two seconds from this machine's.

use std::collections::HashSet;
use std::fmt;
use std::fs::File;
use std::hash::{DefaultHasher, Hasher as _};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use repot_core::{
    Clock, Error, Kind, Listed, Object, Read, ReadError, Result, Source, SourceHealth, path_text,
};
use rustix::fs::{FileType, Stat, fstat};
use rustix::io::Errno;

use crate::beneath::{Beneath, changed_ns, kind, modified_ns, size};
use crate::walk::{Walk, explain};

const TRIES: usize = 5;
const YOUNG_NS: u64 = 2_000_000_000;
const HOT_NS: u64 = 50_000_000;
const PAUSE: Duration = Duration::from_millis(20);

/// A directory.
#[derive(Debug)]
pub struct DirectorySource {
    root: PathBuf,
    shown: String,
    beneath: Beneath,
    excluded: Arc<HashSet<String>>,
    clock: Arc<dyn Clock>,
}

impl DirectorySource {
    /// Opens a directory and holds it open.
    ///
    /// # Errors
    /// `R0101` when it is none or cannot be read.
    pub fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Self> {
        let shown = path.display().to_string();
        let root = path
            .canonicalize()
            .map_err(|error| unusable(format!("{shown} cannot be opened")).cause(error))?;
        let beneath = Beneath::new(&root).map_err(|error| match error {
            Errno::NOTDIR => unusable(format!("{shown} is no directory")),
            error => unusable(format!("{shown} cannot be read")).cause(io::Error::from(error)),
        })?;
        Ok(Self { root, shown, beneath, excluded: Arc::default(), clock })
    }

    /// Leaves out these files and folders, which are Repot's own and no data.
    #[must_use]
    pub fn with_excluded(mut self, paths: &[PathBuf]) -> Self {
        let inside = |path: &Path| {
            let inside = path.strip_prefix(&self.root).ok()?;
            Some(path_text::encode(inside.as_os_str().as_bytes()))
        };
        let mut excluded = HashSet::new();
        for path in paths {
            let parent =
                path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            // the name itself, where it may not be there yet or be a link, and what a link leads to
            let named =
                parent.canonicalize().ok().zip(path.file_name()).map(|(parent, name)| parent.join(name));
            excluded
                .extend([named, path.canonicalize().ok()].iter().flatten().filter_map(|path| inside(path)));
        }
        // the directory itself is data, whoever names it
        excluded.remove("");
        self.excluded = Arc::new(excluded);
        self
    }

    fn take(&self, path: &[u8], bytes_max: u64) -> Result<Taken, ReadError> {
        let (mut open, before) = self.open_file(path)?;
        if size(&before) > bytes_max {
            return Err(ReadError::TooLarge { size: size(&before) });
        }
        let expected =
            usize::try_from(size(&before)).map_err(|error| ReadError::Unreadable(error.to_string()))?;
        // one byte more than it should have: the end is seen without growing
        let mut bytes = Vec::with_capacity(expected + 1);
        (&mut open)
            .take(bytes_max.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(|error| unreadable(&error))?;
        let state = self.unchanged(path, &open, &before, bytes.len() as u64)?;
        Ok(Taken { bytes, state })
    }

    /// The state at the end, where it is that of the beginning.
    fn unchanged(
        &self,
        path: &[u8],
        open: &File,
        before: &Stat,
        length: u64,
    ) -> Result<Option<Stat>, ReadError> {
        let after = fstat(open).map_err(|error| unreadable(&error.into()))?;
        // a file that was put in its place is newer; one that went leaves the whole state that was read
        let named = match self.beneath.look(path) {
            Ok(named) => named,
            Err(Errno::NOENT) => after,
            Err(error) => return Err(unreadable(&error.into())),
        };
        let same = alike(before, &after)
            && length == size(&after)
            && after.st_ino == named.st_ino
            && after.st_dev == named.st_dev;
        Ok(same.then_some(after))
    }

    fn open_file(&self, path: &[u8]) -> Result<(File, Stat), ReadError> {
        let open = self.beneath.file(path).map_err(|error| match error {
            Errno::NOENT => ReadError::Gone,
            Errno::LOOP => ReadError::Unreadable(
                "a symbolic link stands there now or on the way; links are not followed".to_owned(),
            ),
            Errno::INVAL | Errno::XDEV => {
                ReadError::Unreadable("the path leads out of the source".to_owned())
            }
            // a socket, or a device without a driver
            Errno::NXIO => ReadError::Unreadable("it is no file any more".to_owned()),
            // a folder on the way became a file
            Errno::NOTDIR => ReadError::Gone,
            error => ReadError::Unreadable(explain(error)),
        })?;
        let stat = fstat(&open).map_err(|error| unreadable(&error.into()))?;
        if kind(&stat) == FileType::RegularFile {
            Ok((File::from(open), stat))
        } else {
            Err(ReadError::Unreadable("it is no file any more".to_owned()))
        }
    }

    /// Nanoseconds between the file's time and now, either way.
    fn age_ns(&self, stat: &Stat) -> u64 {
        self.clock.now_ms().saturating_mul(1_000_000).abs_diff(modified_ns(stat))
    }

    /// One try; `None` when it changed meanwhile.
    fn attempt(&self, path: &[u8], bytes_max: u64) -> Result<Option<(Vec<u8>, Stat)>, ReadError> {
        let Taken { bytes, state } = self.take(path, bytes_max)?;
        let Some(state) = state else { return Ok(None) };
        let age = self.age_ns(&state);
        if age >= YOUNG_NS {
            return Ok(Some((bytes, state)));
        }
        if age < HOT_NS {
            std::thread::sleep(PAUSE);
        }
        let again = self.take(path, bytes_max)?;
        let same = again.bytes == bytes && again.state.is_some_and(|again| alike(&state, &again));
        Ok(same.then_some((bytes, state)))
    }
}

/// The content, and its state where it did not change meanwhile.
struct Taken {
    bytes: Vec<u8>,
    state: Option<Stat>,
}

fn unusable(message: String) -> Error {
    Error::new(Kind::SourceUnavailable, "R0101", message)
        .hint("Check the path: it is relative to the folder of repot.toml.")
}

fn alike(one: &Stat, other: &Stat) -> bool {
    let parts = |stat: &Stat| (stat.st_dev, stat.st_ino, size(stat), modified_ns(stat), changed_ns(stat));
    parts(one) == parts(other)
}

fn state_of(path: &str, stat: &Stat) -> Object {
    Object { path: path.to_owned(), size: size(stat), modified_ns: modified_ns(stat), etag: None }
}

fn unreadable(error: &io::Error) -> ReadError {
    if error.kind() == io::ErrorKind::NotFound {
        ReadError::Gone
    } else {
        ReadError::Unreadable(error.to_string())
    }
}

fn refused(error: &io::Error) -> ReadError {
    ReadError::Unreadable(error.to_string())
}

/// Hands over the whole file piece by piece; gives its length and a hash of the content.
fn pour(
    open: &mut File,
    piece_bytes: usize,
    each: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> Result<(u64, u64), ReadError> {
    let mut piece = Vec::with_capacity(piece_bytes);
    let mut hasher = DefaultHasher::new();
    let mut total = 0_u64;
    loop {
        piece.clear();
        (&mut *open).take(piece_bytes as u64).read_to_end(&mut piece).map_err(|error| unreadable(&error))?;
        if piece.is_empty() {
            return Ok((total, hasher.finish()));
        }
        total += piece.len() as u64;
        hasher.write(&piece);
        each(&piece).map_err(|error| refused(&error))?;
    }
}

impl fmt::Display for DirectorySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl Source for DirectorySource {
    fn check(&self) -> Result<SourceHealth> {
        drop(self.list()?);
        Ok(SourceHealth { message: format!("{} can be read", self.shown), warnings: Vec::new() })
    }

    fn list(&self) -> Result<Box<dyn Iterator<Item = Result<Listed>> + Send + '_>> {
        let walk = Walk::new(&self.beneath, Arc::clone(&self.excluded)).map_err(|error| {
            unusable(format!("{} cannot be listed", self.shown)).cause(io::Error::from(error))
        })?;
        Ok(Box::new(walk))
    }

    fn read(&self, path: &str, bytes_max: u64) -> Result<Read, ReadError> {
        let name = path_text::decode(path);
        for _ in 0..TRIES {
            if let Some((bytes, stat)) = self.attempt(&name, bytes_max)? {
                return Ok(Read { bytes, object: state_of(path, &stat) });
            }
        }
        Err(ReadError::Changing)
    }

    fn read_pieces(
        &self,
        path: &str,
        piece_bytes: usize,
        each: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<Object, ReadError> {
        let name = path_text::decode(path);
        let piece_bytes = piece_bytes.max(1);
        let (mut open, before) = self.open_file(&name)?;
        let (total, hash) = pour(&mut open, piece_bytes, each)?;
        let Some(state) = self.unchanged(&name, &open, &before, total)? else {
            return Err(ReadError::Changing);
        };
        if self.age_ns(&before) < YOUNG_NS {
            let (mut open, again) = self.open_file(&name)?;
            let same = alike(&state, &again)
                && pour(&mut open, piece_bytes, &mut |_| Ok(()))? == (total, hash)
                && self.unchanged(&name, &open, &again, total)?.is_some();
            if !same {
                return Err(ReadError::Changing);
            }
        }
        Ok(state_of(path, &state))
    }
}
