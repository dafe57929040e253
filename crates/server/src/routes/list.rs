//! Listings: `GET /v1/{collection}`, as pages of JSON, or all of it as lines (`Accept: application/x-ndjson`).

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::{StreamExt as _, TryStreamExt as _};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use repot_core::store::{Cursor, ETag, Page, Query, QueryItem};
use repot_core::{Error, Kind};
use repot_engine::ledger::Right;
use repot_model::language::{FieldKind, Model};
use repot_model::plan::time::utc_text;
use serde_json::json;

use super::{Asked, accepts};
use crate::answer::{self, Preferences, media_type};
use crate::ask::{DocumentColumns, Listing, STATE, UPDATED, listing, pairs};
use crate::caller::Standing;
use crate::problem::{Answered, Problem};

pub(super) const LINES: &str = "application/x-ndjson";
/// Documents that are read at once where listings have keys only.
const READ_AT_ONCE: usize = 8;
const WARNING: HeaderName = HeaderName::from_static("warning");
const TOTAL: HeaderName = HeaderName::from_static("x-total-count");

pub(super) async fn list(asked: &Asked<'_>, collection: &str) -> Answered {
    let app = asked.app;
    let model = app.layout().model();
    if model.collection(collection).is_none() {
        return Err(Problem::missing(&format!("a collection {collection}")));
    }
    let pairs = pairs(asked.head)?;
    let Listing { query, told, needs_tables, form } =
        listing(model, asked.caller.scope(app, collection), &pairs)?;
    for name in &query.expand {
        for target in referred(model, collection, name) {
            asked.caller.may(Right::Read, Some(target))?;
        }
    }
    if query.full {
        check_json(asked, collection)?;
    }
    let count = match Preferences::of(&asked.head.headers).count {
        true => Some(app.store().count(&query).await?),
        false => None,
    };
    if accepts(&asked.head.headers, LINES) {
        return Ok(counted(lines(asked, query, told), count));
    }
    let tables = app.store().capabilities().queries;
    let (items, next) = if tables || needs_tables {
        let page = app.store().query(&query).await?;
        (page.items, page.next)
    } else {
        check_json(asked, collection)?;
        let page = app.store().list(&query.scope, query.after.as_ref(), query.limit).await?;
        read(asked, page).await?
    };
    let mut response = answer::json(StatusCode::OK, &json!(null));
    *response.body_mut() = Body::from(body(&items, next.as_ref(), (tables && !query.full).then_some(told)));
    let headers = response.headers_mut();
    headers.extend(next.as_ref().and_then(|next| link(asked, &pairs, next)));
    if tables && needs_tables {
        headers.extend(warning(&app.unhelped(&form, &query).await?));
    }
    Ok(counted(response, count))
}

/// Says how many there are in all (`Prefer: count=exact`).
fn counted(mut response: Response, count: Option<u64>) -> Response {
    if let Some(count) = count {
        response.headers_mut().insert(TOTAL, HeaderValue::from(count));
        Preferences::applied(&mut response, "count=exact");
    }
    response
}

/// The collections that a field refers to.
fn referred<'m>(model: &'m Model, collection: &str, field: &str) -> &'m [String] {
    match model.collection(collection).and_then(|found| found.field(field)).map(|field| &field.kind) {
        Some(FieldKind::Ref(targets)) => targets,
        _ => &[],
    }
}

/// Whole documents stand in a listing as they are, so they must be JSON.
fn check_json(asked: &Asked<'_>, collection: &str) -> Answered<()> {
    match asked.app.shape(collection).map(|shape| media_type(shape.format)) {
        Some("application/json") | None => Ok(()),
        Some(_) => {
            Err(Error::new(Kind::Unsupported, "R0405", format!("documents of {collection} are no JSON"))
                .hint("List rows (without `full`), and read each document by itself.")
                .into())
        }
    }
}

/// The documents of a page of keys; those that went since are left out.
async fn read(asked: &Asked<'_>, page: Page) -> Answered<(Vec<QueryItem>, Option<Cursor>)> {
    let get = |key| async move {
        let found = asked.app.store().get(&key).await?;
        Ok::<_, Error>(found.map(|found| QueryItem {
            key: Some(found.key),
            etag: Some(found.etag),
            modified_ms: found.modified_ms,
            body: found.body,
        }))
    };
    let keys = page.items.into_iter().map(|item| item.key);
    let found = futures_util::stream::iter(keys.map(get)).buffered(READ_AT_ONCE);
    let items: Vec<Option<QueryItem>> = found.try_collect().await?;
    Ok((items.into_iter().flatten().collect(), page.next))
}

