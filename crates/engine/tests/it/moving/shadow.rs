//! Reads in the shadow: what differs is found, and what is on its way is never taken for a difference.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use repot_core::moving::{CopyInto as _, Lead};
use repot_core::store::{DocumentKey, Precondition, Store as _, StoreExt as _, UnitOfWork, Write};
use repot_engine::moving::{
    Cause, Compared, Difference, FollowOptions, Followed, Follower, Leads, MovingOptions, SLOTS, Terms,
};
use repot_testkit::{full, seed};

use super::chaos::leads_by_chance;
use super::lab::{Process, QUICK, World, chat, empty, say, settle, text};
use crate::documents::{Database, block_on};

fn worlds(options: MovingOptions) -> impl Iterator<Item = World> {
    Database::all().map(move |database| World::new(database, options))
}

/// Every read is compared.
const ALL: Terms = Terms { compared: Some(SLOTS), limits: None };

/// A process that samples what it is asked, with these documents in both stores.
async fn comparing(world: &World, keys: &[DocumentKey]) -> Process {
    let process = world.patient("one", 1);
    process.moving.begin("a test").await.unwrap();
    process.moving.read_log().await.unwrap();
    for key in keys {
        process.store.create(key, empty(key.tenant().unwrap(), &id(key))).await.unwrap();
    }
    settle(&process).await;
    process.moving.arm(ALL).await.unwrap();
    process.moving.sample_reads(true);
    process
}

fn id(key: &DocumentKey) -> String {
    key.text().trim_matches('"').to_owned()
}

/// What the process counted until now.
async fn counted(process: &Process) -> Compared {
    process.moving.publish().await.unwrap();
    process.moving.journal().figures().await.unwrap().compared
}

/// Reads a document, and compares what was read.
async fn compare(process: &Process, key: &DocumentKey) -> Compared {
    process.store.get(key).await.unwrap();
    process.moving.compare_sampled().await.unwrap();
    counted(process).await
}

/// Writes into one store alone, past everything.
async fn plant(world: &World, side: Lead, key: &DocumentKey, body: Option<String>) {
    let write = match body {
        Some(body) => Write::Put { key: key.clone(), body: body.into(), when: Precondition::Any },
        None => Write::Delete { key: key.clone(), when: Precondition::Any },
    };
    let work = UnitOfWork::default().with(write);
    match side {
        Lead::Old => world.old().copy_in(work).await.unwrap(),
        Lead::New => world.new.copy_in(work).await.unwrap(),
    };
}

async fn differences(process: &Process) -> Vec<Difference> {
    process.moving.journal().differences(10).await.unwrap()
}

/// With the old store leading, the copy that differs is the new store's, and the log says nothing of it to those who mark.
#[test]
fn each_kind_of_difference_is_found_kept_and_mended() {
    for world in worlds(MovingOptions::default()) {
        block_on(async {
            let keys = ["a", "b", "c"].map(|id| chat("u1", id));
            let process = comparing(&world, &keys[1..]).await;
            let other = empty("u1", "b").replace("[]", "[{\"n\": 1}]");
            let kinds = [
                (&keys[0], None, Cause::MissingInNew),
                (&keys[1], Some(other.clone()), Cause::Value),
                (&keys[2], Some(empty("u1", "c").replace('\n', " ")), Cause::TextOnly),
            ];
            for (n, (key, body, cause)) in (1..).zip(kinds) {
                match &body {
                    Some(_) => plant(&world, Lead::New, key, body.clone()).await,
                    None => plant(&world, Lead::Old, key, Some(empty("u1", "a"))).await,
                }
                world.followed(key).await;
                let now = compare(&process, key).await;
                assert_eq!(now.different + now.text_only, n, "{now:?}");
                let kept = differences(&process).await;
                let found = kept.iter().find(|found| found.key == *key).unwrap();
                assert_eq!((found.cause, found.lead, found.times), (cause, Lead::Old, 1));
                assert_eq!(found.new.as_ref().map(|side| side.text.clone()), body.map(String::into_bytes));
                assert_eq!(found.old.as_ref().unwrap().size_bytes, empty("u1", "a").len() as u64);
                // it was marked with that, and is mended
                settle(&process).await;
                assert_eq!(text(&*world.new, key).await, text(&*world.old(), key).await);
                assert_eq!(compare(&process, key).await.different, now.different);
            }
            assert_eq!(counted(&process).await.text_only, 1);
            // found again, it is the same difference once more
            plant(&world, Lead::New, &keys[1], Some(other)).await;
            compare(&process, &keys[1]).await;
            let kept = differences(&process).await;
            assert_eq!(kept.len(), 3);
            assert_eq!(kept.iter().find(|found| found.key == keys[1]).unwrap().times, 2);
            assert_eq!(process.moving.journal().forget_differences().await.unwrap(), 3);
            assert!(differences(&process).await.is_empty());
        });
    }
}

