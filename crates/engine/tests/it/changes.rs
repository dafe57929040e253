//! The change log of databases: the conformance suite, a transaction that commits late, what plain SQL logged, copies, age.

use std::sync::Arc;

use repot_core::FixedClock;
use repot_core::change_log::{ChangeKind, ChangeRetention};
use repot_core::store::{
    ChangeEntry, ChangeFeed, ChangePosition, ChangeScope, DocumentKey, Scope, StoreExt as _,
};
use repot_engine::store::{RowStore, RowStoreOptions};
use repot_testkit::conformance::{FeedSubject, model};

use crate::documents::{Database, block_on, copy, note};
use crate::scripted::Scripted;

repot_testkit::conformance_changes!(sqlite, super::subject(super::Database::sqlite()));
repot_testkit::conformance_changes!(postgres, super::Database::postgres().map(super::subject));

fn subject(database: Database) -> FeedSubject {
    let database = Arc::new(database);
    let again = Arc::clone(&database);
    FeedSubject {
        feed: feed(&database, ChangeRetention::default()),
        reopen: Arc::new(move |keep| feed(&again, keep)),
        keep: Box::new(database),
    }
}

fn feed(database: &Database, changes: ChangeRetention) -> Arc<dyn ChangeFeed> {
    let options = RowStoreOptions { changes, ..Database::options() };
    Arc::new(RowStore::open(database.target(), model(), options).unwrap())
}

fn open(database: &Database) -> Arc<dyn ChangeFeed> {
    feed(database, ChangeRetention::default())
}

fn text(id: &str) -> String {
    format!("{{\"id\": \"{id}\"}}")
}

async fn after(feed: &dyn ChangeFeed, position: ChangePosition) -> (Vec<ChangeEntry>, ChangePosition) {
    let page = feed.changes(&ChangeScope::Everything, position, 1_000).await.unwrap();
    assert!(!page.more);
    (page.entries, page.next)
}

fn keys(entries: &[ChangeEntry]) -> Vec<String> {
    entries.iter().map(|entry| entry.key.to_string()).collect()
}

/// A transaction that logged its change early and commits late: others do not wait for it, who reads meanwhile sees
/// theirs, and it is not skipped afterwards although its row is older than those that were read.
#[test]
fn a_transaction_that_commits_late_is_not_skipped() {
    let Some(database) = Database::postgres() else { return };
    let feed = open(&database);
    block_on(async {
        // the transaction stops at its end, when its change is logged, until the gate is empty
        database.sql(
            "create sequence entered; create table gate as select 1 as shut; \
             create function gate() returns trigger language plpgsql as $$ begin perform nextval('entered'); \
             while exists (select from gate) loop null; end loop; return null; end $$; \
             create constraint trigger gate after insert on notes deferrable initially deferred \
             for each row when (new.id = 'late') execute function gate()",
        );
        let own = Arc::clone(&feed);
        let late = tokio::spawn(async move { own.put(&note("late"), text("late")).await });
        while database.ask("select is_called from entered") != "t\n" {
            tokio::task::yield_now().await;
        }
        feed.put(&note("a"), text("a")).await.unwrap();
        let (first, position) = after(feed.as_ref(), ChangePosition::START).await;
        assert_eq!(keys(&first), ["notes/a"]);
        feed.put(&note("b"), text("b")).await.unwrap();
        assert!(feed.position().await.unwrap() > position);
        assert!(!late.is_finished());
        database.sql("delete from gate");
        late.await.unwrap().unwrap();
        let (second, _) = after(feed.as_ref(), position).await;
        assert_eq!(keys(&second), ["notes/b", "notes/late"]);
        let earlier = "select (select id from repot_changes where key = 'late') < (select id from repot_changes where key = 'a')";
        assert_eq!(database.ask(earlier), "t\n", "the row of the late one is older");
    });
}

