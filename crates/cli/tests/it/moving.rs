//! The council app changes store while it is used: from a directory to PostgreSQL, from a bucket to SQLite, forward, back,
//! forward again, and to the end; an app that never stops loses nothing and always sees what it wrote.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use repot_s3lab::S3Lab;
use repot_testkit::TempTree;
use serde_json::{Value, json};

use crate::live_app::{App, Progress, is_all_there};
use crate::operate::{Serving, request};
use crate::project::{Database, Project, Ran, databases, fed, ran};

/// A project whose documents are on the move, and where they come from.
pub(crate) struct Mover {
    pub project: Project,
    pub lab: Option<S3Lab>,
    /// From a database into another one: their URLs.
    pub between: Option<(String, String)>,
}

impl Mover {
    /// The council app in files.
    pub(crate) fn in_a_directory(database: Database) -> Self {
        Self { project: Project::app("council", database), lab: None, between: None }
    }

    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        let mut variables = vec![("REPOT_LOG", "off".to_owned())];
        if let Some((old, new)) = &self.between {
            variables.extend([("REPOT_SOURCE", old.clone()), ("DATABASE_URL", new.clone())]);
        }
        if let Some(lab) = &self.lab {
            variables.extend([
                ("REPOT_SOURCE", format!("s3://{}/app", lab.bucket())),
                ("REPOT_SOURCE_ENDPOINT", lab.endpoint()),
                ("AWS_ACCESS_KEY_ID", lab.access_key().to_owned()),
                ("AWS_SECRET_ACCESS_KEY", lab.secret_key().to_owned()),
            ]);
        }
        variables
    }

    pub(crate) fn run(&self, words: &[&str]) -> Ran {
        ran(&self.project.command(words).envs(self.variables()).output().unwrap())
    }

    /// The text of a file or an object of the source.
    pub(crate) fn file(&self, path: &str) -> Option<Vec<u8>> {
        if let Some((old, _)) = &self.between {
            let folder = TempTree::new();
            let words = ["export", folder.path().to_str().unwrap()];
            ran(&self.project.command(&words).env("DATABASE_URL", old).output().unwrap()).expect(0);
            return std::fs::read(folder.path().join(path)).ok();
        }
        match &self.lab {
            Some(lab) => lab.get(&format!("app/{path}")).map(|bytes| bytes.to_vec()),
            None => std::fs::read(self.project.path("data").join(path)).ok(),
        }
    }

    pub(crate) fn put_file(&self, path: &str, text: &str) {
        if let Some((old, _)) = &self.between {
            // a program that knows the old database alone
            let (user, id) = path.strip_suffix(".json").unwrap().split_once('/').unwrap();
            let put = ["put", "conversations", id, "--tenant", user];
            fed(self.project.command(&put).env("DATABASE_URL", old), text).expect(0);
            return;
        }
        match &self.lab {
            Some(lab) => lab.put(format!("app/{path}"), text.as_bytes()),
            None => std::fs::write(self.project.path("data").join(path), text).unwrap(),
        }
    }

    pub(crate) fn stage(&self) -> Value {
        self.run(&["status", "--json"]).expect(0).result()
    }

    /// The app's name, as a flag.
    pub(crate) fn confirmed(&self) -> String {
        let folder = self.project.path("").canonicalize().unwrap();
        format!("--confirm={}", folder.file_name().unwrap().to_str().unwrap())
    }
}

/// The council app in a bucket.
pub(crate) fn in_a_bucket(database: Database) -> Mover {
    let mover = Mover { lab: Some(S3Lab::start()), ..Mover::in_a_directory(database) };
    for (path, bytes) in repot_testkit::read_tree(&mover.project.path("data")).unwrap() {
        mover.lab.as_ref().unwrap().put(format!("app/{}", path.display()), bytes);
    }
    std::fs::remove_dir_all(mover.project.path("data")).unwrap();
    mover
}

/// `repot copy --follow`, until it is dropped.
pub(crate) struct Following(Child);

impl Following {
    pub(crate) fn start(mover: &Mover) -> Self {
        Self::by(mover.project.command(&["copy", "--follow", "--json"]).envs(mover.variables()))
    }

