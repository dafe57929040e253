//! Reading what somebody changed, questions, and what is never shown.

use repot_core::{Kind, Target};
use repot_model::row::{Cell, Cells};
use repot_postgres::{PostgresOptions, PostgresTarget};
use repot_testkit::postgres::postgres;

use crate::fixture::{EVERYTHING, Fixture, PAIRS, USERS, encoded, item, open, plain, plan, text, user};

fn scan_error(fixture: &Fixture, table: usize) -> repot_core::Error {
    fixture.reader().scan(&fixture.plan, table, &mut |_| Ok(())).unwrap_err()
}

#[test]
fn changed_tables_differ_or_name_themselves() {
    let Some(mut fixture) = Fixture::new() else { return };
    fixture.load(vec![
        item("a", &[vec![user("a", None, None)]]),
        item("b", &[vec![(PAIRS, vec![Cell::Int(1), text("b"), text("c")])]]),
    ]);
    let printed = fixture.sql("alter table \"Users\" alter column \"order\" type integer");
    assert_eq!(printed, "");
    let rows = fixture.scanned(USERS);
    assert_eq!(Cells::new(&rows[0]).nth(1), Some(text("1")));
    assert_ne!(rows[0], encoded(&user("a", None, None).1));
    let printed = fixture.sql("alter table \"Users\" rename column email to mail");
    assert_eq!(printed, "");
    let error = scan_error(&fixture, USERS);
    assert_eq!(error.code(), "R0802");
    assert!(error.message().contains("Users.email"), "{error}");
    let long = &fixture.plan.tables[PAIRS].name;
    let printed = fixture.sql(&format!("drop table \"{long}\""));
    assert_eq!(printed, "");
    let error = scan_error(&fixture, PAIRS);
    assert_eq!(error.code(), "R0802");
    assert!(error.message().contains(long), "{error}");
}

#[test]
fn values_beyond_the_encoding_differ() {
    let Some(mut fixture) = Fixture::new() else { return };
    fixture.load(vec![item("a", &[vec![plain(1, "x", None)]])]);
    let printed = fixture.sql(
        "update everything set \"C4\" = 'NaN', \"C5\" = 'NaN', \"C7\" = 'infinity', \"C8\" = '-infinity', \"C12\" = '{{1,2},{3,4}}'",
    );
    assert_eq!(printed, "");
    let rows = fixture.scanned(EVERYTHING);
    let cells: Vec<Cell<'_>> = Cells::new(&rows[0]).collect();
    assert_eq!((&cells[4], &cells[5]), (&text("NaN"), &text("NaN")));
    assert_eq!(
        (&cells[7], &cells[8], &cells[12]),
        (&text("infinity"), &text("-infinity"), &text("a list of lists"))
    );
}

#[test]
fn a_reader_sees_one_state_and_each_may_stop() {
    let Some(mut fixture) = Fixture::new() else { return };
    let ids: Vec<String> = (0..30_000).map(|at| format!("u{at}")).collect();
    let documents: Vec<_> = ids.iter().map(|id| vec![user(id, None, None)]).collect();
    fixture.load(vec![item("all", &documents)]);
    let mut reader = fixture.reader();
    let mut seen = 0;
    let stopped = reader.scan(&fixture.plan, USERS, &mut |_| {
        seen += 1;
        if seen == 5 { Err(repot_core::Error::new(Kind::Internal, "R0901", "enough")) } else { Ok(()) }
    });
    assert_eq!(stopped.unwrap_err().message(), "enough");
    fixture.load(vec![item("more", &[vec![user("more", None, None)]])]);
    let mut count = 0;
    reader
        .scan(&fixture.plan, USERS, &mut |_| {
            count += 1;
            Ok(())
        })
        .unwrap();
    assert_eq!(count, 30_000);
    assert_eq!(reader.object("more").unwrap(), None);
    let mut documents = 0;
    reader
        .documents(&[1], &mut |_| {
            documents += 1;
            Ok(())
        })
        .unwrap();
    assert_eq!(documents, 30_000);
}

