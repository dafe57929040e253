//! Beginning and end of a database: missing, foreign, taken, newer, finished, finished again.

use repot_core::{Kind, Loading, Target as _};
use repot_sqlite::{SqliteOptions, SqliteTarget};
use tempfile::TempDir;

use crate::kit::{MODEL, World, plan};

#[test]
fn nothing_is_made_before_it_is_needed() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("repot.db");
    let mut target = SqliteTarget::open(&path, SqliteOptions::default()).unwrap();
    assert_eq!(target.to_string(), format!("SQLite {}, {}", rusqlite::version(), path.display()));
    assert_eq!(target.state().unwrap(), None);
    assert_eq!(target.existing_tables(&["owners"]).unwrap(), [""; 0]);
    assert!(target.check().unwrap().message.ends_with("not there yet, can be made"));
    assert_eq!(target.reader().unwrap_err().code(), "R0106");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    target.set_meta("a", Some("b")).unwrap();
    assert_eq!(target.state().unwrap(), None);
    target.create(&plan(), MODEL).unwrap();
    let state = target.state().unwrap().unwrap();
    assert_eq!((state.model_text.as_str(), state.loading), (MODEL, Loading::Bulk));
    assert_eq!(state.plan_hash, plan().hash);
    assert_eq!(target.existing_tables(&["OWNERS", "none", "jobs"]).unwrap(), ["OWNERS", "jobs"]);
    assert!(target.check().unwrap().message.contains("writable"));

    let nowhere = folder.path().join("no/folder/repot.db");
    let mut target = SqliteTarget::open(&nowhere, SqliteOptions::default()).unwrap();
    assert_eq!(target.check().unwrap_err().code(), "R0106");
    assert_eq!(target.create(&plan(), MODEL).unwrap_err().code(), "R0106");
    assert_eq!(SqliteTarget::open(folder.path(), SqliteOptions::default()).unwrap_err().code(), "R0106");
}

#[test]
fn a_taken_name_stops_the_making_of_all() {
    for sql in [
        "create table Jobs (a)",
        "create view steps as select 1",
        "create table x (a); create index idx_jobs_title on x (a)",
        "create table repot_pieces (a)",
    ] {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("repot.db");
        rusqlite::Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        let mut target = SqliteTarget::open(&path, SqliteOptions::default()).unwrap();
        let error = target.create(&plan(), MODEL).unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Refused, "R0109"), "{sql}");
        let name = sql
            .split(' ')
            .find(|word| ["Jobs", "steps", "idx_jobs_title", "repot_pieces"].contains(word))
            .unwrap();
        assert!(error.message().contains(name), "{error}");
        assert_eq!(target.state().unwrap(), None);
        assert_eq!(target.existing_tables(&["owners", "repot_meta"]).unwrap(), [""; 0]);
    }
}

#[test]
fn foreign_newer_and_damaged_files() {
    let mut world = World::new();
    world.sql().execute_batch("update repot_meta set value = '99' where key = 'format'").unwrap();
    let error = world.target.state().unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Unsupported, "R0108"));
    let path = world.folder.path().join("text.db");
    std::fs::write(&path, "this is no database, but it is long enough to be taken for one".repeat(100))
        .unwrap();
    let error = SqliteTarget::open(&path, SqliteOptions::default()).unwrap().state().unwrap_err();
    assert_eq!((error.code(), error.kind()), ("R0106", Kind::TargetUnavailable));
    assert!(error.message().contains("the file is no SQLite database"), "{error}");
}

#[test]
fn another_programs_lock_is_waited_for_and_told() {
    let world = World::new();
    let other = world.sql();
    other.execute_batch("begin immediate").unwrap();
    let options = SqliteOptions { busy_timeout_ms: 20, ..SqliteOptions::default() };
    let mut target = SqliteTarget::open(&world.path(), options).unwrap();
    let error = target.set_meta("a", Some("b")).unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::TargetUnavailable, "R0114"));
    other.execute_batch("rollback").unwrap();
    target.set_meta("a", Some("b")).unwrap();
}

