//! The body of a request, read whole within its bounds.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use repot_core::{Error, Kind};

use crate::app::Options;
use crate::problem::{Answered, Problem};

/// Reads it.
///
/// # Errors
/// 413 when it is too large, 408 when it takes too long, 400 when it ends before its end.
pub(crate) async fn read(body: Body, options: &Options) -> Answered<Bytes> {
    let limited = Limited::new(body, options.body_bytes_max).collect();
    let read = tokio::time::timeout(Duration::from_millis(options.body_ms), limited).await;
    let read = read.map_err(|_elapsed| {
        let message = format!("the body did not come within {} ms", options.body_ms);
        Error::new(Kind::Unavailable, "R0444", message).hint("Send it again, faster, or in parts.")
    })?;
    match read {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            let message = format!("the body has more than {} bytes", options.body_bytes_max);
            Err(Error::new(Kind::Invalid, "R0442", message)
                .hint("Change parts of the document instead of all of it, or let the server take more.")
                .into())
        }
        Err(_broken) => Err(Problem::bad("the body ended before its end", "Send it again.")),
    }
}

/// What the body says it is: type and subtype, in lower case.
pub(crate) fn media_type(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    Some(text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

/// A whole number, also one that is written as `3.0`, which is the same number in JSON.
pub(crate) fn whole(value: &serde_json::Value) -> Option<i64> {
    // beyond 2^53 not every whole number is a float
    const EXACT: f64 = 9_007_199_254_740_992.0;
    value.as_i64().or_else(|| {
        let float = value.as_f64().filter(|float| float.fract() == 0.0 && float.abs() <= EXACT)?;
        format!("{float:.0}").parse().ok()
    })
}

/// `{"n": 3}`, at least `least`; 1 where the body is empty or does not say.
///
/// # Errors
/// 400 when it is anything else.
pub(crate) fn count(body: &[u8], least: u64) -> Answered<u64> {
    if body.is_empty() {
        return Ok(1);
    }
    let number = serde_json::from_slice::<serde_json::Value>(body).ok().and_then(|body| {
        let fields = body.as_object()?;
        match fields.len() {
            0 => Some(1),
            1 => {
                let number = whole(fields.get("n")?).and_then(|number| u64::try_from(number).ok());
                number.filter(|&number| number >= least)
            }
            _ => None,
        }
    });
    number.ok_or_else(|| Problem::bad("the body is no count", "Send {\"n\": 1}, with a whole number."))
}
