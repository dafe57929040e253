//! `repot serve` under a steady load of 128 connections: memory, open files and connections of the database stay as they are,
//! and nothing fails.
//!
//! a minute; an hour with `REPOT_FULL=1`, or as many seconds as `REPOT_SOAK_SECONDS` says. They begin when [`WARM_UP`] requests
//! were done, however long that takes, and are looked at in thirds. Flat is: the median of the resident memory in the
//! last third is at most 1.2 times that in the second, and the median of the open files is no larger but for a few that come and
//! go: threads that read a database come with the load and go without it, each with a few files of its runtime. In a release build the memory is also below 100 MiB. How fast it
//! is does not matter here.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::faults::Server;
use crate::project::{Database, Project};

const CONNECTIONS: usize = 128;
/// Of these, who listen to changes.
const LISTENERS: usize = 8;
/// Documents, each of which is written again and again, so that the data are as large in the end as in the beginning.
const DOCUMENTS: usize = 256;
/// Requests after which threads, caches and the allocator have what they need.
const WARM_UP: usize = 8_000;
/// Time between two looks at the server.
const LOOK: Duration = Duration::from_millis(100);
const MEMORY_MAX: u64 = 100 << 20;
/// Files that come and go: a reader of the log, a temporary file.
const FILES_SLACK: usize = 8;
/// Sessions that the server has left, and whose end PostgreSQL has not come to yet.
const ENDING: usize = 4;
/// Connections to PostgreSQL that a server has at the most, unless it is told otherwise.
const POOL: usize = 14;

const MODEL: &str = r#"
[repot]
source = "./data"

[notes]
file  = "notes/{id}.json"
index = ["n"]

[notes.fields]
id   = "text key"
n    = "int"
used = "int = 0"

[notes.quota]
total = { used = "used" }

[marks]
in = "notes.marks[]"

[marks.fields]
id      = "int key auto"
note_id = "-> notes cascade auto"
order   = "position"
word    = "text"
"#;

/// A connection that is kept.
struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream: BufReader::new(stream) }
    }

    fn write(&mut self, line: &str, headers: &str, body: &str) {
        let length = body.len();
        let request =
            format!("{line} HTTP/1.1\r\nhost: x\r\n{headers}content-length: {length}\r\n\r\n{body}");
        self.stream.get_mut().write_all(request.as_bytes()).unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.stream.read_line(&mut line).unwrap() > 0, "the server closed a connection");
        line.trim_end().to_ascii_lowercase()
    }

    /// Sends a request, and reads all of the answer; gives its status.
    fn send(&mut self, line: &str, headers: &str, body: &str) -> u16 {
        self.write(line, headers, body);
        let status: u16 = self.line().split(' ').nth(1).unwrap().parse().unwrap();
        let mut length = 0;
        loop {
            let header = self.line();
            if header.is_empty() {
                break;
            }
            assert!(!header.starts_with("transfer-encoding"), "{line}: {header}");
            if let Some(found) = header.strip_prefix("content-length: ") {
                length = found.parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).unwrap();
        assert!(status < 500, "{line}: {status} {}", String::from_utf8_lossy(&body));
        status
    }
}

fn document(id: usize, n: usize) -> String {
    json!({"id": format!("n{id}"), "n": n, "used": 0, "marks": [{"id": 1, "word": "w".repeat(500)}]})
        .to_string()
}

