//! Operations on whole documents.

use serde_json::{Value, json};

use super::responses::{body, empty, header, responses, with_etag, with_location, with_state};
use super::subject::{Door, LEASES, Subject, has_queues};
use super::{record, schemas};
use crate::answer::media_type;

/// How documents of a collection travel.
fn media(subject: &Subject<'_>) -> &'static str {
    let format = subject.shape.as_ref().map(|shape| shape.format);
    format.map_or("application/json", |format| media_type(format).split(';').next().unwrap_or_default())
}

fn schema(subject: &Subject<'_>, name: &str) -> Value {
    match media(subject) {
        "application/json" => schemas::reference(name),
        "text/plain" => json!({"type": "string"}),
        _ => json!({"type": "string", "format": "binary"}),
    }
}

pub(super) fn document(subject: &Subject<'_>, about: &str) -> Value {
    with_state(body(about, media(subject), &schema(subject, subject.name())))
}

fn made(subject: &Subject<'_>) -> Value {
    let mut response = with_location(document(subject, "It is there now."));
    let doors = subject.doors();
    if let Some(door) =
        doors.first().filter(|door| !door.is_closed && subject.is_json() && door.parameters.len() == 1)
    {
        let name = &door.parameters[0]["name"];
        let key =
            subject.shape.as_ref().and_then(|shape| shape.key.first()).map(|column| column.path.join("/"));
        if let (Some(name), Some(key)) = (name.as_str(), key.filter(|key| !key.is_empty())) {
            let parameters = json!({format!("path.{name}"): format!("$response.body#/{key}")});
            let link = |verb: &str| json!({"operationId": format!("{verb}_{}", subject.name()), "parameters": parameters});
            response["links"] = json!({"get": link("get"), "patch": link("patch"), "delete": link("delete")});
        }
    }
    response
}

fn sent(subject: &Subject<'_>, name: &str) -> Value {
    json!({"required": true, "content": {media(subject): {"schema": schema(subject, name)}}})
}

/// The headers of an operation.
pub(super) fn headers(subject: &Subject<'_>, names: &[&str]) -> Vec<Value> {
    let tenant = subject.is_tenants().then_some("RepotTenant");
    tenant.iter().chain(names).map(|name| header(name)).collect()
}

/// The headers of an operation that writes documents: it can be done under a message, where the model has such.
pub(super) fn writing(subject: &Subject<'_>, names: &[&str]) -> Vec<Value> {
    let leases = LEASES.into_iter().filter(|_| has_queues(subject.layout));
    let names: Vec<&str> = names.iter().copied().chain(leases).collect();
    headers(subject, &names)
}

/// 428, where the collection demands conditions.
pub(super) fn demanded(subject: &Subject<'_>) -> Option<u16> {
    subject.collection.etag_required.then_some(428)
}

/// `POST /v1/{c}`
pub(super) fn create(subject: &Subject<'_>) -> Value {
    let name = subject.name();
    let mut parameters = writing(subject, &["Prefer", "IdempotencyKey"]);
    if !subject.is_json() {
        let required = subject.name_fields();
        for field in subject.place_names() {
            let schema = subject.name_schema(field).unwrap_or_default();
            let is_tenant =
                subject.shape.as_ref().is_some_and(|shape| shape.tenant.as_deref() == Some(field));
            if !is_tenant {
                parameters.push(json!({
                    "name": field, "in": "query", "required": required.contains(&field), "schema": schema,
                }));
            }
        }
    }
    let minimal = with_location(with_etag(empty("It is there now; `Prefer: return=minimal`.")));
    let new = if subject.is_json() && !subject.is_body() { format!("{name}.new") } else { name.to_owned() };
    json!({
        "operationId": format!("create_{name}"),
        "tags": [name],
        "summary": format!("A new document of {name}"),
        "parameters": parameters,
        "requestBody": sent(subject, &new),
        "responses": responses(&[(201, made(subject)), (204, minimal)], &[408, 409, 413, 422]),
    })
}

/// Operations on the document that a door leads to.
pub(super) fn of_document(subject: &Subject<'_>, door: &Door) -> Value {
    let name = subject.name();
    let id = |verb: &str| format!("{verb}_{name}{}", door.suffix);
    let gone = subject.collection.soft_delete.is_some().then_some(410);
    let mut get = vec![404, 412];
    get.extend(gone);
    let mut parameters = headers(subject, &["IfMatch", "IfNoneMatch"]);
    if subject.collection.audit.is_some() {
        parameters.push(record::at());
    }
    let mut found = document(subject, "The document.");
    if subject.collection.audit.is_some() {
        // nothing can be written on what it was
        found["headers"]["ETag"]["required"] = json!(false);
    }
    let not_modified = with_state(empty("It is in the state of `If-None-Match`."));
    let mut item = json!({
        "parameters": door.parameters,
        "get": {
            "operationId": id("get"),
            "tags": [name],
            "summary": "The document",
            "parameters": parameters,
            "responses": responses(&[(200, found), (304, not_modified)], &get),
        },
        "put": put(subject, door, &id("put")),
    });
    if subject.is_json() {
        item["patch"] = patch(subject, &id("patch"));
    }
    let mut problems = vec![404, 412];
    problems.extend((subject.can_be_held() || has_queues(subject.layout)).then_some(409));
    problems.extend(demanded(subject));
    item["delete"] = json!({
        "operationId": id("delete"),
        "tags": [name],
        "summary": "The document is gone",
        "parameters": writing(subject, &["IfMatch", "IfNoneMatch"]),
        "responses": responses(&[(204, empty("It is gone."))], &problems),
    });
    item
}

fn put(subject: &Subject<'_>, door: &Door, id: &str) -> Value {
    let mut problems = vec![404, 408, 409, 412, 413];
    // what is no JSON fits as it is, but its place may not
    problems.extend((subject.is_json() || !door.is_closed).then_some(422));
    problems.extend(demanded(subject));
    let minimal = with_etag(empty("It is so now; `Prefer: return=minimal`."));
    let mut done = vec![(200, document(subject, "It was there, and is this now."))];
    if !door.is_closed {
        done.push((201, with_location(document(subject, "It is there now."))));
    }
    done.push((204, minimal));
    json!({
        "operationId": id,
        "tags": [subject.name()],
        "summary": "The document is this from now on",
        "parameters": writing(subject, &["IfMatch", "IfNoneMatch", "Prefer"]),
        "requestBody": sent(subject, subject.name()),
        "responses": responses(&done, &problems),
    })
}

fn patch(subject: &Subject<'_>, id: &str) -> Value {
    let mut problems = vec![404, 408, 409, 412, 413, 415, 422];
    problems.extend(demanded(subject));
    let minimal = with_etag(empty("It is changed; `Prefer: return=minimal`."));
    json!({
        "operationId": id,
        "tags": [subject.name()],
        "summary": "Parts of the document are changed",
        "parameters": writing(subject, &["IfMatch", "IfNoneMatch", "Prefer", "IdempotencyKey"]),
        "requestBody": {"required": true, "content": {
            "application/merge-patch+json": {"schema": schemas::reference("MergePatch")},
            "application/json-patch+json": {"schema": schemas::reference("JsonPatch")},
        }},
        "responses": responses(&[(200, document(subject, "It is changed.")), (204, minimal)], &problems),
    })
}

/// `POST ...:restore`
pub(super) fn restore(subject: &Subject<'_>, door: &Door) -> Value {
    let back = json!({
        "type": "object",
        "properties": {"restored": {"type": "array", "items": {"type": "string"}}},
        "required": ["restored"]
    });
    json!({
        "parameters": door.parameters,
        "post": {
            "operationId": format!("restore_{}{}", subject.name(), door.suffix),
            "tags": [subject.name()],
            "summary": "A deleted document comes back, and what went with it",
            "parameters": headers(subject, &["IdempotencyKey"]),
            // with a key its body counts, though there is none to send
            "responses": responses(&[(200, body("The paths of what came back.", "application/json", &back))], &[404, 408, 409, 413, 422]),
        }
    })
}
