//! The lock that lets one copy work at a time, or any number of stores: an advisory lock of the operating system on a file beside the
//! database. It goes with the process, however that ends; the file stays, because removing it would let a
//! waiting process lock a file that no longer has a name.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use repot_core::{Error, Kind, LockHolder, Result, Retry};
use repot_model::plan::time::time_text;

/// How often, and how long between, a holder's name is looked for.
const NAMED_TRIES: usize = 20;
const NAMED_WAIT: Duration = Duration::from_millis(50);

/// The lock while it is held.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
    /// Held together with other stores.
    pub shared: bool,
}

impl Lock {
    /// Takes the lock for the database at `path`, alone.
    pub(crate) fn take(path: &Path, me: &LockHolder) -> Result<Self> {
        let beside = beside(path);
        let mut file = open(&beside)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                if file.try_lock_shared().is_ok() {
                    let message =
                        format!("documents are being written in {} through a store", path.display());
                    return Err(Error::new(Kind::Locked, "R0701", message)
                        .retry(Retry::Safe)
                        .hint("Close the stores on this database first, or copy into another one."));
                }
                return Err(taken(path, &mut file));
            }
            Err(TryLockError::Error(error)) => return Err(unlockable(&beside, error)),
        }
        let text = format!("pid {}\nsince_ms {}\nhost {}\n", me.pid, me.since_ms, me.host);
        let written =
            file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(text.as_bytes()));
        written.map_err(|error| {
            Error::new(Kind::Failed, "R0112", format!("cannot write {}", beside.display()))
                .hint("Make room on the disk and run the same command again.")
                .cause(error)
        })?;
        Ok(Self { _file: file, shared: false })
    }

    /// Takes the lock together with other stores.
    pub(crate) fn share(path: &Path) -> Result<Self> {
        let beside = beside(path);
        let mut file = open(&beside)?;
        match file.try_lock_shared() {
            Ok(()) => Ok(Self { _file: file, shared: true }),
            Err(TryLockError::WouldBlock) => Err(taken(path, &mut file)),
            Err(TryLockError::Error(error)) => Err(unlockable(&beside, error)),
        }
    }
}

fn open(beside: &Path) -> Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(beside)
        .map_err(|error| unopened(beside, error))
}

/// Who else has it.
fn taken(path: &Path, file: &mut File) -> Error {
    let shown = path.display();
    let named = named(file);
    let holder = named.as_ref().map_or_else(
        || "another Repot".to_owned(),
        |holder| format!("another Repot (pid {} on {})", holder.pid, holder.host),
    );
    let since = named.map_or_else(String::new, |holder| {
        format!(" since {}Z", time_text(holder.since_ms.saturating_mul(1_000), 'T', 0))
    });
    Error::new(Kind::Locked, "R0701", format!("{holder} has been copying into {shown}{since}"))
        .retry(Retry::Safe)
        .hint("Wait for it to end, or end it; nothing needs to be cleaned up.")
}

fn unlockable(beside: &Path, error: std::io::Error) -> Error {
    Error::new(Kind::TargetUnavailable, "R0106", format!("cannot lock {}", beside.display()))
        .hint("The file system must support locks; copy into a database on a local disk.")
        .cause(error)
}

fn unopened(beside: &Path, error: std::io::Error) -> Error {
    let message = format!("cannot open {}", beside.display());
    if error.kind() == std::io::ErrorKind::PermissionDenied {
        Error::new(Kind::Denied, "R0113", message)
            .hint("Change the permissions, or copy into another place.")
            .cause(error)
    } else {
        Error::new(Kind::TargetUnavailable, "R0106", message)
            .hint("Check the path and that the folder exists.")
            .cause(error)
    }
}

/// The lock's file: beside the database itself, whatever links lead to it.
fn beside(path: &Path) -> PathBuf {
    let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mut name = OsString::from(real);
    name.push(".lock");
    PathBuf::from(name)
}

/// Who holds the lock. It writes its name a moment after it took the lock, so a short wait may be needed.
fn named(file: &mut File) -> Option<LockHolder> {
    for _ in 0..NAMED_TRIES {
        let mut text = String::new();
        let read = file.rewind().and_then(|()| file.read_to_string(&mut text));
        if let Some(found) = read.ok().and_then(|_| parse(&text)) {
            return Some(found);
        }
        std::thread::sleep(NAMED_WAIT);
    }
    None
}

fn parse(text: &str) -> Option<LockHolder> {
    let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
    Some(LockHolder {
        host: value("host")?.to_owned(),
        pid: value("pid")?.parse().ok()?,
        since_ms: value("since_ms")?.parse().ok()?,
    })
}
