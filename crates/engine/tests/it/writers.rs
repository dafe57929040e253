//! Many writers in one database, in several stores as in several processes: nothing is lost, nobody waits for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use repot_core::store::{DocumentKey, Edit, Precondition, StoreExt as _, UnitOfWork, Write, Written};
use repot_core::{Error, Kind, LockHolder, Result, Retry};
use repot_model::language::Model;
use repot_model::plan::Plan;

use crate::documents::{Database, block_on, copy, note, proof};
use crate::scripted::Scripted;

fn me() -> LockHolder {
    LockHolder { host: "here".to_owned(), pid: 9, since_ms: 0 }
}

fn count(text: &[u8]) -> usize {
    let text = std::str::from_utf8(text).unwrap();
    text.split("\"count\": ").nth(1).unwrap().trim_end_matches('}').parse().unwrap()
}

fn counted(id: &str, count: usize) -> Bytes {
    format!("{{\"id\": \"{id}\", \"count\": {count}}}").into()
}

/// One more, from 1 when nothing is there.
fn increment(id: &str) -> Edit {
    let id = id.to_owned();
    Edit::new(move |text| Ok(Some(counted(&id, text.map_or(0, count) + 1))))
}

fn update(id: &str) -> Write {
    Write::Update { key: note(id), edit: increment(id), when: Precondition::Any }
}

