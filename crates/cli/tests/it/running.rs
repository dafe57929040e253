//! `repot serve` while it runs: another model, work in the background, the cache that its variables name.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use crate::operate::{Serving, request};
use crate::project::{Database, Project, databases};

const MODEL: &str = "[notes]\nfile = \"notes/{id}.json\"\n[notes.fields]\nid = \"text key\"\nn = \"int\"\n";
const MORE: &str = "\n[tags]\nfile = \"tags/{id}.json\"\nindex = [\"note_id\"]\n[tags.fields]\nid = \"text key\"\nnote_id = \"-> notes?\"\n";

fn get(server: &Serving, path: &str) -> String {
    server.send(&request(&format!("GET {path}"), "", ""))
}

fn json(answer: &str) -> Value {
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

fn hang_up(server: &Serving) {
    let sent = Command::new("kill").args(["-HUP", &server.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

fn until(server: &Serving, path: &str, is: impl Fn(&str) -> bool) -> String {
    loop {
        let answer = get(server, path);
        if is(&answer) {
            return answer;
        }
        std::thread::yield_now();
    }
}

/// What is served, and with which words.
fn projects() -> Vec<(Project, &'static [&'static str])> {
    let mut found: Vec<(Project, &'static [&'static str])> =
        databases().into_iter().map(|database| (Project::with(database, MODEL, &[]), &[][..])).collect();
    found.push((Project::with(Database::Sqlite, MODEL, &[]), &["--store", "./data"]));
    found
}

#[test]
fn a_changed_model_is_taken_over_while_clients_write_and_read() {
    for (project, words) in projects() {
        let server = Serving::start(&project, words, &[]);
        // what the new documents refer to
        server.send(&request("PUT /v1/notes/a", "", r#"{"id":"a","n":0}"#));
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let client = |name: &'static str| {
                let (server, is_over) = (&server, &is_over);
                move || {
                    let mut n = 0;
                    while !is_over.load(Ordering::SeqCst) {
                        let body = format!("{{\"id\":\"{name}\",\"n\":{n}}}");
                        let put = server.send(&request(&format!("PUT /v1/notes/{name}"), "", &body));
                        assert!(put.starts_with("HTTP/1.1 20"), "{put}");
                        let got = get(server, &format!("/v1/notes/{name}"));
                        assert!(got.starts_with("HTTP/1.1 200") && got.ends_with(&body), "{got}, not {body}");
                        n += 1;
                    }
                    n
                }
            };
            let clients = [scope.spawn(client("a")), scope.spawn(client("b"))];
            assert!(get(&server, "/v1/tags").starts_with("HTTP/1.1 404"));
            let tried = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                project.folder.write("repot.toml", format!("{MODEL}{MORE}"));
                hang_up(&server);
                until(&server, "/v1/tags", |answer| answer.starts_with("HTTP/1.1 200"));
                let made = server.send(&request("POST /v1/tags", "", r#"{"id":"t1","note_id":"a"}"#));
                assert!(made.starts_with("HTTP/1.1 201"), "{made}");
                // what is no addition is refused with its reason, and what was there goes on
                project.folder.write("repot.toml", format!("{}{MORE}", MODEL.replace("\"int\"", "\"text\"")));
                hang_up(&server);
                let ready = until(&server, "/readyz?verbose", |answer| answer.contains("look reload"));
                assert!(
                    ready.starts_with("HTTP/1.1 200") && ready.contains("notes.n is another field"),
                    "{ready}"
                );
                let refused = json(&get(&server, "/admin/status"))["model"]["refused"].clone();
                assert_eq!(refused["code"], "R0451");
                project.folder.write("repot.toml", "[notes\n");
                hang_up(&server);
                until(&server, "/readyz?verbose", |answer| answer.contains("repot.toml:1:"));
                assert!(get(&server, "/v1/tags/t1").starts_with("HTTP/1.1 200"));
                // nobody says so this time: the file is looked at
                project.folder.write("repot.toml", format!("{MODEL}{MORE}"));
                until(&server, "/readyz?verbose", |answer| !answer.contains("reload"));
            }));
            is_over.store(true, Ordering::SeqCst);
            for client in clients {
                assert!(client.join().unwrap() > 0);
            }
            tried.unwrap();
        });
        let (code, log) = server.stop();
        assert_eq!(code, Some(0), "{log}");
        // the database is of the new model
        let again = Serving::start(&project, words, &[]);
        assert!(get(&again, "/v1/tags/t1").contains("\"note_id\":\"a\""));
    }
}

