//! `repot move`: the council app changes database while it is used, from SQLite to PostgreSQL and back; also through a server that
//! knows the old database alone, and that nobody restarts.

use std::sync::atomic::AtomicUsize;

use serde_json::json;

use crate::live_app::{App, Progress, is_all_there};
use crate::moving::{Following, Mover, operate};
use crate::operate::{Serving, request};
use crate::project::{Database, Project, Ran, databases, fed, ran};

/// The council app in a database, which goes into one of the other kind.
fn between(database: Database) -> Mover {
    let mover = Mover::in_a_directory(database);
    mover.project.run(&["copy"]).expect(0);
    std::fs::remove_dir_all(mover.project.path("data")).unwrap();
    let urls = match &mover.project.database {
        Database::Postgres(url) => (url.clone(), "sqlite:///second.db".to_owned()),
        Database::Sqlite => {
            let other = repot_testkit::postgres::fresh_database();
            ("sqlite:///repot.db".to_owned(), other.unwrap_or_else(|| "sqlite:///second.db".to_owned()))
        }
    };
    Mover { between: Some(urls), ..mover }
}

/// A command in the project as it was, over the old database alone.
fn old(mover: &Mover, words: &[&str]) -> Ran {
    mover.project.run(words)
}

fn live(mover: &Mover) {
    let (old_url, new_url) = mover.between.clone().unwrap();
    let early = Serving::start(&mover.project, &[], &[]);
    let command = &mut mover.project.command(&["move", &new_url, "--json"]);
    let following = Following::by(command);
    let variables = [("REPOT_LOG", "off"), ("REPOT_SOURCE", &old_url), ("DATABASE_URL", &new_url)];
    let server = Serving::start(&mover.project, &[], &variables);
    let progress = Progress::default();
    let users = ["u_anna", "u_bela", "u_chidi"];
    let sent: Vec<Vec<String>> = std::thread::scope(|scope| {
        let apps = users.map(|user| {
            // one of them is still at the server of before
            let servers = if user == "u_chidi" { vec![&early, &server] } else { vec![&server] };
            let app = App { servers, at: AtomicUsize::new(0), user, progress: &progress };
            scope.spawn(move || (app.run(), app.at.into_inner()))
        });
        let confirmed = mover.confirmed();
        let tried = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            operate(mover, &server, &progress);
            let finished = mover.run(&["finish", &confirmed]).expect(0);
            assert!(finished.err.contains("the two databases are in step"), "{}", finished.err);
            progress.wait();
        }));
        progress.end();
        let ended = apps.map(|app| app.join().unwrap());
        tried.unwrap();
        assert_eq!(ended.each_ref().map(|(_, at)| *at), [0, 0, 1], "the server of before was left");
        ended.map(|(sent, _)| sent).into()
    });
    following.stop();
    let (code, log) = server.stop();
    assert_eq!(code, Some(0), "{log}");
    drop(early);
    mover.run(&["verify"]).expect(0);
    mover.run(&["export", "back"]).expect(0);
    is_all_there(mover, users.iter().zip(sent));
    // what nobody touched is as it was
    let sample = repot_testkit::read_tree(&Project::app("council", Database::Sqlite).path("data")).unwrap();
    old(mover, &["export", "before"]).expect(0);
    for (path, bytes) in sample {
        for side in ["back", "before"] {
            let found = std::fs::read(mover.project.path(side).join(&path)).unwrap();
            assert_eq!(found, bytes.to_vec(), "{side} {}", path.display());
        }
    }
    // nothing is written into it any more
    let words = ["put", "conversations", "late", "--tenant", "u_bela"];
    let late = fed(
        &mut mover.project.command(&words),
        "{\"id\": \"late\", \"user_id\": \"u_bela\", \"messages\": []}",
    );
    assert!(late.code != 0 && late.err.contains("R0725"), "{late:?}");
    let removed = mover.run(&["finish", "--remove-source", "--dry-run", "--json"]).expect(0).result();
    assert!(removed["removed"].as_u64() > Some(20), "{removed}");
}

#[test]
fn the_council_app_moves_between_databases_while_it_is_used() {
    for database in databases() {
        live(&between(database));
    }
}

