//! Many at once.

use std::sync::Arc;

use bytes::Bytes;
use repot_core::store::{Edit, Precondition, Store, StoreExt as _, UnitOfWork, Write, Written};
use repot_core::{Error, Kind, Result};
use repot_json::{Limits, Tree};

use super::subject::{Subject, body, note};

/// Of many that create one document, one succeeds and the others conflict.
pub async fn one_of_many_creates_wins(subject: Subject) {
    let store = subject.store;
    if !store.capabilities().conditional_put {
        let error = store.create(&note("a"), body("a", "x")).await.unwrap_err();
        return assert_eq!((error.kind(), error.code()), (Kind::Unsupported, "R0405"), "{error}");
    }
    let tasks: Vec<_> = (0..16)
        .map(|at| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.create(&note("a"), body("a", &format!("by {at}"))).await })
        })
        .collect();
    let mut winners = Vec::new();
    for (at, task) in tasks.into_iter().enumerate() {
        match task.await.unwrap() {
            Ok(etag) => winners.push((at, etag)),
            Err(error) => assert_eq!(error.kind(), Kind::Conflict, "{error}"),
        }
    }
    let [(winner, etag)] = winners.as_slice() else { panic!("{} winners", winners.len()) };
    let read = store.require(&note("a")).await.unwrap();
    assert_eq!((read.etag, read.body.to_vec()), (etag.clone(), body("a", &format!("by {winner}"))));
}

async fn count_up(store: Arc<dyn Store>, times: usize) {
    for _ in 0..times {
        loop {
            let (count, when) = match store.get(&note("count")).await.unwrap() {
                None => (0, Precondition::Absent),
                Some(document) => {
                    let text = String::from_utf8(document.body.to_vec()).unwrap();
                    let count = text.split("\"count\": ").nth(1).unwrap().trim_end_matches('}');
                    (count.parse::<usize>().unwrap(), Precondition::Matches(document.etag))
                }
            };
            let text = format!("{{\"id\": \"count\", \"count\": {}}}", count + 1);
            match store.put_when(&note("count"), text, when).await {
                Ok(_) => break,
                Err(error) => assert_eq!(error.kind(), Kind::Conflict, "{error}"),
            }
        }
    }
}

/// Read, add one, write if nothing changed meanwhile: nothing is lost.
pub async fn conditional_increments_lose_nothing(subject: Subject) {
    const TASKS: usize = 8;
    const TIMES: usize = 25;
    let store = subject.store;
    if !store.capabilities().conditional_put {
        return;
    }
    let tasks: Vec<_> = (0..TASKS).map(|_| tokio::spawn(count_up(Arc::clone(&store), TIMES))).collect();
    for task in tasks {
        task.await.unwrap();
    }
    let read = store.require(&note("count")).await.unwrap();
    assert_eq!(read.body, format!("{{\"id\": \"count\", \"count\": {}}}", TASKS * TIMES));
}

fn next(text: Option<&[u8]>) -> Result<Bytes> {
    let count = text.map_or(0, |text| {
        let text = std::str::from_utf8(text).unwrap();
        text.split("\"count\": ").nth(1).unwrap().trim_end_matches('}').parse::<usize>().unwrap()
    });
    Ok(format!("{{\"id\": \"count\", \"count\": {}}}", count + 1).into())
}

