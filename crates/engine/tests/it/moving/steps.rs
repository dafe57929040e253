//! The steps of a move, one by one.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use repot_core::store::{Precondition, Query, Queryable as _, Scope, Store as _, StoreExt as _};
use repot_engine::moving::{ChangeProgress, Leads, MovingOptions, SLOTS};

use super::lab::{QUICK, World, chat, empty, numbers, say, settle, text};
use crate::documents::{Database, block_on};

fn worlds(options: MovingOptions) -> impl Iterator<Item = World> {
    Database::all().map(move |database| World::new(database, options))
}

#[test]
fn writes_go_to_the_lead_and_copies_follow_both_ways() {
    for world in worlds(MovingOptions::default()) {
        block_on(async {
            let process = world.process("one", 1);
            process.moving.begin("a test").await.unwrap();
            process.moving.read_log().await.unwrap();
            let (key, old) = (chat("u1", "a"), world.old());
            process.store.create(&key, empty("u1", "a")).await.unwrap();
            say(&*process.store, &key, 1).await.unwrap();
            assert_eq!(numbers(old.get(&key).await.unwrap().as_ref()), [1]);
            settle(&process).await;
            assert_eq!(text(&*world.new, &key).await, text(&*old, &key).await);
            // a question waits for the copy
            say(&*process.store, &key, 2).await.unwrap();
            let asked = Query { full: true, ..Query::of(Scope::of("chats").in_tenant("u1")) };
            let (found, _) = tokio::join!(process.store.query(&asked), settle(&process));
            assert!(format!("{:?}", found.unwrap().items).contains("n\\\": 2"), "the copy is not there");

            process.moving.change(&Leads::share(SLOTS), "all", 60_000).await.unwrap();
            assert!(process.store.capabilities().references);
            say(&*process.store, &key, 3).await.unwrap();
            assert_eq!(numbers(world.new.get(&key).await.unwrap().as_ref()), [1, 2, 3]);
            assert_eq!(numbers(old.get(&key).await.unwrap().as_ref()), [1, 2]);
            // also what plain SQL does
            settle(&process).await;
            world.database.sql("update messages set n = 7 where n = 2");
            assert_eq!(numbers(process.store.get(&key).await.unwrap().as_ref()), [1, 7, 3]);
            settle(&process).await;
            assert_eq!(numbers(old.get(&key).await.unwrap().as_ref()), [1, 7, 3]);
            assert_eq!(text(&*world.new, &key).await, text(&*old, &key).await);

            say(&*process.store, &key, 4).await.unwrap();
            process.moving.change(&Leads::default(), "none", 60_000).await.unwrap();
            assert_eq!(numbers(old.get(&key).await.unwrap().as_ref()), [1, 7, 3, 4]);
            assert!(process.store.delete(&key, Precondition::Any).await.unwrap());
            assert!(old.get(&key).await.unwrap().is_none());
            settle(&process).await;
            assert!(world.new.get(&key).await.unwrap().is_none());
            let events = process.moving.journal().events(10).await.unwrap();
            assert_eq!(
                events.iter().map(|event| event.what.as_str()).collect::<Vec<_>>(),
                ["a test", "all", "none"]
            );
        });
    }
}

