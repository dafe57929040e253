//! What plain SQL does to rows, noticed by triggers: which documents are marked, how they are read, and that they settle.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use repot_bucket::DirectorySource;
use repot_core::store::{DocumentKey, Precondition, Scope, Store as _, StoreExt as _};
use repot_core::{FixedClock, LockHolder};
use repot_engine::copy::Copy;
use repot_engine::store::RowStore;
use repot_engine::verify::{self, Verify};
use repot_engine::{NoProgress, Options};
use repot_model::language::{Model, parse};
use repot_model::plan::Plan;
use repot_model::sql::{Dialect, triggers};
use repot_testkit::conformance::model;

use crate::documents::{Database, block_on, copy, note, proof};
use crate::scripted::Scripted;

type Marks = BTreeSet<(String, String)>;

/// The marks there are. (In a thread of its own: a target has its own runtime.)
fn marks(database: &Database) -> Marks {
    let read = || {
        let mut reader = database.target().reader().unwrap();
        let marks = reader.marks(("", ""), None, usize::MAX).unwrap();
        marks.into_iter().map(|mark| (mark.collection, mark.key)).collect()
    };
    std::thread::scope(|scope| scope.spawn(read).join().unwrap())
}

fn open(database: &Database) -> RowStore {
    RowStore::open(database.target(), model(), Database::options()).unwrap()
}

fn chat(id: &str, tenant: &str) -> DocumentKey {
    DocumentKey::new("chats", id).in_tenant(tenant)
}

fn set(pairs: &[(&str, &str)]) -> Marks {
    pairs.iter().map(|(collection, key)| ((*collection).to_owned(), (*key).to_owned())).collect()
}

