//! Routes answer what is documented, all of it, and nothing else: each operation is brought to each of its answers.

mod keyed;
mod samples;
mod verbs;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::body::Body;
use repot_core::{Error, Kind};
use repot_server::{App, Options, openapi};
use serde_json::{Value, json};

pub(crate) use samples::MODEL;
use samples::SAMPLES;

use crate::broken::{Broken, endless};
use crate::kit::{Answer, Lab, outside};
use crate::openapi::{NAMES, layout};

const VALUES: &[(&str, &str)] = &[("id", ""), ("part", "name"), ("site", "s"), ("name", "p"), ("day", "d1")];

/// What a request is made of.
#[derive(Debug, Clone, Default)]
struct Try {
    path: String,
    headers: Vec<(&'static str, String)>,
    body: String,
    endless: bool,
}

/// A documented operation.
struct Operation<'d> {
    method: &'static str,
    path: &'d str,
    own: &'d Value,
    collection: &'d str,
    id: &'d str,
}

impl Operation<'_> {
    fn does(&self, verb: &str) -> bool {
        self.id.split('_').next() == Some(verb)
    }

    /// The test that it belongs to.
    fn group(&self) -> String {
        match (self.collection, self.path) {
            ("" | "v1", _) => "service".to_owned(),
            (collection, path) if path.ends_with("}/lines") => format!("{collection}_lines"),
            (collection, path) if path.ends_with("{part}") => format!("{collection}_part"),
            (collection, _) => collection.to_owned(),
        }
    }

    fn is_part(&self) -> bool {
        self.path.ends_with("{part}") || self.path.ends_with("}/lines")
    }
}

fn all_operations(document: &Value) -> Vec<Operation<'_>> {
    let mut found = Vec::new();
    // of the cache and of those who run the server see there
    let elsewhere = |path: &str| ["/cache/", "/admin/"].iter().any(|begin| path.starts_with(begin));
    let paths = document["paths"].as_object().unwrap().iter().filter(|(path, _)| !elsewhere(path));
    for (path, item) in paths {
        for method in NAMES.iter().filter(|method| item.get(**method).is_some()) {
            let own = &item[*method];
            let collection = path.strip_prefix("/v1/").unwrap_or_default().split(['/', ':']).next().unwrap();
            found.push(Operation { method, path, own, collection, id: own["operationId"].as_str().unwrap() });
        }
    }
    found
}

/// What was answered to what.
struct Record<'d> {
    document: &'d Value,
    seen: BTreeMap<String, BTreeSet<u16>>,
}

impl Record<'_> {
    /// Notes an answer, which must be one that the document knows.
    #[track_caller]
    fn note(&mut self, operation: &Operation<'_>, tried: &Try, answer: &Answer) {
        let status = answer.status.as_u16();
        let response = &operation.own["responses"][status.to_string()];
        assert!(
            response.is_object(),
            "{} {} is not documented: {tried:?} {}",
            operation.id,
            status,
            answer.text()
        );
        let response = match response["$ref"].as_str() {
            Some(reference) => self.document.pointer(reference.trim_start_matches('#')).unwrap(),
            None => response,
        };
        let media = answer.header("content-type").map(|media| media.split(';').next().unwrap());
        match response.get("content").and_then(Value::as_object) {
            Some(content) => {
                assert!(media.is_some_and(|media| content.contains_key(media)), "{} {media:?}", operation.id);
            }
            // the body of an answer to HEAD is left out when it is sent
            None if operation.method == "head" => {}
            None => assert!(answer.body.is_empty(), "{} {status}: {}", operation.id, answer.text()),
        }
        for (name, header) in response.get("headers").and_then(Value::as_object).into_iter().flatten() {
            if header["required"] == true {
                assert!(
                    answer.header(&name.to_lowercase()).is_some(),
                    "{} {status} has no {name}",
                    operation.id
                );
            }
        }
        self.seen.entry(operation.id.to_owned()).or_default().insert(status);
    }
}

fn sample(collection: &str) -> Option<&'static (&'static str, &'static str, &'static str, &'static str)> {
    SAMPLES.iter().find(|sample| sample.0 == collection)
}

/// Labs that differ in what goes wrong.
struct Labs {
    sqlite: Lab,
    small: Lab,
    ids: BTreeMap<&'static str, String>,
}

