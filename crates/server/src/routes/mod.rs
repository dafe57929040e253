//! The routes, one file for each kind.

mod batch;
mod create;
mod documents;
mod list;
mod operate;
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
use repot_core::{Error, Kind};
use tower_http::compression::CompressionLayer;

use crate::address::Address;
use crate::app::App;
use crate::caller::Caller;
use crate::operate::{Route, watch};
use crate::problem::{Answered, Problem};

/// All routes over this store.
pub fn router(app: App) -> Router {
    Router::new()
        .route("/v1/{*path}", any(answer))
        .route("/v1:batch", post(batch::batch))
        .route("/healthz", get(service::alive))
        .route("/readyz", get(operate::ready))
        .route("/metrics", get(operate::metrics))
        .fallback(nothing)
        .layer(CompressionLayer::new())
        .layer(middleware::from_fn(common))
        .layer(middleware::from_fn_with_state(app.clone(), watch))
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
    let (route, answered) = match Address::parse(&app, path_of(&head)) {
        Ok(address) => (Route(address.route()), go(&app, &head, address, body).await),
        Err(problem) => (Route("/v1/{path}"), Err(problem)),
    };
    let mut response = answered.unwrap_or_else(|problem| problem.answer(head.uri.path()));
    response.extensions_mut().insert(route);
    response
}

/// What a request under `/v1/` is answered.
async fn dispatch(app: &App, head: &Parts, body: Body) -> Answered {
    let address = Address::parse(app, path_of(head))?;
    go(app, head, address, body).await
}

fn path_of(head: &Parts) -> &str {
    head.uri.path().strip_prefix("/v1/").unwrap_or_default()
}

async fn go(app: &App, head: &Parts, mut address: Address, body: Body) -> Answered {
    let asked = Asked { app, caller: Caller::of(&head.headers)?, head };
    let key = address.key.take().map(|key| asked.caller.key(app, key));
    if let Some(verb) = &address.verb {
        return service::verb(&asked, verb, key, body).await;
    }
    let Some(key) = key else {
        return match head.method {
            Method::GET | Method::HEAD => list::list(&asked, &address.collection).await,
            Method::POST => create::create(&asked, &address.collection, body).await,
            _ => Err(not_allowed(head, "GET, HEAD, POST")),
        };
    };
    if address.part.is_empty() {
        return match head.method {
            Method::GET | Method::HEAD => documents::get(&asked, &key).await,
            Method::PUT => documents::put(&asked, key, body).await,
            Method::PATCH => documents::patch(&asked, key, body).await,
            Method::DELETE => documents::delete(&asked, key).await,
            _ => Err(not_allowed(head, "GET, HEAD, PUT, PATCH, DELETE")),
        };
    }
    let part = parts::PartOf { key, way: address.part };
    match head.method {
        Method::GET | Method::HEAD => parts::get(&asked, &part).await,
        Method::PUT => parts::put(&asked, part, body).await,
        Method::PATCH => parts::patch(&asked, part, body).await,
        Method::POST => parts::append(&asked, part, body).await,
        Method::DELETE => parts::remove(&asked, part).await,
        _ => Err(not_allowed(head, "GET, HEAD, PUT, PATCH, POST, DELETE")),
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

fn not_allowed(head: &Parts, methods: &'static str) -> Problem {
    Error::new(Kind::Invalid, "R0441", format!("{} is not done here", head.method))
        .hint(format!("Use one of {methods}."))
        .into()
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