/// Our own writes leave no marks; each way of SQL to change a row marks its document, and only that.
#[test]
fn plain_sql_marks_the_documents_it_changes() {
    for database in Database::all() {
        let store = open(&database);
        let text = |id: &str| {
            format!(r#"{{"id": "{id}", "title": "t", "marks": [{{"word": "{id}1"}}, {{"word": "{id}2"}}]}}"#)
        };
        let expect = |sql: &str, wanted: &[(&str, &str)]| {
            database.sql("delete from notes; delete from chats");
            block_on(async {
                store.settle().await.unwrap();
                for id in ["a", "c"] {
                    store.put(&note(id), text(id)).await.unwrap();
                }
                store.put(&chat("x", "u1"), r#"{"id": "x"}"#).await.unwrap();
            });
            database.sql("delete from repot_touched");
            database.sql(sql);
            assert_eq!(marks(&database), set(wanted), "{sql}");
        };
        expect("select 1", &[]);
        expect("update notes set title = 'n' where id = 'a'", &[("notes", "a")]);
        expect("update notes set id = 'b/%' where id = 'zz'", &[]);
        expect("update marks set word = 'n' where word = 'c2'", &[("notes", "c")]);
        expect("update marks set word = 'n'", &[("notes", "a"), ("notes", "c")]);
        expect("delete from marks where word = 'a1'", &[("notes", "a")]);
        expect("delete from notes where id = 'a'", &[("notes", "a")]);
        expect("delete from notes", &[("notes", "a"), ("notes", "c")]);
        expect("insert into notes (id, title) values ('b/%', 'n')", &[("notes", "b%2F%25")]);
        expect(
            "insert into marks (id, note_id, \"order\", word) values (99, 'c', 7, 'n')",
            &[("notes", "c")],
        );
        expect("update marks set note_id = 'c' where word = 'a1'", &[("notes", "a"), ("notes", "c")]);
        expect("update chats set user_id = 'u2' where id = 'x'", &[("chats", "x")]);
        if matches!(database, Database::Sqlite(_)) {
            // the row it takes away fires no trigger of its own
            expect(
                "insert or replace into marks (id, note_id, \"order\", word) select id, 'c', 9, 'n' from marks where word = 'a1'",
                &[("notes", "a"), ("notes", "c")],
            );
            expect(
                "update or replace marks set id = (select id from marks where word = 'a1') where word = 'c1'",
                &[("notes", "a"), ("notes", "c")],
            );
        } else {
            expect("copy notes (id) from program 'echo b'", &[("notes", "b")]);
            let refused = database.try_sql("truncate marks").unwrap_err();
            assert!(refused.contains("delete from marks"), "{refused}");
        }
    }
}

/// Documents follow their rows, and rows and text agree again once they are settled or written.
#[test]
fn marked_documents_are_read_from_their_rows_until_they_settle() {
    for database in Database::all() {
        let store = open(&database);
        block_on(async {
            let text = "{\n  \"id\": \"a\",\n  \"title\": \"t\",\n  \"extra\": [1.0],\n  \"marks\": [\n    {\"word\": \"x\"}\n  ]\n}\n";
            let was = store.put(&note("a"), text).await.unwrap();
            database.sql("update marks set word = 'y'");
            let read = store.require(&note("a")).await.unwrap();
            assert_eq!(read.body, text.replace("\"x\"", "\"y\""));
            assert_ne!(read.etag, was);
            store.settle().await.unwrap();
            assert_eq!(marks(&database), Marks::new());
            let settled = store.require(&note("a")).await.unwrap();
            assert_eq!((settled.body, settled.etag), (read.body, read.etag), "the same bytes, the same ETag");
            // SQL and the store by turns
            for round in 0..4 {
                database.sql(&format!("update notes set count = {round}"));
                database.sql(&format!(
                    "insert into marks (id, note_id, \"order\", word) values ({}, 'a', {}, 's{round}')",
                    1000 + round,
                    round * 10
                ));
                store.append(&note("a"), "/marks", format!(r#"{{"word": "w{round}"}}"#)).await.unwrap();
                assert_eq!(marks(&database), Marks::new());
            }
            let body = store.require(&note("a")).await.unwrap().body;
            let body = std::str::from_utf8(&body).unwrap();
            for word in ["y", "s0", "s1", "s2", "s3", "w0", "w1", "w2", "w3"] {
                assert_eq!(body.matches(&format!("\"{word}\"")).count(), 1, "{body}");
            }
            assert!(body.contains("[1.0]") && body.contains("\"count\": 3"), "{body}");
        });
        let proof = proof(&database);
        assert!(proof.holds(), "{:?}", proof.differences);
    }
}

/// A root row made with SQL is a document, in the usual style; it is listed, read, written and deleted like any other.
#[test]
fn a_row_made_with_sql_is_a_document() {
    for database in Database::all() {
        let store = open(&database);
        block_on(async {
            store.put(&note("m"), "{\n    \"id\": \"m\",\n    \"marks\": []\n}").await.unwrap();
            database.sql("insert into notes (id, title) values ('n', 'new'), ('o', 'other'), ('p', 'gone')");
            database.sql("insert into marks (id, note_id, \"order\", word) values (5000, 'n', 0, 'w')");
            database.sql("delete from notes where id = 'p'");
            assert!(store.exists(&note("o")).await.unwrap());
            let read = store.require(&note("n")).await.unwrap();
            let body = String::from_utf8(read.body.to_vec()).unwrap();
            assert!(body.starts_with("{\n    \"id\": \"n\",\n    \"title\": \"new\""), "{body}");
            assert!(body.contains("\"word\": \"w\""), "{body}");
            let page = store.list(&Scope::of("notes"), None, 10).await.unwrap();
            let keys: Vec<&str> = page.items.iter().map(|item| item.key.text()).collect();
            assert_eq!(keys, ["m", "n", "o"]);
            assert_eq!(marks(&database), Marks::new());
            database.sql("insert into notes (id, title) values ('q', 'q'), ('r', 'r')");
            assert_eq!(store.create(&note("q"), r#"{"id": "q"}"#).await.unwrap_err().code(), "R0401");
            assert!(store.delete(&note("r"), Precondition::Any).await.unwrap());
            assert_eq!(store.get(&note("r")).await.unwrap(), None);
        });
        let proof = proof(&database);
        assert!(proof.holds(), "{:?}", proof.differences);
    }
}

/// A document whose key or tenant SQL changed is under the new one, and not under the old one.
#[test]
fn a_row_with_another_key_or_tenant_is_another_document() {
    for database in Database::all() {
        let store = open(&database);
        block_on(async {
            store.put(&chat("c", "u1"), r#"{"id": "c", "title": "t", "extra": 1}"#).await.unwrap();
            database.sql("update chats set user_id = 'u2'");
            assert_eq!(store.get(&chat("c", "u1")).await.unwrap(), None);
            assert!(!store.exists(&chat("c", "u1")).await.unwrap());
            // the key is taken, by another tenant
            let put = store.put(&chat("c", "u1"), r#"{"id": "c"}"#).await.unwrap_err();
            assert_eq!(put.code(), "R0203", "{put}");
            let there = store.require(&chat("c", "u2")).await.unwrap();
            assert_eq!(there.body, r#"{"id": "c", "title": "t", "extra": 1}"#);
            assert_eq!(store.list(&Scope::of("chats").in_tenant("u1"), None, 9).await.unwrap().items, []);
            assert_eq!(
                store.list(&Scope::of("chats").in_tenant("u2"), None, 9).await.unwrap().items.len(),
                1
            );
            store.put(&note("a"), r#"{"id": "a", "title": "t"}"#).await.unwrap();
            database.sql("update notes set id = 'b'");
            assert_eq!(store.get(&note("a")).await.unwrap(), None);
            assert!(store.require(&note("b")).await.unwrap().body.starts_with(b"{"));
            store.settle().await.unwrap();
        });
        let proof = proof(&database);
        assert!(proof.holds(), "{:?}", proof.differences);
    }
}

/// An open transaction of plain SQL is not overwritten by a write that read before it was committed.
#[test]
fn an_update_that_is_not_committed_yet_is_not_lost() {
    let Some(database) = Database::postgres().map(Arc::new) else { return };
    let store = Arc::new(open(&database));
    block_on(async {
        store.put(&note("a"), r#"{"id": "a", "title": "t", "count": 1}"#).await.unwrap();
    });
    // it commits once somebody in this database waits for it
    let waits = "begin; update notes set count = 2 where id = 'a'; \
                 do $$ begin loop perform pg_stat_clear_snapshot(); \
                 exit when exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'); \
                 perform pg_sleep(0.002); end loop; end $$; commit";
    let sql = std::thread::spawn({
        let database = Arc::clone(&database);
        move || database.sql(waits)
    });
    let at_work =
        "select count(*) from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'";
    while database.ask(at_work).trim() == "0" {}
    let other = Arc::clone(&store);
    let write = std::thread::spawn(move || {
        block_on(async {
            // reads count = 1, and then waits for the row
            let change = repot_core::store::Change::Merge(r#"{"title": "new"}"#.into());
            other.change(&note("a"), change, Precondition::Any).await
        })
    });
    sql.join().unwrap();
    write.join().unwrap().unwrap();
    block_on(async {
        let read = store.require(&note("a")).await.unwrap();
        assert_eq!(read.body, r#"{"id": "a", "title": "new", "count": 2}"#);
    });
    drop(store);
    let proof = proof(&database);
    assert!(proof.holds(), "{:?}", proof.differences);
}

/// A copy of a changed file is no plain SQL; what SQL did before it is still marked after it.
#[test]
fn a_steady_copy_leaves_no_marks() {
    for database in Database::all() {
        let source = Scripted::default();
        source.put("notes/a.json", r#"{"id": "a", "title": "t", "marks": [{"word": "x"}]}"#);
        copy(&database, &source).unwrap();
        source.put("notes/a.json", r#"{"id": "a", "title": "n", "marks": [{"word": "y"}, {"word": "z"}]}"#);
        source.put("notes/b.json", r#"{"id": "b"}"#);
        copy(&database, &source).unwrap();
        assert_eq!(marks(&database), Marks::new());
        database.sql("update notes set count = 9 where id = 'a'");
        source.put("notes/a.json", r#"{"id": "a", "title": "m", "marks": []}"#);
        copy(&database, &source).unwrap();
        assert_eq!(marks(&database), set(&[("notes", "a")]));
        // files lead: what SQL changed is a difference from them
        database.sql("update notes set count = 8 where id = 'a'");
        assert!(!proof(&database).holds());
        let (model, plan, _) = model();
        let settled = repot_engine::store::settle(database.target(), (model, plan), &Database::options());
        assert!(settled.unwrap());
        assert!(!proof(&database).holds());
    }
}

/// A database of the format before marks: whatever SQL did there unnoticed is found when it is opened.
#[test]
fn an_older_database_takes_every_document_for_changed() {
    for database in Database::all() {
        let source = Scripted::default();
        source.put("notes/a.json", r#"{"id": "a", "title": "t"}"#);
        source.put("notes/b.json", r#"{"id": "b"}"#);
        copy(&database, &source).unwrap();
        database.unnoticed("update notes set title = 'n' where id = 'a'");
        database.unnoticed("insert into notes (id) values ('c')");
        let store = open(&database);
        let unmarked = block_on(store.require(&note("a"))).unwrap();
        assert_eq!(unmarked.body, r#"{"id": "a", "title": "t"}"#);
        drop(store);
        database.sql("update repot_meta set value = '1' where key = 'format'");
        let cascade = if matches!(database, Database::Sqlite(_)) {
            "drop view repot_marking; drop view repot_writer; drop table repot_touched; drop table repot_changes; \
             create table repot_writer (busy integer not null) strict; insert into repot_writer (busy) values (0)"
        } else {
            "drop table repot_touched, repot_changes"
        };
        database.sql(&format!("{}{cascade}", without_triggers(&database)));
        let store = open(&database);
        block_on(async {
            assert_eq!(store.require(&note("a")).await.unwrap().body, r#"{"id": "a", "title": "n"}"#);
            assert!(store.get(&note("c")).await.unwrap().is_some());
            store.settle().await.unwrap();
            // the store's own writes are known as such
            store.put(&note("b"), r#"{"id": "b", "title": "own"}"#).await.unwrap();
        });
        assert_eq!(marks(&database), Marks::new());
        let proof = proof(&database);
        assert!(proof.holds(), "{:?}", proof.differences);
    }
}

/// Statements that drop the triggers of marks.
fn without_triggers(database: &Database) -> String {
    let (_, plan, _) = model();
    let sqlite = matches!(database, Database::Sqlite(_));
    let dialect = if sqlite { Dialect::Sqlite } else { Dialect::Postgres };
    let marks = triggers(&plan, dialect, "public").into_iter().filter(|one| one.name.contains("mark"));
    let drop = marks.map(|one| {
        let of = if sqlite { String::new() } else { format!(" on \"{}\"", one.table) };
        format!("drop trigger \"{}\"{of}; ", one.name)
    });
    drop.collect()
}

fn app(name: &str) -> (Arc<Model>, Arc<Plan>, String, std::path::PathBuf) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../apps").join(name);
    let text = std::fs::read_to_string(folder.join("repot.toml")).unwrap();
    let model = parse(&text, "repot.toml", &|_| None).unwrap();
    let plan = Plan::compile(&model).unwrap();
    (Arc::new(model), Arc::new(plan), text, folder.join("data"))
}

/// In every table of every app, what SQL touches marks exactly the documents that the rows are in; settled, rows and
/// text agree.
fn every_table(name: &str) {
    let (model, plan, text, data) = app(name);
    for database in Database::all() {
        let source = DirectorySource::open(&data, Arc::new(FixedClock(0))).unwrap();
        let options = Options::default();
        let me = LockHolder { host: "here".to_owned(), pid: 8, since_ms: 0 };
        let (progress, clock) = (&NoProgress, &FixedClock(0));
        let copy = Copy {
            source: &source,
            model: &model,
            model_text: &text,
            plan: &plan,
            options: &options,
            progress,
            clock,
            me,
        };
        let mut target = database.target();
        copy.run(target.as_mut(), false).unwrap();
        drop(target);
        assert_eq!(marks(&database), Marks::new());
        for at in 0..plan.tables.len() {
            let table = &plan.tables[at];
            let expected = documents_of(&database, &plan, at);
            let column = &table.columns[0].name;
            database.sql(&format!("update \"{0}\" set \"{column}\" = \"{column}\"", table.name));
            assert_eq!(marks(&database), expected, "{name}: {}", table.name);
            database.sql("delete from repot_touched");
        }
        let store = RowStore::open(
            database.target(),
            (Arc::clone(&model), Arc::clone(&plan), text.as_str()),
            Database::options(),
        )
        .unwrap();
        for at in (0..plan.tables.len()).filter(|&at| !plan.tables[at].parents.is_empty()) {
            let table = &plan.tables[at];
            if plan.tables.iter().any(|other| other.foreign_keys.iter().any(|key| key.table == at)) {
                continue;
            }
            let expected = documents_of(&database, &plan, at);
            database.sql(&format!("delete from \"{}\"", table.name));
            assert!(marks(&database).is_superset(&expected), "{name}: {}", table.name);
            block_on(store.settle()).unwrap();
        }
        drop(store);
        let left = marks(&database);
        let verify = Verify { model: &model, plan: &plan, options: &options, progress: &NoProgress, seed: 7 };
        let proof = verify.run(database.target().as_ref(), verify::Scope::Everything).unwrap();
        assert!(proof.holds() || !left.is_empty(), "{name}: {:?}", proof.differences);
        let named: BTreeSet<_> =
            proof.differences.iter().filter_map(|found| found.document.clone()).collect();
        assert!(
            named.iter().all(|key| left.iter().any(|mark| mark.1 == *key)),
            "{name}: {:?}",
            proof.differences
        );
    }
}

fn documents_of(database: &Database, plan: &Plan, table: usize) -> Marks {
    let target = database.target();
    let (mut reader, mut upward) = (target.reader().unwrap(), target.reader().unwrap());
    let mut found = Marks::new();
    reader
        .scan(plan, table, &mut |cells| {
            let mut all = repot_model::row::Cells::new(cells);
            let mut raw = Vec::new();
            while let Some(cell) = all.next_raw() {
                raw.push(cell);
            }
            let identity: Vec<u8> =
                plan.tables[table].identity.iter().flat_map(|&at| raw[at].to_vec()).collect();
            found.extend(upward.root_of(plan, table, &identity)?);
            Ok(())
        })
        .unwrap();
    found
}

#[test]
fn every_table_of_council() {
    every_table("council");
}

#[test]
fn every_table_of_dramas() {
    every_table("dramas");
}

#[test]
fn every_table_of_media() {
    every_table("media");
}

#[test]
fn every_table_of_translation() {
    every_table("translation");
}
