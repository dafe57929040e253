//! Writing and removing, under the lock of the object's own folder. A folder may go at any time (whoever removed
//! the last file in it removes it), so a writer that finds its folder gone begins again.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::thread;
use std::time::Instant;

use repot_core::store::{ETag, Precondition, check_deadline};
use repot_core::{Error, Kind, Result, Retry};
use rustix::fs::{
    AtFlags, FileType, FlockOperation, Mode, OFlags, Stat, fchmod, flock, fstat, fsync, mkdirat, openat,
    renameat, statat, unlinkat,
};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use super::settling::{PATIENCE, PAUSE};
use super::{
    Folder, HELD, HoldsName, PIECE_BYTES, READS_MAX, etag, impossible, is_nothing, is_unchanged, name,
};
use crate::beneath::{kind, size};
use crate::path_rules::{
    UNFINISHED, each_name, folders, holds_name, is_folding, is_unfinished, obstacle, split,
};

/// How often a folder may go between being made and being written into.
const TRIES: usize = 1_000;

/// A place in a folder whose lock we hold.
struct Place<'a> {
    path: &'a str,
    folder: OwnedFd,
    name: &'a [u8],
}

/// Is the folder to be made where it is not there?
#[derive(Clone, Copy, PartialEq, Eq)]
enum Make {
    Yes,
    No,
}

/// Whether what is ready may be put in its place; `None`: it is not known yet, and not waited for any longer.
type MayPass<'a> = &'a dyn Fn() -> Option<Result<()>>;

/// What a try came to.
enum Try<T> {
    Done(T),
    /// It may not be done yet.
    NotYet,
    /// The folder went meanwhile.
    Again,
}

/// Why a file was not replaced.
enum Stop {
    /// It may not be yet.
    NotYet,
    /// The folder went meanwhile.
    Gone,
    Failed(Error),
}

impl Folder {
    pub(super) fn put(&self, path: &str, bytes: &[u8], on: (&Precondition, Option<i64>)) -> Result<ETag> {
        let done = self.put_if(path, bytes, on, &|| Some(Ok(())))?;
        done.ok_or_else(|| self.unwritable(path, io::Error::other("it was never put in its place")))
    }

    /// The same where it may be done once it is ready; `None`: nothing was done.
    pub(super) fn put_if(
        &self,
        path: &str,
        bytes: &[u8],
        (when, until_ms): (&Precondition, Option<i64>),
        may_pass: MayPass<'_>,
    ) -> Result<Option<ETag>> {
        let whole = name(path)?;
        self.is_there()?;
        let (parent, name) = split(&whole);
        // a state that must be there needs no new folder
        let make = if matches!(when, Precondition::Matches(_)) { Make::No } else { Make::Yes };
        for _ in 0..TRIES {
            let folder = match self.lock(parent, make) {
                Ok(Some(folder)) => folder,
                Ok(None) => continue,
                Err(Errno::WOULDBLOCK) => return Err(self.held(path)),
                Err(Errno::NOENT) if make == Make::No => {
                    self.is_there()?;
                    return Err(when.failed(&path, None));
                }
                Err(error) => {
                    self.is_there()?;
                    self.remove_empty(parent);
                    return Err(self.trouble(path, error));
                }
            };
            let place = Place { path, folder, name };
            let tried = self.put_at(&place, (&whole, bytes), (when, until_ms), may_pass);
            match tried {
                Ok(Try::Done(etag)) => return Ok(Some(etag)),
                Ok(Try::Again) => continue,
                Ok(Try::NotYet) | Err(_) => {}
            }
            // folders that were made for it
            self.remove_empty(parent);
            return tried.map(|_not_yet| None);
        }
        self.is_there()?;
        Err(self.unwritable(path, io::Error::other("its folder was removed again and again")))
    }

