//! Thousands of writes, readers whose connections break anywhere, and servers that start again: no gap and no repeat.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use repot_core::store::{DocumentKey, Precondition, Queryable, UnitOfWork, Write};
use tokio::task::JoinSet;

use super::clients::{Events, Frame, Socket};
use super::kit::{Base, Served};

const WRITERS: usize = 4;
const UNITS: usize = 26;
const WRITES_A_UNIT: usize = 20;
const ALL: usize = WRITERS * UNITS * WRITES_A_UNIT;

/// Where servers are now.
type Addresses = Arc<Mutex<Vec<SocketAddr>>>;

/// Numbers that look like chance, from a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % most
    }
}

async fn write(store: Arc<dyn Queryable>, writer: usize, from: usize, to: usize) {
    for unit in from..to {
        let work = (0..WRITES_A_UNIT).fold(UnitOfWork::default(), |work, at| {
            // half of the documents are written again and again
            let id = if at % 2 == 0 { format!("w{writer}-{at}") } else { format!("w{writer}-{unit}-{at}") };
            let body = format!(r#"{{"id": "{id}", "n": {unit}}}"#).into();
            let key = DocumentKey::new("notes", &id);
            work.with(Write::Put { key, body, when: Precondition::Any })
        });
        store.apply(work).await.unwrap();
    }
}

/// Reads all of it over connections that are given up after a few changes, anywhere.
async fn read(addresses: Addresses, seed: u64, sockets: bool) -> Vec<(u64, String)> {
    let mut dice = Dice(seed);
    let mut seen: Vec<(u64, String)> = Vec::new();
    while seen.len() < ALL {
        let address = {
            let addresses = addresses.lock().unwrap();
            addresses[dice.below(addresses.len())]
        };
        let most = 1 + dice.below(400);
        let last = seen.last().map_or(0, |(seq, _)| *seq);
        let taken = if sockets {
            by_socket(address, last, most, &mut seen).await
        } else {
            by_events(address, last, most, &mut seen).await
        };
        if taken == 0 {
            tokio::task::yield_now().await;
        }
    }
    seen
}

async fn by_events(address: SocketAddr, last: u64, most: usize, seen: &mut Vec<(u64, String)>) -> usize {
    let headers = format!("last-event-id: {last}\r\n");
    let Some(mut events) = Events::try_open(address, "", &headers).await else { return 0 };
    assert_eq!(events.status, 200);
    for taken in 0..most.min(ALL - seen.len()) {
        let Some(change) = events.change().await else { return taken };
        seen.push((change["seq"].as_u64().unwrap(), change["key"].as_str().unwrap().to_owned()));
    }
    most
}

async fn by_socket(address: SocketAddr, last: u64, most: usize, seen: &mut Vec<(u64, String)>) -> usize {
    let Some((status, mut socket)) = Socket::try_open(address, &format!("?since={last}"), "").await else {
        return 0;
    };
    assert_eq!(status, 101);
    let mut taken = 0;
    while taken < most.min(ALL) && seen.len() < ALL {
        let Some(Frame::Text(change)) = socket.next().await else { return taken };
        if let Some(seq) = change["seq"].as_u64() {
            seen.push((seq, change["key"].as_str().unwrap().to_owned()));
            taken += 1;
        }
    }
    taken
}

/// Every write once, in order, and those of one document in the order of their commits.
fn check(seen: &[(u64, String)]) {
    assert_eq!(seen.len(), ALL);
    assert!(seen.windows(2).all(|two| two[0].0 < two[1].0), "positions only grow");
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for (_, key) in seen {
        *counts.entry(key).or_default() += 1;
    }
    for writer in 0..WRITERS {
        for at in 0..WRITES_A_UNIT {
            if at % 2 == 0 {
                assert_eq!(counts[format!("w{writer}-{at}").as_str()], UNITS);
            } else {
                assert!((0..UNITS).all(|unit| counts[format!("w{writer}-{unit}-{at}").as_str()] == 1));
            }
        }
    }
}

async fn no_gap_and_no_repeat(base: Base, servers: usize) {
    let mut running = Vec::new();
    for _ in 0..servers {
        running.push(base.serve().await);
    }
    let addresses: Addresses = Arc::default();
    let now = |running: &[Served]| running.iter().map(|served| served.address).collect::<Vec<_>>();
    *addresses.lock().unwrap() = now(&running);
    let mut readers = JoinSet::new();
    for seed in 0..4 {
        readers.spawn(read(Arc::clone(&addresses), seed, seed == 3));
    }
    for (from, to) in [(0, UNITS / 2), (UNITS / 2, UNITS)] {
        let mut writers = JoinSet::new();
        for writer in 0..WRITERS {
            writers.spawn(write(running[writer % servers].store(), writer, from, to));
        }
        while writers.join_next().await.transpose().unwrap().is_some() {}
        if to == UNITS {
            break;
        }
        // all servers go, and others come
        for served in running.drain(..) {
            assert_eq!(served.stop().await, 0);
        }
        for _ in 0..servers {
            running.push(base.serve().await);
        }
        *addresses.lock().unwrap() = now(&running);
    }
    while let Some(seen) = readers.join_next().await {
        check(&seen.unwrap());
    }
    for served in running {
        assert_eq!(served.stop().await, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_gap_and_no_repeat_on_sqlite() {
    no_gap_and_no_repeat(Base::sqlite(), 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_gap_and_no_repeat_between_two_servers_over_one_postgres() {
    let Some(base) = Base::postgres() else { return };
    no_gap_and_no_repeat(base, 2).await;
}
