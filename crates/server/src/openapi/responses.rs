//! Answers of operations, and headers of requests.

use serde_json::{Map, Value, json};

use super::schemas;

/// Statuses of errors, and what they say.
const PROBLEMS: &[(u16, &str)] = &[
    (400, "A parameter, header or path is none that the API has, or the tenant is missing."),
    (401, "A key is missing, or cannot be used."),
    (403, "The key may not do it, or the store does not allow it."),
    (404, "It is not there."),
    (408, "The body took too long to arrive."),
    (
        409,
        "It conflicts with what is there: not unique, refers to nothing, is referred to, or a state may not follow.",
    ),
    (410, "It was deleted, and can be had back."),
    (412, "It is not in the state that was asked for; `ETag` says which state is there."),
    (413, "It is too large."),
    (415, "The body is no patch of a known type."),
    (422, "It does not fit the model."),
    (428, "The collection demands a condition (`If-Match` or `If-None-Match`)."),
    (429, "So much is not left; it will be after `Retry-After` seconds."),
    (500, "Something is wrong with the store or the server."),
    (501, "This store cannot do it."),
    (503, "The store is away or too busy; it may work after `Retry-After` seconds."),
];

/// Errors that every operation can end with.
const ALWAYS: [u16; 6] = [400, 401, 403, 500, 501, 503];

/// All errors, as components.
pub(super) fn components() -> Value {
    let problem = |(status, about): &(u16, &str)| (format!("Problem{status}"), one(*status, about));
    Value::Object(PROBLEMS.iter().map(problem).collect())
}

fn one(status: u16, about: &str) -> Value {
    let mut response = json!({
        "description": about,
        "content": {"application/problem+json": {"schema": schemas::reference("Problem")}}
    });
    if let Some(headers) = match status {
        503 => Some(json!({"Retry-After": {"required": true, "schema": {"type": "integer", "minimum": 0}}})),
        401 => Some(json!({"WWW-Authenticate": {"required": true, "schema": {"type": "string"}}})),
        412 => Some(json!({"ETag": {"schema": {"type": "string"}}})),
        410 => Some(json!({"Link": {"required": true, "schema": {"type": "string"}}})),
        _ => None,
    } {
        response["headers"] = headers;
    }
    response
}

/// The answers of an operation: what it gives when all is well, and its errors beside those that each has.
pub(super) fn responses(done: &[(u16, Value)], problems: &[u16]) -> Value {
    let mut statuses: Vec<u16> = problems.iter().chain(&ALWAYS).copied().collect();
    statuses.sort_unstable();
    statuses.dedup();
    let done = done.iter().map(|(status, response)| (status.to_string(), response.clone()));
    let failed = statuses.into_iter().map(|status| {
        (status.to_string(), json!({"$ref": format!("#/components/responses/Problem{status}")}))
    });
    Value::Object(done.chain(failed).collect::<Map<_, _>>())
}

/// An answer with a body of this type.
pub(super) fn body(about: &str, media: &str, schema: &Value) -> Value {
    json!({"description": about, "content": {media: {"schema": schema}}})
}

/// With the state of the document.
pub(super) fn with_etag(response: Value) -> Value {
    with_header(response, ("ETag", "The state of the document."), true)
}

/// With its state, and with when it was written last.
pub(super) fn with_state(response: Value) -> Value {
    let about = "When the document was written last; missing where that is not known.";
    with_header(with_etag(response), ("Last-Modified", about), false)
}

/// With the path of the document.
pub(super) fn with_location(response: Value) -> Value {
    with_header(response, ("Location", "The path of the document."), true)
}

fn with_header(mut response: Value, (name, about): (&str, &str), required: bool) -> Value {
    if !response["headers"].is_object() {
        response["headers"] = json!({});
    }
    response["headers"][name] =
        json!({"required": required, "description": about, "schema": {"type": "string"}});
    response
}

/// The same answer to `HEAD`.
pub(super) fn without_body(response: &mut Value) {
    let problem = response["$ref"].as_str().and_then(|name| name.rsplit_once("Problem")?.1.parse().ok());
    if let Some((status, about)) = PROBLEMS.iter().find(|(status, _)| problem == Some(*status)) {
        *response = one(*status, about);
    }
    if let Some(response) = response.as_object_mut() {
        response.remove("content");
        response.remove("links");
    }
}

/// No body.
pub(super) fn empty(about: &str) -> Value {
    json!({"description": about})
}

/// Headers that operations take, as components; those of leases where there are queues.
pub(super) fn headers(queues: &[&str]) -> Value {
    const TAGS: &str = r#"^(\*|(W/)?"[!#-~]*"([ ]*,[ ]*(W/)?"[!#-~]*")*)$"#;
    let header = |name: &str, about: &str, schema: Value| json!({"name": name, "in": "header", "description": about, "schema": schema});
    let mut tenant = header(
        "Repot-Tenant",
        "Whose documents they are.",
        json!({"type": "string", "pattern": r"^[!-~]([\t -~]*[!-~])?$"}),
    );
    let may_tenant = tenant.clone();
    tenant["required"] = json!(true);
    let lease = || json!({"type": "string", "pattern": format!(r"^({})\.[0-9]{{1,18}}\.[0-9]{{1,18}}$", queues.join("|"))});
    let mut found = json!({
        "MayTenant": may_tenant,
        "IfMatch": header(
            "If-Match",
            "Only if the document is in one of these states (`ETag`s), or with `*` in any.",
            json!({"type": "string", "pattern": TAGS, "examples": ["\"0\""]}),
        ),
        "IfNoneMatch": header(
            "If-None-Match",
            "Only if the document is in none of these states, or with `*` not there.",
            json!({"type": "string", "pattern": TAGS, "examples": ["\"0\""]}),
        ),
        "Prefer": header(
            "Prefer",
            "`return=minimal`: without the document in the answer.",
            json!({"type": "string", "examples": ["return=minimal"]}),
        ),
        "IdempotencyKey": header(
            "Idempotency-Key",
            "The request is done once, however often it is sent with this key: then the first answer comes again, with `Idempotent-Replayed: true`. Another request with the same key is 422, one that is worked on 409.",
            json!({"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]([ -~]*[!-~])?$"}),
        ),
        "RepotTenant": tenant,
    });
    if !queues.is_empty() {
        found["RepotLease"] =
            header("Repot-Lease", "The `lease` of a claim: only while the message is held by it.", lease());
        found["RepotAck"] = header(
            "Repot-Ack",
            "The `lease` of a claim: the message is done in the very transaction of the write, or neither is.",
            lease(),
        );
    }
    found
}

/// References to headers of this name.
pub(super) fn header(name: &str) -> Value {
    json!({"$ref": format!("#/components/parameters/{name}")})
}
