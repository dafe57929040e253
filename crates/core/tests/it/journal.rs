//! Units of work over several objects: all or nothing, whatever goes wrong on the way.

use std::sync::Arc;

use futures_util::future::poll_immediate;
use repot_core::store::{
    BucketStore, DocumentKey, ETag, Journal, MemoryObjects, Objects, Precondition, Recovery, Store,
    StoreExt as _, UnitOfWork, Write, Written,
};
use repot_core::{Kind, Retry};
use repot_testkit::QuickPacing;
use repot_testkit::conformance::{DOCUMENT_BYTES_MAX, Subject, layout};

use crate::gate::{Fault, Gate};

const PATIENCE_MS: u64 = 500;

fn open(objects: &Arc<impl Objects>) -> (BucketStore, Arc<QuickPacing>) {
    let pacing = Arc::new(QuickPacing::default());
    let journal = Journal::new(Arc::clone(objects) as _, ".journal", Arc::clone(&pacing) as _, PATIENCE_MS);
    let store = BucketStore::new(Arc::clone(objects) as _, layout(), DOCUMENT_BYTES_MAX);
    (store.with_journal(journal).unwrap(), pacing)
}

fn subject() -> Subject {
    let (store, _) = open(&Arc::new(MemoryObjects::new()));
    Subject { store: Arc::new(store), keep: Box::new(()) }
}

repot_testkit::conformance!(journaled, super::subject());

fn key(id: &str) -> DocumentKey {
    DocumentKey::new("notes", id)
}

fn text(id: &str, title: &str) -> String {
    format!(r#"{{"id": "{id}", "title": "{title}"}}"#)
}

fn put(id: &str, when: Precondition) -> Write {
    Write::Put { key: key(id), body: text(id, "new").into(), when }
}

fn delete(id: &str) -> Write {
    Write::Delete { key: key(id), when: Precondition::Any }
}

/// Replaces `a`, makes `x` and `y`, removes `b`.
fn work() -> UnitOfWork {
    UnitOfWork::default()
        .with(put("a", Precondition::Any))
        .with(put("x", Precondition::Absent))
        .with(delete("b"))
        .with(put("y", Precondition::Any))
}

async fn prepare(gate: &Arc<Gate>) {
    let (store, _) = open(gate);
    store.put(&key("a"), text("a", "old")).await.unwrap();
    store.put(&key("b"), text("b", "old")).await.unwrap();
}

/// Is all of [`work`] done, or nothing?
async fn is_done(store: &BucketStore) -> bool {
    let mut found = Vec::new();
    for id in ["a", "b", "x", "y"] {
        let body = store.get(&key(id)).await.unwrap().map(|document| document.body.to_vec());
        found.push(body.map(|body| String::from_utf8(body).unwrap()));
    }
    let old = [Some(text("a", "old")), Some(text("b", "old")), None, None];
    let new = [Some(text("a", "new")), None, Some(text("x", "new")), Some(text("y", "new"))];
    assert!(found == old || found == new, "{found:?}");
    found == new
}

#[tokio::test]
async fn a_crash_at_any_write_leaves_all_or_nothing() {
    let (mut kept, mut finished) = (0, 0);
    for fault in [Fault::DeadBefore, Fault::DeadAfter] {
        for at in 0.. {
            let gate = Gate::open();
            prepare(&gate).await;
            let (store, _) = open(&gate);
            store.probe().await.unwrap();
            gate.fail(at, fault);
            let done = store.apply(work()).await;
            let struck = gate.mend();
            drop(store);
            let (store, pacing) = open(&gate);
            store.probe().await.unwrap();
            let is_new = is_done(&store).await;
            assert!(pacing.waited().as_millis() <= u128::from(PATIENCE_MS));
            match done {
                Ok(_) => assert!(is_new),
                Err(error) => assert_eq!(error.may_retry(), Retry::Unknown, "{error}"),
            }
            *(if is_new { &mut finished } else { &mut kept }) += 1;
            // nothing of it is in the way
            store.put(&key("a"), text("a", "next")).await.unwrap();
            assert!(!store.recover(Recovery::Refuse).await.unwrap());
            if !struck {
                break;
            }
        }
    }
    // nothing is written before the journal, and everything after it
    assert_eq!((kept, finished), (1, 13));
}

#[tokio::test]
async fn the_same_store_goes_on_after_a_failure() {
    let gate = Gate::open();
    prepare(&gate).await;
    let (store, pacing) = open(&gate);
    gate.fail(3, Fault::DeadBefore);
    let error = store.apply(work()).await.unwrap_err();
    assert_eq!((error.code(), error.may_retry()), ("R0415", Retry::Unknown), "{error}");
    gate.mend();
    let receipt = store.apply(UnitOfWork::default().with(delete("q"))).await.unwrap();
    assert_eq!((receipt.written, pacing.waited().as_millis()), (vec![Written::Missing], 0));
    assert!(is_done(&store).await);
}

#[tokio::test]
async fn who_goes_away_in_the_midst_leaves_it_to_the_next() {
    let mut done = Vec::new();
    for polls in 0..7 {
        let gate = Gate::open();
        prepare(&gate).await;
        let (store, pacing) = open(&gate);
        store.probe().await.unwrap();
        gate.writes.forget_permits(2_000_000);
        let mut unit = Box::pin(store.apply(work()));
        for _ in 0..polls {
            assert!(poll_immediate(&mut unit).await.is_none());
            gate.writes.add_permits(1);
        }
        drop(unit);
        gate.writes.add_permits(1_000_000);
        store.put(&key("c"), text("c", "x")).await.unwrap();
        done.push(is_done(&store).await);
        assert_eq!(pacing.waited().as_millis(), 0, "it knows its own");
    }
    assert_eq!(done, [false, false, true, true, true, true, true]);
}

#[tokio::test]
async fn what_cannot_be_kept_is_taken_back() {
    for at in [1, 2] {
        let gate = Gate::open();
        prepare(&gate).await;
        let (store, _) = open(&gate);
        store.probe().await.unwrap();
        gate.fail(at, Fault::Refused);
        let error = store.apply(work()).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Invalid, "R0403"), "{error}");
        assert!(gate.mend() && !is_done(&store).await);
        assert!(!store.recover(Recovery::Refuse).await.unwrap());
    }
}

