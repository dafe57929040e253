//! What becomes of a write that met another state than its caller knew.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use repot_core::combinator::{Backoff, ConflictCounts, Reconcile, Strategy};
use repot_core::store::{
    BucketStore, Change, DocumentKey, ETag, MemoryObjects, Objects as _, Pointer, Precondition, Store,
    StoreExt as _, UnitOfWork, Write,
};
use repot_core::{Error, Kind, Retry};
use repot_testkit::QuickPacing;
use repot_testkit::conformance::{DOCUMENT_BYTES_MAX, Subject, layout};

use crate::gate::Gate;

fn subject() -> Subject {
    Subject { store: Arc::new(over(&Arc::new(MemoryObjects::new())).0), keep: Box::new(()) }
}

repot_testkit::conformance!(reconcile, super::subject());

fn over(objects: &Arc<impl repot_core::store::Objects>) -> (Reconcile, Arc<QuickPacing>) {
    let pacing = Arc::new(QuickPacing::default());
    let store = BucketStore::new(Arc::clone(objects) as _, layout(), DOCUMENT_BYTES_MAX);
    (Reconcile::new(Arc::new(store), &layout(), Arc::clone(&pacing) as _, 1 << 20), pacing)
}

fn with(strategy: Strategy) -> (Reconcile, Arc<QuickPacing>) {
    let (store, pacing) = over(&Arc::new(MemoryObjects::new()));
    (store.with("notes", strategy), pacing)
}

fn key() -> DocumentKey {
    DocumentKey::new("notes", "a")
}

fn set(at: &str, value: &str) -> Change {
    Change::Set { at: Pointer::parse(at).unwrap(), value: value.to_owned().into() }
}

fn known(etag: &ETag) -> Precondition {
    Precondition::Matches(etag.clone())
}

fn counts(store: &Reconcile) -> (u64, u64, u64) {
    let ConflictCounts { writes, conflicts, settled } =
        store.conflicts().get("notes").copied().unwrap_or_default();
    (writes, conflicts, settled)
}

async fn text(store: &Reconcile) -> String {
    String::from_utf8(store.require(&key()).await.unwrap().body.to_vec()).unwrap()
}

fn assert_conflict(error: &Error) {
    assert_eq!((error.kind(), error.code()), (Kind::Conflict, "R0401"), "{error}");
}

