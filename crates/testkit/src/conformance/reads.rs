//! Reading.

use repot_core::Kind;
use repot_core::store::{DocumentKey, Scope, StoreExt as _};

use super::subject::{Subject, body, note};

/// `get` of an absent document is `None`, `exists` is false.
pub async fn an_absent_document_is_none(subject: Subject) {
    let store = subject.store;
    assert_eq!(store.get(&note("a")).await.unwrap(), None);
    assert!(!store.exists(&note("a")).await.unwrap());
    store.put(&note("b"), body("b", "there")).await.unwrap();
    assert_eq!(store.get(&note("a")).await.unwrap(), None);
    // what only looks like it: a longer key, a key with the other's suffix
    assert_eq!(store.get(&note("b.json")).await.unwrap(), None);
    assert_eq!(store.get(&note("")).await.unwrap(), None);
}

/// A collection that the model does not have is not found, whatever is asked of it.
pub async fn an_unknown_collection_is_not_found(subject: Subject) {
    let store = subject.store;
    let key = DocumentKey::new("nothing", "a");
    let errors = [
        store.get(&key).await.unwrap_err(),
        store.exists(&key).await.unwrap_err(),
        store.put(&key, "{}").await.unwrap_err(),
        store.delete(&key, Default::default()).await.unwrap_err(),
        store.list(&Scope::of("nothing"), None, 10).await.unwrap_err(),
        // rows inside documents are no documents
        store.get(&DocumentKey::new("marks", "1")).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!((error.kind(), error.code()), (Kind::NotFound, "R0402"), "{error}");
    }
    assert!(store.collections().contains(&"notes".to_owned()));
    assert!(!store.collections().contains(&"marks".to_owned()));
}

/// The bytes that were put come back, with the `ETag` that the put gave.
pub async fn what_was_put_is_read_back(subject: Subject) {
    let store = subject.store;
    let etag = store.put(&note("a"), body("a", "one")).await.unwrap();
    let read = store.require(&note("a")).await.unwrap();
    assert_eq!((read.key, read.etag, read.body.to_vec()), (note("a"), etag, body("a", "one")));
    assert!(store.exists(&note("a")).await.unwrap());
    let etag = store.put(&note("a"), body("a", "two, longer than one")).await.unwrap();
    let read = store.require(&note("a")).await.unwrap();
    assert_eq!((read.etag, read.body.to_vec()), (etag, body("a", "two, longer than one")));
    store.put(&note("a"), body("a", "")).await.unwrap();
    assert_eq!(store.require(&note("a")).await.unwrap().body.to_vec(), body("a", ""));
}

/// A document can be a text that is no JSON where the model says so.
pub async fn a_body_can_be_no_json(subject: Subject) {
    let store = subject.store;
    let key = DocumentKey::new("pages", "start");
    let text = "# Start\r\n\r\n{ not JSON\n";
    store.put(&key, text).await.unwrap();
    assert_eq!(store.require(&key).await.unwrap().body, text);
}

/// `require` of an absent document is an error.
pub async fn a_document_that_must_be_there(subject: Subject) {
    let error = subject.store.require(&note("a")).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::NotFound, "R0402"), "{error}");
    assert!(error.message().contains("notes/a"), "{error}");
}