impl Labs {
    async fn open() -> Self {
        let small = Options { body_bytes_max: 120, body_ms: 1, ..Options::default() };
        let sqlite = Lab::open("sqlite", MODEL).await.unwrap();
        let app = &sqlite.app;
        let limited = App::new(Arc::clone(app.store()), app.layout().clone(), outside(), small).unwrap();
        let small = sqlite.over(limited);
        let mut labs = Self { sqlite, small, ids: BTreeMap::new() };
        for (collection, path, _, _) in SAMPLES {
            labs.fresh(collection).await;
            let listed =
                labs.sqlite.send(&format!("GET /v1/{collection}"), &[("repot-tenant", "u1")], "").await;
            let id = listed.json()["items"][0]["id"].as_str().unwrap().to_owned();
            assert!(!id.is_empty(), "{path}");
            labs.ids.insert(collection, id);
        }
        labs
    }

    /// The sample is there, as it is.
    async fn fresh(&self, collection: &str) {
        let Some((_, path, body, _)) = sample(collection) else { return };
        for (method, header) in [("DELETE", ("if-match", "*")), ("PUT", ("if-none-match", "*"))] {
            let answer =
                self.sqlite.send(&format!("{method} {path}"), &[("repot-tenant", "u1"), header], *body).await;
            assert!(method == "DELETE" || answer.status == 201, "{path} {}", answer.text());
        }
    }

