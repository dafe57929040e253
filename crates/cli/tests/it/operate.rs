//! `repot serve` as a process: its log, its end, and where its settings come from.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as TEXT;
use ring::hmac;
use serde_json::{Value, json};

use crate::project::{Database, Project, databases};

const MODEL: &str =
    "[notes]\nfile = \"notes/{id}.json\"\n[notes.fields]\nid = \"text key\"\ntitle = \"text?\"\n";

/// Nothing takes so long; what does, hangs.
const HANGS: Duration = Duration::from_secs(120);

/// A server that is killed when it is dropped.
pub(crate) struct Serving {
    child: Child,
    address: String,
    /// Reads its log all the time: a server stands still where nobody takes its log from a pipe that is full.
    log: Option<JoinHandle<String>>,
}

impl Serving {
    pub(crate) fn start(project: &Project, words: &[&str], variables: &[(&str, &str)]) -> Self {
        // the disk of whoever runs this may be nearly full
        let mut command = project.command(&["serve", "--json", "--listen", "127.0.0.1:0"]);
        if !words.contains(&"--disk-low") {
            command.args(["--disk-low", "0"]);
        }
        command.args(words).env_remove("REPOT_LOG").env_remove("REPOT_LISTEN");
        command.envs(variables.iter().copied());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let told: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(told["type"], "listening");
        let mut err = child.stderr.take().unwrap();
        let log = std::thread::spawn(move || {
            let mut log = String::new();
            err.read_to_string(&mut log).unwrap();
            log
        });
        Self { address: told["address"].as_str().unwrap().to_owned(), child, log: Some(log) }
    }

    pub(crate) fn send(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(HANGS)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it as a supervisor does; gives how it ended and what it had written to standard error.
    pub(crate) fn stop(mut self) -> (Option<i32>, String) {
        let done = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(done.success());
        let log = self.log.take().unwrap().join().unwrap();
        (self.child.wait().unwrap().code(), log)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        drop(self.child.kill().and_then(|()| self.child.wait()));
    }
}

pub(crate) fn request(line: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}"
    )
}

/// The share is that of `df`; how much it must be is a setting.
#[test]
fn a_server_is_well_while_as_much_of_the_disk_is_free_as_was_asked_for() {
    let project = Project::with(Database::Sqlite, MODEL, &[]);
    for words in [&["--disk-low", "100"][..], &["--disk-low", "100", "--store", "./data"]] {
        let server = Serving::start(&project, words, &[]);
        let ready = server.send(&request("GET /readyz?verbose", "", ""));
        assert!(ready.starts_with("HTTP/1.1 503"), "{ready}");
        let (_, told) = ready.split_once("\nFAIL disk: ").expect(&ready);
        let told: i64 = told.split(' ').next().unwrap().parse().unwrap();
        let df = Command::new("df").arg("-P").arg(project.folder.path()).output().unwrap();
        let df = String::from_utf8(df.stdout).unwrap();
        let used = df.split_whitespace().find_map(|word| word.strip_suffix('%')).unwrap();
        // others write to the disk meanwhile, and df rounds up what is used
        assert!((100 - used.parse::<i64>().unwrap() - told).abs() <= 2, "{told} % free, {df}");
        assert!(server.send(&request("GET /readyz", "", "")).starts_with("HTTP/1.1 200"));
    }
    let refused = crate::project::ran(&project.command(&["serve", "--disk-low", "101"]).output().unwrap());
    assert!(refused.code == 2 && refused.err.contains("--disk-low"), "{}", refused.err);
}

