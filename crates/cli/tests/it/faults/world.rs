//! What clients, their servers and who breaks them share.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use super::client::{Client, Done};
use super::server::{Answer, send};

/// Clients at once.
const CLIENTS: usize = 6;

/// A server's place: who is there may change.
#[derive(Default)]
pub(super) struct Place {
    address: Mutex<String>,
    /// Requests that were done.
    pub done: AtomicUsize,
    /// Requests that were not, or nobody knows.
    pub failed: AtomicUsize,
}

impl Place {
    pub(super) fn address(&self) -> String {
        self.address.lock().unwrap().clone()
    }

    pub(super) fn moves(&self, address: &str) {
        address.clone_into(&mut self.address.lock().unwrap());
    }
}

/// What all share.
pub(super) struct World {
    pub places: Vec<Place>,
    ends: AtomicBool,
    /// Servers are killed: then a key stays taken for as long as its lease.
    pub kills: bool,
}

impl World {
    pub(super) fn new(addresses: &[&str], kills: bool) -> Arc<Self> {
        let places = addresses.iter().map(|address| {
            let place = Place::default();
            place.moves(address);
            place
        });
        Arc::new(Self { places: places.collect(), ends: AtomicBool::new(false), kills })
    }

    /// Sends a request to one of the servers. `None`: it was not done, or nobody knows.
    pub(super) fn ask(&self, turn: usize, line: &str, headers: &str, body: &str) -> Option<Answer> {
        let place = &self.places[turn % self.places.len()];
        let answer = send(&place.address(), line, headers, body).filter(|answer| {
            if answer.status == 503 {
                assert!(answer.header("retry-after").is_some(), "{answer:?}");
                assert!(!answer.code().is_empty());
            }
            assert!(answer.status < 500 || answer.status == 503, "{line}: {answer:?}");
            answer.status != 503
        });
        let count = if answer.is_some() { &place.done } else { &place.failed };
        count.fetch_add(1, Ordering::SeqCst);
        if answer.is_none() {
            std::thread::yield_now();
        }
        answer
    }

    /// As [`World::ask`], until there is an answer.
    pub(super) fn insist(&self, turn: usize, line: &str, headers: &str, body: &str) -> Answer {
        (turn..).find_map(|turn| self.ask(turn, line, headers, body)).unwrap()
    }

    pub(super) fn goes_on(&self) -> bool {
        !self.ends.load(Ordering::SeqCst)
    }
}

/// The clients at work.
pub(super) struct Clients {
    world: Arc<World>,
    threads: Vec<JoinHandle<Done>>,
}

impl Clients {
    pub(super) fn start(world: &Arc<World>) -> Self {
        let start = |number| {
            let client = Client::new(Arc::clone(world), number);
            std::thread::spawn(move || client.work())
        };
        Self { world: Arc::clone(world), threads: (0..CLIENTS).map(start).collect() }
    }

    /// Waits until a number is so much larger, while all work.
    pub(super) fn until(&self, number: impl Fn(&World) -> &AtomicUsize, more: usize) {
        let wanted = number(&self.world).load(Ordering::SeqCst) + more;
        while number(&self.world).load(Ordering::SeqCst) < wanted {
            assert!(!self.threads.iter().any(JoinHandle::is_finished), "a client gave up");
            std::thread::yield_now();
        }
    }

    /// What each of them did.
    pub(super) fn end(self) -> Vec<Done> {
        self.world.ends.store(true, Ordering::SeqCst);
        self.threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    }
}
