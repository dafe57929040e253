//! The folder of one run: a short path (a socket path has 108 bytes at most), open to the servers' account.

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::{BuildHasher, Hasher};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A folder that is removed with the value.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes a folder that nobody else has.
    pub(super) fn create() -> Result<Self, String> {
        let short = Path::new("/tmp");
        let parent = if short.is_dir() { short.to_path_buf() } else { std::env::temp_dir() };
        let chance = RandomState::new().build_hasher().finish() & 0xffff_ffff;
        let path = parent.join(format!("repot-{chance:08x}"));
        let made = fs::create_dir(&path)
            .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o755)));
        made.map_err(|error| format!("the folder {} cannot be made: {error}", path.display()))?;
        Ok(Self { path })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes it and everything in it.
    pub(super) fn remove(self) -> Result<(), String> {
        fs::remove_dir_all(&self.path)
            .map_err(|error| format!("{} cannot be removed: {error}", self.path.display()))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        match fs::remove_dir_all(&self.path) {
            Err(error) if self.path.exists() => {
                eprintln!("warning: {} cannot be removed: {error}", self.path.display());
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_goes_away_with_its_value() {
        let (first, second) = (Folder::create().unwrap(), Folder::create().unwrap());
        assert_ne!(first.path(), second.path());
        let path = first.path().to_path_buf();
        fs::create_dir(path.join("deep")).unwrap();
        fs::write(path.join("deep/file"), "x").unwrap();
        drop(first);
        assert!(!path.exists());
        let path = second.path().to_path_buf();
        second.remove().unwrap();
        assert!(!path.exists());
    }
}