    fn put_at(
        &self,
        place: &Place<'_>,
        (whole, bytes): (&[u8], &[u8]),
        (when, until_ms): (&Precondition, Option<i64>),
        may_pass: MayPass<'_>,
    ) -> Result<Try<ETag>> {
        let path = place.path;
        let before = match statat(&place.folder, place.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Some(stat),
            Err(Errno::NOENT) => None,
            Err(error) => return Err(self.trouble(path, error)),
        };
        match before.as_ref().map(kind) {
            None | Some(FileType::RegularFile) => {}
            Some(FileType::Directory) => return Err(impossible(path, "a folder of that name is there")),
            Some(_) => return Err(impossible(path, "something that is no file is there")),
        }
        if let Some(holds_name) = self.folding() {
            let above = split(whole).0;
            if !self.is_spelled(path, if before.is_some() { whole } else { above })? {
                let why = "to this file system it is the name of another file or folder";
                return Err(impossible(path, why));
            }
            match before.map_or_else(|| keeps_name(place, holds_name), |_| Ok(true)) {
                Ok(true) => {}
                Ok(false) => return Err(impossible(path, "this file system would change the name")),
                Err(Errno::NOENT) => return Ok(Try::Again),
                Err(error) => return Err(self.trouble(path, error)),
            }
        }
        if *when != Precondition::Any {
            when.check(&path, self.current(place)?.as_ref())?;
        }
        let temporary = temporary(place.name);
        let aside = self.write_aside(place, &temporary, before.as_ref(), bytes);
        let replaced = aside.map_err(|error| self.stop(path, error)).and_then(|()| {
            may_pass().ok_or(Stop::NotYet)?.map_err(Stop::Failed)?;
            // whoever is stopped from here on holds the lock until the file is in its place
            check_deadline(until_ms, self.clock.now_ms())
                .map_err(|error| Stop::Failed(error.detail(format!("file: {path}"))))?;
            renameat(&place.folder, temporary.as_str(), &place.folder, place.name)
                .map_err(|error| self.stop(path, error))
        });
        // the next writer clears it, should this fail too
        let clear = || {
            let _left = unlinkat(&place.folder, temporary.as_str(), AtFlags::empty());
        };
        match replaced {
            Ok(()) => {}
            Err(Stop::Gone) => return Ok(Try::Again),
            Err(Stop::NotYet) => {
                clear();
                return Ok(Try::NotYet);
            }
            Err(Stop::Failed(error)) => {
                clear();
                return Err(error);
            }
        }
        fsync(&place.folder).map_err(|error| self.unsure(path, error))?;
        Ok(Try::Done(etag(Sha256::digest(bytes).as_slice())))
    }

    fn stop(&self, path: &str, error: Errno) -> Stop {
        if error == Errno::NOENT { Stop::Gone } else { Stop::Failed(self.trouble(path, error)) }
    }

