//! Figures, logs, readiness; and that the store behind the figures keeps every promise.

use std::sync::{Arc, Mutex};

use repot_core::store::{BucketStore, MemoryObjects};
use repot_core::{Error, Kind};
use repot_server::{App, Log, Options, Outside, RequestLine, Room, RoomOf};
use repot_testkit::QuickPacing;
use repot_testkit::conformance::{DOCUMENT_BYTES_MAX, Subject, layout};

use crate::broken::Broken;
use crate::kit::{DRAMAS, Lab, TABLES, outside};

fn metered() -> Subject {
    let store = BucketStore::new(Arc::new(MemoryObjects::default()), layout(), DOCUMENT_BYTES_MAX);
    let app = App::new(Arc::new(store), layout(), outside(), Options::default()).unwrap();
    Subject { store: Arc::clone(app.store()) as _, keep: Box::new(()) }
}

repot_testkit::conformance!(metered, super::metered());

type Lines = Arc<Mutex<Vec<RequestLine>>>;

fn listening() -> (Options, Lines) {
    let lines = Lines::default();
    let sink = Arc::clone(&lines);
    let log = Log::new(move |line| sink.lock().unwrap().push(line.clone()));
    (Options { log: Some(log), ..Options::default() }, lines)
}

/// The value of a figure with exactly these labels.
fn figure(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map(|value| value.parse().unwrap())
}

