//! State machines of the model against plain SQL: triggers refuse what the model does not allow, whoever writes.

use std::path::Path;
use std::sync::Arc;

use repot_core::store::{DocumentKey, Precondition, StoreExt as _};
use repot_engine::store::RowStore;
use repot_model::language::parse;
use repot_model::plan::Plan;
use repot_testkit::conformance::{ALLOWED, STATES, model};

use crate::documents::{Database, block_on, copy, proof};
use crate::scripted::Scripted;

/// The pairs of states that plain SQL gets through; each begins with a fresh row.
fn passed(database: &Database) -> Vec<(String, String)> {
    let mut passed = match database {
        Database::Sqlite(folder) => passed_by_sqlite(&Database::file(folder)),
        Database::Postgres(server, url) => {
            let said = server.query(url, PASSED_BY_POSTGRES);
            let pairs = said.lines().filter_map(|line| line.split_once(' '));
            pairs.map(|(from, to)| (from.to_owned(), to.to_owned())).collect()
        }
    };
    passed.sort_unstable();
    passed
}

fn passed_by_sqlite(file: &Path) -> Vec<(String, String)> {
    let connection = rusqlite::Connection::open(file).unwrap();
    connection.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
    let mut passed = Vec::new();
    let transaction = connection.unchecked_transaction().unwrap();
    for (from, to) in STATES.iter().flat_map(|from| STATES.iter().map(move |to| (*from, *to))) {
        transaction.execute("delete from jobs where id = 'x'", ()).unwrap();
        transaction.execute("insert into jobs (id, status) values ('x', ?1)", [from]).unwrap();
        match transaction.execute("update jobs set status = ?1 where id = 'x'", [to]) {
            Ok(_) if from == to => {}
            Ok(_) => passed.push((from.to_owned(), to.to_owned())),
            Err(error) => {
                assert_ne!(from, to);
                let said = error.to_string();
                assert!(said.contains("jobs.status") && said.contains(from), "{from} -> {to}: {said}");
            }
        }
    }
    passed
}

/// Prints the pairs that pass; anything but a refusal by a check ends it.
const PASSED_BY_POSTGRES: &str = "
create temporary table passed (pair text);
do $$
declare
  states text[] := array['queued', 'running', 'paused', 'completed', 'failed', 'cancelled'];
  was text;
  wanted text;
begin
  foreach was in array states loop
    foreach wanted in array states loop
      delete from jobs where id = 'x';
      insert into jobs (id, status) values ('x', was);
      begin
        update jobs set status = wanted where id = 'x';
        if was <> wanted then
          insert into passed values (was || ' ' || wanted);
        end if;
      exception when check_violation then
        if was = wanted or sqlerrm <> format('jobs.status: %s -> %s is no allowed change', was, wanted) then
          raise;
        end if;
      end;
    end loop;
  end loop;
  delete from jobs where id = 'x';
end $$;
select pair from passed";

fn allowed() -> Vec<(String, String)> {
    let mut allowed = ALLOWED.map(|(from, to)| (from.to_owned(), to.to_owned())).to_vec();
    allowed.sort_unstable();
    allowed
}

fn job(id: &str) -> DocumentKey {
    DocumentKey::new("jobs", id)
}