    /// Writes the content beside its place, onto the disk.
    fn write_aside(
        &self,
        place: &Place<'_>,
        temporary: &str,
        before: Option<&Stat>,
        bytes: &[u8],
    ) -> Result<(), Errno> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // nobody may read the new content who may not read the old one
        let mode = Mode::from_raw_mode(if before.is_some() { 0o600 } else { 0o666 });
        let mut opened = openat(&place.folder, temporary, flags, mode);
        if matches!(opened, Err(Errno::EXIST)) {
            // left by a crash: we hold the lock, so nobody writes it now
            if self.folding().is_some_and(|holds| holds(&place.folder, temporary.as_bytes()) != Ok(true)) {
                return Err(Errno::EXIST);
            }
            unlinkat(&place.folder, temporary, AtFlags::empty())?;
            opened = openat(&place.folder, temporary, flags, mode);
        }
        let mut open = File::from(opened?);
        if let Some(before) = before {
            fchmod(&open, Mode::from_raw_mode(before.st_mode & 0o777))?;
        }
        open.write_all(bytes).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        fsync(&open)
    }

    pub(super) fn delete(&self, path: &str, (when, until_ms): (&Precondition, Option<i64>)) -> Result<bool> {
        if *when == Precondition::Absent {
            let message = format!("{path} cannot be removed on the condition that it is not there");
            return Err(Error::new(Kind::Invalid, "R0405", message)
                .hint("Remove it whatever is there, or name the ETag that must be there."));
        }
        let whole = name(path)?;
        self.is_there()?;
        let (parent, name) = split(&whole);
        let absent = || when.check(&path, None).map(|()| false);
        for _ in 0..TRIES {
            let folder = match self.lock(parent, Make::No) {
                Ok(Some(folder)) => folder,
                Ok(None) => continue,
                Err(Errno::WOULDBLOCK) => return Err(self.held(path)),
                Err(error) if is_nothing(error) => {
                    self.is_there()?;
                    return absent();
                }
                Err(error) => return Err(self.trouble(path, error)),
            };
            let place = Place { path, folder, name };
            let is_file = match statat(&place.folder, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => kind(&stat) == FileType::RegularFile,
                Err(error) if is_nothing(error) => false,
                Err(error) => return Err(self.trouble(path, error)),
            };
            if !is_file || !self.is_spelled(path, &whole)? {
                return absent();
            }
            if *when != Precondition::Any {
                when.check(&path, self.current(&place)?.as_ref())?;
            }
            check_deadline(until_ms, self.clock.now_ms())
                .map_err(|error| error.detail(format!("file: {path}")))?;
            match unlinkat(&place.folder, name, AtFlags::empty()) {
                Ok(()) => {}
                // a program that takes no lock was faster
                Err(Errno::NOENT) => return absent(),
                Err(error) => return Err(self.trouble(path, error)),
            }
            // what a crash left of it goes too
            let _none = unlinkat(&place.folder, temporary(name).as_str(), AtFlags::empty());
            fsync(&place.folder).map_err(|error| self.unsure(path, error))?;
            clear_unfinished(&place.folder);
            self.remove_empty(parent);
            return Ok(true);
        }
        self.is_there()?;
        Err(self.unwritable(path, io::Error::other("its folder was removed again and again")))
    }

    /// The folder, locked, if it is there.
    pub(super) fn lock_at_once(&self, parent: &[u8]) -> Result<Option<OwnedFd>, Errno> {
        self.lock(parent, Make::No)
    }

    /// The folder, locked; `None` when it went or was replaced before the lock was ours. Where somebody else has the lock,
    /// [`Errno::WOULDBLOCK`]: no thread waits for a process that may be stopped.
    fn lock(&self, parent: &[u8], make: Make) -> Result<Option<OwnedFd>, Errno> {
        // found out by writing into the root, which would not be possible under its lock
        self.folding();
        let folder = match self.beneath.directory(parent) {
            Err(Errno::NOENT) if make == Make::Yes => match self.make(parent) {
                Err(Errno::NOENT) => return Ok(None),
                made => made?,
            },
            found => found?,
        };
        take_lock(&folder)?;
        let again = match self.beneath.directory(parent) {
            Ok(again) => again,
            Err(error) if is_nothing(error) => return Ok(None),
            Err(error) => return Err(error),
        };
        let (ours, there) = (fstat(&folder)?, fstat(&again)?);
        Ok(((ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino)).then_some(folder))
    }

    /// Makes a folder and those on the way to it, each durable in the one above.
    fn make(&self, parent: &[u8]) -> Result<OwnedFd, Errno> {
        for folder in folders(parent) {
            let (above, name) = split(folder);
            let above = self.beneath.directory(above)?;
            match mkdirat(&above, name, Mode::from_raw_mode(0o777)) {
                Ok(()) => fsync(&above)?,
                Err(Errno::EXIST) => {}
                Err(error) => return Err(error),
            }
        }
        self.beneath.directory(parent)
    }

    /// Removes a folder and those above it as long as they are empty. One that is not stays, and so does one that
    /// somebody writes into just now; whether it stays matters to nobody.
    fn remove_empty(&self, mut parent: &[u8]) {
        while !parent.is_empty() {
            let (above, name) = split(parent);
            let Ok(folder) = self.beneath.directory(above) else { return };
            if unlinkat(&folder, name, AtFlags::REMOVEDIR).is_err() {
                return;
            }
            let _unsynced = fsync(&folder);
            parent = above;
        }
    }

    /// The `ETag` of what is there; `None` when it went.
    fn current(&self, place: &Place<'_>) -> Result<Option<ETag>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let failed = |error: io::Error| self.unreadable(place.path, error);
        let mut piece = vec![0; PIECE_BYTES];
        for _ in 0..READS_MAX {
            let mut open = match openat(&place.folder, place.name, flags, Mode::empty()) {
                Ok(open) => File::from(open),
                Err(error) if is_nothing(error) => return Ok(None),
                Err(error) => return Err(failed(error.into())),
            };
            let before = fstat(&open).map_err(|error| failed(error.into()))?;
            let (mut hash, mut length) = (Sha256::new(), 0);
            while length <= size(&before) {
                let read = match open.read(&mut piece) {
                    Ok(0) => break,
                    Ok(read) => read,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => return Err(failed(error)),
                };
                hash.update(&piece[..read]);
                length += read as u64;
            }
            if is_unchanged(&open, &before, length).map_err(failed)? {
                return Ok(Some(etag(hash.finalize().as_slice())));
            }
        }
        Err(self.changing(place.path))
    }

    /// How names are looked for where two names can be one file; `None` where they cannot. Where it cannot be
    /// found out, such as in a directory that cannot be written, they may.
    pub(super) fn folding(&self) -> Option<HoldsName> {
        if let Some(&known) = self.folding.get() {
            return known;
        }
        let root = self.beneath.directory(b"").and_then(|root| {
            // not waiting: it may be this very call that holds the lock
            flock(&root, FlockOperation::NonBlockingLockExclusive)?;
            Ok(root)
        });
        let probed = root.and_then(|root| with_probe(&root, |folder| Ok(is_folding(folder))));
        match probed.ok().flatten() {
            Some(folds) => *self.folding.get_or_init(|| folds.then_some(holds_name as HoldsName)),
            None => Some(holds_name),
        }
    }

    pub(super) fn probe(&self) -> Result<()> {
        self.is_there()?;
        let root = self.beneath.directory(b"").map_err(|error| self.unwritable("", error.into()))?;
        flock(&root, FlockOperation::NonBlockingLockExclusive)
            // somebody else could take it: it works
            .or_else(|error| if error == Errno::WOULDBLOCK { Ok(()) } else { Err(error) })
            .map_err(|error| {
                let message =
                    format!("{} cannot be locked, so writers could overwrite each other", self.shown);
                Error::new(Kind::Unsupported, "R0409", message)
                    .cause(io::Error::from(error))
                    .hint("Network file systems often have no such locks (flock): use a local one.")
            })?;
        let since = Instant::now();
        while let Err(error) = take_lock(&root) {
            if error != Errno::WOULDBLOCK {
                return Err(self.unwritable("", error.into()));
            }
            if since.elapsed() >= PATIENCE {
                return Err(self.held(""));
            }
            thread::sleep(PAUSE);
        }
        with_probe(&root, |folder| {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC;
            let mut open = File::from(openat(folder, "file", flags, Mode::from_raw_mode(0o600))?);
            let written = open.write_all(b"probe");
            let synced = written.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO));
            let synced = synced.and_then(|()| fsync(&open)).and_then(|()| fsync(folder));
            unlinkat(folder, "file", AtFlags::empty())?;
            synced
        })
        .map_err(|error| self.unwritable("", error.into()))
    }

    /// Which paths cannot be here, and what failed?
    pub(super) fn trouble(&self, path: &str, error: Errno) -> Error {
        match obstacle(error) {
            Some(why) => impossible(path, &why),
            None => self.unwritable(path, error.into()),
        }
    }

    /// Somebody else has the lock of the folder of a path, or of the whole; nothing was done.
    fn held(&self, path: &str) -> Error {
        let whose = if path.is_empty() { String::new() } else { format!("the folder of {path} in ") };
        let message = format!("a process holds the lock of {whose}{}", self.shown);
        Error::new(Kind::Unavailable, HELD, message)
            .retry(Retry::Safe)
            .hint("Send it again; if that goes on, look for a process that is stopped while it writes there.")
    }

    fn unwritable(&self, path: &str, error: io::Error) -> Error {
        let denied = error.kind() == io::ErrorKind::PermissionDenied;
        let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        let kind = if denied { Kind::Denied } else { Kind::Failed };
        Error::new(kind, "R0409", format!("{}/{path} cannot be written: {error}", self.shown))
            .cause(error)
            .hint(match (denied, full) {
                (true, _) => "Give the right to write into the directory and its folders.",
                (_, true) => "The disk or the quota is full: make space, then write again.",
                _ => "Check space and permissions, then write again.",
            })
    }

    /// It is there for every reader, but perhaps not after a power cut.
    pub(super) fn unsure(&self, path: &str, error: Errno) -> Error {
        let message = format!("{}/{path} was written, but may not be on the disk: {error}", self.shown);
        Error::new(Kind::Failed, "R0409", message)
            .cause(io::Error::from(error))
            .hint("Check the disk, then read it again.")
            .retry(Retry::Unknown)
    }
}

