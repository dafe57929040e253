//! Units of work.

use repot_core::Kind;
use repot_core::store::{Precondition, Receipt, UnitOfWork, Write, Written};

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
