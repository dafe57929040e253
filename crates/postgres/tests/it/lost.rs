//! The answer to a commit gets lost on the way.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use repot_core::{Batch, Target};

use crate::fixture::{Fixture, item, me, open, user};

/// What the proxy does with the next commits.
#[derive(Clone, Copy, PartialEq)]
enum Cut {
    /// The server gets it, the answer is dropped.
    Answer,
    /// The server does not get it.
    Question,
}

/// A proxy that cuts the connection at a commit, so many times. Gives its port and the cuts left.
fn proxy(server: String, cut: Cut, times: u32) -> (u16, Arc<AtomicU32>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let left = Arc::new(AtomicU32::new(times));
    let shared = Arc::clone(&left);
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let upstream = TcpStream::connect(&server).unwrap();
            let (mut answers, mut to_client) = (upstream.try_clone().unwrap(), client.try_clone().unwrap());
            thread::spawn(move || {
                let copied = std::io::copy(&mut answers, &mut to_client);
                drop(copied);
            });
            let left = Arc::clone(&shared);
            thread::spawn(move || forward(client, upstream, cut, &left));
        }
    });
    (port, left)
}

fn forward(mut client: TcpStream, mut upstream: TcpStream, cut: Cut, left: &AtomicU32) {
    let mut bytes = vec![0; 65_536];
    while let Ok(count @ 1..) = client.read(&mut bytes) {
        let part = &bytes[..count];
        let commits = part.windows(7).any(|window| window == b"commit\0");
        let cuts = commits
            && left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        if cuts && cut == Cut::Answer {
            client.shutdown(Shutdown::Both).unwrap();
        }
        if !(cuts && cut == Cut::Question) && upstream.write_all(part).is_err() {
            return;
        }
        if cuts {
            drop(client.shutdown(Shutdown::Both));
            drop(upstream.shutdown(Shutdown::Write));
            // until the server has done all that it got: closed before that, the rest is thrown away unread
            drop(std::io::copy(&mut upstream, &mut std::io::sink()));
            return;
        }
    }
    drop(upstream.shutdown(Shutdown::Write));
}

/// The same database through the proxy.
fn through(url: &str, port: u16) -> (String, String) {
    let rest = url.split_once("://").unwrap().1;
    let (place, database) = rest.split_once('/').unwrap();
    let (user, host) = place.split_once('@').unwrap();
    // the proxy reads what goes by
    let database = database.split('?').next().unwrap();
    (host.to_owned(), format!("postgresql://{user}@127.0.0.1:{port}/{database}?sslmode=disable"))
}

fn batch(path: &str) -> Batch {
    Batch {
        items: vec![item(path, &[vec![user(path, None, None)]])],
        dictionaries: Vec::new(),
        ..Batch::default()
    }
}

#[test]
fn no_loss_and_no_double() {
    for cut in [Cut::Answer, Cut::Question] {
        let Some(fixture) = Fixture::new() else { return };
        let (host, _) = through(&fixture.url, 0);
        let (port, left) = proxy(host, cut, 0);
        let mut target = open(&through(&fixture.url, port).1);
        target.lock(&me(1)).unwrap();
        for path in ["a", "b", "c"] {
            left.store(1, Ordering::SeqCst);
            let report = target.load(&fixture.plan, batch(path)).unwrap();
            assert_eq!(left.load(Ordering::SeqCst), 0, "the proxy has cut");
            assert_eq!(report.refused, []);
        }
        left.store(1, Ordering::SeqCst);
        target.set_meta("k", Some("v")).unwrap();
        assert_eq!(fixture.paths(), ["a", "b", "c"]);
        assert_eq!(fixture.sql("select count(*), count(distinct id) from \"Users\""), "3|3\n");
        assert_eq!(fixture.reader().meta("k").unwrap().as_deref(), Some("v"));
    }
}

#[test]
fn a_killed_session_is_an_error_and_the_next_call_connects_anew() {
    let Some(mut fixture) = Fixture::new() else { return };
    let killed = fixture.sql("select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = 'repot' and datname = current_database()");
    assert_eq!(killed, "1\n");
    if let Err(error) = fixture.target.load(&fixture.plan, batch("a")) {
        assert_eq!(error.code(), "R0106", "{error:?}");
        assert!(error.next_step().unwrap().contains("same command again"));
        fixture.target.load(&fixture.plan, batch("a")).unwrap();
    }
    assert_eq!(fixture.paths(), ["a"]);
}

/// The commit of a unit goes with its last statements: cut off with them, it is looked up, too.
#[test]
fn a_unit_that_is_cut_off_is_done_once() {
    for cut in [Cut::Answer, Cut::Question] {
        let Some(fixture) = Fixture::new() else { return };
        let (host, _) = through(&fixture.url, 0);
        let (port, left) = proxy(host, cut, 0);
        let mut target = open(&through(&fixture.url, port).1);
        target.share(&me(1)).unwrap();
        for path in ["a", "b", "c"] {
            left.store(1, Ordering::SeqCst);
            let mut decided = 0;
            let report = target.transact(&fixture.plan, &[path.to_owned()], &mut |_| {
                decided += 1;
                Ok(Some(batch(path)))
            });
            assert_eq!(report.unwrap().refused, []);
            assert_eq!(left.load(Ordering::SeqCst), 0, "the proxy has cut");
            assert_eq!(
                decided,
                if cut == Cut::Answer { 1 } else { 2 },
                "what was committed is not done again"
            );
        }
        assert_eq!(fixture.paths(), ["a", "b", "c"]);
        assert_eq!(fixture.sql("select count(*), count(distinct id) from \"Users\""), "3|3\n");
    }
}