/// Of all 36 pairs of states exactly the nine that the model lists pass in plain SQL, on a new database and on one that
/// was copied into and written to.
#[test]
fn plain_sql_makes_the_allowed_changes_only() {
    for database in Database::all() {
        let store = database.open();
        assert_eq!(passed(&database), allowed());
        block_on(store.put(&job("a"), r#"{"id": "a", "status": "running"}"#)).unwrap();
        assert_eq!(passed(&database), allowed());
        database.try_sql("update jobs set status = 'queued'").unwrap_err();
        database.sql("update jobs set status = 'failed' where id = 'a'");
        let read = block_on(store.require(&job("a"))).unwrap();
        assert!(String::from_utf8_lossy(&read.body).contains(r#""status": "failed""#), "{:?}", read.body);
    }
    for database in Database::all() {
        let source = Scripted::default();
        source.put("jobs/b.json", r#"{"id": "b", "status": "completed"}"#);
        copy(&database, &source).unwrap();
        assert_eq!(passed(&database), allowed());
    }
}

/// A row that is held by a document is refused its change of state too, and a missing value is none.
#[test]
fn plain_sql_cannot_take_a_state_away() {
    for database in Database::all() {
        let store = database.open();
        let text = r#"{"id": "a", "steps": [{"id": "s", "state": "done"}]}"#;
        block_on(store.put(&job("a"), text)).unwrap();
        let was = block_on(store.require(&job("a"))).unwrap();
        for sql in [
            "update steps set state = 'open'",
            "update steps set state = 'open', \"order\" = 3",
            "insert into steps (id, job_id, \"order\", state) values ('s', 'a', 0, 'open') on conflict (id) do update set state = excluded.state",
        ] {
            let said = database.try_sql(sql).unwrap_err();
            assert!(said.contains("steps"), "{sql}: {said}");
        }
        assert_eq!(block_on(store.require(&job("a"))).unwrap(), was);
    }
}

/// The files lead in a copy: what an app changed in them is taken over, allowed or not, and proved.
#[test]
fn a_copy_follows_the_files() {
    for database in Database::all() {
        let source = Scripted::default();
        source.put("jobs/a.json", r#"{"id": "a", "status": "completed"}"#);
        source.put("jobs/b.json", r#"{"id": "b", "status": "queued"}"#);
        copy(&database, &source).unwrap();
        source.put("jobs/a.json", r#"{"id": "a", "status": "running", "more": 1}"#);
        // a key that is refused, so that the careful way is gone too
        source
            .put("jobs/b.json", r#"{"id": "b", "status": "completed", "steps": [{"id": "s"}, {"id": "s"}]}"#);
        copy(&database, &source).unwrap();
        let proof = proof(&database);
        assert!(proof.holds(), "{:?}", proof.differences);
        assert_eq!(proof.tally.set_aside, 1);
        let store = database.open();
        let read = block_on(store.require(&job("a"))).unwrap();
        assert_eq!(read.body, r#"{"id": "a", "status": "running", "more": 1}"#);
        assert_eq!(passed(&database), allowed());
    }
}

/// A unit of work with a change that is not allowed leaves nothing of itself.
#[test]
fn a_unit_with_a_forbidden_change_leaves_nothing() {
    use repot_core::store::{UnitOfWork, Write};
    for database in Database::all() {
        let store = database.open();
        block_on(async {
            store.put(&job("a"), r#"{"id": "a", "status": "completed"}"#).await.unwrap();
            let put = |id: &str, status: &str| Write::Put {
                key: job(id),
                body: format!(r#"{{"id": "{id}", "status": "{status}"}}"#).into(),
                when: Precondition::Any,
            };
            let unit = UnitOfWork::default().with(put("b", "queued")).with(put("a", "running"));
            let error = store.apply(unit).await.unwrap_err();
            assert_eq!(error.code(), "R0410", "{error}");
            assert_eq!(store.get(&job("b")).await.unwrap(), None);
        });
    }
}

/// What the model says about changes is in force when the database is opened with it, in plain SQL too; the tables are
/// the same, so nothing is copied again.
#[test]
fn triggers_follow_the_model() {
    let (_, _, text) = model();
    let open = |database: &Database, text: &str| {
        let model = parse(text, "repot.toml", &|_| None).unwrap();
        let plan = Plan::compile(&model).unwrap();
        RowStore::open(database.target(), (Arc::new(model), Arc::new(plan), text), Database::options())
            .unwrap()
    };
    for database in Database::all() {
        drop(open(&database, text));
        let other = text.replace("completed = []", "completed = [\"queued\"]");
        assert_ne!(other, text);
        drop(open(&database, &other));
        let mut more = allowed();
        more.push(("completed".to_owned(), "queued".to_owned()));
        more.sort_unstable();
        assert_eq!(passed(&database), more);
        let (first, rest) = text.split_once("[jobs.transitions.status]").unwrap();
        let without = format!(
            "{first}{}",
            rest.split_once("[steps]").map(|(_, rest)| format!("[steps]{rest}")).unwrap()
        );
        drop(open(&database, &without));
        assert_eq!(passed(&database).len(), 30);
        drop(open(&database, text));
        assert_eq!(passed(&database), allowed());
    }
}
