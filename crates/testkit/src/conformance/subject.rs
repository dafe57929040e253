//! What is tested, and with which model.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use repot_core::store::{DocumentKey, Layout, Store};
use repot_model::language::{Model, parse};
use repot_model::plan::Plan;

/// Bytes of the largest document of the suite's stores.
pub const DOCUMENT_BYTES_MAX: u64 = 6 << 20;

const MODEL: &str = r#"
[repot]
source = "./data"

[notes]
file = "notes/{id}.json"

[notes.fields]
id    = "text key"
title = "text(20)?"
count = "int?"

[marks]
in = "notes.marks[]"

[marks.fields]
id      = "int key auto"
note_id = "-> notes cascade auto"
order   = "position"
word    = "text"

[chats]
file   = "chats/{user_id}/{id}.json"
tenant = "user_id"

[chats.fields]
id      = "text key"
user_id = "text"
title   = "text?"

[pairs]
file = "pairs/{first}-{second}/pair.json"

[pairs.fields]
first  = "text key"
second = "text key"

[pages]
file = "pages/{name}.md"

[pages.fields]
name = "text key"
body = "body"

[events]
file = "events/{day}.jsonl"

[events.fields]
id    = "text key"
day   = "text"
count = "int?"

[cards]
file = "boards/{board_id}.json"
in   = "cards[]"

[cards.fields]
board_id = "text key"
id       = "text key"
order    = "position"
title    = "text(20)?"
count    = "int?"

[settings]
file = "settings.json"
in   = "settings{name}"

[settings.fields]
name  = "text key"
count = "int?"

[setting_tags]
in = "settings.tags[]"

[setting_tags.fields]
id      = "int key auto"
setting = "-> settings cascade auto"
tag     = "text from ."

[entries]
file   = "journals/{user_id}.jsonl"
tenant = "user_id"

[entries.fields]
id      = "text key"
user_id = "text"
count   = "int?"

[points]
file = "points/{day}.jsonl"

[points.fields]
id  = "int key auto"
day = "text"

[sessions]
file   = ["sessions/{sender_id}/metadata.json", "sessions/{sender_id}/{session_type=changes}/metadata.json"]
unique = ["sender_id, session_type"]

[sessions.fields]
id           = "uuid key auto"
sender_id    = "text"
session_type = "upload | changes = upload"
count        = "int?"

[shelves]
file = "shelves/{room}/{slot}.json"

[shelves.fields]
id    = "int key"
room  = "text"
slot  = "text"
count = "int?"

[drawers]
file   = "drawers/{user_id}/{slot}.json"
tenant = "user_id"

[drawers.fields]
id      = "int key"
user_id = "text"
slot    = "text"

[quotas]
file   = "quotas/{user_id}.json"
tenant = "user_id"

[quotas.fields]
id      = "int key auto"
user_id = "text unique"
used    = "int = 0"

[jobs]
file = "jobs/{id}.json"

[jobs.fields]
id         = "text key"
status     = "queued | running | paused | completed | failed | cancelled = queued"
priority   = "int = 5"
created_at = "time = now"
updated_at = "time = now on write"

[jobs.transitions.status]
queued    = ["running", "cancelled"]
running   = ["completed", "failed", "paused"]
failed    = ["queued", "cancelled"]
paused    = ["running", "cancelled"]
completed = []
cancelled = []

[steps]
in = "jobs.steps[]"

[steps.fields]
id     = "text key"
job_id = "-> jobs cascade auto"
order  = "position"
state  = "open | done = open"

[steps.transitions.state]
open = ["done"]
done = []

[ledgers]
file    = "ledgers/{id}.json"
etag    = "required"
unknown = "refuse"

[ledgers.fields]
id    = "text key"
total = "int"
name  = "text(5)?"
kind  = "in | out | null"
"#;

/// A store under test, over [`layout`], empty at the beginning.
pub struct Subject {
    /// The store.
    pub store: Arc<dyn Store>,
    /// What must live as long as the store: folders, servers.
    pub keep: Box<dyn Any + Send>,
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.store)
    }
}

/// The suite's model, its plan, and the text of both.
///
/// # Panics
/// When the suite's own model is wrong.
#[must_use]
pub fn model() -> (Arc<Model>, Arc<Plan>, &'static str) {
    let model = parse(MODEL, "repot.toml", &|_| None).expect("the suite's model is right");
    let plan = Plan::compile(&model).expect("the suite's model compiles");
    (Arc::new(model), Arc::new(plan), MODEL)
}

/// The places of the suite's model.
///
/// # Panics
/// When the suite's own model is wrong.
#[must_use]
pub fn layout() -> Layout {
    let (model, plan, _) = model();
    Layout::new(model, plan, repot_json::Limits::default()).expect("its places are apart")
}

/// Runs `work` on a runtime of its own.
pub(crate) fn drive<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(work)
}

/// Runs one promise on a runtime of its own, after probing the store; without a subject (its server is missing, and that was printed) nothing.
///
/// # Panics
/// When the promise is broken.
pub fn run<F: Future<Output = ()>>(subject: Option<Subject>, promise: fn(Subject) -> F) {
    let Some(subject) = subject else { return };
    drive(async {
        subject.store.probe().await.expect("the store can be reached");
        promise(subject).await;
    });
}

/// The note with this key.
pub(super) fn note(id: &str) -> DocumentKey {
    DocumentKey::new("notes", id)
}

/// A text of the note with this key.
pub(super) fn body(id: &str, title: &str) -> Vec<u8> {
    format!("{{\"id\": {}, \"title\": {}}}", repot_json::edit::quote(id), repot_json::edit::quote(title))
        .into_bytes()
}
