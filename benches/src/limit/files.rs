//! The listing and reading of the limit.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result};

/// Files of a directory, handed out to several threads.
#[derive(Debug)]
pub(super) struct Files {
    paths: Vec<String>,
    next: AtomicUsize,
}

impl Files {
    /// Lists everything below `root`.
    pub(super) fn list(root: &Path) -> Result<Self> {
        let mut paths = Vec::new();
        let mut open = vec![root.to_owned()];
        while let Some(directory) = open.pop() {
            let entries =
                fs::read_dir(&directory).with_context(|| format!("listing {}", directory.display()))?;
            for entry in entries {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    open.push(entry.path());
                } else {
                    let path = entry.path().into_os_string().into_string();
                    paths.push(path.ok().context("the corpora have UTF-8 paths")?);
                }
            }
        }
        Ok(Self { paths, next: AtomicUsize::new(0) })
    }

    /// The next few files; empty when there are no more.
    pub(super) fn take(&self, count: usize) -> &[String] {
        let start = self.next.fetch_add(count, Ordering::Relaxed).min(self.paths.len());
        let end = (start + count).min(self.paths.len());
        &self.paths[start..end]
    }
}

/// Reads a file into a buffer that is used again and again.
pub(super) fn read(path: &str, buffer: &mut Vec<u8>) -> Result<()> {
    buffer.clear();
    let mut file = File::open(path).with_context(|| format!("opening {path}"))?;
    let mut length = 0;
    loop {
        if buffer.len() < length + 16 * 1024 {
            buffer.resize(length + 64 * 1024, 0);
        }
        let count = file.read(&mut buffer[length..]).with_context(|| format!("reading {path}"))?;
        if count == 0 {
            buffer.truncate(length);
            return Ok(());
        }
        length += count;
    }
}
