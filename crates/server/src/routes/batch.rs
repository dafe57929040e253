//! `POST /v1:batch`: several writes, all or nothing; or requests one after the other (`"atomic": false`).

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::Response;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use repot_core::store::{Change, DocumentKey, FactChange, Holding, Precondition, UnitOfWork, Write, Written};
use repot_core::{Error, Kind};
use repot_engine::ledger::Right;
use repot_json::{Kind as JsonKind, Tree, Value};
use serde_json::{Map, json};

use super::parts::{PartOf, Work, make_write};
use super::{Asked, create, dispatch, documents, no_parameters};
use crate::address::{Address, path_of};
use crate::answer;
use crate::app::App;
use crate::ask::pairs;
use crate::body;
use crate::caller::Caller;
use crate::conditions::Conditions;
use crate::idempotent::{self, Turn};
use crate::problem::{Answered, Problem};

/// Requests of one batch at the most.
const REQUESTS_MAX: usize = 1_000;

/// Methods that its requests can have.
const METHODS: [Method; 5] = [Method::GET, Method::PUT, Method::POST, Method::PATCH, Method::DELETE];

/// Headers that are about the batch as a whole.
const WHOLE: [&str; 3] = ["Idempotency-Key", "Repot-Lease", "Repot-Ack"];

/// Headers of the batch that hold for each of its requests.
const SHARED: [HeaderName; 2] = [header::AUTHORIZATION, HeaderName::from_static("repot-tenant")];

pub(super) async fn batch(State(app): State<App>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    all(&app, &head, body).await.unwrap_or_else(|problem| problem.answer(head.uri.path()))
}

async fn all(app: &App, head: &Parts, body: Body) -> Answered {
    no_parameters(head)?;
    let caller = Caller::of(app, &head.headers).await?;
    let body = body::read(body, app.options()).await?;
    let tree = Tree::parse(&body, app.layout().limits())
        .map_err(|error| Problem::bad(format!("the batch is no JSON: {error}"), "Send one JSON object."))?;
    let (requests, atomic) = requests(tree.root(&body), head)?;
    if !atomic {
        // each of them is done by itself: no one note could say that all are done, and none is done under a message
        if let Some(name) = WHOLE.into_iter().find(|name| head.headers.contains_key(*name)) {
            return Err(Problem::bad(
                format!("a batch that is not atomic has no {name}"),
                "Leave it out, or send the requests as one atomic batch.",
            ));
        }
        return in_turn(app, requests).await;
    }
    let holding = super::holding(app, &caller, head)?;
    if !head.headers.contains_key("idempotency-key") {
        return together(app, (&caller, None, holding), requests).await;
    }
    let (own, head) = (app.clone(), head.clone());
    idempotent::to_the_end(app, |_waiting| async move {
        match idempotent::begin(&own, &head, &caller, &body).await? {
            Turn::Done(response) => Ok(response),
            Turn::Plain => together(&own, (&caller, None, holding), requests).await,
            Turn::New(ticket) => {
                let answered = together(&own, (&caller, Some(ticket.fact()), holding), requests).await;
                idempotent::end(&own, ticket, answered).await
            }
        }
    })
    .await
}

/// A request of the batch.
struct One {
    head: Parts,
    body: Bytes,
}

fn requests(root: Option<Value<'_>>, head: &Parts) -> Answered<(Vec<One>, bool)> {
    let wrong = |message: String| {
        Problem::bad(
            message,
            "Send {\"requests\": [{\"method\": \"PUT\", \"path\": \"/v1/dramas/d1\", \"headers\": {}, \"body\": {}}]}.",
        )
    };
    let root = root.filter(|root| root.kind() == JsonKind::Object);
    let root = root.ok_or_else(|| wrong("the batch is no object".to_owned()))?;
    if let Some((name, _)) =
        root.entries().find(|(name, _)| !matches!(name.as_str().as_deref(), Some("requests" | "atomic")))
    {
        return Err(wrong(format!("the batch has an entry {} that it cannot have", name.raw())));
    }
    let atomic = match root.get("atomic").map(Value::kind) {
        None | Some(JsonKind::True) => true,
        Some(JsonKind::False) => false,
        Some(_) => return Err(wrong("`atomic` is neither true nor false".to_owned())),
    };
    let list = root.get("requests").filter(|list| list.kind() == JsonKind::Array);
    let list = list.ok_or_else(|| wrong("the batch has no list `requests`".to_owned()))?;
    let mut found = Vec::new();
    for (at, value) in list.elements().enumerate() {
        if at >= REQUESTS_MAX {
            return Err(wrong(format!("a batch has at most {REQUESTS_MAX} requests")));
        }
        let one = one(value, head).ok_or_else(|| wrong(format!("request {at} is none")))?;
        found.push(one);
    }
    Ok((found, atomic))
}

