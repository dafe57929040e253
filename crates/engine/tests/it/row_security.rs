//! Row level security on PostgreSQL: a statement under the role of tenants sees and changes one tenant's rows, whatever it says;
//! nobody else is bound; where the role cannot be made, that is said.

use std::sync::Arc;
use std::time::Duration;

use repot_core::store::{
    DocumentKey, Filter, Query, QueryExplanation, Queryable as _, Scope, Store as _, StoreExt as _,
};
use repot_core::{Answer, LockHolder, Missing, Reader, RowSecurity, Target as _, TenantGuard as _};
use repot_engine::store::RowStore;
use repot_model::language::Model;
use repot_model::plan::{ColumnKind, Plan};
use repot_model::row::{Cell, Cells};
use repot_model::sql::query::Statement;
use repot_postgres::{PostgresOptions, PostgresTarget};
use repot_testkit::postgres::{PgServer, postgres};
use tokio::task::spawn_blocking;

use crate::documents::{Database, block_on};

const MODEL: &str = r#"
[repot]
source = "./data"

[voices]
file = "voices/{id}.json"

[voices.fields]
id   = "text key"
name = "text?"

[books]
file   = "{user}/{id}.json"
tenant = "user"
search = ["title"]

[books.fields]
id    = "text key"
user  = "text"
title = "text?"
voice = "-> voices? set null"
next  = "-> books? set null"

[parts]
in     = "books.parts[]"
search = ["name"]

[parts.fields]
id      = "int key auto"
book_id = "-> books cascade auto"
order   = "position"
name    = "text?"

[lines]
in = "parts.lines[]"

[lines.fields]
part_id = "-> parts cascade auto"
order   = "position"
word    = "text?"

[counts]
file   = "counts/{team}.json"
tenant = "team"

[counts.fields]
team = "int key"
used = "int = 0"
"#;

fn model() -> (Arc<Model>, Arc<Plan>, &'static str) {
    repot_testkit::compiled(MODEL)
}

fn book(user: &str, id: &str) -> (DocumentKey, String) {
    let body = format!(
        r#"{{"id":"{id}","user":"{user}","title":"the {id}","voice":"v","parts":[{{"name":"part {user}","lines":[{{"word":"w"}}]}}]}}"#
    );
    (DocumentKey::new("books", id).in_tenant(user), body)
}

