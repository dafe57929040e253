//! The source after the end of a move: kept, offered, and removed where somebody asks for it.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::moving::{Following, Mover, in_a_bucket};
use crate::operate::{Serving, request};
use crate::project::{Database, databases};

/// A document that the app deletes, one that another program changes.
const DELETED: &str = "24d4589c-16fa-4421-9129-d06743a08f06";

/// The paths of the source, without ours.
fn paths(mover: &Mover) -> BTreeSet<String> {
    let all: Vec<String> = match &mover.lab {
        Some(lab) => lab.keys().iter().filter_map(|key| Some(key.strip_prefix("app/")?.to_owned())).collect(),
        None => {
            let tree = repot_testkit::read_tree(&mover.project.path("data")).unwrap();
            tree.into_keys().map(|path| path.to_str().unwrap().to_owned()).collect()
        }
    };
    all.into_iter().filter(|path| !path.starts_with(".repot/")).collect()
}

/// What a run said of each object.
fn fates(out: &str) -> Vec<(String, String)> {
    let lines = out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let objects = lines.filter(|line| line["type"] == "object");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    objects.map(|line| (text(&line["path"]), text(&line["fate"]))).collect()
}

/// Ends a move whose source is needed no longer; gives the paths of the source.
fn finished(mover: &Mover) -> BTreeSet<String> {
    Following::start(mover).stop();
    mover.run(&["rollout", "100%", "--no-guard"]).expect(0);
    let (name, before) = (mover.confirmed(), paths(mover));
    assert!(mover.run(&["finish", "--remove-source", &name]).expect(5).err.contains("R0741"));
    let finished = mover.run(&["finish", "--json", "--keep-source", "0d", &name]).expect(0).result();
    assert_eq!(finished["source"]["objects"], json!(before.len()), "{finished}");
    let status = mover.stage();
    assert_eq!((&status["stage"], &status["source"]["removable"]), (&json!("finished"), &json!(true)));
    let next = status["next"].as_array().unwrap();
    assert!(next.contains(&json!("repot finish --remove-source")), "{status}");
    if mover.lab.is_none() {
        // anybody can hold the receipt against the files
        let list = format!("{}000001.sha256", status["source"]["receipt"].as_str().unwrap());
        let data = mover.project.path("data");
        let checked = Command::new("sha256sum").args(["-c", "--strict", &list]).current_dir(data).output();
        let checked = checked.unwrap();
        let said = String::from_utf8_lossy(&checked.stdout);
        assert!(checked.status.success() && said.lines().count() == before.len(), "{checked:?}");
    }
    before
}

/// A server says whether the source is needed no longer.
fn figure(mover: &Mover) -> String {
    let variables = mover.variables();
    let variables: Vec<(&str, &str)> =
        variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let server = Serving::start(&mover.project, &[], &variables);
    // a busy database is not waited for
    let figure = loop {
        let text = server.send(&request("GET /metrics", "", ""));
        let found = text.lines().find(|line| line.starts_with("repot_source_removable{}"));
        if let Some(found) = found {
            break found.trim_end().to_owned();
        }
    };
    assert_eq!(server.stop().0, Some(0));
    figure
}

/// What is asked for wrongly, and what is only tried, removes nothing.
fn nothing_goes(mover: &Mover, all: &BTreeSet<String>, stays: &[(&str, &str)]) {
    for wrong in [&["finish", "--remove-source"][..], &["finish", "--remove-source", "--confirm=x"]] {
        let refused = mover.run(wrong).expect(5).err;
        assert!(refused.contains("R0719") && refused.contains("Nothing was removed"), "{refused}");
    }
    let dry = mover.run(&["finish", "--remove-source", "--dry-run", "--json"]).expect(0);
    let told = fates(&dry.out);
    for (path, fate) in stays {
        assert!(told.contains(&((*path).to_owned(), (*fate).to_owned())), "{path} {fate}: {told:?}");
    }
    let removed = told.iter().filter(|(_, fate)| fate == "removed").count();
    assert_eq!(removed, all.len() - stays.len());
    assert_eq!(paths(mover), *all);
    assert_eq!(mover.stage()["source"]["removed_at"], json!(null));
}

