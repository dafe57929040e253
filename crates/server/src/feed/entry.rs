//! A change, and the message that tells it.

use std::sync::Arc;

use repot_core::Result;
use repot_core::change_log::ChangeKind;
use repot_core::store::{ChangeEntry, DocumentKey};
use repot_model::language::Format;
use repot_model::plan::time::utc_text;
use serde_json::json;
use tokio::sync::Mutex;

use super::wanted::Wanted;
use crate::address::path_of;
use crate::app::App;
use crate::problem::is_passing;

/// A change, shared by those who listen.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Its position.
    pub seq: u64,
    /// Which document, with its tenant.
    pub key: DocumentKey,
    /// What happened.
    pub kind: ChangeKind,
    at_ms: i64,
    /// Held by who reads the document, so that those who tell it at the same time share one read.
    reading: Mutex<()>,
}

impl From<ChangeEntry> for Entry {
    fn from(found: ChangeEntry) -> Self {
        let ChangeEntry { position, key, kind, at_ms, path: _ } = found;
        Self { seq: position.number(), key, kind, at_ms, reading: Mutex::default() }
    }
}

/// The message of a change: one line of JSON. Documents of collections with `watch` stand in it as they are by now.
///
/// # Errors
/// As [`repot_core::store::Store::get`].
pub(crate) async fn text_of(app: &App, wanted: &Wanted, entry: &Entry) -> Result<String> {
    let key = wanted.key(&entry.key);
    let is_collection = entry.kind == ChangeKind::Collection;
    let (path, kind) = match entry.kind {
        ChangeKind::Deleted => (path_of(&key), "deleted"),
        ChangeKind::Collection => (format!("/v1/{}", key.collection()), "collection"),
        ChangeKind::Put | ChangeKind::Sql => (path_of(&key), "put"),
    };
    let at = utc_text(entry.at_ms);
    let (collection, text) = (json!(key.collection()), json!(key.text()));
    let mut message = format!(
        r#"{{"seq":{},"collection":{collection},"key":{text},"path":{},"kind":"{kind}","at":"{at}""#,
        entry.seq,
        json!(path)
    );
    if !is_collection && entry.kind != ChangeKind::Deleted && is_watched(app, key.collection()) {
        message.push_str(&document(app, entry, &key).await?);
    }
    message.push('}');
    Ok(message)
}

fn is_watched(app: &App, collection: &str) -> bool {
    app.layout().model().collection(collection).is_some_and(|found| found.watch)
}

/// `,"etag":...,"document":...` of the document as it is now, or was when somebody else told this change; `null` when it went
/// since.
async fn document(app: &App, entry: &Entry, key: &DocumentKey) -> Result<Arc<str>> {
    if let Some(known) = app.feed().document(entry.seq) {
        return Ok(known);
    }
    let _one_reads = entry.reading.lock().await;
    if let Some(known) = app.feed().document(entry.seq) {
        return Ok(known);
    }
    let text: Arc<str> = match app.store().get(key).await {
        Err(error) if is_passing(&error) => return Err(error),
        // who reads it is told why that fails; the change is told all the same
        Err(_broken) => "".into(),
        Ok(None) => r#","document":null"#.into(),
        Ok(Some(found)) => {
            let etag = json!(found.etag.as_str());
            let shape = app.shape(key.collection());
            let is_json = shape.is_some_and(|shape| matches!(shape.format, Format::Json | Format::JsonLines));
            match std::str::from_utf8(&found.body).ok().filter(|_| is_json) {
                Some(body) => format!(r#","etag":{etag},"document":{}"#, one_line(body)).into(),
                None => format!(r#","etag":{etag}"#).into(),
            }
        }
    };
    app.feed().keep_document(entry.seq, &text);
    Ok(text)
}

/// A JSON text on one line: a line break can only be white space in it.
fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}
