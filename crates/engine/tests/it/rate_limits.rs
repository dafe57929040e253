//! Rate limits over databases: exact among many takers of two processes, with a clock that is set.

use std::sync::Arc;

use repot_core::store::Store;
use repot_core::{Kind, Retry};
use repot_engine::ledger::{RateLimits, Taken};
use repot_model::language::{Model, parse};
use repot_testkit::HandClock;

use crate::documents::{Database, block_on};
use crate::ledger::open;

const MODEL: &str = "[repot]\nsource = \"./data\"\n\n[repot.limits]\nopenai = \"50 per minute\"\nimports = \"3 per second\"\n\n\
                     [notes]\nfile = \"notes/{id}.json\"\n\n[notes.fields]\nid = \"text key\"\n";

fn limits(limits: &str) -> Model {
    parse(&MODEL.replace("50 per minute", limits), "repot.toml", &|_| None).unwrap()
}

struct World {
    limits: [Arc<RateLimits>; 2],
    stores: [Arc<dyn Store>; 2],
    clock: Arc<HandClock>,
    _database: Database,
}

fn worlds() -> impl Iterator<Item = World> {
    Database::all().map(|database| {
        let clock = Arc::new(HandClock::at(1_700_000_000_000));
        let stores = [(), ()].map(|()| -> Arc<dyn Store> { Arc::new(open(&database, &clock)) });
        let limits = [0, 1].map(|at: usize| {
            let clock = Arc::clone(&clock) as Arc<_>;
            Arc::new(RateLimits::new(Arc::clone(&stores[at]), clock, &limits("50 per minute")))
        });
        World { limits, stores, clock, _database: database }
    })
}

#[test]
fn of_64_takers_exactly_as_many_get_one_as_there_are() {
    for world in worlds() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        runtime.block_on(async {
            let round = || async {
                let tasks: Vec<_> = (0..64)
                    .map(|at: usize| {
                        let limits = Arc::clone(&world.limits[at % 2]);
                        tokio::spawn(async move { limits.take("openai", 1).await.unwrap() })
                    })
                    .collect();
                let (mut granted, mut later) = (Vec::new(), 0);
                for task in tasks {
                    match task.await.unwrap() {
                        Taken::Granted { left } => granted.push(left),
                        Taken::Later { left, after_ms } => {
                            assert_eq!((left, after_ms), (0, 1_200));
                            later += 1;
                        }
                    }
                }
                granted.sort_unstable();
                (granted, later)
            };
            assert_eq!(round().await, ((0..50).collect(), 14));
            // twelve seconds bring ten
            world.clock.turn(12_000);
            assert_eq!(round().await, ((0..10).collect(), 54));
            world.clock.turn(-600_000);
            let Taken::Later { left: 0, after_ms: 601_200 } =
                world.limits[1].take("openai", 1).await.unwrap()
            else {
                panic!("a clock that is set back gives nothing")
            };
            world.clock.turn(600_000);
            assert_eq!(round().await.1, 64);
            // another limit has its own
            assert_eq!(world.limits[0].take("imports", 3).await.unwrap(), Taken::Granted { left: 0 });
        });
    }
}

#[test]
fn all_or_none_are_taken() {
    for world in worlds() {
        block_on(async {
            let [one, other] = &world.limits;
            assert_eq!(one.take("openai", 30).await.unwrap(), Taken::Granted { left: 20 });
            let later = other.take("openai", 25).await.unwrap();
            assert_eq!(later, Taken::Later { left: 20, after_ms: 6_000 });
            let error = later.granted("openai").unwrap_err();
            assert_eq!((error.code(), error.may_retry()), ("R0504", Retry::Safe));
            assert_eq!(one.take("openai", 0).await.unwrap(), Taken::Granted { left: 20 });
            world.clock.turn(5_999);
            assert!(matches!(one.take("openai", 25).await.unwrap(), Taken::Later { left: 24, after_ms: 1 }));
            world.clock.turn(1);
            assert_eq!(other.take("openai", 25).await.unwrap(), Taken::Granted { left: 0 });
            let error = one.take("openai", 51).await.unwrap_err();
            assert_eq!(
                (error.kind(), error.code(), error.may_retry()),
                (Kind::Refused, "R0504", Retry::Never)
            );
            let error = one.take("open", 1).await.unwrap_err();
            assert_eq!((error.kind(), error.code()), (Kind::NotFound, "R0505"));
        });
    }
}

/// Another limit in the model counts on from what is there, and never has more than it allows.
#[test]
fn a_limit_that_was_changed_counts_on() {
    for world in worlds() {
        block_on(async {
            world.limits[0].take("openai", 10).await.unwrap();
            let clock = Arc::clone(&world.clock) as Arc<_>;
            let fewer = RateLimits::new(Arc::clone(&world.stores[1]), clock, &limits("5 per minute"));
            assert_eq!(fewer.take("openai", 5).await.unwrap(), Taken::Granted { left: 0 });
            assert!(matches!(fewer.take("openai", 1).await.unwrap(), Taken::Later { .. }));
            assert_eq!(fewer.limits().map(|(name, _)| name).collect::<Vec<_>>(), ["imports", "openai"]);
        });
    }
}
