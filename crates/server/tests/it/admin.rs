//! `/admin`: who may, what it tells, work in the background.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use repot_core::{Error, Kind, Result};
use repot_engine::Progress;
use repot_server::{App, Operator, Options, Own, Question, Task, Work, openapi};
use serde_json::{Map, Value, json};

use crate::broken::{Broken, endless};
use crate::kit::{Answer, Lab, TABLES, labs, outside};

const MODEL: &str = "[notes]\nfile = \"notes/{id}.json\"\naudit = \"30d\"\n[notes.fields]\nid = \"text key\"\ntitle = \"text?\"\n\
\n[jobs]\nfile = \"jobs/{id}.json\"\n[jobs.fields]\nid = \"text key\"\nstatus = \"open | done = open\"\n\
[jobs.transitions.status]\nopen = [\"done\"]\ndone = []\n\n[own]\nfile = \"{user}/own/{id}.json\"\ntenant = \"user\"\n[own.fields]\nid = \"text key\"\nuser = \"text\"\n";

/// Works until it is told how it ends; tells what it was asked for. Every second question comes when no move is on its way.
#[derive(Debug)]
struct Told(Arc<Mutex<Receiver<Result<Value>>>>, AtomicBool);

impl Operator for Told {
    fn status(&self, _own: &Own) -> Result<Map<String, Value>> {
        Ok(Map::from_iter([("model".to_owned(), json!("repot.toml"))]))
    }

    fn prepare(&self, work: Work, wanted: &Map<String, Value>) -> Result<Task> {
        if wanted.get("timeout") == Some(&json!(9)) {
            return Err(Error::new(Kind::Invalid, "R0456", "flags that do not go together"));
        }
        let (told, step) = (Arc::clone(&self.0), format!("at {work}{}", json!(wanted)));
        Ok(Box::new(move |progress: &dyn Progress| {
            progress.step(&step);
            told.lock().unwrap().recv().unwrap()
        }))
    }

    fn answer(&self, question: Question, wanted: &Map<String, Value>, _own: &Own) -> Result<Value> {
        if wanted.contains_key("tenant") {
            return Err(Error::new(Kind::Invalid, "R0456", "flags that do not go together"));
        }
        if wanted.contains_key("ignore") {
            return Err(Error::new(Kind::NotFound, "R0722", "no such difference is known"));
        }
        if question == Question::Mismatches && self.1.fetch_not(Ordering::SeqCst) {
            return Err(Error::new(Kind::Refused, "R0715", "no move is on its way"));
        }
        Ok(json!({"type": "result", "asked": format!("{question:?}"), "wanted": wanted}))
    }
}

async fn told() -> (Lab, Sender<Result<Value>>) {
    let (tell, told) = channel();
    let operator: Option<Arc<dyn Operator>> =
        Some(Arc::new(Told(Arc::new(Mutex::new(told)), AtomicBool::new(false))));
    let options = Options { operator, ..Options::default() };
    (Lab::with("sqlite", MODEL, (outside(), options)).await.unwrap(), tell)
}

