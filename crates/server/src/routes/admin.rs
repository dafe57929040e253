//! `/admin/...`: for those who run the server. What later versions bring (backups) is 404.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use repot_core::store::{HistoryEntry, HistoryPage, HistoryQuery, Scope};
use repot_core::{Error, Kind, Result};
use repot_engine::ledger::ApiKeys;
use repot_model::plan::time::utc_text;
use serde_json::{Map, Value, json};

use super::{history, no_parameters};
use crate::address::decoded;
use crate::admin::{KeyWanted, Operator, Own, Question, Work, key_json, key_made, wanted};
use crate::answer;
use crate::app::App;
use crate::ask::pairs;
use crate::body;
use crate::caller::Caller;
use crate::problem::{Answered, Problem};

pub(super) async fn admin(State(app): State<App>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let answered = go(&app, &head, body).await;
    let mut response = answered.unwrap_or_else(|problem| problem.answer(head.uri.path()));
    // none of it is for anybody else, or for later
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn go(app: &App, head: &Parts, body: Body) -> Answered {
    Caller::of(app, &head.headers).await?.may_run()?;
    not_from_another_page(head)?;
    let path = head.uri.path().strip_prefix("/admin/").unwrap_or_default();
    let is_read = matches!(head.method, Method::GET | Method::HEAD);
    if path != "audit" {
        no_parameters(head)?;
    }
    if let Some(work) = Work::ALL.into_iter().find(|work| work.word() == path) {
        return of_work(app, head, work, body).await;
    }
    match (path, path.strip_prefix("keys/")) {
        ("status", _) if is_read => status(app).await,
        ("slow", _) if is_read => {
            Ok(answer::json(StatusCode::OK, &json!({"type": "result", "slow": app.slow().lines()})))
        }
        ("audit", _) if is_read => audit(app, head).await,
        ("advice", _) if is_read => answered(app, Question::Advice, Map::new()).await,
        ("status" | "slow" | "audit" | "advice", _) => Err(Problem::method(&head.method, "GET, HEAD")),
        ("mismatches", _) => of_mismatches(app, head, body).await,
        ("keys", _) => of_keys(app, head, body).await,
        (_, Some(id)) if head.method == Method::DELETE => revoked(app, &decoded(id)?).await,
        (_, Some(_)) => Err(Problem::method(&head.method, "DELETE")),
        _ => Err(Problem::missing(&head.uri.path())),
    }
}

async fn of_work(app: &App, head: &Parts, work: Work, body: Body) -> Answered {
    match head.method {
        Method::GET | Method::HEAD => {
            let last = app.jobs().last(work);
            let last = last.ok_or_else(|| Problem::missing(&format!("a {work} since the server began")))?;
            Ok(answer::json(StatusCode::OK, &last))
        }
        Method::POST => started(app, work, body).await,
        _ => Err(Problem::method(&head.method, "GET, HEAD, POST")),
    }
}

async fn of_mismatches(app: &App, head: &Parts, body: Body) -> Answered {
    let wanted = match head.method {
        Method::GET | Method::HEAD => Map::new(),
        Method::POST => wanted::read(Question::Mismatches.flags(), &body::read(body, app.options()).await?)?,
        _ => return Err(Problem::method(&head.method, "GET, HEAD, POST")),
    };
    answered(app, Question::Mismatches, wanted).await
}

async fn of_keys(app: &App, head: &Parts, body: Body) -> Answered {
    match head.method {
        Method::GET | Method::HEAD => listed(app).await,
        Method::POST => created(app, body).await,
        _ => Err(Problem::method(&head.method, "GET, HEAD, POST")),
    }
}

/// A server that is open to this machine must not be run by a page of somebody else's that a browser here shows.
fn not_from_another_page(head: &Parts) -> Answered<()> {
    let site = head.headers.get("sec-fetch-site").and_then(|site| site.to_str().ok());
    if matches!(site, None | Some("none" | "same-origin")) {
        return Ok(());
    }
    Err(Error::new(Kind::Denied, "R0446", "a page of another site may not run the server")
        .hint("Call it from a program, or from a page of this server.")
        .into())
}

fn operator(app: &App) -> Answered<&Arc<dyn Operator>> {
    app.options().operator.as_ref().ok_or_else(|| {
        Error::new(Kind::Unsupported, "R0450", "this server knows no project, only a store")
            .hint("Start it with repot serve in the folder of the model.")
            .into()
    })
}

/// What this server has open.
fn own(app: &App) -> Own {
    Own { store: Arc::clone(app.store()), moving: app.options().moving.clone() }
}

/// Asks the operator, whose calls block.
async fn asked<T: Send + 'static>(
    app: &App,
    ask: impl FnOnce(&dyn Operator) -> Result<T> + Send + 'static,
) -> Answered<T> {
    let operator = Arc::clone(operator(app)?);
    let asked = tokio::task::spawn_blocking(move || ask(operator.as_ref())).await;
    Ok(asked.unwrap_or_else(|_panicked| Err(Error::new(Kind::Internal, "R0901", "a fault of ours")))?)
}

async fn answered(app: &App, question: Question, wanted: Map<String, Value>) -> Answered {
    let own = own(app);
    let told = asked(app, move |operator| operator.answer(question, &wanted, &own)).await?;
    Ok(answer::json(StatusCode::OK, &told))
}

