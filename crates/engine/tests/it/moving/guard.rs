//! The guard of a rollout: it goes back by itself, once, and only then. The limits themselves are tried where they are
//! reckoned; here it is what follows.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use repot_core::moving::Lead;
use repot_core::store::{DocumentKey, Store as _, StoreExt as _};
use repot_engine::moving::{Leads, Limits, MovingOptions, SLOTS, Terms};

use super::lab::{Process, QUICK, World, chat, empty, numbers, say, settle};
use crate::documents::{Database, block_on};

const GUARDED: Terms =
    Terms { compared: Some(0), limits: Some(Limits { errors: 10, slower_percent: 200, lag_ms: 60_000 }) };

fn worlds(options: MovingOptions) -> impl Iterator<Item = World> {
    Database::all().map(move |database| World::new(database, options))
}

/// A rollout to everything, under guard, of one document.
async fn rolled_out(world: &World, key: &DocumentKey) -> Process {
    let process = world.patient("driver", 1);
    process.moving.begin("a test").await.unwrap();
    process.store.create(key, empty(key.tenant().unwrap(), "a")).await.unwrap();
    process.moving.roll_out(&Leads::share(SLOTS), GUARDED, "all", 60_000).await.unwrap();
    process
}

async fn why(process: &Process) -> Option<String> {
    let (control, _) = process.moving.journal().control().await.unwrap().unwrap();
    control.guard.stopped.map(|stopped| stopped.why)
}

async fn leads(process: &Process) -> Leads {
    process.moving.journal().control().await.unwrap().unwrap().0.leads
}

/// Calls that fail because the store does, and as many that do not.
async fn calls(process: &Process, key: &DocumentKey, (answered, failed): (usize, usize)) {
    for _ in 0..answered {
        process.store.get(key).await.unwrap();
    }
    process.new_line.cut.store(true, Ordering::SeqCst);
    for _ in 0..failed {
        process.store.get(key).await.unwrap_err();
    }
    process.new_line.cut.store(false, Ordering::SeqCst);
}

#[test]
fn errors_stop_a_rollout_once_and_what_was_written_stays() {
    for world in worlds(MovingOptions::default()) {
        block_on(async {
            let key = chat("u1", "a");
            let process = rolled_out(&world, &key).await;
            process.moving.watch_over().await.unwrap();
            say(&*process.store, &key, 1).await.unwrap();
            // one of a hundred is allowed, two are not
            calls(&process, &key, (98, 1)).await;
            process.moving.watch_over().await.unwrap();
            assert_eq!(why(&process).await, None);
            // what an app does wrong is no failure
            process.store.create(&key, empty("u1", "a")).await.unwrap_err();
            process.moving.watch_over().await.unwrap();
            assert_eq!(why(&process).await, None);
            calls(&process, &key, (0, 1)).await;
            process.moving.watch_over().await.unwrap();
            let stopped = "2 of 102 calls of the new store failed (1.9 %, the limit is 1 %)";
            assert_eq!(why(&process).await.as_deref(), Some(stopped));
            assert!(process.moving.bring_back().await.unwrap());
            assert_eq!(leads(&process).await.everything(), Some(Lead::Old));
            assert_eq!(numbers(world.old().get(&key).await.unwrap().as_ref()), [1]);
            // nothing goes on by itself
            process.moving.watch_over().await.unwrap();
            assert!(!process.moving.bring_back().await.unwrap());
            let events = process.moving.journal().events(10).await.unwrap();
            let events: Vec<&str> = events.iter().map(|event| event.what.as_str()).collect();
            let told = format!("stopped by the guard: {stopped}");
            assert_eq!(events, ["a test", "all", &told, "back to the old store by the guard"]);
            // the next rollout begins with nothing against it
            process.moving.roll_out(&Leads::share(SLOTS), GUARDED, "again", 60_000).await.unwrap();
            calls(&process, &key, (100, 0)).await;
            process.moving.watch_over().await.unwrap();
            assert_eq!((why(&process).await, leads(&process).await), (None, Leads::share(SLOTS)));
        });
    }
}

/// Two processes find the same at the same time, and an operator goes on meanwhile.
#[test]
fn several_processes_stop_it_once_and_never_a_later_rollout() {
    for world in worlds(MovingOptions::default()) {
        block_on(async {
            let key = chat("u1", "a");
            let driver = rolled_out(&world, &key).await;
            let others = [world.patient("one", 2), world.patient("two", 3)];
            for other in &others {
                other.moving.status().await.unwrap();
                other.moving.watch_over().await.unwrap();
                calls(other, &key, (0, 50)).await;
            }
            let [one, two] = &others;
            let (first, second) = tokio::join!(one.moving.watch_over(), two.moving.watch_over());
            first.and(second).unwrap();
            let events = driver.moving.journal().events(10).await.unwrap();
            assert_eq!(
                events.iter().filter(|event| event.what.starts_with("stopped")).count(),
                1,
                "{events:?}"
            );
            // whoever did not stop it leaves it to the other for a while
            let back = [one.moving.bring_back().await.unwrap(), two.moving.bring_back().await.unwrap()];
            assert_eq!(back.iter().filter(|back| **back).count(), 1, "{back:?}");
            // what they saw is of the rollout that was
            driver.moving.roll_out(&Leads::share(SLOTS), GUARDED, "again", 60_000).await.unwrap();
            for other in &others {
                other.moving.status().await.unwrap();
                other.moving.watch_over().await.unwrap();
            }
            assert_eq!((why(&driver).await, leads(&driver).await), (None, Leads::share(SLOTS)));
            // a process that wants to go back too late does not
            calls(one, &key, (0, 50)).await;
            driver.moving.change(&Leads::default(), "rollback", 60_000).await.unwrap();
            one.moving.watch_over().await.unwrap();
            assert_eq!((why(&driver).await, one.moving.wants_back()), (None, None));
        });
    }
}

