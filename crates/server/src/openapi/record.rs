//! Operations on the record of changes.

use repot_core::store::PAGE_ITEMS_MAX;
use serde_json::{Map, Value, json};

use super::bodies::{instant, list, object, sent};
use super::listing::query;
use super::operations::{demanded, document, headers};
use super::responses::{body, empty, responses};
use super::schemas::reference;
use super::subject::Subject;

/// The name of the schema of an entry.
pub(super) const ENTRY: &str = "HistoryEntry";

/// The history of a collection and of each document, and how a write is taken back.
pub(super) fn operations(subject: &Subject<'_>, paths: &mut Map<String, Value>) {
    if subject.collection.audit.is_none() {
        return;
    }
    let name = subject.name();
    paths.insert(
        format!("/v1/{name}:history"),
        json!({"post": history(subject, &format!("history_of_{name}"), &[])}),
    );
    for door in subject.doors() {
        let id = |verb: &str| format!("{verb}_{name}{}", door.suffix);
        let post = history(subject, &id("history"), &[404]);
        paths.insert(format!("{}:history", door.path), json!({"parameters": door.parameters, "post": post}));
        let post = revert(subject, &id("revert"));
        paths.insert(format!("{}:revert", door.path), json!({"parameters": door.parameters, "post": post}));
    }
}

/// Which moment of a document is read.
pub(super) fn at() -> Value {
    let pattern = format!("^([1-9][0-9]{{0,8}}|{MOMENT})$");
    query(
        "at",
        "As it was: the number of a version, or a time.",
        json!({"type": "string", "pattern": pattern}),
    )
}

/// A day or an instant, as a pattern.
pub(super) const MOMENT: &str =
    "[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])(T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z)?";

fn history(subject: &Subject<'_>, id: &str, problems: &[u16]) -> Value {
    let moment = || json!({"type": "string", "pattern": format!("^{MOMENT}$")});
    let entry = || json!({"type": "integer", "minimum": 0, "maximum": i64::MAX});
    let limit = json!({"type": "integer", "minimum": 1, "maximum": PAGE_ITEMS_MAX});
    let pointer = json!({"type": "string", "pattern": "^(/([^~]|~[01])*)?$"});
    let mut parameters = vec![
        query("actor", "Only what they did.", json!({"type": "string"})),
        query("place", "A JSON Pointer: what changed there, inside, or around it.", pointer),
        query("from", "From this time on.", moment()),
        query("until", "Before this time.", moment()),
        query("before", "Goes on behind a page: its `next`.", entry()),
        query("limit", "Entries of the page at most.", limit),
    ];
    parameters.extend(headers(subject, &[]));
    let page = object(&[("items", list(&reference(ENTRY))), ("next?", json!({"type": "integer"}))]);
    json!({
        "operationId": id,
        "tags": [subject.name()],
        "summary": "Who changed what, the newest first",
        "parameters": parameters,
        "responses": responses(&[(200, body("A page.", "application/json", &page))], problems),
    })
}

fn revert(subject: &Subject<'_>, id: &str) -> Value {
    let entry = json!({"type": "integer", "minimum": i64::MIN, "maximum": i64::MAX, "description": "The `id` of an entry."});
    let mut problems = vec![404, 408, 409, 412, 413, 422];
    problems.extend(demanded(subject));
    let gone = empty("The entry had made the document, and it is gone.");
    json!({
        "operationId": id,
        "tags": [subject.name()],
        "summary": "One write is taken back, as a new write",
        "parameters": headers(subject, &["IfMatch", "IfNoneMatch", "IdempotencyKey"]),
        "requestBody": sent(&object(&[("entry", entry)]), true),
        "responses": responses(&[(200, document(subject, "It is this now.")), (204, gone)], &problems),
    })
}

/// An entry of the record.
pub(super) fn entry() -> Value {
    let text = || json!({"type": ["string", "null"]});
    let change = object(&[
        ("at", json!({"type": "string", "description": "A JSON Pointer."})),
        ("old?", json!({})),
        ("new?", json!({})),
    ]);
    json!({
        "type": "object",
        "properties": {
            "id": {"type": "integer"},
            "at": instant(),
            "actor": text(),
            "path": text(),
            "event": {"type": "string", "enum": ["put", "deleted", "restored", "purged", "row", "state"]},
            "version": {"type": "integer"},
            "before": text(),
            "etag": {"type": "string"},
            "changes": list(&change),
            "table": {"type": "string"},
            "was": {},
            "became": {},
        },
        "required": ["id", "at", "actor", "path", "event"],
    })
}
