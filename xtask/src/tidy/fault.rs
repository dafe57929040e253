//! A fault is a place and what to do about it; tidy fails if any rule finds one.

use std::fmt;

use super::repository::Repository;
use super::{lock, markdown, sizes, test_modules, words};
use crate::command::root;

/// Something against the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// Relative to the repository.
    pub(super) file: String,
    /// Counted from one.
    pub(super) line: usize,
    /// What is wrong and what to do.
    pub(super) advice: String,
}

impl Fault {
    pub(super) fn new(file: &str, line: usize, advice: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line, advice: advice.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.advice)
    }
}

/// All faults of a repository, rule by rule.
fn faults(repository: &Repository) -> Vec<Fault> {
    let rules = [sizes::check, test_modules::check, words::check, lock::check, markdown::check];
    rules.iter().flat_map(|rule| rule(repository)).collect()
}

/// Checks this repository.
pub(crate) fn run() -> Result<(), String> {
    let repository = Repository::tracked(&root())?;
    let faults = faults(&repository);
    if faults.is_empty() {
        println!("tidy: {} files, nothing to do", repository.len());
        return Ok(());
    }
    for fault in &faults {
        println!("{fault}");
    }
    Err(format!("tidy found {} things to do", faults.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_in_order_has_no_faults() {
        let main = "//! Starts.\nmod lib;\n";
        let repository = Repository::of([
            ("crates/a/src/lib.rs", "//! A.\n"),
            ("crates/a/tests/it/main.rs", "//! Tests.\nmod one;\n"),
            ("crates/a/tests/it/one.rs", "//! One.\n"),
            ("crates/b/src/main.rs", main),
            ("Cargo.lock", "[[package]]\nname = \"serde\"\n"),
            ("README.md", "[guide](docs/guide.md)\n"),
            ("docs/guide.md", "[back](../README.md#top) [web](https://example.com/x)\n"),
        ]);
        assert_eq!(faults(&repository), []);
    }

    #[test]
    fn every_rule_is_asked() {
        let repository = Repository::of([
            ("crates/a/src/lib.rs", "//! A.\n".repeat(151).as_str()),
            ("crates/a/tests/it/main.rs", ""),
            ("crates/a/tests/it/one.rs", concat!("#[ign", "ore]\n")),
            ("Cargo.lock", "[[package]]\nname = \"native-tls\"\n"),
            ("README.md", "[guide](docs/guide.md)\n"),
        ]);
        let files: Vec<String> =
            faults(&repository).iter().map(|fault| format!("{}:{}", fault.file, fault.line)).collect();
        let expected = [
            "crates/a/src/lib.rs:151",
            "crates/a/tests/it/one.rs:1",
            "crates/a/tests/it/one.rs:1",
            "Cargo.lock:2",
            "README.md:1",
        ];
        assert_eq!(files, expected);
    }
}
