//! Batches: refusals that leave the rest, replaced and removed objects, pieces, crashes.

use repot_core::{Batch, Piece, Refusal, Status, Target as _};
use repot_model::row::{Cell, RowBuffer};

use crate::kit::{World, bare, encoded, item_of, text};

fn owner(world: &World, id: i64, email: &str) -> repot_core::Item {
    world.item(&format!("owners/{id}.json"), &format!(r#"{{"id":{id},"email":"{email}"}}"#))
}

#[test]
fn what_is_refused_leaves_the_rest() {
    let mut world = World::new();
    let table = world.table("owners");
    let bad = |id: i64, email: &str, level: Cell<'static>| {
        item_of(
            &format!("owners/{id}.json"),
            "owners",
            &id.to_string(),
            &[(table, encoded(&[Cell::Int(id), text(email), level]))],
        )
    };
    let items = vec![
        owner(&world, 1, "a@x"),
        owner(&world, 2, "a@x"),
        bad(3, "c@x", text("other")),
        bad(4, "more than twenty characters", Cell::Null),
        item_of("owners/5.json", "owners", "5", &[(table, encoded(&[Cell::Int(5), Cell::Null, Cell::Null]))]),
        item_of(
            "owners/6.json",
            "owners",
            "6",
            &[(table, encoded(&[text("no number"), text("f@x"), Cell::Null]))],
        ),
        owner(&world, 7, "g@x"),
        item_of(
            "owners/x.json",
            "owners",
            "7",
            &[(table, encoded(&[Cell::Int(7), text("h@x"), Cell::Null]))],
        ),
    ];
    let refused = world.load(items);
    let told: Vec<(&str, &str, &str)> = refused
        .iter()
        .map(|refusal| (refusal.path.as_str(), refusal.code, refusal.reason.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            ("owners/2.json", "R0203", "owners.email: another row has this value already"),
            ("owners/3.json", "R0306", "owners: the check level fails"),
            ("owners/4.json", "R0306", "owners: the check length(\"email\") <= 20 fails"),
            ("owners/5.json", "R0306", "owners.email must not be null"),
            ("owners/6.json", "R0306", "owners: datatype mismatch"),
            ("owners/x.json", "R0203", "owners.id: another row has this value already"),
        ]
    );
    assert_eq!(world.count("owners"), 2);
    let mut reader = world.reader();
    let aside = reader.set_aside(None, 100).unwrap();
    assert_eq!(aside.len(), 6);
    assert_eq!(reader.set_aside(Some("R0203"), 100).unwrap().len(), 2);
    assert_eq!(reader.set_aside(Some("R0203"), 1).unwrap().len(), 1);
    let object = reader.object("owners/2.json").unwrap().unwrap();
    assert_eq!(object.record.status, Status::SetAside);
    assert_eq!(object.record.reason.unwrap().0, "R0203");
    reader
        .documents(&[object.id], &mut |document| {
            assert_eq!((document.record.key, document.record.text.len()), (None, 22));
            Ok(())
        })
        .unwrap();
    assert_eq!(reader.object("owners/1.json").unwrap().unwrap().record.status, Status::Moved);
}

#[test]
fn a_refused_document_leaves_no_row_of_any_table() {
    let mut world = World::new();
    let job = r#"{"id":"a","title":"T","steps":[{"name":"s","notes":[{"text":"n"}]}]}"#;
    let mut twin = world.item("jobs/a.json", job);
    twin.object.path = "jobs/copy.json".to_owned();
    let mut items = vec![world.item("jobs/a.json", job), twin];
    // the key is taken by the last row of all: everything before it must go again
    let mut late = world
        .item("jobs/late.json", r#"{"id":"late","title":"L","steps":[{"name":"s","notes":[{"text":"n"}]}]}"#);
    let table = world.table("jobs");
    late.rows.raw(&encoded(&[text("a"), text("again"), Cell::Null]));
    late.rows.end_row(table);
    late.documents[0].rows.end += 1;
    items.push(late);
    let refused = world.load(items);
    let paths: Vec<&str> = refused.iter().map(|refusal| refusal.path.as_str()).collect();
    assert_eq!(paths, ["jobs/copy.json", "jobs/late.json"]);
    assert_eq!((world.count("jobs"), world.count("steps"), world.count("notes")), (1, 1, 1));
}

#[test]
fn a_key_that_moves_within_a_batch_is_free() {
    let mut world = World::steady();
    assert_eq!(world.load(vec![owner(&world, 1, "a@x"), owner(&world, 2, "b@x")]), []);
    // 1 takes what 2 gives up: refused in the order of the paths, accepted when all is in
    let table = world.table("owners");
    let mut items = Vec::new();
    for (id, email) in [(1, "b@x"), (2, "c@x")] {
        let mut item = owner(&world, id, email);
        item.rows = RowBuffer::new();
        item.documents[0].rows = 0..0;
        item.changes.updates.raw(&encoded(&[Cell::Int(id), text(email), Cell::Null]));
        item.changes.updates.end_row(table);
        item.replaces = true;
        items.push(item);
    }
    assert_eq!(world.load(items), []);
    assert_eq!(
        world.scan("owners"),
        [
            encoded(&[Cell::Int(1), text("b@x"), Cell::Null]),
            encoded(&[Cell::Int(2), text("c@x"), Cell::Null])
        ]
    );
}

/// A job with three steps of which one is dropped, one changed and one added.
fn changed_job(world: &World, title: &str) -> repot_core::Item {
    let old = world.item("jobs/a.json", FIRST);
    let steps = world.table("steps");
    let rows: Vec<Vec<u8>> = old.rows.iter().filter(|row| row.0 == steps).map(|row| row.1.to_vec()).collect();
    let cell = |row: usize, column: usize| repot_model::row::Cells::new(&rows[row]).nth(column).unwrap();
    let mut item = bare("jobs/a.json", "jobs");
    item.documents.push(crate::kit::record(0, "jobs", Some("a".to_owned()), title, 0..1));
    item.documents[0].version = 2;
    item.replaces = true;
    let id_column = world.plan.tables[steps].columns.iter().position(|column| column.name == "id").unwrap();
    item.changes.deletes.cell(&cell(0, id_column));
    item.changes.deletes.end_row(steps);
    item.changes.updates.raw(&encoded(&[text("a"), text(title), Cell::Null]));
    item.changes.updates.end_row(world.table("jobs"));
    item.changes.updates.raw(&encoded(&[text("a"), Cell::Int(0), cell(1, id_column), text("changed")]));
    item.changes.updates.end_row(steps);
    item.rows.raw(&encoded(&[text("a"), Cell::Int(1), Cell::Int(77), text("added")]));
    item.rows.end_row(steps);
    item
}

const FIRST: &str = r#"{"id":"a","title":"T","steps":[{"name":"s0"},{"name":"s1","notes":[{"text":"n"}]}]}"#;

#[test]
fn replaced_and_removed_objects() {
    for steady in [false, true] {
        let mut world = if steady { World::steady() } else { World::new() };
        assert_eq!(world.load(vec![world.item("jobs/a.json", FIRST), owner(&world, 1, "a@x")]), []);
        let before = world.reader().object("jobs/a.json").unwrap().unwrap();
        assert_eq!(world.load(vec![changed_job(&world, "new")]), []);
        let sql = "select s.name, s.place, j.title from steps as s join jobs as j on j.id = s.job_id order by s.place";
        let mut reader = world.reader();
        let rows = reader.query(sql, 9).unwrap().rows;
        let rows: Vec<Vec<&str>> =
            rows.iter().map(|row| row.iter().map(|cell| cell.as_deref().unwrap()).collect()).collect();
        assert_eq!(rows, [["changed", "0", "new"], ["added", "1", "new"]]);
        let after = reader.object("jobs/a.json").unwrap().unwrap();
        assert_eq!(after.id, before.id);
        reader
            .documents(&[after.id], &mut |document| {
                assert_eq!((document.record.version, document.record.text.as_slice()), (2, &b"new"[..]));
                Ok(())
            })
            .unwrap();
        drop(reader);

        let mut gone = bare("jobs/a.json", "jobs");
        gone.removes = true;
        let rows =
            world.reader().document_rows(&world.plan, world.table("jobs"), &encoded(&[text("a")])).unwrap();
        assert_eq!(rows.len(), 4);
        for at in (0..rows.len()).rev() {
            let (table, row) = rows.row(at);
            let cells: Vec<Cell<'_>> = repot_model::row::Cells::new(row).collect();
            for &column in &world.plan.tables[table].identity {
                gone.changes.deletes.cell(&cells[column]);
            }
            gone.changes.deletes.end_row(table);
        }
        assert_eq!(world.load(vec![gone]), []);
        for table in ["jobs", "steps", "notes"] {
            assert_eq!(world.count(table), 0, "{table}");
        }
        assert_eq!(world.reader().object("jobs/a.json").unwrap(), None);
        assert_eq!(
            world.reader().query("select count(*) from repot_documents", 1).unwrap().rows[0][0].as_deref(),
            Some("1")
        );
    }
}

#[test]
fn a_replaced_object_that_is_refused_loses_its_old_rows() {
    let mut world = World::new();
    assert_eq!(
        world.load(vec![
            world.item("jobs/a.json", FIRST),
            world.item("jobs/b.json", r#"{"id":"b","title":"B","steps":[{"name":"b0"}]}"#)
        ]),
        []
    );
    let taken = world.scan("steps");
    let mut item = changed_job(&world, "new");
    // a step with a key that another document has
    let steps = world.table("steps");
    let b = world.item("jobs/b.json", r#"{"id":"b","title":"B","steps":[{"name":"b0"}]}"#);
    let (_, b_step) = b.rows.iter().find(|row| row.0 == steps).unwrap();
    assert!(taken.contains(&b_step.to_vec()));
    let key = repot_model::row::Cells::new(b_step).nth(2).unwrap();
    item.rows.raw(&encoded(&[text("a"), Cell::Int(2), key, text("clash")]));
    item.rows.end_row(steps);
    item.documents[0].rows = 0..2;
    let refused = world.load(vec![item]);
    assert_eq!(
        refused,
        [Refusal {
            path: "jobs/a.json".to_owned(),
            ordinal: 0,
            code: "R0203",
            reason: "steps.id: another row has this value already".to_owned()
        }]
    );
    assert_eq!((world.count("jobs"), world.count("steps"), world.count("notes")), (1, 1, 0));
    assert_eq!(world.reader().object("jobs/a.json").unwrap().unwrap().record.status, Status::SetAside);
}

#[test]
fn pieces_come_back_and_go_with_their_object() {
    let mut world = World::new();
    let put = |world: &mut World, number: u32, bytes: &[u8]| {
        world.target.put_piece("big.json", &Piece { number, bytes: bytes.to_vec() }).unwrap();
    };
    put(&mut world, 0, b"old");
    put(&mut world, 1, b"old");
    put(&mut world, 0, b"one");
    put(&mut world, 1, b"two");
    let mut item = bare("big.json", "things");
    item.object.status = Status::SetAside;
    item.object.reason = Some(("R0213".to_owned(), "large".to_owned()));
    item.keeps_pieces = true;
    assert_eq!(world.load(vec![item.clone()]), []);
    let pieces = |world: &World| {
        let mut all = Vec::new();
        world
            .reader()
            .pieces("big.json", &mut |piece| {
                all.push((piece.number, piece.bytes));
                Ok(())
            })
            .unwrap();
        all
    };
    assert_eq!(pieces(&world), [(0, b"one".to_vec()), (1, b"two".to_vec())]);
    assert_eq!(
        world.reader().set_aside(None, 9).unwrap(),
        [("big.json".to_owned(), 0, "R0213".to_owned(), "large".to_owned())]
    );
    item.keeps_pieces = false;
    item.replaces = true;
    assert_eq!(world.load(vec![item]), []);
    assert_eq!(pieces(&world), []);
}

#[test]
fn dictionaries_come_back() {
    let mut world = World::new();
    let batch = Batch {
        items: Vec::new(),
        dictionaries: vec![(3, "jobs".to_owned(), vec![0, 255]), (1, "owners".to_owned(), vec![])],
        ..Batch::default()
    };
    world.target.load(&world.plan, batch).unwrap();
    assert_eq!(
        world.reader().dictionaries().unwrap(),
        [(1, "owners".to_owned(), vec![]), (3, "jobs".to_owned(), vec![0, 255])]
    );
}

#[test]
fn a_process_that_ends_inside_a_transaction_leaves_nothing() {
    let mut world = World::new();
    assert_eq!(world.load(vec![owner(&world, 1, "a@x")]), []);
    {
        let other = world.sql();
        other
            .execute_batch(
                "begin immediate; insert into owners values (2, 'b@x', null); delete from repot_objects",
            )
            .unwrap();
    }
    assert_eq!(world.count("owners"), 1);
    assert_eq!(world.load(vec![owner(&world, 2, "b@x")]), []);
    assert_eq!(world.reader().objects(None, 10, false).unwrap().len(), 2);
}

#[test]
fn a_batch_that_fails_leaves_nothing_of_it() {
    let mut world = World::new();
    assert_eq!(world.load(vec![owner(&world, 1, "a@x")]), []);
    // said to be new, but there already: our own fault, and no refusal of a document
    let items = vec![owner(&world, 2, "b@x"), bare("owners/1.json", "owners")];
    let error = world
        .target
        .load(&world.plan, Batch { items, dictionaries: Vec::new(), ..Batch::default() })
        .unwrap_err();
    assert!(error.message().contains("record an object"), "{error}");
    assert_eq!(world.count("owners"), 1);
}
