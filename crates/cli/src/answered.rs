//! What an answer of the HTTP API means: a good one, or an error with its own code, message and next step.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, ETAG};
use http::{Response, StatusCode};
use repot_client::Sent;
use repot_core::{Error, Kind, Result};
use serde_json::Value;

use crate::commands::explain;

/// A good answer.
///
/// # Errors
/// What the problem in it says (RFC 9457); `R0155` when it is no answer of a Repot server.
pub(crate) fn checked(sent: Sent) -> Result<Response<Bytes>> {
    let Sent { answer, is_unsure } = sent;
    if answer.status().is_success() {
        return Ok(answer);
    }
    let error = problem(&answer);
    if is_unsure && matches!(answer.status(), StatusCode::PRECONDITION_FAILED | StatusCode::NOT_FOUND) {
        return Err(error.detail("an earlier try got no answer, and may have been this very write: read it"));
    }
    Err(error)
}

/// The state that an answer names.
pub(crate) fn etag(answer: &Response<Bytes>) -> Option<String> {
    let text = answer.headers().get(ETAG)?.to_str().ok()?;
    Some(text.trim_matches('"').to_owned())
}

/// The media type, without its parameters.
pub(crate) fn media(answer: &Response<Bytes>) -> &str {
    let text = answer.headers().get(CONTENT_TYPE).and_then(|text| text.to_str().ok()).unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim()
}

/// The number of the request of a batch that failed.
pub(crate) fn failed_request(answer: &Response<Bytes>) -> Option<u64> {
    serde_json::from_slice::<Value>(answer.body()).ok()?.get("request")?.as_u64()
}

fn problem(answer: &Response<Bytes>) -> Error {
    let status = answer.status();
    let body: Option<Value> = serde_json::from_slice(answer.body()).ok();
    let body = body.filter(|_| media(answer) == "application/problem+json");
    let text = |name: &str| body.as_ref()?.get(name)?.as_str();
    let (Some(code), Some(detail)) = (text("code"), text("detail")) else {
        return Error::new(Kind::Failed, "R0155", format!("the answer {status} is none of a Repot server"))
            .hint("Check REPOT_URL, with the path where one stands before /v1.");
    };
    let error = match explain::known(code) {
        Some(code) => Error::new(kind(status, code), code, detail),
        None => Error::new(
            kind(status, code),
            "R0155",
            format!("{detail} ({code}, which this version does not know)"),
        ),
    };
    let details = body.as_ref().and_then(|body| body.get("details")?.as_array()).into_iter().flatten();
    let error = details.filter_map(Value::as_str).fold(error, Error::detail);
    match text("hint") {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// What decides the exit code: as the store's own error would.
fn kind(status: StatusCode, code: &str) -> Kind {
    match (status.as_u16(), code) {
        (_, "R0604") | (409, "R0702") | (429, _) => Kind::Refused,
        (_, "R0502" | "R0506" | "R0213") | (501, _) => Kind::Unsupported,
        (_, "R0701") => Kind::Locked,
        (_, "R0501") => Kind::Fenced,
        (401 | 403, _) => Kind::Denied,
        (404 | 410, _) => Kind::NotFound,
        (409 | 412, _) => Kind::Conflict,
        (400..=499, _) => Kind::Invalid,
        (502..=504, _) => Kind::TargetUnavailable,
        _ => Kind::Failed,
    }
}
