//! Reading: paging, one consistent state, queries that cannot write, damage that is named.

use repot_core::{Kind, Target as _};
use repot_model::row::Cell;
use repot_sqlite::{SqliteOptions, SqliteTarget};

use crate::kit::{World, bare, encoded, text};

#[test]
fn pages_follow_each_other_in_byte_order() {
    let mut world = World::new();
    let mut paths: Vec<String> = (0..250).map(|at| format!("a/{:03}", at * 7 % 250)).collect();
    paths.extend(["A", "b", "a-b", "\u{e9}", "\u{1f600}", "\u{f7ff}", "a/1'%_"].map(str::to_owned));
    let items = paths.iter().map(|path| bare(path, "things")).collect();
    assert_eq!(world.load(items), []);
    paths.sort();
    let mut reader = world.reader();
    let mut found: Vec<String> = Vec::new();
    loop {
        let page = reader.objects(found.last().map(String::as_str), 17, false).unwrap();
        found.extend(page.iter().map(|object| object.record.path.clone()));
        // what others add meanwhile does not shift the pages
        let count = found.len();
        let item = bare(&format!("a/0{count}+"), "things");
        world
            .target
            .load(
                &world.plan,
                repot_core::Batch {
                    items: vec![item],
                    dictionaries: Vec::new(),
                    ..repot_core::Batch::default()
                },
            )
            .unwrap();
        if page.len() < 17 {
            break;
        }
    }
    assert_eq!(found, paths);
    let object = reader.objects(None, 1, true).unwrap().remove(0);
    let mut expected = bare("A", "things").object;
    assert_eq!(object.record, expected);
    expected.path.clear();
    assert_eq!(reader.object("").unwrap(), None);
}

#[test]
fn documents_of_any_objects_in_order() {
    let mut world = World::new();
    let items: Vec<_> = (0..300)
        .map(|at| {
            let mut item = bare(&format!("o{at:03}"), "things");
            for ordinal in 0..3 {
                item.documents.push(crate::kit::record(
                    ordinal,
                    "things",
                    Some(format!("{at}.{ordinal}")),
                    "x",
                    0..0,
                ));
            }
            item
        })
        .collect();
    assert_eq!(world.load(items), []);
    let mut reader = world.reader();
    let all: Vec<i64> = reader.objects(None, 1000, false).unwrap().iter().map(|object| object.id).collect();
    for ids in [
        all.clone(),
        all.iter().copied().step_by(3).collect(),
        all.iter().rev().copied().take(70).collect(),
        vec![all[7]],
        vec![],
    ] {
        let mut expected: Vec<(i64, u32)> =
            ids.iter().flat_map(|&id| (0..3).map(move |ordinal| (id, ordinal))).collect();
        expected.sort_unstable();
        let mut found = Vec::new();
        reader
            .documents(&ids, &mut |document| {
                found.push((document.object, document.record.ordinal));
                Ok(())
            })
            .unwrap();
        assert_eq!(found, expected);
    }
    let found = reader.find_document("things", "12.2").unwrap().unwrap();
    assert_eq!(found.record.path, "o012");
    assert_eq!(reader.find_document("jobs", "12.2").unwrap(), None);
}

#[test]
fn a_reader_sees_one_state() {
    let mut world = World::new();
    let mut reader = world.reader();
    assert_eq!(reader.objects(None, 10, false).unwrap().len(), 0);
    assert_eq!(world.load(vec![bare("a", "things")]), []);
    world.target.set_meta("x", Some("1")).unwrap();
    assert_eq!(reader.objects(None, 10, false).unwrap().len(), 0);
    assert_eq!(reader.meta("x").unwrap(), None);
    let mut later = world.reader();
    assert_eq!(later.objects(None, 10, false).unwrap().len(), 1);
    assert_eq!(later.meta("x").unwrap().as_deref(), Some("1"));
    world.target.set_meta("x", None).unwrap();
    assert_eq!(world.reader().meta("x").unwrap(), None);
}

