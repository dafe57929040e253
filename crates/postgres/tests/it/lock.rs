//! One writer at a time.

use repot_core::{Batch, Kind, Target};
use repot_testkit::postgres::postgres;

use crate::fixture::{Fixture, item, me, open, user};

#[test]
fn the_second_is_told_who_and_since() {
    let Some(server) = postgres() else { return };
    let url = server.fresh_database();
    let mut first = open(&url);
    first.lock(&me(11)).unwrap();
    first.lock(&me(11)).unwrap();
    assert_eq!(first.state().unwrap(), None);
    let mut second = open(&url);
    let error = second.lock(&me(22)).unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Locked, "R0701"));
    assert!(error.message().contains("process 11 on here (since 2023-11-14 22:13:20"), "{error}");
    drop(first);
    second.lock(&me(22)).unwrap();
}

#[test]
fn a_writer_that_lost_its_lock_writes_nothing() {
    let Some(mut fixture) = Fixture::new() else { return };
    fixture.target.lock(&me(1)).unwrap();
    fixture.load(vec![item("a", &[vec![user("a", None, None)]])]);
    let killed = fixture.sql("select count(pg_terminate_backend(pid)) from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())");
    assert_eq!(killed, "1\n");
    // the signal is sent, and the session ends a moment later
    let held = "select count(*) from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())";
    while fixture.sql(held) != "0\n" {}
    let batch = |path: &str| Batch {
        items: vec![item(path, &[vec![user(path, None, None)]])],
        dictionaries: Vec::new(),
        ..Batch::default()
    };
    let error = fixture.target.load(&fixture.plan, batch("b")).unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Locked, "R0701"));
    // another takes over; the first stays out also when its own lock session would still be there
    let mut second = open(&fixture.url);
    second.lock(&me(2)).unwrap();
    second.load(&fixture.plan, batch("c")).unwrap();
    assert!(fixture.target.load(&fixture.plan, batch("b")).is_err());
    assert!(fixture.target.set_meta("x", Some("y")).is_err());
    assert_eq!(fixture.paths(), ["a", "c"]);
}

#[test]
fn the_token_fences_a_holder_of_the_past() {
    let Some(mut fixture) = Fixture::new() else { return };
    fixture.target.lock(&me(1)).unwrap();
    let printed = fixture.sql("update repot_lock set token = token + 1");
    assert_eq!(printed, "");
    let batch = Batch {
        items: vec![item("b", &[vec![user("b", None, None)]])],
        dictionaries: Vec::new(),
        ..Batch::default()
    };
    assert_eq!(fixture.target.load(&fixture.plan, batch).unwrap_err().code(), "R0701");
    assert_eq!(fixture.paths(), Vec::<String>::new());
}

#[test]
fn a_pooler_is_noticed_and_refused() {
    let Some(server) = postgres() else { return };
    let url = server.fresh_database();
    let mut direct = open(&url);
    assert!(direct.check().unwrap().message.ends_with("no pooler"));
    let Some(url) = server.pooled(&url) else { return };
    let mut pooled = open(&url);
    let health = pooled.check().unwrap();
    assert!(health.message.ends_with("behind a pooler"), "{}", health.message);
    assert!(!health.warnings.is_empty());
    let error = pooled.lock(&me(1)).unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Unsupported, "R0115"));
}
