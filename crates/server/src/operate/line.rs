//! A line for each request: what was asked and how it went, never what was sent.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use repot_model::plan::time::utc_text;
use serde_json::json;

/// A request that ended. Nothing in it was chosen by the client but the id, which is a short word, so no key, no value of a
/// filter and no header can be in it.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestLine {
    /// When it came, milliseconds since 1970.
    pub at_ms: i64,
    /// Its `X-Request-Id`.
    pub id: String,
    /// The method, or `OTHER` for one that HTTP does not have.
    pub method: &'static str,
    /// The template of the path, such as `/v1/{c}/{key}`.
    pub route: Cow<'static, str>,
    /// The status; 499: the client went away before there was one.
    pub status: u16,
    /// Milliseconds until the answer began.
    pub ms: f64,
    /// Bytes of the answer's body that were sent.
    pub bytes: u64,
    /// It took more than a second.
    pub is_slow: bool,
    /// The code of the error that was answered.
    pub code: Option<&'static str>,
    /// What failed, where that is not the client's business (status 500 and above).
    pub failure: Option<String>,
}

impl RequestLine {
    /// One JSON object, on one line.
    #[must_use]
    pub fn json(&self) -> String {
        let level = match self.status {
            500.. => "error",
            _ if self.is_slow => "warn",
            _ => "info",
        };
        let Self { method, status, ms, bytes, .. } = self;
        let (time, id, route) = (self.time(), json!(self.id), json!(self.route));
        let mut line = format!(
            r#"{{"time":"{time}","level":"{level}","event":"request","request_id":{id},"method":"{method}","route":{route},"status":{status},"ms":{ms},"bytes":{bytes}"#
        );
        if self.is_slow {
            line.push_str(r#","slow":true"#);
        }
        if let Some(code) = self.code {
            line.push_str(&format!(r#","code":"{code}""#));
        }
        if let Some(failure) = &self.failure {
            line.push_str(&format!(r#","failure":{}"#, json!(failure)));
        }
        line.push('}');
        line
    }

    fn time(&self) -> String {
        utc_text(self.at_ms)
    }
}

/// For people.
impl fmt::Display for RequestLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, method, route, status, ms, bytes, .. } = self;
        write!(f, "{}  {status} {method:<6} {route}  {ms:.1} ms  {bytes} B  {id}", self.time())?;
        if self.is_slow {
            f.write_str("  SLOW")?;
        }
        if let Some(code) = self.code {
            write!(f, "  {code}")?;
        }
        match &self.failure {
            Some(failure) => write!(f, "  {failure}"),
            None => Ok(()),
        }
    }
}

/// Is told each request that ended. Cheap to clone.
#[derive(Clone)]
pub struct Log(Arc<dyn Fn(&RequestLine) + Send + Sync>);

impl Log {
    /// Tells `sink`, on the thread that served the request; it must not block.
    pub fn new(sink: impl Fn(&RequestLine) + Send + Sync + 'static) -> Self {
        Self(Arc::new(sink))
    }

    pub(crate) fn say(&self, line: &RequestLine) {
        (self.0)(line);
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Log")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::RequestLine;

    #[test]
    fn a_line_is_one_json_object_whatever_is_in_it() {
        let line = RequestLine {
            at_ms: 1_700_000_000_123,
            id: "a\"b".to_owned(),
            method: "GET",
            route: "/v1/{c}".into(),
            status: 503,
            ms: 1_234.5,
            bytes: 7,
            is_slow: true,
            code: Some("R0428"),
            failure: Some("no \"connection\"\nwas free".to_owned()),
        };
        let text = line.json();
        assert!(!text.contains('\n'), "{text}");
        let expected = json!({
            "time": "2023-11-14T22:13:20.123Z", "level": "error", "event": "request", "request_id": "a\"b",
            "method": "GET", "route": "/v1/{c}", "status": 503, "ms": 1234.5, "bytes": 7, "slow": true,
            "code": "R0428", "failure": "no \"connection\"\nwas free",
        });
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected);
    }
}
