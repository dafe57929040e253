//! Real sets: every file has a place, and the model is one the language accepts.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use repot_model::language::{Model, Place, Span, check, parse, print};

use crate::corpora::{Files, found, look};
use crate::splits::takes_all;

const SETS: [&str; 15] = [
    "dramas/bucket",
    "dramas/native",
    "media/library",
    "media/api",
    "media/native",
    "userdb/users",
    "userdb/native",
    "i18n/tmp",
    "chats/data",
    "chats/trajectories",
    "chats/native",
    "compat/bcd-small",
    "tricky/nativejson",
    "tricky/jsontestsuite",
    "tricky",
];

fn walk(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("a folder of the set") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { walk(&path, out) } else { out.push(path) }
    }
}

fn read(root: &Path) -> Files {
    let mut paths = Vec::new();
    walk(root, &mut paths);
    Files::new(paths.into_iter().map(|path| {
        let name = path
            .strip_prefix(root)
            .expect("it lies there")
            .to_str()
            .expect("the sets' names are UTF-8")
            .to_owned();
        (name, std::fs::read(&path).expect("a readable file"))
    }))
}

#[expect(clippy::disallowed_methods, reason = "where the real data is, only the environment knows")]
fn data() -> Option<PathBuf> {
    match std::env::var("REPOT_SHARED_DATA") {
        Ok(folder) => Some(PathBuf::from(folder)),
        Err(_) if std::env::var("REPOT_REQUIRE_DATA").is_ok_and(|value| value == "1") => {
            panic!("REPOT_REQUIRE_DATA=1, but REPOT_SHARED_DATA does not say where the data is")
        }
        Err(_) => {
            println!("skipped: REPOT_SHARED_DATA does not say where the real data is");
            None
        }
    }
}

/// The language has nothing against the model, and reads back what it prints.
fn accepted(set: &str, model: &Model) {
    let problems = check(model, "repot.toml");
    assert!(
        problems.is_empty(),
        "{set}: {}",
        problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    );
    let text = print(model);
    let read = parse(&text, "repot.toml", &|_| None).unwrap_or_else(|problems| {
        panic!("{set}: {}\n{text}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    });
    assert_eq!(bare(read), bare(model.clone()), "{set}");
}

/// Without spans and evidence, which a file does not keep.
fn bare(mut model: Model) -> Model {
    for collection in &mut model.collections {
        collection.span = Span::default();
        for field in &mut collection.fields {
            field.span = Span::default();
            field.evidence = None;
        }
        for index in &mut collection.unique {
            index.span = Span::default();
        }
    }
    model
}

#[test]
fn every_file_of_the_real_sets_has_a_place() {
    let Some(data) = data() else { return };
    for set in SETS {
        let files = read(&data.join(set));
        let said = look(&files);
        println!("{set}:\n  {}", found(&said).join("\n  "));
        for (path, _) in &files.0 {
            let places = said.model.collections.iter().filter(|one| match &one.place {
                Place::Files(templates) | Place::InFiles { templates, .. } => {
                    templates.iter().any(|template| template.matches(path).is_some())
                }
                _ => false,
            });
            assert!(places.count() > 0, "{set}: nothing matches {path}");
        }
        accepted(set, &said.model);
        takes_all(set, &said.model, &files);
        for collection in &said.model.collections {
            let names: BTreeSet<_> =
                collection.fields.iter().map(|field| field.name.to_ascii_lowercase()).collect();
            assert_eq!(names.len(), collection.fields.len(), "{set}: a name twice in {}", collection.name);
            assert!(collection.fields.iter().any(|field| field.key), "{set}: {} has no key", collection.name);
            assert!(names.iter().all(|name| name.len() <= 63), "{set}: a long name in {}", collection.name);
        }
    }
}

#[test]
fn known_sets_get_the_tables_a_person_would_draw() {
    let Some(data) = data() else { return };
    for (set, expected) in [
        ("chats/data", &["conversations", "utterances", "annotations"][..]),
        ("dramas/bucket", &["dramas", "characters", "relations", "episodes", "scenes", "lines", "assets"]),
        ("media/library", &["movies"]),
        ("i18n/tmp", &["batches", "batch_input", "content", "app"]),
    ] {
        let said = look(&read(&data.join(set)));
        for name in expected {
            assert!(said.model.collection(name).is_some(), "{set}: no {name} in {:?}", found(&said));
        }
    }
}
