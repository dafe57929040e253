//! Whether the server is well; what is done with documents other than by methods.

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use repot_core::store::DocumentKey;
use serde_json::json;

use super::{Asked, create, history, messages, no_parameters, quota};
use crate::address::path_of;
use crate::answer;
use crate::app::App;
use crate::problem::{Answered, Problem};

/// The process is alive, nothing else.
pub(super) async fn alive() -> Response {
    answer::json(StatusCode::OK, &json!({"status": "ok"}))
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
pub(super) async fn verb(
    asked: &Asked<'_>,
    (verb, collection): (&str, &str),
    key: Option<DocumentKey>,
    body: Body,
) -> Answered {
    if verb != "history" {
        no_parameters(asked.head)?;
    }
    if !asked.holding.is_empty() && verb != "spend" {
        return Err(Problem::bad(
            format!("`:{verb}` is not done under a message"),
            "Leave out Repot-Lease and Repot-Ack; they belong to writes of documents and to `:spend`.",
        ));
    }
    match (verb, key) {
        ("restore", Some(key)) => restore(asked, &key).await,
        ("history", key) => history::history(asked, collection, key).await,
        ("revert", Some(key)) => history::revert(asked, &key, body).await,
        ("spend", Some(key)) => quota::spend(asked, &key, body).await,
        ("ack" | "retry" | "extend" | "fail" | "revive", Some(key)) => {
            messages::of_document(asked, verb, &key, body).await
        }
        ("claim" | "dead" | "stats" | "revive", None) => {
            messages::of_collection(asked, verb, collection, body).await
        }
        _ => Err(Problem::missing(&format!("`:{verb}` of this"))),
    }
}

async fn restore(asked: &Asked<'_>, key: &DocumentKey) -> Answered {
    let trash = asked.app.store().trash().ok_or_else(|| Problem::missing(&format!("a trash with {key}")))?;
    // who restores did not ask for a state, either
    let keys = trash.restore_noting(key, asked.caller.actor(), asked.facts()).await;
    let keys = keys.map_err(|error| create::exists(error.into()))?;
    let paths: Vec<String> = keys.iter().map(path_of).collect();
    Ok(answer::json(StatusCode::OK, &json!({"restored": paths})))
}