#[test]
fn some_tenants_are_led_by_one_store_and_some_by_the_other() {
    for world in worlds(MovingOptions::default()) {
        block_on(async {
            let process = world.process("one", 1);
            process.moving.begin("a test").await.unwrap();
            process.moving.read_log().await.unwrap();
            let users: Vec<String> = (0..20).map(|n| format!("u{n}")).collect();
            for user in &users {
                process.store.create(&chat(user, user), empty(user, user)).await.unwrap();
            }
            let mut leads = Leads::share(SLOTS / 2);
            leads.led.tenants.insert("u3".into());
            process.moving.change(&leads, "half", 60_000).await.unwrap();
            let mut led = 0;
            for user in &users {
                let key = chat(user, user);
                say(&*process.store, &key, 1).await.unwrap();
                let is_new = numbers(world.new.get(&key).await.unwrap().as_ref()) == [1];
                let is_old = numbers(world.old().get(&key).await.unwrap().as_ref()) == [1];
                assert!(is_new != is_old, "{user}");
                assert_eq!(is_new, leads.of(&key) == repot_core::moving::Lead::New);
                led += usize::from(is_new);
                assert_eq!(numbers(process.store.get(&key).await.unwrap().as_ref()), [1]);
            }
            assert!(led > 3 && led < 17, "{led}");
            let listed = |user: &str| Scope::of("chats").in_tenant(user);
            for user in &users {
                let scope = listed(user);
                let (page, _) = tokio::join!(process.store.list(&scope, None, 10), settle(&process));
                assert_eq!(page.unwrap().items.len(), 1, "{user}");
            }
            for user in &users {
                assert_eq!(
                    text(&*world.new, &chat(user, user)).await,
                    text(&*world.old(), &chat(user, user)).await
                );
            }
        });
    }
}

/// A server that is stopped between its look at the leads and its write does nothing when it wakes.
#[test]
fn a_write_that_was_held_up_across_a_change_is_refused_or_counted() {
    for world in worlds(QUICK) {
        block_on(async {
            let (slow, driver) = (world.process("slow", 1), world.patient("driver", 2));
            driver.moving.begin("a test").await.unwrap();
            driver.moving.read_log().await.unwrap();
            let key = chat("u1", "a");
            driver.store.create(&key, empty("u1", "a")).await.unwrap();
            for round in 0..6_u64 {
                // its request to the files takes longer than it may
                slow.old_line.delay_ms.store(900, Ordering::SeqCst);
                let (store, own) = (Arc::clone(&slow.store), key.clone());
                let write = tokio::spawn(async move { say(&*store, &own, round).await });
                tokio::time::sleep(Duration::from_millis(30)).await;
                let wanted = Leads::share(if round % 2 == 0 { SLOTS } else { 0 });
                driver.moving.change(&wanted, "turn", 60_000).await.unwrap();
                let seen = numbers(driver.store.get(&key).await.unwrap().as_ref());
                let done = write.await.unwrap();
                slow.old_line.delay_ms.store(0, Ordering::SeqCst);
                let after = numbers(driver.store.get(&key).await.unwrap().as_ref());
                let there = after.iter().filter(|n| **n == round).count();
                assert!(there <= 1 && (done.is_err() || there == 1), "{round}: {seen:?} {after:?} {done:?}");
                settle(&driver).await;
                assert_eq!(text(&*world.new, &key).await, text(&*world.old(), &key).await);
            }
        });
    }
}

/// It gets ready meanwhile, but the file is as it was until the intent is there.
#[test]
fn a_write_is_not_done_before_its_intent_is_there() {
    for world in worlds(MovingOptions { ask_ms: 20_000, write_ms: 20_000, ..QUICK }) {
        block_on(async {
            let (slow, other) = (world.process("slow", 1), world.process("other", 2));
            other.moving.begin("a test").await.unwrap();
            other.moving.read_log().await.unwrap();
            let key = chat("u1", "a");
            other.store.create(&key, empty("u1", "a")).await.unwrap();
            slow.moving.renew().await.unwrap();
            for number in 0..5 {
                settle(&other).await;
                let (old, before) = (world.old(), text(&*world.old(), &key).await);
                slow.new_line.delay_ms.store(200, Ordering::SeqCst);
                let (store, own) = (Arc::clone(&slow.store), key.clone());
                let write = tokio::spawn(async move { say(&*store, &own, number).await });
                while text(&*old, &key).await == before {
                    tokio::task::yield_now().await;
                }
                let pending = other.moving.journal().pending().await.unwrap();
                assert!(pending > 0, "{number}: the file is another, and nobody knows of it");
                write.await.unwrap().unwrap();
                slow.new_line.delay_ms.store(0, Ordering::SeqCst);
            }
        });
    }
}

