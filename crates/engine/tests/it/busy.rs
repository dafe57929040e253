//! What cannot be read now is not taken for gone, and nothing half-read is stored.

use repot_testkit::TempTree;

use crate::scripted::{Scripted, copy};

#[test]
fn below_an_unreadable_folder_nothing_is_removed() {
    let (source, folder) = (Scripted::default(), TempTree::new());
    let database = folder.join("repot.db");
    for path in ["a/1.json", "b/2.json", "b/3.json", "c/4.json"] {
        source.put(path, "{}");
    }
    assert_eq!(copy(&source, &database).tally.moved, 4);
    source.hidden.lock().unwrap().insert("b/".to_owned());
    let report = copy(&source, &database);
    assert_eq!((report.removed, report.tally.moved), (0, 4), "{report:?}");
    source.hidden.lock().unwrap().clear();
    let report = copy(&source, &database);
    assert_eq!((report.tally.moved, report.tally.unmatched, report.changed), (4, 0, 0), "{report:?}");
}

#[test]
fn a_file_that_keeps_changing_waits_for_the_next_copy() {
    let (source, folder) = (Scripted::default(), TempTree::new());
    let database = folder.join("repot.db");
    source.put("a/1.json", "{}");
    source.put("a/2.json", "{}");
    source.changing.lock().unwrap().insert("a/2.json".to_owned());
    let report = copy(&source, &database);
    assert_eq!((report.tally.moved, report.tally.unmatched), (1, 1), "{report:?}");
    source.changing.lock().unwrap().clear();
    assert_eq!(copy(&source, &database).tally.moved, 2);
    // known already, it keeps its former state while it changes
    source.put("a/2.json", "{ }");
    source.changing.lock().unwrap().insert("a/2.json".to_owned());
    let report = copy(&source, &database);
    assert_eq!((report.tally.moved, report.busy.len(), report.changed), (2, 1, 0), "{report:?}");
    source.changing.lock().unwrap().clear();
    assert_eq!(copy(&source, &database).changed, 1);
}

#[test]
fn a_file_that_goes_between_listing_and_reading_is_gone() {
    let (source, folder) = (Scripted::default(), TempTree::new());
    let database = folder.join("repot.db");
    source.put("a/1.json", "{}");
    source.put("a/2.json", "{}");
    assert_eq!(copy(&source, &database).tally.moved, 2);
    source.put("a/2.json", "{ }");
    source.put("a/3.json", "{}");
    source.vanishing.lock().unwrap().extend(["a/2.json".to_owned(), "a/3.json".to_owned()]);
    let report = copy(&source, &database);
    assert_eq!((report.tally.moved, report.removed, report.busy.len()), (1, 1, 1), "{report:?}");
}
