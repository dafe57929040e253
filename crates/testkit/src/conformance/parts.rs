//! Parts of documents.

use std::sync::Arc;

use repot_core::Kind;
use repot_core::store::{Change, DocumentKey, ETag, Pointer, Precondition, StoreExt as _};

use super::subject::{Subject, note};

const TEXT: &str = "{\n  \"id\": \"a\",\n  \"count\": 1.0,\n  \"more\": {\"n\": 1e400, \"n\": 1.10},\n  \"marks\": [{\"word\": \"x\"}]\n}\n";

fn at(pointer: &str) -> Pointer {
    Pointer::parse(pointer).unwrap()
}

fn set(pointer: &str, value: &'static str) -> Change {
    Change::Set { at: at(pointer), value: value.into() }
}

/// A part is read as it stands, and changed without another byte changing.
pub async fn a_part_is_read_and_changed(subject: Subject) {
    let store = subject.store;
    assert_eq!(store.get_part(&note("a"), "/count").await.unwrap(), None);
    let was = store.put(&note("a"), TEXT).await.unwrap();
    assert_eq!(store.get_part(&note("a"), "/more/n").await.unwrap().unwrap(), "1.10");
    assert_eq!(store.get_part(&note("a"), "/marks/0").await.unwrap().unwrap(), r#"{"word": "x"}"#);
    assert_eq!(store.get_part(&note("a"), "/nothing").await.unwrap(), None);
    assert_eq!(store.get_part(&note("a"), "count").await.unwrap_err().code(), "R0407");
    let now = store.change(&note("a"), set("/marks/0/word", r#""y""#), Precondition::Any).await.unwrap();
    assert_ne!(now, was);
    let read = store.require(&note("a")).await.unwrap();
    assert_eq!((read.etag, read.body), (now, TEXT.replace("\"x\"", "\"y\"").into()));
    store.change(&note("a"), Change::Remove { at: at("/marks/0") }, Precondition::Any).await.unwrap();
    assert_eq!(store.get_part(&note("a"), "/marks").await.unwrap().unwrap(), "[]");
}

/// Merge Patch and JSON Patch change what they name.
pub async fn patches_change_what_they_name(subject: Subject) {
    let store = subject.store;
    store.put(&note("a"), TEXT).await.unwrap();
    let merge = Change::Merge(r#"{"count": 2, "marks": null}"#.into());
    store.change(&note("a"), merge, Precondition::Any).await.unwrap();
    let read = store.require(&note("a")).await.unwrap();
    assert_eq!(
        read.body,
        "{\n  \"id\": \"a\",\n  \"count\": 2,\n  \"more\": {\"n\": 1e400, \"n\": 1.10}\n}\n"
    );
    let patch = r#"[{"op": "test", "path": "/count", "value": 2.0}, {"op": "remove", "path": "/more"}]"#;
    store.change(&note("a"), Change::Patch(patch.into()), Precondition::Any).await.unwrap();
    let read = store.require(&note("a")).await.unwrap();
    assert_eq!(read.body, "{\n  \"id\": \"a\",\n  \"count\": 2\n}\n");
    let patch = r#"[{"op": "remove", "path": "/count"}, {"op": "test", "path": "/id", "value": "b"}]"#;
    let error = store.change(&note("a"), Change::Patch(patch.into()), Precondition::Any).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Conflict, "R0408"), "{error}");
    assert_eq!(store.require(&note("a")).await.unwrap().body, read.body);
}

/// A change that cannot be made or breaks the model is refused and changes nothing.
pub async fn a_wrong_change_changes_nothing(subject: Subject) {
    let store = subject.store;
    let etag = store.put(&note("a"), TEXT).await.unwrap();
    for (change, code) in [
        (set("/count", r#""many""#), "R0404"),
        (set("/id", r#""b""#), "R0404"),
        (set("/nothing/at/all", "1"), "R0407"),
        (set("/count", "{"), "R0407"),
        (Change::Remove { at: at("/nothing") }, "R0407"),
        (Change::Append { list: at("/count"), element: "1".into() }, "R0407"),
        (Change::Append { list: at("/marks"), element: r#"{"word": 7}"#.into() }, "R0404"),
        (Change::Patch("{}".into()), "R0407"),
        (Change::Merge("[".into()), "R0407"),
    ] {
        let error = store.change(&note("a"), change, Precondition::Any).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Invalid, code), "{error}");
    }
    let read = store.require(&note("a")).await.unwrap();
    assert_eq!((read.etag, read.body), (etag, TEXT.into()));
}

/// A change needs the document, and the state if one is named.
pub async fn a_change_needs_its_document(subject: Subject) {
    let store = subject.store;
    let change = || set("/count", "5");
    for key in [note("a"), note(".."), DocumentKey::new("nothing", "a")] {
        let error = store.change(&key, change(), Precondition::Any).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::NotFound, "R0402"), "{error}");
    }
    let never = Precondition::Matches(ETag::new("never-given"));
    assert_eq!(store.change(&note("a"), change(), never).await.unwrap_err().code(), "R0401");
    let one = store.put(&note("a"), TEXT).await.unwrap();
    let two = store.change(&note("a"), change(), Precondition::Matches(one.clone())).await.unwrap();
    let error = store.change(&note("a"), set("/count", "6"), Precondition::Matches(one)).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Conflict, "R0401"), "{error}");
    assert_eq!(store.require(&note("a")).await.unwrap().etag, two);
    let error = store.change(&note("a"), change(), Precondition::Absent).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid, "{error}");
}

/// Appends by many at once are all in the list, each once, and nobody is turned away.
pub async fn appends_by_many_lose_nothing(subject: Subject) {
    const TASKS: usize = 16;
    const TIMES: usize = 10;
    let store = subject.store;
    store.put(&note("a"), r#"{"id": "a"}"#).await.unwrap();
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for time in 0..TIMES {
                    let element = format!(r#"{{"word": "w{task}-{time}"}}"#);
                    store.append(&note("a"), "/marks", element).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let text = String::from_utf8(store.require(&note("a")).await.unwrap().body.to_vec()).unwrap();
    assert_eq!(text.matches("\"word\"").count(), TASKS * TIMES);
    for (task, time) in (0..TASKS).flat_map(|task| (0..TIMES).map(move |time| (task, time))) {
        assert_eq!(text.matches(&format!("\"w{task}-{time}\"")).count(), 1);
    }
}
