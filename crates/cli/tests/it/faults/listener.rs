//! Somebody who listens to all changes from the first one on.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::sync::Arc;
use std::thread::JoinHandle;

use serde_json::Value;

use super::server::connect;
use super::world::World;

/// The last change of all.
const END: &str = "/v1/notes/end";

/// A thread that listens; it ends with what it was told.
pub(super) struct Listener(JoinHandle<Heard>);

#[derive(Debug, Default)]
pub(super) struct Heard {
    /// How often each document changed.
    changes: BTreeMap<String, usize>,
    last: u64,
    /// Streams that it had.
    pub streams: usize,
}

impl Listener {
    /// Listens at these servers, one after the other where a stream breaks.
    pub(super) fn start(world: &Arc<World>) -> Self {
        let world = Arc::clone(world);
        Self(std::thread::spawn(move || {
            let mut heard = Heard::default();
            while !heard.listen(&world) {
                std::thread::yield_now();
            }
            heard
        }))
    }

    /// Says the last change, and waits until it was heard.
    pub(super) fn end(self, world: &World) -> Heard {
        let answer = world.insist(0, &format!("PUT {END}"), "", r#"{"id":"end"}"#);
        assert!([200, 201].contains(&answer.status), "{answer:?}");
        self.0.join().unwrap()
    }
}

impl Heard {
    /// `true`: the last change came; `false`: the stream broke.
    fn listen(&mut self, world: &World) -> bool {
        let place = &world.places[self.streams % world.places.len()];
        self.streams += 1;
        let Some(mut stream) = connect(&place.address()) else { return false };
        let request = format!(
            "GET /v1:changes?since={} HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\n\r\n",
            self.last
        );
        if stream.write_all(request.as_bytes()).is_err() {
            return false;
        }
        let mut lines = BufReader::new(stream).lines();
        if !matches!(lines.next(), Some(Ok(first)) if first.contains(" 200 ")) {
            return false;
        }
        // one that broke in the middle of a change tells it again
        for line in lines.map_while(Result::ok) {
            let Some(change) = line.strip_prefix("data: ") else { continue };
            let Ok(change) = serde_json::from_str::<Value>(change) else { return false };
            if self.hear(&change) {
                return true;
            }
        }
        false
    }

    fn hear(&mut self, change: &Value) -> bool {
        let path = change["path"].as_str().unwrap_or_else(|| panic!("{change}"));
        let seq = change["seq"].as_u64().unwrap();
        assert!(seq > self.last, "{change} after {}", self.last);
        assert_eq!(change["kind"], "put", "{change}");
        self.last = seq;
        *self.changes.entry(path.to_owned()).or_default() += 1;
        path == END
    }

    /// Each change of these documents was told once.
    pub(super) fn check(&self, changes: &BTreeMap<String, usize>) {
        for (path, count) in changes {
            assert_eq!(self.changes.get(path), Some(count), "{path}");
        }
        for shared in ["/v1/notes/shared", "/v1/notes/done", "/v1/plans/p"] {
            assert!(self.changes.contains_key(shared), "{shared}");
        }
        let others = self.changes.len() - changes.len();
        assert_eq!(others, 4, "three that all share, and the end");
    }
}