fn goes(mover: &Mover) {
    let before = finished(mover);
    // another program writes a document and a file of its own, and a document is deleted in the database
    let changed = before.iter().find(|path| !path.contains(DELETED)).unwrap().clone();
    mover.put_file(&changed, "{\"changed\": true}");
    mover.put_file("readme.txt", "keep me");
    mover.project.sql(&format!("delete from conversations where id = '{DELETED}'"));
    let deleted = format!("u_bela/{DELETED}.json");
    let stays = BTreeSet::from([changed.clone(), deleted.clone(), "readme.txt".to_owned()]);
    let all: BTreeSet<String> = before.union(&stays).cloned().collect();
    let fates = [(&*changed, "changed"), (&*deleted, "gone_from_database"), ("readme.txt", "unnamed")];
    nothing_goes(mover, &all, &fates);
    assert_eq!(figure(mover), "repot_source_removable{} 1");

    let name = mover.confirmed();
    let done = mover.run(&["finish", "--remove-source", "--json", &name]).expect(0).result();
    assert_eq!(done["removed"], json!(all.len() - 3), "{done}");
    assert_eq!(done["left"], json!({"changed": 1, "gone_from_database": 1, "unnamed": 1, "too_large": 0}));
    assert_eq!(paths(mover), stays);
    assert!(mover.file(".repot/fence").is_some());
    let source = mover.stage()["source"].clone();
    assert_eq!((&source["removable"], &source["left"]), (&json!(false), &json!(3)), "{source}");
    assert_eq!(figure(mover), "repot_source_removable{} 0");
    // once more changes nothing
    let again = mover.run(&["finish", "--remove-source", &name]).expect(0).err;
    assert!(again.contains("Removed 0 objects") && again.contains("1 object left: changed"), "{again}");
    assert_eq!(paths(mover), stays);
    // no copy of what is left takes the place of what the database has, though no app wrote there yet
    assert_ne!(mover.run(&["copy"]).code, 0);
    assert_ne!(mover.run(&["copy", "--follow"]).code, 0);
    mover.run(&["export", "back"]).expect(0);
    let back = repot_testkit::read_tree(&mover.project.path("back")).unwrap();
    assert_eq!(back.len(), before.len() - 1);
}

#[test]
fn the_source_is_removed_when_somebody_asks_for_it() {
    for database in databases() {
        goes(&Mover::in_a_directory(database));
    }
    goes(&in_a_bucket(Database::Sqlite));
}

/// Starts the removal and kills it when it has told of so many objects; more than fit into the pipe are not told of then. Gives the
/// paths that it told of.
fn killed_after(mover: &Mover, objects: usize) -> BTreeSet<String> {
    let words = ["finish", "--remove-source", "--json", &mover.confirmed()];
    let mut command = mover.project.command(&words);
    command.envs(mover.variables()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let (mut told, mut line) = (String::new(), String::new());
    while told.lines().filter(|line| line.contains("\"object\"")).count() < objects {
        line.clear();
        assert!(out.read_line(&mut line).unwrap() > 0, "it ended before it was killed: {told}");
        told.push_str(&line);
    }
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().code(), None);
    let told = fates(&told);
    assert!(told.iter().all(|(_, fate)| fate == "removed"), "{told:?}");
    told.into_iter().map(|(path, _)| path).collect()
}

/// A removal that is killed leaves a source of which nothing went but what the database has; another run does the rest.
#[test]
fn a_removal_that_is_killed_is_ended_by_another_run() {
    for database in databases() {
        let mover = Mover::in_a_directory(database);
        for n in 0..1_600 {
            let id = format!("many-{n:064}");
            let text = json!({"id": id, "user_id": "u_bela", "title": "one of many", "messages": []});
            mover.put_file(&format!("u_bela/{id}.json"), &text.to_string());
        }
        let before = repot_testkit::read_tree(&mover.project.path("data")).unwrap();
        let mut left = finished(&mover);
        for objects in [1, 400] {
            let told = killed_after(&mover, objects);
            let now = paths(&mover);
            assert!(now.len() < left.len() && !now.is_empty() && now.is_disjoint(&told), "{}", now.len());
            left = now;
            let source = mover.stage()["source"].clone();
            assert_eq!(source["removed_at"], json!(null), "{source}");
            assert!(source["removing_since"].is_string(), "{source}");
            assert_ne!(mover.run(&["copy"]).code, 0);
        }
        let done = mover.run(&["finish", "--remove-source", "--json", &mover.confirmed()]).expect(0).result();
        assert_eq!(done["removed"], json!(left.len()), "{done}");
        assert!(paths(&mover).is_empty());
        assert!(mover.stage()["source"]["removed_at"].is_string());
        mover.run(&["export", "back"]).expect(0);
        let back = repot_testkit::read_tree(&mover.project.path("back")).unwrap();
        assert_eq!(repot_testkit::difference(&before, &back), None);
    }
}

#[test]
fn a_database_without_a_move_has_no_source_to_remove() {
    let mover = Mover::in_a_directory(Database::Sqlite);
    let refused = mover.run(&["finish", "--remove-source", &mover.confirmed()]).expect(5);
    assert!(refused.err.contains("R0741"), "{}", refused.err);
    assert!(!mover.project.path("repot.db").exists() || mover.stage()["stage"] == "files");
    mover.run(&["copy"]).expect(0);
    let refused = mover.run(&["finish", "--remove-source", "--dry-run"]).expect(5);
    assert!(refused.err.contains("R0741"), "{}", refused.err);
}