    pub(crate) fn by(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let began = lines.map(Result::unwrap).find(|line| line.contains("\"type\":\"following\""));
        assert!(began.is_some(), "it ended before it followed");
        Self(child)
    }

    pub(crate) fn stop(mut self) {
        let done = Command::new("kill").args(["-INT", &self.0.id().to_string()]).status().unwrap();
        assert!(done.success() && self.0.wait().unwrap().success());
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        drop(self.0.kill().and_then(|()| self.0.wait()));
    }
}

/// Everything that an operator does, while the apps go on.
pub(crate) fn operate(mover: &Mover, server: &Serving, progress: &Progress) {
    progress.wait();
    assert_eq!(mover.stage()["stage"], "following");
    // a program of another kind changes a file, past Repot
    let path = "u_bela/by-hand.json";
    mover.put_file(path, "{\"id\": \"by-hand\", \"user_id\": \"u_bela\", \"messages\": []}");
    // a busy machine is no reason to go back; a difference is
    let calm = ["--guard-p99", "1000x", "--guard-lag", "10m", "--json"];
    let rollout = |words: &[&str]| mover.run(&[&["rollout"], words, &calm].concat()).expect(0).result();
    let rolled = rollout(&["10%"]);
    assert_eq!((&rolled["stage"], &rolled["share_percent"]), (&json!("rolling out"), &json!(10.0)));
    assert_eq!(rolled["compared"]["share_percent"], json!(10.0));
    assert_eq!(rolled["guard"]["limits"]["p99_times"], json!(1000.0));
    let found = server.send(&request("GET /v1/conversations/by-hand", "repot-tenant: u_bela\r\n", ""));
    assert!(found.starts_with("HTTP/1.1 200"), "{found}");
    progress.wait();
    let rolled = rollout(&["--only", "user_id=u_anna", "--compare", "100%"]);
    assert_eq!(rolled["tenants"], json!(["u_anna"]));
    // what the servers saw is told, of both sides
    loop {
        let seen = mover.stage();
        let calls = |side: &str| seen[side]["calls"].as_u64().unwrap();
        if seen["compared"]["reads"].as_u64().unwrap() > 3 && calls("files") > 3 && calls("database") > 3 {
            assert!(seen["files"]["p99_ms"].as_f64().unwrap() > 0.0, "{seen}");
            assert_eq!(
                (&seen["compared"]["different"], &seen["guard"]["stopped"]),
                (&json!(0), &json!(null))
            );
            break;
        }
        progress.wait();
    }
    mover.run(&["mismatches"]).expect(0);
    assert_eq!(rollout(&["100%"])["stage"], "database");
    progress.wait();
    assert_eq!(mover.run(&["rollback", "--json"]).expect(0).result()["stage"], "following");
    progress.wait();
    assert!(mover.run(&["finish", "--confirm=x"]).expect(5).err.contains("R0717"));
    assert_eq!(rollout(&["100%"])["stage"], "database");
    progress.wait();
    let end = mover.stage();
    assert_eq!((&end["differences"], &end["guard"]["stopped"]), (&json!(0), &json!(null)), "{end}");
}

