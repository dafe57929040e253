//! Watches over every request: its id, its time, its line in the log.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use axum::body::{Body, HttpBody as _};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::Response;
use http_body_util::BodyExt as _;

use super::figures::{Figures, SLOW};
use super::line::{Log, RequestLine};
use crate::app::App;
use crate::trace::Running;

/// The header that requests and answers name themselves by.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Characters of an id that a client gave.
const ID_CHARS_MAX: usize = 128;
/// The status in the log of a request whose client went away before there was one.
pub(crate) const GONE: u16 = 499;

/// The template of the path that was asked for, as a mark on its answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Route(pub(crate) &'static str);

/// The error that was answered, as a mark on its answer.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) code: &'static str,
    pub(crate) failure: Option<String>,
}

/// A request on its way; its line is written when it goes.
struct Watched {
    figures: Arc<Figures>,
    log: Option<Log>,
    trace: Option<Arc<Running>>,
    line: RequestLine,
}

impl Watched {
    /// So many more bytes were sent. (A method, so that a closure takes all of `self` with it, not the number alone.)
    const fn sent(&mut self, bytes: u64) {
        self.line.bytes = self.line.bytes.saturating_add(bytes);
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.figures.in_flight.dec();
        if std::thread::panicking() {
            self.line.status = 500;
            self.line.failure = Some("a fault of ours ended the request".to_owned());
        }
        if let Some(trace) = &self.trace {
            trace.ended(&self.line);
        }
        if let Some(log) = &self.log {
            log.say(&self.line);
        }
    }
}

/// What holds for every request and answer.
pub(crate) async fn watch(State(app): State<App>, request: Request, next: Next) -> Response {
    let begin = Instant::now();
    let id = given(request.headers()).unwrap_or_else(|| made(&app));
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let traces = app.options().traces.as_ref();
    let trace = traces.and_then(|traces| Running::begin(traces, app.pacing(), request.headers()));
    let mut watched = Watched {
        figures: Arc::clone(app.figures()),
        log: app.options().log.clone(),
        trace: trace.clone(),
        line: RequestLine {
            at_ms: app.clock().now_ms(),
            id: String::new(),
            method: name(request.method()),
            route: Cow::Borrowed("none"),
            status: GONE,
            ms: 0.0,
            bytes: 0,
            is_slow: false,
            code: None,
            failure: None,
        },
    };
    watched.figures.in_flight.inc();
    watched.line.id.clone_from(&id);
    let mut response = match &trace {
        Some(trace) => trace.serving(next.run(request)).await,
        None => next.run(request).await,
    };
    let took = begin.elapsed();
    let line = &mut watched.line;
    if let Some(Route(route)) = response.extensions().get() {
        line.route = Cow::Borrowed(route);
    } else if let Some(matched) = matched {
        line.route = Cow::Owned(matched.as_str().to_owned());
    }
    if let Some(told) = response.extensions_mut().remove::<Told>() {
        (line.code, line.failure) = (Some(told.code), told.failure);
    }
    line.status = response.status().as_u16();
    line.ms = (took.as_secs_f64() * 1e5).round() / 1e2;
    line.is_slow = took > SLOW;
    app.figures().answered(line, took);
    app.slow().note(line);
    if let Ok(id) = HeaderValue::try_from(id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    follow(response, watched)
}

/// Lets go of the request when its answer has been sent.
fn follow(response: Response, mut watched: Watched) -> Response {
    if let Some(bytes) = response.body().size_hint().exact() {
        watched.sent(bytes);
        return response;
    }
    response.map(|body| {
        Body::new(body.map_frame(move |frame| {
            let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
            watched.sent(bytes);
            frame
        }))
    })
}

/// The id that the client gave, if it is a short word of letters, digits and `-_.`: others could break lines, or carry what
/// does not belong into a log.
fn given(headers: &HeaderMap) -> Option<String> {
    let id = headers.get(REQUEST_ID)?.to_str().ok()?;
    let is_sane = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let sane = !id.is_empty() && id.len() <= ID_CHARS_MAX && id.bytes().all(is_sane);
    sane.then(|| id.to_owned())
}

fn made(app: &App) -> String {
    format!("{:016x}", app.pacing().random())
}

const fn name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "OTHER",
    }
}
