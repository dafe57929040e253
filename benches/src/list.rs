//! The bare listing that a repeated copy is measured against: path, size and time of every file, in byte order.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context as _, Result};

/// Lists everything below `root`; gives back the number of files.
pub(crate) fn run(root: &Path) -> Result<usize> {
    let mut files: Vec<(String, u64, SystemTime)> = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).with_context(|| format!("listing {}", directory.display()))? {
            let entry = entry?;
            let path = entry.path();
            if entry.file_type()?.is_dir() {
                open.push(path);
            } else {
                let state = entry.metadata()?;
                files.push((path.to_string_lossy().into_owned(), state.len(), state.modified()?));
            }
        }
    }
    files.sort_unstable();
    Ok(files.len())
}
