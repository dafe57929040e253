//! The last requests that were slow.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use crate::operate::RequestLine;

/// Requests that are remembered.
const LINES_MAX: usize = 256;

/// The slow-query log: what the log has, for those who cannot see the log.
#[derive(Debug, Default)]
pub(crate) struct Slow(Mutex<VecDeque<RequestLine>>);

impl Slow {
    /// Remembers a request, where it was slow.
    pub(crate) fn note(&self, line: &RequestLine) {
        if !line.is_slow {
            return;
        }
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.truncate(LINES_MAX - 1);
        lines.push_front(line.clone());
    }

    /// The newest first, as in the log.
    pub(crate) fn lines(&self) -> Vec<Value> {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // a line is JSON
        lines.iter().filter_map(|line| serde_json::from_str(&line.json()).ok()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{LINES_MAX, Slow};
    use crate::operate::RequestLine;

    #[test]
    fn the_last_slow_requests_are_remembered_and_no_more() {
        let slow = Slow::default();
        for at_ms in 0..1_000 {
            let line = RequestLine {
                at_ms,
                id: at_ms.to_string(),
                method: "GET",
                route: "/v1/{c}".into(),
                status: 200,
                ms: 1_500.0,
                bytes: 1,
                is_slow: at_ms % 2 == 0,
                code: None,
                failure: None,
            };
            slow.note(&line);
        }
        let lines = slow.lines();
        assert_eq!(lines.len(), LINES_MAX);
        assert_eq!((&lines[0]["request_id"], &lines[1]["request_id"]), (&"998".into(), &"996".into()));
        assert_eq!(lines[0]["slow"], true);
    }
}
