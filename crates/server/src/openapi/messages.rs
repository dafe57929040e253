//! Operations on documents that are messages.

use serde_json::{Map, Value, json};

use super::bodies::{instant, length, list, object, sent};
use super::operations::headers;
use super::responses::{body, empty, responses};
use super::subject::{Door, Subject};

/// What is done with messages of a collection, and with one of them.
pub(super) fn operations(subject: &Subject<'_>, paths: &mut Map<String, Value>) {
    if subject.collection.queue.is_none() {
        return;
    }
    for (verb, operation) in of_collection(subject) {
        paths.insert(format!("/v1/{}:{verb}", subject.name()), json!({"post": operation}));
    }
    for door in subject.doors() {
        for (verb, operation) in of_document(subject, &door) {
            let item = json!({"parameters": door.parameters, "post": operation});
            paths.insert(format!("{}:{verb}", door.path), item);
        }
    }
}

/// What it is called, what it does, what is sent, what is answered, and its errors.
type Told<'t> = (String, &'t str, Value, (u16, Value), &'t [u16]);

fn operation(subject: &Subject<'_>, (id, about, sent, done, more): Told<'_>) -> Value {
    let mut problems: Vec<u16> = [408, 413].iter().chain(more).copied().collect();
    let is_read = ["stats_", "dead_"].iter().any(|verb| id.starts_with(verb));
    let key: &[&str] = if is_read { &[] } else { &["IdempotencyKey"] };
    if !is_read {
        problems.extend([409, 422]);
    }
    json!({
        "operationId": id,
        "tags": [subject.name()],
        "summary": about,
        "parameters": headers(subject, key),
        "requestBody": sent,
        "responses": responses(&[done], &problems),
    })
}

fn json_body(about: &str, schema: &Value) -> (u16, Value) {
    (200, body(about, "application/json", schema))
}

fn of_collection(subject: &Subject<'_>) -> Vec<(&'static str, Value)> {
    let name = subject.name();
    let number = || json!({"type": "integer", "minimum": 0});
    let text = || json!({"type": "string"});
    let message = object(&[
        ("path", text()),
        ("etag", text()),
        ("lease", text()),
        ("tries", number()),
        ("lease_until", instant()),
        ("document?", json!({"description": "The document, where it is JSON."})),
    ]);
    let claim = object(&[
        ("count?", json!({"type": "integer", "minimum": 1, "maximum": 1000})),
        ("lease?", length("How long the messages are held; else what the model says.")),
        ("wait?", length("Waits for messages as long, at most a minute.")),
        ("worker?", text()),
    ]);
    let dead = object(&[("path", text()), ("tries", number()), ("reason", text()), ("since", instant())]);
    let next = json!({"type": ["string", "null"]});
    let stats = ["ready", "leased", "delayed", "done", "dead"].map(|name| (name, number()));
    let oldest = ("oldest_ready_ms", json!({"type": ["integer", "null"]}));
    let stats: Vec<(&str, Value)> = stats.into_iter().chain([oldest]).collect();
    let nothing = || sent(&object(&[]), false);
    let claimed = object(&[("items", list(&message))]);
    let given_up = object(&[("items", list(&dead)), ("next", next)]);
    let after =
        sent(&object(&[("after?", json!({"type": "string", "description": "`next` of a page."}))]), false);
    let of = |verb: &'static str, about, sent, done| {
        (verb, operation(subject, (format!("{verb}_{name}"), about, sent, done, &[])))
    };
    vec![
        of(
            "claim",
            "Takes messages that are ready",
            sent(&claim, false),
            json_body("They are held.", &claimed),
        ),
        of(
            "stats",
            "How many messages are in which state",
            nothing(),
            json_body("The numbers.", &object(&stats)),
        ),
        of("dead", "Messages that were given up", after, json_body("A page.", &given_up)),
        of("revive", "All that were given up are ready again", nothing(), json_body("How many.", &revived())),
    ]
}

fn revived() -> Value {
    object(&[("revived", json!({"type": "integer", "minimum": 0}))])
}

fn of_document(subject: &Subject<'_>, door: &Door) -> Vec<(&'static str, Value)> {
    let id = |verb: &str| format!("{verb}_{}{}", subject.name(), door.suffix);
    let lease = || ("lease", json!({"type": "string", "description": "What the claim gave."}));
    let reason = || ("reason?", json!({"type": "string"}));
    let done = || (204, empty("It is so."));
    let until = object(&[("lease_until", instant())]);
    let with = |fields: &[(&str, Value)]| sent(&object(fields), true);
    let delete = ("delete?", json!({"type": "boolean", "description": "Deletes the document with it."}));
    let longer = [lease(), ("for?", length("From now; else what the model says."))];
    let later = [lease(), ("delay?", length("Not before.")), reason()];
    let of = |verb: &'static str, about, sent, done, more| {
        (verb, operation(subject, (id(verb), about, sent, done, more)))
    };
    vec![
        of("ack", "The message is done", with(&[lease(), delete]), done(), &[]),
        of("retry", "The message is ready again, later", with(&later), done(), &[]),
        of("extend", "The message is held longer", with(&longer), json_body("Until when.", &until), &[]),
        of("fail", "The message is given up", with(&[lease(), reason()]), done(), &[]),
        of(
            "revive_one",
            "It is ready again if it was given up",
            sent(&object(&[]), false),
            json_body("How many.", &revived()),
            &[404],
        ),
    ]
    .into_iter()
    .map(|(verb, operation)| (if verb == "revive_one" { "revive" } else { verb }, operation))
    .collect()
}