    /// A plain request for an operation, as it would succeed.
    fn plain(&self, operation: &Operation<'_>) -> Try {
        let mut path = operation.path.to_owned();
        if operation.id == "take" {
            path = path.replace("{name}", "calls");
        }
        for (name, value) in VALUES {
            let own = self.ids.get(operation.collection).map_or("x", String::as_str);
            path = path.replace(&format!("{{{name}}}"), if *name == "id" { own } else { value });
        }
        let part = match operation.collection {
            "events" => "n",
            "marks" => "note_id",
            "notes" => "slug",
            _ => "name",
        };
        if operation.path.ends_with("{part}") {
            let at = path.rfind('/').unwrap();
            path.replace_range(at + 1.., part);
        }
        let own = operation.own;
        let mut tried = Try { path, ..Try::default() };
        let tenant = own["parameters"].as_array().into_iter().flatten();
        if tenant.clone().any(|parameter| parameter["$ref"] == "#/components/parameters/RepotTenant") {
            tried.headers.push(("repot-tenant", "u1".to_owned()));
        }
        if operation.collection == "strict"
            && !matches!(operation.method, "get" | "head")
            && !operation.does("create")
        {
            tried.headers.push(("if-match", "*".to_owned()));
        }
        let document = sample(operation.collection).map_or("", |sample| sample.2);
        let (media, body) = match operation.id.split('_').next().unwrap() {
            "put" if operation.path.ends_with("lines") => ("application/json", "[]"),
            "put" if operation.is_part() => ("application/json", if part == "n" { "5" } else { "\"z\"" }),
            "put" => ("application/json", document),
            "create" => ("application/json", document),
            "append" => ("application/json", r#"{"id":"l2","text":"y"}"#),
            "patch" if operation.path.ends_with("lines") => ("application/merge-patch+json", "[]"),
            "patch" if operation.is_part() => {
                ("application/merge-patch+json", if part == "n" { "6" } else { "\"y\"" })
            }
            "patch" => ("application/merge-patch+json", "{}"),
            "batch" => (
                "application/json",
                r#"{"requests":[{"method":"PATCH","path":"/v1/notes/n1","body":{"size":2}}]}"#,
            ),
            "query" => ("application/json", r#"{"sql":"select 1 as one"}"#),
            _ => ("text/plain", ""),
        };
        if operation.collection == "marks" && operation.is_part() {
            tried.body = if operation.does("append") { body.to_owned() } else { "null".to_owned() };
        } else {
            tried.body = body.to_owned();
        }
        if operation.does("create") && operation.collection == "pages" {
            tried.path.push_str("?site=s&name=p");
        }
        tried.headers.push(("content-type", media.to_owned()));
        tried
    }

    /// Bodies that are too large, and too slow.
    async fn too_much(&self, record: &mut Record<'_>, operation: &Operation<'_>, plain: &Try) {
        let large = Try { body: format!("{{\"a\":\"{}\"}}", "x".repeat(200)), ..plain.clone() };
        record.note(operation, &large, &self.send(&self.small, operation, &large).await);
        let slow = Try { endless: true, ..plain.clone() };
        record.note(operation, &slow, &self.send(&self.small, operation, &slow).await);
    }

    async fn send(&self, lab: &Lab, operation: &Operation<'_>, tried: &Try) -> Answer {
        let headers: Vec<(&str, &str)> =
            tried.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let body = if tried.endless { endless() } else { Body::from(tried.body.clone()) };
        lab.send(&format!("{} {}", operation.method.to_uppercase(), tried.path), &headers, body).await
    }
}

fn without(tried: &Try, name: &str) -> Try {
    let mut tried = tried.clone();
    tried.headers.retain(|(own, _)| *own != name);
    tried
}

fn with(tried: &Try, name: &'static str, value: &str) -> Try {
    let mut tried = without(tried, name);
    tried.headers.push((name, value.to_owned()));
    tried
}

/// Requests that bring an operation to each of its answers; what a number of them needs comes before.
fn tries(labs: &Labs, operation: &Operation<'_>) -> Vec<Try> {
    let plain = labs.plain(operation);
    let next = if plain.path.contains('?') { "&" } else { "?" };
    let mut tries =
        vec![plain.clone(), Try { path: format!("{}{next}nothing=1", plain.path), ..plain.clone() }];
    if operation.path.starts_with("/v1") || operation.path == "/metrics" {
        tries.push(with(&plain, "authorization", "Bearer rpt_x"));
    }
    if operation.path == "/readyz" {
        let verbose = Try { path: "/readyz?verbose".to_owned(), ..plain.clone() };
        tries.extend([with(&verbose, "authorization", "Bearer rpt_x"), verbose]);
    }
    if operation.path.starts_with("/v1/") && operation.path.contains('{') {
        for (name, value) in [("if-match", "\"zz\""), ("if-none-match", "*"), ("prefer", "return=minimal")] {
            tries.push(with(&plain, name, value));
        }
        tries.extend(elsewhere(labs, operation, &plain));
    }
    let misfit = sample(operation.collection).map_or("{", |sample| sample.3);
    for (name, body) in [
        ("text/plain", plain.body.as_str()),
        ("application/json", misfit),
        ("application/json-patch+json", r#"[{"op":"test","path":"/id","value":5}]"#),
        ("application/merge-patch+json", misfit),
    ] {
        tries.push(Try { body: body.to_owned(), ..with(&plain, "content-type", name) });
    }
    if operation.is_part() {
        tries.extend(parts(operation, &plain));
    }
    if operation.collection == "strict" {
        tries.push(without(&plain, "if-match"));
    }
    if operation.does("create") {
        let others = |number: &str| {
            let keys = ["n", "s", "m", "o", "e", "l", "t", "c"];
            let body =
                keys.iter().fold(plain.body.replace("\"a\"", &format!("\"{number}\"")), |body, key| {
                    body.replace(&format!("{key}1"), &format!("{key}{number}"))
                });
            Try { body, path: plain.path.replace("name=p", &format!("name=p{number}")), ..plain.clone() }
        };
        tries.push(with(&others("2"), "prefer", "return=minimal"));
        tries.push(others("3"));
        tries.push(Try { path: plain.path.replace("name=p", "name=.."), ..plain.clone() });
    }
    tries
}

/// Documents that are not there, and that cannot be.
fn elsewhere(labs: &Labs, operation: &Operation<'_>, plain: &Try) -> Vec<Try> {
    let mut tries = vec![Try { path: plain.path.replace("=s&", "=too%20long&"), ..plain.clone() }];
    let id = &labs.ids[operation.collection];
    for other in ["nothing", "00000000-0000-4000-8000-00000000000f", "a%2Fb"] {
        let path = plain.path.replacen(id, other, 1);
        let path = path.replacen("=s&", "=a%2Fb&", 1).replacen("=d1&", "=a%2Fb&", 1);
        tries.push(Try { path: path.clone(), ..plain.clone() });
        if operation.collection == "strict" {
            tries.push(with(&Try { path, ..without(plain, "if-match") }, "if-none-match", "*"));
        }
    }
    tries
}

/// Parts that are not there or of another kind.
fn parts(operation: &Operation<'_>, plain: &Try) -> Vec<Try> {
    let is_list = operation.path.ends_with("lines");
    let bodies = [if is_list { "7" } else { "{\"a\":[]}" }, r#"[{"id":7,"text":1}]"#];
    let mut tries: Vec<Try> = bodies.map(|body| Try { body: body.to_owned(), ..plain.clone() }).into();
    tries.push(Try { path: format!("{}/x/y", plain.path), ..plain.clone() });
    let Some((document, _)) = plain.path.rsplit_once('/').filter(|_| !is_list) else { return tries };
    for part in ["free", "more", "id", "tags", "kind"] {
        let body = if operation.does("append") { "\"x\"".to_owned() } else { plain.body.clone() };
        tries.push(Try { path: format!("{document}/{part}"), body, ..plain.clone() });
    }
    tries
}

/// Sends them all.
async fn drive(labs: &Labs, record: &mut Record<'_>, operation: &Operation<'_>) {
    if verbs::drive(labs, record, operation).await {
        return;
    }
    let plain = labs.plain(operation);
    let tries = tries(labs, operation);
    for (at, tried) in tries.iter().enumerate() {
        if operation.collection == "marks" || operation.id == "batch" {
            labs.fresh("notes").await;
        }
        labs.fresh(operation.collection).await;
        let answer = labs.send(&labs.sqlite, operation, tried).await;
        record.note(operation, tried, &answer);
        let again = at == 0
            && matches!(operation.method, "get" | "head")
            && operation.path.contains('{')
            && answer.status == 200;
        if again {
            let same = with(&plain, "if-none-match", &answer.etag());
            record.note(operation, &same, &labs.send(&labs.sqlite, operation, &same).await);
        }
    }
    absent(labs, record, operation, &plain).await;
    if operation.own.get("requestBody").is_some() {
        labs.too_much(record, operation, &plain).await;
    }
}

/// What is answered where nothing is there, or was deleted, or is held.
async fn absent(labs: &Labs, record: &mut Record<'_>, operation: &Operation<'_>, plain: &Try) {
    let Some((collection, path, _, _)) = sample(operation.collection) else { return };
    if !operation.path.contains('{') {
        return;
    }
    labs.fresh(collection).await;
    if operation.does("delete") && *collection == "notes" {
        labs.sqlite.send("PUT /v1/marks/m9", &[], r#"{"id":"m9","note_id":"n1","kind":"a"}"#).await;
        record.note(operation, plain, &labs.send(&labs.sqlite, operation, plain).await);
        labs.sqlite.send("DELETE /v1/marks/m9", &[], "").await;
        labs.fresh(collection).await;
    }
    labs.sqlite.send(&format!("DELETE {path}"), &[("repot-tenant", "u1"), ("if-match", "*")], "").await;
    let any = without(plain, "if-match");
    let strict = if *collection == "strict" { with(&any, "if-none-match", "\"x\"") } else { any };
    for _ in 0..2 {
        record.note(operation, &strict, &labs.send(&labs.sqlite, operation, &strict).await);
    }
}

/// Errors of stores, whatever brings them about.
async fn break_all(record: &mut Record<'_>, labs: &Labs, operations: &[Operation<'_>]) {
    let errors = [
        Error::new(Kind::Denied, "R0901", "not allowed"),
        Error::new(Kind::Conflict, "R0203", "not unique"),
        Error::new(Kind::Invalid, "R0604", "the position is too old"),
        Error::new(Kind::Failed, "R0901", "the disk is full"),
        Error::new(Kind::Unsupported, "R0405", "not in this store"),
        Error::new(Kind::TargetUnavailable, "R0201", "away"),
    ];
    for error in errors {
        let app = &labs.sqlite.app;
        let needs = match error.kind() {
            Kind::Conflict => Some("409"),
            Kind::Invalid => Some("410"),
            _ => None,
        };
        let broken = |counts| {
            let store = Broken {
                error: error.clone(),
                capabilities: app.store().capabilities(),
                collections: app.store().collections(),
                counts,
                is_silent: false,
            };
            let app = App::new(Arc::new(store), app.layout().clone(), outside(), Options::default());
            labs.sqlite.over(app.unwrap())
        };
        let (lab, counting) = (broken(false), broken(true));
        for operation in operations {
            let takes = |status: &str| operation.own["responses"].get(status).is_some();
            let is_store = ["/v1", "/limits"].iter().any(|path| operation.path.starts_with(path));
            let fits = needs
                .is_none_or(|status| takes(status) && (status != "410" || operation.path == "/v1:changes"));
            if is_store && fits {
                let tried = labs.for_a_store(operation).await;
                let lab = if operation.id == "take" { &counting } else { &lab };
                record.note(operation, &tried, &labs.send(lab, operation, &tried).await);
            }
        }
        if needs.is_none() {
            for ready in operations.iter().filter(|operation| operation.path == "/readyz") {
                let tried = Try { path: "/readyz".to_owned(), ..Try::default() };
                record.note(ready, &tried, &labs.send(&lab, ready, &tried).await);
            }
        }
    }
}

/// Routes of a collection answer what is documented, all of it, and nothing else.
async fn routes_of(collection: &str) {
    let labs = Labs::open().await;
    let document = openapi(labs.sqlite.app.layout());
    let mut operations = all_operations(&document);
    operations.retain(|operation| operation.group() == collection);
    assert!(!operations.is_empty());
    let mut record = Record { document: &document, seen: BTreeMap::new() };
    for operation in &operations {
        drive(&labs, &mut record, operation).await;
        keyed::drive(&labs, &mut record, operation).await;
    }
    break_all(&mut record, &labs, &operations).await;
    if let Some(batch) = operations.iter().find(|operation| operation.id == "batch") {
        batches(&labs, &mut record, batch).await;
    }
    let mut missing = Vec::new();
    for operation in &operations {
        let mut seen = record.seen.remove(operation.id).unwrap_or_default();
        if operation.id == "changes" {
            // a WebSocket needs a connection, as the tests of the feed have it
            seen.insert(101);
        }
        let documented = operation.own["responses"].as_object().unwrap().keys();
        let never: Vec<&String> =
            documented.filter(|status| !seen.contains(&status.parse().unwrap())).collect();
        if !never.is_empty() {
            missing.push(format!("{} {never:?}", operation.id));
        }
    }
    assert!(missing.is_empty(), "documented, but never given:\n{}", missing.join("\n"));
}

macro_rules! collections {
    ($($name:ident $test:ident),+) => {
        /// What the tests below are about.
        const TESTED: &[&str] = &[$(stringify!($name)),+];
        $(#[tokio::test]
        async fn $test() {
            routes_of(stringify!($name)).await;
        })+
    };
}

collections!(
    notes routes_of_notes,
    notes_lines routes_of_lists_of_rows,
    notes_part routes_of_parts,
    lines routes_of_rows,
    marks routes_of_documents_that_refer,
    marks_part routes_of_parts_that_refer,
    strict routes_of_documents_that_demand_conditions,
    strict_part routes_of_parts_that_demand_conditions,
    own routes_of_documents_with_tenants,
    own_part routes_of_parts_with_tenants,
    pages routes_of_texts,
    events routes_of_documents_in_shared_files,
    events_part routes_of_parts_in_shared_files,
    tasks routes_of_messages_on_record,
    tasks_part routes_of_parts_of_messages,
    usage routes_of_counters,
    usage_part routes_of_parts_of_counters,
    service routes_of_the_service
);

#[tokio::test]
async fn all_routes_are_tested() {
    let document = openapi(&layout(MODEL).await);
    let groups: BTreeSet<String> = all_operations(&document).iter().map(Operation::group).collect();
    assert_eq!(groups, TESTED.iter().map(|&name| name.to_owned()).collect());
    // a store without tables does not filter
    let lab = Lab::open("memory", MODEL).await.unwrap();
    assert_eq!(lab.get("/v1/notes?slug=a").await.status, 501);
}

/// A batch answers as its request does that fails.
async fn batches(labs: &Labs, record: &mut Record<'_>, operation: &Operation<'_>) {
    let one = |method: &str, path: &str, headers: Value, body: Value| {
        json!({"requests": [{"method": method, "path": path, "headers": headers, "body": body}]}).to_string()
    };
    labs.fresh("notes").await;
    labs.fresh("strict").await;
    let body = json!({"id": "n1", "slug": "a"});
    for sent in [
        one("PUT", "/v1/notes/n1", json!({}), body.clone()),
        one("PUT", "/v1/notes/n1", json!({"if-none-match": "*"}), body),
        one("PATCH", "/v1/notes/none", json!({}), json!({})),
        one("PATCH", "/v1/notes/n1", json!({"content-type": "text/plain"}), json!({})),
        one("PUT", "/v1/notes/n1", json!({}), json!(7)),
        one("PUT", "/v1/strict/s1", json!({}), json!({"id": "s1", "name": "b"})),
        one("PUT", "/v1/notes/other", json!({}), json!({"id": "other", "slug": "a"})),
    ] {
        let tried = Try { path: "/v1:batch".to_owned(), body: sent, ..Try::default() };
        record.note(operation, &tried, &labs.send(&labs.sqlite, operation, &tried).await);
    }
}