fn one(value: Value<'_>, outer: &Parts) -> Option<One> {
    let known = |name: &str| matches!(name, "method" | "path" | "headers" | "body");
    if !value.entries().all(|(name, _)| name.as_str().is_some_and(|name| known(&name))) {
        return None;
    }
    let text = |name: &str| value.get(name)?.as_str().map(std::borrow::Cow::into_owned);
    let method =
        Method::from_bytes(text("method")?.as_bytes()).ok().filter(|method| METHODS.contains(method))?;
    let uri = text("path")?.parse::<Uri>().ok().filter(|uri| uri.host().is_none())?;
    let (mut head, ()) = axum::http::Request::builder().method(method).uri(uri).body(()).ok()?.into_parts();
    for name in SHARED {
        if let Some(value) = outer.headers.get(&name) {
            head.headers.insert(name, value.clone());
        }
    }
    if let Some(headers) = value.get("headers") {
        if headers.kind() != JsonKind::Object {
            return None;
        }
        for (name, value) in headers.entries() {
            let name = HeaderName::from_bytes(name.as_str()?.as_bytes()).ok()?;
            // who asks is said once, for all of the batch; answers come as JSON
            if name == header::AUTHORIZATION || name == header::ACCEPT || name == "idempotency-key" {
                return None;
            }
            head.headers.insert(name, HeaderValue::from_str(&value.as_str()?).ok()?);
        }
    }
    let body = value.get("body").map(|body| Bytes::copy_from_slice(body.raw().as_bytes()));
    Some(One { head, body: body.unwrap_or_default() })
}

/// What a request of an atomic batch does, and how it is told.
struct Planned {
    write: Write,
    status: StatusCode,
}

async fn together(
    app: &App,
    (caller, fact, holding): (&Caller, Option<FactChange>, Vec<Holding>),
    requests: Vec<One>,
) -> Answered {
    let mut planned = Vec::with_capacity(requests.len());
    for (at, one) in requests.into_iter().enumerate() {
        let plan = plan(app, &one).await;
        planned.push(plan.map_err(|problem| problem.in_request(at))?);
    }
    let writes = planned.iter().map(|plan| plan.write.clone()).collect();
    let (actor, facts) = (caller.actor().map(str::to_owned), fact.into_iter().collect());
    let receipt =
        app.store().apply(UnitOfWork { writes, actor, facts, holding, ..UnitOfWork::default() }).await?;
    let told = planned.iter().zip(&receipt.written).map(|(plan, written)| {
        let mut told = Map::new();
        let (status, etag) = match written {
            Written::Put(etag) => (plan.status, Some(etag)),
            Written::Deleted => (StatusCode::NO_CONTENT, None),
            Written::Missing => (StatusCode::NOT_FOUND, None),
        };
        told.insert("status".into(), json!(status.as_u16()));
        if let Some(etag) = etag {
            told.insert("etag".into(), json!(etag.as_str()));
        }
        told.insert("path".into(), json!(path_of(plan.write.key())));
        told
    });
    Ok(answer::json(StatusCode::OK, &json!({"responses": told.collect::<Vec<_>>()})))
}