fn live(mover: &Mover) {
    assert_eq!(mover.stage()["stage"], "files");
    let following = Following::start(mover);
    let variables = mover.variables();
    let variables: Vec<(&str, &str)> =
        variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let server = Serving::start(&mover.project, &[], &variables);
    let progress = Progress::default();
    let users = ["u_anna", "u_bela", "u_chidi"];
    let sent: Vec<Vec<String>> = std::thread::scope(|scope| {
        let (servers, at) = (|| vec![&server], AtomicUsize::default);
        let app = |user| App { servers: servers(), at: at(), user, progress: &progress };
        let apps = users.map(|user| {
            let app = app(user);
            scope.spawn(move || app.run())
        });
        let tried =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| operate(mover, &server, &progress)));
        // the end is asked for while the apps go on
        let confirmed = mover.confirmed();
        let tried = tried.and_then(|()| {
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                let refused = mover.run(&["finish"]).expect(5);
                assert!(refused.err.contains("R0719"), "{}", refused.err);
                let finished = mover.run(&["finish", "--json", &confirmed]).expect(0).result();
                assert_eq!(
                    (&finished["set_aside"], &finished["unmatched"]),
                    (&json!(0), &json!(0)),
                    "{finished}"
                );
                progress.wait();
            }))
        });
        progress.end();
        let sent = apps.map(|app| app.join().unwrap());
        tried.unwrap();
        sent.into()
    });
    following.stop();
    let end = mover.stage();
    assert_eq!((&end["stage"], &end["source"]["removable"]), (&json!("finished"), &json!(false)), "{end}");
    let early = mover.run(&["finish", "--remove-source", &mover.confirmed()]).expect(5);
    assert!(early.err.contains("R0740"), "{}", early.err);
    let (code, log) = server.stop();
    assert_eq!(code, Some(0), "{log}");
    mover.run(&["verify"]).expect(0);
    exports(mover);
    is_all_there(mover, users.iter().zip(sent));
    // what nobody touched is as it was
    let sample = repot_testkit::read_tree(&Project::app("council", Database::Sqlite).path("data")).unwrap();
    for (path, bytes) in sample {
        assert_eq!(mover.file(path.to_str().unwrap()), Some(bytes.to_vec()), "{}", path.display());
    }
    assert!(mover.file(".repot/fence").is_some(), "for servers that were cut off all the time");
}

/// Exports to `back`; what it says next leaves out what Repot keeps beside documents, and is said of a directory alone.
fn exports(mover: &Mover) {
    let exported = mover.run(&["export", "back"]).expect(0);
    let is_directory = mover.lab.is_none() && mover.between.is_none();
    let said = exported.err.contains("Next: diff -r -x .repot ./data back\n");
    assert!(said == is_directory && exported.err.contains("diff") == is_directory, "{}", exported.err);
}

#[test]
fn the_council_app_moves_from_a_directory_while_it_is_used() {
    for database in databases() {
        live(&Mover::in_a_directory(database));
    }
}

#[test]
fn the_council_app_moves_from_a_bucket_while_it_is_used() {
    live(&in_a_bucket(Database::Sqlite));
}

/// A file that was changed so that no listing tells it: the first read that is compared stops the rollout.
#[test]
fn the_guard_goes_back_when_a_document_differs() {
    for database in databases() {
        let mover = Mover::in_a_directory(database);
        Following::start(&mover).stop();
        let id = "24d4589c-16fa-4421-9129-d06743a08f06";
        let path = mover.project.path("data").join("u_bela").join(format!("{id}.json"));
        let (text, was) =
            (std::fs::read_to_string(&path).unwrap(), path.metadata().unwrap().modified().unwrap());
        std::fs::write(&path, text.replace("bakery", "BAKERY")).unwrap();
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(was).unwrap();
        let server = Serving::start(&mover.project, &[], &[]);
        let early = mover.run(&["rollout", "0%", "--compare", "100%", "--json"]).expect(0).result();
        assert_eq!(
            (&early["stage"], &early["compared"]["share_percent"]),
            (&json!("comparing"), &json!(100.0))
        );
        let calm = ["--guard-p99", "1000x", "--compare", "100%"];
        let anna =
            |more: &[&str]| mover.run(&[&["rollout", "--only", "user_id=u_anna"], &calm[..], more].concat());
        anna(&[]).expect(0);
        let read = || {
            let line = format!("GET /v1/conversations/{id}");
            let found = server.send(&request(&line, "repot-tenant: u_bela\r\n", ""));
            assert!(found.starts_with("HTTP/1.1 200") && found.contains("BAKERY"), "{found}");
        };
        let stopped = loop {
            read();
            let ran = mover.run(&["status", "--json"]);
            if ran.code == 4 && ran.result()["stage"] == "comparing" {
                break ran.result();
            }
            assert!(ran.code == 0 || ran.code == 4, "{}", ran.err);
        };
        let why = stopped["guard"]["stopped"]["why"].as_str().unwrap();
        assert!(why.contains("of u_bela differs: another value"), "{why}");
        let listed = mover.run(&["mismatches", "--json"]).expect(4);
        let first: Value = serde_json::from_str(listed.out.lines().next().unwrap()).unwrap();
        assert!(first["files"]["text"].as_str().unwrap().contains("BAKERY"), "{first}");
        assert!(first["database"]["text"].as_str().unwrap().contains("bakery"), "{first}");
        for line in listed.out.lines().filter(|line| line.contains("\"type\":\"difference\"")) {
            let known: Value = serde_json::from_str(line).unwrap();
            let key = known["key"].as_str().unwrap();
            let words = ["mismatches", "--ignore", "conversations", key, "--tenant", "u_bela"];
            mover.run(&[&words[..], &["--reason", "a test"]].concat()).expect(0);
        }
        mover.run(&["mismatches"]).expect(0);
        let unknown = ["mismatches", "--ignore", "conversations", "x", "--reason", "a test"];
        assert!(mover.run(&unknown).expect(1).err.contains("R0722"));
        // the next rollout clears the flag
        anna(&["--watch", "1"]).expect(0);
        assert_eq!(mover.stage()["tenants"], json!(["u_anna"]));
        mover.run(&["mismatches", "--clear"]).expect(0);
        assert_eq!(server.stop().0, Some(0));
    }
}

