//! Many at once.

use std::sync::Arc;

use repot_core::Kind;
use repot_core::store::{Precondition, Store, StoreExt as _};
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
    std::env::var_os("REPOT_FULL").is_some_and(|value| value == "1")
}
