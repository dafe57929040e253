//! From a request under `/v1/` to what answers it: who asks, what is named, whether it was sent before.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Method;
use axum::http::request::Parts;
use axum::response::Response;
use repot_core::store::{FactChange, Holding, UnitOfWork, Write};
use repot_engine::ledger::Right;

use super::{create, documents, list, messages, parts, service};
use crate::address::Address;
use crate::answer::media_type;
use crate::app::App;
use crate::body;
use crate::caller::Caller;
use crate::idempotent::{self, Turn, Waiting};
use crate::operate::Route;
use crate::problem::{Answered, Problem};

/// A request, taken apart.
pub(super) struct Asked<'a> {
    pub app: &'a App,
    pub caller: Caller,
    pub head: &'a Parts,
    /// What its write notes in the same transaction.
    pub fact: Option<FactChange>,
    /// Messages that must be held for its write to happen.
    pub holding: Vec<Holding>,
    /// Where it is done to its end though nobody may wait for that; `None`: it goes when the client does.
    pub waiting: Option<Waiting>,
}

impl Asked<'_> {
    /// These writes as one unit, in the caller's name, with what the request notes.
    pub(super) fn unit(&self, writes: Vec<Write>) -> UnitOfWork {
        let actor = self.caller.actor().map(str::to_owned);
        UnitOfWork {
            writes,
            actor,
            facts: self.facts(),
            holding: self.holding.clone(),
            ..UnitOfWork::default()
        }
    }

    /// What the request notes, for what is done without a unit of work.
    pub(super) fn facts(&self) -> Vec<FactChange> {
        self.fact.clone().into_iter().collect()
    }
}

pub(super) async fn answer(State(app): State<App>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let address = Address::parse(&app, path_of(&head));
    let route = Route(address.as_ref().map_or("/v1/{path}", Address::route));
    let answered = go(&app, &head, address, body).await;
    let mut response = answered.unwrap_or_else(|problem| problem.answer(head.uri.path()));
    response.extensions_mut().insert(route);
    response
}

/// What a request under `/v1/` is answered.
pub(super) async fn dispatch(app: &App, head: &Parts, body: Body) -> Answered {
    go(app, head, Address::parse(app, path_of(head)), body).await
}

fn path_of(head: &Parts) -> &str {
    head.uri.path().strip_prefix("/v1/").unwrap_or_default()
}

async fn go(app: &App, head: &Parts, address: Answered<Address>, body: Body) -> Answered {
    // who may not come in is not told what is here
    let caller = Caller::of(app, &head.headers).await?;
    let address = address?;
    caller.may(right(&head.method, address.verb.as_deref()), Some(&address.collection))?;
    known(app, &address, &head.method)?;
    let holding = holding(app, &caller, head)?;
    if !head.headers.contains_key("idempotency-key") {
        let asked = Asked { app, caller, head, fact: None, holding, waiting: None };
        return route(asked, address, body).await;
    }
    let body = body::read(body, app.options()).await?;
    let (own, head) = (app.clone(), head.clone());
    idempotent::to_the_end(app, |waiting| async move {
        let (app, head, waiting) = (&own, &head, Some(waiting));
        match idempotent::begin(app, head, &caller, &body).await? {
            Turn::Done(response) => Ok(response),
            Turn::Plain => {
                let asked = Asked { app, caller, head, fact: None, holding, waiting };
                route(asked, address, Body::from(body)).await
            }
            Turn::New(ticket) => {
                let asked = Asked { app, caller, head, fact: Some(ticket.fact()), holding, waiting };
                let answered = route(asked, address, Body::from(body)).await;
                idempotent::end(app, ticket, answered).await
            }
        }
    })
    .await
}

/// Checks that such a path takes this method, whatever else the request says.
fn known(app: &App, address: &Address, method: &Method) -> Answered<()> {
    let shape = app.shape(&address.collection);
    let is_json = shape.is_some_and(|shape| media_type(shape.format) == "application/json");
    let methods = match (&address.verb, &address.key) {
        (Some(_), _) => "POST",
        (None, None) if shape.is_none() => "GET, HEAD",
        (None, None) => "GET, HEAD, POST",
        (None, Some(_)) if !address.part.is_empty() => "GET, HEAD, PUT, PATCH, POST, DELETE",
        (None, Some(_)) if is_json => "GET, HEAD, PUT, PATCH, DELETE",
        (None, Some(_)) => "GET, HEAD, PUT, DELETE",
    };
    if methods.split(", ").any(|name| name == method.as_str()) {
        return Ok(());
    }
    Err(Problem::method(method, methods))
}

/// The messages that a write is done under: `Repot-Lease: TOKEN` must be held, `Repot-Ack: TOKEN` is also done with it, in the
/// same transaction.
pub(super) fn holding(app: &App, caller: &Caller, head: &Parts) -> Answered<Vec<Holding>> {
    let mut found = Vec::new();
    for (name, acks) in [("repot-lease", false), ("repot-ack", true)] {
        for value in head.headers.get_all(name) {
            let token = messages::token_of(value.to_str().unwrap_or_default())?;
            let tenant = caller.tenant_of(app, token.collection());
            found.push(Holding { token, tenant, acks, own: None });
        }
    }
    Ok(found)
}

/// What a request takes.
fn right(method: &Method, verb: Option<&str>) -> Right {
    match (method, verb) {
        (&Method::GET | &Method::HEAD, _) | (_, Some("history" | "stats" | "dead")) => Right::Read,
        _ => Right::Write,
    }
}

/// Does what [`known`] knows; what only reads stands for the methods that are left.
async fn route(asked: Asked<'_>, mut address: Address, body: Body) -> Answered {
    let (app, head) = (asked.app, asked.head);
    let key = address.key.take().map(|key| asked.caller.key(app, key));
    if let Some(verb) = &address.verb {
        if !address.part.is_empty() {
            return Err(Problem::missing(&format!("`:{verb}` of a part")));
        }
        return service::verb(&asked, (verb, &address.collection), key, body).await;
    }
    let Some(key) = key else {
        return match head.method {
            Method::POST => create::create(&asked, &address.collection, body).await,
            _ => list::list(&asked, &address.collection).await,
        };
    };
    if address.part.is_empty() {
        return match head.method {
            Method::PUT => documents::put(&asked, key, body).await,
            Method::PATCH => documents::patch(&asked, key, body).await,
            Method::DELETE => documents::delete(&asked, key).await,
            _ => documents::get(&asked, &key).await,
        };
    }
    let part = parts::PartOf { key, way: address.part };
    match head.method {
        Method::PUT => parts::put(&asked, part, body).await,
        Method::PATCH => parts::patch(&asked, part, body).await,
        Method::POST => parts::append(&asked, part, body).await,
        Method::DELETE => parts::remove(&asked, part).await,
        _ => parts::get(&asked, &part).await,
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