#[tokio::test]
async fn figures_count_what_happened() {
    for kind in ["memory", "sqlite", "postgres"] {
        // as long as it takes
        let options = Options { figures_ms: 60_000, ..Options::default() };
        let Some(lab) = Lab::with(kind, DRAMAS, (outside(), options)).await else { continue };
        let other = Lab::open("memory", DRAMAS).await.unwrap();
        lab.send("PUT /v1/dramas/d1", &[], r#"{"id":"d1","title":"a"}"#).await.is(201);
        lab.get("/v1/dramas/d1").await.is(200);
        lab.get("/v1/dramas/d1").await.is(200);
        lab.get("/v1/dramas/nothing").await.is(404);
        lab.get("/v1/dramas/d1/title").await.is(200);
        lab.send("PUT /v1/dramas/d1", &[("if-none-match", "*")], r#"{"id":"d1"}"#).await.is(412);
        lab.get("/nowhere").await.is(404);
        let answer = lab.get("/metrics").await.is(200);
        assert!(answer.header("content-type").unwrap().starts_with("application/openmetrics-text"));
        let text = answer.text();
        let requests = |route: &str, status: &str| {
            let labels = format!(r#"{{route="{route}",method="GET",status="{status}"}}"#);
            figure(text, &format!("repot_http_request_seconds_count{labels}"))
        };
        assert_eq!(requests("/v1/{c}/{key}", "2xx"), Some(2.0), "{text}");
        assert_eq!(requests("/v1/{c}/{key}", "4xx"), Some(1.0));
        assert_eq!(requests("/v1/{c}/{key}/{way}", "2xx"), Some(1.0));
        assert_eq!(requests("none", "4xx"), Some(1.0));
        // this one
        assert_eq!(figure(text, "repot_http_requests_in_flight"), Some(1.0));
        let of = |outcome: &str| {
            let labels = format!(r#"{{operation="apply",outcome="{outcome}"}}"#);
            figure(text, &format!("repot_store_operation_seconds_count{labels}"))
        };
        assert_eq!((of("ok"), of("conflict")), (Some(1.0), Some(1.0)));
        assert_eq!(figure(text, r#"repot_store_conflicts_total{code="R0401"}"#), Some(1.0));
        assert_eq!(figure(text, "repot_store_reachable{}"), Some(1.0));
        assert!(figure(text, "repot_process_memory_bytes{}").unwrap() > 1e6, "{text}");
        let is_database = lab.kind != "memory";
        let pool = figure(text, r#"repot_pool_connections{pool="writing",state="most"}"#);
        assert_eq!(pool.is_some(), is_database);
        assert_eq!(figure(text, "repot_database_size_bytes{}").is_some(), is_database);
        if lab.kind == "sqlite" {
            assert_eq!(figure(text, r#"repot_table_rows{table="dramas"}"#), Some(1.0), "{text}");
        }
        // names and keys of documents are nobody's figures
        assert!(!text.contains("d1") && !text.contains("nowhere"));
        assert!(text.ends_with("# EOF\n"));
        // another server in this process has figures of its own
        let other = other.get("/metrics").await.is(200);
        assert!(!other.text().contains("/v1/{c}/{key}"), "{}", other.text());
    }
}

#[tokio::test]
async fn every_request_has_an_id_and_a_line() {
    let (options, lines) = listening();
    let lab = Lab::with("sqlite", DRAMAS, (outside(), options)).await.unwrap();
    let named = lab.send("GET /healthz", &[("x-request-id", "abc-1._Z")], "").await.is(200);
    assert_eq!(named.header("x-request-id"), Some("abc-1._Z"));
    let long = "x".repeat(129);
    let mut made = Vec::new();
    for insane in ["", "two words", "a\"b", "é", &long] {
        let answer = lab.send("GET /healthz", &[("x-request-id", insane)], "").await.is(200);
        made.push(answer.header("x-request-id").unwrap().to_owned());
    }
    made.push(lab.get("/healthz").await.header("x-request-id").unwrap().to_owned());
    assert!(made.iter().all(|id| id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit())));
    let mut apart = made.clone();
    apart.sort();
    apart.dedup();
    assert_eq!(apart.len(), made.len());
    lab.send("PUT /v1/dramas/d1", &[], r#"{"id":"d1","title":"a"}"#).await.is(201);
    let missing = lab.get("/v1/dramas/d2").await.is(404);
    let found = lab.get("/v1/dramas/d1").await.is(200);
    let ids: Vec<String> = lines.lock().unwrap().iter().map(|line| line.id.clone()).collect();
    assert_eq!(ids.first().map(String::as_str), Some("abc-1._Z"));
    assert_eq!(ids.get(1..7), Some(made.as_slice()));
    let lines = lines.lock().unwrap().clone();
    let [.., put, gone, got] = lines.as_slice() else { panic!("{lines:?}") };
    assert_eq!((put.method, put.route.as_ref(), put.status), ("PUT", "/v1/{c}/{key}", 201));
    assert_eq!((gone.status, gone.code, &gone.failure), (404, Some("R0402"), &None));
    assert_eq!(gone.bytes, missing.body.len() as u64);
    assert_eq!((got.status, got.bytes, got.is_slow), (200, found.body.len() as u64, false));
    let json: serde_json::Value = serde_json::from_str(&gone.json()).unwrap();
    assert_eq!(json["status"], 404);
    assert_eq!(json["route"], "/v1/{c}/{key}");
    assert_eq!(json["code"], "R0402");
    assert_eq!(json["request_id"].as_str(), Some(missing.header("x-request-id").unwrap()));
    assert!(!gone.json().contains('\n') && gone.to_string().contains("404 GET    /v1/{c}/{key}"));
}

/// The bytes of an answer that is streamed are known at its end, and there is one line for it.
#[tokio::test]
async fn streams_are_counted_to_their_end() {
    let (options, lines) = listening();
    let lab = Lab::with("sqlite", DRAMAS, (outside(), options)).await.unwrap();
    for id in ["d1", "d2", "d3"] {
        lab.send(&format!("PUT /v1/dramas/{id}"), &[], format!(r#"{{"id":"{id}","title":"a"}}"#))
            .await
            .is(201);
    }
    lines.lock().unwrap().clear();
    let streamed = lab.send("GET /v1/dramas", &[("accept", "application/x-ndjson")], "").await.is(200);
    let packed = lab.send("GET /v1/dramas", &[("accept-encoding", "gzip")], "").await.is(200);
    let sent: Vec<(u16, u64)> = lines.lock().unwrap().iter().map(|line| (line.status, line.bytes)).collect();
    assert_eq!(sent, [(200, streamed.body.len() as u64), (200, packed.body.len() as u64)]);
    let text = lab.get("/metrics").await;
    assert_eq!(figure(text.text(), "repot_http_requests_in_flight"), Some(1.0));
}

/// What a client sends is its own: not its keys, not the values of its filters, not its credentials.
#[tokio::test]
async fn nothing_that_was_sent_is_in_the_log_or_the_figures() {
    const CANARY: &str = "canary7f3a";
    let (options, lines) = listening();
    let lab = Lab::with("sqlite", DRAMAS, (outside(), options)).await.unwrap();
    let headers: &[(&str, &str)] = &[
        ("authorization", "Bearer canary7f3a"),
        ("cookie", "session=canary7f3a"),
        ("repot-tenant", "canary7f3a"),
        ("x-request-id", "canary7f3a is no id"),
    ];
    let body = r#"{"id":"canary7f3a","title":"canary7f3a"}"#;
    lab.send("PUT /v1/dramas/canary7f3a", headers, body).await;
    lab.send("GET /v1/dramas/canary7f3a", headers, "").await;
    lab.send("GET /v1/dramas?title=canary7f3a", headers, "").await;
    lab.send("GET /v1/dramas?canary7f3a=1", headers, "").await;
    lab.send("GET /v1/canary7f3a/canary7f3a", headers, "").await;
    lab.send("POST /canary7f3a", headers, "canary7f3a").await;
    lab.send("CANARY7F3A /v1/dramas/x", headers, "").await;
    lab.send("PATCH /v1/dramas/canary7f3a", headers, "canary7f3a").await;
    lab.send("POST /v1:batch", headers, r#"{"requests":[{"method":"GET","path":"/v1/dramas/canary7f3a"}]}"#)
        .await;
    let seen = lines.lock().unwrap().clone();
    assert_eq!(seen.len(), 9, "{seen:?}");
    for line in &seen {
        let told = format!("{line}\n{}\n{line:?}", line.json()).to_lowercase();
        assert!(!told.contains(CANARY), "{told}");
    }
    let figures = lab.get("/metrics").await.is(200);
    assert!(!figures.text().to_lowercase().contains(CANARY));
}

#[tokio::test]
async fn a_server_says_point_by_point_whether_it_is_ready() {
    let room = Arc::new(Mutex::new(Room { free_bytes: 50, all_bytes: 100 }));
    let told = Arc::clone(&room);
    for kind in TABLES {
        let told = Arc::clone(&told);
        let options =
            Options { room: Some(RoomOf::new(move || Some(*told.lock().unwrap()))), ..Options::default() };
        let Some(lab) = Lab::with(kind, DRAMAS, (outside(), options)).await else { continue };
        let is_server = lab.kind == "postgres";
        let well = lab.get("/readyz?verbose").await.is(200);
        assert_eq!(well.header("content-type"), Some("text/plain; charset=utf-8"));
        let names: Vec<&str> = well.text().lines().filter_map(|line| line.split(':').next()).collect();
        let mut expected = vec!["ok   database", "ok   pool", "ok   disk", "ok   model"];
        expected.extend(is_server.then_some("ok   transactions"));
        assert_eq!(names, expected, "{}", well.text());
        *room.lock().unwrap() = Room { free_bytes: 9, all_bytes: 100 };
        let full = lab.get("/readyz?verbose").await.is(503);
        assert!(full.text().contains("FAIL disk: 9 % free"), "{}", full.text());
        // requests are answered all the same, so a balancer goes on
        lab.get("/readyz").await.is(200);
        *room.lock().unwrap() = Room { free_bytes: 10, all_bytes: 100 };
        lab.get("/readyz?verbose").await.is(200);
        assert_eq!(lab.get("/readyz?other").await.is(400).code(), "R0440");
        assert_eq!(lab.get("/healthz").await.is(200).text(), r#"{"status":"ok"}"#);
    }
}

/// A load balancer waits for nobody who does not answer at all.
#[tokio::test]
async fn a_database_that_is_silent_is_not_ready() {
    let lab = Lab::open("memory", DRAMAS).await.unwrap();
    let store = Broken {
        error: Error::new(Kind::Failed, "R0901", "it does not come to that"),
        capabilities: lab.app.store().capabilities(),
        collections: lab.app.store().collections(),
        is_silent: true,
        counts: false,
    };
    let outside = Outside { pacing: Arc::new(QuickPacing::default()), ..outside() };
    let app = App::new(Arc::new(store), lab.app.layout().clone(), outside, Options::default()).unwrap();
    let lab = lab.over(app);
    let ready = lab.get("/readyz").await.is(503);
    assert_eq!((ready.code().as_str(), ready.header("retry-after")), ("R0433", Some("1")));
    let why = lab.get("/readyz?verbose").await.is(503);
    assert!(why.text().starts_with("FAIL database: broken did not answer within 5 s\n"), "{}", why.text());
    lab.get("/healthz").await.is(200);
}
