//! A server that crashes forgets transactions whose log was not written yet, and gives their numbers out again: what became
//! of a commit must not be read from what a stranger did under the same number.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use repot_core::{Batch, Error, Kind, LoadReport, Result, Retry, Target as _};
use repot_postgres::PostgresTarget;
use repot_testkit::postgres::{PgServer, postgres};
use repot_testkit::{OwnPostgres, Stop};

use crate::fixture::{item, me, open, plan, user};

/// How far the commit gets.
#[derive(Clone, Copy, PartialEq)]
enum Gets {
    /// The server does not see it.
    Nowhere,
    /// The server does it, the answer does not come back.
    Done,
    /// Something went wrong in the transaction before, and nobody heard of it.
    ToAnAborted,
}

/// Between the writer and the server. Once armed it holds the session of the next commit: the writer hears nothing until it
/// is let go, and then only that the connection is lost.
struct Proxy {
    port: u16,
    armed: Arc<AtomicBool>,
    reached: Receiver<()>,
    go: Sender<()>,
}

/// One session through the proxy.
struct Session {
    gets: Gets,
    armed: Arc<AtomicBool>,
    held: Arc<AtomicBool>,
    reached: Sender<()>,
    go: Arc<Mutex<Receiver<()>>>,
}

impl Proxy {
    fn new(server: String, gets: Gets) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let armed = Arc::new(AtomicBool::new(false));
        let ((reaches, reached), (go, goes)) = (channel(), channel());
        let (arms, goes) = (Arc::clone(&armed), Arc::new(Mutex::new(goes)));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let upstream = TcpStream::connect(&server).unwrap();
                let held = Arc::new(AtomicBool::new(false));
                let (answers, to_client) = (upstream.try_clone().unwrap(), client.try_clone().unwrap());
                let (holds, reaches_too) = (Arc::clone(&held), reaches.clone());
                thread::spawn(move || answer(answers, to_client, (gets, &holds), &reaches_too));
                let (armed, reached, go) = (Arc::clone(&arms), reaches.clone(), Arc::clone(&goes));
                let session = Session { gets, armed, held, reached, go };
                thread::spawn(move || session.ask(client, upstream));
            }
        });
        Self { port, armed, reached, go }
    }
}

fn answer(
    mut answers: TcpStream,
    mut to_client: TcpStream,
    (gets, held): (Gets, &AtomicBool),
    reached: &Sender<()>,
) {
    let mut bytes = vec![0; 65_536];
    while let Ok(count @ 1..) = answers.read(&mut bytes) {
        if held.load(Ordering::SeqCst) {
            if gets != Gets::ToAnAborted {
                let _ = reached.send(());
                return;
            }
            // the end of the answer to what went wrong
            if bytes[..count].ends_with(b"Z\0\0\0\x05E") {
                held.store(false, Ordering::SeqCst);
                reached.send(()).unwrap();
            }
            continue;
        }
        if to_client.write_all(&bytes[..count]).is_err() {
            return;
        }
    }
}

impl Session {
    fn ask(self, mut client: TcpStream, mut upstream: TcpStream) {
        let mut bytes = vec![0; 65_536];
        while let Ok(count @ 1..) = client.read(&mut bytes) {
            let part = &bytes[..count];
            let commits = part.windows(7).any(|window| window == b"commit\0");
            let holds = commits && self.armed.swap(false, Ordering::SeqCst);
            self.held.fetch_or(holds, Ordering::SeqCst);
            if holds && self.gets == Gets::Nowhere {
                self.reached.send(()).unwrap();
            } else if holds && self.gets == Gets::ToAnAborted {
                upstream.write_all(b"Q\0\0\0\x0fselect 1/0\0").unwrap();
            } else if upstream.write_all(part).is_err() {
                return;
            }
            if holds {
                self.go.lock().unwrap().recv().unwrap();
                if self.gets != Gets::ToAnAborted {
                    drop(client.shutdown(Shutdown::Both));
                    return;
                }
                upstream.write_all(part).unwrap();
            }
        }
        drop(upstream.shutdown(Shutdown::Write));
    }
}

fn batch(path: &str) -> Batch {
    let id = format!("user {path}");
    let items = vec![item(path, &[vec![user(&id, None, None)]])];
    Batch { items, dictionaries: Vec::new(), ..Batch::default() }
}

/// What happens to a commit.
struct Story {
    gets: Gets,
    stop: Stop,
    /// Others take numbers until theirs are past that of the transaction.
    others: bool,
}

