//! What an answer of the HTTP API means: a good one, or an error with its own code, message and next step.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, ETAG, HeaderName};
use http::{Response, StatusCode};
use repot_client::Sent;
use repot_core::{Error, Kind, Result};
use serde_json::Value;

use crate::commands::explain;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A good answer.
///
/// # Errors
/// What the problem in it says (RFC 9457); `R0155` when it is no answer of a Repot server.
pub(crate) fn checked(sent: Sent) -> Result<Response<Bytes>> {
    let Sent { answer, is_unsure } = sent;
    if answer.status().is_success() {
        // every answer of ours has a name; a page of some other program is no document
        return if answer.headers().contains_key(REQUEST_ID) { Ok(answer) } else { Err(stranger(&answer)) };
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

fn stranger(answer: &Response<Bytes>) -> Error {
    let message = format!("the answer ({}) is none of a Repot server", answer.status());
    Error::new(Kind::Failed, "R0155", message)
        .hint("Check REPOT_URL, with the path where one stands before /v1.")
}

fn problem(answer: &Response<Bytes>) -> Error {
    let status = answer.status();
    let body: Option<Value> = serde_json::from_slice(answer.body()).ok();
    let body = body.filter(|_| media(answer) == "application/problem+json");
    let text = |name: &str| body.as_ref()?.get(name)?.as_str();
    let (Some(code), Some(detail)) = (text("code"), text("detail")) else {
        return stranger(answer);
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

#[cfg(test)]
mod tests {
    use super::checked;
    use crate::errors::{Exit, Failure};
    use bytes::Bytes;
    use http::Response;
    use repot_client::Sent;

    fn error(status: u16, media: &str, body: &'static str, is_unsure: bool) -> repot_core::Error {
        let answer = Response::builder().status(status).header("content-type", media);
        let answer = answer.body(Bytes::from_static(body.as_bytes())).unwrap();
        checked(Sent { answer, is_unsure }).unwrap_err()
    }

    fn of_code(status: u16, code: &'static str) -> (String, Exit) {
        let body =
            format!("{{\"code\":\"{code}\",\"detail\":\"what\",\"hint\":\"Do.\",\"details\":[\"a\"]}}");
        let error = error(status, "application/problem+json", body.leak(), false);
        assert_eq!((error.next_step(), error.details()), (Some("Do."), &["a".to_owned()][..]));
        (error.code().to_owned(), Failure::from(error).exit())
    }

    #[test]
    fn errors_end_the_command_as_those_of_a_store_do() {
        for (status, code, exit) in [
            (404, "R0402", Exit::Failed),
            (412, "R0401", Exit::Failed),
            (409, "R0203", Exit::Failed),
            (501, "R0405", Exit::NotCovered),
            (404, "R0502", Exit::NotCovered),
            (413, "R0213", Exit::NotCovered),
            (410, "R0604", Exit::Refused),
            (429, "R0503", Exit::Refused),
            (503, "R0106", Exit::Target),
            (503, "R0701", Exit::Locked),
            (401, "R0445", Exit::Denied),
            (403, "R0446", Exit::Denied),
            (500, "R0901", Exit::Failed),
        ] {
            assert_eq!(of_code(status, code), (code.to_owned(), exit), "{code}");
        }
    }

    #[test]
    fn what_is_no_answer_of_ours_is_told_so() {
        assert_eq!(error(404, "text/html", "<h1>not here</h1>", false).code(), "R0155");
        assert_eq!(error(200, "text/html", "<h1>welcome</h1>", false).code(), "R0155");
        assert_eq!(error(502, "application/problem+json", "{\"title\":\"x\"}", false).code(), "R0155");
        let newer = "{\"code\":\"R0999\",\"detail\":\"what\"}";
        let newer = error(403, "application/problem+json", newer, false);
        assert_eq!(
            (newer.code(), newer.message()),
            ("R0155", "what (R0999, which this version does not know)")
        );
        assert_eq!(Failure::from(newer).exit(), Exit::Denied);
    }

    #[test]
    fn a_write_that_may_have_been_done_is_told_so() {
        let body = "{\"code\":\"R0401\",\"detail\":\"what\"}";
        let lost = error(412, "application/problem+json", body, true);
        assert!(lost.details()[0].contains("may have been this very write"), "{lost:?}");
        assert!(error(412, "application/problem+json", body, false).details().is_empty());
    }
}
