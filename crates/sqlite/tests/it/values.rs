//! Every kind of column and awkward values: what `scan` gives is byte for byte what was loaded.

use std::borrow::Cow;

use repot_core::Target as _;
use repot_model::row::Cell;

use crate::kit::{World, encoded, item_of, text};

fn list(cells: &[Cell<'_>]) -> Cell<'static> {
    Cell::List(Cow::Owned(encoded(cells)))
}

/// Cells of `things` after the key, one row of awkward values for each column at a time.
fn awkward() -> Vec<Vec<Cell<'static>>> {
    let long: String = "\u{1f600}long 'quoted' \"text\"\n".repeat(40_000);
    let columns: Vec<Vec<Cell<'static>>> = vec![
        [0, 1, -1, i64::MIN, i64::MAX].map(Cell::Int).to_vec(),
        [
            0.0,
            1.0,
            -1.5,
            f64::MAX,
            f64::MIN,
            f64::MIN_POSITIVE,
            5e-324,
            0.1 + 0.2,
            1e21,
            281_474_976_710_656.0,
            9_007_199_254_740_993.0,
        ]
        .map(Cell::Float)
        .to_vec(),
        ["0", "-1", "0.5", "123456789012345678901234567890.123456789", "-0.000001"]
            .map(|plain| Cell::Decimal(Cow::Borrowed(plain)))
            .to_vec(),
        [true, false].map(Cell::Bool).to_vec(),
        // year 0, before 1970, 1970, 9999, and what zones make of the first and last
        [
            -62_167_219_200_000_000,
            -1,
            0,
            1,
            253_402_300_799_999_999,
            253_402_300_800_000_000 + 3_600_000_000,
            -62_167_219_200_000_001,
        ]
        .map(Cell::Time)
        .to_vec(),
        [-719_528, -1, 0, 2_932_896].map(Cell::Date).to_vec(),
        [[0_u8; 16], [0xff; 16], [0xa5; 16]].map(Cell::Uuid).to_vec(),
        vec![
            Cell::Json(Cow::Borrowed("{ \"a\" : [1e400, \"\\u0000\"] }")),
            Cell::Json(Cow::Borrowed("null")),
            Cell::Json(Cow::Borrowed("\"2024-01-01T00:00:00Z\"")),
        ],
        vec![Cell::Bytes(Cow::Borrowed(b"")), Cell::Bytes(Cow::Borrowed(b"\0\xff'"))],
        vec![
            list(&[]),
            list(&[text(""), Cell::Null, text("a\"\\\n\u{1}\u{1f600}"), text("null"), text("1")]),
        ],
        vec![list(&[Cell::Int(i64::MIN), Cell::Null, Cell::Int(i64::MAX)])],
        vec![list(&[Cell::Float(1.0), Cell::Null, Cell::Float(f64::MAX), Cell::Float(5e-324)])],
        vec![list(&[Cell::Bool(true), Cell::Null, Cell::Bool(false)])],
    ];
    let mut rows = vec![vec![Cell::Null; columns.len()]];
    for (at, values) in columns.into_iter().enumerate() {
        for value in values {
            let mut row = vec![Cell::Null; 13];
            row[at] = value;
            rows.push(row);
        }
    }
    for key in ["", "quote ' \" ;--", "\u{1f600}", "é/%", &long] {
        let mut row = vec![text(key).clone()];
        row.extend(vec![Cell::Null; 13]);
        rows.push(row.into_iter().map(owned).collect());
    }
    rows
}

fn owned(cell: Cell<'_>) -> Cell<'static> {
    match cell {
        Cell::Text(text) => Cell::Text(Cow::Owned(text.into_owned())),
        _ => Cell::Null,
    }
}

#[test]
fn every_value_comes_back() {
    let mut world = World::new();
    let table = world.table("things");
    let rows: Vec<Vec<u8>> = awkward()
        .iter()
        .enumerate()
        .map(|(at, row)| {
            let key = format!("k{at}");
            let mut cells = if row.len() == 13 { vec![text(&key)] } else { Vec::new() };
            cells.extend(row.iter().cloned());
            encoded(&cells)
        })
        .collect();
    let items = rows
        .iter()
        .enumerate()
        .map(|(at, row)| {
            item_of(&format!("things/{at:03}.json"), "things", &format!("k{at}"), &[(table, row.clone())])
        })
        .collect();
    assert_eq!(world.load(items), []);
    let mut expected = rows;
    expected.sort();
    let found = world.scan("things");
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found, expected);
    }
    world.target.finish(&world.plan, 1, &mut |_| {}).unwrap();
    assert_eq!(world.scan("things"), expected);
}

