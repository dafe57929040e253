//! Opening things beneath one directory: no symbolic link is ever followed and nothing outside is ever reached,
//! whatever another process does to the tree meanwhile. Paths are relative, as bytes.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

/// How often the kernel may say that the tree was being renamed while it looked.
const RACES_MAX: usize = 32;

/// A directory held open.
#[derive(Debug)]
pub(crate) struct Beneath {
    root: OwnedFd,
    /// One call of the kernel does it (Linux 5.6); else each part of the path is opened by itself.
    at_once: AtomicBool,
}

impl Beneath {
    /// Holds `root` open; links on the way to it are followed, it was named by the user.
    pub(crate) fn new(root: &Path) -> Result<Self, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = fs::open(root, flags, Mode::empty())?;
        Ok(Self { root, at_once: AtomicBool::new(cfg!(target_os = "linux")) })
    }

    /// The directory itself.
    pub(crate) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Opens the directory at `path`, the root where it is empty.
    pub(crate) fn directory(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        self.open(path, OFlags::RDONLY | OFlags::DIRECTORY)
    }

    /// Opens what is at `path` for reading, without waiting where it is a pipe.
    pub(crate) fn file(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        self.open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)
    }

    /// What is at `path` now. Only for comparing: links among its folders are followed.
    pub(crate) fn look(&self, path: &[u8]) -> Result<Stat, Errno> {
        fs::statat(&self.root, path, AtFlags::SYMLINK_NOFOLLOW)
    }

    fn open(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        if path.is_empty() {
            return fs::openat(&self.root, ".", flags, Mode::empty());
        }
        if !path.split(|&byte| byte == b'/').all(is_name) {
            return Err(Errno::INVAL);
        }
        #[cfg(target_os = "linux")]
        if self.at_once.load(Ordering::Relaxed) {
            match self.open_at_once(path, flags) {
                // too old a kernel, or a sandbox that does not know the call
                Err(Errno::NOSYS | Errno::PERM) => self.at_once.store(false, Ordering::Relaxed),
                done => return done,
            }
        }
        self.open_by_parts(path, flags)
    }

    #[cfg(target_os = "linux")]
    fn open_at_once(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        use rustix::fs::ResolveFlags as Resolve;
        let resolve = Resolve::BENEATH | Resolve::NO_SYMLINKS | Resolve::NO_MAGICLINKS;
        let mut races = 0;
        loop {
            match fs::openat2(&self.root, path, flags, Mode::empty(), resolve) {
                Err(Errno::AGAIN) if races < RACES_MAX => races += 1,
                Err(Errno::INTR) => {}
                done => return done,
            }
        }
    }

    fn open_by_parts(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        let folder = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut here: Option<OwnedFd> = None;
        let mut parts = path.split(|&byte| byte == b'/').peekable();
        while let Some(part) = parts.next() {
            let flags = if parts.peek().is_some() { folder } else { flags };
            let parent = here.as_ref().map_or(self.root.as_fd(), |fd| fd.as_fd());
            here = Some(fs::openat(parent, part, flags, Mode::empty())?);
        }
        here.ok_or(Errno::INVAL)
    }
}

/// Can this be the name of a file or folder?
pub(crate) fn is_name(part: &[u8]) -> bool {
    !matches!(part, b"" | b"." | b"..") && !part.contains(&0) && !part.contains(&b'/')
}

/// What kind of thing it is.
pub(crate) fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// Its size in bytes.
pub(crate) fn size(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}

/// Modification time in nanoseconds since 1970.
pub(crate) fn modified_ns(stat: &Stat) -> i64 {
    nanoseconds(stat.st_mtime, stat.st_mtime_nsec)
}

/// Time of the last change of anything, also of its name and rights.
pub(crate) fn changed_ns(stat: &Stat) -> i64 {
    nanoseconds(stat.st_ctime, stat.st_ctime_nsec)
}

fn nanoseconds(seconds: i64, rest: impl TryInto<i64>) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(rest.try_into().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::sync::atomic::Ordering;

    use super::Beneath;

    #[test]
    fn both_ways_open_the_same_and_refuse_the_same() {
        let tree = tempfile::tempdir().expect("a directory");
        std::fs::create_dir_all(tree.path().join("in/a")).expect("folders");
        std::fs::write(tree.path().join("in/a/f"), "x").expect("a file");
        std::fs::write(tree.path().join("secret"), "s").expect("a file");
        symlink("a", tree.path().join("in/link")).expect("a link");
        symlink("../secret", tree.path().join("in/out")).expect("a link");
        let beneath = Beneath::new(&tree.path().join("in")).expect("it opens");
        for at_once in [cfg!(target_os = "linux"), false] {
            beneath.at_once.store(at_once, Ordering::Relaxed);
            assert!(beneath.file(b"a/f").is_ok());
            assert!(beneath.directory(b"").is_ok() && beneath.directory(b"a").is_ok());
            for refused in
                ["link/f", "out", "../secret", "a/../a/f", "/a/f", "a//f", "a/f/", "a/f/b", "./a/f", "link"]
            {
                assert!(beneath.file(refused.as_bytes()).is_err(), "{refused} at once: {at_once}");
            }
        }
    }
}
