//! Figures, and whether the server is ready.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use repot_core::{Error, Kind};
use serde_json::json;

use super::no_parameters;
use crate::answer;
use crate::app::App;
use crate::operate::{checks, reached};
use crate::problem::{Answered, Problem};

/// The media type of the figures (`OpenMetrics` 1.0).
const FIGURES: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// `GET /metrics`.
///
/// Figures tell names and sizes of collections, so where there are keys one must be shown; any will do.
pub(super) async fn metrics(State(app): State<App>, headers: HeaderMap) -> Response {
    if let Err(problem) = app.access().principal(&app, &headers).await {
        return problem.answer("/metrics");
    }
    let seen = app.snapshot().look(&app).await;
    match app.figures().text(&seen) {
        Ok(text) => plain(StatusCode::OK, FIGURES, text),
        Err(error) => {
            let error = Error::new(Kind::Internal, "R0901", "the figures cannot be written").cause(error);
            Problem::from(error).answer("/metrics")
        }
    }
}

/// `GET /readyz`: its store can be reached and read. `GET /readyz?verbose`: everything that should be so, a line each.
pub(super) async fn ready(State(app): State<App>, request: Request) -> Response {
    let (head, _) = request.into_parts();
    let asked: Answered<bool> = match head.uri.query() {
        Some("verbose" | "verbose=1") => app.access().principal(&app, &head.headers).await.map(|_| true),
        _ => no_parameters(&head).map(|()| false),
    };
    match asked {
        Ok(true) => {
            let checks = checks(&app).await;
            let is_well = checks.iter().all(|check| check.is_well);
            let status = if is_well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            let lines: String = checks.iter().map(|check| format!("{check}\n")).collect();
            plain(status, "text/plain; charset=utf-8", lines)
        }
        Ok(false) => match reached(&app).await {
            Ok(()) => answer::json(StatusCode::OK, &json!({"status": "ok"})),
            Err(error) => Problem::with(StatusCode::SERVICE_UNAVAILABLE, error).answer("/readyz"),
        },
        Err(problem) => problem.answer("/readyz"),
    }
}

fn plain(status: StatusCode, media: &'static str, text: String) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    response
}
