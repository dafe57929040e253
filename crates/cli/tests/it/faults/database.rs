//! A PostgreSQL that is stopped and started again under two servers.

use std::sync::atomic::Ordering;

use repot_testkit::{OwnPostgres, Stop};

use super::MODEL;
use super::client::{begin, check};
use super::listener::Listener;
use super::server::{Server, send};
use super::world::{Clients, World};
use crate::project::{Database, Project};

/// Requests that are done between one event and the next.
const STEPS: usize = 30;

#[test]
fn a_database_that_restarts_loses_nothing_and_is_told_of() {
    let Some(mut own) = OwnPostgres::start() else { return };
    let project = Project::with(Database::Postgres(own.server().fresh_database()), MODEL, &[]);
    let mut servers = [Server::start(&project), Server::start(&project)];
    let addresses = [servers[0].address.as_str(), servers[1].address.as_str()];
    let world = World::new(&addresses, false);
    begin(&world);
    let listeners = [0, 1].map(|at: usize| Listener::start(&World::new(&addresses[at..=at], false)));
    let clients = Clients::start(&world);
    for how in [Stop::Immediate, Stop::Fast, Stop::Immediate] {
        both(&clients, STEPS);
        own.stop(how);
        for place in 0..world.places.len() {
            clients.until(|world| &world.places[place].failed, 20);
        }
        addresses.iter().for_each(|address| says_it_is_away(address));
        own.start_again();
    }
    both(&clients, STEPS);
    let done = clients.end();
    let changes = check(&world, &world, &done);
    for listener in listeners {
        let heard = listener.end(&world);
        heard.check(&changes);
        assert_eq!(heard.streams, 1, "the stream held out");
    }
    assert!(world.places.iter().all(|place| place.failed.load(Ordering::SeqCst) > 0));
    for address in addresses {
        assert_eq!(send(address, "GET /readyz", "", "").unwrap().status, 200);
    }
    assert!(servers.iter_mut().all(Server::runs));
}

/// Both servers do so many more requests.
fn both(clients: &Clients, more: usize) {
    for place in 0..2 {
        clients.until(|world| &world.places[place].done, more);
    }
}

/// A server whose database is away lives, is not ready, and says why.
fn says_it_is_away(address: &str) {
    assert_eq!(send(address, "GET /healthz", "", "").unwrap().status, 200);
    let ready = send(address, "GET /readyz", "", "").unwrap();
    assert_eq!(ready.status, 503, "{ready:?}");
    assert!(ready.header("retry-after").is_some());
    let says_why = |code: &str| ["R0106", "R0433"].contains(&code);
    assert!(says_why(&ready.code()), "{ready:?}");
    let why = send(address, "GET /readyz?verbose", "", "").unwrap();
    // where it has to be looked up whether there are keys, nothing more can be said
    let is_point = why.body.starts_with("FAIL database: ");
    assert!(why.status == 503 && (is_point || says_why(&why.code())), "{why:?}");
}