/// One JSON line a request, also of the last one before the end, and no secret in any.
#[test]
fn a_server_logs_every_request_and_no_secret() {
    for database in databases() {
        let project = Project::with(database, MODEL, &[]);
        let echo = [("DATABASE_ECHO", "true")];
        let made = project.command(&["key", "create", "web"]).output().unwrap();
        let key = String::from_utf8(made.stdout).unwrap().trim().to_owned();
        assert!(key.starts_with("rpt_"), "{key}");
        let server = Serving::start(&project, &["--log", "json"], &echo);
        let wrong = server.send(&request("GET /v1/notes", "authorization: Bearer canary7f3a\r\n", ""));
        assert!(wrong.starts_with("HTTP/1.1 401") && !wrong.contains("canary7f3a"), "{wrong}");
        let key = format!("authorization: Bearer {key}\r\n");
        let secrets = format!("{key}cookie: a=canary7f3a\r\nx-request-id: mine-1\r\n");
        let body = r#"{"id":"n1","title":"canary7f3a"}"#;
        let put = server.send(&request("PUT /v1/notes/n1", &secrets, body));
        assert!(put.starts_with("HTTP/1.1 201") && put.contains("x-request-id: mine-1\r\n"), "{put}");
        let listed = server.send(&request("GET /v1/notes?title=canary7f3a", &secrets, ""));
        assert!(listed.starts_with("HTTP/1.1 200") && listed.contains("\"n1\""), "{listed}");
        let ready = server.send(&request("GET /readyz?verbose", &key, ""));
        assert!(ready.starts_with("HTTP/1.1 200") && ready.contains("ok   model: "), "{ready}");
        let is_file = matches!(project.database, Database::Sqlite);
        assert_eq!(ready.contains(" disk: "), is_file, "{ready}");
        let figures = server.send(&request("GET /metrics", &key, ""));
        assert!(
            figures.contains("repot_http_requests_in_flight 1\n") && !figures.contains("canary7f3a"),
            "{figures}"
        );
        assert_eq!(figures.contains("repot_disk_free_bytes"), is_file);
        let (code, log) = server.stop();
        assert_eq!(code, Some(0), "{log}");
        let secret = key.split_once("rpt_").unwrap().1.trim();
        assert!(!log.contains("canary7f3a") && !log.contains(secret) && !figures.contains(secret), "{log}");
        let lines = log.lines().filter(|line| !line.starts_with("sql: "));
        let lines: Vec<Value> = lines.map(|line| serde_json::from_str(line).expect(line)).collect();
        let requests: Vec<_> = lines.iter().filter(|line| line["event"] == "request").collect();
        let routes: Vec<_> = requests.iter().map(|line| line["route"].as_str().unwrap()).collect();
        assert_eq!(routes, ["/v1/{c}", "/v1/{c}/{key}", "/v1/{c}", "/readyz", "/metrics"], "{log}");
        assert_eq!(requests[0]["status"], 401);
        assert_eq!(requests[1]["request_id"], "mine-1");
        assert_eq!(requests[1]["status"], 201);
    }
}

#[test]
fn a_server_says_which_storage_it_uses() {
    let project = Project::with(Database::Sqlite, MODEL, &[]);
    let text = |words: &[&str]| {
        let mut command = project.command(&["serve", "--listen", "127.0.0.1:0"]);
        let mut child = command.args(words).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        let mut err = BufReader::new(child.stderr.take().unwrap());
        err.read_line(&mut line).unwrap();
        child.kill().and_then(|()| child.wait()).unwrap();
        line
    };
    assert_eq!(text(&["--log", "text"]), "Using SQLite storage backend\n");
    let line: Value = serde_json::from_str(&text(&[])).unwrap();
    assert_eq!(line["event"], "listening");
    assert_eq!(line["message"], "Using SQLite storage backend");
    assert!(line["storage"].as_str().unwrap().contains("repot.db"), "{line}");
}

