//! A server that is killed between the effect of a request and the note that it was done: there is no such moment, so the
//! same request sent again under its `Idempotency-Key` never does it twice.

use std::thread::JoinHandle;

use repot_testkit::postgres::PgServer;
use serde_json::json;

use super::MODEL;
use super::killed::serve_later;
use super::server::{Server, send};
use crate::project::{Database, Project};

/// Each later state of a request's key waits for the one who holds this lock.
const TRIGGER: &str = "
create function gate() returns trigger language plpgsql as
  $$ begin perform pg_advisory_xact_lock_shared(77); return new; end $$;
create trigger gate before update on repot_facts for each row
  when (old.kind = 'idempotency' and length(old.value) > 0) execute function gate()";
const SHUT: &str = "select count(*) from pg_locks where objid = 77 and granted and OURS";
const WAITING: &str = "select count(*) from pg_locks where objid = 77 and not granted and OURS";
const OPEN: &str =
    "select count(pg_terminate_backend(pid)) from pg_locks where objid = 77 and granted and OURS";
/// Locks of this database: others test at the same time.
const OURS: &str =
    "locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())";
const SESSIONS: &str = "select count(*) from pg_stat_activity \
                        where application_name = 'repot' and datname = current_database()";

/// A database whose keys of requests stay as they are.
struct Gate<'a> {
    server: &'a PgServer,
    url: &'a str,
    holder: JoinHandle<()>,
}

impl<'a> Gate<'a> {
    fn shut(server: &'a PgServer, url: &'a str) -> Self {
        assert_eq!(server.query(url, TRIGGER), "");
        let (own, to) = (server.clone(), url.to_owned());
        let holder = std::thread::spawn(move || {
            let held = own.try_query(&to, "select pg_advisory_lock(77); select pg_sleep(600)");
            held.expect_err("the session is ended");
        });
        let gate = Self { server, url, holder };
        gate.until(SHUT, "1\n");
        gate
    }

    fn until(&self, sql: &str, says: &str) {
        while self.ask(sql) != says {}
    }

    fn ask(&self, sql: &str) -> String {
        self.server.query(self.url, &sql.replace("OURS", OURS))
    }

    /// Lets through who waits, and waits until nobody is at work any more.
    fn open(self) {
        assert_eq!(self.ask(OPEN), "1\n");
        self.until(SESSIONS, "0\n");
        self.holder.join().unwrap();
    }
}

/// Documents to work on; gives the entry of the record that is to be taken back.
fn prepare(address: &str) -> i64 {
    let send = |line: &str, body: &str| {
        let answer = send(address, line, "", body).unwrap();
        assert!((200..300).contains(&answer.status), "{line}: {answer:?}");
        answer
    };
    send("PUT /v1/plans/p", r#"{"id":"p","used":0}"#);
    send("PUT /v1/jobs/j", r#"{"id":"j"}"#);
    for n in [1, 2] {
        send("PUT /v1/kept/a", &json!({"id": "a", "n": n}).to_string());
    }
    send("PUT /v1/kept/b", r#"{"id":"b"}"#);
    send("DELETE /v1/kept/b", "");
    send("POST /v1/kept/a:history", "").json()["items"][0]["id"].as_i64().unwrap()
}

/// A request that does something once, how that is seen, before and after.
fn done_once(postgres: &PgServer, (line, body): (&str, &str), (sql, before, after): (&str, &str, &str)) {
    let url = postgres.fresh_database();
    let project = Project::with(Database::Postgres(url.clone()), MODEL, &[]);
    let mut server = Server::start(&project);
    let entry = prepare(&server.address).to_string();
    let body = body.replace("ENTRY", &entry);
    let seen = || postgres.query(&url, sql).trim().to_owned();
    assert_eq!(seen(), before);
    let gate = Gate::shut(postgres, &url);
    let key = "idempotency-key: k\r\n";
    let address = server.address.clone();
    std::thread::scope(|scope| {
        let sent = scope.spawn(|| send(&address, line, key, &body));
        gate.until(WAITING, "1\n");
        assert_eq!(seen(), before, "{line}: it was done, and not noted yet");
        server.kill();
        assert!(sent.join().unwrap().is_none());
    });
    gate.open();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let later = serve_later(&runtime, &project);
    for replayed in [false, true] {
        let answer = send(&later, line, key, &body).unwrap();
        assert!((200..300).contains(&answer.status), "{line}: {answer:?}");
        // the first may have been done before the end
        assert!(!replayed || answer.header("idempotent-replayed") == Some("true"), "{answer:?}");
        assert_eq!(seen(), after, "{line}");
    }
}

macro_rules! done_once {
    ($($name:ident $line:literal $body:literal $sql:literal $before:literal $after:literal),+) => {
        $(#[test]
        fn $name() {
            let Some(postgres) = repot_testkit::postgres::postgres() else { return };
            done_once(&postgres, ($line, $body), ($sql, $before, $after));
        })+
    };
}

done_once!(
    a_spend_is_noted_where_it_is_counted "POST /v1/plans/p:spend" r#"{"n":1}"# "select used from plans" "0" "1",
    a_claim_is_noted_where_it_is_made "POST /v1/jobs:claim" r#"{"lease":"1h"}"# "select tries from repot_queue" "0" "1",
    a_restore_is_noted_where_it_happens "POST /v1/kept/b:restore" "" "select count(*) from kept" "1" "2",
    a_revert_is_noted_where_it_is_written "POST /v1/kept/a:revert" r#"{"entry":ENTRY}"# "select n from kept" "2" "1",
    a_create_is_noted_where_it_is_written "POST /v1/notes" r#"{"id":"n","marks":[]}"# "select count(*) from notes" "0" "1"
);
