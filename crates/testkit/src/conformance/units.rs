//! Units of work.

use repot_core::Kind;
use repot_core::store::{
    FactChange, FactDemand, FactValue, Precondition, Receipt, UnitOfWork, Write, Written,
};

use super::subject::{Subject, body, note};

/// Several writes happen together where the store can do it, and are refused before anything happens where not; a
/// unit in which one write fails does nothing.
pub async fn a_unit_of_work_is_all_or_nothing(subject: Subject) {
    let store = subject.store;
    let put = |id: &str, when: Precondition| Write::Put { key: note(id), body: body(id, "new").into(), when };
    let unit = UnitOfWork::default().with(put("a", Precondition::Any)).with(put("b", Precondition::Absent));
    if store.capabilities().atomic_writes_max < 2 {
        let error = store.apply(unit).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Unsupported, "R0405"), "{error}");
        assert_eq!(store.get(&note("a")).await.unwrap(), None);
        return assert_eq!(store.get(&note("b")).await.unwrap(), None);
    }
    let receipt = store.apply(unit).await.unwrap();
    assert!(matches!(receipt.written.as_slice(), [Written::Put(_), Written::Put(_)]), "{receipt:?}");
    let broken = UnitOfWork::default()
        .with(put("c", Precondition::Any))
        .with(Write::Delete { key: note("a"), when: Precondition::Any })
        .with(put("b", Precondition::Absent));
    let error = store.apply(broken).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Conflict, "R0401"), "{error}");
    assert!(store.exists(&note("a")).await.unwrap());
    assert!(!store.exists(&note("c")).await.unwrap());
}

/// Nothing to do is done at once.
pub async fn an_empty_unit_of_work_does_nothing(subject: Subject) {
    assert_eq!(subject.store.apply(UnitOfWork::default()).await.unwrap(), Receipt::default());
}

/// A store keeps facts, or refuses them before anything happens.
pub async fn facts_are_noted_or_refused(subject: Subject) {
    let store = subject.store;
    let put = Write::Put { key: note("a"), body: body("a", "x").into(), when: Precondition::Any };
    let fact = FactChange::put("test", "a", FactValue::lasting("1"));
    let done = store.apply(UnitOfWork::default().with(put).noting(fact)).await;
    assert_eq!(store.ledger().is_some(), store.capabilities().ledger);
    let Some(ledger) = store.ledger() else {
        let error = done.unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Unsupported, "R0405"), "{error}");
        let demand = FactDemand { kind: "test".to_owned(), name: "a".to_owned(), version: 1 };
        let put = Write::Put { key: note("a"), body: body("a", "x").into(), when: Precondition::Any };
        for unit in [UnitOfWork::default().with(put), UnitOfWork::default()] {
            assert_eq!(store.apply(unit.demanding(demand.clone())).await.unwrap_err().code(), "R0405");
        }
        return assert!(!store.exists(&note("a")).await.unwrap());
    };
    done.unwrap();
    assert_eq!(ledger.fact("test", "a").await.unwrap().map(|fact| fact.value), Some("1".into()));
}
