//! `repot watch`: what changes, as JSON lines.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::project::{Project, databases};

const MODEL: &str = "[repot]\nsource = \"./data\"\n\n[notes]\nfile = \"notes/{id}.json\"\n\n[notes.fields]\nid = \"text key\"\nn = \"int?\"\n\n\
                     [chats]\nfile = \"chats/{user}/{id}.json\"\ntenant = \"user\"\n\n[chats.fields]\nid = \"text key\"\nuser = \"text\"\nn = \"int?\"\n";

fn lines(out: &str) -> Vec<Value> {
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn changes_are_printed_as_they_come() {
    for database in databases() {
        let data: [(&str, &[u8]); 3] = [
            ("notes/a.json", br#"{"id": "a", "n": 1}"#),
            ("notes/b.json", br#"{"id": "b"}"#),
            ("chats/u1/c.json", br#"{"id": "c", "user": "u1"}"#),
        ];
        let project = Project::with(database, MODEL, &data);
        project.run(&["copy"]).expect(0);
        let nothing = project.run(&["watch", "--once", "--since", "0"]).expect(0);
        assert_eq!(
            lines(&nothing.out),
            [json!({"next": 0}), json!({"next": 0})],
            "a first copy is not logged"
        );
        let mut child = project.command(&["watch"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut next = || serde_json::from_str::<Value>(&out.next().unwrap().unwrap()).unwrap();
        assert_eq!(next(), json!({"next": 0}));
        let (mut seen, mut positions) = (Vec::new(), Vec::new());
        for sql in [
            "update notes set n = 2 where id = 'a'",
            "delete from notes where id = 'b'",
            "update chats set n = 3",
        ] {
            project.sql(sql);
            let line = next();
            assert!(line["at"].as_str().unwrap().ends_with('Z'));
            positions.push(line["seq"].as_u64().unwrap());
            seen.push(json!([line["collection"], line["key"], line["kind"], line["tenant"]]));
        }
        let expected = [
            json!(["notes", "a", "put", null]),
            json!(["notes", "b", "deleted", null]),
            json!(["chats", "c", "put", "u1"]),
        ];
        assert_eq!(seen, expected);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(positions.windows(2).all(|two| two[0] < two[1]), "{positions:?}");
        let (first, last) = (positions[0], positions[2]);
        let some = project.run(&["watch", "notes", "--once", "--since", &first.to_string()]).expect(0);
        let some = lines(&some.out);
        assert_eq!(
            (&some[0], &some[1]["key"], &some[2]),
            (&json!({ "next": first }), &json!("b"), &json!({ "next": last }))
        );
        let refused = project.run(&["watch", "--since", "99"]).expect(5);
        assert!(refused.err.contains("R0604"), "{}", refused.err);
        assert!(project.run(&["watch", "other"]).err.contains("R0402"));
    }
}