/// One of the mixed requests.
fn request(connection: &mut Connection, client: usize, turn: usize) -> u16 {
    let id = client.wrapping_mul(31).wrapping_add(turn.wrapping_mul(7)) % DOCUMENTS;
    let path = format!("/v1/notes/n{id}");
    let merge = "content-type: application/merge-patch+json\r\n";
    match turn % 20 {
        0..8 => connection.send(&format!("GET {path}"), "", ""),
        8..11 => connection.send("GET /v1/notes?limit=50&sort=-n", "", ""),
        11 => connection.send("GET /v1/notes?full=true&limit=20&n[gte]=100", "", ""),
        // lists grow by appends until the whole is written again
        12 | 13 => connection.send(&format!("POST {path}/marks"), "", r#"{"word":"more"}"#),
        14 | 15 => connection.send(&format!("PUT {path}"), "", &document(id, turn)),
        16 => connection.send(&format!("PATCH {path}"), merge, &json!({"n": turn}).to_string()),
        17 => connection.send(&format!("POST {path}:spend"), "", r#"{"n":1}"#),
        18 => {
            let key = format!("idempotency-key: {client}-{turn}\r\n");
            connection.send(&format!("POST {path}/marks"), &key, r#"{"word":"keyed"}"#)
        }
        _ => connection.send("GET /v1/notes/missing", "", ""),
    }
}

/// Bytes of resident memory of a server, and its open files.
fn seen_of(server: &Server) -> (u64, usize) {
    let process = format!("/proc/{}", server.pid());
    let status = fs::read_to_string(format!("{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kib: u64 = line.trim().strip_suffix(" kB").unwrap().trim().parse().unwrap();
    (kib << 10, fs::read_dir(format!("{process}/fd")).unwrap().count())
}

fn seconds() -> u64 {
    match std::env::var_os("REPOT_SOAK_SECONDS") {
        Some(seconds) => seconds.to_str().unwrap().parse().unwrap(),
        None if repot_testkit::full() => 3_600,
        None => 60,
    }
}

fn median<T: Copy + Ord>(mut of: Vec<T>) -> T {
    of.sort_unstable();
    of[of.len() / 2]
}

/// What was seen in a third of the time.
fn third<T: Copy>(seen: &[T], number: usize) -> Vec<T> {
    let each = seen.len() / 3;
    seen[number * each..(number + 1) * each].to_vec()
}

/// Load on a server, until the time is over; what was seen of it every now and then. `look` is asked too.
fn load(server: &Server, mut look: impl FnMut()) -> Vec<(u64, usize)> {
    let (ends, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut filling = Connection::open(&server.address);
    for id in 0..DOCUMENTS {
        assert_eq!(filling.send(&format!("PUT /v1/notes/n{id}"), "", &document(id, id)), 201);
    }
    let listeners: Vec<_> = (0..LISTENERS).map(|_| listen(&server.address)).collect();
    let clients: Vec<_> = (LISTENERS..CONNECTIONS)
        .map(|client| {
            let (ends, done) = (Arc::clone(&ends), Arc::clone(&done));
            let mut connection = Connection::open(&server.address);
            std::thread::spawn(move || {
                let mut turn = client;
                while !ends.load(Ordering::Relaxed) {
                    let status = request(&mut connection, client, turn);
                    assert!([200, 201, 204, 404].contains(&status), "{status}");
                    turn += 1;
                    done.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let goes_on = || {
        std::thread::sleep(LOOK);
        assert!(!clients.iter().any(std::thread::JoinHandle::is_finished), "a client failed");
    };
    while done.load(Ordering::Relaxed) < WARM_UP {
        goes_on();
    }
    let (begin, time) = (Instant::now(), Duration::from_secs(seconds()));
    let mut seen = Vec::new();
    while begin.elapsed() < time {
        goes_on();
        seen.push(seen_of(server));
        look();
    }
    ends.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().unwrap();
    }
    for (told, end) in listeners {
        assert!(told.load(Ordering::Relaxed) > 0, "a listener heard nothing");
        end.shutdown(std::net::Shutdown::Both).unwrap();
    }
    seen
}

/// Somebody who listens; how much was told, and how to end it.
fn listen(address: &str) -> (Arc<AtomicUsize>, TcpStream) {
    let mut connection = Connection::open(address);
    connection.write("GET /v1:changes", "accept: text/event-stream\r\n", "");
    assert!(connection.line().contains(" 200 "));
    let (told, end) = (Arc::new(AtomicUsize::new(0)), connection.stream.get_ref().try_clone().unwrap());
    let count = Arc::clone(&told);
    std::thread::spawn(move || {
        for line in connection.stream.lines().map_while(Result::ok) {
            assert!(!line.starts_with("event: problem"), "{line}");
            count.fetch_add(usize::from(line.starts_with("data: ")), Ordering::Relaxed);
        }
    });
    (told, end)
}

fn stays_as_it_is(seen: &[(u64, usize)]) {
    let memory: Vec<u64> = seen.iter().map(|&(bytes, _)| bytes).collect();
    let files: Vec<usize> = seen.iter().map(|&(_, files)| files).collect();
    let (before, after) = (median(third(&memory, 1)), median(third(&memory, 2)));
    let course: Vec<u64> = memory.iter().step_by(memory.len() / 30 + 1).map(|bytes| bytes >> 20).collect();
    assert!(after * 10 <= before * 12, "memory grows: {before} bytes, then {after}; MiB: {course:?}");
    let open = |number| median(third(&files, number));
    let course: Vec<usize> = files.iter().step_by(files.len() / 30 + 1).copied().collect();
    assert!(open(2) <= open(1) + FILES_SLACK, "open files: {}, then {}; {course:?}", open(1), open(2));
    assert!(open(2) >= CONNECTIONS, "all connections are there: {}", open(2));
    if !cfg!(debug_assertions) {
        assert!(after < MEMORY_MAX, "{after} bytes");
    }
}

#[test]
fn a_server_over_sqlite_stays_as_it_is() {
    let project = Project::with(Database::Sqlite, MODEL, &[]);
    let server = Server::start(&project);
    stays_as_it_is(&load(&server, || {}));
}

#[test]
fn a_server_over_postgres_stays_as_it_is() {
    let Some(postgres) = repot_testkit::postgres::postgres() else { return };
    let url = postgres.fresh_database();
    let project = Project::with(Database::Postgres(url.clone()), MODEL, &[]);
    let server = Server::start(&project);
    let sql = "select count(*) from pg_stat_activity where application_name = 'repot' and datname = current_database()";
    let mut open: Vec<usize> = Vec::new();
    let seen = load(&server, || open.push(postgres.query(&url, sql).trim().parse().unwrap()));
    stays_as_it_is(&seen);
    // one more holds the lock that keeps copies out
    let (usual, most) = (median(open.clone()), open.into_iter().max().unwrap_or_default());
    assert!((1..=POOL + 1).contains(&usual), "{usual} connections");
    assert!(most <= POOL + 1 + ENDING, "{most} connections");
}
