//! The end of a bulk load.

use repot_core::{Loading, Target};
use repot_model::row::Cell;

use crate::fixture::{Fixture, GRANDCHILD, child, item, plain, text, user};

const BUILT: &str = "select (select count(*) from pg_constraint c join pg_namespace n on n.oid = connamespace where nspname = 'public' and contype in ('p', 'f')), \
                     (select count(*) from pg_indexes where schemaname = 'public')";

#[test]
fn violations_come_first() {
    let Some(mut fixture) = Fixture::new() else { return };
    let dangling = vec![
        plain(1, "one", Some("ghost")),
        child(10, 1, 0, "x"),
        (GRANDCHILD, vec![Cell::Int(10), Cell::Int(0), Cell::Null, text("nobody")]),
    ];
    fixture.load(vec![item("a", &[dangling]), item("b", &[vec![user("b", None, Some("c/d"))]])]);
    let mut found: Vec<String> = fixture
        .finish()
        .iter()
        .map(|violation| format!("{} {} {}", violation.collection, violation.key, violation.reason))
        .collect();
    found.sort();
    let key = "01010101-0101-0101-0101-010101010101";
    assert_eq!(
        found,
        [
            "Users b Users.friend refers to Users c%2Fd, which is not there".to_owned(),
            format!("everything {key} everything.C15 refers to Users ghost, which is not there"),
            format!("everything {key} grandchild.by refers to Users nobody, which is not there"),
        ]
    );
    assert_eq!(fixture.target.finish(&fixture.plan, 2, &mut |_| {}).unwrap().len(), 2);
    assert_eq!(fixture.target.state().unwrap().unwrap().loading, Loading::Bulk);
    let printed = fixture.sql(
        "delete from grandchild; update everything set \"C15\" = null; update \"Users\" set friend = null",
    );
    assert_eq!(printed, "");
    assert_eq!(fixture.finish(), []);
    assert_eq!(fixture.target.state().unwrap().unwrap().loading, Loading::Steady);
}

#[test]
fn resumed_and_repeated() {
    let Some(mut fixture) = Fixture::new() else { return };
    let long: String = (0_u64..4000)
        .map(|at| char::from_u32(0x4e00 + u32::try_from(at * 2_654_435_761 % 20_000).unwrap()).unwrap())
        .collect();
    fixture.load(vec![item("a", &[vec![plain(1, &long, None), child(10, 1, 0, "x")]])]);
    // as if a run had been killed after two steps
    let printed = fixture.sql(
        "alter table \"select\" add primary key (id); create index idx_child on \"select\" (everything_id)",
    );
    assert_eq!(printed, "");
    let mut said = Vec::new();
    let found = fixture.target.finish(&fixture.plan, 9, &mut |line| said.push(line.to_owned())).unwrap();
    assert_eq!(found, []);
    assert!(
        said.iter()
            .any(|line| line.contains("idx_everything_text") && line.contains("too long for an index")),
        "{said:?}"
    );
    let built = fixture.sql(BUILT);
    assert_eq!(fixture.finish(), []);
    assert_eq!(fixture.sql(BUILT), built);
    // 4 keys of the user's, 10 of ours (repot_lock is not made without a lock), 5 references
    assert!(built.starts_with("19|"), "{built}");
    assert_eq!(fixture.target.state().unwrap().unwrap().loading, Loading::Steady);
}
