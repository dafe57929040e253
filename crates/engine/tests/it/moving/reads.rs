//! Reads that are served from the copy while the files lead: only where the copy is known to be what the files hold, whatever
//! is on its way, and whoever is cut off.

use std::sync::atomic::Ordering;
use std::time::Duration;

use repot_core::Kind;
use repot_core::moving::{CopyInto as _, Lead};
use repot_core::store::{DocumentKey, Precondition, Store as _, StoreExt as _, UnitOfWork, Write};
use repot_engine::moving::{ChangeProgress, Copied, Leads, Limits, MovingOptions, SLOTS, Stage, Terms};

use super::lab::{Process, QUICK, World, chat, empty, numbers, say, settle, text};
use super::objects::Death;
use crate::documents::{Database, block_on};

fn worlds(options: MovingOptions) -> impl Iterator<Item = World> {
    Database::all().map(move |database| World::new(database, options))
}

/// A process in a world in which all reads are served from the copy of this document.
async fn reading(world: &World, key: &DocumentKey) -> Process {
    let process = world.patient("one", 1);
    process.moving.begin("a test").await.unwrap();
    process.store.create(key, empty(key.tenant().unwrap(), "a")).await.unwrap();
    process.moving.change(&Leads::reads(SLOTS), "reads", 60_000).await.unwrap();
    process
}

async fn read(process: &Process, key: &DocumentKey) -> Vec<u64> {
    numbers(process.store.get(key).await.unwrap().as_ref())
}

/// Whether a read is answered without the files.
async fn is_of_copy(process: &Process, key: &DocumentKey) -> bool {
    process.old_line.cut.store(true, Ordering::SeqCst);
    let (found, is_there) = (process.store.get(key).await, process.store.exists(key).await);
    process.old_line.cut.store(false, Ordering::SeqCst);
    assert_eq!(found.is_ok(), is_there.is_ok());
    found.is_ok()
}

#[test]
fn reads_are_served_from_the_copy_once_it_is_there_and_writes_go_to_the_files() {
    for world in worlds(MovingOptions::default()) {
        block_on(async {
            let key = chat("u1", "a");
            let process = reading(&world, &key).await;
            let control = process.moving.last_control().unwrap();
            assert_eq!(
                (control.stage(), control.leads.everything()),
                (Stage::RollingOutReads(SLOTS), Some(Lead::Old))
            );
            assert!(is_of_copy(&process, &key).await);
            say(&*process.store, &key, 1).await.unwrap();
            assert_eq!(numbers(world.old().get(&key).await.unwrap().as_ref()), [1]);
            // the copy is not there yet
            assert!(numbers(world.new.get(&key).await.unwrap().as_ref()).is_empty());
            assert_eq!(read(&process, &key).await, [1]);
            assert!(!is_of_copy(&process, &key).await);
            settle(&process).await;
            assert!(is_of_copy(&process, &key).await);
            assert_eq!(read(&process, &key).await, [1]);
            // what was never there, and what is gone
            assert!(process.store.get(&chat("u1", "b")).await.unwrap().is_none());
            process.store.delete(&key, Precondition::Any).await.unwrap();
            assert!(process.store.get(&key).await.unwrap().is_none());
            assert!(!process.store.exists(&key).await.unwrap());
            // one tenant alone
            let mut one = Leads::default();
            one.reads.tenants.insert("u2".into());
            process.moving.change(&one, "one", 60_000).await.unwrap();
            assert!(is_of_copy(&process, &chat("u2", "a")).await);
            assert!(!is_of_copy(&process, &key).await);
        });
    }
}

/// Files and database name a state by other `ETags`; a write on condition of what was read is done all the same.
#[test]
fn what_was_read_from_the_copy_is_a_condition_that_the_files_keep() {
    for world in worlds(MovingOptions::default()) {
        block_on(async {
            let key = chat("u1", "a");
            let process = reading(&world, &key).await;
            let (old, found) = (world.old(), process.store.get(&key).await.unwrap().unwrap());
            assert_ne!(old.get(&key).await.unwrap().unwrap().etag, found.etag);
            let next = |n: u64| empty("u1", "a").replace("[]", &format!("[{{\"n\": {n}}}]"));
            let given = process.store.replace(&key, next(1), &found.etag).await.unwrap();
            let late = process.store.replace(&key, next(2), &found.etag).await.unwrap_err();
            assert_eq!(late.kind(), Kind::Conflict);
            // what the write was answered is one, too
            process.store.replace(&key, next(3), &given).await.unwrap();
            settle(&process).await;
            let found = process.store.get(&key).await.unwrap().unwrap();
            let write = Write::Delete { key: key.clone(), when: Precondition::Matches(found.etag) };
            process.store.apply(UnitOfWork::default().with(write)).await.unwrap();
            assert!(old.get(&key).await.unwrap().is_none());
            // also where the database led it meanwhile
            process.store.create(&key, empty("u1", "a")).await.unwrap();
            process.moving.change(&Leads::share(SLOTS), "all", 60_000).await.unwrap();
            say(&*process.store, &key, 4).await.unwrap();
            process.moving.change(&Leads::reads(SLOTS), "back", 60_000).await.unwrap();
            assert!(is_of_copy(&process, &key).await);
            let found = process.store.get(&key).await.unwrap().unwrap();
            process.store.replace(&key, next(5), &found.etag).await.unwrap();
        });
    }
}