/// A database with the file `a`, written through a proxy that holds the next commit.
fn armed(server: &PgServer, gets: Gets) -> (String, Proxy, PostgresTarget) {
    let url = server.fresh_database();
    let place = url.split_once('@').unwrap().1.split('/').next().unwrap();
    let proxy = Proxy::new(place.to_owned(), gets);
    let name = url.rsplit('/').next().unwrap().split('?').next().unwrap();
    let mut target = open(&format!("postgresql://postgres@127.0.0.1:{}/{name}?sslmode=disable", proxy.port));
    target.lock(&me(1)).unwrap();
    target.create(&plan(), "the model").unwrap();
    target.load(&plan(), batch("a")).unwrap();
    proxy.armed.store(true, Ordering::SeqCst);
    (url, proxy, target)
}

const PATHS: &str = "select string_agg(path, ' ' order by path) from repot_objects";

/// How the load of `b` ended, and which files are there.
fn tell(own: &mut OwnPostgres, story: &Story) -> (Result<LoadReport>, String) {
    let server = own.server();
    let (url, proxy, mut target) = armed(&server, story.gets);
    let loading = thread::spawn(move || target.load(&plan(), batch("b")));
    proxy.reached.recv().unwrap();
    let number = "select coalesce(max(backend_xid::text::bigint), 0) from pg_stat_activity where application_name = 'repot'";
    let number: u64 = server.query(&url, number).trim().parse().unwrap();
    own.stop(story.stop);
    own.start_again();
    if story.others {
        let mut next = taken(&server, &url);
        assert!(next <= number, "{next} is past {number}: the number is not given out again");
        while next < number {
            next = taken(&server, &url);
        }
    }
    proxy.go.send(()).unwrap();
    (loading.join().unwrap(), server.query(&url, PATHS))
}

/// Takes a number, and commits.
fn taken(server: &PgServer, url: &str) -> u64 {
    server.query(url, "select pg_current_xact_id()").trim().parse().unwrap()
}

/// A server that writes its log when something is committed, and not before.
fn start() -> Option<OwnPostgres> {
    let own = OwnPostgres::start()?;
    let server = own.server();
    for setting in ["wal_writer_delay = '10s'", "bgwriter_delay = '10s'", "autovacuum = off"] {
        assert_eq!(server.query(server.url(), &format!("alter system set {setting}")), "");
    }
    assert_eq!(server.query(server.url(), "select pg_reload_conf()"), "t\n");
    Some(own)
}

fn is_unknown(ended: &Result<LoadReport>) -> bool {
    let expected = |error: &Error| (error.kind(), error.code()) == (Kind::TargetUnavailable, "R0106");
    ended.as_ref().is_err_and(|error| expected(error) && error.may_retry() == Retry::Unknown)
}

#[test]
fn a_number_that_a_crash_gives_to_somebody_else_acknowledges_nothing() {
    let Some(mut own) = start() else { return };
    let story = Story { gets: Gets::Nowhere, stop: Stop::Immediate, others: true };
    let (ended, there) = tell(&mut own, &story);
    assert!(is_unknown(&ended), "{ended:?}");
    assert_eq!(there, "a\n");
}

#[test]
fn a_number_that_nobody_has_had_since_a_crash_is_not_waited_for() {
    let Some(mut own) = start() else { return };
    let story = Story { gets: Gets::Nowhere, stop: Stop::Immediate, others: false };
    let (ended, there) = tell(&mut own, &story);
    assert!(is_unknown(&ended), "{ended:?}");
    assert_eq!(there, "a\n");
}

#[test]
fn what_was_committed_before_a_crash_is_not_said_to_be_undone() {
    let Some(mut own) = start() else { return };
    let story = Story { gets: Gets::Done, stop: Stop::Immediate, others: false };
    let (ended, there) = tell(&mut own, &story);
    assert!(is_unknown(&ended), "{ended:?}");
    assert_eq!(there, "a b\n");
}

#[test]
fn a_server_that_stops_in_good_order_still_says_what_became_of_a_commit() {
    let Some(mut own) = start() else { return };
    let story = Story { gets: Gets::Done, stop: Stop::Fast, others: false };
    let (ended, there) = tell(&mut own, &story);
    assert_eq!(ended.unwrap().refused, []);
    assert_eq!(there, "a b\n");
}

#[test]
fn a_commit_that_is_a_rollback_is_an_error() {
    let Some(server) = postgres() else { return };
    let (url, proxy, mut target) = armed(&server, Gets::ToAnAborted);
    let loading = thread::spawn(move || (target.load(&plan(), batch("b")), target));
    proxy.reached.recv().unwrap();
    proxy.go.send(()).unwrap();
    let (ended, mut target) = loading.join().unwrap();
    let error = ended.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Failed, "R0106"), "{error:?}");
    assert_eq!(server.query(&url, PATHS), "a\n");
    target.load(&plan(), batch("c")).unwrap();
    assert_eq!(server.query(&url, PATHS), "a c\n");
}