async fn started(app: &App, work: Work, body: Body) -> Answered {
    let wanted = wanted::read(work.flags(), &body::read(body, app.options()).await?)?;
    let task = asked(app, move |operator| operator.prepare(work, &wanted)).await?;
    let job = app.jobs().start(work, task, app.shared_clock())?;
    let mut response = answer::json(StatusCode::ACCEPTED, &job);
    let place = HeaderValue::from_str(&format!("/admin/{work}"));
    response.headers_mut().extend(place.ok().map(|place| (header::LOCATION, place)));
    Ok(response)
}

async fn status(app: &App) -> Answered {
    let mut told = Map::new();
    told.insert("type".into(), json!("result"));
    let store = app.store();
    told.insert("store".into(), json!(store.to_string()));
    let model = app.layout().model();
    told.insert(
        "model".into(),
        json!({
            "collections": model.collections.iter().map(|one| &one.name).collect::<Vec<_>>(),
            "hash": app.layout().plan().hash,
            "since": utc_text(app.reload().since_ms()),
            "refused": app.reload().refused().map(|(at_ms, error)| json!({
                "at": utc_text(at_ms), "code": error.code(), "message": error.message(),
                "details": error.details(), "hint": error.next_step(),
            })),
        }),
    );
    let seen = app.snapshot().look(app).await;
    told.insert("reachable".into(), json!(seen.is_reachable));
    let rows = seen.database.map(|database| {
        database.rows.into_iter().map(|(table, rows)| (table, json!(rows))).collect::<Map<_, _>>()
    });
    told.insert("rows".into(), json!(rows));
    told.insert("cache".into(), json!(app.options().cache.as_ref().map(ToString::to_string)));
    for work in Work::ALL {
        told.insert(work.word().into(), json!(app.jobs().last(work)));
    }
    if let Some(operator) = app.options().operator.clone() {
        let own = own(app);
        let asked = tokio::task::spawn_blocking(move || operator.status(&own)).await;
        let project = match asked {
            Ok(Ok(project)) => Value::Object(project),
            Ok(Err(error)) => json!({"error": {"code": error.code(), "message": error.message()}}),
            Err(_panicked) => json!({"error": {"code": "R0901", "message": "a fault of ours"}}),
        };
        told.insert("project".into(), project);
    }
    Ok(answer::json(StatusCode::OK, &Value::Object(told)))
}

async fn listed(app: &App) -> Answered {
    let (keys, now_ms) = (keys(app).list().await?, app.clock().now_ms());
    let keys: Vec<Value> = keys.iter().map(|key| key_json(key, now_ms)).collect();
    Ok(answer::json(StatusCode::OK, &json!({"type": "result", "keys": keys})))
}

async fn created(app: &App, body: Body) -> Answered {
    let body = body::read(body, app.options()).await?;
    let new = KeyWanted::parse(&body)?.check(app.layout().model(), app.clock().now_ms())?;
    let made = keys(app).create(new.clone()).await?;
    app.access().lock();
    let mut response = answer::json(StatusCode::CREATED, &key_made(&made, &new));
    let place = HeaderValue::from_str(&format!("/admin/keys/{}", made.id));
    response.headers_mut().extend(place.ok().map(|place| (header::LOCATION, place)));
    Ok(response)
}

async fn revoked(app: &App, id: &str) -> Answered {
    if !keys(app).revoke(id).await? {
        return Err(Problem::missing(&format!("a key {id} that could be used")));
    }
    Ok(answer::json(StatusCode::OK, &json!({"type": "result", "revoked": id})))
}

fn keys(app: &App) -> &ApiKeys {
    app.access().keys()
}

/// The newest entries of one collection, or of all that are on record.
async fn audit(app: &App, head: &Parts) -> Answered {
    let given = pairs(head)?;
    let (named, others): (Vec<_>, Vec<_>) = given.into_iter().partition(|(name, _)| name == "collection");
    let record = history::record(app)?;
    let collections: Vec<String> = match named.as_slice() {
        [] => {
            let model = app.layout().model();
            let on_record = |name: &String| {
                model.collection(name).is_some_and(|one| one.audit.is_some() || !one.transitions.is_empty())
            };
            app.store().collections().into_iter().filter(on_record).collect()
        }
        [(_, name)] if app.shape(name).is_some() => vec![name.clone()],
        [(_, name)] => return Err(Problem::missing(&format!("a collection {name} with documents"))),
        _ => return Err(Problem::bad("`collection` is given twice", "Ask for one, or for all.")),
    };
    // read once, so that what is wrong is told also where nothing is on record
    let (asked, most) = history::query(HistoryQuery::of(Scope::of("")), &others)?;
    let mut found: Vec<(String, HistoryEntry)> = Vec::new();
    let mut goes_on = None;
    for collection in collections {
        let mut query = HistoryQuery { scope: Scope::of(&collection), ..asked.clone() };
        let mut left = most;
        // a page may have fewer than there are
        while left > 0 {
            let HistoryPage { entries, next } = record.history(&query, left).await?;
            left = left.saturating_sub(entries.len());
            found.extend(entries.into_iter().map(|entry| (collection.clone(), entry)));
            query.before = next;
            if next.is_none() {
                break;
            }
            goes_on = goes_on.max(next);
        }
    }
    found.sort_by_key(|(_, entry)| std::cmp::Reverse(entry.id));
    let is_cut = found.len() > most || goes_on.is_some();
    found.truncate(most);
    let next = found.last().filter(|_| is_cut).map(|(_, entry)| entry.id);
    let items: Vec<String> =
        found.iter().map(|(collection, entry)| history::item(app, collection, entry)).collect();
    Ok(history::answer(&items, next))
}