/// What is on its way is not marked; its intent is there for longer than that.
#[test]
fn a_write_on_its_way_and_one_that_was_left_are_read_from_the_files() {
    for world in worlds(MovingOptions { ask_ms: 20_000, ..QUICK }) {
        block_on(async {
            let key = chat("u1", "a");
            let (reader, writer) = (reading(&world, &key).await, world.process("two", 2));
            *writer.old_line.death.lock().unwrap() = Some(Death::BeforeItIsSent);
            tokio::select! {
                _ = say(&*writer.store, &key, 1) => {}
                () = writer.old_line.died.notified() => {}
            }
            // nothing changed yet, so there is nothing to copy
            assert_eq!(reader.moving.copy_marked().await.unwrap(), Copied::default());
            assert_eq!(reader.moving.journal().pending().await.unwrap(), 1);
            // what the dead server sent arrives
            let path = world.layout.paths(&key).unwrap().remove(0);
            let late = empty("u1", "a").replace("[]", "[{\"n\": 1}]");
            world.objects.put(&path, late.clone().into(), &Precondition::Any, None).await.unwrap();
            assert_eq!(read(&reader, &key).await, [1]);
            assert!(!is_of_copy(&reader, &key).await);
            // it is found to have run out: marked, then copied
            while reader.moving.mend().await.unwrap() == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            assert_eq!(read(&reader, &key).await, [1]);
            assert!(!is_of_copy(&reader, &key).await);
            settle(&reader).await;
            assert_eq!(text(&*world.new, &key).await, Some(late));
            assert!(is_of_copy(&reader, &key).await);
            assert_eq!(read(&reader, &key).await, [1]);
        });
    }
}

/// A note is not seen by who reads the copy: so none is left there, and reads go on from the files.
#[test]
fn who_does_not_reach_the_database_reads_the_files_and_writes_nothing() {
    for world in worlds(MovingOptions { ask_ms: 300, ..QUICK }) {
        block_on(async {
            let key = chat("u1", "a");
            let (reader, cut) = (reading(&world, &key).await, world.process("cut", 2));
            say(&*reader.store, &key, 1).await.unwrap();
            cut.moving.renew().await.unwrap();
            cut.new_line.cut.store(true, Ordering::SeqCst);
            for is_lease_over in [false, true] {
                if is_lease_over {
                    world.clock.put_forward(2_000);
                }
                assert_eq!(say(&*cut.store, &key, 2).await.unwrap_err().code(), "R0713");
                assert_eq!(read(&cut, &key).await, [1]);
            }
            // out of the share it writes by note, and is seen by all
            reader.moving.change(&Leads::default(), "rollback", 60_000).await.unwrap();
            say(&*cut.store, &key, 3).await.unwrap();
            assert_eq!(read(&reader, &key).await, [1, 3]);
            reader.moving.change(&Leads::reads(SLOTS), "reads", 60_000).await.unwrap();
            assert!(is_of_copy(&reader, &key).await);
            assert_eq!(read(&reader, &key).await, [1, 3]);
        });
    }
}

/// Wherever the change of the share stands, a write that was acknowledged is in every later read.
#[test]
fn a_note_that_is_left_while_the_share_changes_is_seen_or_refused() {
    for world in worlds(QUICK) {
        block_on(async {
            let (driver, reader) = (world.patient("driver", 1), world.patient("reader", 2));
            driver.moving.begin("a test").await.unwrap();
            let cut = world.process("cut", 3);
            cut.new_line.cut.store(true, Ordering::SeqCst);
            let (mut refused, mut last) = (0, Leads::default());
            for (steps, n) in (0..10).zip(0_u64..) {
                let key = chat("u1", &format!("c{n}"));
                driver.moving.change(&last, "before", 60_000).await.unwrap();
                driver.store.create(&key, empty("u1", &format!("c{n}"))).await.unwrap();
                settle(&driver).await;
                let wanted = if last.is_old_alone() { Leads::reads(SLOTS) } else { Leads::default() };
                driver.moving.want(&wanted, "another share").await.unwrap();
                let mut done = 0;
                while done < steps / 2 {
                    done += match driver.moving.step().await.unwrap() {
                        ChangeProgress::Nothing | ChangeProgress::Done => break,
                        ChangeProgress::Stepped => 1,
                        // what other rounds left behind
                        ChangeProgress::Waits(_) => 0,
                    };
                    driver.moving.mend().await.unwrap();
                    settle(&driver).await;
                }
                let told = say(&*cut.store, &key, n).await;
                refused += usize::from(told.is_err());
                let expected = if told.is_ok() { vec![n] } else { Vec::new() };
                assert_eq!(read(&reader, &key).await, expected, "{steps}: {told:?}");
                driver.moving.change(&wanted, "the end", 60_000).await.unwrap();
                assert_eq!(read(&reader, &key).await, expected, "{steps}: {told:?}");
                last = wanted;
            }
            assert!(refused > 2 && refused < 10, "{refused}");
        });
    }
}