#[tokio::test]
async fn a_crash_while_it_is_taken_back_leaves_all_or_nothing() {
    let mut done = Vec::new();
    for fault in [Fault::DeadBefore, Fault::DeadAfter] {
        for at in 0..3 {
            let gate = Gate::open();
            prepare(&gate).await;
            let (store, _) = open(&gate);
            store.probe().await.unwrap();
            gate.fail(2, Fault::Refused);
            gate.fail(at, fault);
            store.apply(work()).await.unwrap_err();
            assert!(gate.mend());
            let (store, _) = open(&gate);
            store.probe().await.unwrap();
            done.push(is_done(&store).await);
        }
    }
    // where that was not yet written down, the unit is tried again, and what refused it is gone
    assert_eq!(done, [true, false, false, false, false, false]);
}

#[tokio::test]
async fn a_program_without_the_journal_is_found_out() {
    for how in [Recovery::KeepForeign, Recovery::Overwrite] {
        let gate = Gate::open();
        prepare(&gate).await;
        let (store, _) = open(&gate);
        store.probe().await.unwrap();
        gate.fail(2, Fault::DeadBefore);
        store.apply(work()).await.unwrap_err();
        gate.mend();
        gate.inner.put("notes/a.json", text("a", "foreign").into(), &Precondition::Any, None).await.unwrap();
        for error in [
            store.probe().await.unwrap_err(),
            store.put(&key("c"), text("c", "x")).await.unwrap_err(),
            open(&gate).0.recover(Recovery::Refuse).await.unwrap_err(),
        ] {
            assert_eq!((error.kind(), error.code()), (Kind::Conflict, "R0415"), "{error}");
            assert!(error.message().contains("notes/a.json"));
        }
        assert!(store.recover(how).await.unwrap());
        let title = if how == Recovery::Overwrite { "new" } else { "foreign" };
        assert_eq!(store.require(&key("a")).await.unwrap().body, text("a", title));
        assert_eq!(store.require(&key("y")).await.unwrap().body, text("y", "new"));
        assert!(!store.exists(&key("b")).await.unwrap());
        store.put(&key("c"), text("c", "x")).await.unwrap();
    }
}

#[tokio::test]
async fn the_journal_has_a_place_of_its_own() {
    let objects = Arc::new(MemoryObjects::new());
    let journal =
        Journal::new(Arc::clone(&objects) as _, "notes/j.json", Arc::new(QuickPacing::default()), 0);
    let store = BucketStore::new(Arc::clone(&objects) as _, layout(), DOCUMENT_BYTES_MAX);
    assert_eq!(store.with_journal(journal).unwrap_err().code(), "R0415");
    objects.put(".journal", "what is this".into(), &Precondition::Any, None).await.unwrap();
    let error = open(&objects).0.probe().await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Corrupt, "R0415"));
}

async fn count(store: &BucketStore, id: &str) -> (u64, Option<ETag>) {
    let found = store.get(&key(id)).await.unwrap();
    let Some(found) = found else { return (0, None) };
    let text = String::from_utf8(found.body.to_vec()).unwrap();
    (text.split("count\": ").nth(1).unwrap().trim_end_matches('}').parse().unwrap(), Some(found.etag))
}

/// Moves the counts of two documents on together, on condition that nobody else did.
async fn count_both(store: BucketStore, times: usize) {
    let mut done = 0;
    while done < times {
        let mut unit = UnitOfWork::default();
        for id in ["a", "b"] {
            let (count, etag) = count(&store, id).await;
            let body = format!(r#"{{"id": "{id}", "count": {}}}"#, count + 1).into();
            let when = etag.map_or(Precondition::Absent, Precondition::Matches);
            unit = unit.with(Write::Put { key: key(id), body, when });
        }
        match store.apply(unit).await {
            Ok(_) => done += 1,
            Err(error) => assert_eq!((error.kind(), error.code()), (Kind::Conflict, "R0401"), "{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_stores_take_turns() {
    const TIMES: usize = 20;
    let objects = Arc::new(MemoryObjects::new());
    let tasks: Vec<_> = (0..4).map(|_| tokio::spawn(count_both(open(&objects).0, TIMES))).collect();
    for task in tasks {
        task.await.unwrap();
    }
    let (store, _) = open(&objects);
    store.probe().await.unwrap();
    for id in ["a", "b"] {
        assert_eq!(count(&store, id).await.0, 4 * TIMES as u64);
    }
}
