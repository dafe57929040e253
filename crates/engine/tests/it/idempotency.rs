//! Requests with keys of their own: every order of two callers, every place where one can be killed, 64 at once.

use std::sync::Arc;

use repot_core::store::{Store, UnitOfWork, Write};
use repot_core::{Clock as _, Kind, Result};
use repot_engine::SystemEntropy;
use repot_engine::ledger::{Answer, Begin, Caller, Fingerprint, Idempotency, IdempotencyOptions, Ticket};
use repot_testkit::HandClock;

use crate::documents::{Database, block_on, note};
use crate::ledger::open;

const LEASE: i64 = 60_000;
const DAY: i64 = 24 * 60 * 60 * 1_000;

/// Two processes' worth of stores over one database, with one clock.
struct World {
    stores: [Arc<dyn Store>; 2],
    keys: [Idempotency; 2],
    clock: Arc<HandClock>,
    _database: Database,
}

fn worlds() -> impl Iterator<Item = World> {
    Database::all().map(|database| {
        let clock = Arc::new(HandClock::at(1_700_000_000_000));
        let stores = [(), ()].map(|()| -> Arc<dyn Store> { Arc::new(open(&database, &clock)) });
        let keys = [0, 1].map(|at: usize| {
            let store = Arc::clone(&stores[at]);
            let options = IdempotencyOptions { answer_bytes_max: 1_000, ..IdempotencyOptions::default() };
            Idempotency::new(store, Arc::clone(&clock) as Arc<_>, Arc::new(SystemEntropy), options)
        });
        World { stores, keys, clock, _database: database }
    })
}

const ADA: Caller<'_> = Caller { principal: "ada", tenant: None };

fn asked(text: &str) -> Fingerprint {
    Fingerprint::of(&[b"POST", b"/v1/notes", text.as_bytes()])
}

fn answer(text: &str) -> Answer {
    let headers = vec![("etag".to_owned(), "\"1\"".to_owned())];
    Answer { status: 201, headers, body: text.to_owned().into() }
}

impl World {
    async fn begin(&self, at: usize) -> Begin {
        self.keys[at].begin(ADA, "k", asked("x")).await.unwrap()
    }

    async fn new_ticket(&self, at: usize) -> Ticket {
        let begun = self.begin(at).await;
        assert!(matches!(begun, Begin::New(_)), "{begun:?}");
        ticket(begun).unwrap()
    }

    /// Does the work: one more mark in the note.
    async fn work(&self, at: usize, ticket: &Ticket) -> Result<()> {
        self.stores[at].apply(more().noting(ticket.fact())).await.map(drop)
    }

    /// How often the work was done.
    async fn done(&self) -> usize {
        let found = self.stores[0].get(&note("a")).await.unwrap();
        found.map_or(0, |found| String::from_utf8(found.body.to_vec()).unwrap().matches("word").count())
    }
}

fn ticket(begun: Begin) -> Option<Ticket> {
    if let Begin::New(ticket) = begun { Some(ticket) } else { None }
}

