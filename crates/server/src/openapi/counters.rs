//! Operations that count: quotas in documents, and shared rate limits.

use repot_model::language::Model;
use serde_json::{Map, Value, json};

use super::bodies::{object, sent};
use super::operations::writing;
use super::responses::{body, responses};
use super::subject::Subject;

/// `POST ...:spend`
pub(super) fn spend(subject: &Subject<'_>, paths: &mut Map<String, Value>) {
    if subject.collection.quota.is_empty() {
        return;
    }
    let number = || json!({"type": "integer"});
    let counter = object(&[
        ("used", number()),
        ("limit", json!({"type": ["integer", "null"]})),
        ("left", json!({"type": ["integer", "null"]})),
        ("resets_at", json!({"type": ["string", "null"], "format": "date-time"})),
    ]);
    let fields: Vec<(&str, Value)> =
        subject.collection.quota.keys().map(|name| (name.as_str(), counter.clone())).collect();
    for door in subject.doors() {
        let n = json!({"type": "integer", "minimum": 0, "maximum": u32::MAX, "description": "0 only looks; 1 unless it is given."});
        let post = json!({
            "operationId": format!("spend_{}{}", subject.name(), door.suffix),
            "tags": [subject.name()],
            "summary": "Checks all counters of the document and counts, in one step",
            "parameters": writing(subject, &["IdempotencyKey"]),
            "requestBody": sent(&object(&[("n?", n)]), false),
            "responses": responses(
                &[(200, body("What is left.", "application/json", &object(&fields)))],
                &[404, 408, 409, 413, 422, 429],
            ),
        });
        paths.insert(format!("{}:spend", door.path), json!({"parameters": door.parameters, "post": post}));
    }
}

/// `POST /limits/{name}:take`
pub(super) fn take(model: &Model, paths: &mut Map<String, Value>) {
    let names: Vec<&String> = model.settings.limits.keys().collect();
    if names.is_empty() {
        return;
    }
    let taken = object(&[("taken", json!({"type": "integer"})), ("left", json!({"type": "integer"}))]);
    // what every one of them can give at once; more than a limit ever has is wrong in itself
    let most = model.settings.limits.values().map(|limit| limit.value.count).min();
    let n = json!({"type": "integer", "minimum": 1, "maximum": most});
    let post = json!({
        "operationId": "take",
        "summary": "Takes from a rate limit that all processes share",
        "requestBody": sent(&object(&[("n?", n)]), false),
        "responses": responses(&[(200, body("They are taken.", "application/json", &taken))], &[404, 408, 413, 429]),
    });
    let name =
        json!({"name": "name", "in": "path", "required": true, "schema": {"type": "string", "enum": names}});
    paths.insert("/limits/{name}:take".to_owned(), json!({"parameters": [name], "post": post}));
}
