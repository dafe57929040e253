//! What goes in comes out, byte for byte.

use std::borrow::Cow;

use repot_core::{Piece, Target};
use repot_model::row::{Cell, Cells};

use crate::fixture::{
    CHILD, EVERYTHING, Fixture, GRANDCHILD, PAIRS, POLY, USERS, child, encoded, item, plain, text, user,
};

fn decimal(plain: &str) -> Cell<'_> {
    Cell::Decimal(Cow::Borrowed(plain))
}

fn list(cells: &[Cell<'_>]) -> Cell<'static> {
    Cell::List(Cow::Owned(encoded(cells)))
}

fn awkward() -> Vec<Vec<Cell<'static>>> {
    let long = "ä\u{1f600}x".repeat(200_000);
    let digits = "9".repeat(60);
    let rows = [
        (text("plain"), Cell::Int(0), 0.0, "0", 0, 0),
        (
            text(""),
            Cell::Int(i64::MIN),
            f64::MIN,
            "0.000000000000000000000000000001",
            -62_135_596_800_000_000,
            -719_162,
        ),
        (
            text("NULL"),
            Cell::Int(i64::MAX),
            f64::MAX,
            "-0.000000000000000000000000000001",
            253_402_300_799_999_999,
            2_932_896,
        ),
        (text("\\N\t\n\r\"'\u{1}"), Cell::Int(-1), 5e-324, "12345.678", -1, -1),
        (text("\u{1f600}\u{feff}e\u{301}"), Cell::Int(1 << 53), 0.1, "10000", 951_782_400_000_001, 11_016),
    ];
    let mut out = Vec::new();
    for (at, (words, int, float, number, time, date)) in rows.into_iter().enumerate() {
        out.push(vec![
            Cell::Uuid([u8::try_from(at).unwrap(); 16]),
            words,
            text("ééééé"),
            int,
            Cell::Float(float),
            Cell::Decimal(Cow::Owned(number.to_owned())),
            Cell::Bool(at % 2 == 0),
            Cell::Time(time),
            Cell::Date(date),
            Cell::Json(Cow::Borrowed("{ \"a\" : 1.10, \"a\":\"\\u0000\\ud800\", \"b\":1e400 }")),
            Cell::Bytes(Cow::Borrowed(&[0, 255, 10])),
            list(&[text("a"), Cell::Null, text(""), text("NULL"), text("{\"x\"}")]),
            list(&[Cell::Int(i64::MIN), Cell::Null]),
            list(&[Cell::Float(1.5), Cell::Null, Cell::Float(1e308)]),
            list(&[Cell::Bool(true), Cell::Null, Cell::Bool(false)]),
            Cell::Null,
        ]);
    }
    let mut empty = vec![Cell::Null; 16];
    empty[0] = Cell::Uuid([255; 16]);
    empty[1] = Cell::Text(Cow::Owned(long));
    empty[5] = decimal(Box::leak(digits.into_boxed_str()));
    for cell in empty.iter_mut().take(15).skip(11) {
        *cell = list(&[]);
    }
    empty[10] = Cell::Bytes(Cow::Borrowed(&[]));
    out.push(empty);
    out.push([vec![Cell::Uuid([77; 16])], vec![Cell::Null; 15]].concat());
    out
}

#[test]
fn every_kind_and_awkward_values() {
    let Some(mut fixture) = Fixture::new() else { return };
    let rows = awkward();
    let items = rows
        .iter()
        .enumerate()
        .map(|(at, cells)| item(&format!("{at}.json"), &[vec![(EVERYTHING, cells.clone())]]))
        .collect();
    assert_eq!(fixture.load(items), []);
    let mut expected: Vec<Vec<u8>> = rows.iter().map(|cells| encoded(cells)).collect();
    expected.sort();
    assert_eq!(fixture.scanned(EVERYTHING), expected);
    let mut reader = fixture.reader();
    for cells in &rows {
        let found = reader.document_rows(&fixture.plan, EVERYTHING, &encoded(&cells[..1])).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found.row(0), (EVERYTHING, encoded(cells).as_slice()));
    }
}