fn more() -> UnitOfWork {
    let edit = repot_core::store::Edit::new(|text| {
        let count = text.map_or(0, |text| String::from_utf8_lossy(text).matches("word").count());
        let marks = vec![r#"{"word": "x"}"#; count + 1].join(", ");
        Ok(Some(format!(r#"{{"id": "a", "marks": [{marks}]}}"#).into()))
    });
    let when = repot_core::store::Precondition::Any;
    UnitOfWork::default().with(Write::Update { key: note("a"), edit, when })
}

#[test]
fn what_was_done_is_answered_again_and_not_done_again() {
    for world in worlds() {
        block_on(async {
            let ticket = world.new_ticket(0).await;
            assert!(matches!(world.begin(1).await, Begin::Busy { after_ms: 60_000 }));
            world.work(0, &ticket).await.unwrap();
            // the answer is on its way
            assert!(matches!(world.begin(1).await, Begin::Busy { .. }));
            assert!(ticket.finish(answer("made")).await.unwrap());
            for at in [0, 1] {
                match world.begin(at).await {
                    Begin::Replay(again) => assert_eq!(again, answer("made")),
                    other => panic!("{other:?}"),
                }
            }
            world.clock.turn(DAY - 1);
            assert!(matches!(world.begin(1).await, Begin::Replay(_)));
            world.clock.turn(1);
            drop(world.new_ticket(1).await);
            assert_eq!(world.done().await, 1);
        });
    }
}

#[test]
fn a_key_is_of_one_request_of_one_caller() {
    for world in worlds() {
        block_on(async {
            let keys = &world.keys[0];
            let ticket = world.new_ticket(0).await;
            let taken = keys.begin(ADA, "k", asked("y")).await.unwrap();
            world.work(0, &ticket).await.unwrap();
            let done = keys.begin(ADA, "k", asked("y")).await.unwrap();
            ticket.finish(answer("made")).await.unwrap();
            let answered = keys.begin(ADA, "k", asked("y")).await.unwrap();
            for found in [taken, done, answered] {
                let error = found.refusal().unwrap();
                assert!(matches!(found, Begin::Mismatch));
                assert_eq!((error.kind(), error.code()), (Kind::Invalid, "R0430"));
            }
            let tenant = |principal, tenant| Caller { principal, tenant };
            for (caller, key) in [
                (tenant("ada", Some("")), "k"),
                (tenant("ada", Some("k")), ""),
                (tenant("adak", None), ""),
                (tenant("bob", None), "k"),
                (tenant("ada", None), "K"),
            ] {
                let found = keys.begin(caller, key, asked("y")).await.unwrap();
                assert!(matches!(found, Begin::New(_)), "{caller:?} {key}: {found:?}");
            }
        });
    }
}

/// Killed after each step: before the work, after it, after the answer. Nothing is done twice, nothing is lost, and nobody
/// waits longer than the lease.
#[test]
fn a_kill_between_any_two_steps_does_nothing_twice() {
    for steps in 1..=4 {
        for world in worlds() {
            block_on(async {
                let ticket = world.new_ticket(0).await;
                if steps >= 2 {
                    world.work(0, &ticket).await.unwrap();
                }
                match steps {
                    3 => drop(ticket.finish(answer("made")).await.unwrap()),
                    4 => ticket.into_hold().give_back().await.unwrap(),
                    _ => drop(ticket),
                }
                world.clock.turn(LEASE - 1);
                match (steps, world.begin(1).await) {
                    (1 | 2, Begin::Busy { after_ms: 1 })
                    | (3, Begin::Replay(_))
                    // nobody is at work any more, which it had time to say
                    | (4, Begin::DoneWithoutAnswer) => {}
                    other => panic!("{other:?}"),
                }
                world.clock.turn(1);
                match (steps, world.begin(1).await) {
                    (1, Begin::New(ticket)) => {
                        world.work(1, &ticket).await.unwrap();
                        assert!(ticket.finish(answer("second")).await.unwrap());
                    }
                    (2 | 4, Begin::DoneWithoutAnswer) | (3, Begin::Replay(_)) => {}
                    other => panic!("{other:?}"),
                }
                assert_eq!(world.done().await, 1, "{steps}");
            });
        }
    }
}

/// One is paused for longer than its lease, at any step, and goes on when another has the key.
#[test]
fn who_was_paused_for_too_long_does_nothing() {
    for world in worlds() {
        block_on(async {
            // before its work; the other has not done its own yet
            let paused = world.new_ticket(0).await;
            world.clock.turn(LEASE);
            let other = world.new_ticket(1).await;
            let error = world.work(0, &paused).await.unwrap_err();
            let told = paused.is_lost(&error).unwrap();
            assert_eq!((told.kind(), told.code()), (Kind::Conflict, "R0431"));
            assert_eq!(world.done().await, 0);
            assert!(!paused.finish(answer("paused")).await.unwrap());
            // the other is not disturbed
            world.work(1, &other).await.unwrap();
            assert!(other.finish(answer("other")).await.unwrap());
            assert!(matches!(world.begin(0).await, Begin::Replay(again) if again == answer("other")));
            assert_eq!(world.done().await, 1);
        });
    }
    for world in worlds() {
        block_on(async {
            // nobody else came: the late one does its work
            let late = world.new_ticket(0).await;
            world.clock.turn(10 * LEASE);
            world.work(0, &late).await.unwrap();
            world.clock.turn(LEASE);
            // after it, before its answer; the other does nothing
            assert!(matches!(world.begin(1).await, Begin::DoneWithoutAnswer));
            assert!(late.finish(answer("late")).await.unwrap());
            assert!(matches!(world.begin(1).await, Begin::Replay(_)));
            assert_eq!(world.done().await, 1);
        });
    }
    for world in worlds() {
        block_on(async {
            // it gives back what is no longer its own
            let paused = world.new_ticket(0).await;
            world.clock.turn(LEASE);
            let other = world.new_ticket(1).await;
            paused.into_hold().give_back().await.unwrap();
            assert!(matches!(world.begin(0).await, Begin::Busy { .. }));
            world.work(1, &other).await.unwrap();
            assert_eq!(world.done().await, 1);
        });
    }
}

#[test]
fn what_was_refused_before_it_began_is_not_kept() {
    for world in worlds() {
        block_on(async {
            world.new_ticket(0).await.into_hold().give_back().await.unwrap();
            // also for another request
            let found = world.keys[1].begin(ADA, "k", asked("y")).await.unwrap();
            let Begin::New(ticket) = found else { panic!("{found:?}") };
            // a unit of work that fails leaves the key taken
            let wrong = Write::Put { key: note("a"), body: "{".into(), when: Default::default() };
            let unit = UnitOfWork::default().with(wrong).noting(ticket.fact());
            let error = world.stores[1].apply(unit).await.unwrap_err();
            assert_eq!((error.code(), ticket.is_lost(&error).is_none()), ("R0404", true));
            // and its answer is kept like any other
            assert!(ticket.finish(answer("wrong")).await.unwrap());
            let again = world.keys[0].begin(ADA, "k", asked("y")).await.unwrap();
            assert!(matches!(again, Begin::Replay(again) if again == answer("wrong")));
        });
    }
}

#[test]
fn an_answer_that_is_known_before_is_kept_with_the_work() {
    for world in worlds() {
        block_on(async {
            let ticket = world.new_ticket(0).await;
            world.stores[0].apply(more().noting(ticket.fact_with(answer("gone")))).await.unwrap();
            drop(ticket);
            assert!(matches!(world.begin(1).await, Begin::Replay(again) if again == answer("gone")));
            assert_eq!(world.done().await, 1);
        });
    }
}

#[test]
fn an_answer_that_is_too_large_is_left_out() {
    for world in worlds() {
        block_on(async {
            let large = answer(&"x".repeat(1_000));
            let ticket = world.new_ticket(0).await;
            world.work(0, &ticket).await.unwrap();
            assert!(!ticket.finish(large.clone()).await.unwrap());
            // nobody waits for the lease
            assert!(matches!(world.begin(1).await, Begin::DoneWithoutAnswer));
            world.clock.turn(DAY);
            let ticket = world.new_ticket(0).await;
            world.stores[0].apply(more().noting(ticket.fact_with(large))).await.unwrap();
            world.clock.turn(LEASE);
            assert!(matches!(world.begin(1).await, Begin::DoneWithoutAnswer));
        });
    }
}

/// A clock that is set back by a day frees a key that nobody holds any more; a small step does not.
#[test]
fn a_clock_that_is_set_back_blocks_nobody() {
    for world in worlds() {
        block_on(async {
            let paused = world.new_ticket(0).await;
            world.clock.turn(-1_000);
            assert!(matches!(world.begin(1).await, Begin::Busy { after_ms: 61_000 }));
            world.clock.turn(-DAY);
            let other = world.new_ticket(1).await;
            assert!(world.work(0, &paused).await.is_err());
            world.work(1, &other).await.unwrap();
            assert_eq!(world.done().await, 1);
        });
    }
}

/// 64 callers of two stores send the same request at once, again and again until it is answered: it is done once, and all
/// get the one answer.
#[test]
fn of_64_at_once_one_does_it() {
    for world in worlds() {
        let world = Arc::new(world);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        runtime.block_on(async {
            let tasks: Vec<_> = (0..64)
                .map(|at: usize| {
                    let world = Arc::clone(&world);
                    tokio::spawn(async move {
                        loop {
                            match world.begin(at % 2).await {
                                Begin::New(ticket) => {
                                    world.work(at % 2, &ticket).await.unwrap();
                                    assert!(ticket.finish(answer(&at.to_string())).await.unwrap());
                                }
                                Begin::Replay(answer) => return answer,
                                Begin::Busy { .. } => tokio::task::yield_now().await,
                                other => panic!("{other:?}"),
                            }
                        }
                    })
                })
                .collect();
            let mut answers = Vec::new();
            for task in tasks {
                answers.push(task.await.unwrap());
            }
            assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
            assert_eq!(world.done().await, 1);
        });
        assert_eq!(world.clock.now_ms(), 1_700_000_000_000);
    }
}

/// The lease runs out again and again while many try: of all that hold a ticket at once, one does the work.
#[test]
fn leases_that_run_out_under_way_let_one_do_it() {
    for world in worlds() {
        block_on(async {
            let mut tickets = Vec::new();
            for at in 0..6 {
                tickets.push((at % 2, world.new_ticket(at % 2).await));
                world.clock.turn(LEASE);
            }
            let mut done = Vec::new();
            // the last one in the middle
            tickets.swap(2, 5);
            for (number, (at, ticket)) in tickets.iter().enumerate() {
                if world.work(*at, ticket).await.is_ok() {
                    done.push(number);
                }
            }
            assert_eq!((done, world.done().await), (vec![2], 1));
        });
    }
}
