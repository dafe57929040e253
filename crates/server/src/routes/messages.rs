//! Documents as messages: `:claim`, `:ack`, `:retry`, `:extend`, `:fail`, and what became of them.

use std::pin::pin;

use axum::body::Body;
use axum::http::StatusCode;
use bytes::Bytes;
use futures_util::future::{Either, select};
use repot_core::store::{
    Claim, ClaimRequest, Cursor, DocumentKey, LeaseToken, Precondition, Verdict, WorkQueue, Write,
};
use repot_core::{Error, Kind};
use repot_model::language::duration_seconds;
use repot_model::plan::time::utc_text;
use serde_json::{Map, Value, json};

use super::Asked;
use super::documents::media;
use crate::address::path_of;
use crate::answer;
use crate::body;
use crate::caller::Standing;
use crate::idempotent::Waiting;
use crate::problem::{Answered, Problem};

/// The longest a claim waits for messages, milliseconds.
const WAIT_MAX_MS: u64 = 60_000;
/// Between two looks for messages.
const LOOK_MS: u64 = 250;
/// Dead letters of one answer.
const DEAD_PAGE: usize = 100;

/// `POST /v1/{collection}:claim`, `:dead`, `:stats`, `:revive`.
pub(super) async fn of_collection(asked: &Asked<'_>, verb: &str, collection: &str, body: Body) -> Answered {
    let body = Fields::read(asked, body).await?;
    let queue = queue(asked)?;
    let scope = asked.caller.scope(asked.app, collection);
    match verb {
        "claim" => {
            body.only(&["count", "lease", "wait", "worker"])?;
            let count = body.number("count")?.unwrap_or(1);
            if count == 0 {
                return Err(wrong("count", "is at least 1"));
            }
            let wanted = ClaimRequest {
                scope,
                count: usize::try_from(count).unwrap_or(usize::MAX),
                lease_ms: body.time_ms("lease")?,
                worker: body.text("worker")?.unwrap_or_default(),
                facts: asked.facts(),
            };
            let wait_ms = body.time_ms("wait")?.unwrap_or(0).min(WAIT_MAX_MS);
            claim(asked, queue, (&wanted, wait_ms)).await
        }
        "dead" => {
            body.only(&["after"])?;
            let after = body.text("after")?.map(Cursor::new);
            let page = queue.dead(&scope, after.as_ref(), DEAD_PAGE).await?;
            let items = page.items.iter().map(|dead| {
                json!({"path": path_of(&dead.key), "tries": dead.tries, "reason": dead.reason, "since": utc_text(dead.since_ms)})
            });
            let next = page.next.as_ref().map(Cursor::as_str);
            Ok(answer::json(StatusCode::OK, &json!({"items": items.collect::<Vec<_>>(), "next": next})))
        }
        "stats" => {
            body.only(&[])?;
            let stats = queue.stats(&scope).await?;
            let told = json!({
                "ready": stats.ready, "leased": stats.leased, "delayed": stats.delayed, "done": stats.done,
                "dead": stats.dead, "oldest_ready_ms": stats.oldest_ready_ms,
            });
            Ok(answer::json(StatusCode::OK, &told))
        }
        _ => {
            body.only(&[])?;
            let revived = queue.revive_noting(&scope, None, asked.facts()).await?;
            Ok(answer::json(StatusCode::OK, &json!({"revived": revived})))
        }
    }
}

/// `POST /v1/{collection}/{key}:ack`, `:retry`, `:extend`, `:fail`, `:revive`.
pub(super) async fn of_document(asked: &Asked<'_>, verb: &str, key: &DocumentKey, body: Body) -> Answered {
    let body = Fields::read(asked, body).await?;
    let queue = queue(asked)?;
    if verb == "revive" {
        body.only(&[])?;
        let scope = asked.caller.scope(asked.app, key.collection());
        let revived = queue.revive_noting(&scope, Some(key), asked.facts()).await?;
        if revived == 0 && !asked.app.store().exists(key).await? {
            return Err(Problem::missing(key));
        }
        return Ok(answer::json(StatusCode::OK, &json!({"revived": revived})));
    }
    let token = body.text("lease")?.unwrap_or_default();
    let token = token_of(&token)?;
    let reason = || body.text("reason").map(Option::unwrap_or_default);
    let verdict = match verb {
        "ack" => {
            body.only(&["lease", "delete"])?;
            if body.boolean("delete")? {
                let write = Write::Delete { key: key.clone(), when: Precondition::Any };
                asked.app.store().apply(asked.unit(vec![write]).acking_own(token, key)).await?;
                return Ok(answer::empty(StatusCode::NO_CONTENT, None));
            }
            Verdict::Ack
        }
        "retry" => {
            body.only(&["lease", "delay", "reason"])?;
            Verdict::Retry { delay_ms: body.time_ms("delay")?.unwrap_or(0), reason: reason()? }
        }
        "extend" => {
            body.only(&["lease", "for"])?;
            Verdict::Extend(body.time_ms("for")?)
        }
        _ => {
            body.only(&["lease", "reason"])?;
            Verdict::Fail(reason()?)
        }
    };
    let until_ms = queue.settle_message(key, &token, verdict, asked.facts()).await?;
    Ok(match verb {
        "extend" => answer::json(StatusCode::OK, &json!({"lease_until": utc_text(until_ms)})),
        _ => answer::empty(StatusCode::NO_CONTENT, None),
    })
}