/// A document that many make anew from what is there: nothing is lost, and nobody needs an `ETag` for it.
pub async fn updates_by_many_lose_nothing(subject: Subject) {
    const TASKS: usize = 16;
    const TIMES: usize = 10;
    let store = subject.store;
    if !store.capabilities().conditional_put {
        let error = store.update(&note("count"), next).await.unwrap_err();
        return assert_eq!((error.kind(), error.code()), (Kind::Unsupported, "R0405"), "{error}");
    }
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for _ in 0..TIMES {
                    store.update(&note("count"), next).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let read = store.require(&note("count")).await.unwrap();
    assert_eq!(read.body, format!("{{\"id\": \"count\", \"count\": {}}}", TASKS * TIMES));
}

async fn update_when(store: &Arc<dyn Store>, edit: Edit, when: Precondition) -> Result<Option<Written>> {
    let write = Write::Update { key: note("count"), edit, when };
    Ok(store.apply(UnitOfWork::default().with(write)).await?.written.pop())
}

/// An update makes a document that is not there, changes it, or leaves it as it is.
pub async fn an_update_makes_changes_or_leaves(subject: Subject) {
    let store = subject.store;
    if !store.capabilities().conditional_put {
        return;
    }
    let leave = || Edit::new(|_| Ok(None));
    let left = update_when(&store, leave(), Precondition::Any).await.unwrap();
    assert_eq!(left, Some(Written::Missing));
    assert!(!store.exists(&note("count")).await.unwrap());
    let made = store.update(&note("count"), next).await.unwrap();
    let same = Edit::new(|text| Ok(text.map(Bytes::copy_from_slice)));
    for edit in [leave(), same] {
        let left = update_when(&store, edit, Precondition::Any).await.unwrap();
        assert_eq!(left, Some(Written::Put(made.clone())));
    }
    store.update(&note("count"), next).await.unwrap();
    assert_eq!(store.require(&note("count")).await.unwrap().body, r#"{"id": "count", "count": 2}"#);
}

/// The precondition of an update holds, what it gives must fit the model, and its error is the caller's.
pub async fn an_update_that_fails_changes_nothing(subject: Subject) {
    let store = subject.store;
    if !store.capabilities().conditional_put {
        return;
    }
    let forward = || Edit::new(|text| next(text).map(Some));
    let made = store.update(&note("count"), next).await.unwrap();
    let absent = update_when(&store, forward(), Precondition::Absent).await.unwrap_err();
    update_when(&store, forward(), Precondition::Matches(made.clone())).await.unwrap();
    let stale = update_when(&store, forward(), Precondition::Matches(made)).await.unwrap_err();
    let unfit = store.update(&note("count"), |_| Ok(Bytes::from_static(b"{"))).await.unwrap_err();
    let refuse = |_: Option<&[u8]>| Err(Error::new(Kind::Refused, "R0408", "the caller's own"));
    let own = store.update(&note("count"), refuse).await.unwrap_err();
    let codes = [absent, stale, unfit, own].map(|error| (error.kind(), error.code()));
    let (conflict, invalid) = ((Kind::Conflict, "R0401"), (Kind::Invalid, "R0404"));
    assert_eq!(codes, [conflict, conflict, invalid, (Kind::Refused, "R0408")]);
    assert_eq!(store.require(&note("count")).await.unwrap().body, r#"{"id": "count", "count": 2}"#);
}

/// While a document is overwritten, a reader sees one whole state or another, and never nothing.
pub async fn readers_see_whole_states(subject: Subject) {
    let store = subject.store;
    let state = |at: usize| body("a", &"x".repeat(at % 20)).repeat(1);
    store.put(&note("a"), state(0)).await.unwrap();
    let writer = {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for at in 0..200 {
                store.put(&note("a"), body("a", &"x".repeat(at % 20))).await.unwrap();
            }
        })
    };
    let mut reads = 0;
    while !writer.is_finished() || reads == 0 {
        let read = store.require(&note("a")).await.unwrap();
        assert!((0..20).any(|at| state(at) == read.body), "{:?}", read.body);
        reads += 1;
    }
    writer.await.unwrap();
}

/// Appends of each of the 64 writers; more where `REPOT_FULL=1`.
const APPENDS: usize = 4;
const WRITERS: usize = 64;

/// 64 writers append to one document at once: each element is there once, and each writer's in its order.
pub async fn appends_of_64_writers_lose_nothing(subject: Subject) {
    append_by_all(&[subject.store], if is_full() { 40 } else { APPENDS }).await;
}

/// The same with 1,000 appends of each writer where `REPOT_FULL=1`, spread over several stores that write to one place.
/// For stores that make appends together; others read and write a long text 64,000 times.
pub async fn appends_by_several_stores(stores: &[Arc<dyn Store>]) {
    append_by_all(stores, if is_full() { 1_000 } else { 16 }).await;
}

async fn append_by_all(stores: &[Arc<dyn Store>], times: usize) {
    stores[0].put(&note("a"), r#"{"id": "a"}"#).await.unwrap();
    let tasks: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let store = Arc::clone(&stores[writer % stores.len()]);
            tokio::spawn(async move { append_in_order(&store, &writer.to_string(), times).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let writers: Vec<String> = (0..WRITERS).map(|writer| writer.to_string()).collect();
    check_appends(&stores[0], &writers, times).await;
}

/// Appends `times` words to the note `a`, with the name of the writer and a number.
pub async fn append_in_order(store: &Arc<dyn Store>, writer: &str, times: usize) {
    for time in 0..times {
        store.append(&note("a"), "/marks", format!(r#"{{"word": "{writer} {time}"}}"#)).await.unwrap();
    }
}

/// Checks that the note `a` has all words of these writers once, each writer's in its order, and no others.
pub async fn check_appends(store: &Arc<dyn Store>, writers: &[String], times: usize) {
    let body = store.require(&note("a")).await.unwrap().body;
    let tree = Tree::parse(&body, Limits::default()).unwrap();
    let marks = tree.root(&body).unwrap().get("marks").unwrap();
    let words: Vec<String> =
        marks.elements().map(|mark| mark.get("word").unwrap().as_str().unwrap().into_owned()).collect();
    assert_eq!(words.len(), writers.len() * times);
    for writer in writers {
        let start = format!("{writer} ");
        let numbers: Vec<&str> = words.iter().filter_map(|word| word.strip_prefix(&start)).collect();
        let expected: Vec<String> = (0..times).map(|time| time.to_string()).collect();
        assert_eq!(numbers, expected, "{writer}");
    }
}

fn is_full() -> bool {
    crate::full()
}