/// Writes twice; gives the `ETag` of the first state, which is no longer there.
async fn overtaken(store: &Reconcile) -> ETag {
    let old = store.put(&key(), r#"{"id": "a", "count": 1}"#).await.unwrap();
    store.put(&key(), r#"{"id": "a", "count": 2}"#).await.unwrap();
    old
}

#[tokio::test]
async fn a_conflict_is_the_callers_unless_a_strategy_is_given() {
    let (store, pacing) = with(Strategy::Reject);
    let old = overtaken(&store).await;
    assert_conflict(&store.replace(&key(), r#"{"id": "a"}"#, &old).await.unwrap_err());
    assert_conflict(&store.change(&key(), set("/count", "3"), known(&old)).await.unwrap_err());
    assert_conflict(&store.delete(&key(), known(&old)).await.unwrap_err());
    store
        .change(&key(), set("/count", "3"), known(&store.require(&key()).await.unwrap().etag))
        .await
        .unwrap();
    assert_eq!((text(&store).await.as_str(), counts(&store)), (r#"{"id": "a", "count": 3}"#, (4, 3, 0)));
    assert_eq!((store.conflicts()["notes"].per_thousand(), pacing.waited().as_millis()), (750, 0));
}

#[tokio::test]
async fn a_change_is_made_again_on_what_is_there() {
    let (store, _) = with(Strategy::Retry);
    let old = overtaken(&store).await;
    let etag = store.change(&key(), set("/title", r#""t""#), known(&old)).await.unwrap();
    assert_eq!(text(&store).await, r#"{"id": "a", "count": 2, "title": "t"}"#);
    // its caller has not seen the count: a whole text cannot overwrite it
    assert_conflict(&store.replace(&key(), r#"{"id": "a", "count": 1}"#, &etag).await.unwrap_err());
    assert_conflict(&store.replace(&key(), r#"{"id": "a"}"#, &old).await.unwrap_err());
    assert_eq!(counts(&store), (3, 3, 1));
    // where the document is gone, there is nothing to change
    store.delete(&key(), Precondition::Any).await.unwrap();
    assert_conflict(&store.change(&key(), set("/count", "9"), known(&old)).await.unwrap_err());
    // what cannot be made is told at once
    store.put(&key(), r#"{"id": "a"}"#).await.unwrap();
    let error = store.change(&key(), set("/count/x", "9"), known(&old)).await.unwrap_err();
    assert_eq!(error.code(), "R0407");
}

#[tokio::test]
async fn trying_ends_and_waits_longer_each_time() {
    let gate = Gate::open();
    let backoff = Backoff { first_ms: 8, most_ms: 20, tries_max: 6 };
    let (store, pacing) = over(&gate);
    let store = store.otherwise(Strategy::Retry).backoff(backoff);
    let old = overtaken(&store).await;
    gate.overtake.store(true, Ordering::Relaxed);
    let error = store.change(&key(), set("/count", "9"), known(&old)).await.unwrap_err();
    assert_conflict(&error);
    assert_eq!(error.may_retry(), Retry::Safe);
    let waited = pacing.waited().as_millis();
    assert!((1..=8 + 16 + 20 + 20 + 20).contains(&waited), "{waited}");
    // the first is turned away before it writes
    assert_eq!(gate.puts.load(Ordering::Relaxed), 2 + 5);
}

#[tokio::test]
async fn the_last_write_wins() {
    let (store, _) = with(Strategy::LastWriteWins);
    let old = overtaken(&store).await;
    let now = store.replace(&key(), r#"{"id": "a", "count": 7}"#, &old).await.unwrap();
    assert_eq!(store.require(&key()).await.unwrap().etag, now);
    assert!(store.delete(&key(), known(&old)).await.unwrap());
    store.replace(&key(), r#"{"id": "a", "count": 8}"#, &old).await.unwrap();
    // a document that must be new is no race
    assert_conflict(&store.create(&key(), r#"{"id": "a"}"#).await.unwrap_err());
    assert_eq!((text(&store).await.as_str(), counts(&store)), (r#"{"id": "a", "count": 8}"#, (3, 3, 3)));
}

#[tokio::test]
async fn both_changes_are_kept() {
    let (store, _) = with(Strategy::Merge);
    let base = store
        .put(&key(), "{\n  \"id\": \"a\",\n  \"count\": 1,\n  \"marks\": [{\"word\": \"x\"}]\n}\n")
        .await
        .unwrap();
    let theirs = set("/count", "2");
    store.change(&key(), theirs, Precondition::Any).await.unwrap();
    store.append(&key(), "/marks", r#"{"word": "y"}"#).await.unwrap();
    let ours = r#"{"id": "a", "count": 1, "marks": [{"word": "x"}, {"word": "z"}], "title": "t"}"#;
    let unseen = store.replace(&key(), ours, &base).await.unwrap();
    let merged = "{\n  \"id\": \"a\",\n  \"count\": 2,\n  \"marks\": [{\"word\": \"x\"}, {\"word\": \"y\"}, {\"word\": \"z\"}],\n  \"title\": \"t\"\n}\n";
    assert_eq!(text(&store).await, merged);
    // who goes on from what was sent, not from what is there, takes nothing back
    let next = r#"{"id": "a", "count": 1, "marks": [{"word": "x"}, {"word": "z"}], "title": "u"}"#;
    store.replace(&key(), next, &unseen).await.unwrap();
    assert_eq!(text(&store).await, merged.replace("\"t\"", "\"u\""));
    // a change of a part is one of the state that it names
    store.change(&key(), set("/more", "true"), known(&base)).await.unwrap();
    assert_eq!(text(&store).await, merged.replace("\"t\"", "\"u\",\n  \"more\": true"));
    assert_eq!(counts(&store), (3, 3, 3));
}

#[tokio::test]
async fn what_both_changed_is_named() {
    let (store, _) = with(Strategy::Merge);
    let old = overtaken(&store).await;
    let current = store.require(&key()).await.unwrap();
    let error = store.replace(&key(), r#"{"id": "a", "count": 3, "title": "t"}"#, &old).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Conflict, "R0414"), "{error}");
    assert_eq!(error.details(), [format!("current ETag: {}", current.etag), "place: /count".to_owned()]);
    assert_eq!(store.require(&key()).await.unwrap(), current);
    // a state that nobody saw go through here
    let stranger = store.replace(&key(), r#"{"id": "a"}"#, &ETag::new("older")).await.unwrap_err();
    assert_conflict(&stranger);
    assert!(stranger.details().iter().any(|detail| detail.contains("not remembered")), "{stranger:?}");
    assert_conflict(&store.delete(&key(), known(&old)).await.unwrap_err());
    assert_eq!(counts(&store), (3, 3, 0));
}

#[tokio::test]
async fn what_the_caller_read_elsewhere_is_merged_too() {
    let objects = Arc::new(MemoryObjects::new());
    let (plain, _) = over(&objects);
    overtaken(&plain).await;
    let read = plain.require(&key()).await.unwrap();
    let (store, _) = over(&objects);
    let store = store.otherwise(Strategy::Merge);
    objects.put("notes/a.json", r#"{"id": "a", "count": 5}"#.into(), &Precondition::Any, None).await.unwrap();
    store.put_from(&read, r#"{"id": "a", "count": 2, "title": "t"}"#).await.unwrap();
    assert_eq!(text(&store).await, r#"{"id": "a", "count": 5, "title": "t"}"#);
}

#[tokio::test]
async fn strategies_are_those_of_the_collection() {
    let (store, _) = over(&Arc::new(MemoryObjects::new()));
    let store = store.otherwise(Strategy::LastWriteWins).with("notes", Strategy::Reject);
    let old = overtaken(&store).await;
    assert_conflict(&store.replace(&key(), r#"{"id": "a"}"#, &old).await.unwrap_err());
    let pair = DocumentKey::of_parts("pairs", &["x", "y"]);
    let body = r#"{"first": "x", "second": "y"}"#;
    store.put(&pair, body).await.unwrap();
    store.replace(&pair, body, &ETag::new("older")).await.unwrap();
    let several = UnitOfWork::default()
        .with(Write::Put { key: pair, body: body.into(), when: Precondition::Any })
        .with(Write::Delete { key: key(), when: known(&old) });
    let error = store.apply(several).await.unwrap_err();
    assert_eq!(error.code(), "R0405", "files have no transactions, whatever the strategy: {error}");
}

/// Each of many writers sets a field of its own in the whole text that it read: none is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_whole_texts_are_merged() {
    let (store, _) = with(Strategy::Merge);
    let backoff = Backoff { tries_max: 1_000, ..Backoff::default() };
    let store = Arc::new(store.backoff(backoff));
    store.put(&key(), r#"{"id": "a"}"#).await.unwrap();
    let tasks: Vec<_> = (0..8)
        .map(|task| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for time in 0..10 {
                    let read = store.require(&key()).await.unwrap();
                    let change = set(&format!("/f{task}-{time}"), "1");
                    let body = change.apply(&read.body, repot_json::Limits::default()).unwrap();
                    store.put_from(&read, body).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let text = text(&store).await;
    assert!((0..8).all(|task| (0..10).all(|time| text.contains(&format!("\"f{task}-{time}\"")))), "{text}");
    assert_eq!(counts(&store).0, 80);
}
