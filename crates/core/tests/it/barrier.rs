//! Writes behind a barrier.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::{join_all, poll_immediate};
use repot_core::moving::Announcing as _;
use repot_core::store::{
    Barrier, BucketStore, Change, DocumentKey, Edit, Objects as _, Pointer, Precondition, Receipt,
    UnitOfWork, Write, text_etag,
};
use repot_core::{Error, Kind, Result};
use repot_testkit::conformance::{DOCUMENT_BYTES_MAX, layout};
use tokio::sync::oneshot;

use crate::gate::Gate;

const BEFORE: &str = r#"{"id": "a"}"#;
const EVENTS: &str = "{\"id\":\"e\"}\n";

fn barrier() -> (oneshot::Sender<Result<()>>, Barrier) {
    let (pass, over) = oneshot::channel();
    (pass, Barrier::new(async move { over.await.unwrap() }))
}

/// As that of a write which somebody overtook, which is tried again.
fn refused() -> Error {
    refused_as(Kind::Conflict)
}

fn refused_as(kind: Kind) -> Error {
    Error::new(kind, "R0401", "it cannot be passed")
}

async fn store() -> (Arc<Gate>, BucketStore) {
    let gate = Gate::open();
    gate.inner.put("notes/a.json", BEFORE.into(), &Precondition::Any, None).await.unwrap();
    gate.inner.put("events/d.jsonl", EVENTS.into(), &Precondition::Any, None).await.unwrap();
    let store = BucketStore::new(Arc::clone(&gate) as _, layout(), DOCUMENT_BYTES_MAX);
    (gate, store)
}

async fn texts(gate: &Gate) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for object in gate.inner.list("", None, 100).await.unwrap() {
        let body = gate.inner.get(&object.path, 1_000_000).await.unwrap().unwrap().bytes;
        found.push((object.path, String::from_utf8(body.to_vec()).unwrap()));
    }
    found
}

fn append(word: &str) -> Change {
    let element = format!(r#"{{"word": "{word}"}}"#);
    Change::Append { list: Pointer::parse("/marks").unwrap(), element: element.into() }
}

/// Each way to change an object.
async fn writes(gate: &Gate) -> Vec<Write> {
    let (a, b) = (DocumentKey::new("notes", "a"), DocumentKey::new("notes", "b"));
    let there = gate.inner.get("notes/a.json", 100).await.unwrap().unwrap().etag;
    let event = |id: &str| DocumentKey::at("events", &[("day", "d"), ("id", id)]);
    let put = |key: &DocumentKey, body: &'static str, when: Precondition| Write::Put {
        key: key.clone(),
        body: body.into(),
        when,
    };
    let patch = |when: Precondition| Write::Patch { key: a.clone(), change: append("x"), when };
    let edit = Edit::new(|_| Ok(Some(r#"{"id": "a", "count": 1}"#.into())));
    vec![
        put(&a, r#"{"id": "a", "count": 2}"#, Precondition::Any),
        put(&a, r#"{"id": "a", "count": 2}"#, Precondition::Matches(there.clone())),
        put(&b, r#"{"id": "b"}"#, Precondition::Absent),
        patch(Precondition::Any),
        patch(Precondition::Matches(there.clone())),
        Write::Update { key: a.clone(), edit, when: Precondition::Any },
        Write::Delete { key: a.clone(), when: Precondition::Any },
        put(&event("n"), r#"{"id":"n"}"#, Precondition::Any),
        Write::Delete { key: event("e"), when: Precondition::Matches(text_etag(br#"{"id":"e"}"#)) },
    ]
}

fn alone(write: Write) -> UnitOfWork {
    UnitOfWork { writes: vec![write], ..UnitOfWork::default() }
}

#[tokio::test]
async fn nothing_is_changed_before_it_is_passed_nor_where_it_cannot_be() {
    let ways = writes(&store().await.0).await.len();
    for (at, passes) in (0..ways).flat_map(|at| [(at, true), (at, false)]) {
        let (gate, store) = store().await;
        let write = writes(&gate).await.swap_remove(at);
        let said = format!("{write:?}, passes: {passes}");
        let (before, (pass, barrier)) = (texts(&gate).await, barrier());
        let mut written = pin!(store.apply_behind(alone(write), &barrier));
        for _ in 0..10 {
            assert!(poll_immediate(&mut written).await.is_none(), "{said}");
        }
        assert_eq!(texts(&gate).await, before, "{said}");
        pass.send(if passes { Ok(()) } else { Err(refused()) }).unwrap();
        let written: Result<Receipt> = written.await;
        assert_eq!(texts(&gate).await != before, passes, "{said}");
        match written {
            Ok(_) => assert!(passes, "{said}"),
            Err(error) => assert!(!passes && error.message() == refused().message(), "{said}: {error}"),
        }
        assert!(gate.puts.load(Ordering::Relaxed) <= 1, "{said}");
    }
}

/// Changes that are made together wait for all their barriers; one that cannot be passed turns back its own change alone.
#[tokio::test]
async fn who_is_turned_back_does_not_keep_the_others() {
    for kind in [Kind::Conflict, Kind::Fenced] {
        let (gate, store) = store().await;
        let (passes, barriers): (Vec<_>, Vec<_>) = (0..4).map(|_| barrier()).unzip();
        let key = DocumentKey::new("notes", "a");
        let write = |word: &str| {
            let write = Write::Patch { key: key.clone(), change: append(word), when: Precondition::Any };
            alone(write)
        };
        let made = ["0", "1", "2", "3"].iter().zip(&barriers);
        let mut made = pin!(join_all(made.map(|(word, barrier)| store.apply_behind(write(word), barrier))));
        assert!(poll_immediate(&mut made).await.is_none());
        for (at, pass) in passes.into_iter().enumerate().rev() {
            assert!(poll_immediate(&mut made).await.is_none());
            assert_eq!(gate.puts.load(Ordering::Relaxed), 0, "{at} and those before it are not passed");
            pass.send(if at == 2 { Err(refused_as(kind)) } else { Ok(()) }).unwrap();
        }
        let refused: Vec<bool> = made.await.iter().map(Result::is_err).collect();
        assert_eq!(refused, [false, false, true, false]);
        let all = r#"{"id": "a", "marks": [{"word": "0"}, {"word": "1"}, {"word": "3"}]}"#;
        assert_eq!(texts(&gate).await[1].1, all);
    }
}

#[tokio::test]
async fn a_thread_waits_for_it_no_longer_than_it_said() {
    let (pass, waited) = barrier();
    assert!(waited.known().is_none());
    let slow = waited.clone();
    let waits = tokio::task::spawn_blocking(move || slow.passed_within(Duration::from_millis(5)));
    assert!(waits.await.unwrap().is_none());
    let long = waited.clone();
    let waits = tokio::task::spawn_blocking(move || long.passed_within(Duration::from_secs(600)));
    tokio::task::yield_now().await;
    pass.send(Ok(())).unwrap();
    assert!(waits.await.unwrap().unwrap().is_ok());
    assert!(waited.passed().await.is_ok() && waited.known().is_some_and(|passed| passed.is_ok()));
    assert!(Barrier::all(Vec::new()).is_none());
    let (never, broken) = barrier();
    never.send(Err(refused())).unwrap();
    assert_eq!(Barrier::all(vec![waited, broken]).unwrap().passed().await.unwrap_err().code(), "R0401");
}