#[test]
fn from_a_row_to_its_document_and_back() {
    let mut world = World::new();
    let item = world.item(
        "jobs/a%2F.json",
        r#"{"id":"a%2F","title":"T","labels":[{"word":"x"}],"steps":[{"name":"s1","labels":[{"word":"y"}]},{"name":"s2","notes":[{"text":"n"}]}]}"#,
    );
    let key = item.documents[0].key.clone().unwrap();
    let rows: Vec<(usize, Vec<u8>)> = item.rows.iter().map(|(table, row)| (table, row.to_vec())).collect();
    assert_eq!(
        world.load(vec![
            item,
            world.item("jobs/b.json", r#"{"id":"b","title":"B","steps":[{"name":"other"}]}"#)
        ]),
        []
    );
    let mut reader = world.reader();
    for (table, row) in &rows {
        let cells: Vec<Cell<'_>> = repot_model::row::Cells::new(row).collect();
        let identity: Vec<Cell<'_>> =
            world.plan.tables[*table].identity.iter().map(|&column| cells[column].clone()).collect();
        let root = reader.root_of(&world.plan, *table, &encoded(&identity)).unwrap();
        assert_eq!(root, Some(("jobs".to_owned(), key.clone())), "{}", world.plan.tables[*table].name);
    }
    let found = reader.document_rows(&world.plan, world.table("jobs"), &encoded(&[text("a%2F")])).unwrap();
    let mut found: Vec<(usize, Vec<u8>)> = found.iter().map(|(table, row)| (table, row.to_vec())).collect();
    let mut rows = rows;
    rows.sort();
    found.sort();
    assert_eq!(found, rows);
    assert!(
        reader.document_rows(&world.plan, world.table("jobs"), &encoded(&[text("none")])).unwrap().is_empty()
    );
    world.sql().execute_batch("pragma foreign_keys = off; update notes set step_id = 1").unwrap();
    let identity = encoded(&[Cell::Int(1), Cell::Int(0)]);
    assert_eq!(world.reader().root_of(&world.plan, world.table("notes"), &identity).unwrap(), None);
    let pair = world.item("pairs/l/2.json", "{}");
    assert_eq!(world.load(vec![pair]), []);
    let key = encoded(&[text("l"), Cell::Int(2)]);
    let root = world.reader().root_of(&world.plan, world.table("pairs"), &key).unwrap();
    assert_eq!(root, Some(("pairs".to_owned(), "l/2".to_owned())));
}

#[test]
fn queries_read() {
    let mut world = World::new();
    assert_eq!(world.load(vec![world.item("owners/1.json", r#"{"id":1,"email":"a@x"}"#)]), []);
    let mut reader = world.reader();
    let result = reader
        .query("select id, email, level, 1.0 as f, 1e300, x'00ff' as b from owners -- end\n;", 5)
        .unwrap();
    assert_eq!(result.columns, ["id", "email", "level", "f", "1e300", "b"]);
    let row: Vec<Option<&str>> = result.rows[0].iter().map(Option::as_deref).collect();
    assert_eq!(row, [Some("1"), Some("a@x"), None, Some("1.0"), Some("1e300"), Some("x'00ff'")]);
    assert!(!result.more);
    let many = reader
        .query(
            "with recursive n(i) as (select 1 union all select i + 1 from n where i < 9) select i from n",
            4,
        )
        .unwrap();
    assert_eq!((many.rows.len(), many.more), (4, true));
    assert_eq!(reader.query("select * from pragma_table_info('owners')", 9).unwrap().rows.len(), 3);
    assert_eq!(reader.query("explain query plan select 1", 9).unwrap().columns.len(), 4);
    // our own statements go on working
    assert_eq!(reader.objects(None, 5, false).unwrap().len(), 1);
}

#[test]
fn queries_cannot_write() {
    let world = World::new();
    let other = world.folder.path().join("other.db");
    let attach = format!("attach '{}' as other", other.display());
    let mut reader = world.reader();
    for sql in [
        "insert into owners values (9, 'x', null)",
        "insert into owners values (9, 'x', null) returning id",
        "update owners set email = 'x'",
        "delete from owners",
        "drop table owners",
        "create temp table t (a)",
        "pragma query_only = off",
        "pragma writable_schema = on",
        "pragma journal_mode = delete",
        "vacuum",
        "vacuum into 'x.db'",
        "begin",
        "commit",
        "savepoint s",
        "analyze",
        "reindex",
        "select 1; select 2",
        "select 1; drop table owners",
        "select load_extension('x')",
        "",
        "-- nothing",
        "selec 1",
        "select absent from owners",
        "select \"absent\" from owners",
        &attach,
    ] {
        let error = reader.query(sql, 5).unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Invalid, "R0111"), "{sql}: {error}");
        assert!(error.next_step().is_some(), "{sql}");
    }
    assert!(!other.exists());
    assert_eq!(reader.query("select count(*) from owners", 5).unwrap().rows[0][0].as_deref(), Some("0"));
    let error = reader.query("select absent from owners", 5).unwrap_err();
    assert_eq!(error.message(), "cannot run the query: no such column: absent");
}

#[test]
fn missing_tables_and_columns_are_named() {
    let world = World::new();
    world.sql().execute_batch("alter table jobs drop column title_; ").unwrap_err();
    world
        .sql()
        .execute_batch(
            "drop index if exists idx_jobs_title; alter table jobs drop column title; drop table notes",
        )
        .unwrap();
    let scan = |name: &str| world.reader().scan(&world.plan, world.table(name), &mut |_| Ok(())).unwrap_err();
    let error = scan("jobs");
    assert_eq!((error.code(), error.message()), ("R0803", "the column jobs.title is missing"));
    let error = scan("notes");
    assert_eq!((error.code(), error.message()), ("R0803", "the table notes is missing"));
}

#[test]
fn a_column_of_another_type_differs() {
    let mut world = World::new();
    assert_eq!(
        world.load(vec![world.item("things/t.json", r#"{"id":"t","number":5,"at":"2024-03-01T12:00:00Z"}"#)]),
        []
    );
    let before = world.scan("things");
    world
        .sql()
        .execute_batch("create table new (id, number text, ratio, exact, flag, at integer, day, uid, raw, data, names, numbers, ratios, flags); insert into new select * from things; drop table things; alter table new rename to things; update things set at = 1")
        .unwrap();
    let after = world.scan("things");
    assert_ne!(before, after);
    let cells: Vec<Cell<'_>> = repot_model::row::Cells::new(&after[0]).collect();
    let at = |name: &str| {
        world.plan.tables[world.table("things")]
            .columns
            .iter()
            .position(|column| column.name == name)
            .unwrap()
    };
    assert_eq!((&cells[at("number")], &cells[at("at")]), (&text("5"), &Cell::Int(1)));
}

/// Where somebody turned the log off, a reader waits for a writer. One that is to answer at once does not, and reads on
/// when the writer is gone. A wait here would be one of an hour.
#[test]
fn who_is_to_answer_at_once_waits_for_no_lock() {
    let world = World::steady();
    let path = world.path();
    drop(world.target);
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("pragma journal_mode = delete").unwrap();
    let options = SqliteOptions { busy_timeout_ms: 3_600_000, ..SqliteOptions::default() };
    let target = SqliteTarget::open(&path, options).unwrap();
    let mut reader = target.reader().unwrap();
    assert!(reader.at_once(true));
    assert_eq!(reader.object("none").unwrap(), None);
    reader.refresh().unwrap();
    other.execute_batch("begin exclusive").unwrap();
    assert_eq!(reader.object("none").unwrap_err().code(), "R0114");
    reader.refresh().unwrap();
    other.execute_batch("commit").unwrap();
    assert_eq!(reader.object("none").unwrap(), None);
    reader.refresh().unwrap();
}

/// A read that takes too many steps is broken off; the connection is as good as before.
#[test]
fn who_is_to_answer_at_once_does_not_read_for_long() {
    let mut world = World::steady();
    assert_eq!(world.load((0..2_000).map(|at| bare(&format!("a/{at:04}"), "things")).collect()), []);
    let mut reader = world.reader();
    assert!(reader.at_once(true));
    assert_eq!(reader.objects(None, 10, false).unwrap().len(), 10);
    assert!(reader.objects(None, 2_000, false).is_err());
    reader.refresh().unwrap();
    assert!(reader.at_once(true));
    assert!(reader.object("a/0001").unwrap().is_some());
    reader.refresh().unwrap();
    assert!(reader.at_once(false));
    assert_eq!(reader.objects(None, 2_000, false).unwrap().len(), 2_000);
}
