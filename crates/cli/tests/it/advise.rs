//! `repot advise`: real figures of a source, a database and a running server, and nothing made up.

use serde_json::Value;

use crate::operate::{Serving, request};
use crate::project::{Database, Project, databases};

const MODEL: &str =
    "[notes]\nfile = \"notes/{id}.json\"\n[notes.fields]\nid = \"text key\"\ntitle = \"text?\"\n";

fn project(database: Database, notes: usize) -> Project {
    let files: Vec<(String, String)> =
        (0..notes).map(|at| (format!("notes/n{at}.json"), format!("{{\"id\": \"n{at}\"}}"))).collect();
    let files: Vec<(&str, &[u8])> =
        files.iter().map(|(path, text)| (path.as_str(), text.as_bytes())).collect();
    Project::with(database, MODEL, &files)
}

/// What became of the rules about a figure, by threshold.
fn states(advice: &Value, figure: &str) -> Vec<(u64, String)> {
    let rules = advice["rules"].as_array().unwrap().iter().filter(|rule| rule["figure"] == figure);
    rules.map(|rule| (rule["over"].as_u64().unwrap(), rule["state"].as_str().unwrap().to_owned())).collect()
}

#[test]
fn a_threshold_that_is_crossed_is_named_with_its_number() {
    for (notes, state, step) in [(1_000, "within", "stay"), (1_001, "crossed", "beside")] {
        let project = project(Database::Sqlite, notes);
        let advice = project.run(&["advise", "--json"]).expect(0).result();
        let documents = states(&advice, "documents");
        assert_eq!(documents, [(1_000, state.to_owned()), (10_000, "within".to_owned())]);
        assert_eq!((advice["step"].as_str(), advice["leads"].as_str()), (Some(step), Some("files")));
        assert_eq!(states(&advice, "conflict rate"), [(10_000, "unknown".to_owned())]);
    }
    let said = project(Database::Sqlite, 1_001).run(&["advise"]).expect(0).out;
    assert!(said.contains("look documents: 1,001, more than 1,000 (notes; the listing of ./data)"), "{said}");
    assert!(said.contains("conflict rate: not measured"), "{said}");
}

/// From the first write in the database on its own figures count, and the thresholds for files no more.
#[test]
fn documents_that_are_written_in_a_database_are_counted_there() {
    for database in databases() {
        let project = project(database, 3);
        project.run(&["copy"]).expect(0);
        let advice = project.run(&["advise", "--json"]).expect(0).result();
        assert_eq!(
            (advice["leads"].as_str(), advice["database"]["rows"]["notes"].is_u64()),
            (Some("files"), true)
        );
        std::fs::write(project.path("n.json"), r#"{"id": "long", "title": "of some length"}"#).unwrap();
        project.run(&["put", "notes", "long", "n.json"]).expect(0);
        let advice = project.run(&["advise", "--json"]).expect(0).result();
        let leads = advice["leads"].as_str().unwrap();
        let wanted: &[u64] = if leads == "sqlite" { &[10_000] } else { &[] };
        let bounds: Vec<u64> = states(&advice, "documents").into_iter().map(|(over, _)| over).collect();
        assert_eq!((leads != "files", bounds.as_slice()), (true, wanted), "{advice}");
        assert!(states(&advice, "conflict rate").is_empty());
        let rules = advice["rules"].as_array().unwrap();
        let largest = rules.iter().find(|rule| rule["figure"] == "largest object").unwrap();
        assert_eq!((largest["of"].as_str(), largest["value"].as_u64()), (Some("notes/long.json"), Some(41)));
    }
}

/// A running server says how many writes were in conflict; the rate is the app's threshold.
#[test]
fn conflicts_are_those_that_a_server_counted() {
    let project = project(Database::Sqlite, 2);
    let store = format!("{}", project.path("data").display());
    let server = Serving::start(&project, &["--store", &store, "--log", "off"], &[]);
    let url = server.url();
    let advise = || {
        let mut command = project.command(&["advise", "--json"]);
        crate::project::ran(&command.env("REPOT_URL", &url).output().unwrap()).expect(0).result()
    };
    let put = |at: usize, headers: &str| {
        let line = format!("PUT /v1/notes/n{at}");
        server.send(&request(&line, headers, &format!("{{\"id\": \"n{at}\"}}")))
    };
    for at in 0..99 {
        assert!(put(at, "").starts_with("HTTP/1.1 20"));
    }
    assert_eq!(states(&advise(), "conflict rate")[0].1, "unknown", "too few to tell");
    assert!(put(0, "if-none-match: *\r\n").starts_with("HTTP/1.1 412"));
    let advice = advise();
    assert_eq!(states(&advice, "conflict rate"), [(10_000, "within".to_owned())], "1 of 100: {advice}");
    assert!(put(0, "if-none-match: *\r\n").starts_with("HTTP/1.1 412"));
    let advice = advise();
    assert_eq!(states(&advice, "conflict rate"), [(10_000, "crossed".to_owned())], "2 of 101: {advice}");
    assert_eq!((advice["server"]["writes"].as_u64(), advice["step"].as_str()), (Some(101), Some("database")));
}

/// What is out of reach is said, and the rest is advised on all the same.
#[test]
fn what_is_out_of_reach_is_said() {
    let project = project(Database::Sqlite, 1);
    std::fs::remove_dir_all(project.path("data")).unwrap();
    let mut command = project.command(&["advise"]);
    let ran =
        crate::project::ran(&command.env("REPOT_URL", "http://127.0.0.1:9").output().unwrap()).expect(0);
    assert!(ran.out.contains("documents: not measured"), "{}", ran.out);
    assert!(ran.out.contains("http://127.0.0.1:9 did not say"), "{}", ran.out);
    assert!(ran.out.contains("Stay where you are"), "{}", ran.out);
}
