//! Who asks: connections that are kept, one request after the other on each.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::random::Random;
use crate::store::by_hand::message;
use crate::store::work::{LISTED, Measured};

/// This part of a measurement comes before what counts.
const WARM_PART: f64 = 0.2;
/// Where Kinto has the conversations.
const RECORDS: &str = "/v1/buckets/bench/collections/conversations/records";
/// Of so many mixed requests one writes.
const MIXED_WRITES: u64 = 10;

/// A kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Load {
    /// A whole conversation.
    Get,
    /// The 50 newest of a user.
    List,
    /// One more message.
    Append,
    /// Nine times the first, once the third.
    Mixed,
    /// A new, short conversation; only beside a peer.
    Create,
}

impl Load {
    /// In the order of the report; reading comes first, so that it meets what was loaded.
    pub(crate) const ALL: [Self; 4] = [Self::Get, Self::List, Self::Mixed, Self::Append];

    /// As the report names it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET one document",
            Self::List => "list of 50",
            Self::Append => "append",
            Self::Mixed => "mixed 90/10",
            Self::Create => "create",
        }
    }
}

/// Who answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Server {
    /// Written by hand.
    Limit,
    /// `repot serve`.
    Repot,
    /// Kinto, a server of JSON records in Python.
    Kinto,
}

impl Server {
    /// As the report names it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Limit => "by hand",
            Self::Repot => "Repot",
            Self::Kinto => "Kinto",
        }
    }

    /// The bytes of a request.
    pub(crate) fn request(self, load: Load, (user, id): &(String, String), text: &str) -> Vec<u8> {
        let body = match (self, load) {
            (Self::Repot, Load::Create) => json!({"title": text, "messages": []}).to_string(),
            (Self::Kinto, _) => json!({"data": {"user": user, "title": text, "messages": []}}).to_string(),
            (Self::Repot, _) => message(text),
            (Self::Limit, _) => text.to_owned(),
        };
        let posted = format!("content-length: {}\r\n\r\n{body}", body.len());
        let head = match (self, load) {
            (Self::Limit, Load::List) => format!("GET /conversations/{user}"),
            (Self::Limit, Load::Append) => format!("POST /conversations/{user}/{id}/messages"),
            (Self::Limit, _) => format!("GET /conversations/{user}/{id}"),
            (Self::Kinto, Load::List) => format!(
                "GET {RECORDS}?user={user}&_sort=-created_at&_fields=id,title,created_at,updated_at&_limit={LISTED}"
            ),
            (Self::Kinto, Load::Create) => format!("POST {RECORDS}"),
            (Self::Kinto, _) => format!("GET {RECORDS}/{id}"),
            (Self::Repot, Load::Create) => "POST /v1/conversations".to_owned(),
            (Self::Repot, Load::List) => format!(
                "GET /v1/conversations?sort=-created_at&fields=id,title,created_at,updated_at&limit={LISTED}"
            ),
            (Self::Repot, Load::Append) => format!("POST /v1/conversations/{id}/messages"),
            (Self::Repot, _) => format!("GET /v1/conversations/{id}"),
        };
        let own = match (self, load) {
            (Self::Limit, _) => String::new(),
            (Self::Kinto, Load::Create) => "content-type: application/json\r\n".to_owned(),
            (Self::Kinto, _) => String::new(),
            (Self::Repot, Load::Append | Load::Create) => format!(
                "repot-tenant: {user}\r\nprefer: return=minimal\r\ncontent-type: application/json\r\n"
            ),
            (Self::Repot, _) => format!("repot-tenant: {user}\r\n"),
        };
        let rest = if matches!(load, Load::Append | Load::Create) { posted } else { "\r\n".to_owned() };
        format!("{head} HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: */*\r\n{own}{rest}").into_bytes()
    }
}

/// A connection that is kept.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub(crate) async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(64 << 10) })
    }

    /// Sends a request and reads its answer, which must be a success; gives its body.
    pub(crate) async fn send(&mut self, request: &[u8]) -> Result<&[u8]> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let mut head_end = None;
        let mut length = 0;
        loop {
            ensure!(self.stream.read_buf(&mut self.buffer).await? > 0, "the server closed the connection");
            if head_end.is_none() {
                head_end = self.buffer.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
                let Some(end) = head_end else { continue };
                length = body_length(self.buffer.get(..end).unwrap_or_default())?;
            }
            let begin = head_end.context("a head")?;
            if self.buffer.len() >= begin + length {
                return Ok(self.buffer.get(begin..).unwrap_or_default());
            }
        }
    }
}

fn body_length(head: &[u8]) -> Result<usize> {
    let head = std::str::from_utf8(head)?;
    let status = head.split(' ').nth(1).context("a status")?;
    if !status.starts_with('2') {
        bail!("the server answered {status}:\n{head}");
    }
    let named = |line: &str| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().to_owned())
    };
    match head.lines().find_map(named) {
        Some(value) => Ok(value.parse()?),
        None if status == "204" => Ok(0),
        None => bail!("an answer without its length:\n{head}"),
    }
}

/// What one measurement is about.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub(crate) server: Server,
    pub(crate) address: SocketAddr,
    pub(crate) load: Load,
    pub(crate) connections: usize,
    pub(crate) seconds: f64,
    pub(crate) seed: u64,
}

/// Lets the connections work for the time; gives also how many requests there were in all, with those that do not count.
pub(crate) async fn measure(task: &Task, chats: &Arc<[(String, String)]>) -> Result<(Measured, u64)> {
    let mut connections = Vec::new();
    for _ in 0..task.connections {
        connections.push(Connection::open(task.address).await?);
    }
    let begin = Instant::now();
    let warm = begin + Duration::from_secs_f64(task.seconds * WARM_PART);
    let end = begin + Duration::from_secs_f64(task.seconds);
    let mut running = Vec::new();
    for (number, connection) in connections.into_iter().enumerate() {
        let random = Random::new(task.seed.wrapping_mul(1_000).wrapping_add(number as u64));
        let work = go_on(connection, (task.server, task.load), Arc::clone(chats), random, (warm, end));
        running.push(tokio::spawn(work));
    }
    let mut measured = Measured::default();
    let (mut last, mut all) = (warm, 0);
    for one in running {
        let (micros, requests, ended) = one.await??;
        all += requests;
        measured.micros.extend(micros);
        last = last.max(ended);
    }
    measured.seconds = last.duration_since(warm).as_secs_f64();
    Ok((measured, all))
}

/// Asks until the time is up; requests begun after `warm` count. At least one does.
async fn go_on(
    mut connection: Connection,
    (server, load): (Server, Load),
    chats: Arc<[(String, String)]>,
    mut random: Random,
    (warm, end): (Instant, Instant),
) -> Result<(Vec<f64>, u64, Instant)> {
    let mut micros = Vec::new();
    let mut requests = 0;
    loop {
        requests += 1;
        let at = usize::try_from(random.below(chats.len() as u64)).unwrap_or(0);
        let load = match load {
            Load::Mixed if random.below(MIXED_WRITES) == 0 => Load::Append,
            Load::Mixed => Load::Get,
            other => other,
        };
        let text = if matches!(load, Load::Append | Load::Create) { random.prose(40) } else { String::new() };
        let request = server.request(load, &chats[at], &text);
        let begin = Instant::now();
        connection.send(&request).await.with_context(|| format!("{} of {}", load.name(), server.name()))?;
        let done = Instant::now();
        if begin >= warm {
            micros.push(done.duration_since(begin).as_secs_f64() * 1e6);
        }
        if done >= end && !micros.is_empty() {
            return Ok((micros, requests, done));
        }
    }
}