#[test]
fn questions_only_read() {
    let Some(mut fixture) = Fixture::new() else { return };
    fixture.load(vec![item("a", &[vec![user("a", None, None)], vec![user("b", Some("x"), None)]])]);
    let mut reader = fixture.reader();
    let answer = reader.query("select id, email, \"order\" from \"Users\" order by id; -- done", 1).unwrap();
    assert_eq!(answer.columns, ["id", "email", "order"]);
    assert_eq!(answer.rows, [[Some("a".to_owned()), None, Some("1".to_owned())]]);
    assert!(answer.more);
    assert!(
        reader.query("explain select 1", 10).unwrap().rows[0][0].as_deref().unwrap().starts_with("Result")
    );
    for bad in [
        "delete from \"Users\"",
        "with gone as (delete from \"Users\" returning 1) select * from gone",
        "select 1; drop table \"Users\"",
        "commit",
        "commit; delete from \"Users\"",
        "select 1; commit; delete from \"Users\"",
        "explain analyze delete from \"Users\"",
        "select set_config('transaction_read_only', 'off', false); delete from \"Users\"",
        "create table x (i int)",
        "copy \"Users\" to stdout",
        "select * from nothing",
        "",
    ] {
        let error = reader.query(bad, 10).unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Invalid, "R0111"), "{bad}: {error:?}");
        assert!(error.next_step().is_some());
    }
    let error = reader.query("select idd from \"Users\"", 10).unwrap_err();
    assert!(error.message().contains("(at character 8)"), "{error}");
    assert_eq!(reader.query("select count(*) from \"Users\"", 10).unwrap().rows, [[Some("2".to_owned())]]);
}

#[test]
fn states_and_clashes() {
    let Some(server) = postgres() else { return };
    let url = server.fresh_database();
    let mut target = open(&url);
    assert_eq!(target.state().unwrap(), None);
    let printed = server.query(&url, "create view everything as select 1");
    assert_eq!(printed, "");
    assert_eq!(target.existing_tables(&["everything", "users", "Everything"]).unwrap(), ["everything"]);
    assert_eq!(target.create(&plan(), "m").unwrap_err().code(), "R0109");
    assert_eq!(target.state().unwrap(), None, "all or nothing");
    let printed = server.query(&url, "drop view everything");
    assert_eq!(printed, "");
    target.create(&plan(), "m").unwrap();
    assert_eq!(target.state().unwrap().unwrap().plan_hash, "fixture");
    target.set_meta("format", Some("3")).unwrap();
    assert_eq!(target.state().unwrap_err().code(), "R0108");
    target.set_meta("format", None).unwrap();
    assert_eq!(target.state().unwrap_err().code(), "R0803");
}

#[test]
fn the_password_is_never_shown() {
    let Some(server) = postgres() else { return };
    let url = server.fresh_database();
    let rest = url.split_once("://").unwrap().1;
    let (user, place) = rest.split_once('@').unwrap();
    let url = format!("postgresql://{user}:canary-pw@{place}");
    let target = open(&url);
    let reader = target.reader().unwrap();
    let version = target.to_string();
    assert!(version.starts_with("PostgreSQL 1") && version.contains(" at "), "{version}");
    let database = place.rsplit_once('/').unwrap();
    let mut shown = format!("{target} {target:?} {reader:?}");
    for bad in [
        format!("postgresql://{user}:canary-pw@{}/no_such_database", database.0),
        format!("postgresql://nobody_here:canary-pw@{place}"),
        format!("postgresql://{user}:canary-pw@127.0.0.1:1/x"),
        format!("postgresql://{user}:canary-pw@localhost:x/x"),
    ] {
        let error = PostgresTarget::open(&bad, PostgresOptions::default()).unwrap_err();
        assert!(error.next_step().is_some(), "{error:?}");
        shown.push_str(&format!("{error} {error:?}"));
    }
    assert!(!shown.contains("canary"), "{shown}");
}