/// A database with books of two tenants.
fn filled() -> Option<(PgServer, String, RowStore)> {
    let database = Database::postgres()?;
    let store = database.try_open_as(model()).unwrap();
    block_on(async {
        store.put(&DocumentKey::new("voices", "v"), r#"{"id":"v","name":"x"}"#).await.unwrap();
        for (user, id) in [("u", "a"), ("u", "b"), ("v", "c")] {
            let (key, body) = book(user, id);
            store.put(&key, body).await.unwrap();
        }
        for team in ["1", "2"] {
            let key = DocumentKey::new("counts", team).in_tenant(team);
            store.put(&key, format!(r#"{{"team":{team}}}"#)).await.unwrap();
        }
    });
    let Database::Postgres(server, url) = database else { return None };
    Some((server, url, store))
}

fn role(server: &PgServer, url: &str) -> String {
    let sql = "select polname from pg_policy where polrelid = 'books'::regclass and not polpermissive";
    server.query(url, sql).trim().to_owned()
}

/// What a statement prints, or what the server says, in a transaction of a tenant that is committed.
fn as_tenant(server: &PgServer, url: &str, tenant: &str, sql: &str) -> Result<String, String> {
    let role = role(server, url);
    let all = format!(
        "begin; set local role {role}; select from set_config('repot.tenant', '{tenant}', true); {sql}; commit"
    );
    server.try_query(url, &all).map(|printed| printed.trim().to_owned())
}

#[test]
fn statements_without_a_condition_show_and_change_one_tenants_rows() {
    let Some((server, url, store)) = filled() else { return };
    assert_eq!(*store.row_security(), RowSecurity::Enforced);
    assert!(store.capabilities().row_security);
    let ask = |tenant: &str, sql: &str| as_tenant(&server, &url, tenant, sql);
    for (tenant, books, parts) in [("u", "a\nb", "2"), ("v", "c", "1"), ("w", "", "0"), ("", "", "0")] {
        assert_eq!(ask(tenant, "select id from books order by id").unwrap(), books, "{tenant}");
        assert_eq!(ask(tenant, "select count(*) from parts").unwrap(), parts, "{tenant}");
        assert_eq!(ask(tenant, "select count(*) from lines").unwrap(), parts, "{tenant}");
        let words = "select count(*) from repot_search_rows_parts_of_tenant";
        assert_eq!(ask(tenant, words).unwrap(), parts, "{tenant}");
        assert_eq!(ask(tenant, "select id from voices").unwrap(), "v", "what has no tenants is everybody's");
    }
    assert_eq!(ask("1", "select team from counts").unwrap(), "1");
    assert_eq!(ask("u", "select team from counts").unwrap(), "");
    // without a tenant there is nothing
    let none = format!("set role {}; select count(*) from books", role(&server, &url));
    assert_eq!(server.query(&url, &none).trim(), "0");

    for foreign in [
        "insert into books (id, \"user\") values ('d', 'v')",
        "update books set \"user\" = 'v'",
        "insert into parts (book_id, \"order\", name) values ('c', 7, 'x')",
        "update parts set book_id = 'c'",
        "insert into lines (part_id, \"order\", word) select id, 7, 'x' from parts union all select 999999, 7, 'x'",
        "insert into counts (team) values (3)",
    ] {
        let said = ask("u", foreign).unwrap_err();
        assert!(said.contains("row-level security"), "{foreign}: {said}");
    }
    for denied in [
        "truncate books",
        "update voices set name = 'mine'",
        "select text from repot_documents",
        "select path from repot_objects",
        "select key from repot_changes",
        "select key from repot_touched",
        "select text from repot_trash",
        "select value from repot_facts",
        "insert into repot_facts (kind, name, value) values ('a', 'a', '')",
        "select token from repot_epoch",
        "delete from repot_epoch",
        "select bytes from repot_pieces",
        "select bytes from repot_dictionaries",
        "select value from repot_meta",
        "select words from repot_search_rows_books",
        "select words from repot_search_rows_parts",
        "select seq from repot_search_stale_books",
    ] {
        let said = ask("u", denied).unwrap_err();
        assert!(said.contains("permission denied"), "{denied}: {said}");
    }
    ask("u", "update books set title = 'mine'; update lines set word = 'mine'; delete from parts where name = 'no'")
        .unwrap();
    ask("u", "delete from lines").unwrap();
    ask("u", "insert into books (id, \"user\", title) values ('d', 'u', 'mine')").unwrap();
    assert_eq!(
        server.query(&url, "select id, title from books order by id"),
        "a|mine\nb|mine\nc|the c\nd|mine\n"
    );
    assert_eq!(server.query(&url, "select count(*) from lines"), "1\n");
    block_on(async {
        // the triggers noticed it: the documents are as the rows are
        let read = store.require(&DocumentKey::new("books", "d").in_tenant("u")).await.unwrap();
        assert!(String::from_utf8_lossy(&read.body).contains("mine"), "{:?}", read.body);
        let (key, body) = book("v", "c");
        assert_eq!(store.require(&key).await.unwrap().body, body);
    });
    ask("u", "delete from books").unwrap();
    assert_eq!(server.query(&url, "select id from books"), "c\n");
}

/// Questions of every kind run under the role: a policy that hides a row hides it from them, and what follows in the same
/// transaction runs as before.
#[test]
fn what_a_tenant_asks_runs_under_the_role() {
    let Some((server, url, store)) = filled() else { return };
    let hide = |table: &str, condition: &str| {
        let sql = format!(
            "create policy hidden on {table} as restrictive for select to {} using ({condition})",
            role(&server, &url)
        );
        assert_eq!(server.query(&url, &sql), "");
    };
    let of = |collection: &str| Query::of(Scope::of(collection).in_tenant("u"));
    let search = |collection: &str, words: &str| of(collection).filter(Filter::search(words));
    block_on(async {
        let count = async |query: Query| {
            let found = store.query(&query).await.unwrap().items.len();
            assert_eq!(store.count(&query).await.unwrap(), found as u64, "{query:?}");
            found
        };
        assert_eq!(count(of("books")).await, 2);
        assert_eq!(count(search("books", "the")).await, 2);
        assert_eq!(count(search("parts", "part")).await, 2);
        assert_eq!(count(search("parts", "v")).await, 0);
        let QueryExplanation { plan, .. } = store.explain(&of("books")).await.unwrap();
        assert!(plan.join("\n").contains(&role(&server, &url)), "{plan:?}");
        let full = store.query(&of("books").full()).await.unwrap();
        assert_eq!(full.items.len(), 2, "the documents are read as the owner");
        let expanded = store.query(&of("books").expand("voice")).await.unwrap();
        let first = String::from_utf8_lossy(&expanded.items[0].body).into_owned();
        assert!(first.contains(r#""name":"x""#), "{first}");
        hide("books", "id <> 'a'");
        assert_eq!(count(of("books")).await, 1);
        assert_eq!(count(of("books").full()).await, 1);
        assert_eq!(count(search("books", "the")).await, 1);
        // a holder that is hidden hides what it holds
        assert_eq!(count(of("parts")).await, 1);
        let shared = Query::of(Scope::of("voices"));
        assert_eq!(count(shared).await, 1, "no tenant asks");
    });
}

/// Under which role a question is asked, in whose name, and how it is bound.
const WHO: &str = "select concat_ws(' ', current_user, coalesce(current_setting('repot.tenant', true), ''), \
                   current_setting('transaction_read_only'), current_setting('statement_timeout'))";

fn statement(tenant: Option<&str>, sql: &str) -> Statement {
    Statement {
        sql: sql.to_owned(),
        parameters: Vec::new(),
        columns: vec![ColumnKind::Text(None)],
        order: Vec::new(),
        tenant: tenant.map(str::to_owned),
        keyed: false,
    }
}

fn told(answer: &Answer) -> String {
    let (_, cells) = answer.rows.iter().next().unwrap();
    match Cells::new(cells).next() {
        Some(Cell::Text(text)) => text.into_owned(),
        other => format!("{other:?}"),
    }
}

/// A target of stores, with the policies.
fn guarded(url: &str) -> PostgresTarget {
    let mut target = PostgresTarget::open(url, PostgresOptions::default()).unwrap();
    let me = LockHolder { host: "here".to_owned(), pid: std::process::id(), since_ms: 0 };
    target.share(&me).unwrap();
    target.enforce_rules(&model().1).unwrap();
    target
}

/// What is fetched for a tenant and dropped on the way, wherever that is, leaves no session that is his to others.
#[test]
fn what_is_fetched_for_a_tenant_and_dropped_is_nobody_elses() {
    let Some((server, url, store)) = filled() else { return };
    drop(store);
    let user = server.query(&url, "select current_user").trim().to_owned();
    let connections = guarded(&url).connections().unwrap();
    block_on(async {
        let mut reader = spawn_blocking(move || connections.reader().unwrap()).await.unwrap();
        let (mut fetched, mut dropped) = (0, 0);
        for number in 0..300_u64 {
            assert!(reader.at_once(true));
            assert!(reader.ask_once(&statement(Some("u"), WHO), 1_000).is_err());
            let Missing::Answer(fetch) = reader.missing() else { panic!("nothing is missing") };
            match tokio::time::timeout(Duration::from_micros(number * 5), fetch).await {
                Ok(done) => {
                    done.unwrap();
                    fetched += 1;
                }
                Err(_) => dropped += 1,
            }
            let (again, who) = spawn_blocking(move || {
                reader.at_once(false);
                let who = told(&reader.ask_once(&statement(None, WHO), 1_000).unwrap());
                (reader, who)
            })
            .await
            .unwrap();
            assert_eq!(who, format!("{user}  on 30s"), "{number}");
            reader = again;
        }
        spawn_blocking(move || drop(reader)).await.unwrap();
        assert!(fetched > 0 && dropped > 0, "{fetched} fetched, {dropped} dropped");
    });
}

/// A session stays set for a tenant's questions from one to the next: each is asked under the role, in its tenant's name, the first
/// one too; what is read for nobody, and what takes a state, finds the session as it was.
#[test]
fn a_session_that_is_set_for_a_tenant_is_nobody_elses() {
    let Some((server, url, store)) = filled() else { return };
    drop(store);
    let own = role(&server, &url);
    let user = server.query(&url, "select current_user").trim().to_owned();
    let mut reader = guarded(&url).connections().unwrap().reader().unwrap();
    let asked = |reader: &mut dyn Reader, tenant: Option<&str>| {
        told(&reader.ask_once(&statement(tenant, WHO), 1_000).unwrap())
    };
    for (tenant, expected) in [
        (Some("u"), format!("{own} u on 30s")),
        (Some("u"), format!("{own} u on 30s")),
        (Some("v"), format!("{own} v on 30s")),
        (None, format!("{user}  on 30s")),
        (Some("u"), format!("{own} u on 30s")),
    ] {
        assert_eq!(asked(&mut *reader, tenant), expected, "{tenant:?}");
    }
    // of nobody, and in a state that is held, under the role that it had
    assert!(reader.stored("u/a.json").unwrap().is_some());
    assert_eq!(asked(&mut *reader, Some("v")), format!("{own} v on 30s"));
    assert!(reader.meta("version").is_ok());
    let held = reader.query(WHO, 1).unwrap();
    assert_eq!(held.rows, [[Some(format!("{user}  on 30s"))]]);
    assert_eq!(asked(&mut *reader, Some("v")), format!("{own} v on 30s"), "in the state that is held");
    reader.refresh().unwrap();

    // one that fails says the same as in a transaction, and leaves the session as it should be
    let failing = |sql: &str| statement(Some("u"), sql);
    let denied = reader.ask_once(&failing("select text::text from repot_documents"), 1_000).unwrap_err();
    assert!(denied.to_string().contains("permission denied"), "{denied}");
    let write = reader.ask_once(&failing("update books set title = 'x' returning id"), 1_000).unwrap_err();
    assert!(write.to_string().contains("read-only"), "{write}");
    assert_eq!(asked(&mut *reader, Some("u")), format!("{own} u on 30s"));
    assert!(reader.stored("u/a.json").unwrap().is_some());
    // the role is gone while the session has it
    let take = format!("revoke all on books from {own}");
    assert_eq!(server.query(&url, &take), "");
    let gone = reader.ask_once(&failing("select id from books limit 1"), 1_000).unwrap_err();
    assert!(gone.to_string().contains("permission denied"), "{gone}");
    assert!(reader.stored("u/a.json").unwrap().is_some());
}

/// The owner, and whoever else may use the tables, see all rows as before; a table with policies of somebody else's keeps
/// them.
#[test]
fn nobody_else_is_bound() {
    let Some((server, url, store)) = filled() else { return };
    let reader = format!("{}_reader", role(&server, &url));
    let make = format!("create role {reader}; grant select, update on books to {reader}");
    assert_eq!(server.query(&url, &make), "");
    let as_reader = |sql: &str| server.query(&url, &format!("set role {reader}; {sql}"));
    assert_eq!(as_reader("select count(*) from books"), "3\n");
    assert_eq!(server.query(&url, "select count(*) from books"), "3\n");
    assert_eq!(as_reader("update books set title = 'x' returning id"), "a\nb\nc\n");
    // a member of the role is bound only once the role is taken
    let member = format!("grant {} to {reader}", role(&server, &url));
    assert_eq!(server.query(&url, &member), "");
    assert_eq!(as_reader("select count(*) from books"), "3\n");
    assert_eq!(server.query(&url, &format!("revoke {} from {reader}", role(&server, &url))), "");
    // somebody takes the general policy away and sets their own: it stays so
    let own = format!(
        "drop policy repot_everyone on books; create policy own on books to {reader} using (id = 'c')"
    );
    assert_eq!(server.query(&url, &own), "");
    drop(store);
    let database = Database::Postgres(server.clone(), url.clone());
    let store = database.try_open_as(model()).unwrap();
    assert_eq!(*store.row_security(), RowSecurity::Enforced);
    assert_eq!(as_reader("select count(*) from books"), "1\n");
    assert_eq!(as_tenant(&server, &url, "u", "select count(*) from books").unwrap(), "2");
    assert_eq!(server.query(&url, &format!("drop owned by {reader}; drop role {reader}")), "");
}

/// What is missing is made when a store opens the database, and only that; a role is one database's.
#[test]
fn what_is_missing_is_made_when_it_is_opened() {
    let Some((server, url, store)) = filled() else { return };
    drop(store);
    let database = Database::Postgres(server.clone(), url.clone());
    let own = role(&server, &url);
    let made = "select string_agg(oid::text, ' ' order by oid) from pg_policy";
    let before = server.query(&url, made);
    drop(database.try_open_as(model()).unwrap());
    assert_eq!(server.query(&url, made), before, "nothing is made anew");
    let undo = format!(
        "alter table books disable row level security; drop policy {own} on parts; revoke all on lines from {own}; \
         drop view repot_search_rows_parts_of_tenant"
    );
    assert_eq!(server.query(&url, &undo), "");
    assert_eq!(as_tenant(&server, &url, "u", "select count(*) from books").unwrap(), "3");
    let store = database.try_open_as(model()).unwrap();
    assert_eq!(*store.row_security(), RowSecurity::Enforced);
    for (table, rows) in
        [("books", "2"), ("parts", "2"), ("lines", "2"), ("repot_search_rows_parts_of_tenant", "2")]
    {
        assert_eq!(
            as_tenant(&server, &url, "u", &format!("select count(*) from {table}")).unwrap(),
            rows,
            "{table}"
        );
    }
    let other = Database::postgres().unwrap();
    drop(other.try_open_as(model()).unwrap());
    let Database::Postgres(server, url) = &other else { return };
    assert_ne!(role(server, url), own);
}

/// The URL for a new user of the server, who may make tables.
fn as_user(server: &PgServer, url: &str, name: &str, may: &str) -> String {
    let name = format!("{name}_{}", url.rsplit('/').next().unwrap().split('?').next().unwrap());
    let make = format!("create role {name} login {may}; grant create on schema public to {name}");
    assert_eq!(server.query(url, &make), "");
    let (scheme, rest) = url.split_once("://").unwrap();
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    format!("{scheme}://{name}@{host}")
}

/// No superuser is needed: who may make roles has it all made, and takes the role.
#[test]
fn who_may_make_roles_needs_nobody() {
    let Some(server) = postgres() else { return };
    let url = server.fresh_database();
    let own = as_user(&server, &url, "maker", "createrole");
    let database = Database::Postgres(server.clone(), own.clone());
    for _ in 0..2 {
        let store = database.try_open_as(model()).unwrap();
        assert_eq!(*store.row_security(), RowSecurity::Enforced);
        block_on(async {
            let (key, body) = book("u", "a");
            store.put(&key, body.replace(r#""voice":"v","#, "")).await.unwrap();
            let search = Query::of(Scope::of("parts").in_tenant("u")).filter(Filter::search("part"));
            let QueryExplanation { plan, .. } = store.explain(&search).await.unwrap();
            assert!(plan.join("\n").contains(&role(&server, &url)), "{plan:?}");
            assert_eq!(store.query(&search).await.unwrap().items.len(), 1);
        });
    }
    assert_eq!(as_tenant(&server, &own, "v", "select count(*) from books").unwrap(), "0");
}

/// A user who may make no roles gets a store that works and says what is missing; once a superuser made the role, the next
/// opening makes the rest.
#[test]
fn where_the_role_may_not_be_made_it_is_said() {
    let Some(server) = postgres() else { return };
    let url = server.fresh_database();
    let own = as_user(&server, &url, "app", "");
    let database = Database::Postgres(server.clone(), own.clone());
    let store = database.try_open_as(model()).unwrap();
    let RowSecurity::Missing(why) = store.row_security().clone() else { unreachable!("{store:?}") };
    assert!(why.contains("R0420") && why.contains("may not make roles"), "{why}");
    assert!(!store.capabilities().row_security);
    block_on(async {
        let (key, body) = book("u", "a");
        store.put(&key, body.replace(r#""voice":"v","#, "")).await.unwrap();
        let found = store.query(&Query::of(Scope::of("books").in_tenant("u"))).await.unwrap();
        assert_eq!(found.items.len(), 1);
        let search = Query::of(Scope::of("books").in_tenant("u")).filter(Filter::search("the"));
        assert_eq!(store.query(&search).await.unwrap().items.len(), 1);
    });
    drop(store);
    // what it says mends it
    let mend = why.split('`').nth(1).unwrap();
    assert_eq!(server.query(&url, mend), "");
    let mut target = PostgresTarget::open(&own, PostgresOptions::default()).unwrap();
    assert_eq!(target.row_security(&model().1).unwrap(), RowSecurity::Coming);
    drop(target);
    let store = database.try_open_as(model()).unwrap();
    assert_eq!(*store.row_security(), RowSecurity::Enforced);
    block_on(async {
        let search = Query::of(Scope::of("books").in_tenant("u")).filter(Filter::search("the"));
        assert_eq!(store.query(&search).await.unwrap().items.len(), 1);
        let (key, body) = book("v", "b");
        store.put(&key, body.replace(r#""voice":"v","#, "")).await.unwrap();
    });
    assert_eq!(as_tenant(&server, &own, "u", "select id from books").unwrap(), "a");
}
