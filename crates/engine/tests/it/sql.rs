//! Statements of the user's: values, bounds, an end, and nothing that writes.

use std::sync::{Arc, Mutex};

use repot_core::Error;
use repot_core::store::{DocumentKey, QueryValue, Queryable as _, SqlPart, SqlQuestion, SqlStop, Store as _};

use crate::query::{Asked, block_on};

const MODEL: &str = r#"
[notes]
file = "notes/{id}.json"
[notes.fields]
id = "text key"
size = "int?"
ratio = "float?"
done = "bool?"
made = "date?"
"#;

fn question(sql: &str, parameters: &[QueryValue]) -> SqlQuestion {
    SqlQuestion {
        sql: sql.to_owned(),
        parameters: parameters.to_vec(),
        rows_max: 100,
        time_ms: 600_000,
        stop: SqlStop::default(),
    }
}

/// The columns, the rows, and whether there were more.
async fn ask(asked: &Asked, question: SqlQuestion) -> Result<(String, Vec<String>, bool), Error> {
    let parts = Arc::new(Mutex::new((String::new(), Vec::new())));
    let taken = Arc::clone(&parts);
    let take = move |part| {
        match part {
            SqlPart::Columns(columns) => taken.lock().unwrap().0 = columns.join(" "),
            SqlPart::Row(row) => taken.lock().unwrap().1.push(row),
        }
        true
    };
    let more = asked.store.read_sql(question, Box::new(take)).await?;
    let (columns, rows) = parts.lock().unwrap().clone();
    Ok((columns, rows, more))
}

async fn filled(asked: &Asked) {
    for n in 0..5 {
        let body = format!(
            r#"{{"id":"n{n}","size":{n},"ratio":{n}.5,"done":{},"made":"2026-01-0{}"}}"#,
            n == 2,
            n + 1
        );
        asked.put(&DocumentKey::new("notes", &format!("n{n}")), body).await;
    }
}

