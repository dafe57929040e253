//! Many at once.

use std::sync::Arc;

use repot_core::Kind;
use repot_core::store::{Precondition, Store, StoreExt as _};

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
