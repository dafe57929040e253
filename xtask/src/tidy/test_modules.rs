//! No test is forgotten: one integration binary per crate, and every file of it is a module of another.

use super::fault::Fault;
use super::repository::{Repository, file_name, folder};

/// Finds test files that are compiled by nobody, or as a binary of their own.
pub(super) fn check(repository: &Repository) -> Vec<Fault> {
    repository.with_ending(".rs").filter_map(|(path, _)| forgotten(repository, path)).collect()
}

fn forgotten(repository: &Repository, path: &str) -> Option<Fault> {
    let (_, inside) = path.split_once("/tests/").filter(|(owner, _)| !owner.contains("/src"))?;
    let Some(inside) = inside.strip_prefix("it/") else {
        let advice = "a test binary of its own links slowly: make it a module of tests/it/main.rs";
        return (!inside.contains('/')).then(|| Fault::new(path, 1, advice));
    };
    if inside == "main.rs" {
        return None;
    }
    let (place, module) = match file_name(path) {
        "mod.rs" => (folder(folder(path)), file_name(folder(path))),
        name => (folder(path), name.strip_suffix(".rs").unwrap_or(name)),
    };
    let parents = [format!("{place}/main.rs"), format!("{place}/mod.rs"), format!("{place}.rs")];
    let named =
        parents.iter().filter_map(|parent| repository.text(parent)).any(|text| declares(text, module));
    let home = parents.iter().find(|parent| repository.text(parent).is_some()).unwrap_or(&parents[0]);
    (!named)
        .then(|| Fault::new(path, 1, format!("this file is never compiled: add `mod {module};` to {home}")))
}

fn declares(text: &str, module: &str) -> bool {
    let wanted = format!("mod {module};");
    text.lines()
        .map(str::trim)
        .any(|line| line == wanted || line.strip_prefix("pub(crate) ") == Some(wanted.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(files: &[(&str, &str)]) -> Vec<String> {
        check(&Repository::of(files.iter().copied())).iter().map(Fault::to_string).collect()
    }

    #[test]
    fn a_file_that_nobody_names_is_found() {
        let found = faults(&[
            ("crates/a/tests/it/main.rs", "mod one;\n// mod two;\n"),
            ("crates/a/tests/it/one.rs", ""),
            ("crates/a/tests/it/two.rs", ""),
        ]);
        let expected = "crates/a/tests/it/two.rs:1: this file is never compiled: add `mod two;` to crates/a/tests/it/main.rs";
        assert_eq!(found, [expected]);
    }

    #[test]
    fn folders_of_tests_are_followed() {
        let files = [
            ("crates/a/tests/it/main.rs", "mod deep;\nmod flat;"),
            ("crates/a/tests/it/deep/mod.rs", "pub(crate) mod one;"),
            ("crates/a/tests/it/deep/one.rs", ""),
            ("crates/a/tests/it/flat.rs", "mod two;"),
            ("crates/a/tests/it/flat/two.rs", ""),
        ];
        assert_eq!(faults(&files), Vec::<String>::new());
        let mut more = files.to_vec();
        more.push(("crates/a/tests/it/flat/three.rs", ""));
        assert_eq!(faults(&more).len(), 1);
    }

    #[test]
    fn a_second_test_binary_is_found() {
        let found = faults(&[("crates/a/tests/other.rs", ""), ("crates/a/src/tests/unit.rs", "")]);
        assert!(found.len() == 1 && found[0].starts_with("crates/a/tests/other.rs:1: "), "{found:?}");
    }
}