/// The guard watches these reads: they are answered by the files where the database fails, and it fails all the same.
#[test]
fn the_guard_watches_reads_of_the_copy_and_takes_the_share_back() {
    let limits = Some(Limits { errors: 10, slower_percent: 200, lag_ms: 60_000 });
    for world in worlds(MovingOptions { lease_ms: 60_000, ask_ms: 2_000, ..MovingOptions::default() }) {
        block_on(async {
            let key = chat("u1", "a");
            let process = reading(&world, &key).await;
            let terms = Terms { compared: Some(SLOTS), limits };
            process.moving.roll_out(&Leads::reads(SLOTS), terms, "reads", 60_000).await.unwrap();
            settle(&process).await;
            process.moving.renew().await.unwrap();
            process.moving.watch_over().await.unwrap();
            // a copy that is another than the file, and nobody knows: it is told, found, and mended
            process.moving.sample_reads(true);
            let other = empty("u1", "a").replace("[]", "[{\"n\": 7}]");
            let plant = Write::Put { key: key.clone(), body: other.into(), when: Precondition::Any };
            world.new.copy_in(UnitOfWork::default().with(plant)).await.unwrap();
            world.followed(&key).await;
            assert_eq!(read(&process, &key).await, [7]);
            process.moving.compare_sampled().await.unwrap();
            let found = process.moving.journal().differences(10).await.unwrap().remove(0);
            assert_eq!((found.key, found.lead), (key.clone(), Lead::Old));
            let stopped = || process.moving.last_control().unwrap().guard.stopped.clone();
            assert_eq!(stopped().unwrap().share, SLOTS);
            // nobody looks here while the share changes, as a server does
            process.moving.retire().await.unwrap();
            assert!(process.moving.bring_back().await.unwrap());
            assert!(process.moving.last_control().unwrap().leads.is_old_alone());
            assert!(read(&process, &key).await.is_empty());
            settle(&process).await;
            process.moving.roll_out(&Leads::reads(SLOTS), terms, "again", 60_000).await.unwrap();
            process.moving.renew().await.unwrap();
            process.moving.watch_over().await.unwrap();
            for _ in 0..50 {
                read(&process, &key).await;
            }
            assert_eq!(stopped(), None);
            process.new_line.cut.store(true, Ordering::SeqCst);
            for _ in 0..5 {
                assert!(read(&process, &key).await.is_empty());
            }
            process.new_line.cut.store(false, Ordering::SeqCst);
            process.moving.watch_over().await.unwrap();
            assert!(stopped().unwrap().why.starts_with("5 of 55 calls of the new store failed"));
            process.moving.retire().await.unwrap();
            assert!(process.moving.bring_back().await.unwrap());
            assert!(!is_of_copy(&process, &key).await);
        });
    }
}

/// Files hold references as texts. In the database others follow when a document goes: that copy changes more than what it is a copy of.
#[test]
fn what_follows_from_a_copy_in_the_database_is_read_from_the_files() {
    for world in worlds(MovingOptions::default()) {
        block_on(async {
            let key = chat("u1", "a");
            let process = reading(&world, &key).await;
            let notes = ["goes", "stays"].map(|field| {
                let body = format!("{{ \"id\": \"{field}\", \"user_id\": \"u1\", \"{field}\": \"a\" }}\n");
                (DocumentKey::new("notes", field).in_tenant("u1"), body)
            });
            for (note, body) in &notes {
                process.store.create(note, body.clone()).await.unwrap();
            }
            settle(&process).await;
            for (note, _) in &notes {
                assert!(is_of_copy(&process, note).await);
            }
            process.store.delete(&key, Precondition::Any).await.unwrap();
            // it is marked when its intent has gone
            while process.moving.copy_marked().await.unwrap().copied == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            assert!(world.new.get(&key).await.unwrap().is_none());
            for (note, body) in &notes {
                assert_ne!(text(&*world.new, note).await.as_ref(), Some(body));
                assert_eq!(text(&*process.store, note).await.as_ref(), Some(body));
            }
            // they cannot be copied while they refer to what is gone
            process.moving.copy_marked().await.unwrap();
            let stuck = process.moving.journal().stuck(10).await.unwrap();
            assert_eq!(stuck.len(), 2, "{stuck:?}");
            for (note, body) in &notes {
                assert_eq!(text(&*process.store, note).await.as_ref(), Some(body));
                process.store.delete(note, Precondition::Any).await.unwrap();
            }
        });
    }
}
