//! Replacing and removing objects, and changing rows.

use repot_core::RowChanges;
use repot_model::row::Cell;

use crate::fixture::{
    CHILD, EVERYTHING, Fixture, GRANDCHILD, USERS, buffer, child, encoded, item, plain, text, user,
};

#[test]
fn deletes_updates_inserts() {
    let Some(mut fixture) = Fixture::new() else { return };
    for steady in [false, true] {
        let grandchild = |position, note| (GRANDCHILD, vec![Cell::Int(10), position, text(note), Cell::Null]);
        let document = vec![
            plain(1, "one", None),
            child(10, 1, 0, "x"),
            child(11, 1, 1, "y"),
            grandchild(Cell::Null, "n"),
            grandchild(Cell::Int(4), "m"),
        ];
        assert_eq!(fixture.load(vec![item("a", &[document])]), []);
        if steady {
            assert_eq!(fixture.finish(), []);
        }
        let mut again = item("a", &[vec![child(12, 1, 1, "new")]]);
        again.replaces = true;
        again.object.size = 77;
        again.documents[0].version = 2;
        again.changes = RowChanges {
            deletes: buffer(&vec![
                (GRANDCHILD, vec![Cell::Int(10), Cell::Null]),
                (CHILD, vec![Cell::Int(11)]),
            ]),
            updates: buffer(&vec![plain(1, "changed", None), grandchild(Cell::Int(4), "changed too")]),
        };
        assert_eq!(fixture.load(vec![again]), []);
        assert_eq!(fixture.scanned(EVERYTHING), [encoded(&plain(1, "changed", None).1)]);
        assert_eq!(
            fixture.scanned(CHILD),
            [encoded(&child(10, 1, 0, "x").1), encoded(&child(12, 1, 1, "new").1)]
        );
        assert_eq!(fixture.scanned(GRANDCHILD), [encoded(&grandchild(Cell::Int(4), "changed too").1)]);
        assert_eq!(fixture.reader().object("a").unwrap().unwrap().record.size, 77);
        assert_eq!(fixture.sql("select count(*), max(version) from repot_documents"), "1|2\n");
        let mut gone = item("a", &[]);
        gone.removes = true;
        gone.changes.deletes = buffer(&vec![
            (GRANDCHILD, vec![Cell::Int(10), Cell::Int(4)]),
            (CHILD, vec![Cell::Int(10)]),
            (CHILD, vec![Cell::Int(12)]),
            (EVERYTHING, vec![Cell::Uuid([1; 16])]),
        ]);
        assert_eq!(fixture.load(vec![gone]), []);
        assert_eq!(fixture.sql("select (select count(*) from repot_objects) + (select count(*) from repot_documents) + (select count(*) from everything)"), "0\n");
    }
}

#[test]
fn many_rows_at_once() {
    let Some(mut fixture) = Fixture::new() else { return };
    let ids: Vec<String> = (0..5000).map(|at| format!("u{at}")).collect();
    let documents: Vec<_> = ids.iter().map(|id| vec![user(id, None, None)]).collect();
    assert_eq!(fixture.load(vec![item("all", &documents)]), []);
    let mut again = item("all", &[]);
    again.replaces = true;
    for (at, id) in ids.iter().enumerate() {
        if at % 2 == 0 {
            again.changes.deletes.raw(&encoded(&[text(id)]));
            again.changes.deletes.end_row(USERS);
        } else {
            again.changes.updates.raw(&encoded(&user(id, Some(id), None).1));
            again.changes.updates.end_row(USERS);
        }
    }
    assert_eq!(fixture.load(vec![again]), []);
    assert_eq!(fixture.sql("select count(*), count(email) from \"Users\""), "2500|2500\n");
}
