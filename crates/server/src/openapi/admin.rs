//! Operations for those who run the server.

use repot_core::store::PAGE_ITEMS_MAX;
use serde_json::{Map, Value, json};

use super::bodies::{list, object, sent};
use super::listing::query;
use super::responses::{body, responses, with_location};
use super::schemas::reference;
use crate::admin::wanted::schema;
use crate::admin::{Question, Work};

/// The name of their tag, and of what they take.
pub(super) const TAG: &str = "admin";

/// What is said of the tag.
pub(super) fn tag() -> Value {
    json!({"name": TAG, "description": "For those who run the server, not for apps."})
}

/// What they take.
pub(super) fn security_scheme() -> Value {
    json!({
        "type": "http", "scheme": "bearer",
        "description": "A key with the right `admin` on everything, which is bound to no tenant.",
    })
}

/// Paths of `/admin`.
pub(super) fn paths() -> Map<String, Value> {
    let mut found = Map::new();
    found.insert("/admin/status".to_owned(), json!({"get": status()}));
    for work in Work::ALL {
        let (last, start) = (last(work), start(work));
        found.insert(format!("/admin/{work}"), json!({"get": last, "post": start}));
    }
    found.insert("/admin/mismatches".to_owned(), json!({"get": mismatches(), "post": change_mismatches()}));
    found.insert("/admin/advice".to_owned(), json!({"get": advice()}));
    found.insert("/admin/slow".to_owned(), json!({"get": slow()}));
    found.insert("/admin/keys".to_owned(), json!({"get": keys(), "post": create_key()}));
    let id = json!({"name": "id", "in": "path", "required": true, "schema": {"type": "string", "pattern": "^[0-9a-zA-Z]+$"}});
    found.insert("/admin/keys/{id}".to_owned(), json!({"parameters": [id], "delete": revoke_key()}));
    found.insert("/admin/audit".to_owned(), json!({"get": audit()}));
    found
}

fn operation(id: &str, summary: &str, responses: &Value) -> Value {
    json!({
        "operationId": format!("admin_{id}"),
        "tags": [TAG],
        "summary": summary,
        // without keys the server is open to its own machine
        "security": [{}, {TAG: []}],
        "responses": responses,
    })
}

/// The answers of what asks neither a project nor the store for anything that it may not have.
fn told(schema: &Value, problems: &[u16]) -> Value {
    let mut told = responses(&[(200, body("It.", "application/json", schema))], problems);
    if let Some(told) = told.as_object_mut() {
        told.remove("501");
    }
    told
}

