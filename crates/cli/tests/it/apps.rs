//! The sample apps, through everything, with their own model and with the one that `init` writes.

use repot_testkit::{assert_same_trees, read_tree};

use crate::project::{Database, Project, databases};

/// Copies, verifies, exports; the export must be the data but for what stays.
fn round_trip(project: &Project, stays: Option<&str>) {
    let copied = project.run(&["copy", "--json"]).expect(0).result();
    let count = |name: &str| copied[name].as_u64().unwrap();
    assert_eq!(count("moved") + count("set_aside") + count("unmatched") + count("stays"), count("listed"));
    assert_eq!((count("set_aside"), count("unmatched")), (0, 0), "{copied}");
    let again = project.run(&["copy", "--json"]).expect(0).result();
    assert_eq!(again["unchanged"], again["listed"], "a second run only lists");
    assert_eq!(again["root"], copied["root"]);
    let verified = project.run(&["verify", "--json"]).expect(0).result();
    assert_eq!(verified["proved"], verified["objects"]);
    assert_eq!(verified["root"], copied["root"]);
    project.run(&["export", "back"]).expect(0);
    if let Some(stays) = stays {
        std::fs::remove_dir_all(project.path("data").join(stays)).unwrap();
    }
    assert_same_trees(&project.path("data"), &project.path("back"));
}

fn with_own_model(app: &str, stays: Option<&str>, ask: &[(&str, &str)]) {
    for database in databases() {
        let project = Project::app(app, database);
        round_trip(&project, stays);
        for (sql, answer) in ask {
            assert_eq!(project.ask(sql), *answer, "{sql}");
        }
    }
}

fn with_inferred_model(app: &str) {
    let mut models = Vec::new();
    for database in databases() {
        let project = Project::app(app, database);
        std::fs::remove_file(project.path("repot.toml")).unwrap();
        project.run(&["init", "./data"]).expect(0);
        models.push(std::fs::read_to_string(project.path("repot.toml")).unwrap());
        round_trip(&project, None);
    }
    models.dedup();
    assert_eq!(models.len(), 1);
}

#[test]
fn council() {
    with_own_model(
        "council",
        None,
        &[
            ("select count(*) from conversations", "20"),
            ("select tier from usage where user_id = 'u_bela'", "pro"),
            ("select count(*) from messages where created_at is not null", "0"),
        ],
    );
}

#[test]
fn council_inferred() {
    with_inferred_model("council");
}

#[test]
fn dramas() {
    with_own_model(
        "dramas",
        None,
        &[
            ("select genre from dramas where id = 'orchard'", "family"),
            ("select count(*) from characters where name = 'Mara'", "3"),
            ("select count(distinct entity_type) from assets", "4"),
        ],
    );
}

#[test]
fn dramas_inferred() {
    with_inferred_model("dramas");
}

#[test]
fn media() {
    with_own_model(
        "media",
        None,
        &[("select count(*) from media where type = 'episode'", "8"), ("select count(*) from jobs", "12")],
    );
}

#[test]
fn media_inferred() {
    with_inferred_model("media");
}

#[test]
fn translation() {
    with_own_model(
        "translation",
        Some("logs"),
        &[
            ("select count(*) from sessions", "3"),
            (
                "select count(*) from files f join sessions s on s.id = f.session_id where s.session_type = 'changes'",
                "1",
            ),
            ("select count(*) from batch_results where outcome = 'error'", "1"),
        ],
    );
}

#[test]
fn translation_inferred() {
    with_inferred_model("translation");
}

#[test]
fn clips_is_not_copied_yet() {
    for database in databases() {
        let project = Project::app("clips", database);
        // one database for each tenant, which the model asks for, is not done yet either
        project.folder.write(".env", "DATABASE_URL=sqlite:///repot.db\n");
        project.run(&["gen", "model"]).expect(0);
        for words in [&["copy"][..], &["copy", "--dry-run"], &["plan"]] {
            let refused = project.run(words).expect(6);
            assert!(refused.err.contains("R0150") && refused.err.contains("games"), "{}", refused.err);
        }
        // nothing was made, and what needs no source is there
        project.run(&["verify"]).expect(1);
        let sql = project.run(&["plan", "--sql"]).expect(0);
        assert!(sql.out.contains("raw_clips"), "{}", sql.out);
        // files cannot hold such rows
        let refused = project.run(&["ls", "games", "--store", "./data", "--tenant", "u1"]).expect(6);
        assert!(refused.err.contains("R0150"), "{}", refused.err);
    }
}

#[test]
fn the_demo_runs() {
    let project = Project::new(Database::Sqlite);
    let ran = project.run(&["demo"]).expect(0);
    assert!(ran.err.contains("each is the same, byte for byte"), "{}", ran.err);
    assert!(read_tree(project.folder.path()).unwrap().is_empty(), "the demo cleans up");
}
