//! Units of work that demand a fact beside others that change it, in the orders that PostgreSQL allows: each order is made by
//! holding one of them where it is.

use std::sync::Arc;

use repot_core::Kind;
use repot_core::combinator::{Acting, Reconcile, Strategy};
use repot_core::store::{
    Fact, FactChange, FactDemand, FactStep, FactValue, FactWhen, LedgerExt as _, Precondition, Receipt,
    Store, StoreExt as _, UnitOfWork, Write,
};
use repot_testkit::QuickPacing;
use repot_testkit::conformance::layout;
use tokio::task::JoinHandle;

use crate::documents::{Database, block_on, in_turn, note};
use crate::grouped::{open, session};

type Done = JoinHandle<repot_core::Result<Receipt>>;

fn write(id: &str) -> UnitOfWork {
    let body = format!(r#"{{"id": "{id}"}}"#).into();
    UnitOfWork::default().with(Write::Put { key: note(id), body, when: Precondition::Any })
}

fn change(demand: &FactDemand) -> FactChange {
    let to = FactValue::lasting("new");
    FactChange::put("lead", "1", to).when(FactWhen::Version(demand.version))
}

async fn noted(store: &dyn Store) -> FactDemand {
    let facts = store.ledger().unwrap();
    facts.note(FactChange::put("lead", "1", FactValue::lasting("old"))).await.unwrap();
    FactDemand::of(&facts.fact("lead", "1").await.unwrap().unwrap())
}

fn start(store: &Arc<dyn Store>, unit: UnitOfWork) -> Done {
    let store = Arc::clone(store);
    tokio::spawn(async move { store.apply(unit).await })
}

fn fenced<T: std::fmt::Debug>(done: repot_core::Result<T>) {
    let error = done.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Fenced, "R0401"), "{error}");
}

/// Waits until so many sessions of this database wait for a lock.
pub(crate) async fn until_waiting(asked: &tokio_postgres::Client, count: i64) {
    let sql = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()";
    while asked.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) < count {
        tokio::task::yield_now().await;
    }
}

/// Whoever changes the fact, in one of the ways there are, waits for a unit that has looked at it and is about to commit.
#[test]
fn a_change_waits_for_a_unit_in_flight() {
    for way in 0..3 {
        let Some(database) = Database::postgres() else { return };
        let Database::Postgres(_, url) = &database else { return };
        let (writing, changing) = (database.open(), database.open());
        block_on(async {
            let (holder, asked) = (session(url).await, session(url).await);
            let demand = noted(&*writing).await;
            // the first write of all is waited for by others
            writing.apply(write("first")).await.unwrap();
            // another fact, which comes after the one that they demand, keeps them from their commits
            let last = || FactChange::put("z", "last", FactValue::lasting("x"));
            writing.ledger().unwrap().note(last()).await.unwrap();
            holder.batch_execute("begin; select from repot_facts where kind = 'z' for update").await.unwrap();
            let unit = |id: &str| start(&writing, write(id).noting(last()).demanding(demand.clone()));
            let unit_a = unit("a");
            until_waiting(&asked, 1).await;
            let unit_b = unit("b");
            until_waiting(&asked, 2).await;
            let changed = match way {
                0 => start(&changing, UnitOfWork::default().noting(change(&demand))),
                1 => start(&changing, UnitOfWork::default().noting(FactChange::remove("lead", "1"))),
                _ => {
                    let changing = Arc::clone(&changing);
                    let step = |_: Option<&Fact>| Ok((FactStep::Put(FactValue::lasting("new")), ()));
                    tokio::spawn(async move {
                        let decided = changing.ledger().unwrap().decide("lead", "1", step).await;
                        decided.map(|()| Receipt::default())
                    })
                }
            };
            until_waiting(&asked, 3).await;
            assert!(!changed.is_finished());
            let there = changing.ledger().unwrap().fact("lead", "1").await.unwrap().unwrap();
            assert_eq!(there.version, demand.version, "it is as the units in flight found it");
            holder.batch_execute("commit").await.unwrap();
            for done in [unit_a, unit_b, changed] {
                done.await.unwrap().unwrap();
            }
            assert!(writing.exists(&note("a")).await.unwrap() && writing.exists(&note("b")).await.unwrap());
            fenced(writing.apply(write("c").demanding(demand)).await);
        });
    }
}