/// Takes the lock, unless somebody else has it. It goes with the open folder, and so with the process.
fn take_lock(folder: &OwnedFd) -> Result<(), Errno> {
    loop {
        match flock(folder, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::INTR) => {}
            done => return done,
        }
    }
}

/// Does something in a folder of our own in a locked folder.
fn with_probe<T>(within: &OwnedFd, call: impl FnOnce(&OwnedFd) -> Result<T, Errno>) -> Result<T, Errno> {
    let name = format!("{UNFINISHED}probe");
    match mkdirat(within, name.as_str(), Mode::from_raw_mode(0o700)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error),
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let done = openat(within, name.as_str(), flags, Mode::empty()).and_then(|folder| {
        clear_all(&folder);
        call(&folder)
    });
    let _left = unlinkat(within, name.as_str(), AtFlags::REMOVEDIR);
    done
}

/// Would a new file keep this name? Some file systems keep another Unicode form of it.
fn keeps_name(place: &Place<'_>, holds_name: HoldsName) -> Result<bool, Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC;
    with_probe(&place.folder, |folder| {
        openat(folder, place.name, flags, Mode::from_raw_mode(0o600))?;
        let kept = holds_name(folder, place.name);
        let _left = unlinkat(folder, place.name, AtFlags::empty());
        kept
    })
}

