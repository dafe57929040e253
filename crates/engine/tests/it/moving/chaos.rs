//! Everything at once: apps that append and read, processes that are slow, cut off and killed, leads that change all the time.
//! Afterwards the answers are those of one list for each document, and both stores hold the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use repot_core::moving::Marks as _;
use repot_core::store::{Store as _, StoreExt as _};
use repot_engine::moving::{Leads, MovingStore, SLOTS};
use repot_testkit::history::{self, Did, List, Outcome};
use repot_testkit::{full, seed};
use tokio::sync::RwLock;

use super::lab::{Process, QUICK, World, chat, empty, numbers, say, text};
use crate::documents::{Database, block_on};

const USERS: usize = 4;
const CHATS: usize = 2;

/// One document, and what was done to it.
struct Subject {
    user: String,
    id: String,
    history: List,
}

struct Chaos {
    world: World,
    subjects: Vec<Subject>,
    processes: Vec<RwLock<Process>>,
    is_over: AtomicBool,
    next: AtomicU64,
    changes: AtomicU64,
}

impl Chaos {
    async fn store(&self, at: usize) -> Arc<MovingStore> {
        Arc::clone(&self.processes[at].read().await.store)
    }

    /// An app at one of the servers.
    async fn app(&self, at: usize, mut dice: u64) {
        while !self.is_over.load(Ordering::SeqCst) {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let subject = &self.subjects[(dice >> 33) as usize % self.subjects.len()];
            let key = chat(&subject.user, &subject.id);
            let (store, began) = (self.store(at).await, history::now());
            if dice >> 60 < 8 {
                let n = self.next.fetch_add(1, Ordering::SeqCst);
                // an app whose server dies hears nothing: the call goes on as long as it may
                let done = tokio::time::timeout(Duration::from_secs(2), say(&*store, &key, n)).await;
                let outcome = if matches!(done, Ok(Ok(()))) { Outcome::Done } else { Outcome::Unknown };
                subject.history.did(began, Did::Append(n, outcome));
            } else if let Ok(Ok(found)) = tokio::time::timeout(Duration::from_secs(2), store.get(&key)).await
            {
                subject.history.did(began, Did::Read(numbers(found.as_ref())));
            }
            tokio::time::sleep(Duration::from_millis(dice >> 61)).await;
        }
    }

