//! The document as a whole.

use repot_core::store::Layout;
use serde_json::{Map, Value, json};

use super::responses::{self, body, responses};
use super::subject::Subject;
use super::{cache, listing, operations, parts, schemas};

/// The `OpenAPI` 3.1 document of the routes over documents of this model.
#[must_use]
pub fn document(layout: &Layout) -> Value {
    let subjects = Subject::all(layout);
    let mut paths = Map::new();
    for subject in &subjects {
        of_collection(subject, &mut paths);
    }
    paths.insert("/v1:batch".to_owned(), batch(&subjects));
    service(&mut paths);
    paths.extend(cache::paths());
    let tags: Vec<Value> = subjects.iter().map(|subject| json!({"name": subject.name()})).collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Documents",
            "summary": "The documents of the model over HTTP",
            "description": "The body of a document is the app's own JSON; what is known of it stands in headers.",
            "version": env!("CARGO_PKG_VERSION"),
        },
        "servers": [{"url": "/"}],
        "tags": tags,
        "paths": paths,
        "components": {
            "schemas": components(&subjects),
            "parameters": responses::headers(),
            "responses": responses::components(),
        },
    })
}

fn of_collection(subject: &Subject<'_>, paths: &mut Map<String, Value>) {
    let mut collection = json!({"get": listing::operation(subject)});
    if subject.shape.is_some() {
        collection["post"] = operations::create(subject);
    }
    paths.insert(format!("/v1/{}", subject.name()), collection);
    for door in subject.doors() {
        paths.insert(door.path.clone(), operations::of_document(subject, &door));
        if subject.is_json() {
            paths.extend(parts::lists(subject, &door));
            let (path, any) = parts::any(subject, &door);
            paths.insert(path, any);
        }
        if subject.collection.soft_delete.is_some() {
            paths.insert(format!("{}:restore", door.path), operations::restore(subject, &door));
        }
    }
}

fn components(subjects: &[Subject<'_>]) -> Value {
    let mut found = Map::new();
    for subject in subjects {
        let (name, plan) = (subject.name(), subject.plan());
        found.insert(format!("{name}.row"), schemas::row(subject));
        found.insert(format!("{name}.page"), listing::page(subject));
        if !subject.columns().parents.is_empty() {
            found.insert(schemas::element_name(plan, subject.table), schemas::element(plan, subject.table));
        }
        if subject.is_json() {
            found.insert(name.to_owned(), schemas::document(subject, false));
            if !subject.is_body() {
                found.insert(format!("{name}.new"), schemas::document(subject, true));
            }
        }
    }
    found.insert(
        "MergePatch".to_owned(),
        json!({"description": "RFC 7396: what is named changes, null takes away."}),
    );
    found.insert("JsonPatch".to_owned(), json_patch());
    found.insert("Batch".to_owned(), batch_body());
    found.insert("BatchAnswers".to_owned(), batch_answers());
    found.insert("Status".to_owned(), status());
    found.insert("Problem".to_owned(), schemas::problem());
    Value::Object(found)
}

fn json_patch() -> Value {
    let pointer = || json!({"type": "string", "pattern": "^(/([^~]|~[01])*)?$"});
    json!({
        "type": "array",
        "description": "RFC 6902.",
        "items": {
            "type": "object",
            "properties": {
                "op": {"type": "string", "enum": ["add", "remove", "replace", "move", "copy", "test"]},
                "path": pointer(),
                "from": pointer(),
                "value": {}
            },
            "required": ["op", "path"]
        }
    })
}

fn batch(subjects: &[Subject<'_>]) -> Value {
    let mut problems = vec![404, 408, 409, 412, 413, 415, 422];
    if subjects.iter().any(|subject| subject.collection.etag_required) {
        problems.push(428);
    }
    let mut parameters = Vec::new();
    if subjects.iter().any(Subject::is_tenants) {
        parameters.push(json!({
            "name": "Repot-Tenant", "in": "header", "description": "Whose documents they are.",
            "schema": {"type": "string", "minLength": 1},
        }));
    }
    let answers = body(
        "The answers, in the order of the requests.",
        "application/json",
        &schemas::reference("BatchAnswers"),
    );
    json!({
        "post": {
            "operationId": "batch",
            "summary": "Several requests at once, all or nothing",
            "description": "The answer to a batch that fails is that of the request that failed, whose number is `request`. With `\"atomic\": false` each is answered by itself.",
            "parameters": parameters,
            "requestBody": {"required": true, "content": {"application/json": {"schema": schemas::reference("Batch")}}},
            "responses": responses(&[(200, answers)], &problems),
        }
    })
}

fn batch_body() -> Value {
    json!({
        "type": "object",
        "properties": {
            "atomic": {"type": "boolean"},
            "requests": {"type": "array", "maxItems": 1000, "items": {
                "type": "object",
                "properties": {
                    "method": {"type": "string", "enum": ["PUT", "POST", "PATCH", "DELETE", "GET"]},
                    "path": {"type": "string", "pattern": "^/v1/"},
                    "headers": {"type": "object", "additionalProperties": {"type": "string"}},
                    "body": {}
                },
                "required": ["method", "path"],
                "additionalProperties": false
            }}
        },
        "required": ["requests"],
        "additionalProperties": false
    })
}

fn batch_answers() -> Value {
    json!({
        "type": "object",
        "properties": {"responses": {"type": "array", "items": {
            "type": "object",
            "properties": {
                "status": {"type": "integer"},
                "etag": {"type": "string"},
                "path": {"type": "string"},
                "location": {"type": "string"},
                "body": {}
            },
            "required": ["status"]
        }}},
        "required": ["responses"]
    })
}

fn status() -> Value {
    json!({"type": "object", "properties": {"status": {"type": "string"}}, "required": ["status"]})
}

/// Routes that are the same for every model.
fn service(paths: &mut Map<String, Value>) {
    let well = || body("It is.", "application/json", &schemas::reference("Status"));
    let get = |id: &str, about: &str, responses: Value| json!({"get": {"operationId": id, "summary": about, "responses": responses}});
    paths.insert("/healthz".to_owned(), get("alive", "Whether the process is alive", json!({"200": well()})));
    let wrong = json!({"$ref": "#/components/responses/Problem400"});
    let away = json!({"$ref": "#/components/responses/Problem503"});
    let ready = get(
        "ready",
        "Whether its store can be read and written",
        json!({"200": well(), "400": wrong, "503": away}),
    );
    paths.insert("/readyz".to_owned(), ready);
    let own = body("OpenAPI 3.1.", "application/json", &json!({"type": "object"}));
    paths.insert("/openapi.json".to_owned(), get("openapi", "This document", json!({"200": own})));
    let page = body("A page to read.", "text/html", &json!({"type": "string"}));
    paths.insert("/docs".to_owned(), get("docs", "This document as a page", json!({"200": page})));
}
