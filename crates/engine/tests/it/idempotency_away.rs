//! Requests with keys of their own when the store goes out of reach in the middle: whoever had the key gives it back once the
//! store is there again, so nobody waits for the lease.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use repot_core::store::{
    Capabilities, Cursor, Document, DocumentKey, Fact, FactChange, FactEdit, Ledger, Page, Receipt, Scope,
    Store, UnitOfWork,
};
use repot_core::{Error, Kind, Result, Retry};
use repot_engine::SystemEntropy;
use repot_engine::ledger::{Begin, Caller, Fingerprint, Idempotency, IdempotencyOptions};
use repot_testkit::HandClock;

use crate::documents::{Database, block_on};
use crate::ledger::open;

/// A store that goes out of reach after some calls of its ledger: those are done, and their answers do not come.
#[derive(Debug)]
struct Away {
    store: Arc<dyn Store>,
    /// Calls that are answered.
    answered: AtomicUsize,
}

impl Away {
    fn answer<T>(&self, done: T) -> Result<T> {
        let lost = || Error::new(Kind::Unavailable, "R0106", "the answer was lost").retry(Retry::Unknown);
        let left = self.answered.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        left.map(|_| done).map_err(|_none| lost())
    }

    fn ledger_beneath(&self) -> &dyn Ledger {
        self.store.ledger().unwrap()
    }
}

impl fmt::Display for Away {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("away")
    }
}

#[async_trait]
impl Store for Away {
    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
    }
    fn collections(&self) -> Vec<String> {
        self.store.collections()
    }
    fn ledger(&self) -> Option<&dyn Ledger> {
        Some(self)
    }
    async fn get(&self, key: &DocumentKey) -> Result<Option<Document>> {
        self.store.get(key).await
    }
    async fn exists(&self, key: &DocumentKey) -> Result<bool> {
        self.store.exists(key).await
    }
    async fn apply(&self, work: UnitOfWork) -> Result<Receipt> {
        self.store.apply(work).await
    }
    async fn list(&self, scope: &Scope, after: Option<&Cursor>, most: usize) -> Result<Page> {
        self.store.list(scope, after, most).await
    }
    async fn probe(&self) -> Result<()> {
        self.store.probe().await
    }
}

#[async_trait]
impl Ledger for Away {
    async fn fact(&self, kind: &str, name: &str) -> Result<Option<Fact>> {
        self.answer(self.ledger_beneath().fact(kind, name).await?)
    }
    async fn named(&self, names: &[(&str, &str)]) -> Result<Vec<Fact>> {
        self.answer(self.ledger_beneath().named(names).await?)
    }
    async fn facts(&self, kind: &str, after: Option<&str>, most: usize) -> Result<Vec<Fact>> {
        self.answer(self.ledger_beneath().facts(kind, after, most).await?)
    }
    async fn count_facts(&self, kind: &str) -> Result<u64> {
        self.answer(self.ledger_beneath().count_facts(kind).await?)
    }
    async fn note(&self, change: FactChange) -> Result<()> {
        self.answer(self.ledger_beneath().note(change).await?)
    }
    async fn update_fact(&self, kind: &str, name: &str, edit: FactEdit) -> Result<()> {
        self.answer(self.ledger_beneath().update_fact(kind, name, edit).await?)
    }
    async fn prune_facts(&self, now_ms: i64) -> Result<usize> {
        self.answer(self.ledger_beneath().prune_facts(now_ms).await?)
    }
}

#[test]
fn a_key_that_was_taken_when_the_store_went_away_is_given_back() {
    // a begin takes the key, and reads what it took
    for answered in [0, 1] {
        for database in Database::all() {
            let clock = Arc::new(HandClock::at(1_700_000_000_000));
            let store = Arc::new(open(&database, &clock)) as Arc<dyn Store>;
            let away = Arc::new(Away { store, answered: AtomicUsize::new(answered) });
            let beneath = Arc::clone(&away) as Arc<dyn Store>;
            let options = IdempotencyOptions::default();
            let keys =
                Idempotency::new(beneath, Arc::clone(&clock) as Arc<_>, Arc::new(SystemEntropy), options);
            let caller = Caller { principal: "ada", tenant: None };
            let begin = || keys.begin(caller, "k", Fingerprint::of(&[b"POST"]));
            block_on(async {
                let begun = begin().await.unwrap();
                assert_eq!(begun.refusal().unwrap().code(), "R0106");
                let Begin::Unknown(hold, _) = begun else { panic!("{begun:?}") };
                hold.give_back().await.expect_err("it is away");
                // time stands, and so do leases
                away.answered.store(usize::MAX, Ordering::SeqCst);
                hold.give_back().await.unwrap();
                assert!(matches!(begin().await.unwrap(), Begin::New(_)), "{answered}");
                // it is somebody else's now
                hold.give_back().await.unwrap();
                assert!(matches!(begin().await.unwrap(), Begin::Busy { .. }));
            });
        }
    }
}
