//! Traces: what a collector is told of requests, and that it holds none of them up.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use repot_server::{Options, TraceOptions, Traces};
use serde_json::Value;

use crate::kit::{DRAMAS, Lab, TABLES, outside};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";
/// For whoever must not wait for ever when something is broken.
const LONG: Duration = Duration::from_secs(60);

type Posts = Arc<Mutex<Vec<(HeaderMap, Value)>>>;

/// A collector on this machine, and its address.
async fn collector() -> (Posts, String) {
    async fn take(State(posts): State<Posts>, headers: HeaderMap, body: String) -> &'static str {
        posts.lock().unwrap().push((headers, serde_json::from_str(&body).unwrap()));
        "{}"
    }
    let posts = Posts::default();
    let routes = Router::new().route("/v1/traces", post(take)).with_state(Arc::clone(&posts));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (posts, address)
}

async fn traced(kind: &'static str, variables: &[(&str, &str)]) -> Option<(Lab, Traces)> {
    let find = |name: &str| variables.iter().find(|(known, _)| *known == name);
    let options = TraceOptions::from_variables(|name| find(name).map(|(_, value)| (*value).to_owned()));
    let traces = Traces::start(options.unwrap().unwrap()).unwrap();
    let options = Options { traces: Some(traces.clone()), ..Options::default() };
    Some((Lab::with(kind, DRAMAS, (outside(), options)).await?, traces))
}

/// A span, as a collector sees it.
struct Span(Value);

impl Span {
    fn text(&self, name: &str) -> &str {
        self.0[name].as_str().unwrap()
    }

    fn attribute(&self, name: &str) -> Option<String> {
        let all = self.0["attributes"].as_array()?;
        let value = &all.iter().find(|attribute| attribute["key"] == name)?["value"];
        let value = value.get("stringValue").or_else(|| value.get("intValue"))?;
        Some(value.as_str().unwrap().to_owned())
    }

    /// Nanoseconds since 1970.
    fn times(&self) -> (u128, u128) {
        (self.text("startTimeUnixNano").parse().unwrap(), self.text("endTimeUnixNano").parse().unwrap())
    }
}