#[test]
fn two_stores_lose_no_update() {
    const TIMES: usize = 12;
    for database in Database::all() {
        let stores = [database.open(), database.open()];
        block_on(async {
            let tasks: Vec<_> = (0..16)
                .map(|at| {
                    let store = Arc::clone(&stores[at % 2]);
                    tokio::spawn(async move {
                        for _ in 0..TIMES {
                            let edit = |text: Option<&[u8]>| Ok(counted("n", text.map_or(0, count) + 1));
                            store.update(&note("n"), edit).await.unwrap();
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
            for store in &stores {
                assert_eq!(count(&store.require(&note("n")).await.unwrap().body), 16 * TIMES);
            }
        });
        drop(stores);
        let proof = proof(&database);
        assert!(proof.holds(), "{:?}", proof.differences);
    }
}

/// Units over several documents in crossing order all end, and each is there whole.
#[test]
fn crossing_units_all_end() {
    const TIMES: usize = 10;
    const ORDERS: [&str; 8] = ["abc", "cba", "bca", "acb", "ba", "ca", "cb", "b"];
    for database in Database::all() {
        let stores = [database.open(), database.open()];
        block_on(async {
            let tasks: Vec<_> = ORDERS
                .iter()
                .enumerate()
                .map(|(at, order)| {
                    let store = Arc::clone(&stores[at % 2]);
                    tokio::spawn(async move {
                        for _ in 0..TIMES {
                            let writes = order.chars().map(|id| update(&id.to_string())).collect();
                            store.apply(UnitOfWork { writes, ..UnitOfWork::default() }).await.unwrap();
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
            for id in ["a", "b", "c"] {
                let expected = ORDERS.iter().filter(|order| order.contains(id)).count() * TIMES;
                assert_eq!(count(&stores[0].require(&note(id)).await.unwrap().body), expected, "{id}");
            }
        });
    }
}

/// Of all that create one document, in two stores, one wins; deletes and creates in turn lose nothing either.
#[test]
fn of_two_creators_one_wins() {
    for database in Database::all() {
        let stores = [database.open(), database.open()];
        block_on(async {
            for round in 0..20 {
                let id = format!("r{round}");
                let tasks: Vec<_> = (0..4)
                    .map(|at| {
                        let (store, id) = (Arc::clone(&stores[at % 2]), id.clone());
                        tokio::spawn(async move { store.create(&note(&id), counted(&id, at)).await })
                    })
                    .collect();
                let mut won = 0;
                for task in tasks {
                    match task.await.unwrap() {
                        Ok(_) => won += 1,
                        Err(error) => {
                            assert_eq!((error.kind(), error.code()), (Kind::Conflict, "R0401"), "{error}");
                        }
                    }
                }
                assert_eq!(won, 1, "round {round}");
            }
            // each success of a create is followed by exactly one success of a delete, or by the document that is left
            let (created, deleted) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            let tasks: Vec<_> = (0..8)
                .map(|at| {
                    let store = Arc::clone(&stores[at % 2]);
                    let (created, deleted) = (Arc::clone(&created), Arc::clone(&deleted));
                    tokio::spawn(async move {
                        for _ in 0..10 {
                            if at < 4 {
                                match store.create(&note("x"), counted("x", at)).await {
                                    Ok(_) => drop(created.fetch_add(1, Ordering::SeqCst)),
                                    Err(error) => assert_eq!(error.code(), "R0401", "{error}"),
                                }
                            } else if store.delete(&note("x"), Precondition::Any).await.unwrap() {
                                deleted.fetch_add(1, Ordering::SeqCst);
                            }
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
            let left = usize::from(stores[0].exists(&note("x")).await.unwrap());
            assert_eq!(created.load(Ordering::SeqCst), deleted.load(Ordering::SeqCst) + left);
        });
        drop(stores);
        let proof = proof(&database);
        assert!(proof.holds(), "{:?}", proof.differences);
    }
}

#[test]
fn a_copy_and_a_store_keep_each_other_out() {
    for database in Database::all() {
        let source = Scripted::default();
        let (one, other) = (database.open(), database.open());
        let error = copy(&database, &source).unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Locked, "R0701"), "{error}");
        assert!(error.message().contains("through a store"), "{error}");
        drop(one);
        assert_eq!(copy(&database, &source).unwrap_err().code(), "R0701");
        drop(other);
        copy(&database, &source).unwrap();
        let mut copying = database.target();
        copying.lock(&me()).unwrap();
        let error = database.try_open().unwrap_err();
        assert_eq!(
            (error.kind(), error.code(), error.may_retry()),
            (Kind::Locked, "R0701", Retry::Safe),
            "{error}"
        );
        drop(copying);
        drop(database.open());
    }
}

/// Several processes that open a database which nobody made yet all get it.
#[test]
fn a_new_database_is_made_once() {
    for database in Database::all() {
        std::thread::scope(|scope| {
            let opening: Vec<_> = (0..4).map(|_| scope.spawn(|| database.open())).collect();
            for (at, store) in opening.into_iter().enumerate() {
                let id = format!("n{at}");
                block_on(store.join().unwrap().create(&note(&id), counted(&id, at))).unwrap();
            }
        });
    }
}

/// A unit that the database refuses takes nobody along who was written in the same transaction.
#[test]
fn a_refused_unit_is_alone() {
    for database in Database::all() {
        let store = database.open();
        block_on(async {
            store.put(&note("first"), counted("first", 0)).await.unwrap();
            database.unnoticed("insert into notes (id, title) values ('n7', 'stray')");
            let tasks: Vec<_> = (0..24)
                .map(|at| {
                    let store = Arc::clone(&store);
                    let id = format!("n{at}");
                    tokio::spawn(async move { store.create(&note(&id), counted(&id, at)).await })
                })
                .collect();
            for (at, task) in tasks.into_iter().enumerate() {
                match task.await.unwrap() {
                    Ok(_) => assert_ne!(at, 7),
                    Err(error) => assert_eq!((at, error.code()), (7, "R0203"), "{error}"),
                }
            }
            for at in (0..24).filter(|at| *at != 7) {
                assert_eq!(count(&store.require(&note(&format!("n{at}"))).await.unwrap().body), at);
            }
        });
    }
}

#[test]
fn an_update_that_fails_changes_nothing() {
    for database in Database::all() {
        let store = database.open();
        block_on(async {
            store.put(&note("a"), counted("a", 1)).await.unwrap();
            let refuse =
                |_: Option<&[u8]>| -> Result<Bytes> { Err(Error::new(Kind::Invalid, "R0404", "no")) };
            assert_eq!(store.update(&note("a"), refuse).await.unwrap_err().code(), "R0404");
            let panics = |_: Option<&[u8]>| -> Result<Bytes> { panic!("the test's own") };
            assert_eq!(store.update(&note("a"), panics).await.unwrap_err().code(), "R0901");
            let wrong = |_: Option<&[u8]>| Ok(counted("b", 1));
            assert_eq!(store.update(&note("a"), wrong).await.unwrap_err().code(), "R0404");
            assert_eq!(store.require(&note("a")).await.unwrap().body, counted("a", 1));
            // the same text again, or nothing at all
            let was = store.require(&note("a")).await.unwrap().etag;
            assert_eq!(
                store.update(&note("a"), |text| Ok(Bytes::copy_from_slice(text.unwrap()))).await.unwrap(),
                was
            );
            let leave =
                Write::Update { key: note("z"), edit: Edit::new(|_| Ok(None)), when: Precondition::Any };
            let receipt = store.apply(UnitOfWork::default().with(leave)).await.unwrap();
            assert_eq!(receipt.written, [Written::Missing]);
            assert!(!store.exists(&note("z")).await.unwrap());
        });
    }
}

/// Two stores that each train a dictionary read each other's texts.
#[test]
fn dictionaries_of_several_stores_do_not_collide() {
    for database in Database::all() {
        let stores = [database.open(), database.open()];
        let text = |id: &str, store: usize| {
            let words = (0..2_400).map(|at| format!("word{} ", at * (store + 3) % 97));
            format!("{{\"id\": \"{id}\", \"body\": \"{}\"}}", words.collect::<String>())
        };
        block_on(async {
            let mut ids = Vec::new();
            for (at, store) in stores.iter().enumerate() {
                for number in 0..40 {
                    let id = format!("s{at}n{number}");
                    store.put(&note(&id), text(&id, at)).await.unwrap();
                    ids.push((id, at));
                }
            }
            // the last ones of each are compressed with its dictionary
            for (id, at) in ids.iter().filter(|(id, _)| id.ends_with('9')) {
                assert_eq!(stores[1 - at].require(&note(id)).await.unwrap().body, text(id, *at));
            }
        });
        drop(stores);
        assert_eq!(database.target().reader().unwrap().dictionaries().unwrap().len(), 2);
        let proof = proof(&database);
        assert!(proof.holds(), "{:?}", proof.differences);
    }
}

/// Whether a document is there does not depend on its text.
#[test]
fn exists_reads_no_text() {
    for database in Database::all() {
        let store = database.open();
        block_on(async {
            let chat = DocumentKey::new("chats", "c").in_tenant("u1");
            store.put(&note("a"), counted("a", 1)).await.unwrap();
            store.put(&chat, r#"{"id": "c"}"#).await.unwrap();
            let nothing = if matches!(database, Database::Sqlite(_)) { "x''" } else { "''" };
            database.sql(&format!("update repot_documents set text = {nothing}"));
            assert_eq!(store.get(&note("a")).await.unwrap_err().kind(), Kind::Corrupt);
            assert!(store.exists(&note("a")).await.unwrap() && store.exists(&chat).await.unwrap());
            assert!(!store.exists(&note("b")).await.unwrap());
            database.sql("delete from notes where id = 'a'");
            assert!(!store.exists(&note("a")).await.unwrap());
        });
    }
}

/// The server gives a transaction up (a deadlock, a serialization failure): it is done again from its beginning, within
/// a bound, after which the caller hears that nothing happened.
#[test]
fn what_the_server_gives_up_is_tried_again() {
    let Some(database) = Database::postgres() else { return };
    let store = database.open();
    block_on(async {
        store.put(&note("a"), counted("a", 1)).await.unwrap();
        // a sequence counts on although the transaction is taken back
        database.sql(
            "create sequence tries; create function give_up() returns trigger language plpgsql as $$ begin \
             if nextval('tries') <= 3 then raise exception 'for another' using errcode = '40P01'; end if; return new; end $$; \
             create trigger give_up before update on notes for each row execute function give_up()",
        );
        let calls = Arc::new(AtomicUsize::new(0));
        let called = Arc::clone(&calls);
        let edit = move |text: Option<&[u8]>| {
            called.fetch_add(1, Ordering::SeqCst);
            Ok(counted("a", count(text.unwrap()) + 1))
        };
        store.update(&note("a"), edit).await.unwrap();
        assert_eq!(calls.load(Ordering::SeqCst), 4);
        assert_eq!(count(&store.require(&note("a")).await.unwrap().body), 2);
        database.sql("alter sequence tries restart minvalue -1000 start -1000");
        let error = store.put(&note("a"), counted("a", 9)).await.unwrap_err();
        let found = (error.kind(), error.code(), error.may_retry());
        assert_eq!(found, (Kind::Unavailable, "R0411", Retry::Safe), "{error}");
        database.sql("drop trigger give_up on notes");
        assert_eq!(count(&store.require(&note("a")).await.unwrap().body), 2);
        store.put(&note("a"), counted("a", 3)).await.unwrap();
    });
}

/// Sessions end at any moment: what a call says of itself is true, and the store goes on.
#[test]
fn ended_sessions_lose_nothing() {
    const TIMES: usize = 8;
    let Some(database) = Database::postgres() else { return };
    let stores = [database.open(), database.open()];
    let (sure, unsure) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let ended = scope.spawn(|| {
            let mut rounds = 0;
            while !done.load(Ordering::SeqCst) {
                database.end_sessions();
                rounds += 1;
            }
            rounds
        });
        block_on(async {
            let tasks: Vec<_> = (0..8)
                .map(|at| {
                    let store = Arc::clone(&stores[at % 2]);
                    let (sure, unsure) = (Arc::clone(&sure), Arc::clone(&unsure));
                    tokio::spawn(async move {
                        let mut left = TIMES;
                        while left > 0 {
                            match store.apply(UnitOfWork::default().with(update("n"))).await {
                                Ok(_) => drop(sure.fetch_add(1, Ordering::SeqCst)),
                                Err(error) if error.may_retry() == Retry::Safe => continue,
                                Err(error) => {
                                    assert_eq!(error.may_retry(), Retry::Unknown, "{error}");
                                    unsure.fetch_add(1, Ordering::SeqCst);
                                }
                            }
                            left -= 1;
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
        });
        done.store(true, Ordering::SeqCst);
        assert!(ended.join().unwrap() > 0);
    });
    block_on(async {
        let (sure, unsure) = (sure.load(Ordering::SeqCst), unsure.load(Ordering::SeqCst));
        // reading goes on too; a call that is cut says that it may be made again
        let found = loop {
            match stores[1].require(&note("n")).await {
                Ok(found) => break found,
                Err(error) => assert_eq!(error.may_retry(), Retry::Safe, "{error}"),
            }
        };
        assert!(
            (sure..=sure + unsure).contains(&count(&found.body)),
            "{sure} and {unsure}: {:?}",
            found.body
        );
    });
    drop(stores);
    let proof = proof(&database);
    assert!(proof.holds(), "{:?}", proof.differences);
}

const OWNERS: &str = r#"
[repot]
source = "./data"

[owners]
file = "owners/{id}.json"

[owners.fields]
id   = "text key"
name = "text?"

[orders]
file = "orders/{id}.json"

[orders.fields]
id    = "text key"
owner = "-> owners cascade"
"#;

fn owners() -> (Arc<Model>, Arc<Plan>, &'static str) {
    repot_testkit::compiled(OWNERS)
}

fn holds(database: &Database) {
    crate::documents::proved(database, owners());
}

/// Between the look for what refers to a row and the row's end, nothing that refers to it comes in: `cascade` would take
/// its row and leave the document.
#[test]
fn nothing_refers_to_a_row_that_is_about_to_go() {
    let Some(database) = Database::postgres() else { return };
    let stores = [(); 2].map(|()| database.open_as(owners()));
    let (owner, order) = (DocumentKey::new("owners", "w"), DocumentKey::new("orders", "r"));
    block_on(async {
        stores[0].put(&owner, r#"{"id": "w"}"#).await.unwrap();
        // the delete stops at its beginning, before it locks a row, until the gate is empty
        database.sql(
            "create sequence entered; create table gate as select 1 as shut; \
             create function gate() returns trigger language plpgsql as $$ begin perform nextval('entered'); \
             while exists (select from gate) loop null; end loop; return null; end $$; \
             create trigger gate before delete on owners for each statement execute function gate()",
        );
        let (one, key) = (Arc::clone(&stores[0]), owner.clone());
        let deleting = tokio::spawn(async move { one.delete(&key, Precondition::Any).await });
        while database.ask("select is_called from entered") != "t\n" {
            tokio::task::yield_now().await;
        }
        let (other, key) = (Arc::clone(&stores[1]), order.clone());
        let creating = tokio::spawn(async move { other.put(&key, r#"{"id": "r", "owner": "w"}"#).await });
        let waiting = "select count(*) > 0 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()";
        while !creating.is_finished() && database.ask(waiting) != "t\n" {
            tokio::task::yield_now().await;
        }
        database.sql("delete from gate");
        let (deleted, created) = (deleting.await.unwrap(), creating.await.unwrap());
        assert!(deleted.unwrap());
        let error = created.unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Conflict, "R0305"), "{error}");
        assert!(!stores[0].exists(&order).await.unwrap());
    });
    drop(stores);
    holds(&database);
}

/// A document that refers to another, and the other's removal, at once in two stores: never both.
#[test]
fn a_reference_never_outlives_what_it_refers_to() {
    const ROUNDS: usize = 25;
    for database in Database::all() {
        let stores = [(); 2].map(|()| database.open_as(owners()));
        block_on(async {
            for round in 0..ROUNDS {
                let (owner, order) = (format!("w{round}"), format!("r{round}"));
                let (owner_key, order_key) =
                    (DocumentKey::new("owners", &owner), DocumentKey::new("orders", &order));
                stores[0].put(&owner_key, format!(r#"{{"id": "{owner}"}}"#)).await.unwrap();
                let (one, key) = (Arc::clone(&stores[0]), owner_key.clone());
                let deleting = tokio::spawn(async move { one.delete(&key, Precondition::Any).await });
                let other = Arc::clone(&stores[1]);
                let creating = tokio::spawn(async move {
                    let text = format!(r#"{{"id": "{order}", "owner": "{owner}"}}"#);
                    other.put(&DocumentKey::new("orders", &order), text).await
                });
                let (deleted, created) = (deleting.await.unwrap(), creating.await.unwrap());
                if let Err(error) = &created {
                    assert_eq!((error.kind(), error.code()), (Kind::Conflict, "R0305"), "{error}");
                }
                // an order that came first went along
                assert!(deleted.unwrap(), "round {round}: {created:?}");
                assert!(!stores[0].exists(&owner_key).await.unwrap());
                assert!(!stores[0].exists(&order_key).await.unwrap(), "round {round}: {created:?}");
            }
        });
        drop(stores);
        holds(&database);
    }
}