#[test]
fn rows_come_as_json_with_their_types() {
    for asked in Asked::all(MODEL) {
        block_on(async {
            filled(&asked).await;
            let sql = "select id, size, ratio, made as \"a \"\"day\" from notes where id >= $1 and size < $2 order by id -- all";
            let given = [QueryValue::from("n1"), QueryValue::from(3)];
            let (columns, rows, more) = ask(&asked, question(sql, &given)).await.unwrap();
            assert_eq!((columns.as_str(), more), ("id size ratio a \"day", false), "{}", asked.name);
            assert_eq!(
                rows[0], r#"{"id":"n1","size":1,"ratio":1.5,"a \"day":"2026-01-02"}"#,
                "{}",
                asked.name
            );
            assert_eq!(rows.len(), 2);
            let all = "with x as (select id from notes) select id from x order by id desc;";
            let (_, rows, more) =
                ask(&asked, SqlQuestion { rows_max: 2, ..question(all, &[]) }).await.unwrap();
            assert_eq!(
                (rows.join(""), more),
                (r#"{"id":"n4"}{"id":"n3"}"#.to_owned(), true),
                "{}",
                asked.name
            );
            let (_, rows, more) =
                ask(&asked, SqlQuestion { rows_max: 5, ..question(all, &[]) }).await.unwrap();
            assert_eq!((rows.len(), more), (5, false), "{}", asked.name);
            let none = ask(&asked, question("select id from notes where size is null", &[])).await.unwrap();
            assert_eq!(none, ("id".to_owned(), vec![], false), "{}", asked.name);
            // more than are fetched at once, and values that numbers of JSON cannot say
            let many = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 1000) select i from n";
            let (_, rows, more) =
                ask(&asked, SqlQuestion { rows_max: 999, ..question(many, &[]) }).await.unwrap();
            assert_eq!((rows.len(), rows.last().unwrap().as_str(), more), (999, r#"{"i":999}"#, true));
            let odd = match asked.url() {
                None => "select null as a, x'00ff' as b, 9e999 as c",
                Some(_) => "select null as a, '\\x00ff'::bytea as b, 'Infinity'::float8 as c",
            };
            let (_, rows, _) = ask(&asked, question(odd, &[])).await.unwrap();
            let row: serde_json::Value = serde_json::from_str(&rows[0]).unwrap();
            assert_eq!(row["b"], "\\x00ff");
            assert!(row["a"].is_null() && row["c"].is_string(), "{row}");
            let given = [QueryValue::Bool(true), QueryValue::Null, QueryValue::Float(2.5)];
            let sql = "select id from notes where done = $1 and $2 is null and ratio = $3";
            let sql = if asked.url().is_none() { sql } else { &sql.replace("$2", "$2::text") };
            let (_, rows, _) = ask(&asked, question(sql, &given)).await.unwrap();
            assert_eq!(rows.join(""), r#"{"id":"n2"}"#, "{}", asked.name);
            let told = ask(&asked, question("explain select 1", &[])).await.unwrap();
            assert!(!told.1.is_empty(), "{}", asked.name);
        });
    }
}

const REFUSED: &[&str] = &[
    "",
    ";",
    "-- nothing",
    "insert into notes (id) values ('x')",
    "insert into notes (id) values ('x') returning id",
    "update notes set size = 9",
    "delete from notes",
    "delete from notes returning id",
    "drop table notes",
    "create table t (a int)",
    "create temp table t (a int)",
    "select 1; drop table notes",
    "select 1 as a; select 2 as a",
    "begin",
    "commit",
    "rollback",
    "explain analyze delete from notes",
    "select 1 as a, 2 as a",
    "select",
    "select nothing from notes",
    "select id from notes where id = $1",
    "vacuum",
    "analyze",
];

const SQLITE_REFUSES: &[&str] = &[
    "attach 'other.db' as other",
    "detach main",
    "pragma journal_mode = delete",
    "pragma user_version = 7",
    "pragma query_only = 0",
    "pragma writable_schema = 1",
    "vacuum into 'copy.db'",
    "select load_extension('x')",
    "select writefile('x', 'y')",
    "select * from pragma_journal_mode('delete')",
    "reindex",
    "replace into notes (id) values ('n1')",
    "explain insert into notes (id) values ('x')",
];

const POSTGRES_REFUSES: &[&str] = &[
    "with x as (insert into notes (id) values ('x') returning id) select id from x",
    "with x as (delete from notes returning id) select id from x",
    "with x as (delete from notes returning id) select id from notes",
    "select * into t from notes",
    "select id from notes for update",
    "truncate notes",
    "set role postgres",
    "set local statement_timeout = 0",
    "reset role",
    "set session authorization postgres",
    "copy notes to program 'true'",
    "copy notes to '/tmp/repot-never'",
    "copy (select 1) to program 'true'",
    "select lo_export(1, '/tmp/repot-never')",
    "select lo_import('/etc/hostname')",
    "select pg_catalog . \"lo_create\" /* ( */ (0)",
    "select U&\"lo\\005fcreate\"(0)",
    "select set_config('role', 'postgres', false) as a",
    "select set_config('transaction_read_only', 'off', true) as a",
    "select pg_advisory_lock(1) as a",
    "select pg_terminate_backend(pg_backend_pid()) as a",
    "select pg_read_file('/etc/hostname') as a",
    "select pg_notify('a', 'b') as a",
    "select nextval('steps') as a",
    "select query_to_xml('select 1', true, true, '') as a",
    "select evil() as a",
    "select a from (select 1) as b (a) where evil() = 1",
    "explain analyze select evil()",
    "do $$ begin end $$",
    "call nothing()",
    "listen a",
    "notify a",
    "lock table notes",
    "prepare p as select 1",
    "execute s0",
    "declare c cursor for select 1",
    "fetch 1 from repot_question",
    "close all",
    "discard all",
    "select 1 as a) as b (a), lateral (select evil()",
];

#[test]
fn nothing_that_writes_or_does_more_is_run() {
    for asked in Asked::all(MODEL) {
        block_on(async {
            filled(&asked).await;
            let own = match asked.url() {
                None => SQLITE_REFUSES,
                Some(_) => {
                    asked.sql("create sequence steps; create table marks (a int)");
                    asked.sql("create function evil() returns int language sql as 'insert into marks values (1) returning a'");
                    POSTGRES_REFUSES
                }
            };
            let page = asked.store.list(&repot_core::store::Scope::of("notes"), None, 10).await.unwrap();
            for sql in REFUSED.iter().chain(own) {
                let refused = ask(&asked, question(sql, &[])).await;
                let error = refused.expect_err(sql);
                assert!(["R0111", "R0436"].contains(&error.code()), "{} {sql}: {error}", asked.name);
                assert!(error.next_step().is_some(), "{sql}");
            }
            let again = asked.store.list(&repot_core::store::Scope::of("notes"), None, 10).await.unwrap();
            assert_eq!((again.items.len(), &again.items), (5, &page.items), "{}", asked.name);
            if asked.url().is_some() {
                let (_, rows, _) = ask(
                    &asked,
                    question("select (select count(*) from marks) as marks, is_called, current_user = session_user as self from steps", &[]),
                )
                .await
                .unwrap();
                assert_eq!(rows.join(""), r#"{"marks":0,"is_called":false,"self":true}"#);
            }
            // documents go on as before
            asked.put(&DocumentKey::new("notes", "later"), r#"{"id":"later"}"#).await;
            let (_, rows, _) =
                ask(&asked, question("select id from notes where id = $1", &["later".into()])).await.unwrap();
            assert_eq!(rows.len(), 1, "{}", asked.name);
        });
    }
}

/// A statement that does not end by itself.
fn endless(asked: &Asked) -> &'static str {
    match asked.url() {
        None => "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) as n from n",
        Some(_) => "select pg_sleep(3600)",
    }
}

#[test]
fn the_time_is_bounded_and_others_can_end_it() {
    for asked in Asked::all(MODEL) {
        block_on(async {
            filled(&asked).await;
            let late = ask(&asked, SqlQuestion { time_ms: 50, ..question(endless(&asked), &[]) }).await;
            assert_eq!(late.unwrap_err().code(), "R0435", "{}", asked.name);
            // ended before it began, and while it is at work
            for head_start in [false, true] {
                let question = question(endless(&asked), &[]);
                let stop = question.stop.clone();
                let asking = ask(&asked, question);
                let ending = async {
                    if head_start {
                        tokio::task::yield_now().await;
                    }
                    stop.stop();
                };
                let (ended, ()) = futures_util::future::join(asking, ending).await;
                assert_eq!(ended.unwrap_err().code(), "R0435", "{}", asked.name);
            }
            // who takes no more ends it, too
            let rows = "with recursive n(i) as (select 1 union all select i + 1 from n) select i from n limit 1000000";
            let mut left = 3;
            let sink = move |_| {
                left -= 1;
                left > 0
            };
            let more = asked.store.read_sql(question(rows, &[]), Box::new(sink)).await.unwrap();
            assert!(!more, "{}", asked.name);
            // the connection is as good as before
            let (_, rows, _) = ask(&asked, question("select count(*) as n from notes", &[])).await.unwrap();
            assert_eq!(rows.join(""), r#"{"n":5}"#, "{}", asked.name);
            asked.put(&DocumentKey::new("notes", "n0"), r#"{"id":"n0"}"#).await;
        });
    }
}
