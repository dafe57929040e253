//! Whether the server is well; what is done with documents other than by methods.

use axum::body::Body;
use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use repot_core::store::DocumentKey;
use serde_json::json;

use super::{Asked, create, no_parameters};
use crate::address::path_of;
use crate::answer;
use crate::app::App;
use crate::problem::{Answered, Problem};

/// The process is alive, nothing else.
pub(super) async fn alive() -> Response {
    answer::json(StatusCode::OK, &json!({"status": "ok"}))
}

/// Its store can be reached, read and written.
pub(super) async fn ready(State(app): State<App>) -> Response {
    match app.store().probe().await {
        Ok(()) => answer::json(StatusCode::OK, &json!({"status": "ok"})),
        Err(error) => Problem::with(StatusCode::SERVICE_UNAVAILABLE, error).answer("/readyz"),
    }
}

/// The `OpenAPI` document.
pub(super) async fn openapi(State(app): State<App>) -> Response {
    answer::of_ours("application/json", app.described().document.clone())
}

/// The same as a page.
pub(super) async fn docs(State(app): State<App>) -> Response {
    answer::of_ours("text/html; charset=utf-8", app.described().page.clone())
}

/// `POST /v1/{collection}/{key}:verb`.
pub(super) async fn verb(asked: &Asked<'_>, verb: &str, key: Option<DocumentKey>, _: Body) -> Answered {
    no_parameters(asked.head)?;
    if asked.head.method != Method::POST {
        return Err(Problem::method(&asked.head.method, "POST"));
    }
    match (verb, key) {
        ("restore", Some(key)) => restore(asked, &key).await,
        _ => Err(Problem::missing(&format!("`:{verb}` of this"))),
    }
}

async fn restore(asked: &Asked<'_>, key: &DocumentKey) -> Answered {
    let trash = asked.app.store().trash().ok_or_else(|| Problem::missing(&format!("a trash with {key}")))?;
    // who restores did not ask for a state, either
    let keys = trash.restore(key).await.map_err(|error| create::exists(error.into()))?;
    let paths: Vec<String> = keys.iter().map(path_of).collect();
    Ok(answer::json(StatusCode::OK, &json!({"restored": paths})))
}
