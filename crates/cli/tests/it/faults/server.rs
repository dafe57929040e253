//! The program that is under test, and requests to it on plain sockets.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::project::Project;

/// Nothing takes so long; what does, hangs.
const HANGS: Duration = Duration::from_secs(60);

/// A server that is killed when it is dropped.
pub(crate) struct Server {
    child: Child,
    pub address: String,
}

impl Server {
    /// With nothing but the project's own settings.
    pub(crate) fn start(project: &Project) -> Self {
        let mut command = project.command(&["serve", "--json", "--listen", "127.0.0.1:0"]);
        for name in ["REPOT_LOG", "REPOT_LISTEN", "DATABASE_POOL_SIZE", "POSTGRES_MAX_CONNECTIONS"] {
            command.env_remove(name);
        }
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let told: Value = serde_json::from_str(&line).unwrap();
        Self { address: told["address"].as_str().unwrap().to_owned(), child }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// kill -9; gives control back when it is gone.
    pub(super) fn kill(&mut self) {
        self.child.kill().unwrap();
        assert!(!self.child.wait().unwrap().success());
    }

    /// It never ended by itself.
    pub(super) fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill().and_then(|()| self.child.wait()));
    }
}

/// An answer that came whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: u16,
    /// In lower case.
    head: String,
    pub body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The code of a problem.
    pub(crate) fn code(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        self.json()["code"].as_str().unwrap().to_owned()
    }
}

pub(super) fn connect(address: &str) -> Option<TcpStream> {
    let stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(HANGS)).unwrap();
    Some(stream)
}

/// Sends a request: `METHOD PATH`, header lines, a body. `None`: no whole answer came, and nobody knows what was done.
pub(super) fn send(address: &str, line: &str, headers: &str, body: &str) -> Option<Answer> {
    let begun = Instant::now();
    let answer = send_within(address, line, headers, body, HANGS);
    assert!(begun.elapsed() < HANGS, "{line} hangs");
    answer
}

/// The same by who waits only for so long.
pub(crate) fn send_within(
    address: &str,
    line: &str,
    headers: &str,
    body: &str,
    patience: Duration,
) -> Option<Answer> {
    let mut stream = connect(address)?;
    stream.set_read_timeout(Some(patience)).unwrap();
    let length = body.len();
    let request = format!(
        "{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let answer = Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() };
    let length = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
    (body.len() == length).then_some(answer)
}
