//! Steps of queues that note facts: both happen or neither, and who is refused is refused alone.

use std::sync::Arc;

use repot_core::Kind;
use repot_core::store::{
    ClaimRequest, DocumentKey, Fact, FactChange, FactValue, FactWhen, Layout, Quotas, Store as _,
    StoreExt as _, UnitOfWork, Verdict, WorkQueue as _,
};
use repot_engine::store::RowStore;
use repot_json::Limits;

use crate::documents::{Database, block_on};
use crate::work_queue::{Set, claim, fenced, ids, job, jobs, open, put, stats, wants};

fn fact(name: &str, when: FactWhen) -> Vec<FactChange> {
    vec![FactChange::put("test", name, FactValue::lasting("1")).when(when)]
}

async fn noted(store: &RowStore, name: &str) -> Option<Fact> {
    store.ledger().unwrap().fact("test", name).await.unwrap()
}

fn refused<T: std::fmt::Debug>(done: repot_core::Result<T>) {
    let error = done.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Fenced, "R0401"), "{error}");
}

#[test]
fn a_step_and_its_facts_happen_together() {
    for database in Database::all() {
        let store = open(&database, &Set::new());
        block_on(async {
            // nothing is claimed, so nothing is noted
            let claiming = |name: &str| {
                let facts = fact(name, FactWhen::Absent);
                ClaimRequest { facts, ..wants(jobs(), 1) }
            };
            assert!(store.claim(&claiming("none")).await.unwrap().is_empty());
            assert!(noted(&store, "none").await.is_none());
            put(&store, "a", None).await;
            put(&store, "b", None).await;
            let first = store.claim(&claiming("claim")).await.unwrap();
            assert_eq!(ids(&first), ["a"]);
            assert!(noted(&store, "claim").await.is_some());
            // a condition that does not hold: nothing is claimed
            refused(store.claim(&claiming("claim")).await);
            assert_eq!(stats(&store).await, [1, 1, 0, 0, 0]);
            let second = claim(&store, 1).await;
            let settle = async |at: usize, verdict: Verdict, name: &str| {
                let (id, token) = [("a", &first[0].token), ("b", &second[0].token)][at];
                store.settle_message(&job(id), token, verdict, fact(name, FactWhen::Absent)).await
            };
            refused(settle(0, Verdict::Ack, "claim").await);
            refused(settle(0, Verdict::Extend(Some(5_000)), "claim").await);
            assert_eq!(stats(&store).await, [0, 2, 0, 0, 0]);
            settle(0, Verdict::Ack, "ack").await.unwrap();
            // a lease that is lost notes nothing
            fenced(&settle(0, Verdict::Ack, "lost").await.unwrap_err());
            assert!(noted(&store, "ack").await.is_some() && noted(&store, "lost").await.is_none());
            settle(1, Verdict::Fail("no".to_owned()), "fail").await.unwrap();
            let scope = jobs();
            let reviving = |name: &str| store.revive_noting(&scope, None, fact(name, FactWhen::Absent));
            let (one, other) = (reviving("fail").await, reviving("revive").await);
            refused(one);
            assert_eq!((other.unwrap(), stats(&store).await), (1, [1, 0, 0, 1, 0]));
            assert!(noted(&store, "revive").await.is_some());
        });
    }
}

/// Steps that wait for one transaction: one whose fact is refused takes nobody along.
#[test]
fn who_is_refused_is_refused_alone() {
    for database in Database::all() {
        let store = open(&database, &Set::new());
        block_on(async {
            for id in 0..20 {
                put(&store, &id.to_string(), None).await;
            }
            let one = |number: usize| {
                let facts = match number % 2 {
                    0 => Vec::new(),
                    // one of them notes it first
                    _ => fact("one", FactWhen::Absent),
                };
                let wanted = ClaimRequest { facts, ..wants(jobs(), 1) };
                let store = &store;
                async move { store.claim(&wanted).await }
            };
            let claimed = futures_util::future::join_all((0..20).map(one)).await;
            let done = claimed.iter().filter(|claimed| claimed.is_ok()).count();
            assert_eq!(done, 11, "ten without facts, and one of ten with the same");
            assert_eq!(stats(&store).await, [9, 11, 0, 0, 0]);
        });
    }
}

const QUOTA: &str = r#"
[plans]
file = "plans/{id}.json"

[plans.fields]
id    = "text key"
used  = "int = 0"
most  = "int?"

[plans.quota]
total = { used = "used", limit = "most" }
"#;

/// What is spent within a unit of work: all of it happens, or nothing.
#[test]
fn a_spend_that_is_refused_notes_nothing() {
    for database in Database::all() {
        let (model, plan, _) = repot_testkit::compiled(QUOTA);
        let layout = Layout::new(Arc::clone(&model), Arc::clone(&plan), Limits::default());
        let store = RowStore::open(database.target(), (model, plan, QUOTA), Database::options()).unwrap();
        let quotas = Quotas::of(&layout.unwrap(), "plans").unwrap();
        block_on(async {
            let key = DocumentKey::new("plans", "p");
            let spend = |name: &str| {
                let unit = UnitOfWork { facts: fact(name, FactWhen::Absent), ..UnitOfWork::default() };
                quotas.spend_in(&store, &key, (1, 0), unit)
            };
            assert_eq!(spend("early").await.unwrap_err().code(), "R0402");
            store.put(&key, r#"{"id":"p","used":0,"most":1}"#).await.unwrap();
            assert_eq!(spend("first").await.unwrap().counters[0].used, 1);
            let used_up = spend("second").await.unwrap();
            assert_eq!((used_up.used_up.as_deref(), used_up.counters[0].used), (Some("total"), 1));
            refused(spend("first").await);
            for (name, is_noted) in [("early", false), ("first", true), ("second", false)] {
                assert_eq!(noted(&store, name).await.is_some(), is_noted, "{name}");
            }
        });
    }
}
