//! The routes, one file for each kind.

mod admin;
mod batch;
mod cache;
mod changes;
mod changes_stream;
mod create;
mod dispatch;
mod documents;
mod history;
mod limits;
mod list;
mod messages;
mod operate;
mod parts;
mod quota;
mod service;
mod sql;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{any, get, post};
use tower_http::compression::CompressionLayer;

use crate::app::App;
use crate::operate::watch;
use crate::problem::Problem;
use dispatch::{Asked, answer, dispatch, holding, no_parameters};

/// All routes over this store.
pub fn router(app: App) -> Router {
    Router::new()
        .route("/v1/{*path}", any(answer))
        .route("/v1:batch", post(batch::batch).fallback(only_post))
        .route("/v1:query", post(sql::query).fallback(only_post))
        .route("/limits/{name}", post(limits::take).fallback(only_post))
        .route("/admin/{*path}", any(admin::admin))
        .route("/cache/{ns}/{key}", any(cache::value))
        .route("/cache/{ns}", post(cache::purge).fallback(only_post))
        .route("/v1:changes", get(changes::changes).fallback(only_get))
        .route("/healthz", get(service::alive).fallback(only_get))
        .route("/readyz", get(operate::ready).fallback(only_get))
        .route("/metrics", get(operate::metrics).fallback(only_get))
        .route("/openapi.json", get(service::openapi).fallback(only_get))
        .route("/docs", get(service::docs).fallback(only_get))
        .fallback(nothing)
        .layer(CompressionLayer::new())
        .layer(middleware::from_fn_with_state(app.clone(), writing))
        .layer(middleware::from_fn(common))
        .layer(middleware::from_fn_with_state(app.clone(), watch))
        .with_state(app)
}

async fn only_get(request: Request) -> Response {
    Problem::method(request.method(), "GET, HEAD").answer(request.uri().path())
}

async fn only_post(request: Request) -> Response {
    Problem::method(request.method(), "POST").answer(request.uri().path())
}

async fn nothing(request: Request) -> Response {
    Problem::missing(&request.uri().path()).answer(request.uri().path())
}

/// Whoever listens to changes is told of what this request writes, also when it is given up.
async fn writing(State(app): State<App>, request: Request, next: Next) -> Response {
    let _writing = (!request.method().is_safe()).then(|| app.feed().writing());
    next.run(request).await
}

/// Whether the client names this media type among those that it takes.
fn accepts(headers: &HeaderMap, wanted: &str) -> bool {
    let accepts = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepts
        .flat_map(|value| value.split(','))
        .any(|media| media.split(';').next().map(str::trim) == Some(wanted))
}

/// What holds for every answer: bodies are what their type says, and a compressed one has a tag of its own (RFC 9110, 8.8.3.3).
async fn common(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let coding = headers.get(header::CONTENT_ENCODING).and_then(|coding| coding.to_str().ok());
    let tag = headers.get(header::ETAG).and_then(|tag| tag.to_str().ok());
    if let (Some(coding), Some(tag)) = (coding, tag)
        && let Some(tag) = tag.strip_suffix('"')
        && let Ok(tag) = HeaderValue::from_str(&format!("{tag}-{coding}\""))
    {
        headers.insert(header::ETAG, tag);
    }
    response
}
