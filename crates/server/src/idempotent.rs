//! `Idempotency-Key`: a request that is sent again is answered again, and does nothing again.

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use repot_core::{Error, Kind};
use repot_engine::ledger::{Answer, Begin, Caller as Owner, Fingerprint, Hold, Ticket};
use tokio::sync::watch;

use crate::answer;
use crate::app::App;
use crate::caller::Caller;
use crate::operate::GONE;
use crate::problem::{Answered, Problem};
use crate::trace::Running;

/// Bytes of the longest key.
const KEY_MAX: usize = 255;
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// Between two tries to give a key back, milliseconds; tries.
const GIVEN_BACK_MS: u64 = 250;
const GIVEN_BACK_TRIES: usize = 240;
/// Headers that are answered again.
const KEPT: [HeaderName; 6] = [
    header::CONTENT_TYPE,
    header::ETAG,
    header::LAST_MODIFIED,
    header::LOCATION,
    header::LINK,
    HeaderName::from_static("preference-applied"),
];

/// Whether somebody still waits for an answer.
#[derive(Debug, Clone)]
pub(crate) struct Waiting(watch::Receiver<()>);

impl Waiting {
    /// Comes back when nobody does any more.
    pub(crate) async fn ended(&self) {
        // nothing is ever sent: it ends with the sender
        while self.0.clone().changed().await.is_ok() {}
    }

    /// The answer where nothing was done and nobody waits for one: its key is given back, as that of a request that was refused.
    pub(crate) fn given_up() -> Response {
        answer::empty(StatusCode::from_u16(GONE).unwrap_or(StatusCode::REQUEST_TIMEOUT), None)
    }
}

/// Does what a request with a key asks for to its end, also when the client hangs up meanwhile: so its answer is kept, or the key
/// given back, and whoever sends it again need not wait until the lease is over.
pub(crate) async fn to_the_end<F>(app: &App, work: impl FnOnce(Waiting) -> F) -> Answered
where
    F: Future<Output = Answered> + Send + 'static,
{
    let (waits, waiting) = watch::channel(());
    let work = work(Waiting(waiting));
    let (app, trace) = (app.clone(), Running::current());
    let done = tokio::spawn(async move {
        // also who listens to changes is told at the end
        let _writing = app.feed().writing();
        match trace {
            Some(trace) => trace.serving(work).await,
            None => work.await,
        }
    });
    let answered = done.await;
    drop(waits);
    answered.unwrap_or_else(|failed| match failed.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_ended) => Err(Error::new(Kind::Internal, "R0901", "the server ends").into()),
    })
}

/// What a request with a key comes to.
pub(crate) enum Turn {
    /// It has no key.
    Plain,
    /// It is to be done under this ticket.
    New(Ticket),
    /// It was done before.
    Done(Response),
}

/// Looks whether the request was sent before. Requests have keys where sending them twice would do something twice.
///
/// # Errors
/// 400 for a key that is none, 409 while the same request is worked on, 422 when the key is another request's.
pub(crate) async fn begin(app: &App, head: &Parts, caller: &Caller, body: &Bytes) -> Answered<Turn> {
    let wanted = matches!(head.method, Method::POST | Method::PATCH);
    let Some(key) = head.headers.get("idempotency-key").filter(|_| wanted) else { return Ok(Turn::Plain) };
    let key = key.to_str().ok().map(str::trim).filter(|key| !key.is_empty() && key.len() <= KEY_MAX);
    let key = key.ok_or_else(|| {
        Problem::bad(
            format!("Idempotency-Key is no text of 1 to {KEY_MAX} characters"),
            "Send a new UUID with each new request.",
        )
    })?;
    let media = head.headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let path = head.uri.path_and_query().map_or("", |path| path.as_str());
    let print = Fingerprint::of(&[head.method.as_str().as_bytes(), path.as_bytes(), media, body]);
    let owner = Owner { principal: caller.id(), tenant: caller.tenant() };
    let begun = app.idempotency().begin(owner, key, print).await?;
    if let Some(refusal) = begun.refusal() {
        if let Begin::Unknown(hold, _) = begun {
            tokio::spawn(give_back(app.clone(), hold));
        }
        return Err(refusal.into());
    }
    Ok(match begun {
        Begin::New(ticket) => Turn::New(ticket),
        Begin::Replay(answer) => Turn::Done(replay(answer)),
        // it was done, and nobody knows any more what was answered
        _ => Turn::Done(mark(answer::empty(StatusCode::NO_CONTENT, None))),
    })
}

/// Gives the key back as soon as the store can be reached; where it cannot for long, the lease is over by then. What was noted
/// with the write tells whether it was done.
async fn give_back(app: App, hold: Hold) {
    for _ in 0..GIVEN_BACK_TRIES {
        if hold.give_back().await.is_ok() {
            return;
        }
        app.pacing().pause(GIVEN_BACK_MS).await;
    }
}

fn replay(answer: Answer) -> Response {
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    for (name, value) in answer.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    mark(response)
}

fn mark(mut response: Response) -> Response {
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    response
}

/// Keeps the answer of a request that was done, and gives the key of one that was refused back.
pub(crate) async fn end(app: &App, ticket: Ticket, answered: Answered) -> Answered {
    match answered {
        // a refusal, which is not kept
        Ok(response) if response.status().is_client_error() => {
            let _untaken = ticket.into_hold().give_back().await;
            Ok(response)
        }
        Ok(response) => {
            let (head, body) = response.into_parts();
            // answers to writes are in memory already, and cannot fail
            let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
            let value = |name: &HeaderName| head.headers.get(name)?.to_str().ok().map(str::to_owned);
            let headers = KEPT.iter().filter_map(|name| Some((name.to_string(), value(name)?))).collect();
            let answer = Answer { status: head.status.as_u16(), headers, body: body.clone() };
            // the write is done and noted as done; without its answer a repeated request is told just that
            let _unkept = ticket.finish(answer).await;
            Ok(Response::from_parts(head, Body::from(body)))
        }
        Err(problem) => {
            if let Some(lost) = ticket.is_lost(problem.error()) {
                return Err(lost.into());
            }
            if problem.status().is_server_error() {
                // the answer does not wait until the store can be reached again
                tokio::spawn(give_back(app.clone(), ticket.into_hold()));
            } else {
                let _untaken = ticket.into_hold().give_back().await;
            }
            Err(problem)
        }
    }
}
