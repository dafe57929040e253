//! `/cache/{ns}/{key}`: values of the app's own that may be gone at any time. They are no documents: no model, no record, no feed.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use repot_core::{
    CACHE_LIFE_MAX_MS, Cache, CacheName, CacheSpace, CacheValue, Error, Kind, Result as CoreResult,
};
use repot_engine::ledger::Right;
use repot_model::language::duration_seconds;

use super::no_parameters;
use crate::address::decoded;
use crate::answer;
use crate::app::App;
use crate::ask::pairs;
use crate::body;
use crate::caller::Caller;
use crate::operate::CacheOutcome;
use crate::problem::{Answered, Problem};

/// What a value is when nobody says.
const BYTES: &str = "application/octet-stream";
/// Characters of the longest media type.
const MEDIA_MAX: usize = 255;

/// `GET`, `PUT`, `DELETE /cache/{ns}/{key}`
pub(super) async fn value(State(app): State<App>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    one(&app, &head, body).await.unwrap_or_else(|problem| problem.answer(head.uri.path()))
}

/// `POST /cache/{ns}:purge`
pub(super) async fn purge(State(app): State<App>, request: Request) -> Response {
    let (head, _) = request.into_parts();
    emptied(&app, &head).await.unwrap_or_else(|problem| problem.answer(head.uri.path()))
}

async fn one(app: &App, head: &Parts, body: Body) -> Answered {
    let caller = Caller::of(app, &head.headers).await?;
    let is_read = matches!(head.method, Method::GET | Method::HEAD);
    caller.may(if is_read { Right::Read } else { Right::Write }, None)?;
    let path = head.uri.path().strip_prefix("/cache/").unwrap_or_default();
    let (namespace, key) = path.split_once('/').unwrap_or((path, ""));
    let name = CacheName { space: space(&caller, namespace)?, key: decoded(key)? };
    name.check()?;
    let cache = cache(app)?;
    match head.method {
        Method::GET | Method::HEAD => {
            no_parameters(head)?;
            get(app, cache, &name).await
        }
        Method::PUT => {
            let life_ms = life_ms(app, head, &name.space.namespace)?;
            let media = media(head)?;
            let body = body::read(body, app.options()).await?;
            let put = cache.put(&name, CacheValue { media, body }, life_ms).await;
            done(app, put, CacheOutcome::Kept)
        }
        Method::DELETE => {
            no_parameters(head)?;
            done(app, cache.delete(&name).await, CacheOutcome::Deleted)
        }
        _ => Err(Problem::method(&head.method, "GET, HEAD, PUT, DELETE")),
    }
}

async fn emptied(app: &App, head: &Parts) -> Answered {
    let caller = Caller::of(app, &head.headers).await?;
    caller.may(Right::Write, None)?;
    no_parameters(head)?;
    let path = head.uri.path().strip_prefix("/cache/").unwrap_or_default();
    let namespace = path.strip_suffix(":purge").ok_or_else(|| Problem::missing(&head.uri.path()))?;
    let space = space(&caller, namespace)?;
    space.check()?;
    done(app, cache(app)?.purge(&space).await, CacheOutcome::Purged)
}

/// The namespace in the hands of who asks.
fn space(caller: &Caller, namespace: &str) -> Answered<CacheSpace> {
    Ok(CacheSpace { tenant: caller.tenant().map(str::to_owned), namespace: decoded(namespace)? })
}

fn cache(app: &App) -> Answered<&dyn Cache> {
    app.options().cache.as_deref().ok_or_else(|| {
        Error::new(Kind::Unsupported, "R0448", "this server has no cache")
            .hint("Set CACHE_ENABLED=true where the server starts, or do without.")
            .into()
    })
}

async fn get(app: &App, cache: &dyn Cache, name: &CacheName) -> Answered {
    let found = cache.get(name).await;
    let figures = app.figures().cache();
    // a cache that is away is one in which nothing is
    let Some(value) = found.unwrap_or_else(|_away| {
        figures.count(CacheOutcome::Failed);
        None
    }) else {
        figures.count(CacheOutcome::Missed);
        return Err(Problem::missing(&format!("{} in the cache", name.key)));
    };
    figures.count(CacheOutcome::Hit);
    let media = HeaderValue::from_str(&value.media);
    let mut response = Response::new(Body::from(value.body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, media.unwrap_or(HeaderValue::from_static(BYTES)));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // whatever somebody put there, a browser that opens it runs nothing of it in our name
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
    Ok(response)
}

fn done(app: &App, result: CoreResult<()>, outcome: CacheOutcome) -> Answered {
    let away = result.as_ref().is_err_and(|error| error.kind() == Kind::Unavailable);
    app.figures().cache().count(if away { CacheOutcome::Failed } else { outcome });
    result?;
    Ok(answer::empty(StatusCode::NO_CONTENT, None))
}

/// `?ttl=`, else what the model says for the namespace, else the server's own.
fn life_ms(app: &App, head: &Parts, namespace: &str) -> Answered<u64> {
    let asked = match pairs(head)?.as_slice() {
        [] => None,
        [(name, value)] if name == "ttl" => {
            let seconds = value.parse().ok().or_else(|| duration_seconds(value));
            let ms = seconds.and_then(|seconds: u64| seconds.checked_mul(1_000));
            let ms = ms.filter(|ms| (1..=CACHE_LIFE_MAX_MS).contains(ms));
            Some(ms.ok_or_else(|| {
                let message = format!("`ttl` is `{value}`, which is no life of a value");
                Problem::bad(message, "Say whole seconds, or a time such as 10m or 24h; at most 366d.")
            })?)
        }
        _ => return Err(Problem::bad("there is no parameter here but one `ttl`", "Leave out the others.")),
    };
    let named = || app.layout().model().settings.cache.get(namespace).map(|life| life.value * 1_000);
    Ok(asked.or_else(named).unwrap_or(app.options().cache_life_ms).clamp(1, CACHE_LIFE_MAX_MS))
}

fn media(head: &Parts) -> Answered<String> {
    let Some(media) = head.headers.get(header::CONTENT_TYPE) else { return Ok(BYTES.to_owned()) };
    let text = media.to_str().ok().filter(|text| text.len() <= MEDIA_MAX);
    text.map(str::to_owned).ok_or_else(|| {
        Problem::bad("Content-Type is no media type", "Send plain ASCII, at most 255 characters.")
    })
}