/// Trash and history stay behind only where somebody says so.
#[test]
fn what_a_move_does_not_take_along_is_said_before() {
    let model = "[notes]\nfile = \"notes/{id}.json\"\naudit = \"30d\"\nsoft_delete = \"30d\"\n[notes.fields]\nid = \"text key\"\n";
    let project = Project::with(Database::Sqlite, model, &[("notes/a.json", b"{\"id\": \"a\"}")]);
    project.run(&["copy"]).expect(0);
    let put = |id: &str| fed(&mut project.command(&["put", "notes", id]), &format!("{{\"id\": \"{id}\"}}"));
    for id in ["b", "c"] {
        put(id).expect(0);
    }
    project.run(&["rm", "notes", "b"]).expect(0);
    let wanted = ["move", "sqlite:///second.db"];
    let refused = project.run(&wanted).expect(5);
    for told in ["R0726", "trash: 1 ", "history: 3 ", "--leave trash,history"] {
        assert!(refused.err.contains(told), "{told} in {}", refused.err);
    }
    assert!(!project.path("second.db").exists(), "nothing was made");
    assert!(project.run(&[&wanted[..], &["--leave", "letters"]].concat()).code != 0);
    let made = project.run(&["key", "create", "early", "--json"]).expect(0).result();
    project.run(&["key", "revoke", made["id"].as_str().unwrap()]).expect(0);
    let copied = project
        .command(&["copy"])
        .env("REPOT_SOURCE", "sqlite:///repot.db")
        .env("DATABASE_URL", "sqlite:///third.db")
        .output();
    let copied = ran(&copied.unwrap()).expect(0);
    assert!(copied.err.contains("look stays behind, history: 3 "), "{}", copied.err);
    let following = Following::by(project.command(&wanted).args(["--leave", "trash,history", "--json"]));
    // the commands of before still write, until the first rollout, and are followed
    put("d").expect(0);
    let late = project.run(&["key", "create", "late", "--json"]).expect(0).result();
    let new = |words: &[&str]| {
        let mut command = project.command(words);
        ran(&command
            .env("REPOT_SOURCE", "sqlite:///repot.db")
            .env("DATABASE_URL", "sqlite:///second.db")
            .output()
            .unwrap())
    };
    let status = new(&["status"]).expect(0);
    assert!(status.err.contains("following: the old database leads"), "{}", status.err);
    let rolled = new(&["rollout", "100%", "--json"]).expect(0).result();
    assert_eq!(rolled["stage"], json!("database"));
    assert!(new(&["get", "notes", "d"]).expect(0).out.contains("\"d\""));
    assert!(put("e").err.contains("R0725"));
    // its keys went along, also those that were made since, and a key that is taken back there stays so
    let keys = || new(&["key", "list", "--json"]).expect(0).out;
    assert!(keys().contains("\"early\"") && keys().contains("\"late\""), "{}", keys());
    new(&["key", "revoke", late["id"].as_str().unwrap()]).expect(0);
    // the files of before are still there, and are no source of this move
    for words in [&["rollback"][..], &["copy"], &["copy", "--follow"]] {
        let mut command = project.command(words);
        let wrong = ran(&command.env("DATABASE_URL", "sqlite:///second.db").output().unwrap());
        assert!(wrong.code != 0 && wrong.err.contains("R0727"), "{wrong:?}");
    }
    let back = new(&["rollback"]).expect(0);
    for told in ["the old database leads again", "Servers over the old database alone may write again."] {
        assert!(back.err.contains(told), "{told} in {}", back.err);
    }
    put("e").expect(0);
    assert_eq!(new(&["rollout", "100%", "--json"]).expect(0).result()["stage"], json!("database"));
    assert_eq!(keys().matches("taken back").count(), 2, "{}", keys());
    following.stop();
}

/// Messages of the old database are handed out by its own servers until the first rollout, and by nobody until the move is over: nobody
/// works at what the new database hands out too.
#[test]
fn messages_are_not_handed_out_by_a_database_that_does_not_lead() {
    let model = "[jobs]\nfile = \"jobs/{id}.json\"\nqueue = { lease = \"60s\", tries = 5 }\n[jobs.fields]\nid = \"text key\"\n";
    for database in databases() {
        let data: Vec<(String, String)> =
            (0..4).map(|n| (format!("jobs/j{n}.json"), format!("{{\"id\": \"j{n}\"}}"))).collect();
        let data: Vec<(&str, &[u8])> = data.iter().map(|(path, text)| (&**path, text.as_bytes())).collect();
        let project = Project::with(database, model, &data);
        project.run(&["copy"]).expect(0);
        let old_url = match &project.database {
            Database::Postgres(url) => url.clone(),
            Database::Sqlite => "sqlite:///repot.db".to_owned(),
        };
        let early = Serving::start(&project, &[], &[]);
        let send = |line: &str, body: &str| {
            let answer = early.send(&request(line, "content-type: application/json\r\n", body));
            (answer.split(' ').nth(1).unwrap().parse::<u16>().unwrap(), answer)
        };
        let _following = Following::by(project.command(&["move", "sqlite:///second.db"]).arg("--json"));
        let new = |words: &[&str]| {
            let mut command = project.command(words);
            let command = command.env("REPOT_SOURCE", &old_url).env("DATABASE_URL", "sqlite:///second.db");
            ran(&command.output().unwrap()).expect(0)
        };
        let (status, claimed) = send("POST /v1/jobs:claim", "{}");
        assert_eq!(status, 200, "{claimed}");
        let body: serde_json::Value =
            serde_json::from_str(claimed.split_once("\r\n\r\n").unwrap().1).unwrap();
        let item = &body["items"][0];
        let lease = json!({"lease": item["lease"]}).to_string();
        let ack = format!("POST {}:ack", item["path"].as_str().unwrap());
        new(&["rollout", "50%", "--no-guard"]);
        for (line, body) in
            [("POST /v1/jobs:claim", "{}"), (&*ack, &lease), ("POST /v1/jobs/j1:revive", "{}")]
        {
            let (status, answer) = send(line, body);
            assert!(
                status == 503 && answer.contains("R0725") && answer.contains("retry-after"),
                "{line}: {answer}"
            );
        }
        // who only looks is not kept out
        assert_eq!(send("POST /v1/jobs:dead", "{}").0, 200);
        new(&["rollback"]);
        assert_eq!(send("POST /v1/jobs:claim", "{}").0, 200);
    }
}
