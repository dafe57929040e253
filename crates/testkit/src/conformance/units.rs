//! Units of work.

use bytes::Bytes;
use repot_core::store::{
    Change, ETag, Edit, FactChange, FactDemand, FactValue, Precondition, Receipt, StoreExt as _, UnitOfWork,
    Write, Written,
};
use repot_core::{Kind, Retry};

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

/// Writes of each kind; all but the last leave the document `a` there.
fn of_each_kind(etag: &ETag) -> [Write; 6] {
    let (key, text, when) = (note("a"), Bytes::from(body("a", "new")), Precondition::Any);
    let change = Change::Merge(r#"{"title": "merged"}"#.into());
    let new = text.clone();
    let edit = Edit::new(move |_| Ok(Some(new.clone())));
    let exact = Precondition::Matches(etag.clone());
    [
        Write::Put { key: key.clone(), body: text.clone(), when: exact },
        Write::Put { key: note("b"), body: body("b", "new").into(), when: Precondition::Absent },
        Write::Patch { key: key.clone(), change, when: when.clone() },
        Write::Update { key: key.clone(), edit, when: when.clone() },
        Write::Put { key: key.clone(), body: text, when: when.clone() },
        Write::Delete { key, when },
    ]
}

/// From its deadline on nothing of a unit is done, whatever it is; before it everything is. A store that cannot say so refuses
/// both.
pub async fn a_unit_is_not_done_after_its_deadline(subject: Subject) {
    const FAR_MS: i64 = 4_000_000_000_000;
    let store = subject.store;
    let keeps = store.capabilities().deadlines;
    let before = store.put(&note("a"), body("a", "old")).await.unwrap();
    let expected = if keeps { (Kind::Fenced, "R0452") } else { (Kind::Unsupported, "R0405") };
    for write in of_each_kind(&before) {
        for until_ms in [1, if keeps { i64::MIN } else { FAR_MS }] {
            let unit = UnitOfWork::default().with(write.clone()).until(until_ms);
            let error = store.apply(unit).await.unwrap_err();
            assert_eq!((error.kind(), error.code()), expected, "{error}");
            assert_eq!(error.may_retry(), if keeps { Retry::Safe } else { Retry::Never }, "{error}");
        }
    }
    assert_eq!(store.require(&note("a")).await.unwrap().etag, before);
    assert!(!store.exists(&note("b")).await.unwrap());
    if !keeps {
        return;
    }
    for write in of_each_kind(&before) {
        store.apply(UnitOfWork::default().with(write).until(FAR_MS)).await.unwrap();
    }
    assert!(store.exists(&note("b")).await.unwrap() && !store.exists(&note("a")).await.unwrap());
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
