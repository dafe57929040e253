//! `POST /v1/{collection}/{key}:spend`: counters with limits.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use repot_core::store::{CounterState, DocumentKey, Quotas};
use repot_model::plan::time::utc_text;
use serde_json::{Map, Value, json};

use super::Asked;
use crate::answer;
use crate::body;
use crate::problem::{Answered, Problem};

/// Checks all counters and counts, in one step; `{"n": 0}` only looks.
pub(super) async fn spend(asked: &Asked<'_>, key: &DocumentKey, body: Body) -> Answered {
    let body = body::read(body, asked.app.options()).await?;
    let n = u32::try_from(body::count(&body, 0)?)
        .map_err(|_range| Problem::bad("`n` is too large", "Count less at once."))?;
    let quotas = Quotas::of(asked.app.layout(), key.collection())?;
    let now_ms = asked.app.clock().now_ms();
    let spending =
        quotas.spend_in(asked.app.store().as_ref(), key, (n, now_ms), asked.unit(Vec::new())).await?;
    let after_ms = spending.used_up.as_ref().and_then(|name| {
        let state = spending.counters.iter().find(|state| state.name == *name)?;
        state.resets_at_ms.map(|at_ms| at_ms.saturating_sub(now_ms))
    });
    match spending.granted(key) {
        Ok(counters) => {
            let told: Map<String, Value> = counters.into_iter().map(counter).collect();
            Ok(answer::json(StatusCode::OK, &Value::Object(told)))
        }
        Err(error) => {
            let mut response = Problem::from(error).answer(asked.head.uri.path());
            let seconds = after_ms.map(|ms| (ms.max(1) + 999) / 1_000);
            let after = seconds.and_then(|seconds| HeaderValue::from_str(&seconds.to_string()).ok());
            response.headers_mut().extend(after.map(|after| (header::RETRY_AFTER, after)));
            Ok(response)
        }
    }
}

fn counter(state: CounterState) -> (String, Value) {
    let CounterState { name, used, limit, left, resets_at_ms } = state;
    (name, json!({"used": used, "limit": limit, "left": left, "resets_at": resets_at_ms.map(utc_text)}))
}
