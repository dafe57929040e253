//! Speed counts only when the work was done: an export must equal its source, byte for byte.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

/// Fails unless `copy` holds exactly the files of `source`; gives back how many.
pub(crate) fn same_tree(source: &Path, copy: &Path) -> Result<usize> {
    let mut files = 0;
    let mut open = vec![(source.to_owned(), copy.to_owned())];
    while let Some((mine, other)) = open.pop() {
        let names = |path: &Path| -> Result<Vec<_>> {
            let entries = fs::read_dir(path).with_context(|| format!("listing {}", path.display()))?;
            let mut names = entries.map(|entry| Ok(entry?.file_name())).collect::<Result<Vec<_>>>()?;
            names.sort_unstable();
            Ok(names)
        };
        let found = names(&mine)?;
        ensure!(found == names(&other)?, "{} and {} hold different files", mine.display(), other.display());
        for name in found {
            let (mine, other) = (mine.join(&name), other.join(&name));
            if mine.is_dir() {
                open.push((mine, other));
            } else {
                ensure!(fs::read(&mine)? == fs::read(&other)?, "{} came back changed", mine.display());
                files += 1;
            }
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::same_tree;

    #[test]
    fn a_missing_an_added_and_a_changed_file_are_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let (a, b) = (directory.path().join("a"), directory.path().join("b"));
        for path in [&a, &b] {
            fs::create_dir_all(path.join("x")).unwrap();
            fs::write(path.join("x/1.json"), "{}").unwrap();
        }
        assert_eq!(same_tree(&a, &b).unwrap(), 1);
        fs::write(b.join("x/1.json"), "{ }").unwrap();
        assert!(same_tree(&a, &b).is_err());
        fs::write(b.join("x/1.json"), "{}").unwrap();
        fs::write(b.join("x/2.json"), "{}").unwrap();
        assert!(same_tree(&a, &b).is_err());
        assert!(same_tree(&b, &a).is_err());
    }
}