#[test]
fn documents_with_children_of_every_sort() {
    let Some(mut fixture) = Fixture::new() else { return };
    let poly = |kind: &'static str, id: &'static str, position| {
        (POLY, vec![text(kind), text(id), Cell::Int(position), Cell::Null])
    };
    let uuid = "01010101-0101-0101-0101-010101010101";
    let first = vec![
        plain(1, "one", None),
        child(10, 1, 1, "second"),
        child(11, 1, 0, "first"),
        (GRANDCHILD, vec![Cell::Int(10), Cell::Null, text("no place"), Cell::Null]),
        (GRANDCHILD, vec![Cell::Int(11), Cell::Int(0), text("x"), Cell::Null]),
        poly("everything", uuid, 0),
    ];
    let second = vec![user("u/1", Some("a@b"), None), poly("Users", "u/1", 0), poly("Users", "u/1", 1)];
    let pair = vec![(PAIRS, vec![Cell::Int(1), text("x/y"), text("long")])];
    assert_eq!(
        fixture.load(vec![
            item("a", std::slice::from_ref(&first)),
            item("b", std::slice::from_ref(&second)),
            item("c", std::slice::from_ref(&pair))
        ]),
        []
    );
    for _ in 0..2 {
        let mut reader = fixture.reader();
        let rows = reader.document_rows(&fixture.plan, EVERYTHING, &encoded(&[Cell::Uuid([1; 16])])).unwrap();
        let tables: Vec<usize> = rows.iter().map(|row| row.0).collect();
        assert_eq!(tables, [EVERYTHING, CHILD, CHILD, GRANDCHILD, GRANDCHILD, POLY]);
        assert_eq!(Cells::new(rows.row(1).1).next(), Some(Cell::Int(11)), "by position");
        let rows = reader.document_rows(&fixture.plan, USERS, &encoded(&[text("u/1")])).unwrap();
        assert_eq!(rows.len(), 3);
        let rows =
            reader.document_rows(&fixture.plan, PAIRS, &encoded(&[Cell::Int(1), text("x/y")])).unwrap();
        assert_eq!(rows.len(), 1);
        let mut root_of =
            |table, cells: &[Cell<'_>]| reader.root_of(&fixture.plan, table, &encoded(cells)).unwrap();
        let one = Some(("everything".to_owned(), uuid.to_owned()));
        assert_eq!(root_of(GRANDCHILD, &[Cell::Int(10), Cell::Null]), one);
        assert_eq!(root_of(POLY, &[text("everything"), text(uuid), Cell::Int(0)]), one);
        assert_eq!(
            root_of(POLY, &[text("Users"), text("u/1"), Cell::Int(1)]),
            Some(("Users".to_owned(), "u%2F1".to_owned()))
        );
        assert_eq!(
            root_of(PAIRS, &[Cell::Int(1), text("x/y")]),
            Some(("LONG".replace("LONG", &fixture.plan.tables[PAIRS].name), "1/x%2Fy".to_owned()))
        );
        assert_eq!(root_of(GRANDCHILD, &[Cell::Int(99), Cell::Null]), None);
        drop(reader);
        // the same with keys, references and indexes in place
        assert_eq!(fixture.finish(), []);
    }
}

#[test]
fn records_pages_and_pieces() {
    let Some(mut fixture) = Fixture::new() else { return };
    let paths = ["B", "a", "a/b", "a0", "z", "\u{e9}", "\u{1f600}"];
    let mut items: Vec<_> = paths
        .iter()
        .map(|path| item(path, &[vec![(PAIRS, vec![Cell::Int(1), text(path), Cell::Null])]]))
        .collect();
    items[0].object.reason = Some(("R0001".to_owned(), "why\0not".to_owned()));
    items[1].documents[0].reason = Some(("R0311".to_owned(), "too long".to_owned()));
    items[1].documents[0].key = None;
    let mut wanted = items.clone();
    wanted[0].object.reason = Some(("R0001".to_owned(), "why\u{fffd}not".to_owned()));
    let batch = repot_core::Batch {
        items,
        dictionaries: vec![(5, "pairs".to_owned(), vec![0, 1])],
        ..repot_core::Batch::default()
    };
    fixture.target.load(&fixture.plan, batch).unwrap();
    let mut reader = fixture.reader();
    let mut after: Option<String> = None;
    let mut seen = Vec::new();
    loop {
        let page = reader.objects(after.as_deref(), 3, true).unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.record.path.clone());
        seen.extend(page);
    }
    assert_eq!(seen.iter().map(|object| object.record.path.as_str()).collect::<Vec<_>>(), paths);
    let ids: Vec<i64> = seen.iter().map(|object| object.id).collect();
    let mut documents = Vec::new();
    reader
        .documents(&ids, &mut |document| {
            documents.push(document);
            Ok(())
        })
        .unwrap();
    for ((object, document), item) in seen.iter().zip(&documents).zip(&wanted) {
        assert_eq!(object.record, item.object);
        let mut record = item.documents[0].clone();
        record.rows = 0..0;
        assert_eq!((document.object, &document.record), (object.id, &record));
    }
    assert_eq!(reader.objects(None, 1, false).unwrap()[0].record.frame, None);
    assert_eq!(reader.object("a").unwrap().unwrap().id, ids[1]);
    assert_eq!(reader.object("nothing").unwrap(), None);
    let name = fixture.plan.tables[PAIRS].name.clone();
    assert_eq!(reader.find_document(&name, "1/a%2Fb").unwrap().unwrap().id, ids[2]);
    assert_eq!(
        reader.set_aside(None, 9).unwrap(),
        [("a".to_owned(), 0, "R0311".to_owned(), "too long".to_owned())]
    );
    assert_eq!(reader.set_aside(Some("R0312"), 9).unwrap(), []);
    assert_eq!(reader.dictionaries().unwrap(), [(5, "pairs".to_owned(), vec![0, 1])]);
    drop(reader);
    pieces(&mut fixture);
}

fn pieces(fixture: &mut Fixture) {
    let piece = |number: u32| Piece { number, bytes: vec![u8::try_from(number).unwrap(); 300_000] };
    for number in [0, 1, 2, 0, 1] {
        fixture.target.put_piece("big", &piece(number)).unwrap();
    }
    let mut big = item("big", &[]);
    fixture.load(vec![big.clone()]);
    let read = |fixture: &Fixture| {
        let mut found = Vec::new();
        fixture
            .reader()
            .pieces("big", &mut |piece| {
                found.push(piece);
                Ok(())
            })
            .unwrap();
        found
    };
    assert_eq!(read(fixture), [piece(0), piece(1)]);
    big.replaces = true;
    big.keeps_pieces = true;
    fixture.load(vec![big.clone()]);
    assert_eq!(read(fixture).len(), 2);
    big.removes = true;
    fixture.load(vec![big]);
    assert_eq!(read(fixture), []);
    assert_eq!(fixture.target.state().unwrap().unwrap().model_text, "the model");
}