/// Rows as triggers make them: key as text, with the tenant, without a path; many of one document that follow each other
/// are one; where SQL cannot say which document it was, whoever may be concerned is told.
#[test]
fn changes_by_sql_are_told_apart() {
    for database in Database::all() {
        let feed = open(&database);
        block_on(async {
            feed.put(&note("a"), text("a")).await.unwrap();
            let chat = DocumentKey::new("chats", "c").in_tenant("u1");
            feed.put(&chat, r#"{"id": "c", "user_id": "u1"}"#).await.unwrap();
            let start = feed.position().await.unwrap();
            let logged = [
                ("notes", "null", "a", 2),
                ("notes", "null", "b", 2),
                ("notes", "null", "a", 2),
                ("chats", "'u1'", "c", 2),
                ("notes", "null", "a", 1),
                ("notes", "null", "a", 2),
                ("chats", "'u2'", "d", 2),
                ("chats", "null", "*", 2),
                ("notes", "null", "*", 2),
            ];
            for (collection, tenant, key, kind) in logged {
                database.sql(&format!(
                    "insert into repot_changes (collection, tenant, key, kind, at_ms) values ('{collection}', {tenant}, '{key}', {kind}, 5)"
                ));
            }
            let shown = |entries: &[ChangeEntry]| -> Vec<_> {
                entries.iter().map(|entry| (entry.key.to_string(), entry.kind, entry.at_ms)).collect()
            };
            let (sql, many) = (ChangeKind::Sql, ChangeKind::Collection);
            let of = |key: &str, kind| (key.to_owned(), kind, 5);
            let (all, _) = after(feed.as_ref(), start).await;
            assert_eq!(
                shown(&all),
                [
                    of("notes/b", sql),
                    of("notes/a", sql),
                    of("chats/c of u1", sql),
                    of("notes/a", ChangeKind::Deleted),
                    of("notes/a", sql),
                    of("chats/d of u2", sql),
                    of("chats/*", many),
                    of("notes/*", many),
                ]
            );
            let own = ChangeScope::Tenant("u1".to_owned());
            let page = feed.changes(&own, start, 100).await.unwrap();
            assert_eq!(shown(&page.entries), [of("chats/c of u1", sql), of("chats/* of u1", many)]);
            let notes = ChangeScope::Documents(Scope::of("notes"));
            let page = feed.changes(&notes, start, 100).await.unwrap();
            assert_eq!(page.entries.len(), 5);
        });
    }
}

/// A first copy logs nothing; a later one logs the documents that are new, that changed and that went, once each, and not
/// the others of the same file.
#[test]
fn a_later_copy_is_logged() {
    for database in Database::all() {
        let source = Scripted::default();
        source.put("notes/a.json", text("a"));
        source.put("notes/b.json", text("b"));
        source.put("events/1.jsonl", "{\"id\": \"x\", \"n\": 1}\n{\"id\": \"y\"}\n{\"id\": \"z\"}\n");
        copy(&database, &source).unwrap();
        source.put("notes/a.json", "{\"id\": \"a\", \"count\": 7}");
        source.put("notes/c.json", text("c"));
        source.put("events/1.jsonl", "{\"id\": \"x\", \"n\": 22}\n{\"id\": \"y\"}\n");
        source.remove("notes/b.json");
        copy(&database, &source).unwrap();
        // the copy's clock stands at 0
        let feed = feed(&database, ChangeRetention { age_max_ms: u64::MAX, ..ChangeRetention::default() });
        block_on(async {
            let (entries, _) = after(feed.as_ref(), ChangePosition::START).await;
            let mut shown: Vec<_> = entries.iter().map(|entry| (entry.key.to_string(), entry.kind)).collect();
            shown.sort_by(|one, other| one.0.cmp(&other.0));
            let (put, gone) = (ChangeKind::Put, ChangeKind::Deleted);
            let expected = [
                ("events/x", put),
                ("events/z", gone),
                ("notes/a", put),
                ("notes/b", gone),
                ("notes/c", put),
            ];
            assert_eq!(shown, expected.map(|(key, kind)| (key.to_owned(), kind)));
        });
    }
}

/// A database of an older Repot gets a log when a store opens it.
#[test]
fn a_database_of_the_format_before_gets_a_log() {
    for database in Database::all() {
        drop(open(&database));
        database.sql("drop table repot_changes; update repot_meta set value = '1' where key = 'format'");
        let feed = open(&database);
        block_on(async {
            feed.put(&note("a"), text("a")).await.unwrap();
            assert_eq!(keys(&after(feed.as_ref(), ChangePosition::START).await.0), ["notes/a"]);
        });
    }
}

/// What is too old goes in steps while documents are written; the newest change stays however old it is.
#[test]
fn old_changes_go_while_others_are_written() {
    const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
    for database in Database::all() {
        let opened_at = |now_ms: i64| {
            let clock = Arc::new(FixedClock(now_ms));
            let changes = ChangeRetention { entries_max: 1_000_000, age_max_ms: 10 * DAY_MS.unsigned_abs() };
            let options = RowStoreOptions { clock, changes, ..Database::options() };
            Arc::new(RowStore::open(database.target(), model(), options).unwrap())
        };
        let feed = opened_at(0);
        block_on(async {
            feed.put(&note("a"), text("a")).await.unwrap();
            feed.put(&note("b"), text("b")).await.unwrap();
        });
        drop(feed);
        // of the two old ones the second is the newest of all
        let feed = opened_at(20 * DAY_MS);
        block_on(async {
            while feed.changes(&ChangeScope::Everything, ChangePosition::START, 9).await.is_ok() {
                tokio::task::yield_now().await;
            }
            let one = ChangePosition::new(1);
            assert_eq!(keys(&after(feed.as_ref(), one).await.0), ["notes/b"]);
            feed.put(&note("c"), text("c")).await.unwrap();
            // whoever reads has the log pruned
            while feed.changes(&ChangeScope::Everything, one, 9).await.is_ok() {
                tokio::task::yield_now().await;
            }
            assert_eq!(keys(&after(feed.as_ref(), ChangePosition::new(2)).await.0), ["notes/c"]);
        });
    }
}