/// While the database is away nothing can be changed in it: it is said, and done when it is back.
#[test]
fn a_guard_that_cannot_go_back_says_so_and_does_it_later() {
    for world in worlds(MovingOptions { ask_ms: 300, ..MovingOptions::default() }) {
        block_on(async {
            let key = chat("u1", "a");
            let process = rolled_out(&world, &key).await;
            process.moving.renew().await.unwrap();
            process.moving.watch_over().await.unwrap();
            process.new_line.cut.store(true, Ordering::SeqCst);
            for _ in 0..50 {
                process.store.get(&key).await.unwrap_err();
            }
            process.moving.watch_over().await.unwrap_err();
            let wants = process.moving.wants_back().unwrap();
            assert!(wants.starts_with("50 of "), "{wants}");
            // long after, and the calls are forgotten
            world.clock.put_forward(40_000);
            process.new_line.cut.store(false, Ordering::SeqCst);
            process.moving.watch_over().await.unwrap();
            assert_eq!((why(&process).await, process.moving.wants_back()), (Some(wants), None));
            process.moving.bring_back().await.unwrap();
            assert_eq!(leads(&process).await.everything(), Some(Lead::Old));
        });
    }
}

#[test]
fn lag_stops_a_rollout_but_not_for_a_document_that_cannot_be_copied() {
    for world in worlds(QUICK) {
        block_on(async {
            let key = chat("u1", "a");
            let process = rolled_out(&world, &key).await;
            let look = async || {
                process.moving.publish().await.unwrap();
                process.moving.watch_over().await.unwrap();
                why(&process).await
            };
            say(&*process.store, &key, 1).await.unwrap();
            while process.moving.read_log().await.unwrap() {}
            assert_eq!(look().await, None);
            world.clock.put_forward(59_000);
            assert_eq!(look().await, None);
            // it is copied, and its lag is over
            settle(&process).await;
            world.clock.put_forward(10_000);
            assert_eq!(look().await, None);
            say(&*process.store, &key, 2).await.unwrap();
            while process.moving.read_log().await.unwrap() {}
            // the files take no copy: it is stuck, which is told elsewhere
            process.old_line.refuses.store(true, Ordering::SeqCst);
            assert_eq!(process.moving.copy_marked().await.unwrap().stuck, 1);
            process.old_line.refuses.store(false, Ordering::SeqCst);
            world.clock.put_forward(61_000);
            assert_eq!(look().await, None);
            settle(&process).await;
            say(&*process.store, &key, 3).await.unwrap();
            while process.moving.read_log().await.unwrap() {}
            world.clock.put_forward(61_000);
            assert_eq!(look().await.as_deref(), Some("a copy is behind for 61 s (the limit is 60 s)"));
        });
    }
}

/// A rollout on its way is stopped too, and who waits for it is told.
#[test]
fn a_rollout_that_is_stopped_before_it_is_done_fails_with_the_reason() {
    for world in worlds(MovingOptions::default()) {
        block_on(async {
            let key = chat("u1", "a");
            let process = world.patient("driver", 1);
            process.moving.begin("a test").await.unwrap();
            process.store.create(&key, empty("u1", "a")).await.unwrap();
            let mut leads_of_one = Leads::default();
            leads_of_one.led.tenants.insert("u1".into());
            process.moving.roll_out(&leads_of_one, GUARDED, "one", 60_000).await.unwrap();
            // a server that does not say that it heard of the change holds it up
            let deaf = world.patient("deaf", 2);
            deaf.moving.renew().await.unwrap();
            let moving = Arc::clone(&process.moving);
            let all =
                tokio::spawn(
                    async move { moving.roll_out(&Leads::share(SLOTS), GUARDED, "all", 60_000).await },
                );
            let is_on_its_way = async || {
                let status = deaf.moving.status().await.unwrap().unwrap();
                status.control.wanted.is_some()
            };
            while !is_on_its_way().await {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            deaf.moving.watch_over().await.unwrap();
            calls(&deaf, &key, (0, 50)).await;
            deaf.moving.watch_over().await.unwrap();
            let ended = all.await.unwrap().unwrap_err();
            assert_eq!(ended.code(), "R0721", "{ended}");
            assert!(ended.to_string().contains("50 of 50 calls"), "{ended}");
            assert_eq!(leads(&process).await, leads_of_one);
            deaf.moving.retire().await.unwrap();
            assert!(deaf.moving.bring_back().await.unwrap());
            assert_eq!(leads(&process).await, Leads::default());
        });
    }
}

/// All of it as servers do it, with nothing but calls from outside.
#[test]
fn a_server_goes_back_by_itself() {
    for world in worlds(MovingOptions { lease_ms: 5_000, ask_ms: 10_000, ..QUICK }) {
        block_on(async {
            let key = chat("u1", "a");
            let driver = rolled_out(&world, &key).await;
            let mut server = world.process("server", 2);
            server.run();
            say(&*server.store, &key, 1).await.unwrap();
            while leads(&driver).await.everything() != Some(Lead::Old) {
                server.new_line.cut.store(true, Ordering::SeqCst);
                for _ in 0..60 {
                    let _in_vain = server.store.get(&key).await;
                }
                server.new_line.cut.store(false, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            assert!(why(&driver).await.unwrap().contains("calls of the new store failed"));
            assert_eq!(numbers(server.store.get(&key).await.unwrap().as_ref()), [1]);
            assert_eq!(numbers(world.old().get(&key).await.unwrap().as_ref()), [1]);
        });
    }
}
