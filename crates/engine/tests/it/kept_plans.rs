//! Plans that a session of PostgreSQL keeps, made while a table was known to be empty: they must not read it whole once it has grown.
//! The server's own counters tell what was read, once the sessions have ended.

use std::thread;
use std::time::Duration;

use repot_core::store::{Filter, Query, Queryable as _, Scope, Store as _, StoreExt as _};
use repot_engine::store::{RowStore, RowStoreOptions};
use repot_testkit::conformance::model;

use crate::documents::{Database, block_on, note};

const NOTES: usize = 300;

/// With one session that reads, so that its plans are surely kept before the tables grow.
fn opened() -> Option<(Database, RowStore)> {
    let database = Database::postgres()?;
    drop(database.open());
    let options = RowStoreOptions { readers: 1, writers: 1, ..Database::options() };
    let store = RowStore::open(database.target(), model(), options).unwrap();
    Some((database, store))
}

fn id(number: usize) -> String {
    format!("n{number:04}")
}

/// Each way to read that the server has: a document, its tag alone, pages with and without tags, pages of whole documents.
async fn read(store: &RowStore, times: usize) {
    for number in 0..times {
        let key = note(&id(number));
        store.require(&key).await.unwrap();
        assert!(store.exists(&key).await.unwrap());
        let all = Query::of(Scope::of("notes")).limit(20);
        assert_eq!(store.query(&all).await.unwrap().items.len(), 20);
        let tagged = store.query(&all.etags()).await.unwrap();
        assert!(tagged.items.iter().all(|item| item.etag.is_some()));
    }
}

/// Rows of a table that were read by scans of the whole of it, and how many of those there were.
fn scanned(database: &Database, table: &str) -> (u64, u64) {
    let asked = format!("select seq_scan, seq_tup_read from pg_stat_user_tables where relname = '{table}'");
    let answer = database.ask(&asked);
    let mut numbers = answer.trim().split('|').map(|number| number.trim().parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

/// Until the sessions have ended: what they counted is there by then.
fn ended(database: &Database) {
    let living = "select count(*) from pg_stat_activity where application_name = 'repot' and datname = current_database()";
    while database.ask(living) != "0\n" {
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn tables_that_were_empty_are_not_read_whole_once_they_have_grown() {
    let Some((database, store)) = opened() else { return };
    block_on(async {
        for number in 0..NOTES {
            let text = format!(
                r#"{{"id": "{}", "title": "t", "count": {number}, "marks": [{{"word": "w"}}]}}"#,
                id(number)
            );
            store.create(&note(&id(number)), text).await.unwrap();
        }
        database.sql("vacuum (analyze) repot_pending, repot_touched");
        // more often than PostgreSQL makes a plan for the values at hand before it keeps one for all
        read(&store, 8).await;
        for number in 0..NOTES {
            store.append(&note(&id(number)), "/marks", r#"{"word": "x"}"#).await.unwrap();
        }
        read(&store, 20).await;
        database.sql("update notes set title = 'u' where id > 'n0150'");
        read(&store, 20).await;
    });
    drop(store);
    ended(&database);
    let (_, pending) = scanned(&database, "repot_pending");
    let (_, touched) = scanned(&database, "repot_touched");
    assert_eq!((pending, touched), (0, 0), "rows read by whole scans");
    assert_eq!(database.ask("select count(*) from repot_pending"), format!("{NOTES}\n"));
}

/// Where no index serves a filter, the table is read as it lies.
#[test]
fn what_no_index_finds_is_read_as_it_lies() {
    let Some((database, store)) = opened() else { return };
    database.sql(
        "insert into notes (id, title, count) select 'n' || i, 't', i from generate_series(1, 5000) i; analyze notes",
    );
    let (before, _) = scanned(&database, "notes");
    block_on(async {
        for number in [7, 8, 9] {
            let few = Query::of(Scope::of("notes")).filter(Filter::eq("count", number)).limit(5);
            assert_eq!(store.query(&few).await.unwrap().items.len(), 1);
            assert_eq!(store.query(&few.clone().etags()).await.unwrap().items.len(), 1);
            assert_eq!(store.count(&few).await.unwrap(), 1);
        }
    });
    drop(store);
    ended(&database);
    let (after, _) = scanned(&database, "notes");
    assert!(after >= before + 9, "{before} {after}");
}
