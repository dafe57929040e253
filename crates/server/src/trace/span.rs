//! What is said of a request: a span for it, and one for each call of the store and each wait for a connection in it.
//!
//! Written as the JSON of OTLP (ids in hexadecimal, large numbers as text), which collectors take since its version 1.0.

use std::time::Duration;

use axum::http::HeaderMap;
use serde_json::{Value, json};

use crate::operate::RequestLine;

/// Where in a trace a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub trace: u128,
    /// The span of whoever asks.
    pub parent: Option<u64>,
    /// What whoever asks has decided.
    pub sampled: Option<bool>,
}

/// Reads `traceparent` (W3C Trace Context); `None`: there is none, or none that can be used.
pub(super) fn place(headers: &HeaderMap) -> Option<Place> {
    let mut all = headers.get_all("traceparent").iter();
    let (Some(text), None) = (all.next(), all.next()) else { return None };
    let mut parts = text.to_str().ok()?.split('-');
    let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_hex = |text: &str, length| {
        text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    // later versions may say more behind these
    let fits = is_hex(version, 2) && version != "ff" && (version != "00" || parts.next().is_none());
    if !fits || !is_hex(trace, 32) || !is_hex(parent, 16) || !is_hex(flags, 2) {
        return None;
    }
    let trace = u128::from_str_radix(trace, 16).ok().filter(|&id| id != 0)?;
    let parent = u64::from_str_radix(parent, 16).ok().filter(|&id| id != 0)?;
    let sampled = u8::from_str_radix(flags, 16).ok()? & 1 == 1;
    Some(Place { trace, parent: Some(parent), sampled: Some(sampled) })
}

/// A call of the store in a request.
#[derive(Debug)]
pub(super) struct Call {
    pub id: u64,
    pub wait_id: u64,
    pub operation: &'static str,
    /// Since the request began.
    pub begin: Duration,
    pub took: Duration,
    /// Of this, the time until a connection was free.
    pub waited: Duration,
    pub code: Option<&'static str>,
    pub is_failure: bool,
}

/// A request that ended.
#[derive(Debug)]
pub(super) struct Traced {
    pub place: Place,
    pub id: u64,
    pub took: Duration,
    pub line: RequestLine,
    pub calls: Vec<Call>,
}

impl Traced {
    /// Its spans.
    pub(super) fn spans(&self) -> Vec<Value> {
        let mut spans = vec![self.request()];
        for call in &self.calls {
            spans.push(self.call(call));
            if !call.waited.is_zero() {
                spans.push(self.span(
                    (call.wait_id, Some(call.id)),
                    "pool wait",
                    1,
                    (call.begin, call.waited),
                ));
            }
        }
        spans
    }

    fn request(&self) -> Value {
        let RequestLine { id, method, route, status, code, .. } = &self.line;
        let (name, method) = match *method {
            "OTHER" => ("HTTP", "_OTHER"),
            method => (method, method),
        };
        let name = if route == "none" { name.to_owned() } else { format!("{name} {route}") };
        let mut span = self.span((self.id, self.place.parent), &name, 2, (Duration::ZERO, self.took));
        let mut said = vec![
            text("http.request.method", method),
            text("url.scheme", "http"),
            json!({"key": "http.response.status_code", "value": {"intValue": status.to_string()}}),
            text("repot.request_id", id),
        ];
        said.extend((route != "none").then(|| text("http.route", route)));
        said.extend(code.map(|code| text("repot.code", code)));
        if *status >= 500 {
            said.push(text("error.type", code.unwrap_or("500")));
            span["status"] = json!({"code": 2});
        }
        span["attributes"] = Value::Array(said);
        span
    }

    fn call(&self, call: &Call) -> Value {
        let name = format!("store {}", call.operation);
        let mut span = self.span((call.id, Some(self.id)), &name, 3, (call.begin, call.took));
        let mut said = vec![text("db.operation.name", call.operation)];
        said.extend(call.code.map(|code| text("error.type", code)));
        span["attributes"] = Value::Array(said);
        if call.is_failure {
            span["status"] = json!({"code": 2});
        }
        span
    }

    fn span(
        &self,
        (id, parent): (u64, Option<u64>),
        name: &str,
        kind: u8,
        time: (Duration, Duration),
    ) -> Value {
        let (begin, took) = time;
        let zero = u128::from(self.line.at_ms.max(0).unsigned_abs()) * 1_000_000;
        let begin = zero + begin.as_nanos();
        let mut span = json!({
            "traceId": format!("{:032x}", self.place.trace),
            "spanId": format!("{id:016x}"),
            "name": name,
            "kind": kind,
            "startTimeUnixNano": begin.to_string(),
            "endTimeUnixNano": (begin + took.as_nanos()).to_string(),
        });
        if let Some(parent) = parent {
            span["parentSpanId"] = json!(format!("{parent:016x}"));
        }
        span
    }
}

fn text(name: &str, value: &str) -> Value {
    json!({"key": name, "value": {"stringValue": value}})
}

/// What a collector is sent.
pub(super) fn message(resource: &[(String, String)], requests: &[Traced]) -> Value {
    let resource: Vec<Value> = resource.iter().map(|(name, value)| text(name, value)).collect();
    let spans: Vec<Value> = requests.iter().flat_map(Traced::spans).collect();
    json!({"resourceSpans": [{
        "resource": {"attributes": resource},
        "scopeSpans": [{"scope": {"name": "repot", "version": env!("CARGO_PKG_VERSION")}, "spans": spans}],
    }]})
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue};

    use super::place;

    #[test]
    fn traceparent() {
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("traceparent", HeaderValue::from_str(text).unwrap());
            place(&headers)
        };
        let (trace, parent) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
        let found = of(&format!("00-{trace}-{parent}-01")).unwrap();
        assert_eq!(
            format!("{:032x} {:016x}", found.trace, found.parent.unwrap()),
            format!("{trace} {parent}")
        );
        assert_eq!(found.sampled, Some(true));
        assert_eq!(of(&format!("00-{trace}-{parent}-00")).unwrap().sampled, Some(false));
        assert!(of(&format!("cc-{trace}-{parent}-01-more")).is_some());
        for wrong in [
            "",
            "00",
            &format!("ff-{trace}-{parent}-01"),
            &format!("00-{trace}-{parent}-01-more"),
            &format!("00-{}-{parent}-01", "0".repeat(32)),
            &format!("00-{trace}-{}-01", "0".repeat(16)),
            &format!("00-{}-{parent}-01", trace.to_uppercase()),
            &format!("00-{trace}-{parent}-1"),
            &format!("00-+{}-{parent}-01", trace.trim_start_matches('4')),
        ] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
        let mut two = HeaderMap::new();
        for _ in 0..2 {
            two.append("traceparent", HeaderValue::from_str(&format!("00-{trace}-{parent}-01")).unwrap());
        }
        assert_eq!(place(&two), None);
    }
}
