//! A missing server or data set is a skip that says so, or a failure where it is demanded.

use std::process::{Command, Output};

use repot_testkit::TempTree;

/// Not a check itself: the tests below run it alone, in environments of their own.
#[test]
fn asks_for_everything() {
    let server = repot_testkit::postgres::postgres();
    let pooled = server.as_ref().and_then(|server| server.pooled(server.url()));
    let data = repot_testkit::shared_data();
    println!("pooled: {}", pooled.is_some());
    println!("server: {}, data: {}", server.is_some(), data.is_some());
}

fn ask(environment: &[(&str, &str)]) -> (bool, String) {
    let mut command = Command::new(std::env::current_exe().expect("this binary has a path"));
    command.args(["--exact", "requirement::asks_for_everything", "--nocapture"]);
    for name in ["CI", "REPOT_TEST_POSTGRES", "REPOT_TEST_PGBOUNCER", "REPOT_SHARED_DATA", "REPOT_SKIP_LOG"] {
        command.env_remove(name);
    }
    command.env_remove("REPOT_REQUIRE_SERVERS").env_remove("REPOT_REQUIRE_DATA");
    let Output { status, stdout, stderr } =
        command.envs(environment.iter().copied()).output().expect("it can be started again");
    (status.success(), format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr)))
}

#[test]
fn on_a_laptop_a_skip_is_printed_and_noted() {
    let tree = TempTree::new();
    let log = tree.join("skipped");
    let (passed, printed) = ask(&[("REPOT_SKIP_LOG", log.to_str().unwrap())]);
    assert!(passed, "{printed}");
    for text in [
        "skipped: no PostgreSQL (run cargo xtask test)",
        "skipped: no real data sets",
        "server: false, data: false",
    ] {
        assert!(printed.contains(text), "{printed}");
    }
    assert_eq!(std::fs::read_to_string(log).unwrap(), "PostgreSQL\nreal data sets\n");
}

#[test]
fn where_it_is_demanded_it_fails() {
    for (name, what) in [
        ("CI", "PostgreSQL"),
        ("REPOT_REQUIRE_SERVERS", "PostgreSQL"),
        ("REPOT_REQUIRE_DATA", "real data sets"),
    ] {
        let (passed, printed) = ask(&[(name, "1")]);
        assert!(!passed, "{name}: {printed}");
        assert!(printed.contains(&format!("no {what}, and {name} demands it")), "{printed}");
    }
    let (passed, printed) =
        ask(&[("CI", "false"), ("REPOT_REQUIRE_SERVERS", "0"), ("REPOT_REQUIRE_DATA", "")]);
    assert!(passed, "{printed}");
}

#[test]
fn a_server_without_a_pooler_is_not_enough() {
    let Some(server) = repot_testkit::postgres::postgres() else { return };
    let tree = TempTree::new();
    let log = tree.join("skipped");
    let here = ("REPOT_TEST_POSTGRES", server.url());
    let (passed, printed) = ask(&[here, ("REPOT_SKIP_LOG", log.to_str().unwrap())]);
    assert!(passed && printed.contains("skipped: no pgbouncer (run cargo xtask test)"), "{printed}");
    assert!(printed.contains("pooled: false"), "{printed}");
    assert_eq!(std::fs::read_to_string(log).unwrap(), "pgbouncer\nreal data sets\n");
    let (passed, printed) = ask(&[here, ("CI", "true")]);
    assert!(!passed && printed.contains("no pgbouncer, and CI demands it"), "{printed}");
}

#[test]
fn data_must_be_a_folder() {
    let tree = TempTree::new();
    let (_, printed) = ask(&[("REPOT_SHARED_DATA", tree.path().to_str().unwrap())]);
    assert!(printed.contains("data: true"), "{printed}");
    let gone = tree.join("gone");
    let (passed, _) = ask(&[("REPOT_SHARED_DATA", gone.to_str().unwrap()), ("REPOT_REQUIRE_DATA", "1")]);
    assert!(!passed);
}