/// Reads a token.
///
/// # Errors
/// 409 when it is none: whatever it was, nothing is held by it.
pub(super) fn token_of(text: &str) -> Answered<LeaseToken> {
    LeaseToken::parse(text).ok_or_else(|| {
        Error::new(Kind::Fenced, "R0501", format!("`{text}` is no lease"))
            .hint("Send the `lease` that the claim gave.")
            .into()
    })
}

fn queue<'a>(asked: &Asked<'a>) -> Answered<&'a dyn WorkQueue> {
    asked.app.store().work_queue().ok_or_else(|| {
        Error::new(Kind::Unsupported, "R0405", format!("{} has no work queues", asked.app.store()))
            .hint("Keep the documents in a database.")
            .into()
    })
}

/// Claims what is ready, or what gets ready while it waits.
async fn claim(
    asked: &Asked<'_>,
    queue: &dyn WorkQueue,
    (wanted, wait_ms): (&ClaimRequest, u64),
) -> Answered {
    let mut left_ms = wait_ms;
    let standing = Standing::of(&asked.head.headers);
    let claims = loop {
        let claims = queue.claim(wanted).await?;
        if !claims.is_empty() || left_ms == 0 {
            break claims;
        }
        let pause_ms = left_ms.min(LOOK_MS);
        let pause = asked.app.pacing().pause(pause_ms);
        match &asked.waiting {
            None => pause.await,
            Some(waiting) => {
                if let Either::Right(_) = select(pin!(pause), pin!(waiting.ended())).await {
                    // nothing was taken, and nobody is there to take it: the request can be sent again
                    return Ok(Waiting::given_up());
                }
            }
        }
        standing.check(asked.app).await?;
        left_ms -= pause_ms;
    };
    let items: Vec<String> = claims.iter().map(|claim| told(asked, claim)).collect();
    let mut response = answer::json(StatusCode::OK, &json!(null));
    *response.body_mut() = Body::from(format!("{{\"items\":[{}]}}", items.join(",")));
    Ok(response)
}

/// A claimed message; its document stands in it as it is, where it is JSON.
fn told(asked: &Asked<'_>, claim: &Claim) -> String {
    let document = &claim.document;
    let mut text = json!({
        "path": path_of(&document.key),
        "etag": document.etag.as_str(),
        "lease": claim.token.to_string(),
        "tries": claim.tries,
        "lease_until": utc_text(claim.lease_until_ms),
    })
    .to_string();
    if media(asked, &document.key) == "application/json"
        && let Ok(body) = std::str::from_utf8(&document.body)
    {
        text.truncate(text.len().saturating_sub(1));
        text.push_str(&format!(",\"document\":{body}}}"));
    }
    text
}

/// The fields of a body of ours; an empty body has none.
struct Fields(Map<String, Value>);

impl Fields {
    async fn read(asked: &Asked<'_>, body: Body) -> Answered<Self> {
        let body: Bytes = body::read(body, asked.app.options()).await?;
        if body.is_empty() {
            return Ok(Self(Map::new()));
        }
        match serde_json::from_slice(&body) {
            Ok(Value::Object(fields)) => Ok(Self(fields)),
            _ => Err(Problem::bad("the body is no JSON object", "Send {} or leave it out.")),
        }
    }

    fn only(&self, names: &[&str]) -> Answered<()> {
        match self.0.keys().find(|name| !names.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => Err(wrong(name, &format!("is none of {}", names.join(", ")))),
        }
    }

    fn number(&self, name: &str) -> Answered<Option<u64>> {
        let number = |value: &Value| {
            let whole = body::whole(value).and_then(|number| u64::try_from(number).ok());
            whole.ok_or_else(|| wrong(name, "is no whole number"))
        };
        self.0.get(name).map(number).transpose()
    }

    fn text(&self, name: &str) -> Answered<Option<String>> {
        let text = |value: &Value| value.as_str().map(str::to_owned).ok_or_else(|| wrong(name, "is no text"));
        self.0.get(name).map(text).transpose()
    }

    fn boolean(&self, name: &str) -> Answered<bool> {
        let boolean = |value: &Value| value.as_bool().ok_or_else(|| wrong(name, "is neither true nor false"));
        self.0.get(name).map_or(Ok(false), boolean)
    }

    /// `"60s"`, `"5m"`, `"500ms"`, as milliseconds.
    fn time_ms(&self, name: &str) -> Answered<Option<u64>> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let found = match text.strip_suffix("ms") {
            Some(number) => number.parse().ok(),
            None => duration_seconds(&text).and_then(|seconds| seconds.checked_mul(1_000)),
        };
        found.map(Some).ok_or_else(|| wrong(name, "is a time such as 60s, 5m or 500ms"))
    }
}

fn wrong(name: &str, what: &str) -> Problem {
    Problem::bad(format!("`{name}` {what}"), "Mend the body; docs/api.md lists its fields.")
}
