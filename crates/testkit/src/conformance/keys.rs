//! Hostile keys.

use std::collections::BTreeMap;
use std::sync::Arc;

use repot_core::store::{DocumentKey, Scope, Store, StoreExt as _};
use repot_core::{Error, Kind};

use super::listing::all;
use super::subject::{Subject, body, note};

fn hostile() -> Vec<String> {
    let mut keys: Vec<String> = [
        "%",
        "_",
        "'",
        "\"",
        "\\",
        "/",
        ".",
        "..",
        "...",
        "../a",
        "a/b",
        "a/../b",
        "%2F",
        "%252F",
        "a%2Fb",
        "~",
        "*",
        "?",
        "a b",
        " a",
        "a ",
        "\t",
        "\n",
        "a\nb",
        "\0",
        "a\0b",
        "A",
        "a",
        "É",
        "é",
        "e\u{301}",
        "ß",
        "ẞ",
        "\u{202e}x",
        "\u{feff}",
        "-",
        "--help",
        "$HOME",
        "`id`",
        "con",
        "nul.json",
        "a.json",
        ".json",
        ".hidden",
        "{id}",
        "{",
        "}",
        "a;drop table notes",
        "😀",
        "",
    ]
    .iter()
    .map(|key| (*key).to_owned())
    .collect();
    for length in [200, 255, 256, 1_000, 5_000] {
        keys.push("k".repeat(length));
        keys.push("é".repeat(length / 2));
    }
    keys
}

/// Each hostile key is held faithfully, or refused plainly and nothing is there; no two are taken for one another.
pub async fn hostile_keys_are_held_or_refused(subject: Subject) {
    let store = subject.store;
    let mut held = BTreeMap::new();
    for (at, id) in hostile().into_iter().enumerate() {
        let text = body(&id, &format!("t{at}"));
        match store.create(&note(&id), text.clone()).await {
            Ok(_) => {
                held.insert(note(&id).text().to_owned(), text);
            }
            Err(error) => is_refused(&store, &id, &error).await,
        }
    }
    for plain in ["%", "_", "'", "a", "A", "-", "é", "e\u{301}", "{id}", "a b", "a;drop table notes"] {
        let folded = held.keys().any(|key| key.to_lowercase() == plain.to_lowercase() && key != plain);
        assert!(held.contains_key(note(plain).text()) || folded, "{plain:?} is refused");
    }
    are_held(&store, &held).await;
}

/// A refusal is plain, and nothing is there.
async fn is_refused(store: &Arc<dyn Store>, id: &str, error: &Error) {
    assert_eq!(error.kind(), Kind::Invalid, "{id:?}: {error}");
    assert!(matches!(error.code(), "R0403" | "R0404"), "{id:?}: {error}");
    assert_eq!(store.get(&note(id)).await.unwrap(), None, "{id:?}");
    assert!(!store.exists(&note(id)).await.unwrap(), "{id:?}");
}

/// What is held is read, listed and deleted under its key.
async fn are_held(store: &Arc<dyn Store>, held: &BTreeMap<String, Vec<u8>>) {
    for (key, text) in held {
        let read = store.require(&DocumentKey::of_text("notes", key)).await.unwrap();
        assert_eq!(read.body.to_vec(), *text, "{key:?}");
    }
    let mut listed = all(store, &Scope::of("notes"), 7).await;
    listed.sort();
    assert_eq!(listed, held.keys().cloned().collect::<Vec<_>>());
    for key in held.keys() {
        assert!(
            store.delete(&DocumentKey::of_text("notes", key), Default::default()).await.unwrap(),
            "{key:?}"
        );
    }
    assert_eq!(all(store, &Scope::of("notes"), 7).await, Vec::<String>::new());
}

/// Keys of several parts that look alike joined are different keys.
pub async fn hostile_keys_of_several_parts_stay_apart(subject: Subject) {
    let store = subject.store;
    let pairs = [["a", "b"], ["b", "a"], ["ab", "c"], ["a", "bc"], ["a.b", "c"], ["%", "_"], ["a", "b c"]];
    let text = |[first, second]: [&str; 2]| format!(r#"{{"first": "{first}", "second": "{second}"}}"#);
    for pair in pairs {
        store.create(&DocumentKey::of_parts("pairs", &pair), text(pair)).await.unwrap();
    }
    for pair in pairs {
        let read = store.require(&DocumentKey::of_parts("pairs", &pair)).await.unwrap();
        assert_eq!(read.body, text(pair));
    }
    assert_eq!(all(&store, &Scope::of("pairs"), 2).await.len(), pairs.len());
    assert_eq!(store.get(&DocumentKey::new("pairs", "a")).await.unwrap(), None);
    assert_eq!(store.get(&DocumentKey::of_parts("pairs", &["a", "b", "c"])).await.unwrap(), None);
}