#[test]
fn without_the_new_store_writes_go_on_by_note_while_the_old_one_leads() {
    for world in worlds(MovingOptions { ask_ms: 20_000, write_ms: 2_000, ..QUICK }) {
        block_on(async {
            let (server, driver) = (world.process("server", 1), world.patient("driver", 2));
            driver.moving.begin("a test").await.unwrap();
            driver.moving.read_log().await.unwrap();
            let key = chat("u1", "a");
            driver.store.create(&key, empty("u1", "a")).await.unwrap();
            server.moving.renew().await.unwrap();
            server.new_line.cut.store(true, Ordering::SeqCst);
            say(&*server.store, &key, 1).await.unwrap();
            tokio::time::sleep(Duration::from_millis(600)).await;
            // the lease is over, and nothing was heard of the new store
            say(&*server.store, &key, 2).await.unwrap();
            assert_eq!(numbers(server.store.get(&key).await.unwrap().as_ref()), [1, 2]);
            assert!(!world.objects.list(".repot/notes/", None, 10).await.unwrap().is_empty());
            // the lead changes without it; the notes are taken up first
            driver.moving.change(&Leads::share(SLOTS), "all", 60_000).await.unwrap();
            assert_eq!(numbers(world.new.get(&key).await.unwrap().as_ref()), [1, 2]);
            assert!(world.objects.list(".repot/notes/", None, 10).await.unwrap().is_empty());
            let refused = say(&*server.store, &key, 3).await.unwrap_err();
            assert_eq!(refused.code(), "R0713");
            assert_eq!(server.store.get(&key).await.unwrap_err().code(), "R0713");
            server.new_line.cut.store(false, Ordering::SeqCst);
            say(&*server.store, &key, 4).await.unwrap();
            assert_eq!(numbers(server.store.get(&key).await.unwrap().as_ref()), [1, 2, 4]);
        });
    }
}

/// Whoever finds a change goes on with it.
#[test]
fn a_change_whose_driver_died_is_gone_on_with_or_given_up() {
    for world in worlds(QUICK) {
        block_on(async {
            let (first, second) = (world.patient("first", 1), world.patient("second", 2));
            first.moving.begin("a test").await.unwrap();
            first.moving.read_log().await.unwrap();
            let key = chat("u1", "a");
            first.store.create(&key, empty("u1", "a")).await.unwrap();
            settle(&first).await;
            let all = Leads::share(SLOTS);
            // the first stops after so many steps; a write comes in between
            for (steps, n) in (0..4).zip(0_u64..) {
                first.moving.want(&all, "by the first").await.unwrap();
                for _ in 0..steps {
                    first.moving.step().await.unwrap();
                }
                loop {
                    match second.moving.step().await.unwrap() {
                        ChangeProgress::Nothing | ChangeProgress::Done => break,
                        ChangeProgress::Stepped | ChangeProgress::Waits(_) => {}
                    }
                    second.moving.read_log().await.unwrap();
                    second.moving.copy_marked().await.unwrap();
                }
                say(&*second.store, &key, n).await.unwrap();
                assert_eq!(numbers(world.new.get(&key).await.unwrap().as_ref()).last(), Some(&n));
                second.moving.want(&Leads::default(), "back").await.unwrap();
                second.moving.step().await.unwrap();
                second.moving.give_up("changed my mind").await.unwrap();
                assert_eq!(second.moving.step().await.unwrap(), ChangeProgress::Nothing);
                second.moving.change(&Leads::default(), "back", 60_000).await.unwrap();
                assert_eq!(numbers(world.old().get(&key).await.unwrap().as_ref()).last(), Some(&n));
            }
        });
    }
}

