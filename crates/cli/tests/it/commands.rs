//! Commands from the outside: exit codes, refusals, JSON, what the user reads.

use crate::project::{Database, Project};

#[test]
fn without_a_model_the_next_step_is_said() {
    let project = Project::new(Database::Sqlite);
    let ran = project.run(&["copy"]).expect(1);
    assert!(ran.err.contains("error[R0107]") && ran.err.contains("repot init"), "{}", ran.err);
}

#[test]
fn init_writes_over_nothing() {
    let project = Project::app("council", Database::Sqlite);
    let ran = project.run(&["init", "./data"]).expect(5);
    assert!(ran.err.contains("error[R0116]"), "{}", ran.err);
    project.run(&["init", "./data", "--force"]).expect(0);
    project.run(&["init", "./nowhere", "--force"]).expect(10);
}

#[test]
fn a_wrong_model_names_its_place() {
    let project = Project::with(
        Database::Sqlite,
        "[repot]\nsource = \"./data\"\n\n[a]\nfile = \"{id}.json\"\n[a.fields]\nid = \"txt key\"\n",
        &[],
    );
    let ran = project.run(&["plan"]).expect(1);
    assert!(ran.err.contains("repot.toml:7:"), "{}", ran.err);
    assert!(ran.err.contains("text"), "{}", ran.err);
    let ran = project.run(&["plan", "--json"]).expect(1);
    assert_eq!(ran.result()["line"].as_u64(), Some(7));
}

#[test]
fn plan_changes_nothing_and_says_what_would_be_set_aside() {
    let project = Project::app("council", Database::Sqlite);
    project.folder.write("data/u_anna/torn.json", b"{\"id\":");
    let result = project.run(&["plan", "--json"]).expect(0).result();
    assert_eq!(result["set_aside"].as_u64(), Some(1));
    assert!(result["notices"].to_string().contains("R0211"), "{result}");
    assert!(!project.path("repot.db").exists());
    project.run(&["plan", "--check"]).expect(4);
    let sql = project.run(&["plan", "--sql"]).expect(0).out;
    assert!(
        sql.contains("create table \"messages\"") && sql.contains("idx_messages_conversation_id"),
        "{sql}"
    );
}

#[test]
fn queries_read_only() {
    let project = Project::app("council", Database::Sqlite);
    project.run(&["query", "select 1"]).expect(1);
    project.run(&["copy"]).expect(0);
    let ran = project
        .run(&["query", "--csv", "select tier, count(*) as n from usage group by 1 order by 1"])
        .expect(0);
    assert_eq!(ran.out, "tier,n\r\nfree,2\r\npro,1\r\n");
    for bad in ["delete from usage", "select 1; delete from usage", "selec", "attach 'x.db' as x"] {
        let ran = project.run(&["query", bad]).expect(1);
        assert!(ran.err.contains("R0111"), "{bad}: {}", ran.err);
    }
    assert_eq!(project.ask("select count(*) from usage"), "3");
}

#[test]
fn export_refuses_a_directory_that_is_not_empty() {
    let project = Project::app("council", Database::Sqlite);
    project.run(&["copy"]).expect(0);
    let ran = project.run(&["export", "data"]).expect(5);
    assert!(ran.err.contains("R0801"), "{}", ran.err);
    project.run(&["export", "data", "--into-existing"]).expect(0);
    assert!(!project.path("data/u_anna/.repot").exists());
}

#[test]
fn export_names_the_directory_to_compare_with_as_diff_takes_it() {
    let project = Project::app("council", Database::Sqlite);
    project.run(&["copy"]).expect(0);
    let back = |to: &str| project.run(&["export", to]).expect(0).err;
    assert!(back("one").contains("Next: diff -r ./data one\n"));
    std::fs::write(project.path(".env"), "REPOT_SOURCE=file://data\n").unwrap();
    let said = back("two");
    assert!(said.contains("Next: diff -r data two\n"), "{said}");
}

#[test]
fn tables_that_are_not_ours_are_not_touched() {
    let project = Project::app("council", Database::Sqlite);
    project.sql("create table usage (x)");
    let ran = project.run(&["copy"]).expect(5);
    assert!(ran.err.contains("R0109") && ran.err.contains("usage"), "{}", ran.err);
}

#[test]
fn a_changed_model_is_refused_and_nothing_is_lost() {
    let project = Project::app("council", Database::Sqlite);
    project.run(&["copy"]).expect(0);
    let model = std::fs::read_to_string(project.path("repot.toml")).unwrap();
    std::fs::write(project.path("repot.toml"), model.replace("text(500)", "text(400)")).unwrap();
    let ran = project.run(&["copy"]).expect(6);
    assert!(ran.err.contains("R0151"), "{}", ran.err);
}

#[test]
fn every_code_is_explained() {
    let project = Project::new(Database::Sqlite);
    let list = project.run(&["explain"]).expect(0).out;
    assert!(list.lines().count() > 50, "{list}");
    for line in list.lines() {
        let code = line.split_whitespace().next().unwrap();
        let text = project.run(&["explain", code]).expect(0).out;
        assert!(text.contains("To mend it:"), "{code}: {text}");
    }
    project.run(&["explain", "R9999"]).expect(2);
}

#[test]
fn every_code_in_the_sources_is_in_the_catalogue() {
    let project = Project::new(Database::Sqlite);
    let list = project.run(&["explain"]).expect(0).out;
    let crates = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let tree = repot_testkit::read_tree(&crates).unwrap();
    for (path, bytes) in tree.iter().filter(|(path, _)| path.extension().is_some_and(|ending| ending == "rs"))
    {
        let text = String::from_utf8_lossy(bytes);
        let shown = path.display().to_string();
        if shown.contains("/tests/") {
            continue;
        }
        for part in text.split("\"R0").skip(1) {
            let code = format!("R0{}", part.chars().take(3).collect::<String>());
            if part.chars().nth(3) == Some('"') {
                assert!(list.contains(&code), "{code} of {shown} is not in the catalogue");
            }
        }
    }
}

#[test]
fn help_lists_every_command() {
    let project = Project::new(Database::Sqlite);
    let help = project.run(&["--help"]).expect(0).out;
    for command in
        ["init", "check", "plan", "copy", "verify", "query", "queue", "export", "explain", "gen", "demo"]
    {
        assert!(help.contains(&format!("\n  {command} ")), "{command} in {help}");
    }
    project.run(&["nonsense"]).expect(2);
}

#[test]
fn check_says_where_settings_come_from() {
    let project = Project::app("council", Database::Sqlite);
    project.folder.write(".env", "DATABASE_URL=postgresql://app:canary-secret@127.0.0.1:1/app\n");
    let ran = project.run(&["check"]).expect(11);
    assert!(ran.err.contains(".env") && ran.err.contains("***"), "{}", ran.err);
    assert!(!ran.err.contains("canary-secret") && !ran.out.contains("canary-secret"));
    let ran = project.run(&["copy", "--json"]).expect(11);
    assert!(!ran.err.contains("canary-secret") && !ran.out.contains("canary-secret"));
}

#[test]
fn the_schema_for_editors_is_json() {
    let project = Project::new(Database::Sqlite);
    let schema = project.run(&["gen", "schema"]).expect(0).out;
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    assert!(schema["$schema"].as_str().is_some_and(|name| name.contains("2020-12")));
}