    /// What goes wrong.
    async fn fate(&self, mut dice: u64) {
        let mut born = self.processes.len();
        while !self.is_over.load(Ordering::SeqCst) {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let at = (dice >> 40) as usize % self.processes.len();
            match dice >> 61 {
                0 => {
                    let line = Arc::clone(&self.processes[at].read().await.new_line);
                    line.cut.store(true, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(700)).await;
                    line.cut.store(false, Ordering::SeqCst);
                }
                1 => {
                    let line = Arc::clone(&self.processes[at].read().await.old_line);
                    line.cut.store(true, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(300)).await;
                    line.cut.store(false, Ordering::SeqCst);
                }
                2 | 3 => {
                    born += 1;
                    let mut process = self.world.process(&format!("p{born}"), dice);
                    process.run();
                    let mut seat = self.processes[at].write().await;
                    seat.kill();
                    *seat = process;
                }
                4 => {
                    let process = self.processes[at].read().await;
                    process.delay(600);
                    tokio::time::sleep(Duration::from_millis(800)).await;
                    process.delay(3);
                }
                5 | 6 => {
                    // who follows the old store also sees what Repot wrote there, and marks it once more
                    let subject = &self.subjects[(dice >> 20) as usize % self.subjects.len()];
                    let moving = Arc::clone(&self.processes[at].read().await.moving);
                    let _out_of_reach = moving.mark(&[chat(&subject.user, &subject.id)]).await;
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                _ => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    /// Changes the leads all the time.
    async fn driver(&self, mut dice: u64) {
        let driver = self.world.process("driver", dice);
        while !self.is_over.load(Ordering::SeqCst) {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let leads = leads_by_chance(dice);
            if driver.moving.change(&leads, "by chance", 5_000).await.is_ok() {
                // who takes part writes an old database by itself then
                let _away = driver.moving.let_outsiders_in().await;
                self.changes.fetch_add(1, Ordering::SeqCst);
            }
        }
    }

    fn acknowledged(&self) -> usize {
        self.subjects.iter().map(|subject| subject.history.acknowledged()).sum()
    }
}

/// Who leads, and whose reads the copy answers.
pub(super) fn leads_by_chance(dice: u64) -> Leads {
    let share = |shift: u32| match (dice >> shift) % 3 {
        0 => 0,
        1 => SLOTS / 2,
        _ => SLOTS,
    };
    match (dice >> 30) % 3 {
        0 => Leads::reads(share(40)),
        1 => Leads { reads: Leads::reads(share(45)).reads, ..Leads::share(share(40)) },
        _ => Leads::share(share(40)),
    }
}

async fn begun(world: World, seed: u64) -> Chaos {
    let subject = |at: usize| Subject {
        user: format!("u{}", at / CHATS),
        id: format!("c{at}"),
        history: List::default(),
    };
    let first = world.patient("first", seed);
    first.moving.begin("chaos").await.unwrap();
    let mut processes = Vec::new();
    for at in 0..2 {
        let mut process = world.process(&format!("p{at}"), seed + at);
        process.delay(3);
        process.run();
        processes.push(RwLock::new(process));
    }
    let chaos = Chaos {
        world,
        subjects: (0..USERS * CHATS).map(subject).collect(),
        processes,
        is_over: AtomicBool::new(false),
        next: AtomicU64::new(0),
        changes: AtomicU64::new(0),
    };
    for subject in &chaos.subjects {
        let key = chat(&subject.user, &subject.id);
        first.store.create(&key, empty(&subject.user, &subject.id)).await.unwrap();
    }
    chaos
}

async fn run(world: World, seed: u64, lasts: Duration) {
    let chaos = begun(world, seed).await;
    let begun = Instant::now();
    let clock = async {
        // a busy machine needs longer
        let enough = || chaos.acknowledged() > 20 && chaos.changes.load(Ordering::SeqCst) > 1;
        while begun.elapsed() < lasts || !enough() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        chaos.is_over.store(true, Ordering::SeqCst);
    };
    tokio::join!(
        clock,
        chaos.app(0, seed ^ 1),
        chaos.app(0, seed ^ 2),
        chaos.app(1, seed ^ 3),
        chaos.app(1, seed ^ 4),
        chaos.fate(seed ^ 5),
        chaos.driver(seed ^ 6),
    );
    for process in &chaos.processes {
        process.write().await.kill();
    }
    // what the dead have sent still arrives
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let last = chaos.world.patient("last", seed);
    for share in [SLOTS, 0] {
        last.moving.change(&Leads::share(share), "the end", 60_000).await.unwrap();
        in_step(&last).await;
        for subject in &chaos.subjects {
            let key = chat(&subject.user, &subject.id);
            let read = last.store.get(&key).await.unwrap();
            let checked = subject.history.check(&numbers(read.as_ref()));
            assert_eq!(checked, Ok(()), "seed {seed}, {key}");
            let (old, new) = (text(&*chaos.world.old(), &key).await, text(&*chaos.world.new, &key).await);
            assert_eq!(old, new, "seed {seed}, {key}");
        }
    }
}

/// Copies until nothing is left to be copied.
async fn in_step(process: &Process) {
    loop {
        process.moving.mend().await.unwrap();
        while process.moving.read_log().await.unwrap() {}
        process.moving.copy_marked().await.unwrap();
        if process.moving.journal().pending().await.unwrap() == 0 && !process.moving.read_log().await.unwrap()
        {
            return;
        }
    }
}

#[test]
fn answers_are_those_of_one_list_whatever_happens() {
    let (rounds, lasts) = if full() { (20, Duration::from_secs(15)) } else { (1, Duration::from_secs(4)) };
    for round in 0..rounds {
        for database in Database::all() {
            let seed = seed() + round;
            block_on(run(World::new(database, QUICK), seed, lasts));
        }
    }
}

/// The same between two databases: the old store is the objects view of one.
#[test]
fn answers_are_those_of_one_list_between_databases() {
    let lasts = if full() { Duration::from_secs(60) } else { Duration::from_secs(4) };
    for (at, database) in (0..).zip(Database::all()) {
        let old =
            if at == 0 { Database::postgres().unwrap_or_else(Database::sqlite) } else { Database::sqlite() };
        block_on(run(World::of_databases(old, database, QUICK), seed() + at, lasts));
    }
}