#[test]
fn who_heard_of_a_change_by_a_call_tells_the_others_at_the_next_look() {
    for world in worlds(MovingOptions::default()) {
        block_on(async {
            let (server, driver) = (world.process("server", 1), world.process("driver", 2));
            server.moving.begin("a test").await.unwrap();
            server.moving.read_log().await.unwrap();
            server.moving.look().await.unwrap();
            driver.moving.want(&Leads::share(SLOTS), "all").await.unwrap();
            assert!(matches!(driver.moving.step().await.unwrap(), ChangeProgress::Waits(_)));
            server.moving.status().await.unwrap();
            server.moving.look().await.unwrap();
            assert_eq!(driver.moving.step().await.unwrap(), ChangeProgress::Stepped);
        });
    }
}

#[test]
fn the_end_is_refused_before_the_new_store_leads_and_leaves_nothing_behind() {
    for world in worlds(MovingOptions::default()) {
        block_on(async {
            let process = world.process("one", 1);
            let early = world.process("early", 1);
            assert_eq!(early.moving.finish("too early", None).await.unwrap_err().code(), "R0715");
            process.moving.begin("a test").await.unwrap();
            process.moving.read_log().await.unwrap();
            assert_eq!(process.moving.finish("too early", None).await.unwrap_err().code(), "R0717");
            let key = chat("u1", "a");
            process.store.create(&key, empty("u1", "a")).await.unwrap();
            process.moving.change(&Leads::share(SLOTS), "all", 60_000).await.unwrap();
            say(&*process.store, &key, 1).await.unwrap();
            let late = world.process("late", 2);
            late.moving.look().await.unwrap();
            late.moving.publish().await.unwrap();
            process.moving.finish("done", None).await.unwrap();
            // it has not heard of the end
            late.moving.publish().await.unwrap();
            say(&*process.store, &key, 2).await.unwrap();
            assert_eq!(numbers(process.store.get(&key).await.unwrap().as_ref()), [1, 2]);
            let beside = world.objects.list(".repot/", None, 10).await.unwrap();
            assert_eq!(
                beside.iter().map(|object| object.path.as_str()).collect::<Vec<_>>(),
                [".repot/fence"]
            );
            let left = world.database.ask("select kind from repot_facts where kind <> 'move_event'");
            assert_eq!(left.trim(), "");
        });
    }
}

/// A question sees what was written without the database just before, and taken up since.
#[test]
fn a_question_waits_for_what_was_written_while_the_database_was_away() {
    for world in worlds(QUICK) {
        block_on(async {
            let (cut, mut other) = (world.patient("cut", 1), world.patient("other", 2));
            other.moving.begin("a test").await.unwrap();
            let key = chat("u1", "a");
            other.store.create(&key, empty("u1", "a")).await.unwrap();
            settle(&other).await;
            other.run();
            cut.new_line.cut.store(true, Ordering::SeqCst);
            say(&*cut.store, &key, 1).await.unwrap();
            let asked = Query { full: true, ..Query::of(Scope::of("chats").in_tenant("u1")) };
            let found = loop {
                match other.store.query(&asked).await {
                    Ok(found) => break found,
                    // asked for again, as its hint says
                    Err(error) => assert_eq!(error.code(), "R0711"),
                }
            };
            assert!(format!("{:?}", found.items).contains("n\\\": 1"), "{found:?}");
        });
    }
}

/// Whoever does things all the time says what went wrong last, and that it is over.
#[test]
fn a_process_says_what_goes_wrong_in_the_background() {
    let world = World::new(Database::all().next().unwrap(), QUICK);
    block_on(async {
        let mut process = world.process("one", 1);
        process.moving.begin("a test").await.unwrap();
        process.new_line.cut.store(true, Ordering::SeqCst);
        process.run();
        let until = async |is_over: bool| {
            loop {
                let troubles = process.moving.troubles();
                if !troubles.is_empty() && troubles.iter().all(|trouble| trouble.is_over == is_over) {
                    return troubles;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let troubles = until(false).await;
        assert!(troubles[0].why.contains("the line is cut"), "{troubles:?}");
        assert!(troubles[0].since_ms <= troubles[0].at_ms);
        process.new_line.cut.store(false, Ordering::SeqCst);
        until(true).await;
    });
}
