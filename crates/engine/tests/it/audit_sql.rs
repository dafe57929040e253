//! What plain SQL does to documents on audit, and to states, is on record.

use repot_core::store::{
    Change, DocumentKey, Event, History as _, HistoryQuery, Moment, Precondition, Scope, StoreExt as _,
};

use crate::audit::{all, drama, open, put, shown};
use crate::documents::{Database, block_on};

#[test]
fn plain_sql_is_on_record() {
    for database in Database::all() {
        let (store, _) = open(&database);
        let user = match &database {
            // a file knows no users
            Database::Sqlite(_) => "-".to_owned(),
            Database::Postgres(..) => database.ask("select session_user").trim().to_owned(),
        };
        let body = r#"{"id": "a1", "status": "draft", "scenes": [{"id": "s", "lines": [{"words": "x"}]}]}"#;
        let key = DocumentKey::new("dramas", "a1");
        block_on(store.put(&key, body)).unwrap();
        let own = block_on(all(&store, HistoryQuery::of(Scope::of("dramas")))).len();
        assert_eq!(own, 1, "our own rows are no rows by SQL");
        for sql in [
            "update dramas set title = 'it''s \"x\"'",
            "update dramas set title = title",
            "update scenes set title = 'y'",
            "update lines set words = 'z'",
            "insert into lines (scene_id, \"order\", words) values ('s', 1, 'w')",
            "update dramas set status = 'live'",
            "delete from lines where \"order\" = 1",
        ] {
            database.sql(sql);
        }
        let entries = block_on(all(&store, HistoryQuery::of_document(&key)));
        let mut lines = shown(&entries);
        lines.truncate(lines.len() - own);
        for line in &mut lines {
            *line = line.replace(r#""blob":null"#, "B").replace("\"order\"", "order");
        }
        let expected = [
            r#"lines {"scene_id":"s",order:1,"words":"w"} -> -"#,
            "STATE",
            "LIVE",
            r#"lines - -> {"scene_id":"s",order:1,"words":"w"}"#,
            r#"lines {"scene_id":"s",order:0,"words":"x"} -> {"scene_id":"s",order:0,"words":"z"}"#,
            r#"scenes {"id":"s","drama_id":"a1",order:0,"title":null} -> {"id":"s","drama_id":"a1",order:0,"title":"y"}"#,
            r#"dramas {"id":"a1","title":null,"status":"draft",B} -> {"id":"a1","title":"it's \"x\"","status":"draft",B}"#,
        ];
        assert_eq!(lines.len(), expected.len(), "{lines:#?}");
        let state = format!("{user} dramas/a1.status draft -> live by SQL");
        assert_eq!(lines.iter().filter(|line| **line == state).count(), 1, "{lines:#?}");
        for (line, expected) in lines.iter().zip(expected) {
            if expected == "STATE" || expected == "LIVE" {
                assert!(*line == state || line.contains(r#""status":"live""#), "{line}");
            } else {
                assert_eq!(*line, format!("{user} {expected}"));
            }
        }
        // a refused change is not on record
        database.try_sql("update dramas set status = 'draft'").unwrap_err();
        assert_eq!(block_on(all(&store, HistoryQuery::of_document(&key))).len(), entries.len());
        // the text between is that which the next write finds
        let row = entries.iter().find(|entry| matches!(entry.event, Event::Row { .. })).unwrap().id;
        let there = block_on(store.require(&key)).unwrap().body;
        assert_eq!(block_on(store.text_at(&key, Moment::After(row))).unwrap(), Some(there.clone()));
        block_on(store.change(&key, Change::Merge(r#"{"title": "t"}"#.into()), Precondition::Any)).unwrap();
        assert_eq!(block_on(store.text_at(&key, Moment::After(row))).unwrap(), Some(there.clone()));
        assert!(String::from_utf8_lossy(&there).contains("it's"));
        let first = entries[entries.len() - 2].id;
        assert_eq!(block_on(store.text_at(&key, Moment::After(first))).unwrap_err().code(), "R0402");
        assert_eq!(block_on(store.revert(&key, row, (None, Precondition::Any))).unwrap_err().code(), "R0405");
    }
}

/// Rows of a document that goes, and of one that takes another key.
#[test]
fn a_document_that_takes_another_key_leaves_the_old_one() {
    for database in Database::all() {
        let (store, _) = open(&database);
        let body = r#"{"id": "a1", "status": "live", "scenes": [{"id": "s"}]}"#;
        block_on(store.put(&DocumentKey::new("dramas", "a1"), body)).unwrap();
        database.sql("delete from scenes; update dramas set id = 'b1'; delete from dramas");
        let of = |id: &str| {
            shown(&block_on(all(&store, HistoryQuery::of_document(&DocumentKey::new("dramas", id)))))
        };
        assert_eq!(of("b1").len(), 2);
        assert!(of("b1")[1].contains("- -> {\"id\":\"b1\""), "{:?}", of("b1"));
        assert!(
            of("a1")[0].contains("\"status\":\"live\"") && of("a1")[0].ends_with("-> -"),
            "{:?}",
            of("a1")
        );
        assert!(of("a1")[1..3].iter().any(|line| line.contains("scenes")), "{:?}", of("a1"));
    }
}

/// A delete that cascades is on record row by row, though the rows above are gone already.
#[test]
fn a_cascade_is_on_record() {
    for database in Database::all() {
        let (store, _) = open(&database);
        let body = r#"{"id": "a", "scenes": [{"id": "s", "lines": [{"words": "x"}]}]}"#;
        block_on(store.put(&drama(), body)).unwrap();
        database.sql("delete from dramas");
        let entries = shown(&block_on(all(&store, HistoryQuery::of(Scope::of("dramas")))));
        for row in [r#"dramas {"id":"a""#, r#"scenes {"id":"s""#, r#"lines {"scene_id":"s""#] {
            let of: Vec<_> = entries.iter().filter(|line| line.contains(row)).collect();
            assert!(of.len() == 1 && of[0].ends_with("-> -"), "{row}: {entries:#?}");
        }
        let of_document = block_on(all(&store, HistoryQuery::of_document(&drama())));
        assert!(shown(&of_document).iter().any(|line| line.contains("scenes {")), "{of_document:?}");
        if matches!(database, Database::Postgres(..)) {
            let said = database.try_sql("truncate dramas cascade").unwrap_err();
            assert!(said.contains("unnoticed"), "{said}");
        }
    }
}

/// Who may change a table on PostgreSQL is on record without any right on the record, and cannot hide from it behind a
/// table of the same name.
#[test]
fn other_users_are_on_record() {
    let Some(database) = Database::postgres() else { return };
    let (store, _) = open(&database);
    block_on(store.put(&drama(), r#"{"id": "a", "scenes": [{"id": "s"}]}"#)).unwrap();
    database.sql(
        "do $$ begin
           execute format('create role %I', 'clerk_' || current_database());
           execute format('grant select, update on dramas, scenes to %I', 'clerk_' || current_database());
         end $$;
         create temporary table repot_audit (like public.repot_audit);
         select set_config('role', 'clerk_' || current_database(), false);
         update dramas set status = 'live';
         update scenes set title = 'x';
         reset role;
         do $$ begin
           if exists (select from pg_temp.repot_audit) then raise 'it was hidden'; end if;
           execute format('drop owned by %I', 'clerk_' || current_database());
           execute format('drop role %I', 'clerk_' || current_database());
         end $$",
    );
    assert_eq!(block_on(all(&store, HistoryQuery::of_document(&drama()))).len(), 4);
}

/// States are on record where nothing else is.
#[test]
fn states_are_always_on_record() {
    for database in Database::all() {
        let (store, _) = open(&database);
        let key = DocumentKey::new("jobs", "j");
        block_on(put(&store, &key, r#"{"id": "j"}"#, "anna")).unwrap();
        block_on(put(&store, &key, r#"{"id": "j", "status": "running", "x": 1}"#, "ben")).unwrap();
        block_on(put(&store, &key, r#"{"id": "j", "status": "running", "x": 2}"#, "ben")).unwrap();
        database.sql("update jobs set status = 'done'");
        let entries = block_on(all(&store, HistoryQuery::of_document(&key)));
        let lines = shown(&entries);
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].ends_with(" jobs/j.status running -> done by SQL"), "{lines:?}");
        assert_eq!(lines[1], "ben jobs/j.status queued -> running");
        assert_eq!(block_on(store.text_at(&key, Moment::Version(1))).unwrap_err().code(), "R0405");
    }
}
