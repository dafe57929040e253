//! Changes of one document that are made together.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::future::{join_all, poll_immediate};
use repot_core::Kind;
use repot_core::store::{
    BucketStore, Change, DocumentKey, MemoryObjects, Objects as _, Pointer, Precondition, Store,
    StoreExt as _,
};
use repot_testkit::conformance::{DOCUMENT_BYTES_MAX, appends_by_several_stores, layout};

use crate::gate::Gate;

fn key() -> DocumentKey {
    DocumentKey::new("notes", "a")
}

async fn store(gate: &Arc<Gate>) -> BucketStore {
    let objects = Arc::clone(gate);
    gate.inner.put("notes/a.json", r#"{"id": "a"}"#.into(), &Precondition::Any, None).await.unwrap();
    BucketStore::new(objects, layout(), DOCUMENT_BYTES_MAX)
}

async fn text(gate: &Gate) -> String {
    let body = gate.inner.get("notes/a.json", 1_000_000).await.unwrap().unwrap().bytes;
    String::from_utf8(body.to_vec()).unwrap()
}

#[tokio::test]
async fn all_that_wait_are_made_with_one_write() {
    let gate = Gate::closed();
    let store = store(&gate).await;
    let appends = join_all((0..64).map(|number| {
        let store = &store;
        async move { store.append(&key(), "/marks", format!(r#"{{"word": "{number}"}}"#)).await }
    }));
    let mut appends = pin!(appends);
    // the first is on its way and waits for its read; the others wait for it
    assert!(poll_immediate(&mut appends).await.is_none());
    gate.reads.add_permits(1_000);
    let etags = appends.await;
    assert_eq!(gate.puts.load(Ordering::Relaxed), 2);
    let last = store.require(&key()).await.unwrap();
    assert_eq!(*etags[63].as_ref().unwrap(), last.etag);
    let words: Vec<String> = (0..64).map(|number| format!(r#"{{"word": "{number}"}}"#)).collect();
    assert_eq!(text(&gate).await, format!(r#"{{"id": "a", "marks": [{}]}}"#, words.join(", ")));
}

#[tokio::test]
async fn one_that_is_refused_does_not_keep_the_others() {
    let gate = Gate::closed();
    let store = store(&gate).await;
    let set =
        |at: &str, value: &'static str| Change::Set { at: Pointer::parse(at).unwrap(), value: value.into() };
    let changes = [
        set("/count", "1"),
        Change::Append { list: Pointer::parse("/marks").unwrap(), element: r#"{"word": 7}"#.into() },
        // alone it breaks the model; that the next would mend it does not help it
        set("/title", "[]"),
        set("/title", r#""t""#),
        Change::Remove { at: Pointer::parse("/nothing").unwrap() },
        Change::Append { list: Pointer::parse("/marks").unwrap(), element: r#"{"word": "x"}"#.into() },
    ];
    let key = key();
    let made = changes.map(|change| store.change(&key, change, Precondition::Any));
    let mut first = pin!(store.change(&key, set("/count", "0"), Precondition::Any));
    assert!(poll_immediate(&mut first).await.is_none());
    let mut made = pin!(join_all(made));
    assert!(poll_immediate(&mut made).await.is_none());
    gate.reads.add_permits(1_000);
    let codes: Vec<_> =
        made.await.iter().map(|done| done.as_ref().err().map(repot_core::Error::code)).collect();
    assert_eq!(codes, [None, Some("R0404"), Some("R0404"), None, Some("R0407"), None]);
    first.await.unwrap();
    assert_eq!(text(&gate).await, r#"{"id": "a", "count": 1, "title": "t", "marks": [{"word": "x"}]}"#);
    assert_eq!(gate.puts.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn who_goes_away_takes_nobody_along() {
    let gate = Gate::closed();
    let store = store(&gate).await;
    let append = |word: &str| {
        let element = format!(r#"{{"word": "{word}"}}"#);
        let store = &store;
        async move { store.append(&key(), "/marks", element).await }
    };
    let mut first = Box::pin(append("first"));
    assert!(poll_immediate(&mut first).await.is_none());
    let mut second = Box::pin(append("second"));
    assert!(poll_immediate(&mut second).await.is_none());
    let mut third = Box::pin(append("third"));
    assert!(poll_immediate(&mut third).await.is_none());
    drop(second);
    drop(first);
    gate.reads.add_permits(1_000);
    third.await.unwrap();
    // the first was on its way, and what the third waits for; the second had not begun
    assert_eq!(text(&gate).await, r#"{"id": "a", "marks": [{"word": "first"}, {"word": "third"}]}"#);

    gate.reads.forget_permits(1_000_000);
    let mut alone = Box::pin(append("alone"));
    assert!(poll_immediate(&mut alone).await.is_none());
    drop(alone);
    gate.reads.add_permits(1_000);
    append("fourth").await.unwrap();
    assert!(!text(&gate).await.contains("alone"));
    assert!(format!("{store:?}").contains("Queues { documents: 0 }"), "nothing is left behind");
}

#[tokio::test]
async fn a_precondition_is_of_one_change_alone() {
    let gate = Gate::open();
    let store = store(&gate).await;
    let read = store.require(&key()).await.unwrap();
    let change = Change::Merge(r#"{"count": 1}"#.into());
    let etag = store.change(&key(), change.clone(), Precondition::Matches(read.etag.clone())).await.unwrap();
    // what the caller knows is what is there
    assert_eq!(gate.inner.head("notes/a.json").await.unwrap().unwrap().etag, Some(etag));
    let error = store.change(&key(), change, Precondition::Matches(read.etag)).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Conflict, "R0401"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_stores_over_one_memory_lose_nothing() {
    let objects = Arc::new(MemoryObjects::new());
    let store = || -> Arc<dyn Store> {
        Arc::new(BucketStore::new(Arc::clone(&objects) as _, layout(), DOCUMENT_BYTES_MAX))
    };
    appends_by_several_stores(&[store(), store()]).await;
}
