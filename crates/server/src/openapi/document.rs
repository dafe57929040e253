//! The document as a whole.

use repot_core::store::Layout;
use serde_json::{Map, Value, json};

use super::responses::{self, body, header, responses};
use super::subject::{LEASES, Subject, has_queues, queues};
use super::{admin, cache, counters, listing, messages, operations, parts, record, schemas, service};

/// The `OpenAPI` 3.1 document of the routes over documents of this model.
#[must_use]
pub fn document(layout: &Layout) -> Value {
    let subjects = Subject::all(layout);
    let mut paths = Map::new();
    for subject in &subjects {
        of_collection(subject, &mut paths);
    }
    paths.insert("/v1:batch".to_owned(), batch(&subjects));
    counters::take(layout.model(), &mut paths);
    service::operations(&subjects, &mut paths);
    paths.extend(cache::paths());
    paths.extend(admin::paths());
    heads(&mut paths);
    let tags = subjects.iter().map(|subject| json!({"name": subject.name()}));
    let tags: Vec<Value> = tags.chain([admin::tag()]).collect();
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
        // without keys the server is open to its own machine
        "security": [{}, {"bearer": []}],
        "components": {
            "securitySchemes": {"bearer": {
                "type": "http", "scheme": "bearer",
                "description": "A key that `repot key create` made.",
            }, admin::TAG: admin::security_scheme()},
            "schemas": components(&subjects),
            "parameters": responses::headers(&queues(layout)),
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
    messages::operations(subject, paths);
    record::operations(subject, paths);
    counters::spend(subject, paths);
}

/// Where something is read, its head can be read alone.
fn heads(paths: &mut Map<String, Value>) {
    for item in paths.values_mut().filter_map(Value::as_object_mut) {
        let Some(mut head) = item.get("get").cloned() else { continue };
        head["operationId"] = json!(format!("head_{}", head["operationId"].as_str().unwrap_or_default()));
        head["summary"] = json!(format!("{}; without a body", head["summary"].as_str().unwrap_or_default()));
        if let Some(responses) = head["responses"].as_object_mut() {
            responses.remove("101");
            responses.values_mut().for_each(responses::without_body);
        }
        item.insert("head".to_owned(), head);
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
    // `/admin/audit` has it, whatever is on record
    found.insert(record::ENTRY.to_owned(), record::entry());
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
    let mut parameters = vec![header("IdempotencyKey")];
    if subjects.iter().any(Subject::is_tenants) {
        parameters.push(header("MayTenant"));
    }
    if subjects.first().is_some_and(|subject| has_queues(subject.layout)) {
        parameters.extend(LEASES.map(header));
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
