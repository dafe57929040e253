//! Preconditions and `ETags`.

use repot_core::Kind;
use repot_core::store::{ETag, Precondition, StoreExt as _};

use super::subject::{Subject, body, note};

/// The second `create` conflicts and changes nothing.
pub async fn create_succeeds_once(subject: Subject) {
    let store = subject.store;
    let etag = store.create(&note("a"), body("a", "one")).await.unwrap();
    let error = store.create(&note("a"), body("a", "two")).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Conflict, "R0401"), "{error}");
    let read = store.require(&note("a")).await.unwrap();
    assert_eq!((read.etag, read.body.to_vec()), (etag, body("a", "one")));
    assert!(store.delete(&note("a"), Precondition::Any).await.unwrap());
    store.create(&note("a"), body("a", "three")).await.unwrap();
}

/// `replace` works with the `ETag` of the state that is there, once.
pub async fn replace_needs_the_state_that_is_there(subject: Subject) {
    let store = subject.store;
    let one = store.create(&note("a"), body("a", "one")).await.unwrap();
    let two = store.replace(&note("a"), body("a", "two"), &one).await.unwrap();
    let error = store.replace(&note("a"), body("a", "three"), &one).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Conflict, "R0401"), "{error}");
    assert_eq!(store.require(&note("a")).await.unwrap().body.to_vec(), body("a", "two"));
    store.replace(&note("a"), body("a", "four"), &two).await.unwrap();
}

/// `replace` of an absent document conflicts and makes none.
pub async fn replace_of_what_is_not_there_conflicts(subject: Subject) {
    let store = subject.store;
    let etag = store.create(&note("a"), body("a", "one")).await.unwrap();
    store.delete(&note("a"), Precondition::Any).await.unwrap();
    for etag in [etag, ETag::new("never-given")] {
        let error = store.replace(&note("a"), body("a", "two"), &etag).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Conflict, "R0401"), "{error}");
    }
    assert_eq!(store.get(&note("a")).await.unwrap(), None);
}

/// The error of a lost condition names the `ETag` that is there.
pub async fn a_conflict_names_the_state_and_changes_nothing(subject: Subject) {
    let store = subject.store;
    let one = store.create(&note("a"), body("a", "one")).await.unwrap();
    let two = store.put(&note("a"), body("a", "two")).await.unwrap();
    let mut errors = vec![
        store.create(&note("a"), body("a", "x")).await.unwrap_err(),
        store.replace(&note("a"), body("a", "x"), &one).await.unwrap_err(),
    ];
    if store.capabilities().conditional_delete {
        errors.push(store.delete(&note("a"), Precondition::Matches(one)).await.unwrap_err());
    }
    for error in errors {
        let details = error.details().join(" ");
        assert!(details.contains(two.as_str()), "{error}: {details}");
    }
    let read = store.require(&note("a")).await.unwrap();
    assert_eq!((read.etag, read.body.to_vec()), (two, body("a", "two")));
}

/// A conditional delete works with the state that is there only.
pub async fn delete_needs_the_state_that_is_there(subject: Subject) {
    let store = subject.store;
    let one = store.create(&note("a"), body("a", "one")).await.unwrap();
    if !store.capabilities().conditional_delete {
        let error = store.delete(&note("a"), Precondition::Matches(one)).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Unsupported, "R0405"), "{error}");
        return assert!(store.exists(&note("a")).await.unwrap());
    }
    let two = store.put(&note("a"), body("a", "two")).await.unwrap();
    let error = store.delete(&note("a"), Precondition::Matches(one)).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Conflict, "R0401"), "{error}");
    assert!(store.delete(&note("a"), Precondition::Matches(two.clone())).await.unwrap());
    assert_eq!(store.get(&note("a")).await.unwrap(), None);
    let error = store.delete(&note("a"), Precondition::Matches(two)).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Conflict, "R0401"), "{error}");
}

/// An unconditional delete of what is not there is no error.
pub async fn delete_of_what_is_not_there_says_so(subject: Subject) {
    let store = subject.store;
    assert!(!store.delete(&note("a"), Precondition::Any).await.unwrap());
    store.put(&note("a"), body("a", "one")).await.unwrap();
    assert!(store.delete(&note("a"), Precondition::Any).await.unwrap());
    assert!(!store.delete(&note("a"), Precondition::Any).await.unwrap());
    assert!(!store.exists(&note("a")).await.unwrap());
}

/// Deleting what must be absent is refused.
pub async fn an_absent_document_cannot_be_deleted_as_absent(subject: Subject) {
    let store = subject.store;
    for id in ["a", "..", ""] {
        let error = store.delete(&note(id), Precondition::Absent).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid, "{error}");
    }
    store.put(&note("a"), body("a", "one")).await.unwrap();
    assert_eq!(store.delete(&note("a"), Precondition::Absent).await.unwrap_err().kind(), Kind::Invalid);
    assert!(store.exists(&note("a")).await.unwrap());
}

/// Other bytes, another `ETag`; reading changes none.
pub async fn etags_tell_states_apart(subject: Subject) {
    let store = subject.store;
    let mut seen = Vec::new();
    for title in ["one", "two", "three", "One", "one "] {
        let etag = store.put(&note("a"), body("a", title)).await.unwrap();
        assert_eq!(store.require(&note("a")).await.unwrap().etag, etag);
        assert!(!etag.as_str().contains('"'), "{etag}");
        assert!(!seen.contains(&etag), "{etag} again");
        seen.push(etag);
    }
}
