//! The change log: which documents a batch changes, what goes with time, and stores that keep none.

use std::sync::Arc;

use repot_core::change_log::{ChangeKind, ChangeRetention, FormerDocument, changes_of};
use repot_core::store::{
    BucketStore, ChangeFeed as _, ChangePosition, ChangeScope, MemoryObjects, Store as _,
};
use repot_core::{DocumentRecord, Item, Kind, ObjectRecord, RowChanges, Status};
use repot_model::row::{Cell, RowBuffer};
use repot_testkit::conformance::layout;

fn document(ordinal: u32, key: Option<&str>, etag: &str) -> DocumentRecord {
    DocumentRecord {
        ordinal,
        collection: "notes".to_owned(),
        key: key.map(str::to_owned),
        etag: etag.to_owned(),
        version: 1,
        dictionary: 0,
        size: 0,
        text: Vec::new(),
        reason: None,
        rows: 0..0,
        skips: false,
    }
}

fn item(path: &str, documents: Vec<DocumentRecord>) -> Item {
    let object = ObjectRecord {
        path: path.to_owned(),
        size: 0,
        modified_ns: 0,
        etag: None,
        sha256: Vec::new(),
        collection: None,
        status: Status::Moved,
        reason: None,
        frame: None,
    };
    let (rows, changes) = (RowBuffer::new(), RowChanges::default());
    Item {
        object,
        documents,
        rows,
        changes,
        replaces: true,
        removes: false,
        keeps_pieces: false,
        touched: None,
        kept: None,
    }
}

fn former(path: &str, ordinal: u32, key: Option<&str>, etag: &str) -> FormerDocument {
    let DocumentRecord { ordinal, collection, key, etag, .. } = document(ordinal, key, etag);
    FormerDocument { path: path.to_owned(), ordinal, collection, key, etag }
}

fn changes(items: &[Item], former: &[FormerDocument], refused: &[(usize, usize)]) -> Vec<String> {
    let changes = changes_of(items, former, &|item, document| refused.contains(&(item, document)));
    let sign = |kind| if kind == ChangeKind::Put { '+' } else { '-' };
    changes.iter().map(|change| format!("{}{} at {}", sign(change.kind), change.key, change.path)).collect()
}

#[test]
fn of_a_file_with_several_only_those_that_differ() {
    let old = [
        former("f", 0, Some("a"), "1"),
        former("f", 1, Some("b"), "2"),
        former("f", 2, Some("c"), "3"),
        former("f", 3, None, "4"),
    ];
    let new = vec![
        document(0, Some("c"), "3"),
        document(1, Some("b"), "9"),
        document(2, Some("d"), "5"),
        document(3, None, "4"),
    ];
    assert_eq!(changes(&[item("f", new)], &old, &[]), ["-a at f", "+b at f", "+d at f"]);
}

#[test]
fn one_that_moves_to_another_object_is_written() {
    let old = [former("f", 0, Some("a"), "1"), former("g", 0, Some("b"), "2")];
    let gone = Item { removes: true, ..item("f", Vec::new()) };
    let items =
        [gone, item("g", vec![document(0, Some("b"), "2")]), item("h", vec![document(0, Some("a"), "1")])];
    assert_eq!(changes(&items, &old, &[]), ["+a at h"]);
}

#[test]
fn rows_that_are_set_right_are_a_change_and_a_refused_document_has_no_key() {
    let old = [former("f", 0, Some("a"), "1")];
    let same = item("f", vec![document(0, Some("a"), "1")]);
    assert_eq!(changes(std::slice::from_ref(&same), &old, &[]), Vec::<String>::new());
    let mut updates = RowBuffer::new();
    updates.cell(&Cell::Null);
    updates.end_row(0);
    let set_right = Item { changes: RowChanges { updates, ..RowChanges::default() }, ..same.clone() };
    assert_eq!(changes(&[set_right], &old, &[]), ["+a at f"]);
    // the same text as before, and nobody but its path tells which document it is
    assert_eq!(changes(&[same], &old, &[(0, 0)]), Vec::<String>::new());
    let refused = item("f", vec![document(0, Some("a"), "2")]);
    assert_eq!(changes(&[refused], &old, &[(0, 0)]), ["+f#0 at f"]);
}

#[test]
fn what_is_beyond_a_bound_goes_but_never_the_newest() {
    let rows = [(1, 100), (2, 300), (3, 200), (4, 400)];
    let prunes = |entries_max, age_max_ms, now_ms| {
        ChangeRetention { entries_max, age_max_ms }.prunes_to(&rows, 4, now_ms)
    };
    assert_eq!(prunes(10, 1_000, 500), None);
    assert_eq!(prunes(3, 1_000, 500), Some(1));
    assert_eq!(prunes(0, 1_000, 500), Some(3));
    // the second is young enough, so that what comes after it stays too
    assert_eq!(prunes(10, 250, 500), Some(1));
    assert_eq!(prunes(10, 0, i64::MAX), Some(3));
    assert_eq!(prunes(u64::MAX, u64::MAX, i64::MAX), None);
}

#[test]
fn stores_without_a_log_say_so() {
    let store = BucketStore::new(Arc::new(MemoryObjects::default()), layout(), 1_000);
    assert!(!store.capabilities().change_log);
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
        let read = store.changes(&ChangeScope::Everything, ChangePosition::START, 1).await.unwrap_err();
        let position = store.position().await.unwrap_err();
        for error in [read, position] {
            assert_eq!((error.kind(), error.code()), (Kind::Unsupported, "R0405"), "{error}");
        }
    });
}