#[test]
fn check_says_where_each_setting_of_a_server_came_from() {
    let project = Project::with(Database::Sqlite, MODEL, &[("notes/a.json", br#"{"id":"a"}"#)]);
    project.folder.write(".env", "REPOT_LISTEN=127.0.0.1:9999\nDATABASE_POOL_SIZE=3\n");
    let mut command = project.command(&["check"]);
    for name in ["REPOT_LISTEN", "REPOT_LOG", "POSTGRES_MAX_CONNECTIONS"] {
        command.env_remove(name);
    }
    command.env("DATABASE_POOL_SIZE", "4").env("AWS_SECRET_ACCESS_KEY", "canary7f3a");
    let checked = crate::project::ran(&command.output().unwrap()).expect(0);
    for line in [
        "     REPOT_LISTEN = 127.0.0.1:9999   (.env)",
        "     DATABASE_POOL_SIZE = 4   (variable)",
        "     POSTGRES_MAX_CONNECTIONS = 14   (default)",
        "     AWS_SECRET_ACCESS_KEY = ***   (variable)",
    ] {
        assert!(checked.err.lines().any(|found| found == line), "{line}\n{}", checked.err);
    }
    assert!(!checked.err.contains("canary7f3a") && !checked.out.contains("canary7f3a"));
    let wrong = project.command(&["serve"]).env("REPOT_LOG", "xml").output().unwrap();
    let wrong = crate::project::ran(&wrong);
    assert!(wrong.code != 0 && wrong.err.contains("R0100"), "{wrong:?}");
}

/// Nothing is listened on before it is known that a key must be shown.
#[test]
fn without_keys_nobody_else_gets_in() {
    let project = Project::with(Database::Sqlite, MODEL, &[]);
    let refused = project.command(&["serve", "--listen", "192.0.2.1:0"]).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(5), "{said}");
    assert!(said.contains("error[R0125]") && said.contains("repot key create"), "{said}");
    let made = project.command(&["key", "create", "web"]).output().unwrap();
    assert!(made.status.success());
    // now it may, but that address is not one of this machine
    let taken = project.command(&["serve", "--listen", "192.0.2.1:0"]).output().unwrap();
    assert!(String::from_utf8_lossy(&taken.stderr).contains("error[R0124]"));
}

const SECRET: &[u8] = b"a secret of thirty-two bytes.....";

/// A token for this audience, for an hour from now on.
fn token(audience: &str) -> String {
    let now = repot_core::Clock::now_ms(&repot_core::SystemClock) / 1_000;
    let claims = json!({"sub": "canary7f3a", "aud": audience, "exp": now + 3_600});
    let signed = format!("{}.{}", TEXT.encode(r#"{"alg":"HS256"}"#), TEXT.encode(claims.to_string()));
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET);
    format!("{signed}.{}", TEXT.encode(hmac::sign(&key, signed.as_bytes())))
}

/// The model names whose tokens are taken; variables and flags win over it, and nobody comes in without one.
#[test]
fn tokens_are_set_up_in_the_model_or_beside_it() {
    let auth = r#"auth = { jwks = "keys.json", audience = "app", tenant_claim = "sub", rights = "read" }"#;
    let project =
        Project::with(Database::Sqlite, &format!("[repot]\n{auth}\n\n{MODEL}"), &[("notes/a.json", b"{}")]);
    let keys = json!({"keys": [{"kty": "oct", "k": TEXT.encode(SECRET)}]});
    project.folder.write("keys.json", keys.to_string());
    let status = |words: &[&str], variables: &[(&str, &str)], audience: &str| {
        let server = Serving::start(&project, &[&["--log", "json"], words].concat(), variables);
        let head = format!("authorization: Bearer {}\r\n", token(audience));
        let got = server.send(&request("GET /v1/notes", &head, ""));
        let none = server.send(&request("GET /v1/notes", "", ""));
        assert!(none.starts_with("HTTP/1.1 401") && none.contains("R0445"), "{none}");
        let put = server.send(&request("PUT /v1/notes/n", &head, r#"{"id":"n"}"#));
        assert!(put.starts_with("HTTP/1.1 40"), "it may not write: {put}");
        let (_, log) = server.stop();
        assert!(
            !log.contains("canary7f3a") && !log.contains(token(audience).split('.').nth(1).unwrap()),
            "{log}"
        );
        got.split(' ').nth(1).unwrap().to_owned()
    };
    let other = [("REPOT_JWT_AUDIENCE", "other")];
    assert_eq!(status(&[], &[], "app"), "200");
    assert_eq!(status(&[], &other, "app"), "401");
    assert_eq!(status(&["--jwt-audience", "app"], &other, "app"), "200");
    assert_eq!(status(&["--jwt-audience", "*"], &other, "third"), "200");
    let checked = project.command(&["check"]).env("REPOT_JWT_ISSUER", "https://i").output().unwrap();
    let checked = crate::project::ran(&checked).err;
    for line in [
        "     REPOT_JWKS = keys.json   (repot.toml)",
        "     REPOT_JWT_ISSUER = https://i   (variable)",
        "     REPOT_JWT_AUDIENCE = app   (repot.toml)",
    ] {
        assert!(checked.lines().any(|found| found == line), "{line}\n{checked}");
    }
    // with tokens it may listen for others too, but that address is not one of this machine
    let refused = project.command(&["serve", "--listen", "192.0.2.1:0"]).output().unwrap();
    assert!(String::from_utf8_lossy(&refused.stderr).contains("error[R0124]"), "{refused:?}");
    let plain = Project::with(Database::Sqlite, MODEL, &[]);
    for (name, value) in
        [("REPOT_JWKS", "https://i/keys"), ("REPOT_JWT_AUDIENCE", "app"), ("REPOT_JWT_ISSUER", "i")]
    {
        let half = crate::project::ran(&plain.command(&["serve"]).env(name, value).output().unwrap());
        assert!(half.code != 0 && half.err.contains("error[R0447]"), "{half:?}");
    }
    let open = plain.command(&["serve", "--jwks", "http://i/keys", "--jwt-audience", "a"]).output().unwrap();
    assert!(String::from_utf8_lossy(&open.stderr).contains("error[R0447]"), "{open:?}");
}

/// What waits for the collector when the server is told to stop is told before it ends.
#[test]
fn traces_are_told_to_the_end() {
    let collector = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", collector.local_addr().unwrap());
    let taken = std::thread::spawn(move || {
        let mut stream = BufReader::new(collector.accept().unwrap().0);
        let (mut head, mut length) = (String::new(), 0);
        while !head.ends_with("\r\n\r\n") {
            let mut line = String::new();
            stream.read_line(&mut line).unwrap();
            if let Some(said) = line.to_lowercase().strip_prefix("content-length:") {
                length = said.trim().parse().unwrap();
            }
            head.push_str(&line);
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).unwrap();
        stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").unwrap();
        (head, serde_json::from_slice::<Value>(&body).unwrap())
    });
    let project = Project::with(Database::Sqlite, MODEL, &[]);
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20canary7f3a"),
    ];
    let checked = project.command(&["check"]).envs(variables).output().unwrap();
    let checked = crate::project::ran(&checked).err;
    assert!(checked.contains("OTEL_EXPORTER_OTLP_HEADERS = ***   (variable)"), "{checked}");
    assert!(
        checked.contains("OTEL_EXPORTER_OTLP_ENDPOINT = http://127.0.0.1:")
            && !checked.contains("canary7f3a")
    );
    let server = Serving::start(&project, &["--log", "json"], &variables);
    assert!(server.send(&request("GET /v1/notes", "", "")).starts_with("HTTP/1.1 200"));
    let (code, log) = server.stop();
    assert!(code == Some(0) && !log.contains("canary7f3a"), "{log}");
    let (head, body) = taken.join().unwrap();
    assert!(head.starts_with("POST /v1/traces HTTP/1.1\r\n") && head.contains("Bearer canary7f3a"), "{head}");
    let span = &body["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
    assert_eq!((&span["name"], &span["kind"]), (&json!("GET /v1/{c}"), &json!(2)));
    // a collector that is gone is no reason to fail
    let server = Serving::start(&project, &["--log", "json"], &variables);
    assert!(server.send(&request("GET /v1/notes", "", "")).starts_with("HTTP/1.1 200"));
    assert_eq!(server.stop().0, Some(0));
}