/// A unit was decided on while the fact was as demanded; before it has written, the fact is changed: nothing of it is done.
#[test]
fn a_change_that_came_first_stops_a_unit_in_flight() {
    let Some(database) = Database::postgres() else { return };
    let Database::Postgres(_, url) = &database else { return };
    let (writing, changing) = (database.open(), database.open());
    // writers of documents wait in the middle of their transaction while somebody holds this lock
    database.sql(
        "create function gate() returns trigger language plpgsql as $$ begin \
         perform pg_advisory_xact_lock_shared(4711); return null; end $$; \
         create trigger gate after insert on repot_documents for each row execute function gate()",
    );
    block_on(async {
        let (holder, asked) = (session(url).await, session(url).await);
        let demand = noted(&*writing).await;
        holder.batch_execute("select pg_advisory_lock(4711)").await.unwrap();
        let other = FactChange::put("test", "beside", FactValue::lasting("x"));
        let units = [
            start(&writing, write("a").demanding(demand.clone())),
            start(&writing, write("b").demanding(demand.clone()).noting(other)),
        ];
        until_waiting(&asked, 1).await;
        changing.apply(UnitOfWork::default().noting(change(&demand))).await.unwrap();
        holder.batch_execute("select pg_advisory_unlock(4711)").await.unwrap();
        for unit in units {
            fenced(unit.await.unwrap());
        }
        assert!(!writing.exists(&note("a")).await.unwrap() && !writing.exists(&note("b")).await.unwrap());
        assert!(writing.ledger().unwrap().fact("test", "beside").await.unwrap().is_none());
    });
}

/// The fact is being changed: the unit waits, and is refused, or done when the change is taken back.
#[test]
fn a_unit_waits_for_a_change_in_flight() {
    for (end, is_done) in [("commit", false), ("rollback", true)] {
        let Some(database) = Database::postgres() else { return };
        let Database::Postgres(_, url) = &database else { return };
        let store = database.open();
        block_on(async {
            let (changing, asked) = (session(url).await, session(url).await);
            let demand = noted(&*store).await;
            let sql = "begin; update repot_facts set version = default, value = 'new' where name = '1'";
            changing.batch_execute(sql).await.unwrap();
            let unit = start(&store, write("a").demanding(demand));
            until_waiting(&asked, 1).await;
            assert!(!store.exists(&note("a")).await.unwrap());
            changing.batch_execute(end).await.unwrap();
            let done = unit.await.unwrap();
            assert_eq!(done.is_ok(), is_done, "{done:?}");
            if !is_done {
                fenced(done);
            }
            assert_eq!(store.exists(&note("a")).await.unwrap(), is_done);
        });
    }
}

/// Units that wait for one connection, one of which changes what others demand: in one transaction they would not know which came first.
#[test]
fn units_of_one_transaction_come_one_after_the_other() {
    let Some(database) = Database::postgres() else { return };
    let Database::Postgres(_, url) = &database else { return };
    let (store, _) = open(url, 1);
    let store: Arc<dyn Store> = store;
    in_turn(async {
        let (holder, asked) = (session(url).await, session(url).await);
        let demand = noted(&*store).await;
        holder.batch_execute("begin; lock table repot_objects in share mode").await.unwrap();
        let first = start(&store, write("first"));
        until_waiting(&asked, 1).await;
        let demanding = |id: &str| start(&store, write(id).demanding(demand.clone()));
        let before = ["a", "b", "c"].map(demanding);
        let changed = start(&store, write("changed").noting(change(&demand)));
        let behind = ["d", "e"].map(demanding);
        let free = start(&store, write("free"));
        // all of them have been handed in
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        holder.batch_execute("commit").await.unwrap();
        for done in before.into_iter().chain([first, changed, free]) {
            done.await.unwrap().unwrap();
        }
        for (id, done) in ["d", "e"].into_iter().zip(behind) {
            fenced(done.await.unwrap());
            assert!(!store.exists(&note(id)).await.unwrap(), "{id}");
        }
    });
}

/// Stores over stores hand demands on with each write, also where they write once more.
#[test]
fn stores_over_stores_hand_demands_on() {
    for database in Database::all() {
        let beneath = database.open();
        let merging =
            Reconcile::new(Arc::clone(&beneath), &layout(), Arc::new(QuickPacing::default()), 1 << 20)
                .otherwise(Strategy::Merge);
        let store = Acting::new(Arc::new(merging), "ada");
        block_on(async {
            let demand = noted(&*beneath).await;
            let first = store.create(&note("a"), r#"{"id": "a", "title": "x", "count": 1}"#).await.unwrap();
            beneath.put(&note("a"), r#"{"id": "a", "title": "y", "count": 1}"#).await.unwrap();
            let write = Write::Put {
                key: note("a"),
                body: r#"{"id": "a", "title": "x", "count": 2}"#.into(),
                when: Precondition::Matches(first),
            };
            let unit = UnitOfWork::default().with(write).demanding(demand.clone());
            store.apply(unit.clone()).await.unwrap();
            let merged = r#"{"id": "a", "title": "y", "count": 2}"#;
            assert_eq!(store.require(&note("a")).await.unwrap().body, merged);
            beneath.apply(UnitOfWork::default().noting(change(&demand))).await.unwrap();
            fenced(store.apply(unit).await);
            assert_eq!(store.require(&note("a")).await.unwrap().body, merged);
        });
    }
}
