//! Operations on parts of documents. A way of several steps is one path with several segments, which `OpenAPI` cannot say:
//! the document has its first step, and the lists that elements are appended to.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use repot_model::plan::{Outline, OutlineStep};
use serde_json::{Value, json};

use super::operations::{demanded, headers, writing};
use super::responses::{body, empty, responses, with_etag, with_location, with_state};
use super::schemas::{LOOSE, element_name, reference};
use super::subject::{Door, Subject};

const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What a path leads to: how operations on it are called, and what it is.
struct Target {
    path: String,
    parameters: Vec<Value>,
    id: String,
    about: String,
    /// It is a list, which documents can do without.
    is_list: bool,
    value: Value,
    element: Value,
}

/// The path to any part, and what is done with it.
pub(super) fn any(subject: &Subject<'_>, door: &Door) -> (String, Value) {
    let mut parameters = door.parameters.clone();
    parameters.push(json!({
        "name": "part", "in": "path", "required": true,
        "description": "The name of an entry. More steps may follow as segments: names, keys of rows, `@3` for a place in a list.",
        "schema": {"type": "string", "minLength": 1},
    }));
    let value = json!({"description": "Any JSON value."});
    let target = Target {
        path: format!("{}/{{part}}", door.path),
        parameters,
        id: format!("{}_part{}", subject.name(), door.suffix),
        about: "a part of the document".to_owned(),
        is_list: false,
        element: value.clone(),
        value,
    };
    of_part(subject, target)
}

/// The lists of rows that stand in the document by names alone.
pub(super) fn lists(subject: &Subject<'_>, door: &Door) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    gather(&subject.plan().outline(subject.table), &mut Vec::new(), &mut found);
    found.into_iter().map(|(way, table)| list(subject, door, &way, table)).collect()
}

fn gather(outline: &Outline, way: &mut Vec<String>, found: &mut Vec<(Vec<String>, usize)>) {
    for rows in outline.rows.iter().filter(|rows| rows.way == [OutlineStep::Elements] && !way.is_empty()) {
        found.push((way.clone(), rows.table));
    }
    for entry in &outline.entries {
        way.push(entry.name.clone());
        gather(&entry.inner, way, found);
        way.pop();
    }
}

fn list(subject: &Subject<'_>, door: &Door, way: &[String], table: usize) -> (String, Value) {
    let encoded = |step: &String| utf8_percent_encode(step, KEPT).to_string();
    let element = reference(&element_name(subject.plan(), table));
    let target = Target {
        path: format!("{}/{}", door.path, way.iter().map(encoded).collect::<Vec<_>>().join("/")),
        parameters: door.parameters.clone(),
        id: format!("{}_{}{}", subject.name(), way.join("_"), door.suffix),
        about: format!("the list `{}`", way.join("/")),
        is_list: true,
        value: json!({"type": "array", "items": element, LOOSE: true}),
        element,
    };
    of_part(subject, target)
}

fn of_part(subject: &Subject<'_>, target: Target) -> (String, Value) {
    let Target { path, parameters, id, about, is_list, value, element } = target;
    let sent =
        |schema: &Value, media: &str| json!({"required": true, "content": {media: {"schema": schema}}});
    let operation = |verb: &str, what: &str, responses: Value| {
        json!({
            "operationId": format!("{verb}_{id}"),
            "tags": [subject.name()],
            "summary": format!("{what} {about}"),
            "parameters": match verb {
                "get" => headers(subject, &["IfMatch", "IfNoneMatch"]),
                "patch" | "append" => writing(subject, &["IfMatch", "IfNoneMatch", "IdempotencyKey"]),
                _ => writing(subject, &["IfMatch", "IfNoneMatch"]),
            },
            "responses": responses,
        })
    };
    let problems = |more: &[u16]| {
        let mut all = vec![404, 409, 412];
        all.extend(more);
        all.extend(demanded(subject));
        all
    };
    let found = with_state(body("It, as it stands in the document.", "application/json", &value));
    let not_modified = with_state(empty("The document is in the state of `If-None-Match`."));
    let changed = |more: &[u16]| responses(&[(204, with_etag(empty("It is changed.")))], &problems(more));
    let appended = with_location(with_etag(empty("It is at the end of the list.")));
    let with = |mut operation: Value, body: Value| {
        operation["requestBody"] = body;
        operation
    };
    let merge = sent(&reference("MergePatch"), "application/merge-patch+json");
    let item = json!({
        "parameters": parameters,
        "get": operation("get", "Reads", responses(&[(200, found), (304, not_modified)], &[404, 412])),
        "put": with(operation("put", "Sets", changed(&[408, 413, 422])), sent(&value, "application/json")),
        "patch": with(operation("patch", "Merges into", changed(&[408, 413, 415, 422])), merge),
        "post": with(
            operation("append", "Appends an element, whatever else changes meanwhile, to", responses(&[(201, appended)], &problems(&[408, 413, 422]))),
            sent(&element, "application/json"),
        ),
        "delete": operation("delete", "Removes", changed(if is_list { &[] } else { &[422] })),
    });
    (path, item)
}