/// `items`, `next`, and for whole documents `etags` and `updated` in the same order; rows have theirs in them, as far as it is `told`.
fn body(items: &[QueryItem], next: Option<&Cursor>, told: Option<DocumentColumns>) -> Bytes {
    let size: usize = items.iter().map(|item| item.body.len() + 120).sum();
    let mut out = BytesMut::with_capacity(size + 200);
    out.put_slice(b"{\"items\":[");
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.put_u8(b',');
        }
        match told {
            Some(told) => row(&mut out, item, told),
            None => out.put_slice(&item.body),
        }
    }
    out.put_u8(b']');
    if told.is_none() {
        let etags: Vec<Option<&str>> =
            items.iter().map(|item| item.etag.as_ref().map(ETag::as_str)).collect();
        let updated: Vec<Option<String>> = items.iter().map(|item| item.modified_ms.map(utc_text)).collect();
        out.put_slice(format!(",\"etags\":{},\"updated\":{}", json!(etags), json!(updated)).as_bytes());
    }
    if let Some(next) = next {
        out.put_slice(format!(",\"next\":{}", json!(next.as_str())).as_bytes());
    }
    out.put_u8(b'}');
    out.freeze()
}

/// A row, which is an object of ours, with what it tells of its document.
fn row(out: &mut BytesMut, item: &QueryItem, told: DocumentColumns) {
    let Some(open) = item.body.strip_suffix(b"}") else { return out.put_slice(&item.body) };
    out.put_slice(open);
    let mut comma = if open == b"{" { "" } else { "," };
    let mut tell = |name: &str, value: &str| {
        out.put_slice(format!("{comma}\"{name}\":").as_bytes());
        // a text into memory: nothing of it can fail
        let _written = serde_json::to_writer((&mut *out).writer(), value);
        comma = ",";
    };
    if let Some(etag) = item.etag.as_ref().filter(|_| told.state) {
        tell(STATE, etag.as_str());
    }
    if let Some(ms) = item.modified_ms.filter(|_| told.updated) {
        tell(UPDATED, &utc_text(ms));
    }
    out.put_u8(b'}');
}

/// All of it, a page in memory at a time. A failure on the way breaks the answer off, so that nobody takes it for whole;
/// so does the end of the key.
fn lines(asked: &Asked<'_>, query: Query, told: DocumentColumns) -> Response {
    let full = query.full;
    let start = (asked.app.clone(), Standing::of(&asked.head.headers), Some(query));
    let pages = futures_util::stream::try_unfold(start, move |(app, standing, query)| async move {
        let Some(query) = query else { return Ok::<_, Error>(None) };
        standing.check(&app).await.map_err(Problem::into_error)?;
        let page = app.store().query(&query).await?;
        let mut out = BytesMut::new();
        for item in &page.items {
            if full {
                one_line(&mut out, &item.body);
            } else {
                row(&mut out, item, told);
            }
            out.put_u8(b'\n');
        }
        let rest = page.next.map(|next| Query { offset: 0, ..query }.after(next));
        Ok(Some((out.freeze(), (app, standing, rest))))
    });
    let mut response = Response::new(Body::from_stream(pages));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(LINES));
    response
}

/// A JSON text on one line: a line break can only be white space in it.
pub(super) fn one_line(out: &mut BytesMut, text: &[u8]) {
    out.extend(text.iter().map(|&byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }));
}

/// `Link` to the next page (RFC 8288).
fn link(asked: &Asked<'_>, pairs: &[(String, String)], next: &Cursor) -> Option<(HeaderName, HeaderValue)> {
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let kept = pairs.iter().filter(|(name, _)| !matches!(name.as_str(), "after" | "offset"));
    let mut query: Vec<String> =
        kept.map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
    query.push(format!("after={}", encoded(next.as_str())));
    let link = format!("<{}?{}>; rel=\"next\"", asked.head.uri.path(), query.join("&"));
    Some((header::LINK, HeaderValue::from_str(&link).ok()?))
}

/// That no index helps (RFC 7234, 5.5: 199 is any other warning).
fn warning(unhelped: &[String]) -> Option<(HeaderName, HeaderValue)> {
    if unhelped.is_empty() {
        return None;
    }
    let shown: String =
        unhelped.join(", ").chars().filter(|c| c.is_ascii() && !c.is_ascii_control() && *c != '"').collect();
    Some((WARNING, HeaderValue::from_str(&format!("199 repot \"no index helps with {shown}\"")).ok()?))
}
