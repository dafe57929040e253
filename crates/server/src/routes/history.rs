//! The record of changes over HTTP: `POST ...:history`, `GET ...?at=`, `POST ...:revert`.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use repot_core::store::{
    DocumentKey, EntryId, Event, FieldChange, History, HistoryEntry, HistoryPage, HistoryQuery, Moment,
    PAGE_ITEMS_MAX, Pointer, Written,
};
use repot_core::{Error, Kind};
use repot_model::plan::time::{parse_date, parse_time, utc_text};
use serde_json::{Map, Value, json};

use super::{Asked, documents, no_parameters};
use crate::address::path_of;
use crate::answer::{self, media_type};
use crate::app::App;
use crate::ask::pairs;
use crate::body;
use crate::conditions::Conditions;
use crate::problem::{Answered, Problem};

/// Entries of a page unless the request says how many.
const PAGE: usize = 50;
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// What is on record of a document, or of a collection; the newest first.
pub(super) async fn history(asked: &Asked<'_>, collection: &str, key: Option<DocumentKey>) -> Answered {
    if asked.app.shape(collection).is_none() {
        return Err(Problem::missing(&format!("a collection {collection} with documents")));
    }
    let query_of = HistoryQuery { key, ..HistoryQuery::of(asked.caller.scope(asked.app, collection)) };
    let (query, most) = query(query_of, &pairs(asked.head)?)?;
    let HistoryPage { entries, next } = record(asked.app)?.history(&query, most).await?;
    if let (true, Some(key)) = (entries.is_empty(), &query.key) {
        check_known(asked, collection, key).await?;
    }
    let items: Vec<String> = entries.iter().map(|entry| item(asked.app, collection, entry)).collect();
    let mut response = answer(&items, next);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// What the parameters ask of the record, and how many entries at the most.
///
/// # Errors
/// 400 for one that is none.
pub(super) fn query(mut query: HistoryQuery, given: &[(String, String)]) -> Answered<(HistoryQuery, usize)> {
    let mut most = PAGE;
    for (at, (name, value)) in given.iter().enumerate() {
        if given.iter().take(at).any(|(other, _)| other == name) {
            return Err(wrong(name, "is given twice"));
        }
        match name.as_str() {
            "actor" => query.actor = Some(value.clone()),
            "from" => query.from_ms = Some(time(name, value)?),
            "until" => query.until_ms = Some(time(name, value)?),
            "before" => query.before = Some(entry_id(name, value)?),
            "place" => {
                let place = Pointer::parse(value);
                query.place = Some(place.map_err(|_no_pointer| wrong(name, "is a JSON Pointer"))?);
            }
            "limit" => {
                let limit = value.parse().ok().filter(|limit| (1..=PAGE_ITEMS_MAX).contains(limit));
                let what = format!("is a whole number from 1 to {PAGE_ITEMS_MAX}");
                most = limit.ok_or_else(|| wrong(name, &what))?;
            }
            _ => return Err(wrong(name, "is none of actor, from, until, before, place and limit")),
        }
    }
    Ok((query, most))
}

/// A page of entries.
pub(super) fn answer(items: &[String], next: Option<EntryId>) -> Response {
    let next = next.map_or_else(String::new, |next| format!(",\"next\":{next}"));
    let mut response = answer::json(StatusCode::OK, &json!(null));
    *response.body_mut() = Body::from(format!("{{\"items\":[{}]{next}}}", items.join(",")));
    response
}

/// # Errors
/// 404 when the document is not there, and nothing of it is on record.
async fn check_known(asked: &Asked<'_>, collection: &str, key: &DocumentKey) -> Answered<()> {
    let any = HistoryQuery {
        key: Some(key.clone()),
        ..HistoryQuery::of(asked.caller.scope(asked.app, collection))
    };
    let is_on_record = !record(asked.app)?.history(&any, 1).await?.entries.is_empty();
    if is_on_record || asked.app.store().exists(key).await? {
        return Ok(());
    }
    Err(Problem::missing(key))
}

/// The record of changes.
///
/// # Errors
/// 501 where the store keeps none.
pub(super) fn record(app: &App) -> Answered<&dyn History> {
    let store = app.store();
    store.record().ok_or_else(|| {
        Error::new(Kind::Unsupported, "R0405", format!("{store} keeps no record of changes"))
            .hint("Keep the documents in a database.")
            .into()
    })
}

/// An entry as JSON. Values stand in it as the texts have them, so no number is changed.
pub(super) fn item(app: &App, collection: &str, entry: &HistoryEntry) -> String {
    let mut out = Map::new();
    out.insert("id".into(), json!(entry.id.0));
    out.insert("at".into(), json!(utc_text(entry.at_ms)));
    out.insert("actor".into(), json!(entry.actor));
    out.insert("path".into(), json!(entry.key.as_ref().map(path_of)));
    let mut changed = None;
    let mut put = |name: &str, value: Value| drop(out.insert(name.into(), value));
    match &entry.event {
        Event::Put { version, before, etag, changes } => {
            put("event", json!("put"));
            put("version", json!(version));
            put("before", json!(before.as_ref().map(|etag| etag.as_str())));
            put("etag", json!(etag.as_str()));
            changed = Some(changes);
        }
        Event::Deleted { before } => {
            put("event", json!("deleted"));
            put("before", json!(before.as_str()));
        }
        Event::Restored { version, etag } => {
            put("event", json!("restored"));
            put("version", json!(version));
            put("etag", json!(etag.as_str()));
        }
        Event::Purged => put("event", json!("purged")),
        Event::Row { table, was, became } => {
            put("event", json!("row"));
            put("table", json!(table));
            put("was", json!(was));
            put("became", json!(became));
        }
        Event::State { table, row, field, was, became, by_sql } => {
            put("event", json!("state"));
            put("table", json!(table));
            put("row", json!(row));
            put("field", json!(field));
            put("was", json!(was));
            put("became", json!(became));
            put("sql", json!(by_sql));
        }
    }
    let mut text = Value::Object(out).to_string();
    if let Some(changes) = changed {
        let shape = app.shape(collection);
        let is_json = shape.is_some_and(|shape| media_type(shape.format) == "application/json");
        let changes: Vec<String> = changes.iter().map(|change| difference(change, is_json)).collect();
        text.truncate(text.len().saturating_sub(1));
        text.push_str(&format!(",\"changes\":[{}]}}", changes.join(",")));
    }
    text
}

/// A value that changed; what was not or is no more there is left out.
fn difference(change: &FieldChange, is_json: bool) -> String {
    let value = |name: &str, text: &Option<Bytes>| match text {
        None => String::new(),
        Some(text) => {
            let text = String::from_utf8_lossy(text);
            format!(",\"{name}\":{}", if is_json { text.into_owned() } else { json!(text).to_string() })
        }
    };
    let at = json!(change.at.to_string());
    format!("{{\"at\":{at}{}{}}}", value("old", &change.old), value("new", &change.new))
}

/// The moment that a read asks for, if it does.
///
/// # Errors
/// 400 when it is none, and for other parameters.
pub(super) fn moment(asked: &Asked<'_>) -> Answered<Option<Moment>> {
    let given = pairs(asked.head)?;
    match given.as_slice() {
        [(name, value)] if name == "at" => {
            let is_version = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
            Ok(Some(if is_version {
                let version = value.parse().map_err(|_too_large| wrong(name, "is no version"))?;
                Moment::Version(version)
            } else {
                Moment::Time(time(name, value)?)
            }))
        }
        [] => Ok(None),
        _ => no_parameters(asked.head).map(|()| None),
    }
}

/// The text of a document as it was.
pub(super) async fn at(asked: &Asked<'_>, key: &DocumentKey, moment: Moment) -> Answered {
    let text = record(asked.app)?.text_at(key, moment).await?;
    let text = text.ok_or_else(|| Problem::missing(&format!("{key} at that moment")))?;
    let mut response = Response::new(Body::from(text));
    let media = HeaderValue::from_static(documents::media(asked, key));
    response.headers_mut().insert(header::CONTENT_TYPE, media);
    Ok(response)
}

/// Takes one write back: `{"entry": id}`.
pub(super) async fn revert(asked: &Asked<'_>, key: &DocumentKey, body: Body) -> Answered {
    let conditions = Conditions::of(&asked.head.headers)?;
    let body = body::read(body, asked.app.options()).await?;
    let entry = serde_json::from_slice(&body).ok().and_then(|body: Map<String, Value>| match body.len() {
        1 => body::whole(body.get("entry")?),
        _ => None,
    });
    let entry = entry.ok_or_else(|| {
        Problem::bad("the body names no entry", "Send {\"entry\": id} with the `id` that :history gave.")
    })?;
    let record = record(asked.app)?;
    let when = match conditions.direct() {
        Some(when) => when,
        None => {
            let there = asked.app.store().get(key).await?;
            conditions.against(key, there.as_ref().map(|document| &document.etag))?
        }
    };
    match record.revert_noting(key, EntryId(entry), (asked.caller.actor(), when), asked.facts()).await? {
        Written::Put(etag) => documents::written(asked, (StatusCode::OK, key), Written::Put(etag)).await,
        // what was taken back had made it
        Written::Deleted => Ok(answer::empty(StatusCode::NO_CONTENT, None)),
        _ => Err(Problem::missing(key)),
    }
}

fn entry_id(name: &str, text: &str) -> Answered<EntryId> {
    let id = text.parse().ok().filter(|id| *id >= 0);
    id.map(EntryId).ok_or_else(|| wrong(name, "is an `id` of an entry"))
}

/// A time (RFC 3339), or the beginning of a day in UTC; milliseconds since 1970.
fn time(name: &str, text: &str) -> Answered<i64> {
    let day = || parse_date(text).map(|days| i64::from(days) * DAY_MS);
    let found = parse_time(text).map(|micros| micros.div_euclid(1_000)).or_else(day);
    found.ok_or_else(|| wrong(name, "is a time such as 2026-01-31T12:00:00Z, or a day"))
}

fn wrong(name: &str, what: &str) -> Problem {
    Problem::bad(format!("`{name}` {what}"), "Mend the parameter; the API's page lists them.")
}
