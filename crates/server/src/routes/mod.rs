//! The routes, one file for each kind.

mod batch;
mod create;
mod documents;
mod list;
mod parts;
mod service;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{any, get, post};
use tower_http::compression::CompressionLayer;

use crate::address::Address;
use crate::app::App;
use crate::caller::Caller;
use crate::problem::{Answered, Problem};

/// All routes over this store.
pub fn router(app: App) -> Router {
    Router::new()
        .route("/v1/{*path}", any(answer))
        .route("/v1:batch", post(batch::batch).fallback(only_post))
        .route("/healthz", get(service::alive).fallback(only_get))
        .route("/readyz", get(service::ready).fallback(only_get))
        .route("/openapi.json", get(service::openapi).fallback(only_get))
        .route("/docs", get(service::docs).fallback(only_get))
        .fallback(nothing)
        .layer(CompressionLayer::new())
        .layer(middleware::from_fn(common))
        .with_state(app)
}

/// A request, taken apart.
pub(super) struct Asked<'a> {
    pub app: &'a App,
    pub caller: Caller,
    pub head: &'a Parts,
}

async fn answer(State(app): State<App>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let answered = dispatch(&app, &head, body).await;
    answered.unwrap_or_else(|problem| problem.answer(head.uri.path()))
}

async fn dispatch(app: &App, head: &Parts, body: Body) -> Answered {
    let path = head.uri.path().strip_prefix("/v1/").unwrap_or_default();
    let mut address = Address::parse(app, path)?;
    let asked = Asked { app, caller: Caller::of(&head.headers)?, head };
    let key = address.key.take().map(|key| asked.caller.key(app, key));
    if let Some(verb) = &address.verb {
        return service::verb(&asked, verb, key, body).await;
    }
    let Some(key) = key else {
        return match head.method {
            Method::GET | Method::HEAD => list::list(&asked, &address.collection).await,
            Method::POST => create::create(&asked, &address.collection, body).await,
            _ if app.shape(&address.collection).is_none() => Err(Problem::method(&head.method, "GET, HEAD")),
            _ => Err(Problem::method(&head.method, "GET, HEAD, POST")),
        };
    };
    if address.part.is_empty() {
        let is_json = documents::media(&asked, &key) == "application/json";
        return match head.method {
            Method::GET | Method::HEAD => documents::get(&asked, &key).await,
            Method::PUT => documents::put(&asked, key, body).await,
            Method::PATCH if is_json => documents::patch(&asked, key, body).await,
            Method::DELETE => documents::delete(&asked, key).await,
            _ if !is_json => Err(Problem::method(&head.method, "GET, HEAD, PUT, DELETE")),
            _ => Err(Problem::method(&head.method, "GET, HEAD, PUT, PATCH, DELETE")),
        };
    }
    let part = parts::PartOf { key, way: address.part };
    match head.method {
        Method::GET | Method::HEAD => parts::get(&asked, &part).await,
        Method::PUT => parts::put(&asked, part, body).await,
        Method::PATCH => parts::patch(&asked, part, body).await,
        Method::POST => parts::append(&asked, part, body).await,
        Method::DELETE => parts::remove(&asked, part).await,
        _ => Err(Problem::method(&head.method, "GET, HEAD, PUT, PATCH, POST, DELETE")),
    }
}

/// No parameters are known here.
pub(super) fn no_parameters(head: &Parts) -> Answered<()> {
    match head.uri.query().filter(|query| !query.is_empty()) {
        None => Ok(()),
        Some(query) => {
            let name = query.split(['=', '&']).next().unwrap_or_default();
            Err(Problem::bad(
                format!("there is no parameter `{name}` here"),
                "Leave it out; parameters belong to listings.",
            ))
        }
    }
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