fn filled() -> World {
    let mut world = World::new();
    let items = vec![
        world.item(
            "jobs/a.json",
            r#"{"id":"a","title":"T","owner_id":1,"steps":[{"name":"s","notes":[{"text":"n"}]}]}"#,
        ),
        world.item("jobs/b.json", r#"{"id":"b","title":"T","owner_id":2,"steps":[{"name":"s"}]}"#),
        world.item("jobs/c.json", r#"{"id":"c","title":"T","owner_id":3}"#),
        world.item("jobs/d.json", r#"{"id":"d","title":"T"}"#),
        world.item("owners/1.json", r#"{"id":1,"email":"a@x"}"#),
    ];
    assert_eq!(world.load(items), []);
    world
}

fn indexes(world: &World) -> Vec<String> {
    let mut statement_rows = world
        .reader()
        .query("select name from sqlite_schema where type = 'index' and sql is not null order by 1", 99)
        .unwrap()
        .rows;
    statement_rows.iter_mut().map(|row| row[0].take().unwrap()).collect()
}

#[test]
fn finish_tells_what_refers_to_nothing() {
    let mut world = filled();
    let all = world.target.finish(&world.plan, 10, &mut |_| {}).unwrap();
    let told: Vec<_> =
        all.iter().map(|one| (one.collection.as_str(), one.key.as_str(), one.reason.as_str())).collect();
    assert_eq!(
        told,
        [
            ("jobs", "b", "jobs.owner_id refers to owners 2, which is not there"),
            ("jobs", "c", "jobs.owner_id refers to owners 3, which is not there"),
        ]
    );
    assert_eq!(world.target.finish(&world.plan, 1, &mut |_| {}).unwrap().len(), 1);
    assert_eq!(world.target.state().unwrap().unwrap().loading, Loading::Bulk);
    assert_eq!(indexes(&world), ["repot_documents_key", "repot_documents_set_aside"]);
    // the caller takes those documents out and calls again
    for key in ["b", "c"] {
        let rows = world
            .reader()
            .document_rows(&world.plan, world.table("jobs"), &crate::kit::encoded(&[crate::kit::text(key)]))
            .unwrap();
        let mut item = crate::kit::bare(&format!("jobs/{key}.json"), "jobs");
        item.removes = true;
        for at in (0..rows.len()).rev() {
            let (table, row) = rows.row(at);
            let cells: Vec<_> = repot_model::row::Cells::new(row).collect();
            world.plan.tables[table]
                .identity
                .iter()
                .for_each(|&column| item.changes.deletes.cell(&cells[column]));
            item.changes.deletes.end_row(table);
        }
        assert_eq!(world.load(vec![item]), []);
    }
    assert_eq!(world.target.finish(&world.plan, 10, &mut |_| {}).unwrap(), []);
    assert_eq!((world.count("jobs"), world.count("steps")), (2, 1));
}

#[test]
fn finish_can_be_done_again_after_any_step() {
    let world = filled();
    world.sql().execute_batch("delete from jobs where owner_id > 1; pragma foreign_keys = off").unwrap();
    // as a process leaves it that ended between two indexes
    world.sql().execute_batch("create index idx_jobs_title on jobs (title)").unwrap();
    let mut steps = Vec::new();
    let mut other = world.again();
    assert_eq!(other.finish(&world.plan, 10, &mut |step| steps.push(step.to_owned())).unwrap(), []);
    let first = indexes(&world);
    for index in world.plan.tables.iter().flat_map(|table| &table.indexes) {
        assert!(first.contains(&index.name), "{}", index.name);
        assert!(
            steps.iter().any(|step| step.starts_with("building index ") && step.ends_with(&index.name)),
            "{steps:?}"
        );
    }
    assert_eq!(other.state().unwrap().unwrap().loading, Loading::Steady);
    assert_eq!(other.finish(&world.plan, 10, &mut |_| {}).unwrap(), []);
    assert_eq!(indexes(&world), first);
    // statistics are there, the log is empty, and the first handle goes on steadily
    assert!(world.reader().query("select 1 from sqlite_stat1", 1).unwrap().rows.len() == 1);
    let mut log = world.path().into_os_string();
    log.push("-wal");
    assert_eq!(std::fs::metadata(log).unwrap().len(), 0);
    assert_eq!(
        world.sql().query_row("pragma integrity_check", (), |row| row.get::<_, String>(0)).unwrap(),
        "ok"
    );
}

#[test]
fn a_finished_database_finds_its_way_by_indexes() {
    let world = World::steady();
    let sql = rusqlite::Connection::open(world.path()).unwrap();
    let plan_of = |sql_text: &str| -> String {
        let mut statement = sql.prepare(&format!("explain query plan {sql_text}")).unwrap();
        let lines: Vec<String> =
            statement.query_map((), |row| row.get(3)).unwrap().map(Result::unwrap).collect();
        lines.join("; ")
    };
    for statement in [
        "select 1 from repot_documents where collection = 'a' and key = 'b'",
        "select 1 from repot_documents where object between 1 and 2",
        "select 1 from repot_objects where path > 'a' order by path limit 5",
        "delete from notes where step_id = 1 and place = 2",
        "select 1 from labels where on_id = 'a' and on_type = 'jobs'",
        "select 1 from jobs where owner_id = 1",
    ] {
        let plan = plan_of(statement);
        assert!(plan.starts_with("SEARCH") && !plan.contains("SCAN"), "{statement}: {plan}");
    }
}
