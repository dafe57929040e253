//! What may be a document.

use repot_core::Kind;
use repot_core::store::{DocumentKey, Scope, StoreExt as _};

use super::subject::{DOCUMENT_BYTES_MAX, Subject, body, note};

/// What is no JSON or has a value of another type is refused with its place, and the old state stays.
pub async fn what_breaks_the_model_is_refused(subject: Subject) {
    let store = subject.store;
    let etag = store.put(&note("a"), body("a", "good")).await.unwrap();
    for (text, said) in [
        (r#"{"id": "a", "title": "#, ""),
        (r#"{"id": "a", "count": "many"}"#, "count"),
        (r#"{"id": "a", "title": "longer than twenty letters"}"#, "title"),
        (r#"{"id": "a", "marks": [{"word": "x"}, {"word": 7}]}"#, "word"),
        (r#"["a"]"#, ""),
        ("", ""),
    ] {
        let error = store.put(&note("a"), text).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Invalid, "R0404"), "{text}: {error}");
        assert!(error.message().contains(said), "{text}: {error}");
    }
    assert_eq!(store.put(&note("a"), vec![b'"', 0xff, b'"']).await.unwrap_err().code(), "R0404");
    let read = store.require(&note("a")).await.unwrap();
    assert_eq!((read.etag, read.body.to_vec()), (etag, body("a", "good")));
}

/// A document is put under its own key only.
pub async fn another_key_in_the_body_is_refused(subject: Subject) {
    let store = subject.store;
    let error = store.put(&note("a"), body("b", "x")).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Invalid, "R0404"), "{error}");
    assert_eq!(store.get(&note("a")).await.unwrap(), None);
    assert_eq!(store.get(&note("b")).await.unwrap(), None);
}

/// Beyond the bound it says, the store refuses.
pub async fn too_large_is_refused_before_anything_happens(subject: Subject) {
    let store = subject.store;
    assert_eq!(store.capabilities().document_bytes_max, DOCUMENT_BYTES_MAX);
    let filler = "x".repeat(usize::try_from(DOCUMENT_BYTES_MAX).unwrap());
    let error = store.put(&note("a"), format!("{{\"id\": \"a\", \"f\": \"{filler}\"}}")).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Unsupported, "R0213"), "{error}");
    assert_eq!(store.get(&note("a")).await.unwrap(), None);
}

/// Documents that share a file and have no key but their place in it are not reached one by one.
pub async fn documents_without_a_key_of_their_own_are_refused_plainly(subject: Subject) {
    let store = subject.store;
    assert!(!store.collections().contains(&"points".to_owned()));
    let errors = [
        store.get(&DocumentKey::new("points", "1")).await.unwrap_err(),
        store.put(&DocumentKey::at("points", &[("day", "d")]), "{}").await.unwrap_err(),
        store.list(&Scope::of("points"), None, 1).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!((error.kind(), error.code()), (Kind::Unsupported, "R0427"), "{error}");
        assert!(error.message().contains("points") && error.next_step().is_some(), "{error}");
    }
}
