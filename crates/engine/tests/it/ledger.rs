//! Facts beside the documents of databases: the conformance suite, older databases, what copies and proofs make of them.

use std::sync::Arc;

use repot_core::Kind;
use repot_core::combinator::{Acting, Reconcile, Strategy};
use repot_core::store::{
    FactChange, FactValue, FactWhen, Precondition, Store, StoreExt as _, UnitOfWork, Write,
};
use repot_engine::store::{RowStore, RowStoreOptions};
use repot_testkit::conformance::{LedgerSubject, layout, model};
use repot_testkit::{HandClock, QuickPacing};

use crate::documents::{Database, block_on, copy, note};
use crate::scripted::Scripted;

repot_testkit::conformance_ledger!(sqlite, super::subject(super::Database::sqlite()));
repot_testkit::conformance_ledger!(postgres, super::Database::postgres().map(super::subject));

fn subject(database: Database) -> LedgerSubject {
    let clock = Arc::new(HandClock::at(1_700_000_000_000));
    let open = || -> Arc<dyn Store> { Arc::new(open(&database, &clock)) };
    LedgerSubject { store: open(), other: open(), clock: Arc::clone(&clock), keep: Box::new(database) }
}

pub(crate) fn open(database: &Database, clock: &Arc<HandClock>) -> RowStore {
    let options = RowStoreOptions { clock: Arc::clone(clock) as Arc<_>, ..Database::options() };
    RowStore::open(database.target(), model(), options).unwrap()
}

fn fact() -> FactChange {
    FactChange::put("test", "a", FactValue::lasting("1"))
}

async fn value(store: &dyn Store) -> Option<Vec<u8>> {
    let found = store.ledger().unwrap().fact("test", "a").await.unwrap();
    found.map(|fact| fact.value.to_vec())
}

/// Facts are no documents: the files still lead, and a copy of them goes on.
#[test]
fn a_copy_goes_on_where_only_facts_were_noted() {
    for database in Database::all() {
        let source = Scripted::default();
        copy(&database, &source).unwrap();
        block_on(database.open().apply(UnitOfWork::default().noting(fact()))).unwrap();
        copy(&database, &source).unwrap();
        let store = database.open();
        assert_eq!(block_on(value(&*store)), Some(b"1".to_vec()));
        let unit = UnitOfWork::default().noting(fact());
        let write = Write::Put { key: note("a"), body: r#"{"id": "a"}"#.into(), when: Precondition::Any };
        block_on(store.apply(unit.with(write))).unwrap();
        drop(store);
        assert_eq!(copy(&database, &source).unwrap_err().code(), "R0702");
    }
}

/// A database of a version before facts gets their table when it is opened.
#[test]
fn an_older_database_gets_the_table() {
    for database in Database::all() {
        drop(database.open());
        database.sql("drop table repot_facts");
        let store = database.open();
        block_on(store.apply(UnitOfWork::default().noting(fact()))).unwrap();
        assert_eq!(block_on(value(&*store)), Some(b"1".to_vec()));
    }
}

/// Stores over stores hand facts on with each write, also where they write once more.
#[test]
fn stores_over_stores_hand_facts_on() {
    for database in Database::all() {
        let beneath = database.open();
        let merging =
            Reconcile::new(Arc::clone(&beneath), &layout(), Arc::new(QuickPacing::default()), 1 << 20)
                .otherwise(Strategy::Merge);
        let store = Acting::new(Arc::new(merging), "ada");
        assert!(store.ledger().is_some());
        block_on(async {
            let first = store.create(&note("a"), r#"{"id": "a", "title": "x", "count": 1}"#).await.unwrap();
            beneath.put(&note("a"), r#"{"id": "a", "title": "y", "count": 1}"#).await.unwrap();
            let write = Write::Put {
                key: note("a"),
                body: r#"{"id": "a", "title": "x", "count": 2}"#.into(),
                when: Precondition::Matches(first),
            };
            let unit = UnitOfWork::default().with(write).noting(fact().when(FactWhen::Absent));
            store.apply(unit.clone()).await.unwrap();
            let merged = r#"{"id": "a", "title": "y", "count": 2}"#;
            assert_eq!(store.require(&note("a")).await.unwrap().body, merged);
            assert_eq!(value(&store).await, Some(b"1".to_vec()));
            // a condition on a fact is no conflict that merging could settle
            let error = store.apply(unit).await.unwrap_err();
            assert_eq!((error.kind(), error.code()), (Kind::Fenced, "R0401"), "{error}");
        });
    }
}
