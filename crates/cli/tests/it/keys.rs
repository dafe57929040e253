//! `repot key`: made, listed, taken back; the secret is printed once and nowhere else.

use serde_json::{Value, json};

use crate::project::{Database, Project, Ran, databases};

fn keys(project: &Project) -> Vec<Value> {
    project.run(&["key", "list", "--json"]).expect(0).result()["keys"].as_array().unwrap().clone()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[test]
fn keys_are_made_listed_and_taken_back() {
    for database in databases() {
        let project = Project::app("council", database);
        project.run(&["copy"]).expect(0);
        assert_eq!(keys(&project), [] as [Value; 0]);

        let made = project.run(&["key", "create", "web site"]).expect(0);
        let key = made.out.trim();
        assert!(key.starts_with("rpt_") && made.out.lines().count() == 1, "{made:?}");
        assert!(!made.err.contains(key) && made.err.contains("only time"), "{made:?}");
        let words = ["key", "create", "service", "--rights", "read,admin", "--any-tenant", "--json"];
        let service = project.run(&words).expect(0).result();
        assert_eq!((&service["name"], &service["any_tenant"]), (&json!("service"), &json!(true)));
        assert_eq!(service["rights"], json!({"read": "everything", "admin": "everything"}));
        let words = ["key", "create", "anna", "--rights", "write", "--tenant", "u_anna", "--expires", "90d"];
        let anna = project.run(&[&words[..], &["--only", "usage,messages", "usage", "--json"]].concat());
        let anna = anna.expect(0).result();
        assert_eq!(anna["rights"], json!({"write": ["messages", "usage"]}));
        assert_eq!(anna["tenant"], json!("u_anna"));

        let mut listed = keys(&project);
        listed.sort_by_key(|key| key["name"].to_string());
        let names: Vec<&str> = listed.iter().map(|key| text(&key["name"])).collect();
        assert_eq!(names, ["anna", "service", "web site"]);
        assert_eq!((&listed[0]["id"], &listed[0]["expires_at"]), (&anna["id"], &anna["expires_at"]));
        assert!(text(&anna["key"]).contains(text(&anna["id"])));
        let plain = project.run(&["key", "list"]).expect(0);
        assert_eq!(plain.out.lines().count(), 3);
        for all in [plain.out, json!(listed).to_string()] {
            assert!(!all.contains("rpt_"), "{all}");
        }

        project.run(&["key", "revoke", text(&anna["id"])]).expect(0);
        let again = project.run(&["key", "revoke", text(&anna["id"])]);
        assert!(again.code != 0 && again.err.contains("error[R0432]"), "{again:?}");
        let revoked = keys(&project).into_iter().find(|key| key["id"] == anna["id"]).unwrap();
        assert_eq!(revoked["state"], json!("taken back"));
        // keys are no documents: the files still lead
        project.run(&["copy"]).expect(0);
        assert_eq!(keys(&project).len(), 3);
    }
}

#[test]
fn what_makes_no_key_says_why() {
    let project = Project::app("council", Database::Sqlite);
    let refused = |words: &[&str], code: &str| -> Ran {
        let ran = project.run(&[&["key", "create"], words].concat());
        assert!(ran.code != 0 && ran.out.is_empty() && ran.err.contains(code), "{words:?}: {ran:?}");
        ran
    };
    refused(&["a", "--rights", "read,rite"], "rite");
    refused(&["a", "--only", "nothing"], "R0402");
    refused(&["a", "--tenant", "u", "--any-tenant"], "--any-tenant");
    refused(&["a", "--tenant", ""], "R0100");
    refused(&[" "], "R0100");
    for time in ["soon", "0d", "90", "-1d", "999999999999999999y", "9000y"] {
        refused(&["a", &format!("--expires={time}")], "R0100");
    }
    assert_eq!(keys(&project), [] as [Value; 0]);
}

/// Neither what is printed beside it, nor the statements that are shown, nor the database hold the secret.
#[test]
fn the_secret_is_printed_once_and_kept_nowhere() {
    for database in databases() {
        let project = Project::app("council", database);
        let mut command = project.command(&["key", "create", "canary", "--json"]);
        let made = crate::project::ran(&command.env("DATABASE_ECHO", "1").output().unwrap()).expect(0);
        let key = text(&made.result()["key"]).to_owned();
        let secret = key.get(16..59).unwrap();
        assert!(made.err.contains("repot_facts") && !made.err.contains(secret), "{}", made.err);
        assert_eq!(made.out.matches(secret).count(), 1);
        if matches!(project.database, Database::Sqlite) {
            for file in std::fs::read_dir(project.folder.path()).unwrap() {
                let path = file.unwrap().path();
                let bytes = if path.is_file() { std::fs::read(&path).unwrap() } else { Vec::new() };
                let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
                assert!(!found, "{}", path.display());
            }
        }
    }
}