async fn until(lab: &Lab, path: &str, is: impl Fn(&Value) -> bool) -> Value {
    loop {
        let last = lab.get(path).await.is(200).json();
        if is(&last) {
            return last;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn one_work_is_done_at_a_time_and_a_second_start_names_it() {
    let (lab, tell) = told().await;
    assert_eq!(lab.get("/admin/verify").await.is(404).code(), "R0402");
    let started = lab.send("POST /admin/verify", &[], "").await.is(202);
    assert_eq!(
        (started.header("location"), &started.json()["state"]),
        (Some("/admin/verify"), &json!("running"))
    );
    let running = until(&lab, "/admin/verify", |job| job["progress"]["step"] == "at verify{}").await;
    assert_eq!((&running["work"], &running["ended_at"]), (&json!("verify"), &Value::Null));
    for line in ["POST /admin/verify", "POST /admin/copy", "POST /admin/plan"] {
        let refused = lab.send(line, &[], "").await.is(409);
        assert_eq!(refused.code(), "R0449");
        assert!(refused.text().contains("verify has been at work"), "{}", refused.text());
    }
    assert_eq!(lab.get("/admin/status").await.is(200).json()["verify"]["state"], "running");
    tell.send(Ok(json!({"proved": 3}))).unwrap();
    let done = until(&lab, "/admin/verify", |job| job["state"] == "done").await;
    assert_eq!(done["result"]["proved"], 3);
    lab.send("POST /admin/copy", &[], "").await.is(202);
    tell.send(Err(Error::new(Kind::Locked, "R0701", "a store is open"))).unwrap();
    let failed = until(&lab, "/admin/copy", |job| job["state"] == "failed").await;
    assert_eq!(failed["error"]["code"], "R0701");
    let status = lab.get("/admin/status").await.is(200).json();
    assert_eq!((&status["project"]["model"], &status["plan"]), (&json!("repot.toml"), &Value::Null));
    assert_eq!(status["model"]["collections"], json!(["notes", "jobs", "own"]));
    assert_eq!(status["model"]["refused"], Value::Null);
}

#[tokio::test]
async fn what_is_wanted_of_a_command_is_sent_as_json() {
    let (lab, tell) = told().await;
    for wrong in ["[]", "{", "\"share\""] {
        assert_eq!(lab.send("POST /admin/rollout", &[], wrong).await.is(400).code(), "R0440", "{wrong}");
    }
    assert_eq!(lab.send("POST /admin/rollout", &[], r#"{"timeout": 9}"#).await.is(422).code(), "R0456");
    lab.send("POST /admin/rollout", &[], r#"{"share": "10%"}"#).await.is(202);
    let step = r#"at rollout{"share":"10%"}"#;
    until(&lab, "/admin/rollout", |job| job["progress"]["step"] == step).await;
    assert_eq!(lab.send("POST /admin/finish", &[], "").await.is(409).code(), "R0449");
    tell.send(Ok(json!({"stage": "rolling out"}))).unwrap();
    until(&lab, "/admin/rollout", |job| job["result"]["stage"] == "rolling out").await;
    let told = lab.get("/admin/advice").await.is(200).json();
    assert_eq!((&told["asked"], &told["wanted"]), (&json!("Advice"), &json!({})));
    let told = lab.send("POST /admin/mismatches", &[], r#"{"clear": true}"#).await.is(200).json();
    assert_eq!((&told["asked"], &told["wanted"]), (&json!("Mismatches"), &json!({"clear": true})));
    assert_eq!(lab.send("PUT /admin/mismatches", &[], "{}").await.is(405).code(), "R0441");
    assert_eq!(lab.send("POST /admin/advice", &[], "{}").await.is(405).code(), "R0441");
}

#[tokio::test]
async fn a_store_without_a_project_does_no_work() {
    for lab in labs(&["memory", "sqlite"], MODEL).await {
        for work in ["plan", "verify", "copy", "rollout", "rollback", "finish", "mismatches"] {
            assert_eq!(lab.send(&format!("POST /admin/{work}"), &[], "").await.is(501).code(), "R0450");
        }
        for question in ["mismatches", "advice"] {
            assert_eq!(lab.get(&format!("/admin/{question}")).await.is(501).code(), "R0450");
        }
        let status = lab.get("/admin/status").await.is(200);
        assert_eq!(status.header("cache-control"), Some("no-store"));
        assert!(status.json()["store"].is_string() && status.json().get("project").is_none());
    }
}

#[tokio::test]
async fn what_is_not_there_yet_is_not_there() {
    let (lab, _tell) = told().await;
    for name in ["rollout", "rollback", "finish", "backups", "keys2", "status/x"] {
        assert_eq!(lab.get(&format!("/admin/{name}")).await.is(404).code(), "R0402", "{name}");
    }
    for line in [
        "POST /admin/status",
        "PUT /admin/verify",
        "DELETE /admin/keys",
        "GET /admin/keys/x",
        "POST /admin/audit",
    ] {
        assert_eq!(lab.send(line, &[], "").await.is(405).code(), "R0441", "{line}");
    }
    for path in [
        "/admin/status?x=1",
        "/admin/slow?limit=1",
        "/admin/audit?limit=0",
        "/admin/audit?collection=notes&collection=notes",
    ] {
        assert_eq!(lab.get(path).await.is(400).code(), "R0440", "{path}");
    }
    let other = [("sec-fetch-site", "cross-site")];
    assert_eq!(lab.send("POST /admin/verify", &other, "").await.is(403).code(), "R0446");
    assert_eq!(lab.get("/admin/slow").await.is(200).json()["slow"], json!([]));
}

async fn with_key(lab: &Lab, line: &str, key: &str, body: &str) -> Answer {
    lab.send(line, &[("authorization", &format!("Bearer {key}"))], body.to_owned()).await
}

#[tokio::test]
async fn keys_are_made_listed_and_taken_back_by_admins_only() {
    for lab in labs(TABLES, MODEL).await {
        let body = r#"{"name":"root","rights":["admin"],"expires":"90d"}"#;
        let root = lab.send("POST /admin/keys", &[], body).await.is(201).json();
        let admin = root["key"].as_str().unwrap();
        assert!(admin.starts_with("rpt_") && root["rights"]["admin"] == "everything", "{root}");
        // from the first key on it is locked
        lab.get("/v1/notes").await.is(401);
        for (body, status, code) in [
            ("{}", 400, "R0440"),
            (r#"{"name":"x","rights":["read"],"only":["nothing"]}"#, 404, "R0402"),
            (r#"{"name":"x","rights":["read"],"expires":"soon"}"#, 400, "R0100"),
        ] {
            let answer = with_key(&lab, "POST /admin/keys", admin, body).await.is(status);
            assert_eq!(answer.code(), code, "{body}");
        }
        let mut others = Vec::new();
        for rights in [
            r#"{"name":"a","rights":["read","write"]}"#,
            r#"{"name":"b","rights":["admin"],"only":["notes"]}"#,
            r#"{"name":"c","rights":["admin"],"tenant":"u1"}"#,
        ] {
            let made = with_key(&lab, "POST /admin/keys", admin, rights).await.is(201).json();
            others.push((made["id"].as_str().unwrap().to_owned(), made["key"].as_str().unwrap().to_owned()));
        }
        for (_, key) in &others {
            for line in [
                "GET /admin/status",
                "GET /admin/keys",
                "POST /admin/keys",
                "POST /admin/copy",
                "GET /admin/nothing",
            ] {
                assert_eq!(with_key(&lab, line, key, "").await.is(403).code(), "R0446", "{line}");
            }
        }
        let listed = with_key(&lab, "GET /admin/keys", admin, "").await.is(200);
        assert!(!listed.text().contains("rpt_"), "{}", listed.text());
        assert_eq!(listed.json()["keys"].as_array().unwrap().len(), 4);
        let (id, key) = &others[0];
        with_key(&lab, "GET /v1/notes", key, "").await.is(200);
        let gone = with_key(&lab, &format!("DELETE /admin/keys/{id}"), admin, "").await.is(200).json();
        assert_eq!(gone["revoked"], json!(id));
        with_key(&lab, "GET /v1/notes", key, "").await.is(401);
        with_key(&lab, &format!("DELETE /admin/keys/{id}"), admin, "").await.is(404);
        let listed = with_key(&lab, "GET /admin/keys", admin, "").await.json();
        let states = listed["keys"].as_array().unwrap().iter().filter(|key| key["state"] == "taken back");
        assert_eq!(states.count(), 1);
    }
}

#[tokio::test]
async fn the_record_of_all_collections_is_told_newest_first() {
    for lab in labs(TABLES, MODEL).await {
        lab.send("PUT /v1/notes/n1", &[], r#"{"id":"n1"}"#).await.is(201);
        lab.send("PUT /v1/jobs/j1", &[], r#"{"id":"j1","status":"open"}"#).await.is(201);
        lab.send("PUT /v1/own/o1", &[("repot-tenant", "u1")], r#"{"id":"o1","user":"u1"}"#).await.is(201);
        lab.send("PUT /v1/jobs/j1", &[], r#"{"id":"j1","status":"done"}"#).await.is(200);
        lab.send("PUT /v1/notes/n1", &[], r#"{"id":"n1","title":"a"}"#).await.is(200);
        let all = lab.get("/admin/audit").await.is(200).json();
        let items = all["items"].as_array().unwrap();
        assert!(items.len() >= 3, "{all}");
        assert_eq!((&items[0]["path"], &items[0]["event"]), (&json!("/v1/notes/n1"), &json!("put")));
        let ids: Vec<i64> = items.iter().map(|item| item["id"].as_i64().unwrap()).collect();
        assert!(ids.is_sorted_by(|one, other| one > other), "{ids:?}");
        // page by page it is the same
        let mut paged = Vec::new();
        let mut before = String::new();
        loop {
            let page = lab.get(&format!("/admin/audit?limit=1{before}")).await.is(200).json();
            paged.extend(page["items"].as_array().unwrap().clone());
            let Some(next) = page["next"].as_i64() else { break };
            before = format!("&before={next}");
        }
        assert_eq!(&paged, items);
        let notes = lab.get("/admin/audit?collection=notes").await.is(200).json();
        assert_eq!(notes["items"].as_array().unwrap().len(), 2);
        assert_eq!(lab.get("/admin/audit?actor=nobody").await.is(200).json()["items"], json!([]));
        lab.get("/admin/audit?collection=nothing").await.is(404);
    }
    for lab in labs(&["memory"], MODEL.split("\n[own]").next().unwrap()).await {
        assert_eq!(lab.get("/admin/audit").await.is(501).code(), "R0405");
    }
}

/// Flags that are refused as a whole.
fn wrongly_wanted(line: &str) -> &'static [&'static str] {
    match line {
        "POST /admin/rollout" | "POST /admin/rollback" | "POST /admin/finish" => &[r#"{"timeout": 9}"#],
        "POST /admin/mismatches" => {
            &[r#"{"ignore": ["notes", "a"], "reason": "known"}"#, r#"{"tenant": "u1"}"#]
        }
        _ => &[],
    }
}

/// Every status that is documented of these routes is seen, and no other; each answer is of the type that is documented.
#[tokio::test]
async fn the_routes_answer_what_is_documented() {
    let (lab, tell) = told().await;
    let app = &lab.app;
    let with = |options: Options| {
        App::new(Arc::clone(app.store()), app.layout().clone(), outside(), options).unwrap()
    };
    let alone = lab.over(with(Options { body_ms: 1, body_bytes_max: 100, ..Options::default() }));
    let broken = |kind: Kind, code| {
        let store = Broken {
            error: Error::new(kind, code, "broken"),
            capabilities: app.store().capabilities(),
            collections: app.store().collections(),
            counts: true,
            is_silent: false,
        };
        lab.over(App::new(Arc::new(store), app.layout().clone(), outside(), Options::default()).unwrap())
    };
    let away = broken(Kind::TargetUnavailable, "R0201");
    let failed = broken(Kind::Failed, "R0901");
    let none = Lab::open("memory", MODEL.split("\n[own]").next().unwrap()).await.unwrap();
    let document = openapi(app.layout());
    for (path, item) in document["paths"].as_object().unwrap() {
        // work is begun before anybody asks what became of it
        for method in ["post", "get", "head", "delete"] {
            let Some(own) = item.get(method).filter(|_| path.starts_with("/admin/")) else { continue };
            assert_eq!(own["tags"], json!(["admin"]), "{path}");
            let line = format!("{} {path}", method.to_uppercase()).replace("{id}", "none");
            let mut answers = Vec::new();
            let body = if line == "POST /admin/keys" {
                r#"{"name":"x","rights":["read"],"only":["nothing"]}"#
            } else {
                ""
            };
            for at in [&lab, &away, &failed, &none] {
                answers.push(at.send(&line, &[], body).await);
            }
            // work that was begun is at work, and has ended
            answers.push(lab.send(&line, &[], body).await);
            if own["responses"].get("202").is_some() {
                tell.send(Ok(json!(1))).unwrap();
                until(&lab, path, |job| job["state"] == "done").await;
            }
            for wanted in wrongly_wanted(&line) {
                answers.push(lab.send(&line, &[], *wanted).await);
            }
            if path == "/admin/audit" {
                answers.push(lab.send(&format!("{line}?collection=nothing"), &[], "").await);
            }
            answers.push(lab.send(&format!("{line}?nothing=1"), &[], "").await);
            answers.push(lab.send(&line, &[("authorization", "Bearer rpt_x")], "").await);
            answers.push(lab.send(&line, &[("sec-fetch-site", "cross-site")], "").await);
            if own.get("requestBody").is_some() {
                answers.push(alone.send(&line, &[], vec![b' '; 200]).await);
                answers.push(alone.send(&line, &[], endless()).await);
            }
            if path.starts_with("/admin/keys") {
                // the first key locks a server
                let fresh = Lab::open("sqlite", MODEL).await.unwrap();
                let body = r#"{"name":"x","rights":["admin"]}"#;
                let made = fresh.send("POST /admin/keys", &[], body).await;
                let (id, key) = (made.json()["id"].clone(), made.json()["key"].clone());
                if method == "post" {
                    answers.extend([made, none.send(&line, &[], body).await]);
                } else if method == "delete" {
                    let line = format!("DELETE /admin/keys/{}", id.as_str().unwrap());
                    answers.push(with_key(&fresh, &line, key.as_str().unwrap(), "").await);
                }
            }
            are_documented(&own["responses"], &line, &answers);
        }
    }
}

/// The answers are those that are documented, all of them.
#[track_caller]
fn are_documented(documented: &Value, line: &str, answers: &[Answer]) {
    let documented = documented.as_object().unwrap();
    for answer in answers {
        assert!(documented.contains_key(answer.status.as_str()), "{line} {}", answer.status);
        let response = &documented[answer.status.as_str()];
        let media = answer.header("content-type").and_then(|media| media.split(';').next());
        let is_json = response.get("content").and_then(|content| content.get(media?)).is_some();
        assert!(is_json || response.get("$ref").is_some() || line.starts_with("HEAD"), "{line} {media:?}");
    }
    let seen: BTreeSet<&str> = answers.iter().map(|answer| answer.status.as_str()).collect();
    assert_eq!(seen, documented.keys().map(String::as_str).collect(), "{line}");
}