#[test]
fn rows_of_split_documents_come_back() {
    let mut world = World::new();
    let items = vec![
        world.item("jobs/a.json", r#"{"id":"a","title":"T","owner_id":3,"labels":[{"word":"x"}],"steps":[{"name":"s","notes":[{"text":"n0"},{"text":"n1"}],"labels":[{"word":"y"},{"word":"z"}]},{"name":"t"}]}"#),
        world.item("owners/3.json", r#"{"id":3,"email":"o@x","level":"low"}"#),
        world.item("pairs/p/7.json", r#"{"left":"p","right":7,"value":null}"#),
        world.item("things/t.json", r#"{"id":"t","at":"2024-03-01T12:00:00+02:00","day":"2024-02-29","names":["a",null],"ratio":1e300,"exact":1.10,"raw":{"b": [1, 2]},"data":"AAE="}"#),
    ];
    let mut expected: Vec<(usize, Vec<u8>)> = items
        .iter()
        .flat_map(|item| item.rows.iter().map(|(table, row)| (table, row.to_vec())).collect::<Vec<_>>())
        .collect();
    assert_eq!(world.load(items), []);
    let mut found = Vec::new();
    for (at, table) in world.plan.tables.iter().enumerate() {
        found.extend(world.scan(&table.name).into_iter().map(|row| (at, row)));
    }
    expected.sort();
    found.sort();
    assert_eq!(found.len(), 11);
    assert_eq!(found, expected);
}

#[test]
fn values_written_by_other_programs() {
    let world = World::new();
    world
        .sql()
        .execute_batch(
            "insert into things (id, at, day, uid, exact, flag, names, number) values
            ('same', '2024-03-01 12:00:00', '2024-03-01', 'A5A5A5A5-A5A5-A5A5-A5A5-A5A5A5A5A5A5', '1.5', 1, '[ \"a\" ]', 1),
            ('else', 'noon', '2024-3-1', 'x', '1.50', 2, '[[]]', 1)",
        )
        .unwrap();
    let rows = world.scan("things");
    let mut same =
        vec![text("same"), Cell::Int(1), Cell::Null, Cell::Decimal("1.5".into()), Cell::Bool(true)];
    same.extend([
        Cell::Time(1_709_294_400_000_000),
        Cell::Date(19_783),
        Cell::Uuid([0xa5; 16]),
        Cell::Null,
        Cell::Null,
    ]);
    same.extend([list(&[text("a")]), Cell::Null, Cell::Null, Cell::Null]);
    let mut other = vec![text("else"), Cell::Int(1), Cell::Null, text("1.50"), Cell::Int(2)];
    other.extend([text("noon"), text("2024-3-1"), text("x"), Cell::Null, Cell::Null]);
    other.extend([text("[[]]"), Cell::Null, Cell::Null, Cell::Null]);
    let mut expected = vec![encoded(&same), encoded(&other)];
    expected.sort();
    assert_eq!(rows, expected);
}

#[test]
fn any_name_can_be_a_table_or_column() {
    let mut plan = crate::kit::plan();
    let odd = ["select", "Group By", "ta\"ble", &"x".repeat(63), "UPPER", "é", "order"];
    for (table, name) in plan.tables.iter_mut().zip(odd) {
        table.name = name.to_owned();
        for (column, name) in table.columns.iter_mut().zip(["From", "\"", "where", "index", "rowid", "Ä"]) {
            column.name = name.to_owned();
        }
    }
    let mut world = World::with(plan);
    for name in odd {
        let at = world.table(name);
        assert_eq!(world.target.existing_tables(&[name]).unwrap(), [name]);
        world.reader().scan(&world.plan, at, &mut |_| Ok(())).unwrap();
    }
    let table = world.plan.tables.iter().position(|table| table.columns.len() == 14).unwrap();
    let mut cells = vec![text("k"), Cell::Int(5)];
    cells.resize(14, Cell::Null);
    let name = world.plan.tables[table].name.clone();
    assert_eq!(world.load(vec![item_of("p", &name, "k", &[(table, encoded(&cells))])]), []);
    assert_eq!(world.scan(&name), [encoded(&cells)]);
    assert_eq!(world.target.finish(&world.plan, 5, &mut |_| {}).unwrap(), []);
}