/// With the new store leading, files that others changed are as followed as those that nobody touched.
#[test]
fn a_file_that_differs_from_the_database_that_leads_is_found() {
    for world in worlds(MovingOptions::default()) {
        block_on(async {
            let key = chat("u1", "a");
            let process = comparing(&world, std::slice::from_ref(&key)).await;
            process.moving.change(&Leads::share(SLOTS), "all", 60_000).await.unwrap();
            say(&*process.store, &key, 1).await.unwrap();
            // the log was not read yet: it is on its way
            let now = compare(&process, &key).await;
            assert_eq!((now.different, now.in_motion), (0, 1), "{now:?}");
            settle(&process).await;
            plant(&world, Lead::Old, &key, Some(empty("u1", "a"))).await;
            world.followed(&key).await;
            let now = compare(&process, &key).await;
            assert_eq!((now.different, now.in_motion), (1, 1), "{now:?}");
            let found = differences(&process).await.remove(0);
            assert_eq!((found.cause, found.lead), (Cause::Value, Lead::New));
            settle(&process).await;
            assert_eq!(text(&*world.new, &key).await, text(&*world.old(), &key).await);
        });
    }
}

#[test]
fn what_is_on_its_way_does_not_differ() {
    for world in worlds(MovingOptions { write_ms: 10_000, ..QUICK }) {
        block_on(async {
            let key = chat("u1", "a");
            let process = comparing(&world, std::slice::from_ref(&key)).await;
            // written and not copied
            say(&*process.store, &key, 1).await.unwrap();
            world.followed(&key).await;
            let now = compare(&process, &key).await;
            assert_eq!((now.in_motion, now.same), (1, 0));
            settle(&process).await;
            // it is looked at again
            while process.moving.sampled_waiting() > 0 {
                process.moving.compare_sampled().await.unwrap();
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let now = counted(&process).await;
            assert_eq!((now.in_motion, now.same), (1, 1));
            // read before it was written, compared after it was copied
            process.store.get(&key).await.unwrap();
            say(&*process.store, &key, 2).await.unwrap();
            settle(&process).await;
            process.moving.compare_sampled().await.unwrap();
            // read while its lead was another
            process.store.get(&key).await.unwrap();
            process.moving.change(&Leads::share(SLOTS), "all", 60_000).await.unwrap();
            say(&*process.store, &key, 3).await.unwrap();
            process.moving.compare_sampled().await.unwrap();
            let now = counted(&process).await;
            assert_eq!((now.different, now.text_only, now.stale, now.dropped), (0, 0, 0, 0), "{now:?}");
            assert!(differences(&process).await.is_empty());
        });
    }
}

/// Another program writes the file, and nobody noticed yet.
#[test]
fn what_others_wrote_is_stale_until_it_is_copied_and_differs_if_it_is_copied_in_vain() {
    for world in worlds(MovingOptions::default()) {
        block_on(async {
            let key = chat("u1", "a");
            let process = comparing(&world, std::slice::from_ref(&key)).await;
            for (round, spoils) in [false, true].into_iter().enumerate() {
                let by_hand = empty("u1", "a").replace("[]", &format!("[{{\"n\": {round}}}]"));
                plant(&world, Lead::Old, &key, Some(by_hand.clone())).await;
                let before = counted(&process).await;
                process.new_line.spoils.store(spoils, Ordering::SeqCst);
                let now = compare(&process, &key).await;
                assert_eq!((now.stale, now.different), (before.stale + 1, 0), "{now:?}");
                let mut looks = 0;
                while process.moving.sampled_waiting() > 0 {
                    settle(&process).await;
                    world.clock.put_forward(400);
                    process.moving.compare_sampled().await.unwrap();
                    looks += 1;
                }
                let now = counted(&process).await;
                assert_eq!(now.different, u64::from(spoils), "{now:?}");
                // its time stamp proves nothing here, so it is looked at several times
                assert_eq!(looks, if spoils { 5 } else { 1 });
            }
            assert_eq!(differences(&process).await.len(), 1);
        });
    }
}

#[test]
fn a_difference_that_is_known_is_counted_and_stops_nothing() {
    for world in worlds(MovingOptions::default()) {
        block_on(async {
            let key = chat("u1", "a");
            let process = comparing(&world, std::slice::from_ref(&key)).await;
            let other = |id: &str| Some(empty("u1", id).replace("[]", "[{\"n\": 1}]"));
            let unknown = process.moving.journal().ignore(&key, "why").await.unwrap_err();
            assert_eq!(unknown.code(), "R0722");
            let guarded = Terms { limits: Some(repot_engine::moving::Limits::default()), ..ALL };
            // where the files lead everything, there is nothing to go back from
            process.moving.arm(guarded).await.unwrap();
            plant(&world, Lead::New, &key, other("a")).await;
            world.followed(&key).await;
            assert_eq!(compare(&process, &key).await.different, 1);
            let control = process.moving.last_control().unwrap();
            assert_eq!(
                (control.guard.stopped.as_ref(), control.stage().to_string()),
                (None, "comparing".into())
            );
            process.moving.journal().ignore(&key, "the app does that").await.unwrap();
            let mut leads = Leads::default();
            leads.led.tenants.insert("u2".into());
            settle(&process).await;
            process.moving.roll_out(&leads, guarded, "u2", 60_000).await.unwrap();
            plant(&world, Lead::New, &key, other("a")).await;
            assert_eq!(compare(&process, &key).await.different, 2);
            assert_eq!(process.moving.last_control().unwrap().guard.stopped, None);
            let kept = differences(&process).await.remove(0);
            assert_eq!((kept.times, kept.ignored.unwrap().reason.as_str()), (2, "the app does that"));
            // another document is not ignored
            let second = chat("u1", "b");
            process.store.create(&second, empty("u1", "b")).await.unwrap();
            settle(&process).await;
            plant(&world, Lead::New, &second, other("b")).await;
            world.followed(&second).await;
            compare(&process, &second).await;
            let stopped = process.moving.last_control().unwrap().guard.stopped.clone().unwrap();
            assert_eq!(stopped.why, format!("{second} differs: another value"));
        });
    }
}

/// A store that does not answer: reads go on, what was sampled is dropped and counted, memory is bounded.
#[test]
fn a_dead_store_and_a_flood_cost_apps_nothing() {
    for world in worlds(MovingOptions { ask_ms: 200, ..MovingOptions::default() }) {
        block_on(async {
            let key = chat("u1", "a");
            let process = comparing(&world, std::slice::from_ref(&key)).await;
            process.moving.renew().await.unwrap();
            process.new_line.cut.store(true, Ordering::SeqCst);
            for _ in 0..1_000 {
                process.store.get(&key).await.unwrap();
            }
            assert_eq!(process.moving.sampled_waiting(), 256);
            assert!(process.moving.compare_sampled().await.is_err());
            process.new_line.cut.store(false, Ordering::SeqCst);
            while process.moving.compare_sampled().await.unwrap() > 0 {}
            let now = counted(&process).await;
            assert_eq!((now.dropped, now.same, now.different), (744 + 16, 240, 0), "{now:?}");
        });
    }
}

/// Everything differs: the rollout is stopped once, apps get their answers, and what is kept is bounded.
#[test]
fn a_flood_of_differences_stops_the_rollout_once_and_is_bounded() {
    for world in worlds(MovingOptions::default()) {
        block_on(async {
            let keys: Vec<DocumentKey> = (0..20).map(|n| chat("u1", &format!("c{n}"))).collect();
            let process = comparing(&world, &keys).await;
            let mut leads = Leads::default();
            leads.led.tenants.insert("u2".into());
            let guarded = Terms { limits: Some(repot_engine::moving::Limits::default()), ..ALL };
            process.moving.roll_out(&leads, guarded, "u2", 60_000).await.unwrap();
            settle(&process).await;
            for key in &keys {
                plant(&world, Lead::New, key, Some(empty("u1", &id(key)).replace("[]", "[{\"n\": 1}]")))
                    .await;
                world.followed(key).await;
            }
            // as many as are kept, but for five
            for hundred in 0..10 {
                let put = |n: usize| {
                    let value = repot_core::store::FactValue::lasting("full");
                    repot_core::store::FactChange::put("move_difference", &format!("zz{hundred}-{n}"), value)
                };
                let facts = (if hundred == 0 { 5 } else { 0 }..100).map(put).collect();
                world.new.apply(UnitOfWork { facts, ..UnitOfWork::default() }).await.unwrap();
            }
            for key in &keys {
                let found = process.store.get(key).await.unwrap().unwrap();
                assert_eq!(found.body, empty("u1", &id(key)).as_bytes());
            }
            while process.moving.compare_sampled().await.unwrap() > 0 {}
            let now = counted(&process).await;
            // the first one stops the rollout, which the one that is compared beside it may see as a change on its way
            assert!(now.in_motion <= 1, "{now:?}");
            assert_eq!((now.different + now.in_motion, now.dropped), (20, 0), "{now:?}");
            let kept = world.database.ask("select count(*) from repot_facts where kind = 'move_difference'");
            // two are compared at once, so one too many may be kept
            assert!(["1000", "1001"].contains(&kept.trim()), "{kept}");
            let events = process.moving.journal().events(10).await.unwrap();
            assert_eq!(events.iter().filter(|event| event.what.starts_with("stopped")).count(), 1);
            settle(&process).await;
            // the one that was taken for being on its way is found when it is read again
            for key in &keys {
                process.store.get(key).await.unwrap();
            }
            while process.moving.compare_sampled().await.unwrap() > 0 {}
            settle(&process).await;
            for key in &keys {
                assert_eq!(text(&*world.new, key).await, text(&*world.old(), key).await);
            }
        });
    }
}

/// Apps at two servers, a program that writes the files itself, leads that change: nothing differs, until somebody makes it.
#[test]
fn random_writers_and_changes_of_the_lead_make_no_difference() {
    let lasts = if full() { Duration::from_secs(60) } else { Duration::from_millis(1_500) };
    for world in worlds(MovingOptions { ask_ms: 10_000, ..QUICK }) {
        let seed = seed();
        println!("seed {seed}");
        block_on(chaos(&world, seed, lasts));
    }
}

async fn chaos(world: &World, seed: u64, lasts: Duration) {
    let keys: Vec<DocumentKey> = (0..6).map(|n| chat(&format!("u{n}"), &format!("c{n}"))).collect();
    let driver = comparing(world, &keys).await;
    let mut servers = vec![world.process("s1", seed), world.process("s2", seed + 1)];
    servers.iter_mut().for_each(Process::run);
    let is_over = AtomicBool::new(false);
    let follower = follower(world, &driver);
    tokio::join!(
        async {
            let begun = Instant::now();
            let compared = || async { counted(&driver).await.compared() };
            // a busy machine needs longer
            while begun.elapsed() < lasts || compared().await < 20 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            is_over.store(true, Ordering::SeqCst);
        },
        app(&servers[0], &keys, seed ^ 1, &is_over),
        app(&servers[1], &keys, seed ^ 2, &is_over),
        by_hand(world, seed ^ 3, &is_over),
        async {
            while !is_over.load(Ordering::SeqCst) {
                let _trouble = follower.scan().await;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        },
        async {
            let mut dice = seed;
            while !is_over.load(Ordering::SeqCst) {
                dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let _given_up = driver.moving.change(&leads_by_chance(dice), "by chance", 5_000).await;
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
        },
    );
    let kept = differences(&driver).await;
    assert!(kept.is_empty(), "seed {seed}: {kept:#?}");
    servers.clear();
    driver.moving.change(&Leads::default(), "the end", 60_000).await.unwrap();
    settle(&driver).await;
    plant(world, Lead::New, &keys[0], Some(empty("u0", "c0").replace("[]", "[{\"n\": 5}]"))).await;
    world.followed(&keys[0]).await;
    compare(&driver, &keys[0]).await;
    assert_eq!(differences(&driver).await.len(), 1, "seed {seed}");
}

async fn app(server: &Process, keys: &[DocumentKey], mut dice: u64, is_over: &AtomicBool) {
    let mut n = 0;
    while !is_over.load(Ordering::SeqCst) {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let key = &keys[(dice >> 33) as usize % keys.len()];
        if dice >> 62 == 0 {
            n += 1;
            let _in_vain = say(&*server.store, key, n).await;
        } else {
            let _in_vain = server.store.get(key).await;
        }
        tokio::time::sleep(Duration::from_millis(dice >> 61)).await;
    }
}

/// Writes two texts in turn, so that what was comes back.
async fn by_hand(world: &World, mut dice: u64, is_over: &AtomicBool) {
    let path = world.layout.paths(&chat("u0", "c0")).unwrap().remove(0);
    while !is_over.load(Ordering::SeqCst) {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let body = empty("u0", "c0").replace("[]", &format!("[{{\"n\": {}}}]", dice >> 63));
        world.objects.put(&path, body.into(), &Precondition::Any, None).await.unwrap();
        tokio::time::sleep(Duration::from_millis(dice >> 57)).await;
    }
}

fn follower(world: &World, driver: &Process) -> Follower {
    let with = Followed {
        objects: Arc::clone(&world.objects),
        layout: Arc::clone(&world.layout),
        known: Arc::clone(&world.new) as _,
        marks: Arc::clone(&driver.moving) as _,
        hints: None,
        clock: Arc::clone(&world.clock) as _,
        pacing: Arc::new(repot_engine::TokioPacing),
    };
    Follower::new(with, FollowOptions { claim_ms: 600, young_ms: 50, ..FollowOptions::default() })
}