/// What a crash left in a folder of our own.
fn clear_all(folder: &OwnedFd) {
    let _unread = each_name(folder, &mut |name| unlinkat(folder, name, AtFlags::empty()).is_ok());
}

/// What crashes left in a locked folder that holds nothing else, so that it can go.
fn clear_unfinished(folder: &OwnedFd) {
    let mut left: Vec<CString> = Vec::new();
    let mut others = false;
    let read = each_name(folder, &mut |name| {
        others = !is_unfinished(name.to_bytes());
        left.push(name.to_owned());
        !others
    });
    if read.is_err() || others {
        return;
    }
    for name in left {
        if unlinkat(folder, name.as_c_str(), AtFlags::empty()).is_err() {
            let _left = openat(folder, name.as_c_str(), OFlags::DIRECTORY | OFlags::NOFOLLOW, Mode::empty())
                .map(|probe| clear_all(&probe))
                .and_then(|()| unlinkat(folder.as_fd(), name.as_c_str(), AtFlags::REMOVEDIR));
        }
    }
}

/// Where the content of a file of this name is written before it is moved: always the same, so that what a crash
/// leaves is found by the next writer.
fn temporary(name: &[u8]) -> String {
    format!("{UNFINISHED}{}", etag(Sha256::digest(name).as_slice()))
}
