//! Writes with a deadline over objects in memory: what is made together, what is made again, what cannot have one.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::future::{join, join_all, poll_immediate};
use repot_core::store::{
    BucketStore, Change, DocumentKey, Edit, Journal, MemoryObjects, Objects, Pointer, Precondition, Receipt,
    Store as _, StoreExt as _, UnitOfWork, Write,
};
use repot_core::{Clock, Kind, Result, Retry, SystemClock};
use repot_testkit::conformance::{DOCUMENT_BYTES_MAX, layout};
use repot_testkit::{HandClock, QuickPacing};

use crate::gate::Gate;

const NOW_MS: i64 = 1_700_000_000_000;

fn key() -> DocumentKey {
    DocumentKey::new("notes", "a")
}

fn append(word: u32) -> UnitOfWork {
    let element = format!(r#"{{"word": "{word}"}}"#).into();
    let change = Change::Append { list: Pointer::parse("/marks").unwrap(), element };
    UnitOfWork::default().with(Write::Patch { key: key(), change, when: Precondition::Any })
}

fn over<T: std::fmt::Debug>(done: Result<T>) {
    let error = done.unwrap_err();
    assert_eq!(
        (error.kind(), error.code(), error.may_retry()),
        (Kind::Fenced, "R0452", Retry::Safe),
        "{error}"
    );
}

/// A store whose objects are behind a gate, both with this clock, and a document in it.
async fn store(clock: &HandClock, store_clock: Arc<dyn Clock>) -> (Arc<Gate>, BucketStore) {
    let gate = Gate::with(MemoryObjects::new().with_clock(Arc::new(clock.clone())));
    gate.inner.put("notes/a.json", r#"{"id": "a"}"#.into(), &Precondition::Any, None).await.unwrap();
    let objects: Arc<dyn Objects> = Arc::clone(&gate) as Arc<_>;
    (gate, BucketStore::new(objects, layout(), DOCUMENT_BYTES_MAX).with_clock(store_clock))
}

fn words(text: &[u8]) -> Vec<u32> {
    let text = std::str::from_utf8(text).unwrap();
    (0..100).filter(|word| text.contains(&format!("\"{word}\""))).collect()
}

/// One of many changes that are made together is late, as the store finds or only its objects do: it fails alone.
#[tokio::test]
async fn who_is_late_among_many_fails_alone() {
    let clock = HandClock::at(NOW_MS);
    let late = HandClock::at(NOW_MS - 10_000);
    let store_clocks: [Arc<dyn Clock>; 2] = [Arc::new(clock.clone()), Arc::new(late)];
    for store_clock in store_clocks {
        clock.set(NOW_MS);
        let (gate, store) = store(&clock, store_clock).await;
        let made = join_all((0..30).map(|word| {
            let unit = match word % 3 {
                0 => append(word),
                1 => append(word).until(NOW_MS + 1_000 + i64::from(word)),
                _ => append(word).until(NOW_MS + 60_000),
            };
            store.apply(unit)
        }));
        let mut made = pin!(made);
        assert!(poll_immediate(&mut made).await.is_none(), "they wait for what is there");
        clock.set(NOW_MS + 10_000);
        gate.reads.add_permits(1_000);
        for (word, done) in made.await.into_iter().enumerate() {
            if word % 3 == 1 {
                over(done);
            } else {
                done.unwrap();
            }
        }
        let there = gate.inner.get("notes/a.json", 1_000_000).await.unwrap().unwrap();
        assert_eq!(words(&there.bytes), (0..30).filter(|word| word % 3 != 1).collect::<Vec<_>>());
    }
}

/// A change that others overtake is made again, and not once its deadline is over.
#[tokio::test]
async fn what_is_made_again_has_the_same_deadline() {
    let clock = HandClock::at(NOW_MS);
    let (gate, store) = store(&clock, Arc::new(clock.clone())).await;
    let turned = clock.clone();
    let edit = Edit::new(move |_| {
        // others are faster, each time it takes a second
        turned.turn(1_000);
        Ok(Some(r#"{"id": "a", "title": "edited"}"#.into()))
    });
    let update = Write::Update { key: key(), edit, when: Precondition::Any };
    gate.overtake.store(true, Ordering::Relaxed);
    gate.reads.add_permits(1_000);
    over(store.apply(UnitOfWork::default().with(update).until(NOW_MS + 5_000)).await);
    assert_eq!(clock.now_ms(), NOW_MS + 5_000);
    let there = gate.inner.get("notes/a.json", 1_000_000).await.unwrap().unwrap();
    assert_eq!(there.bytes, r#"{"id": "a"}"#);
}

/// Whoever holds on to what was read until its time is over, writes nothing: a document of its own, or one in a shared file.
#[tokio::test]
async fn a_write_that_was_held_up_does_nothing() {
    let clock = HandClock::at(NOW_MS);
    let (gate, store) = store(&clock, Arc::new(clock.clone())).await;
    let line = DocumentKey::at("events", &[("day", "d"), ("id", "e1")]);
    let put =
        |key: DocumentKey, body: &'static str| Write::Put { key, body: body.into(), when: Precondition::Any };
    let writes = [
        put(key(), r#"{"id": "a", "title": "late"}"#),
        put(line.clone(), r#"{"id": "e1"}"#),
        Write::Delete { key: key(), when: Precondition::Any },
    ];
    for write in writes {
        gate.reads.add_permits(1_000);
        gate.writes.forget_permits(1_000_000);
        let mut done = pin!(store.apply(UnitOfWork::default().with(write).until(clock.now_ms() + 1_000)));
        assert!(poll_immediate(&mut done).await.is_none(), "it is about to write");
        clock.turn(1_000);
        gate.writes.add_permits(1_000);
        over(done.await);
    }
    let (there, lines) = join(store.require(&key()), store.get(&line)).await;
    assert_eq!((there.unwrap().body, lines.unwrap()), (r#"{"id": "a"}"#.into(), None));
}

/// What stands in a journal is done whenever somebody finds it, so a store with one takes no deadline.
#[tokio::test]
async fn a_journal_and_a_deadline_do_not_go_together() {
    let objects: Arc<dyn Objects> = Arc::new(MemoryObjects::new());
    let journal = Journal::new(Arc::clone(&objects), ".journal", Arc::new(QuickPacing::default()), 50);
    let store = BucketStore::new(Arc::clone(&objects), layout(), DOCUMENT_BYTES_MAX).with_journal(journal);
    let store = store.unwrap();
    let put = |id: &str| Write::Put {
        key: DocumentKey::new("notes", id),
        body: format!(r#"{{"id": "{id}"}}"#).into(),
        when: Precondition::Any,
    };
    let several = UnitOfWork::default().with(put("a")).with(put("b"));
    for unit in [several.clone(), UnitOfWork::default().with(put("a"))] {
        let done: Result<Receipt> = store.apply(unit.until(SystemClock.now_ms() + 60_000)).await;
        let error = done.unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Unsupported, "R0405"), "{error}");
    }
    assert_eq!(objects.list("", None, 10).await.unwrap(), []);
    store.apply(several).await.unwrap();
}

#[tokio::test]
async fn memory_is_settled_once_the_time_is_over() {
    let clock = HandClock::at(NOW_MS);
    let objects = MemoryObjects::new().with_clock(Arc::new(clock.clone()));
    let error = objects.settle("a", NOW_MS + 1).await.unwrap_err();
    assert_eq!((error.kind(), error.code(), error.may_retry()), (Kind::Unavailable, "R0453", Retry::Safe));
    assert!(error.message().contains(" a "), "{error}");
    objects.put("a", "1".into(), &Precondition::Any, Some(NOW_MS + 1)).await.unwrap();
    clock.turn(1);
    objects.settle("a", NOW_MS + 1).await.unwrap();
    over(objects.put("a", "2".into(), &Precondition::Any, Some(NOW_MS + 1)).await);
    over(objects.delete("a", &Precondition::Any, Some(NOW_MS + 1)).await);
    assert_eq!(objects.get("a", 10).await.unwrap().unwrap().bytes, "1");
}