fn result(mut fields: Vec<(&'static str, Value)>) -> Value {
    fields.push(("type", json!({"const": "result"})));
    object(&fields)
}

fn any() -> Value {
    json!({"type": ["object", "null"]})
}

fn status() -> Value {
    let mut fields = vec![
        ("store", json!({"type": "string"})),
        (
            "model",
            json!({"type": "object", "description": "Collections, hash, since when it is served, and why a changed one is refused."}),
        ),
        (
            "reachable",
            json!({"type": ["boolean", "null"], "description": "Whether the store answers; null while that is being found out."}),
        ),
        ("rows", json!({"type": ["object", "null"], "additionalProperties": {"type": "integer"}})),
        ("cache", json!({"type": ["string", "null"]})),
        ("project?", json!({"type": "object"})),
    ];
    fields.extend(Work::ALL.map(|work| (work.word(), any())));
    operation("status", "Store, model, project, and what was done last", &told(&result(fields), &[]))
}

fn job() -> Value {
    let text = || json!({"type": ["string", "null"]});
    object(&[
        ("work", json!({"type": "string", "enum": Work::ALL.map(Work::word)})),
        ("state", json!({"type": "string", "enum": ["running", "done", "failed"]})),
        ("began_at", json!({"type": "string"})),
        ("ended_at", text()),
        ("progress?", json!({"type": "object"})),
        ("result?", json!({})),
        ("error?", json!({"type": "object"})),
    ])
}

fn last(work: Work) -> Value {
    let about = format!("The last {work} since the server began");
    operation(&format!("last_{work}"), &about, &told(&job(), &[404]))
}

fn start(work: Work) -> Value {
    let begun = with_location(body("It has begun.", "application/json", &job()));
    let about = format!(
        "Begins a {work} in the background; plan, verify and copy wait for each other, and so do rollout and finish"
    );
    let flags = work.flags();
    let problems: &[u16] = if flags.is_empty() { &[408, 409, 413] } else { &[408, 409, 413, 422] };
    let answers = responses(&[(202, begun)], problems);
    let mut operation = operation(&format!("start_{work}"), &about, &answers);
    operation["requestBody"] = sent(&schema(flags), false);
    operation
}

fn mismatches() -> Value {
    let found = result(vec![
        ("differences", list(&json!({"type": "object"}))),
        ("ignored", json!({"type": "integer"})),
        ("next", list(&json!({"type": "string"}))),
    ]);
    let answers = responses(&[(200, body("They.", "application/json", &found))], &[409]);
    operation("mismatches", "Documents that were found to differ between the stores of a move", &answers)
}

fn change_mismatches() -> Value {
    let answers = responses(
        &[(200, body("It is done.", "application/json", &json!({"type": "object"})))],
        &[404, 408, 409, 413, 422],
    );
    let mut operation =
        operation("change_mismatches", "One of them is known, or all are forgotten", &answers);
    operation["requestBody"] = sent(&schema(Question::Mismatches.flags()), false);
    operation
}

fn advice() -> Value {
    let answers = responses(&[(200, body("It.", "application/json", &json!({"type": "object"})))], &[]);
    operation("advice", "Figures of the project, held against what apps set themselves", &answers)
}

fn slow() -> Value {
    let lines = list(&json!({"type": "object"}));
    operation(
        "slow",
        "The last requests that took more than a second",
        &told(&result(vec![("slow", lines)]), &[]),
    )
}

fn rights() -> Value {
    list(&json!({"type": "string", "enum": ["read", "write", "admin"]}))
}

fn keys() -> Value {
    let keys = list(&json!({"type": "object"}));
    let listed = body("They.", "application/json", &result(vec![("keys", keys)]));
    operation("keys", "All keys, without what opens anything", &responses(&[(200, listed)], &[]))
}

fn create_key() -> Value {
    let mut rights = rights();
    rights["minItems"] = json!(1);
    let wanted = object(&[
        ("name", json!({"type": "string", "minLength": 1})),
        ("rights", rights),
        (
            "only?",
            json!({"type": "array", "items": {"type": "string"}, "description": "Of these collections only."}),
        ),
        ("tenant?", json!({"type": ["string", "null"], "minLength": 1})),
        ("any_tenant?", json!({"type": "boolean"})),
        (
            "expires?",
            json!({"type": ["string", "null"], "pattern": "^[1-9][0-9]{0,3}(s|m|h|d)$", "examples": ["90d"]}),
        ),
    ]);
    let key = json!({
        "type": "object",
        "properties": {
            "type": {"const": "key"},
            "id": {"type": "string"},
            "key": {"type": "string", "description": "The key itself, which is shown this once."},
            "name": {"type": "string"},
            "rights": {"type": "object"},
            "tenant": {"type": ["string", "null"]},
            "any_tenant": {"type": "boolean"},
            "expires_at": {"type": ["string", "null"]},
        },
        "required": ["type", "id", "key", "name", "rights", "tenant", "any_tenant", "expires_at"],
    });
    let made = with_location(body("It is made.", "application/json", &key));
    let answers = responses(&[(201, made)], &[404, 408, 413]);
    let mut operation =
        operation("create_key", "A new key; from the first one on a key must be shown", &answers);
    operation["requestBody"] = sent(&wanted, true);
    operation
}

fn revoke_key() -> Value {
    let gone =
        body("It is taken back.", "application/json", &result(vec![("revoked", json!({"type": "string"}))]));
    operation("revoke_key", "A key is taken back", &responses(&[(200, gone)], &[404]))
}

fn audit() -> Value {
    let entry = || json!({"type": "integer", "minimum": 0, "maximum": i64::MAX});
    let moment = || json!({"type": "string", "pattern": format!("^{}$", super::record::MOMENT)});
    let parameters = [
        query("collection", "Only of this one.", json!({"type": "string"})),
        query("actor", "Only what they did.", json!({"type": "string"})),
        query("from", "From this time on.", moment()),
        query("until", "Before this time.", moment()),
        query("before", "Goes on behind a page: its `next`.", entry()),
        query(
            "limit",
            "Entries of the page at most.",
            json!({"type": "integer", "minimum": 1, "maximum": PAGE_ITEMS_MAX}),
        ),
    ];
    let page =
        object(&[("items", list(&reference(super::record::ENTRY))), ("next?", json!({"type": "integer"}))]);
    let answers = responses(&[(200, body("A page.", "application/json", &page))], &[404]);
    let mut operation =
        operation("audit", "Who changed what, of all collections on record, the newest first", &answers);
    operation["parameters"] = json!(parameters);
    operation
}