async fn plan(app: &App, one: &One) -> Answered<Planned> {
    let head = &one.head;
    if ["repot-lease", "repot-ack"].iter().any(|name| head.headers.contains_key(*name)) {
        return Err(Problem::bad(
            "a lease is one of an atomic batch, not of one of its requests",
            "Send Repot-Lease and Repot-Ack as headers of the batch.",
        ));
    }
    let path = head.uri.path().strip_prefix("/v1/");
    let path = path.ok_or_else(|| Problem::missing(&head.uri.path()))?;
    let address = Address::parse(app, path)?;
    let caller = Caller::of(app, &head.headers).await?;
    let asked = Asked { app, caller, head, fact: None, holding: Vec::new(), waiting: None };
    asked.caller.may(Right::Write, Some(&address.collection))?;
    let conditions = Conditions::of(&head.headers)?;
    let when = conditions.direct().ok_or_else(|| {
        Problem::bad(
            "this condition cannot be checked in a batch",
            "Name one ETag, or none; or * with If-None-Match.",
        )
    })?;
    if address.verb.is_some() || (address.key.is_some() && head.uri.query().is_some()) {
        return Err(unbatched(head));
    }
    let Some(key) = address.key.map(|key| asked.caller.key(app, key)) else {
        return new(&asked, &address.collection, one);
    };
    let (write, status) = if address.part.is_empty() {
        whole(head, key, one.body.clone(), when)?
    } else {
        let work = match head.method {
            Method::PUT => Work::Set(one.body.clone()),
            Method::PATCH => Work::Merge(one.body.clone()),
            Method::POST => Work::Append(one.body.clone()),
            Method::DELETE => Work::Remove,
            _ => return Err(unbatched(head)),
        };
        let part = PartOf { key, way: address.part };
        (make_write(app, part, work)?.when(when), StatusCode::OK)
    };
    Ok(Planned { write, status })
}

fn whole(head: &Parts, key: DocumentKey, body: Bytes, when: Precondition) -> Answered<(Write, StatusCode)> {
    Ok(match head.method {
        Method::PUT => {
            let created = when == Precondition::Absent;
            let status = if created { StatusCode::CREATED } else { StatusCode::OK };
            (Write::Put { key, body, when }, status)
        }
        Method::PATCH => {
            let change = match body::media_type(&head.headers).as_deref() {
                None | Some("application/merge-patch+json") => Change::Merge(body),
                Some("application/json-patch+json") => Change::Patch(body),
                other => return Err(documents::no_patch(other)),
            };
            (Write::Patch { key, change, when }, StatusCode::OK)
        }
        Method::DELETE => (Write::Delete { key, when }, StatusCode::NO_CONTENT),
        _ => return Err(unbatched(head)),
    })
}

/// A new document whose key stands in the body, or is made.
fn new(asked: &Asked<'_>, collection: &str, one: &One) -> Answered<Planned> {
    let shape = asked.app.shape(collection).filter(|_| asked.head.method == Method::POST);
    let shape = shape.ok_or_else(|| unbatched(asked.head))?;
    let given = pairs(asked.head)?;
    let (key, body) = create::named(asked, (collection, shape), &given, one.body.clone())?;
    let key = asked.caller.key(asked.app, key);
    let write = Write::Put { key, body, when: Precondition::Absent };
    Ok(Planned { write, status: StatusCode::CREATED })
}

fn unbatched(head: &Parts) -> Problem {
    let asked = format!("{} {}", head.method, head.uri.path());
    Error::new(Kind::Invalid, "R0440", format!("{asked} is no write of a document"))
        .hint("An atomic batch has PUT, PATCH, POST and DELETE of documents and their parts; send others by themselves, or with \"atomic\": false.")
        .into()
}

async fn in_turn(app: &App, requests: Vec<One>) -> Answered {
    let mut told = Vec::with_capacity(requests.len());
    for one in requests {
        let path = one.head.uri.path().to_owned();
        let answered = dispatch(app, &one.head, Body::from(one.body)).await;
        let response = answered.unwrap_or_else(|problem| problem.answer(&path));
        told.push(tell(response).await);
    }
    let mut response = answer::json(StatusCode::OK, &json!(null));
    *response.body_mut() = Body::from(format!("{{\"responses\":[{}]}}", told.join(",")));
    Ok(response)
}

/// An answer as JSON text; a body that is JSON stands in it as it is, another is left out.
async fn tell(response: Response) -> String {
    let (head, body) = response.into_parts();
    let mut told = Map::new();
    told.insert("status".into(), json!(head.status.as_u16()));
    for (entry, name) in [("etag", header::ETAG), ("location", header::LOCATION)] {
        if let Some(value) = head.headers.get(name).and_then(|value| value.to_str().ok()) {
            told.insert(entry.into(), json!(value.trim_matches('"')));
        }
    }
    // it is in memory already, and cannot fail
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let media = head.headers.get(header::CONTENT_TYPE).and_then(|media| media.to_str().ok());
    let mut text = serde_json::Value::Object(told).to_string();
    if media.is_some_and(|media| media.ends_with("json"))
        && let Ok(body) = std::str::from_utf8(&body)
    {
        text.truncate(text.len().saturating_sub(1));
        text.push_str(&format!(",\"body\":{body}}}"));
    }
    text
}
