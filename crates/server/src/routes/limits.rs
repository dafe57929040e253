//! `POST /limits/{name}:take`: shared rate limits.

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use repot_engine::ledger::{Right, Taken};
use serde_json::json;

use super::no_parameters;
use crate::answer;
use crate::app::App;
use crate::body;
use crate::caller::Caller;
use crate::problem::{Answered, Problem};

pub(super) async fn take(State(app): State<App>, Path(name): Path<String>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let taken = granted(&app, &head, (&name, body)).await;
    taken.unwrap_or_else(|problem| problem.answer(head.uri.path()))
}

async fn granted(app: &App, head: &Parts, (name, body): (&str, Body)) -> Answered {
    no_parameters(head)?;
    let caller = Caller::of(app, &head.headers).await?;
    caller.may(Right::Write, None)?;
    let name = name.strip_suffix(":take").ok_or_else(|| Problem::missing(&head.uri.path()))?;
    let body = body::read(body, app.options()).await?;
    let tokens = body::count(&body, 1)?;
    match app.limits().take(name, tokens).await? {
        Taken::Granted { left } => Ok(answer::json(StatusCode::OK, &json!({"taken": tokens, "left": left}))),
        later @ Taken::Later { after_ms, .. } => {
            let Err(error) = later.granted(name) else { return Err(Problem::missing(&name)) };
            let mut response = Problem::from(error).answer(head.uri.path());
            // whole seconds, none too few
            let seconds = after_ms.div_ceil(1_000).max(1).to_string();
            let after = HeaderValue::from_str(&seconds);
            response.headers_mut().extend(after.ok().map(|after| (header::RETRY_AFTER, after)));
            Ok(response)
        }
    }
}
