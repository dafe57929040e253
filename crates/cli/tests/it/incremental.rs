//! What a later copy does: only what changed, what is gone, what was set aside.

use serde_json::Value;

use crate::project::{Database, Project, databases};

const MODEL: &str = r#"
[repot]
source = "./data"

[notes]
file = "notes/{id}.json"

[notes.fields]
id    = "text key"
title = "text(10)"
owner = "-> people?"

[marks]
in = "notes.marks[]"

[marks.fields]
id      = "int key auto"
note_id = "-> notes cascade auto"
order   = "position"
word    = "text"

[people]
file = "people/{id}.json"

[people.fields]
id   = "text key"
name = "text"
"#;

const NOTE_A: &[u8] =
    br#"{"id": "a", "title": "first", "owner": "p", "marks": [{"word": "x"}, {"word": "y"}]}"#;

fn project(database: Database) -> Project {
    let data: &[(&str, &[u8])] = &[
        ("notes/a.json", NOTE_A),
        ("notes/b.json", br#"{"id":"b","title":"second"}"#),
        ("people/p.json", br#"{"id":"p","name":"Pia"}"#),
    ];
    Project::with(database, MODEL, data)
}

fn numbers(result: &Value, names: &[&str]) -> Vec<u64> {
    names.iter().map(|name| result[*name].as_u64().unwrap_or(u64::MAX)).collect()
}

#[test]
fn changed_new_gone_and_renamed_files_follow() {
    for database in databases() {
        let project = project(database);
        project.run(&["copy"]).expect(0);
        project.folder.write("data/notes/a.json", br#"{"id": "a", "title": "first!", "owner": "p", "marks": [{"word": "x"}, {"word": "z"}, {"word": "w"}]}"#);
        project.folder.write("data/notes/c.json", br#"{"id": "c", "title": "third"}"#);
        std::fs::remove_file(project.path("data/notes/b.json")).unwrap();
        let result = project.run(&["copy", "--json"]).expect(0).result();
        assert_eq!(
            numbers(&result, &["listed", "moved", "unchanged", "changed", "removed"]),
            [3, 3, 1, 1, 1],
            "{result}"
        );
        assert_eq!(numbers(&result, &["rows"]), [4], "only rows that differ: title, y -> z, w, and c");
        assert_eq!(project.ask("select count(*) from marks"), "3");
        assert_eq!(project.ask("select title from notes where id = 'a'"), "first!");
        assert_eq!(project.ask("select count(*) from notes where id = 'b'"), "0");
        assert_eq!(
            project.ask("select version from repot_documents where key = 'a' and collection = 'notes'"),
            "2"
        );
        // a rename whose new name comes first: the key is free only after the old one went
        std::fs::rename(project.path("data/people/p.json"), project.path("data/people/a.json")).unwrap();
        project.folder.write("data/people/a.json", br#"{"id":"a","name":"Pia"}"#);
        let result = project.run(&["copy", "--json", "--set-aside"]).expect(0).result();
        assert_eq!(
            numbers(&result, &["set_aside"]),
            [1],
            "a.json of notes refers to p, which is gone: {result}"
        );
        project.folder.write("data/people/p.json", br#"{"id":"p","name":"Pia"}"#);
        let result = project.run(&["copy", "--json"]).expect(0).result();
        assert_eq!(numbers(&result, &["set_aside"]), [0], "it came back: {result}");
        project.run(&["verify"]).expect(0);
    }
}

#[test]
fn misfits_are_set_aside_and_taken_up_when_mended() {
    for database in databases() {
        let project = project(database);
        project.folder.write("data/notes/d.json", br#"{"id": "d", "title": "much too long a title"}"#);
        project.folder.write("data/notes/e.json", br#"{"id": "e", "title": "#);
        project.folder.write("data/notes/f.json", b"{\"id\": \"f\", \"title\": \"\xe9\"}");
        project.folder.write("data/notes/g.json", br#"{"id": "g", "title": "x", "owner": "nobody"}"#);
        project.folder.write("data/notes/h.json", br#"{"id": "other", "title": "x"}"#);
        project.folder.write("data/stray.txt", b"no place");
        let ran = project.run(&["copy", "--json"]).expect(3);
        let result = ran.result();
        assert_eq!(
            numbers(&result, &["listed", "moved", "set_aside", "unmatched"]),
            [9, 3, 5, 1],
            "{result}"
        );
        let aside = result["set_aside_documents"].to_string();
        for code in ["R0311", "R0211", "R0212", "R0305", "R0318"] {
            assert!(aside.contains(code), "{code} in {aside}");
        }
        project.run(&["export", "back"]).expect(0);
        std::fs::remove_file(project.path("data/stray.txt")).unwrap();
        repot_testkit::assert_same_trees(&project.path("data"), &project.path("back"));
        project.folder.write("data/people/nobody.json", br#"{"id": "nobody", "name": "N."}"#);
        project.folder.write("data/notes/e.json", br#"{"id": "e", "title": "whole"}"#);
        let result = project.run(&["copy", "--json", "--set-aside"]).expect(0).result();
        assert_eq!(numbers(&result, &["set_aside", "moved"]), [3, 6], "{result}");
        assert_eq!(project.ask("select owner from notes where id = 'g'"), "nobody");
        project.run(&["verify"]).expect(3);
    }
}

#[test]
fn the_first_of_two_equal_keys_wins() {
    let model =
        MODEL.replace("notes/{id}.json", "notes/{name}.json").replace("title =", "name = \"text\"\ntitle =");
    for database in databases() {
        let data: &[(&str, &[u8])] = &[
            ("notes/1.json", br#"{"id": "same", "title": "one"}"#),
            ("notes/2.json", br#"{"id": "same", "title": "two", "marks": [{"word": "x"}]}"#),
        ];
        let project = Project::with(database, &model, data);
        let result = project.run(&["copy", "--json"]).expect(3).result();
        assert_eq!(numbers(&result, &["moved", "set_aside"]), [1, 1], "{result}");
        assert!(result["set_aside_documents"].to_string().contains("R0203"), "{result}");
        assert_eq!(project.ask("select title from notes"), "one");
        assert_eq!(project.ask("select count(*) from marks"), "0");
        std::fs::remove_file(project.path("data/notes/1.json")).unwrap();
        project.run(&["copy"]).expect(0);
        assert_eq!(project.ask("select title from notes"), "two");
        assert_eq!(project.ask("select count(*) from marks"), "1");
        project.run(&["verify"]).expect(0);
    }
}

/// A first load may take files in another order; of equal keys and equal unique values the first by path stays.
#[test]
fn of_many_equal_keys_the_first_by_path_wins() {
    let model = MODEL
        .replace("notes/{id}.json", "notes/{name}.json")
        .replace("title =", "name = \"text\"\nslot = \"int? unique\"\ntitle =");
    for database in databases() {
        let project = Project::with(database, &model, &[]);
        let (mut titles, mut aside) = (Vec::new(), 0);
        let (mut keys, mut slots) = (Vec::new(), Vec::new());
        for at in 0..120 {
            let (key, slot) = (at * 7 % 31, at * 11 % 47);
            let body = format!(
                r#"{{"id": "k{key}", "slot": {slot}, "title": "t{at:03}", "marks": [{{"word": "w{at}"}}]}}"#
            );
            project.folder.write(format!("data/notes/{at:03}.json"), body.as_bytes());
            if keys.contains(&key) || slots.contains(&slot) {
                aside += 1;
            } else {
                titles.push(format!("t{at:03}"));
                keys.push(key);
                slots.push(slot);
            }
        }
        let result = project.run(&["copy", "--json"]).expect(3).result();
        assert_eq!(numbers(&result, &["moved", "set_aside"]), [titles.len() as u64, aside], "{result}");
        let rows =
            project.run(&["query", "--json", "select title from notes order by title"]).expect(0).result();
        let found: Vec<&str> =
            rows["rows"].as_array().unwrap().iter().filter_map(|row| row["title"].as_str()).collect();
        assert_eq!(found, titles);
        assert_eq!(project.ask("select count(*) from marks"), titles.len().to_string());
        project.run(&["verify"]).expect(3);
        let result = project.run(&["copy", "--json"]).expect(3).result();
        assert_eq!(numbers(&result, &["moved", "set_aside"]), [titles.len() as u64, aside], "{result}");
    }
}

/// Whatever the reference says of deletes, a copy takes no rows of documents that are still there.
#[test]
fn what_referred_to_a_document_that_went_is_set_aside_whole() {
    for rule in ["", " cascade", "? set null"] {
        let model = MODEL.replace("owner = \"-> people?\"", &format!("owner = \"-> people{rule}\""));
        for database in databases() {
            let data: &[(&str, &[u8])] = &[
                ("notes/a.json", NOTE_A),
                ("notes/b.json", br#"{"id": "b", "title": "other", "owner": "q"}"#),
                ("people/p.json", br#"{"id":"p","name":"Pia"}"#),
                ("people/q.json", br#"{"id":"q","name":"Quin"}"#),
            ];
            let project = Project::with(database, &model, data);
            project.run(&["copy"]).expect(0);
            // one goes; the other only gets another name
            std::fs::remove_file(project.path("data/people/p.json")).unwrap();
            let result = project.run(&["copy", "--json"]).expect(3).result();
            assert_eq!(numbers(&result, &["moved", "set_aside"]), [2, 1], "{rule}: {result}");
            assert_eq!(project.ask("select count(*) from marks"), "0");
            project.run(&["verify"]).expect(3);
            project.folder.write("data/people/p.json", br#"{"id":"p","name":"Pia"}"#);
            project.run(&["copy"]).expect(0);
            assert_eq!(project.ask("select count(*) from marks"), "2");
            project.run(&["verify"]).expect(0);
            project.run(&["export", "back"]).expect(0);
            repot_testkit::assert_same_trees(&project.path("data"), &project.path("back"));
        }
    }
}

#[test]
fn a_renamed_file_keeps_what_refers_to_it() {
    for rule in ["?", " cascade", "? set null"] {
        let model = MODEL
            .replace("people/{id}.json", "people/{file}.json")
            .replace("name = \"text\"", "name = \"text\"\nfile = \"text\"")
            .replace("owner = \"-> people?\"", &format!("owner = \"-> people{rule}\""));
        for database in databases() {
            let data: &[(&str, &[u8])] =
                &[("notes/a.json", NOTE_A), ("people/m.json", br#"{"id":"p","name":"Pia"}"#)];
            let project = Project::with(database, &model, data);
            project.run(&["copy"]).expect(0);
            for (from, to) in [("m", "a"), ("a", "z")] {
                std::fs::rename(
                    project.path(&format!("data/people/{from}.json")),
                    project.path(&format!("data/people/{to}.json")),
                )
                .unwrap();
                let result = project.run(&["copy", "--json"]).expect(0).result();
                assert_eq!(
                    numbers(&result, &["moved", "set_aside", "removed"]),
                    [2, 0, 1],
                    "{rule}: {result}"
                );
                assert_eq!(project.ask("select owner from notes"), "p");
                assert_eq!(project.ask("select file from people"), to);
                project.run(&["verify"]).expect(0);
            }
        }
    }
}

#[test]
fn large_files_are_kept_in_pieces() {
    for database in databases() {
        let project = project(database);
        let mut large = b"{\"id\": \"large\", \"title\": \"x\", \"text\": \"".to_vec();
        large.extend((0..9_000_000_u32).map(|at| b'a' + u8::try_from(at.wrapping_mul(at) % 23).unwrap()));
        large.extend(b"\"}");
        project.folder.write("data/notes/large.json", &large);
        let ran = project.run(&["copy", "--json", "--document-max", "2"]).expect(3);
        assert!(ran.result()["set_aside_documents"].to_string().contains("R0213"), "{}", ran.out);
        project.run(&["export", "back"]).expect(0);
        repot_testkit::assert_same_trees(&project.path("data"), &project.path("back"));
        let taken = project.run(&["copy", "--json", "--document-max", "12"]).expect(0).result();
        assert_eq!(numbers(&taken, &["set_aside", "changed"]), [0, 1], "{taken}");
        project.run(&["verify"]).expect(0);
        project.folder.write("data/notes/large.json", br#"{"id": "large", "title": "small"}"#);
        project.run(&["copy"]).expect(0);
        assert_eq!(project.ask("select count(*) from repot_pieces"), "0");
    }
}
