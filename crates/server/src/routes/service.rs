//! Whether the server is well; what is done with documents other than by methods.

use axum::body::Body;
use axum::http::StatusCode;
use axum::response::Response;
use repot_core::store::DocumentKey;
use serde_json::json;

use super::{Asked, no_parameters};
use crate::address::path_of;
use crate::answer;
use crate::problem::{Answered, Problem};

/// The process is alive, nothing else.
pub(super) async fn alive() -> Response {
    answer::json(StatusCode::OK, &json!({"status": "ok"}))
}

/// `POST /v1/{collection}/{key}:verb`.
pub(super) async fn verb(asked: &Asked<'_>, verb: &str, key: Option<DocumentKey>, _: Body) -> Answered {
    no_parameters(asked.head)?;
    match (verb, key) {
        ("restore", Some(key)) => restore(asked, &key).await,
        _ => Err(Problem::missing(&format!("`:{verb}` of this"))),
    }
}

async fn restore(asked: &Asked<'_>, key: &DocumentKey) -> Answered {
    let trash = asked.app.store().trash().ok_or_else(|| Problem::missing(&format!("a trash with {key}")))?;
    let keys = trash.restore(key).await?;
    let paths: Vec<String> = keys.iter().map(path_of).collect();
    Ok(answer::json(StatusCode::OK, &json!({"restored": paths})))
}
