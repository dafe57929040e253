//! Errors as HTTP answers: `application/problem+json` (RFC 9457).

use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use repot_core::{Error, Kind};
use serde_json::{Map, Value, json};

use crate::operate::Told;

/// An error on its way out.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    error: Error,
    allow: Option<&'static str>,
}

/// What a handler gives.
pub(crate) type Answered<T = Response> = Result<T, Problem>;

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self { status: status(&error), error, allow: None }
    }
}

impl Problem {
    /// An error that has this status, whatever others of its kind have.
    pub(crate) const fn with(status: StatusCode, error: Error) -> Self {
        Self { status, error, allow: None }
    }

    /// Of a request that is wrong in itself.
    pub(crate) fn bad(message: impl Into<String>, hint: &str) -> Self {
        Error::new(Kind::Invalid, "R0440", message).hint(hint).into()
    }

    /// Another method than these.
    pub(crate) fn method(method: &Method, methods: &'static str) -> Self {
        let error = Error::new(Kind::Invalid, "R0441", format!("{method} is not done here"))
            .hint(format!("Use one of {methods}."));
        Self { allow: Some(methods), ..error.into() }
    }

    /// Nothing is there.
    pub(crate) fn missing(what: &dyn std::fmt::Display) -> Self {
        Error::new(Kind::NotFound, "R0402", format!("{what} is not there"))
            .hint("Check the key; a listing shows what is there.")
            .into()
    }

    /// Says which request of a batch it is about.
    pub(crate) fn in_request(self, number: usize) -> Self {
        Self { error: self.error.in_write(number), ..self }
    }

    pub(crate) const fn status(&self) -> StatusCode {
        self.status
    }

    pub(crate) const fn error(&self) -> &Error {
        &self.error
    }

    pub(crate) fn into_error(self) -> Error {
        self.error
    }

    /// The store may answer again by itself.
    pub(crate) const fn is_passing(&self) -> bool {
        is_passing(&self.error)
    }

    /// The answer's body; `instance` is the path that was asked for.
    pub(crate) fn body(&self, instance: &str) -> Value {
        let error = &self.error;
        let mut body = Map::new();
        let title = crate::codes::find(error.code()).map_or("Something went wrong", |entry| entry.title);
        body.insert("type".into(), json!(format!("https://repot.dev/e/{}", error.code())));
        body.insert("title".into(), json!(title));
        body.insert("status".into(), json!(self.status.as_u16()));
        body.insert("code".into(), json!(error.code()));
        body.insert("detail".into(), json!(error.message()));
        if let Some(hint) = error.next_step() {
            body.insert("hint".into(), json!(hint));
        }
        body.insert("instance".into(), json!(instance));
        if let Some(number) = error.write() {
            body.insert("request".into(), json!(number));
        }
        if !error.details().is_empty() {
            body.insert("details".into(), json!(error.details()));
        }
        if let Some(etag) = error.current_state() {
            body.insert("etag".into(), json!(etag));
        }
        let problems: Vec<Value> = error
            .problems()
            .iter()
            .map(|problem| json!({"pointer": problem.pointer, "code": problem.code, "detail": problem.message}))
            .collect();
        if !problems.is_empty() {
            body.insert("errors".into(), json!(problems));
        }
        Value::Object(body)
    }

    /// The answer to a request for this path.
    pub(crate) fn answer(&self, instance: &str) -> Response {
        let mut response = (self.status, self.body(instance).to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(etag) = self.error.current_state() {
            headers.extend(crate::answer::etag_header(etag));
        }
        if let Some(methods) = self.allow {
            headers.insert(header::ALLOW, HeaderValue::from_static(methods));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if self.status == StatusCode::SERVICE_UNAVAILABLE || self.error.code() == "R0431" {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        let failure = self.status.is_server_error().then(|| self.error.message().to_owned());
        response.extensions_mut().insert(Told { code: self.error.code(), failure });
        response
    }
}

/// The store may answer again by itself.
pub(crate) const fn is_passing(error: &Error) -> bool {
    matches!(
        error.kind(),
        Kind::SourceUnavailable | Kind::TargetUnavailable | Kind::Unavailable | Kind::Locked
    )
}

/// The status of an error: by its code where that says more than its kind.
fn status(error: &Error) -> StatusCode {
    match (error.code(), error.kind()) {
        ("R0401", _) => StatusCode::PRECONDITION_FAILED,
        ("R0404" | "R0407" | "R0426" | "R0430" | "R0456", _) => StatusCode::UNPROCESSABLE_ENTITY,
        // a path that no document can have
        ("R0403", _) => StatusCode::NOT_FOUND,
        ("R0416", _) => StatusCode::PRECONDITION_REQUIRED,
        ("R0432" | "R0438" | "R0445", _) => StatusCode::UNAUTHORIZED,
        ("R0441", _) => StatusCode::METHOD_NOT_ALLOWED,
        ("R0442" | "R0213", _) => StatusCode::PAYLOAD_TOO_LARGE,
        ("R0443", _) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ("R0435" | "R0444", _) => StatusCode::REQUEST_TIMEOUT,
        // more than there ever can be is wrong in itself
        ("R0504", Kind::Refused) => StatusCode::BAD_REQUEST,
        ("R0503" | "R0504", _) => StatusCode::TOO_MANY_REQUESTS,
        // the collection has no such thing
        ("R0502" | "R0506", Kind::Unsupported) => StatusCode::NOT_FOUND,
        ("R0604", _) => StatusCode::GONE,
        ("R0411", _)
        | (_, Kind::SourceUnavailable | Kind::TargetUnavailable | Kind::Unavailable | Kind::Locked) => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        (_, Kind::Invalid) => StatusCode::BAD_REQUEST,
        (_, Kind::Unsupported) => StatusCode::NOT_IMPLEMENTED,
        (_, Kind::Refused | Kind::Conflict | Kind::Fenced) => StatusCode::CONFLICT,
        (_, Kind::Denied) => StatusCode::FORBIDDEN,
        (_, Kind::NotFound) => StatusCode::NOT_FOUND,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