fn spans(posts: &Posts) -> Vec<Span> {
    let posts = posts.lock().unwrap();
    let all =
        posts.iter().flat_map(|(_, post)| post["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array());
    all.flatten().cloned().map(Span).collect()
}

#[tokio::test]
async fn a_request_is_a_span_with_the_calls_of_the_store_in_it() {
    for kind in TABLES {
        let (posts, address) = collector().await;
        let variables = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", address.as_str()),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-team=own"),
            ("OTEL_SERVICE_NAME", "shop"),
        ];
        let Some((lab, traces)) = traced(kind, &variables).await else { continue };
        let parent = format!("00-{TRACE}-{PARENT}-01");
        let headers =
            [("traceparent", parent.as_str()), ("x-request-id", "mine"), ("cookie", "a=canary7f3a")];
        let body = r#"{"id":"canary7f3a","title":"canary7f3a"}"#;
        lab.send("PUT /v1/dramas/canary7f3a", &headers, body).await.is(201);
        lab.get("/v1/dramas/canary7f3a?x=canary7f3a").await.is(400);
        lab.send("CANARY7F3A /canary7f3a", &[("authorization", "Bearer canary7f3a")], "").await;
        traces.end(LONG).await;
        assert_eq!(traces.lost(), 0);
        let (sent, post) = posts.lock().unwrap()[0].clone();
        assert_eq!(
            (sent["x-team"].to_str().unwrap(), sent["content-type"].to_str().unwrap()),
            ("own", "application/json")
        );
        let resource = post["resourceSpans"][0]["resource"]["attributes"].to_string();
        assert!(resource.contains(r#"{"key":"service.name","value":{"stringValue":"shop"}}"#), "{resource}");
        assert!(!format!("{:?}", posts.lock().unwrap()).to_lowercase().contains("canary7f3a"));
        let spans = spans(&posts);
        let servers: Vec<&Span> = spans.iter().filter(|span| span.0["kind"] == 2).collect();
        let names: Vec<&str> = servers.iter().map(|span| span.text("name")).collect();
        assert_eq!(names, ["PUT /v1/{c}/{key}", "GET /v1/{c}/{key}", "HTTP"]);
        let [put, get, odd] = servers.as_slice() else { unreachable!() };
        assert_eq!((put.text("traceId"), put.text("parentSpanId")), (TRACE, PARENT));
        let said = |span: &Span, name| span.attribute(name).unwrap_or_default();
        assert_eq!(said(put, "http.request.method"), "PUT");
        assert_eq!(said(put, "http.route"), "/v1/{c}/{key}");
        assert_eq!(said(put, "http.response.status_code"), "201");
        assert_eq!(said(put, "repot.request_id"), "mine");
        assert_eq!(
            (said(get, "http.response.status_code"), said(get, "repot.code")),
            ("400".into(), "R0440".into())
        );
        assert_eq!((said(odd, "http.request.method"), odd.attribute("http.route")), ("_OTHER".into(), None));
        assert!(get.0.get("parentSpanId").is_none() && get.text("traceId") != TRACE);
        assert!(get.0.get("status").is_none(), "what the client did wrong is no fault of ours");
        // the write is in the request, and the wait for its connection in the write
        let inside = |outer: &Span, name: &str| {
            let (outer_id, (from, to)) = (outer.text("spanId").to_owned(), outer.times());
            let found = spans.iter().find(|span| {
                span.0.get("parentSpanId").is_some_and(|id| *id == outer_id.as_str())
                    && span.text("name") == name
            });
            let found = found.unwrap_or_else(|| panic!("no {name} on {kind}"));
            let (begin, end) = found.times();
            assert!(from <= begin && begin <= end && end <= to, "{name} on {kind}");
            assert_eq!(found.text("traceId"), TRACE);
            found
        };
        let write = inside(put, "store apply");
        assert_eq!((said(write, "db.operation.name"), write.0["kind"].clone()), ("apply".into(), 3.into()));
        inside(write, "pool wait");
    }
}

/// What failed here is marked; what whoever asks does not want traced is not.
#[tokio::test]
async fn failures_are_marked_and_samplers_kept_to() {
    let (posts, address) = collector().await;
    let at = ("OTEL_EXPORTER_OTLP_ENDPOINT", address.as_str());
    let (lab, traces) = traced("directory", &[at]).await.unwrap();
    // a file where the folder of the documents was
    std::fs::remove_dir_all(lab.folder().join("data")).unwrap_or_default();
    std::fs::write(lab.folder().join("data"), "no folder").unwrap();
    let failed = lab.get("/v1/dramas/d1").await;
    assert!(failed.status.is_server_error(), "{failed:?}");
    let unwanted = format!("00-{TRACE}-{PARENT}-00");
    lab.send("GET /healthz", &[("traceparent", &unwanted)], "").await.is(200);
    traces.end(LONG).await;
    let all = spans(&posts);
    let [request, call] = all.as_slice() else { panic!("{}", all.len()) };
    for span in [request, call] {
        assert_eq!(span.0["status"]["code"], 2);
        assert_eq!(span.attribute("error.type").as_deref(), Some(failed.code().as_str()));
    }
    let (lab, traces) = traced("memory", &[at, ("OTEL_TRACES_SAMPLER", "always_off")]).await.unwrap();
    lab.get("/healthz").await.is(200);
    traces.end(LONG).await;
    assert_eq!(spans(&posts).len(), 2);
}

/// A collector that is away, or takes and never answers, costs traces and nothing else.
#[tokio::test]
async fn a_collector_that_is_away_holds_nothing_up() {
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let (lab, traces) = traced("memory", &[("OTEL_EXPORTER_OTLP_ENDPOINT", &address)]).await.unwrap();
    for _ in 0..3 {
        lab.get("/healthz").await.is(200);
    }
    traces.end(LONG).await;
    assert_eq!(traces.lost(), 3);
    let figures = lab.get("/metrics").await.is(200);
    assert!(figures.text().contains("\nrepot_traces_lost_total 3\n"), "{}", figures.text());
    // connections are taken by the system; nobody reads from them
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", silent.local_addr().unwrap());
    let variables =
        [("OTEL_EXPORTER_OTLP_ENDPOINT", address.as_str()), ("OTEL_EXPORTER_OTLP_TIMEOUT", "600000")];
    let (lab, traces) = traced("memory", &variables).await.unwrap();
    for _ in 0..2_600 {
        lab.get("/healthz").await.is(200);
    }
    // 256 are on their way, 2048 wait
    assert!(traces.lost() >= 2_600 - 256 - 2_048, "{}", traces.lost());
    traces.end(Duration::from_millis(1)).await;
}
