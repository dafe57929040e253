//! kill -9 of servers: one of two over a PostgreSQL, whose clients go to the other, and the one over a SQLite file.

use std::sync::Arc;

use repot::{Config, Repot};
use repot_core::{Clock, SystemClock};
use repot_engine::{SystemEntropy, TokioPacing};
use repot_server::{App, Options, Outside};

use super::MODEL;
use super::client::{begin, check};
use super::listener::Listener;
use super::server::Server;
use super::world::{Clients, World};
use crate::project::{Database, Project, databases};

/// Requests that are done between one kill and the next.
const STEPS: usize = 30;

/// Two minutes ahead: the leases of keys are over.
#[derive(Debug)]
struct Ahead;

impl Clock for Ahead {
    fn now_ms(&self) -> i64 {
        SystemClock.now_ms() + 120_000
    }
}

/// A server in this process whose time is later; gives its address.
pub(super) fn serve_later(runtime: &tokio::runtime::Runtime, project: &Project) -> String {
    let url = match &project.database {
        Database::Sqlite => format!("sqlite:///{}", project.path("repot.db").display()),
        Database::Postgres(url) => url.clone(),
    };
    runtime.block_on(async {
        let repot = Repot::open(Config::with_model_text(&url, MODEL)).await.unwrap();
        let outside = Outside {
            clock: Arc::new(Ahead),
            pacing: Arc::new(TokioPacing),
            entropy: Arc::new(SystemEntropy),
        };
        let app = App::new(repot.store(), repot.layout().clone(), outside, Options::default()).unwrap();
        let server = repot_server::Server::bind(app, "127.0.0.1:0").await.unwrap();
        let address = server.address().unwrap().to_string();
        tokio::spawn(server.run(std::future::pending()));
        address
    })
}

#[test]
fn killed_servers_lose_and_double_nothing() {
    for database in databases() {
        // a SQLite file belongs to one server
        let count = if matches!(database, Database::Sqlite) { 1 } else { 2 };
        let project = Project::with(database, MODEL, &[]);
        let mut servers: Vec<Server> = (0..count).map(|_| Server::start(&project)).collect();
        let addresses: Vec<&str> = servers.iter().map(|server| server.address.as_str()).collect();
        let world = World::new(&addresses, true);
        begin(&world);
        let listener = Listener::start(&world);
        let clients = Clients::start(&world);
        for round in 0..3 {
            let at = round % count;
            clients.until(|world| &world.places[at].done, STEPS);
            servers[at].kill();
            clients.until(|world| &world.places[at].failed, 10);
            // the others go on
            if count > 1 {
                clients.until(|world| &world.places[1 - at].done, STEPS);
            }
            servers[at] = Server::start(&project);
            world.places[at].moves(&servers[at].address);
        }
        clients.until(|world| &world.places[0].done, STEPS);
        let done = clients.end();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.unwrap();
        let heard = if count == 1 {
            // who comes later needs the file for itself
            drop(servers);
            let later = World::new(&[&serve_later(&runtime, &project)], false);
            world.places[0].moves(&later.places[0].address());
            let changes = check(&later, &later, &done);
            let heard = listener.end(&later);
            heard.check(&changes);
            heard
        } else {
            let later = World::new(&[&serve_later(&runtime, &project)], false);
            let changes = check(&world, &later, &done);
            let heard = listener.end(&world);
            heard.check(&changes);
            heard
        };
        assert!(heard.streams > 1, "its server was killed too");
    }
}
