//! Statements are shown when `DATABASE_ECHO` asks for them, and values never are.

use crate::project::{Project, databases, ran};

const MODEL: &str = r#"
[repot]
source = "./data"

[notes]
file   = "notes/{id}.json"
search = ["title"]

[notes.fields]
id    = "text key"
title = "text = canary7"
count = "int"
"#;

#[test]
fn statements_without_values() {
    for database in databases() {
        let note = br#"{"id": "canary1", "title": "canary2 canary'3", "count": 987654321}"#;
        let project = Project::with(database, MODEL, &[("notes/canary1.json", note)]);
        let echoed = |words: &[&str], code| {
            let ran =
                ran(&project.command(words).env("DATABASE_ECHO", "true").output().unwrap()).expect(code);
            let said: Vec<String> =
                ran.err.lines().filter_map(|line| line.strip_prefix("sql: ")).map(str::to_owned).collect();
            for secret in ["canary", "987654321"] {
                let found = said.iter().find(|line| line.contains(secret));
                // the default of a column is no value of the data, and hidden all the same
                assert_eq!(found, None, "{words:?}");
            }
            said.join("\n")
        };
        let copied = echoed(&["copy"], 0);
        for part in ["create table", "repot_objects", "insert into", "repot_meta"] {
            assert!(copied.contains(part), "{part} in {copied}");
        }
        assert!(echoed(&["verify"], 0).contains("repot_documents"));
        let asked =
            echoed(&["query", "select title from notes where id = 'canary1' and count = 987654321"], 0);
        assert!(asked.contains("select title from notes where id = ? and count = ?"), "{asked}");
        let silent = project.run(&["verify"]).expect(0);
        assert!(!silent.err.contains("sql: "), "{}", silent.err);
        let unclear = ran(&project.command(&["verify"]).env("DATABASE_ECHO", "full").output().unwrap());
        assert!(unclear.code != 0 && unclear.err.contains("DATABASE_ECHO"), "{unclear:?}");
    }
}
