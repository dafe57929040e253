//! Between databases: servers over the old one that take no part in the move. What they wrote is not lost, and from the first change
//! on they write no more, however late they come.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use repot_core::store::{
    Fact, FactChange, FactValue, Ledger as _, Precondition, Query, Queryable as _, Scope, Store,
    StoreExt as _, UnitOfWork, Write,
};
use repot_core::{Kind, Retry};
use repot_engine::moving::{Leads, SLOTS};

use super::lab::{World, chat, empty, numbers, say, settle};
use crate::documents::{Database, block_on};
use crate::grouped::session;

/// From and into each kind of database.
fn worlds() -> impl Iterator<Item = World> {
    let old = [Some(Database::sqlite()), Database::postgres()];
    old.into_iter().flatten().map(|old| {
        let new = match &old {
            Database::Sqlite(_) => Database::postgres().unwrap_or_else(Database::sqlite),
            Database::Postgres(..) => Database::sqlite(),
        };
        World::of_databases(old, new, repot_engine::moving::MovingOptions::default())
    })
}

/// Appends numbers to a chat for ever; those that were acknowledged, and how often it was refused.
async fn append(
    store: Arc<impl Store>,
    user: String,
    stop: Arc<AtomicBool>,
    refused: Arc<AtomicU64>,
) -> Vec<u64> {
    let (key, mut told) = (chat(&user, &user), Vec::new());
    for n in 0.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        match say(&*store, &key, n).await {
            Ok(()) => told.push(n),
            Err(error) => {
                assert_eq!((error.code(), error.may_retry()), ("R0725", Retry::Safe), "{error}");
                refused.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        }
    }
    told
}

#[test]
fn what_servers_of_the_old_database_wrote_is_not_lost() {
    for world in worlds() {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(3).enable_all().build().unwrap();
        let direct = Arc::new(world.direct().unwrap());
        runtime.block_on(async {
            let users: Vec<String> = (0..6).map(|at| format!("u{at}")).collect();
            for user in &users {
                direct.create(&chat(user, user), empty(user, user)).await.unwrap();
            }
            let (stop, refused) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
            let writers: Vec<_> = users
                .iter()
                .map(|user| {
                    let flags = (Arc::clone(&stop), Arc::clone(&refused));
                    tokio::spawn(append(Arc::clone(&direct), user.clone(), flags.0, flags.1))
                })
                .collect();
            let mut part = world.patient("a", 0);
            part.moving.begin("test").await.unwrap();
            part.run();
            for (share, is_out) in [(300, true), (SLOTS, true), (0, false), (SLOTS, true)] {
                part.moving.change(&Leads::share(share), "test", 60_000).await.unwrap();
                if share == 0 {
                    assert!(part.moving.let_outsiders_in().await.unwrap());
                }
                let before = refused.load(Ordering::SeqCst);
                // that many are refused where somebody is kept out; else something is acknowledged
                let probe = say(&*direct, &chat("u0", "u0"), 1_000_000).await;
                assert_eq!(probe.is_err(), is_out, "{share}");
                while is_out && refused.load(Ordering::SeqCst) < before + 12 {
                    tokio::task::yield_now().await;
                }
                // it leads nothing alone, so nobody is let in
                assert!(!is_out || !part.moving.let_outsiders_in().await.unwrap());
            }
            stop.store(true, Ordering::SeqCst);
            settle(&part).await;
            for (user, told) in users.iter().zip(writers) {
                let told = told.await.unwrap();
                let mut there = numbers(part.store.get(&chat(user, user)).await.unwrap().as_ref());
                there.retain(|n| *n < 1_000_000);
                assert_eq!(there, told, "{user}");
            }
        });
    }
}

