//! Trees of files: written from a map, read back into one, copied, and compared with a readable difference.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use tempfile::TempDir;

/// Relative path to bytes; folders without files are not part of it.
pub type Tree = BTreeMap<PathBuf, Vec<u8>>;

/// How many differing files a difference names before it only counts.
const NAMED: usize = 20;

/// How many bytes around the first differing one a difference shows.
const SHOWN: usize = 48;

/// A tree of files in a temporary folder that goes away with the value.
#[derive(Debug)]
pub struct TempTree {
    folder: TempDir,
}

impl TempTree {
    /// An empty folder.
    ///
    /// # Panics
    /// If the temporary folder cannot be made.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "making a folder on disk is no default value")]
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("repot-").tempdir();
        Self { folder: folder.expect("the temporary folder can be written") }
    }

    /// A folder with these files.
    ///
    /// # Panics
    /// If a file cannot be written or its path leaves the folder.
    #[must_use]
    pub fn with<P: AsRef<Path>, B: AsRef<[u8]>>(files: impl IntoIterator<Item = (P, B)>) -> Self {
        let tree = Self::new();
        for (path, bytes) in files {
            tree.write(path, bytes);
        }
        tree
    }

    /// Where the folder is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A path inside the folder.
    #[must_use]
    pub fn join(&self, path: impl AsRef<Path>) -> PathBuf {
        self.path().join(path)
    }

    /// Writes a file, with the folders above it.
    ///
    /// # Panics
    /// If the file cannot be written or its path leaves the folder.
    pub fn write(&self, path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) {
        write_file(self.path(), path.as_ref(), bytes.as_ref())
            .expect("a file of a temporary tree can be written");
    }

    /// Removes a file.
    ///
    /// # Panics
    /// If it is not there.
    pub fn remove(&self, path: impl AsRef<Path>) {
        fs::remove_file(self.join(path)).expect("the file to remove is there");
    }

    /// The files as they are now.
    ///
    /// # Panics
    /// If one cannot be read.
    #[must_use]
    pub fn read(&self) -> Tree {
        read_tree(self.path()).expect("a temporary tree can be read")
    }
}

/// Writes every file of `tree` under `root`.
///
/// # Errors
/// If a file cannot be written, or a path is absolute or holds `..`.
pub fn write_tree(root: &Path, tree: &Tree) -> io::Result<()> {
    tree.iter().try_for_each(|(path, bytes)| write_file(root, path, bytes))
}

/// Reads every file under `root`, with paths relative to it.
///
/// # Errors
/// If a folder or file cannot be read, or one is neither (a link may point out of the tree).
pub fn read_tree(root: &Path) -> io::Result<Tree> {
    let mut tree = Tree::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder))? {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() {
                tree.insert(path, fs::read(entry.path())?);
            } else {
                return Err(io::Error::other(format!(
                    "{} is neither file nor folder",
                    entry.path().display()
                )));
            }
        }
    }
    Ok(tree)
}

/// Copies every file under `from` to `to`, which is made if missing.
///
/// # Errors
/// If a file cannot be read or written.
pub fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    write_tree(to, &read_tree(from)?)
}

/// What differs between two trees, a file a line, or `None` if nothing does.
#[must_use]
pub fn difference(left: &Tree, right: &Tree) -> Option<String> {
    let paths: BTreeSet<&PathBuf> = left.keys().chain(right.keys()).collect();
    let lines = paths.iter().filter_map(|path| {
        let shown = path.display();
        match (left.get(*path), right.get(*path)) {
            (Some(bytes), None) => Some(format!("only left:  {shown} ({} bytes)", bytes.len())),
            (None, Some(bytes)) => Some(format!("only right: {shown} ({} bytes)", bytes.len())),
            (Some(left), Some(right)) if left != right => {
                Some(first_difference(&shown.to_string(), left, right))
            }
            _ => None,
        }
    });
    let lines: Vec<String> = lines.collect();
    if lines.is_empty() {
        return None;
    }
    let mut text = format!("{} of {} files differ\n", lines.len(), paths.len());
    for line in lines.iter().take(NAMED) {
        text.push_str(line);
        text.push('\n');
    }
    if lines.len() > NAMED {
        writeln!(text, "and {} more", lines.len() - NAMED).expect("writing to a string cannot fail");
    }
    Some(text)
}

