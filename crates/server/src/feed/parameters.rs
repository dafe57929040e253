//! What a request for changes asks for.

use axum::http::HeaderMap;
use axum::http::request::Parts;
use repot_core::store::PAGE_ITEMS_MAX;

use crate::ask::pairs;
use crate::problem::{Answered, Problem};

/// Changes of a page unless the request says how many.
const PAGE: usize = 100;
/// How long a request may wait at the most, milliseconds.
const WAIT_MAX_MS: u64 = 60_000;

/// The parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parameters {
    /// After this position; `None`: from now on.
    pub since: Option<u64>,
    /// Of these collections.
    pub only: Option<Vec<String>>,
    /// As many at the most.
    pub limit: usize,
    /// Waits as long for a change.
    pub wait_ms: Option<u64>,
}

impl Parameters {
    /// `streams`: the answer goes on until somebody ends it, so it has no pages.
    ///
    /// # Errors
    /// 400 for a parameter that is none, is wrong, or is given twice.
    pub(crate) fn of(head: &Parts, streams: bool) -> Answered<Self> {
        let pairs = pairs(head)?;
        let mut found = Self { since: None, only: None, limit: PAGE, wait_ms: None };
        for (at, (name, value)) in pairs.iter().enumerate() {
            if pairs.iter().take(at).any(|(other, _)| other == name) {
                return Err(wrong(name, "is given twice"));
            }
            match name.as_str() {
                "since" => found.since = Some(position(name, value)?),
                "only" => {
                    let names = value.split(',').filter(|name| !name.is_empty()).map(str::to_owned);
                    found.only = Some(names.collect()).filter(|names: &Vec<_>| !names.is_empty());
                    if found.only.is_none() {
                        return Err(wrong(name, "names no collection"));
                    }
                }
                "limit" | "wait" if streams => {
                    return Err(wrong(name, "is for pages, and this is a stream"));
                }
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| (1..=PAGE_ITEMS_MAX).contains(limit));
                    let what = format!("is a whole number from 1 to {PAGE_ITEMS_MAX}");
                    found.limit = limit.ok_or_else(|| wrong(name, &what))?;
                }
                "wait" => {
                    let ms = milliseconds(value).filter(|&ms| ms <= WAIT_MAX_MS);
                    found.wait_ms = Some(ms.ok_or_else(|| wrong(name, "is a time such as 30s, up to 60s"))?);
                }
                _ => return Err(wrong(name, "is none of since, only, limit and wait")),
            }
        }
        // a page that was asked for with it is wrong in itself only when it is none
        if let (Some(last), true) = (last_event(&head.headers)?, streams) {
            found.since = Some(last);
        }
        Ok(found)
    }
}

/// What a client that connects again saw last; it wins over the address, which stays as it was.
fn last_event(headers: &HeaderMap) -> Answered<Option<u64>> {
    let Some(value) = headers.get("last-event-id") else { return Ok(None) };
    match value.to_str() {
        Ok("") => Ok(None),
        Ok(text) => position("Last-Event-ID", text).map(Some),
        Err(_not_ascii) => Err(wrong("Last-Event-ID", "is no position")),
    }
}

fn position(name: &str, text: &str) -> Answered<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let position = text.parse().ok().filter(|_| digits);
    position.ok_or_else(|| wrong(name, "is a position that an answer gave, a whole number"))
}

/// `30s`, `500ms`, `1m`.
fn milliseconds(text: &str) -> Option<u64> {
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(split)?;
    let unit = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

fn wrong(name: &str, what: &str) -> Problem {
    Problem::bad(format!("`{name}` {what}"), "docs/feed.md says what a request for changes takes.")
}

#[cfg(test)]
mod tests {
    use super::milliseconds;

    #[test]
    fn times_are_read() {
        let cases = [("30s", Some(30_000)), ("500ms", Some(500)), ("1m", Some(60_000)), ("0s", Some(0))];
        for (text, expected) in cases {
            assert_eq!(milliseconds(text), expected, "{text}");
        }
        for wrong in ["", "30", "s", "-1s", "1.5s", "1h", "99999999999999999999s", "18446744073709551615m"] {
            assert_eq!(milliseconds(wrong), None, "{wrong}");
        }
    }
}
