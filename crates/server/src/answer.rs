//! Answers that carry documents.

use std::time::{Duration, UNIX_EPOCH};

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use repot_core::store::ETag;
use repot_model::language::Format;

/// From 1970 to the end of 9999.
const YEARS: Duration = Duration::from_secs(253_402_300_800);

/// `ETag` as a header; nothing, where it cannot stand in one.
pub(crate) fn etag_header(etag: &str) -> Option<(HeaderName, HeaderValue)> {
    Some((header::ETAG, HeaderValue::from_str(&format!("\"{etag}\"")).ok()?))
}

/// The media type of documents of this format.
pub(crate) const fn media_type(format: Format) -> &'static str {
    match format {
        Format::Json | Format::JsonLines => "application/json",
        Format::Text => "text/plain; charset=utf-8",
        Format::Bytes => "application/octet-stream",
    }
}

/// A document, or a part of one, in this state.
pub(crate) fn document(status: StatusCode, (media, etag): (&'static str, &ETag), body: Bytes) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    headers.extend(etag_header(etag.as_str()));
    response
}

/// The same answer, which says when its document was written last, milliseconds since 1970, where that is known. A time to come, as a
/// file may have, is now (RFC 9110, 8.8.2.1).
pub(crate) fn modified(mut response: Response, modified_ms: Option<i64>, now_ms: i64) -> Response {
    let seconds = modified_ms.and_then(|ms| u64::try_from(ms.min(now_ms) / 1_000).ok());
    let at = seconds.and_then(|seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds)));
    // the library's dates end with the year 9999
    let value = at.filter(|at| *at < UNIX_EPOCH + YEARS).map(httpdate::fmt_http_date);
    let value = value.and_then(|value| HeaderValue::from_str(&value).ok());
    response.headers_mut().extend(value.map(|value| (header::LAST_MODIFIED, value)));
    response
}

/// No body.
pub(crate) fn empty(status: StatusCode, etag: Option<&ETag>) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    if let Some(etag) = etag {
        response.headers_mut().extend(etag_header(etag.as_str()));
    }
    response
}

/// JSON of ours.
pub(crate) fn json(status: StatusCode, body: &serde_json::Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A text of ours.
pub(crate) fn of_ours(media: &'static str, body: Bytes) -> Response {
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    response
}

/// What `Prefer` (RFC 7240) asks for; what is unknown is passed over, as it says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Preferences {
    /// `return=minimal`: no body behind a write.
    pub minimal: bool,
    /// `count=exact`: how many there are in all.
    pub count: bool,
}

impl Preferences {
    /// From the headers.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut found = Self::default();
        let values = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
        for preference in values.flat_map(|value| value.split(',')) {
            match preference.split(';').next().unwrap_or_default().trim() {
                "return=minimal" => found.minimal = true,
                "count=exact" => found.count = true,
                _ => {}
            }
        }
        found
    }

    /// Says that it was done so.
    pub(crate) fn applied(response: &mut Response, what: &'static str) {
        response.headers_mut().insert("preference-applied", HeaderValue::from_static(what));
    }
}
