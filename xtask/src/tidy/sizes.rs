//! Files stay small enough to be read in one sitting.

use super::fault::Fault;
use super::repository::{Repository, file_name};

/// Any source file.
const FILE: usize = 600;
/// `lib.rs` and `mod.rs`, which hold docs, modules and re-exports only.
const INDEX: usize = 150;
/// The `main.rs` of a program.
const PROGRAM: usize = 60;

/// Finds source files that have grown too long.
pub(super) fn check(repository: &Repository) -> Vec<Fault> {
    let too_long = repository.with_ending(".rs").filter_map(|(path, text)| {
        let (limit, remedy) = limit(path);
        let lines = text.lines().count();
        let advice = || format!("{lines} lines, more than {limit}: {remedy}");
        (lines > limit).then(|| Fault::new(path, limit + 1, advice()))
    });
    too_long.collect()
}

fn limit(path: &str) -> (usize, &'static str) {
    match file_name(path) {
        "lib.rs" | "mod.rs" => {
            (INDEX, "keep docs, modules and re-exports, move the rest to a file of its own")
        }
        "main.rs" if path.ends_with("src/main.rs") => (PROGRAM, "move all but the start to a module"),
        _ => (FILE, "split it by idea"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits_of(path: &str, lines: usize) -> Vec<String> {
        let text = "x\n".repeat(lines);
        check(&Repository::of([(path, text.as_str())])).iter().map(Fault::to_string).collect()
    }

    #[test]
    fn each_kind_of_file_has_its_limit() {
        for (path, limit) in [
            ("crates/a/src/thing.rs", 600),
            ("crates/a/src/lib.rs", 150),
            ("crates/a/src/deep/mod.rs", 150),
            ("crates/a/src/main.rs", 60),
            ("crates/a/tests/it/main.rs", 600),
        ] {
            assert_eq!(limits_of(path, limit), Vec::<String>::new(), "{path}");
            let faults = limits_of(path, limit + 1);
            assert!(
                faults.len() == 1 && faults[0].starts_with(&format!("{path}:{}: ", limit + 1)),
                "{faults:?}"
            );
        }
        assert_eq!(limits_of("docs/long.md", 5000), Vec::<String>::new());
    }
}