fn work(server: &Serving, work: &str) -> Value {
    let started = server.send(&request(&format!("POST /admin/{work}"), "", ""));
    assert!(started.starts_with("HTTP/1.1 202"), "{started}");
    let path = format!("/admin/{work}");
    json(&until(server, &path, |answer| !answer.contains("\"state\":\"running\"")))
}

/// What the command prints, without what is for its reader only.
fn printed(project: &Project, words: &[&str]) -> Value {
    let mut result = project.run(words).expect(0).result();
    result.as_object_mut().unwrap().remove("next");
    result
}

const DATA: &[(&str, &[u8])] =
    &[("notes/a.json", br#"{"id":"a","n":1}"#), ("notes/b.json", b"{ \"id\": \"b\", \"n\": 2 }\n")];

#[test]
fn a_served_database_is_proved_while_clients_write() {
    for database in databases() {
        let project = Project::with(database, MODEL, DATA);
        project.run(&["copy"]).expect(0);
        let server = Serving::start(&project, &[], &[]);
        let planned = work(&server, "plan");
        assert_eq!(planned["result"], printed(&project, &["plan", "--json"]), "{planned}");
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for n in 0.. {
                    if is_over.load(Ordering::SeqCst) {
                        break;
                    }
                    let body = format!("{{\"id\":\"c{}\",\"n\":{n}}}", n % 50);
                    let put = server.send(&request(&format!("PUT /v1/notes/c{}", n % 50), "", &body));
                    assert!(put.starts_with("HTTP/1.1 20"), "{put}");
                }
            });
            let proofs: Vec<Value> = (0..5).map(|_| work(&server, "verify")).collect();
            is_over.store(true, Ordering::SeqCst);
            writer.join().unwrap();
            for proof in proofs {
                let result = &proof["result"];
                assert!(proof["state"] == "done" && result["proved"] == result["objects"], "{proof}");
                assert_eq!(result["differences"], serde_json::json!([]), "{proof}");
            }
        });
        let proof = work(&server, "verify");
        assert_eq!(proof["result"], printed(&project, &["verify", "--json"]));
        // a copy wants the database for itself: nothing begins
        let refused = server.send(&request("POST /admin/copy", "", ""));
        assert!(refused.starts_with("HTTP/1.1 409") && refused.contains("R0455"), "{refused}");
        assert!(get(&server, "/admin/copy").starts_with("HTTP/1.1 404"), "none was begun");
        let status = json(&get(&server, "/admin/status"));
        assert!(
            status["project"]["copied_at"].is_string() && status["verify"]["state"] == "done",
            "{status}"
        );
    }
}

/// Files that are served are copied into the database in the background, which is how an app moves.
#[test]
fn files_that_are_served_are_copied_into_the_database() {
    for database in databases() {
        let project = Project::with(database, MODEL, DATA);
        let server = Serving::start(&project, &["--store", "./data"], &[]);
        let copied = work(&server, "copy");
        assert_eq!((&copied["state"], &copied["result"]["proved"]), (&"done".into(), &2.into()), "{copied}");
        let status = json(&get(&server, "/admin/status"))["project"].clone();
        assert_eq!(
            (&status["objects"]["moved"], &status["proof"]["proved"]),
            (&2.into(), &2.into()),
            "{status}"
        );
        assert!(
            status["proof"]["age_seconds"].as_i64().is_some_and(|age| (0..3_600).contains(&age)),
            "{status}"
        );
        assert_eq!(work(&server, "verify")["result"], printed(&project, &["verify", "--json"]));
    }
}

#[test]
fn variables_choose_the_cache_of_a_server() {
    let project = Project::with(Database::Sqlite, MODEL, &[]);
    let put = request("PUT /cache/n/k?ttl=60", "content-type: text/x\r\n", "value");
    let server = Serving::start(&project, &[], &[("CACHE_PROVIDER", "memory")]);
    assert!(server.send(&put).starts_with("HTTP/1.1 204"));
    assert!(get(&server, "/cache/n/k").ends_with("\r\n\r\nvalue"));
    drop(server);
    let server = Serving::start(&project, &[], &[("CACHE_ENABLED", "false")]);
    assert!(server.send(&put).starts_with("HTTP/1.1 501"));
    drop(server);
    let Some(url) = repot_testkit::redis() else { return };
    let one = Serving::start(&project, &[], &[("REDIS_URL", &url)]);
    let other = Serving::start(&project, &[], &[("REDIS_URL", &url)]);
    let path = format!("/cache/cli-{}/k", std::process::id());
    assert!(one.send(&request(&format!("PUT {path}"), "", "shared")).starts_with("HTTP/1.1 204"));
    assert!(get(&other, &path).ends_with("\r\n\r\nshared"));
}
