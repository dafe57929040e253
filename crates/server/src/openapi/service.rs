//! Routes that are the same for every model: the feed, SQL, and whether the server is well.

use repot_core::store::PAGE_ITEMS_MAX;
use serde_json::{Map, Value, json};

use super::bodies::{list, object, sent};
use super::listing::query;
use super::responses::{body, empty, header, responses};
use super::schemas::reference;
use super::subject::Subject;

/// All of them.
pub(super) fn operations(subjects: &[Subject<'_>], paths: &mut Map<String, Value>) {
    paths.insert("/v1:changes".to_owned(), json!({"get": changes(subjects)}));
    paths.insert("/v1:query".to_owned(), json!({"post": sql()}));
    let well = || body("It is.", "application/json", &reference("Status"));
    let get = |id: &str, about: &str, responses: Value| json!({"get": {"operationId": id, "summary": about, "security": [], "responses": responses}});
    paths.insert("/healthz".to_owned(), get("alive", "Whether the process is alive", json!({"200": well()})));
    let problem = |status: u16| json!({"$ref": format!("#/components/responses/Problem{status}")});
    let text = || json!({"schema": {"type": "string"}});
    let (mut is, mut is_not) =
        (well(), body("It is not.", "application/problem+json", &reference("Problem")));
    is["content"]["text/plain"] = text();
    is_not["content"]["text/plain"] = text();
    let ready = json!({"200": is, "400": problem(400), "401": problem(401), "503": is_not});
    let mut ready = get("ready", "Whether its store can be read", ready);
    let verbose = "All that should be so, a line each; takes a key where there are keys.";
    ready["get"]["parameters"] = json!([query("verbose", verbose, json!({"type": "string", "enum": ["1"]}))]);
    paths.insert("/readyz".to_owned(), ready);
    let figures = body("Figures.", "application/openmetrics-text", &json!({"type": "string"}));
    let mut metrics = get("metrics", "Figures for Prometheus", json!({"200": figures, "401": problem(401)}));
    if let Some(own) = metrics["get"].as_object_mut() {
        own.remove("security");
    }
    paths.insert("/metrics".to_owned(), metrics);
    let own = body("OpenAPI 3.1.", "application/json", &json!({"type": "object"}));
    paths.insert("/openapi.json".to_owned(), get("openapi", "This document", json!({"200": own})));
    let page = body("A page to read.", "text/html", &json!({"type": "string"}));
    paths.insert("/docs".to_owned(), get("docs", "This document as a page", json!({"200": page})));
}

fn changes(subjects: &[Subject<'_>]) -> Value {
    let position = || json!({"type": "integer", "minimum": 0, "maximum": u64::MAX});
    let names: Vec<&str> =
        subjects.iter().filter(|subject| subject.shape.is_some()).map(Subject::name).collect();
    let one = format!("({})", names.join("|"));
    let wait =
        json!({"type": "string", "pattern": "^[0-9]{1,4}ms$|^([0-9]|[1-5][0-9]|60)s$", "examples": ["30s"]});
    let mut parameters = vec![
        query("since", "After this position, which an answer gave; else from now on.", position()),
        query(
            "only",
            "Of these collections, with commas between.",
            json!({"type": "string", "pattern": format!("^{one}(,{one})*$")}),
        ),
        query(
            "limit",
            "Changes of a page at most; only for pages.",
            json!({"type": "integer", "minimum": 1, "maximum": PAGE_ITEMS_MAX}),
        ),
        query("wait", "Waits for a change as long, at most a minute; only for pages.", wait),
        json!({
            "name": "Last-Event-ID", "in": "header", "schema": position(),
            "description": "For streams, in the place of `since`.",
        }),
    ];
    if subjects.iter().any(Subject::is_tenants) {
        parameters.push(header("MayTenant"));
    }
    let page = object(&[
        ("items", list(&json!({"type": "object"}))),
        ("next", position()),
        ("more", json!({"type": "boolean"})),
    ]);
    let mut told = body(
        "A page; with `Accept: text/event-stream` events until somebody ends it.",
        "application/json",
        &page,
    );
    told["content"]["text/event-stream"] = json!({"schema": {"type": "string", "description": "`id: POSITION`, `event: change`, `data: {...}`, as the items of a page."}});
    let old = body(
        "The position is older than what is kept: begin with a listing again.",
        "application/problem+json",
        &reference("Problem"),
    );
    json!({
        "operationId": "changes",
        "summary": "What changed since, also as a stream",
        "description": "An upgrade to a WebSocket (RFC 6455) gives each change as a message of text, the same as an item of a page.",
        "parameters": parameters,
        "responses": responses(&[(101, empty("A WebSocket, where the request asks for one.")), (200, told), (410, old)], &[]),
    })
}

fn sql() -> Value {
    let value = json!({"type": ["string", "number", "boolean", "null"]});
    let question = object(&[
        ("sql", json!({"type": "string", "minLength": 1, "examples": ["select 1 as one"]})),
        ("params?", json!({"type": "array", "maxItems": 1000, "items": value})),
        ("limit?", json!({"type": "integer", "minimum": 1, "maximum": 1_000_000})),
    ]);
    let row = json!({"type": "object"});
    let rows = object(&[
        ("columns", list(&json!({"type": "string"}))),
        ("rows", list(&row)),
        ("more", json!({"type": "boolean", "description": "There were more rows."})),
    ]);
    let mut told = body("Rows.", "application/json", &rows);
    told["content"]["application/x-ndjson"] =
        json!({"schema": {"type": "string", "description": "A row a line."}});
    let late =
        body("The body, or the statement, took too long.", "application/problem+json", &reference("Problem"));
    json!({
        "operationId": "query",
        "summary": "Rows by a statement that reads, in the database's own SQL",
        "description": "For keys with the right `admin` that are bound to no tenant.",
        "requestBody": sent(&question, true),
        "responses": responses(&[(200, told), (408, late)], &[413]),
    })
}
