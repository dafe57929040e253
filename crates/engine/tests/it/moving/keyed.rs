//! A request with a key of its own, while files lead: its server is killed before and after the file is written, and whoever
//! sends it again never does it twice.

use std::sync::Arc;
use std::time::Duration;

use repot_core::SystemClock;
use repot_core::store::{Change, DocumentKey, Precondition, Store as _, StoreExt as _, UnitOfWork, Write};
use repot_engine::SystemEntropy;
use repot_engine::ledger::{Answer, Begin, Caller, Fingerprint, Idempotency, IdempotencyOptions, Ticket};

use super::lab::{Process, QUICK, World, chat, empty, numbers, say};
use super::objects::Death;
use crate::documents::{Database, block_on};

/// What sending it again comes to.
#[derive(Debug, PartialEq, Eq)]
enum Again {
    IsDone,
    DoesIt,
    InDoubt,
}

async fn begin(process: &Process) -> Begin {
    let options = IdempotencyOptions { lease_ms: 300, ..IdempotencyOptions::default() };
    let keys = Idempotency::new(
        Arc::clone(&process.store) as _,
        Arc::new(SystemClock),
        Arc::new(SystemEntropy),
        options,
    );
    let caller = Caller { principal: "app", tenant: Some("u1") };
    keys.begin(caller, "key", Fingerprint::of(&[b"append 1"])).await.unwrap()
}

fn append(key: &DocumentKey, ticket: &Ticket) -> UnitOfWork {
    let change = Change::Append { list: "/messages".parse().unwrap(), element: r#"{"n": 1}"#.into() };
    let write = Write::Patch { key: key.clone(), change, when: Precondition::Any };
    UnitOfWork::default().with(write).noting(ticket.fact())
}

async fn ticket(process: &Process) -> Ticket {
    match begin(process).await {
        Begin::New(ticket) => Some(ticket),
        _ => None,
    }
    .expect("the key is free")
}

/// The server of a request is killed there, perhaps somebody else writes the document, and the request is sent again.
async fn killed(world: &World, death: Death, is_overtaken: bool) -> (Again, Vec<u64>) {
    let (one, two) = (world.process("one", 1), world.patient("two", 2));
    two.moving.begin("a test").await.unwrap();
    let key = chat("u1", "a");
    two.store.create(&key, empty("u1", "a")).await.unwrap();
    let ticket = ticket(&one).await;
    *one.old_line.death.lock().unwrap() = Some(death);
    let outlived = tokio::select! {
        done = one.store.apply(append(&key, &ticket)) => Some(done),
        () = one.old_line.died.notified() => None,
    };
    assert!(outlived.is_none(), "{outlived:?}");
    assert!(matches!(begin(&two).await, Begin::Busy { .. } | Begin::InDoubt), "nobody does it meanwhile");
    if is_overtaken {
        say(&*two.store, &key, 9).await.unwrap();
    }
    while two.moving.mend().await.unwrap() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let again = again(&two, &key).await;
    (again, numbers(world.old().get(&key).await.unwrap().as_ref()))
}

/// Sends the request again, as often as it is told that somebody works on it.
async fn again(process: &Process, key: &DocumentKey) -> Again {
    loop {
        match begin(process).await {
            Begin::New(ticket) => {
                process.store.apply(append(key, &ticket)).await.unwrap();
                assert!(ticket.finish(Answer::default()).await.unwrap());
                assert!(matches!(begin(process).await, Begin::Replay(_)));
                return Again::DoesIt;
            }
            Begin::DoneWithoutAnswer => return Again::IsDone,
            begun => {
                let refusal = begun.refusal().expect("it is not to be done");
                if refusal.code() == "R0730" {
                    return Again::InDoubt;
                }
                assert_eq!(refusal.code(), "R0431");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
}

#[test]
fn what_a_killed_server_did_under_a_key_is_not_done_twice() {
    for (death, is_overtaken, comes_to) in [
        (Death::BeforeItIsSent, false, (Again::DoesIt, vec![1])),
        (Death::AfterItIsThere, false, (Again::IsDone, vec![1])),
        (Death::BeforeItIsSent, true, (Again::InDoubt, vec![9])),
        (Death::AfterItIsThere, true, (Again::InDoubt, vec![1, 9])),
    ] {
        for database in Database::all() {
            let world = World::new(database, QUICK);
            assert_eq!(block_on(killed(&world, death, is_overtaken)), comes_to, "{death:?}");
        }
    }
}

/// A refusal that is decided on again gives the key another try, under the same ticket.
#[test]
fn a_write_that_was_refused_leaves_its_key_free() {
    for database in Database::all() {
        let world = World::new(database, QUICK);
        block_on(async {
            let process = world.patient("one", 1);
            process.moving.begin("a test").await.unwrap();
            let key = chat("u1", "a");
            let ticket = ticket(&process).await;
            let refused = process.store.apply(append(&key, &ticket)).await.unwrap_err();
            assert_eq!(refused.code(), "R0402");
            process.store.create(&key, empty("u1", "a")).await.unwrap();
            process.store.apply(append(&key, &ticket)).await.unwrap();
            assert!(ticket.finish(Answer::default()).await.unwrap());
            assert!(matches!(begin(&process).await, Begin::Replay(_)));
            assert_eq!(numbers(world.old().get(&key).await.unwrap().as_ref()), [1]);
        });
    }
}