/// Fails unless the files under both folders are the same, byte for byte.
///
/// # Panics
/// With the difference, or if a folder cannot be read.
#[expect(clippy::panic, reason = "an assertion fails by panicking")]
#[track_caller]
pub fn assert_same_trees(left: &Path, right: &Path) {
    let read = |root: &Path| read_tree(root).expect("the tree to compare can be read");
    if let Some(text) = difference(&read(left), &read(right)) {
        panic!("left {} and right {} differ: {text}", left.display(), right.display());
    }
}

fn write_file(root: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    if !path.components().all(|part| matches!(part, Component::Normal(_))) {
        return Err(io::Error::other(format!("{} is not a plain relative path", path.display())));
    }
    let full = root.join(path);
    if let Some(parent) = full.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(full, bytes)
}

fn first_difference(path: &str, left: &[u8], right: &[u8]) -> String {
    let same = left.iter().zip(right).take_while(|(left, right)| left == right).count();
    let line = left.iter().take(same).filter(|byte| **byte == b'\n').count() + 1;
    let from = same.saturating_sub(SHOWN / 2);
    let window = |bytes: &[u8]| {
        let part: Vec<u8> = bytes.iter().skip(from).take(SHOWN).copied().collect();
        part.escape_ascii().to_string()
    };
    format!(
        "different:  {path} at byte {same}, line {line} ({} and {} bytes)\n  left:  {}\n  right: {}",
        left.len(),
        right.len(),
        window(left),
        window(right)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> TempTree {
        TempTree::with([("a.json", "{\"a\": 1}"), ("deep/er/b.json", "[]"), ("deep/c.md", "line\nline\n")])
    }

    #[test]
    fn what_is_written_is_read_back() {
        let tree = sample().read();
        assert_eq!(
            tree.keys().map(|path| path.to_str().unwrap()).collect::<Vec<_>>(),
            ["a.json", "deep/c.md", "deep/er/b.json"]
        );
        assert_eq!(tree[Path::new("a.json")], b"{\"a\": 1}");
    }

    #[test]
    fn a_copy_is_the_same() {
        let (from, to) = (sample(), TempTree::new());
        copy_tree(from.path(), to.path()).unwrap();
        assert_same_trees(from.path(), to.path());
        assert_eq!(difference(&from.read(), &to.read()), None);
    }

    #[test]
    fn a_difference_names_every_file_and_place() {
        let (left, right) = (sample(), sample());
        right.write("deep/c.md", "line\nlime\n");
        right.write("new", "12");
        left.write("old", "");
        let text = difference(&left.read(), &right.read()).unwrap();
        let expected = "3 of 5 files differ\ndifferent:  deep/c.md at byte 7, line 2 (10 and 10 bytes)\n  left:  line\\nline\\n\n  right: line\\nlime\\n\nonly right: new (2 bytes)\nonly left:  old (0 bytes)\n";
        assert_eq!(text, expected);
    }

    #[test]
    #[should_panic(expected = "1 of 3 files differ")]
    fn unequal_trees_fail_the_assertion() {
        let (left, right) = (sample(), sample());
        right.remove("a.json");
        assert_same_trees(left.path(), right.path());
    }

    #[test]
    fn paths_out_of_the_tree_are_refused() {
        for path in ["../x", "/x", "a/../../x"] {
            let tree = Tree::from([(PathBuf::from(path), Vec::new())]);
            assert!(write_tree(TempTree::new().path(), &tree).is_err(), "{path}");
        }
    }
}
