//! What the routes are tested with.

/// A model with everything that makes a difference to statuses.
pub(crate) const MODEL: &str = r#"
[repot.limits]
calls = "5 per hour"

[notes]
file = "notes/{id}.json"
soft_delete = "30d"
unknown = "refuse"
[notes.fields]
id = "text key"
slug = "text unique"
size = "int = 1"
tags = "[text]?"

[lines]
in = "notes.lines[]"
[lines.fields]
id = "text key"
note_id = "-> notes cascade auto"
order = "position"
text = "text"

[marks]
file = "marks/{id}.json"
[marks.fields]
id = "text key"
note_id = "-> notes?"
kind = "text"

[strict]
file = "strict/{id}.json"
etag = "required"
[strict.fields]
id = "text key"
name = "text"

[own]
file = "{user_id}/own/{id}.json"
tenant = "user_id"
[own.fields]
id = "text key"
user_id = "text"
name = "text"

[pages]
file = "pages/{site}/{name}"
[pages.fields]
id = "uuid key auto"
site = "text(5)"
name = "text"
content = "body"

[events]
file = "events/{day}.jsonl"
[events.fields]
id = "text key"
day = "text"
n = "int"

[tasks]
file = "tasks/{id}.json"
queue = { lease = "60s", tries = 5 }
audit = "1y"
[tasks.fields]
id = "text key"
name = "text"

[usage]
file = "usage/{id}.json"
[usage.fields]
id = "text key"
name = "text"
used = "int = 0"
most = "int = 9"
day = "date = today"
[usage.quota]
daily = { used = "used", limit = "most", reset = "day" }
"#;

/// A document of each collection: the path that makes it, itself, and one that does not fit.
pub(super) const SAMPLES: &[(&str, &str, &str, &str)] = &[
    (
        "notes",
        "/v1/notes/n1",
        r#"{"id":"n1","slug":"a","tags":[],"lines":[{"id":"l1","text":"x"}]}"#,
        r#"{"id":"n1","slug":7}"#,
    ),
    (
        "marks",
        "/v1/marks/m1",
        r#"{"id":"m1","note_id":null,"kind":"a","more":1}"#,
        r#"{"id":"m1","note_id":7,"kind":"a"}"#,
    ),
    ("strict", "/v1/strict/s1", r#"{"id":"s1","name":"a","more":1}"#, r#"{"id":"s1","name":7}"#),
    (
        "own",
        "/v1/own/o1",
        r#"{"id":"o1","user_id":"u1","name":"a","more":1}"#,
        r#"{"id":"o1","user_id":"u2","name":"a"}"#,
    ),
    ("pages", "/v1/pages/@site=s&name=p", "some text", ""),
    (
        "events",
        "/v1/events/@day=d1&id=e1",
        r#"{"id":"e1","day":"d1","n":1,"more":1}"#,
        r#"{"id":"e1","day":"d1","n":"x"}"#,
    ),
    ("tasks", "/v1/tasks/t1", r#"{"id":"t1","name":"a","more":1}"#, r#"{"id":"t1","name":7}"#),
    ("usage", "/v1/usage/c1", r#"{"id":"c1","name":"a","more":1}"#, r#"{"id":"c1","name":7}"#),
];
