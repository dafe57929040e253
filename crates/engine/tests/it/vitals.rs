//! What a store says of its connections and of the database behind them.

use std::sync::Arc;

use repot_core::store::{PoolUsage, Store as _, StoreExt as _};
use repot_engine::store::RowStore;

use crate::documents::{Database, block_on, note};

#[test]
fn figures_of_the_database() {
    for database in Database::all() {
        let store: Arc<RowStore> = Arc::new(database.try_open().unwrap());
        let is_server = matches!(database, Database::Postgres(..));
        block_on(async {
            for id in ["a", "b", "c"] {
                store.put(&note(id), format!(r#"{{"id":"{id}"}}"#)).await.unwrap();
            }
        });
        if is_server {
            database.sql("vacuum analyze");
        }
        let vitals = store.vitals().unwrap();
        let figures = block_on(vitals.figures(10_000)).unwrap();
        assert!(figures.is_of_this_model, "{store}");
        assert!(figures.size_bytes.unwrap() > 10_000, "{figures:?}");
        let notes = figures.rows.iter().find(|(name, _)| name == "notes");
        assert_eq!(notes.map(|(_, rows)| *rows), Some(3), "{figures:?}");
        assert!(figures.rows.iter().all(|(name, _)| !name.starts_with("repot_")), "{figures:?}");
        assert_eq!(figures.long_transactions, is_server.then_some((0, 0)));
        let pools = vitals.pools();
        assert_eq!(pools.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["reading", "writing"]);
        assert!(pools.iter().all(|(_, pool)| pool.most > 0 && !pool.is_exhausted()), "{pools:?}");

        // somebody else made the tables anew meanwhile
        database.sql("update repot_meta set value = 'another' where key = 'plan_hash'");
        assert!(!block_on(vitals.figures(10_000)).unwrap().is_of_this_model);
    }
}

/// A budget of nothing leaves out what would have to be counted, and nothing else.
#[test]
fn what_takes_too_long_is_left_out() {
    let database = Database::sqlite();
    let store = database.try_open().unwrap();
    let figures = block_on(store.vitals().unwrap().figures(0)).unwrap();
    assert!(figures.rows.is_empty() && figures.is_of_this_model && figures.size_bytes.is_some());
}

/// A large table is not counted: its rows are what `analyze` found, and without that they are not told.
#[test]
fn large_tables_are_not_counted() {
    let database = Database::sqlite();
    let store = database.try_open().unwrap();
    database.sql(
        "with recursive n(i) as (select 1 union all select i + 1 from n where i < 20001) \
         insert into notes (id) select 'n' || i from n",
    );
    let rows = |store: &RowStore| {
        let figures = block_on(store.vitals().unwrap().figures(10_000)).unwrap();
        figures.rows.into_iter().find(|(name, _)| name == "notes").map(|(_, rows)| rows)
    };
    let before = rows(&store);
    assert!(before.is_none_or(|rows| rows < 20_000), "{before:?}");
    database.sql("analyze");
    assert_eq!(rows(&store), Some(20_001));
}

#[test]
fn a_pool_is_exhausted_when_all_work_and_somebody_waits_for_a_second() {
    let pool = PoolUsage { most: 2, open: 2, in_use: 2, waiting: 0, waited_ms: 0 };
    assert!(!pool.is_exhausted());
    assert!(!PoolUsage { waiting: 1, waited_ms: 999, ..pool }.is_exhausted());
    assert!(PoolUsage { waiting: 1, waited_ms: 1_000, ..pool }.is_exhausted());
    assert!(!PoolUsage { waiting: 1, waited_ms: 1_000, in_use: 1, ..pool }.is_exhausted());
}
