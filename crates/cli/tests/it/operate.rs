//! `repot serve` as a process: its log, its end, and where its settings come from.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::project::{Database, Project, databases};

const MODEL: &str =
    "[notes]\nfile = \"notes/{id}.json\"\n[notes.fields]\nid = \"text key\"\ntitle = \"text?\"\n";

/// A server that is killed when it is dropped.
pub(crate) struct Serving {
    child: Child,
    address: String,
}

impl Serving {
    pub(crate) fn start(project: &Project, words: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = project.command(&["serve", "--json", "--listen", "127.0.0.1:0"]);
        command.args(words).env_remove("REPOT_LOG").env_remove("REPOT_LISTEN");
        command.envs(variables.iter().copied());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let told: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(told["type"], "listening");
        Self { address: told["address"].as_str().unwrap().to_owned(), child }
    }

    pub(crate) fn send(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it as a supervisor does; gives how it ended and what it had written to standard error.
    pub(crate) fn stop(mut self) -> (Option<i32>, String) {
        let done = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(done.success());
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
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
    let line = text(&["--log", "text"]);
    assert!(line.starts_with("Storage ") && line.contains("SQLite") && line.contains("repot.db"), "{line}");
    let line: Value = serde_json::from_str(&text(&[])).unwrap();
    assert_eq!(line["event"], "listening");
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