/// `repot rollout --reads-only`, with a guard that no slow machine trips.
fn reads_only(mover: &Mover, words: &[&str]) -> Ran {
    let calm = ["--reads-only", "--compare", "100%", "--guard-p99", "1000x"];
    mover.run(&[&["rollout"], words, &calm].concat()).expect(0)
}

/// Status and text of an answer about a document of one user.
fn ask(server: &Serving, line: &str, headers: &str, body: &str) -> (String, String) {
    let headers = format!("repot-tenant: u_bela\r\n{headers}");
    let answer = server.send(&request(line, &headers, body));
    (answer.split(' ').nth(1).unwrap().to_owned(), answer)
}

/// What was read is a condition for the write, and what was written is in the files and read next.
fn written_on_what_was_read(mover: &Mover, server: &Serving) {
    for n in 0..20 {
        let body = format!(r#"{{"id": "c1", "user_id": "u_bela", "title": "{n}", "messages": []}}"#);
        let (read, answer) = ask(server, "GET /v1/conversations/c1", "", "");
        let etag = answer.lines().find_map(|line| line.strip_prefix("etag: ")).map(str::trim);
        assert_eq!(read, if n == 0 { "404" } else { "200" }, "{answer}");
        let condition = etag.map_or_else(String::new, |etag| format!("if-match: {etag}\r\n"));
        let (put, answer) = ask(server, "PUT /v1/conversations/c1", &condition, &body);
        assert!(["200", "201", "204"].contains(&put.as_str()), "{answer}");
        // times of its own stand behind what was sent
        let sent = body.trim_end_matches('}');
        assert!(mover.file("u_bela/c1.json").unwrap().starts_with(sent.as_bytes()));
        let (_, answer) = ask(server, "GET /v1/conversations/c1", "", "");
        assert!(answer.contains(sent), "{answer}");
    }
}

/// Reads reach the database, and are compared with the files.
fn read_and_compared(mover: &Mover, server: &Serving) {
    let before = mover.stage()["database"]["calls"].as_u64().unwrap_or(0);
    loop {
        ask(server, "GET /v1/conversations/c1", "", "");
        let seen = mover.stage();
        let compared = seen["compared"]["reads"].as_u64().unwrap();
        if seen["database"]["calls"].as_u64().unwrap() > before && compared > 3 {
            assert_eq!((&seen["differences"], &seen["guard"]["stopped"]), (&json!(0), &json!(null)));
            return;
        }
    }
}

/// Shares of reads and of the lead, one after the other.
fn one_by_one(mover: &Mover) {
    let one = mover.run(&["rollout", "--only", "user_id=u_anna", "--json"]).expect(0).result();
    assert_eq!((&one["stage"], &one["tenants"]), (&json!("rolling out"), &json!(["u_anna"])));
    assert_eq!(one["reads"]["share_percent"], json!(100.0));
    reads_only(mover, &["--only", "user_id=u_anna"]);
    let seen = mover.stage();
    assert_eq!((&seen["tenants"], &seen["reads"]["tenants"]), (&json!([]), &json!(["u_anna"])));
    reads_only(mover, &["50%", "--collection", "conversations"]);
    assert_eq!(mover.stage()["reads"]["collections"], json!({"conversations": 50.0}));
    let all = mover.run(&["rollout", "100%", "--json"]).expect(0).result();
    assert_eq!((&all["stage"], &all["reads"]["share_percent"]), (&json!("database"), &json!(0.0)));
    let refused = mover.run(&["rollout", "--only", "user_id=u_anna", "--reads-only"]);
    assert!(refused.code != 0 && refused.err.contains("has u_anna in it"), "{}", refused.err);
    reads_only(mover, &["10%"]);
    assert_eq!(mover.stage()["stage"], "rolling out reads");
    assert_eq!(mover.run(&["rollback", "--json"]).expect(0).result()["stage"], "following");
}

/// Only reads are served from the database: writes go to the files and are seen at once; the share goes over into a lead, and
/// the brake ends it.
#[test]
fn reads_of_a_share_are_served_from_the_database_while_the_files_lead() {
    for database in databases() {
        let mover = Mover::in_a_directory(database);
        Following::start(&mover).stop();
        let server = Serving::start(&mover.project, &[], &[]);
        let told = reads_only(&mover, &["100%"]).err;
        assert!(
            told.contains("Reads of 100 % of users (always the same ones) are now served from"),
            "{told}"
        );
        assert!(told.contains("Guard: back to 0 %"), "{told}");
        let seen = mover.stage();
        assert_eq!((&seen["stage"], &seen["share_percent"]), (&json!("rolling out reads"), &json!(0.0)));
        assert_eq!(seen["reads"]["share_percent"], json!(100.0));
        let told = mover.run(&["status"]).expect(0).err;
        assert!(told.contains("Stage      rolling out, reads of 100 %: the files lead"), "{told}");
        written_on_what_was_read(&mover, &server);
        read_and_compared(&mover, &server);
        one_by_one(&mover);
        let job = admin(&server, "rollout", &json!({"share": "30%", "reads_only": true}));
        assert_eq!(job["result"]["reads"]["share_percent"], json!(30.0), "{job}");
        // the server hears of it a moment later
        let stage = "repot_move_stage{stage=\"rolling_out_reads\"} 1";
        while !server.send(&request("GET /metrics", "", "")).contains(stage) {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(server.stop().0, Some(0));
        let server = Serving::start(&mover.project, &[], &[("USE_DATABASE", "false")]);
        assert_eq!(mover.stage()["stage"], "following");
        assert_eq!(server.stop().0, Some(0));
    }
}

/// `USE_DATABASE=false` goes back, and never forward.
#[test]
fn the_emergency_brake_goes_back_to_the_files() {
    for database in databases() {
        let mover = Mover::in_a_directory(database);
        Following::start(&mover).stop();
        mover.run(&["rollout", "100%"]).expect(0);
        assert_eq!(mover.stage()["stage"], "database");
        let server = Serving::start(&mover.project, &[], &[("USE_DATABASE", "false")]);
        assert_eq!(mover.stage()["stage"], "following");
        let empty = r#"{"id": "c1", "user_id": "u_bela", "messages": []}"#;
        let put = server.send(&request("PUT /v1/conversations/c1", "repot-tenant: u_bela\r\n", empty));
        assert!(put.starts_with("HTTP/1.1 201"), "{put}");
        assert!(mover.file("u_bela/c1.json").is_some());
        assert_eq!(server.stop().0, Some(0));
        let server = Serving::start(&mover.project, &[], &[("USE_NEW_DATA_LAYER", "true")]);
        assert_eq!(mover.stage()["stage"], "following");
        drop(server);
    }
}

/// Begins work of `/admin`, and gives what became of it.
fn admin(server: &Serving, work: &str, wanted: &Value) -> Value {
    let ask = |line: &str, body: &str| -> Value {
        let answer = server.send(&request(line, "", body));
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
    };
    ask(&format!("POST /admin/{work}"), &wanted.to_string());
    loop {
        let job = ask(&format!("GET /admin/{work}"), "");
        if job["state"] != "running" {
            return job;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_move_is_run_over_http() {
    for database in databases() {
        let mover = Mover::in_a_directory(database);
        Following::start(&mover).stop();
        let server = Serving::start(&mover.project, &[], &[]);
        let half = admin(&server, "rollout", &json!({"share": "50%", "compare": "100%", "guard_lag": "5m"}));
        assert_eq!(half["result"]["stage"], "rolling out", "{half}");
        let answer = server.send(&request("GET /admin/status", "", ""));
        assert!(answer.contains(r#""share_percent":50.0"#), "{answer}");
        let found = server.send(&request("GET /admin/mismatches", "", ""));
        assert!(found.contains(r#""differences":[]"#), "{found}");
        let back = admin(&server, "rollback", &json!({}));
        assert_eq!(back["result"]["stage"], "following", "{back}");
        let early = admin(&server, "finish", &json!({"confirm": "x"}));
        assert_eq!(early["error"]["code"], "R0717", "{early}");
        admin(&server, "rollout", &json!({"share": "100%", "no_guard": true}));
        let unnamed = admin(&server, "finish", &json!({}));
        assert_eq!(unnamed["error"]["code"], "R0719", "{unnamed}");
        let hint = unnamed["error"]["hint"].as_str().unwrap();
        let name = hint.rsplit_once("--confirm=").unwrap().1;
        let done = admin(&server, "finish", &json!({"confirm": name, "keep_source": "0d"}));
        assert_eq!(done["result"]["stage"], "finished", "{done}");
        assert_eq!(mover.stage()["stage"], "finished");
        let answer = server.send(&request("GET /admin/status", "", ""));
        assert!(answer.contains(r#""removable":true"#), "{answer}");
        let dry = admin(&server, "finish", &json!({"remove_source": true, "dry_run": true}));
        let objects = dry["result"]["removed"].as_u64().unwrap();
        assert!(objects > 3, "{dry}");
        let unnamed = admin(&server, "finish", &json!({"remove_source": true}));
        assert_eq!(unnamed["error"]["code"], "R0719", "{unnamed}");
        let gone = admin(&server, "finish", &json!({"remove_source": true, "confirm": name}));
        assert_eq!(gone["result"]["removed"], json!(objects), "{gone}");
        let answer = server.send(&request("GET /admin/status", "", ""));
        assert!(answer.contains(r#""removable":false"#), "{answer}");
        assert_eq!(server.stop().0, Some(0));
    }
}

/// What is asked about a move opens nothing anew: who opens a bucket tries out what it can do.
#[test]
fn questions_about_a_move_are_answered_with_what_the_server_has_open() {
    for database in databases() {
        let mover = in_a_bucket(database);
        Following::start(&mover).stop();
        let variables = mover.variables();
        let variables: Vec<(&str, &str)> =
            variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let server = Serving::start(&mover.project, &[], &variables);
        let probes = || {
            let requests = mover.lab.as_ref().unwrap().requests();
            requests.iter().filter(|request| request.key.contains(".repot-probe")).count()
        };
        let ask = |path: &str| {
            let answer = server.send(&request(&format!("GET {path}"), "", ""));
            serde_json::from_str::<Value>(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
        };
        let before = probes();
        assert!(before > 0, "the server tries out what the bucket can do when it starts");
        for _ in 0..5 {
            let status = ask("/admin/status");
            let project = &status["project"];
            assert_eq!(
                (&project["move"]["stage"], &project["made"]),
                (&json!("following"), &json!(true)),
                "{status}"
            );
            assert!(project["proof"]["proved"].as_u64().unwrap() > 3, "{status}");
            assert_eq!(ask("/admin/mismatches")["differences"], json!([]));
        }
        assert_eq!(probes(), before);
        // the command is another process
        assert_eq!(mover.stage()["stage"], "following");
        assert!(probes() > before);
        mover.run(&["rollout", "100%", "--no-guard"]).expect(0);
        mover.run(&["finish", &mover.confirmed()]).expect(0);
        let before = probes();
        loop {
            let status = ask("/admin/status");
            if status["project"]["move"]["stage"] == "finished" {
                assert_eq!(status["project"]["move"]["source"]["removable"], json!(false));
                break;
            }
        }
        assert_eq!(ask("/admin/mismatches")["code"], "R0715");
        assert_eq!(probes(), before);
        assert_eq!(server.stop().0, Some(0));
    }
}