/// A write of a server that takes no part is on its way: the change waits for it, and it is neither lost nor done twice. Facts are
/// refused as documents are, and who takes part writes both.
#[test]
fn a_transaction_that_began_before_is_waited_for() {
    let Some(old) = Database::postgres() else { return };
    let url = old.url();
    let world = World::of_databases(old, Database::sqlite(), repot_engine::moving::MovingOptions::default());
    let (direct, key) = (Arc::new(world.direct().unwrap()), chat("u", "c"));
    block_on(async {
        direct.create(&key, empty("u", "c")).await.unwrap();
        let part = world.patient("a", 0);
        part.moving.begin("test").await.unwrap();
        // it has begun, and waits for a row that somebody else holds
        let locker = session(&url).await;
        locker.batch_execute("begin; select from chats where id = 'c' for update").await.unwrap();
        let late = Arc::clone(&direct);
        let own = key.clone();
        let late = tokio::spawn(async move { say(&*late, &own, 7).await });
        let waits = "select 1 from pg_locks where not granted";
        while locker.query(waits, &[]).await.unwrap().is_empty() {}
        let moving = Arc::clone(&part.moving);
        let change = tokio::spawn(async move { moving.change(&Leads::share(SLOTS), "test", 60_000).await });
        // longer than one try waits for it: it is tried again
        let closed = "select value from repot_meta where key = 'kept_out'";
        let mut values = BTreeSet::new();
        while values.len() < 2 {
            let found = locker.query(closed, &[]).await.unwrap();
            values.extend(found.iter().map(|row| row.get::<_, String>(0)));
            assert!(!change.is_finished() && !late.is_finished());
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
        locker.batch_execute("commit").await.unwrap();
        late.await.unwrap().unwrap();
        change.await.unwrap().unwrap();
        assert_eq!(numbers(part.store.get(&key).await.unwrap().as_ref()), [7]);
        let fact = FactChange::put("rate_limit", "x", FactValue::lasting("1"));
        for error in [say(&*direct, &key, 8).await.unwrap_err(), direct.note(fact).await.unwrap_err()] {
            assert_eq!((error.code(), error.kind()), ("R0725", Kind::Unavailable), "{error}");
        }
        let decided = direct.update_fact(
            "api_key",
            "x",
            repot_core::store::FactEdit::new(|_| Ok(repot_core::store::FactStep::Remove)),
        );
        assert_eq!(decided.await.unwrap_err().code(), "R0725");
        say(&*part.store, &key, 9).await.unwrap();
        settle(&part).await;
        assert_eq!(numbers(direct.get(&key).await.unwrap().as_ref()), [7, 9]);
    });
}

/// What the ledger of the old database has is carried over once, also where the new one has some of it, by whoever made or took it
/// back there; so are those that come later. There are more of them than one transaction takes.
#[test]
fn facts_are_carried_over_once() {
    for world in worlds() {
        let (direct, kind) = (world.direct().unwrap(), "rate_limit");
        block_on(async {
            let note =
                |name: &str, value: &str| FactChange::put(kind, name, FactValue::lasting(value.to_owned()));
            let name = |n: usize| format!("f{n:04}");
            for n in (0..620).filter(|n| *n != 300) {
                direct.note(note(&name(n), "old")).await.unwrap();
            }
            world.new.note(note(&name(70), "new")).await.unwrap();
            let part = world.patient("a", 0);
            part.moving.begin("test").await.unwrap();
            world.new.note(FactChange::remove(kind, &name(610))).await.unwrap();
            world.new.note(note(&name(5), "spent")).await.unwrap();
            direct.note(note(&name(300), "late")).await.unwrap();
            direct.note(note(&name(5), "later")).await.unwrap();
            part.moving.change(&Leads::share(SLOTS), "test", 60_000).await.unwrap();
            let mut found = Vec::new();
            while let page =
                world.new.facts(kind, found.last().map(|fact: &Fact| &*fact.name), 500).await.unwrap()
                && !page.is_empty()
            {
                found.extend(page);
            }
            let found: Vec<(String, String)> = found
                .into_iter()
                .map(|fact| (fact.name, String::from_utf8(fact.value.to_vec()).unwrap()))
                .collect();
            let expected = (0..620).filter(|n| *n != 610).map(|n| {
                let value = match n {
                    5 => "spent",
                    70 => "new",
                    300 => "late",
                    _ => "old",
                };
                (name(n), value.to_owned())
            });
            let expected: Vec<_> = expected.collect();
            let odd = found.iter().zip(&expected).find(|(found, expected)| found != expected);
            assert_eq!((odd, found.len()), (None, expected.len()));
        });
    }
}

/// Until the first change who takes part writes an old database as its own servers do: the journal of the move is not asked, and
/// questions know of it at once. Who has not heard of a change is refused there, asks, and writes where it belongs; so is who comes
/// when everything is back, and outsiders are still kept out.
#[test]
fn who_takes_part_writes_an_old_database_by_itself_until_the_first_change() {
    for world in worlds() {
        let (direct, key) = (world.direct().unwrap(), chat("u", "c"));
        block_on(async {
            direct.create(&key, empty("u", "c")).await.unwrap();
            let (part, late) = (world.patient("a", 0), world.patient("b", 1));
            part.moving.begin("test").await.unwrap();
            part.moving.change(&Leads::share(SLOTS), "test", 60_000).await.unwrap();
            part.moving.change(&Leads::share(0), "test", 60_000).await.unwrap();
            let put = |body, etag| {
                UnitOfWork::default().with(Write::Put {
                    key: key.clone(),
                    body,
                    when: Precondition::Matches(etag),
                })
            };
            let was = || async { part.moving.journal().pending().await.unwrap() };
            // outsiders are kept out until they are let in, so the journal knows of it
            say(&*part.store, &key, 1).await.unwrap();
            assert_ne!(was().await, 0);
            settle(&part).await;
            assert!(part.moving.let_outsiders_in().await.unwrap());

            let seen = part.store.get(&key).await.unwrap().unwrap();
            for (n, process) in [(2, &part), (3, &late)] {
                say(&*process.store, &key, n).await.unwrap();
            }
            assert_eq!(was().await, 0);
            assert_eq!(numbers(direct.get(&key).await.unwrap().as_ref()), [1, 2, 3]);
            assert_eq!(numbers(world.new.get(&key).await.unwrap().as_ref()), [1]);
            let asked = Query::of(Scope::of("messages").in_tenant("u"));
            assert_eq!(
                (
                    late.store.count(&asked).await.unwrap(),
                    part.store.query(&asked).await.unwrap().items.len()
                ),
                (3, 3)
            );
            // a state that was read then is none any more, and one of now is
            let overtaken = part.store.apply(put(empty("u", "c").into(), seen.etag)).await;
            assert_eq!(overtaken.unwrap_err().kind(), Kind::Conflict);
            let now = late.store.get(&key).await.unwrap().unwrap();
            // somebody else's documents change store: it knows of no change, and the state that it read is still there
            part.moving.change(&Leads::share(1), "test", 60_000).await.unwrap();
            late.store.apply(put(now.body, now.etag)).await.unwrap();
            assert_ne!(was().await, 0);
            part.moving.change(&Leads::share(SLOTS), "test", 60_000).await.unwrap();
            say(&*late.store, &key, 4).await.unwrap();
            assert_eq!(numbers(world.new.get(&key).await.unwrap().as_ref()), [1, 2, 3, 4]);
            settle(&part).await;
            assert_eq!(numbers(world.old().get(&key).await.unwrap().as_ref()), [1, 2, 3, 4]);
            assert_eq!(late.store.count(&asked).await.unwrap(), 4);
        });
    }
}
