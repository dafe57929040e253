//! Which paths can be files here, and what stands in their way. Shared by all that writes into a directory.

use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, Mode, OFlags, openat, statat, unlinkat};
use rustix::io::Errno;

use crate::beneath::is_name;
use crate::walk::explain;

/// Longest name of a file or folder, in bytes, on the usual file systems.
const NAME_MAX: usize = 255;
/// Longest path that the operating system takes in one call, with the NUL behind.
const PATH_MAX: usize = 4_096;
/// Names of what is being written in its own folder begin so. They are no data: no listing shows them.
pub(crate) const UNFINISHED: &str = ".repot-unfinished-";

/// Why this path can be no file, whatever the file system.
pub(crate) fn flaw(path: &[u8]) -> Option<&'static str> {
    for part in path.split(|&byte| byte == b'/') {
        return Some(match part {
            b"" => "a part of the path is empty",
            b"." | b".." => "the path leads elsewhere",
            part if !is_name(part) => "there is a NUL in the name",
            part if part.len() > NAME_MAX => "a name is longer than 255 bytes",
            part if is_unfinished(part) => "the name is one of Repot's own",
            _ => continue,
        });
    }
    (path.len() >= PATH_MAX).then_some("the path is longer than 4,095 bytes")
}

/// Is it a name of what is being written? Case does not count: to some file systems it is the same name.
pub(crate) fn is_unfinished(name: &[u8]) -> bool {
    name.get(..UNFINISHED.len()).is_some_and(|start| start.eq_ignore_ascii_case(UNFINISHED.as_bytes()))
}

/// What stands in the way of a path, where it is not the operating system that fails.
pub(crate) fn obstacle(error: Errno) -> Option<String> {
    match error {
        Errno::NOTDIR | Errno::LOOP => Some("a file or link stands where a folder is needed".to_owned()),
        Errno::ISDIR | Errno::NOTEMPTY | Errno::EXIST => Some("a folder of that name is there".to_owned()),
        Errno::NAMETOOLONG | Errno::ILSEQ | Errno::INVAL | Errno::XDEV => Some(explain(error)),
        _ => None,
    }
}

/// Folder and name.
pub(crate) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    path.iter()
        .rposition(|&byte| byte == b'/')
        .map_or((&path[..0], path), |cut| (&path[..cut], &path[cut + 1..]))
}

/// Folders on the way to a folder and itself, the outermost first; none for the root.
pub(crate) fn folders(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ends = path.iter().enumerate().filter(|&(_, &byte)| byte == b'/').map(|(at, _)| at);
    ends.chain((!path.is_empty()).then_some(path.len())).map(|end| &path[..end])
}

/// Can two different names be one file here? Asked with a file in a folder of our own: by case and by Unicode
/// form. `None` when the folder cannot be written.
pub(crate) fn is_folding(staging: &OwnedFd) -> Option<bool> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC;
    let name = "probe-\u{e9}";
    openat(staging, name, flags, Mode::from_raw_mode(0o600)).ok()?;
    let folds = ["PROBE-\u{e9}", "probe-e\u{301}"]
        .iter()
        .any(|other| statat(staging.as_fd(), *other, AtFlags::SYMLINK_NOFOLLOW).is_ok());
    // what is left in the folder is cleared with it
    let _left = unlinkat(staging, name, AtFlags::empty());
    Some(folds)
}

/// Does the folder hold this very name, byte for byte? Looking for it by name would not tell where names fold.
pub(crate) fn holds_name(folder: &OwnedFd, name: &[u8]) -> Result<bool, Errno> {
    let mut found = false;
    each_name(folder, &mut |entry| {
        found = entry.to_bytes() == name;
        !found
    })?;
    Ok(found)
}

/// The names in a folder, until the caller has enough.
pub(crate) fn each_name(folder: &OwnedFd, each: &mut dyn FnMut(&CStr) -> bool) -> Result<(), Errno> {
    let mut dir = Dir::read_from(folder)?;
    while let Some(entry) = dir.read() {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") && !each(entry.file_name()) {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{flaw, folders, is_unfinished, split};

    #[test]
    fn paths_with_a_flaw() {
        for path in ["a", "a/b/c.json", "..x/...", "a b\nc", ".repot", ".repot-unfinished"] {
            assert_eq!(flaw(path.as_bytes()), None, "{path}");
        }
        let long = "n".repeat(256);
        let far = vec!["n".repeat(200); 21].join("/");
        for path in
            ["", "/a", "a/", "a//b", ".", "a/..", "a\0", ".repot-unfinished-1/x", "a/.Repot-Unfinished-1"]
        {
            assert!(flaw(path.as_bytes()).is_some(), "{path}");
        }
        assert!(flaw(long.as_bytes()).is_some() && flaw(far.as_bytes()).is_some());
        assert!(!is_unfinished(b".repot-unfinishe") && is_unfinished(b".repot-unfinished-"));
    }

    #[test]
    fn a_path_and_its_folders() {
        assert_eq!(split(b"a/b/c"), (&b"a/b"[..], &b"c"[..]));
        assert_eq!(split(b"c"), (&b""[..], &b"c"[..]));
        assert_eq!(folders(b"a/b/c").collect::<Vec<_>>(), [&b"a"[..], b"a/b", b"a/b/c"]);
        assert_eq!(folders(b"").count(), 0);
    }
}
