//! Real data, where the shared data folder is there: the JSONTestSuite, and edits of real documents.

use std::path::{Path, PathBuf};

use repot_json::edit::Editor;
use repot_json::{Kind, Limits, Tree};

/// `None`, after saying so, when the data is not there; a failure where it is demanded.
fn shared_data(part: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("REPOT_SHARED_DATA").map(|root| PathBuf::from(root).join(part));
    if let Some(folder) = folder.filter(|folder| folder.is_dir()) {
        return Some(folder);
    }
    let required = std::env::var_os("REPOT_REQUIRE_DATA").is_some_and(|value| value == "1");
    assert!(!required, "REPOT_REQUIRE_DATA=1, but REPOT_SHARED_DATA names no folder with {part}");
    eprintln!("skipped: REPOT_SHARED_DATA names no folder with {part}");
    None
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in folder.read_dir().expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "json") {
            found.push(path);
        }
    }
}

#[test]
fn json_test_suite_is_decided_as_it_says() {
    let Some(folder) = shared_data("tricky/jsontestsuite/test_parsing") else { return };
    let mut paths = Vec::new();
    files(&folder, &mut paths);
    let mut counts = [0, 0, 0];
    for path in &paths {
        let text = std::fs::read(path).expect("a readable file");
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let outcome = Tree::parse(&text, Limits::default());
        match name.split_once('_').map(|(verdict, _)| verdict) {
            Some("y") => {
                counts[0] += 1;
                assert!(outcome.is_ok(), "{name}: {outcome:?}");
            }
            Some("n") => {
                counts[1] += 1;
                assert!(outcome.is_err(), "{name} was accepted");
            }
            Some("i") => counts[2] += 1,
            _ => panic!("{name} has no verdict"),
        }
    }
    assert!(counts[0] >= 90 && counts[1] >= 180 && counts[2] >= 30, "{counts:?} files");
}

#[test]
fn real_documents_come_back_after_an_edit_is_undone() {
    let Some(folder) = shared_data("") else { return };
    let mut paths = Vec::new();
    files(&folder, &mut paths);
    let limits = Limits { depth_max: usize::MAX, ..Limits::default() };
    let mut edited = 0;
    for path in &paths {
        let text = std::fs::read(path).expect("a readable file");
        let Ok(tree) = Tree::parse(&text, limits) else { continue };
        let root = tree.root(&text).expect("scanned");
        let count = u32::try_from(tree.nodes().len()).expect("limited");
        let containers: Vec<u32> = (0..count)
            .filter(|&at| tree.nodes()[at as usize].next > at + 1 && root.at(at).kind() != Kind::Key)
            .collect();
        let Some(&container) = containers.get(containers.len() / 2) else { continue };
        let mut editor = Editor::new(root);
        match root.at(container).kind() {
            Kind::Object => editor.insert_entry(container, "repot \u{1}", r#"{"a":[1,{"b":"é/"}]}"#),
            _ => editor.insert_element(container, usize::MAX, r#"{"a":[1,{"b":"é/"}]}"#),
        }
        let changed = editor.finish();
        let again =
            Tree::parse(&changed, limits).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let root = again.root(&changed).expect("scanned");
        let value = root.at(container);
        let added = value.entries().last().map(|(_, value)| value).or_else(|| value.elements().last());
        let mut editor = Editor::new(root);
        editor.remove_entry(added.expect("inserted").index());
        assert!(editor.finish() == text, "{}", path.display());
        edited += 1;
    }
    assert!(edited > 1_000, "only {edited} of {} files", paths.len());
}
