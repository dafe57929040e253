//! `repot plan --sql` prints what a copy runs: a database made with it has all that a copied one has.

use repot_testkit::postgres::postgres;

use crate::project::{Database, Project, databases};

const MODEL: &str = r#"
[repot]
source = "./data"

[users]
file        = "users/{id}.json"
soft_delete = "30d"
audit       = "1y"

[users.fields]
id   = "text key"
name = "text unique"
boss = "-> users? set null"

[chats]
file   = "chats/{user_id}/{id}.json"
tenant = "user_id"
search = ["title"]
index  = ["title"]

[chats.fields]
id      = "text key"
user_id = "text"
title   = "text?"
status  = "open | done = open"

[chats.transitions.status]
open = ["done"]
done = []

[messages]
in = "chats.messages[]"

[messages.fields]
id      = "int key auto"
chat_id = "-> chats cascade auto"
order   = "position"
words   = "text?"

[titles]
view = "select id, title from chats"
"#;

/// Everything in a schema of PostgreSQL, whatever the role for tenants is called there.
const CATALOGUE: &str = "\
select 'column', table_name, column_name, data_type, column_default from information_schema.columns where table_schema = 'public'
union all select 'index', tablename, indexname, indexdef, null from pg_indexes where schemaname = 'public'
union all select 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid), null from pg_constraint where connamespace = 'public'::regnamespace
union all select 'trigger', tgrelid::regclass::text, tgname, pg_get_triggerdef(oid), obj_description(oid, 'pg_trigger') from pg_trigger where not tgisinternal
union all select 'function', proname, null, prosrc, null from pg_proc where pronamespace = 'public'::regnamespace
union all select 'policy', tablename, regexp_replace(policyname, 'repot_tenant(_[0-9a-f]{16})?', 'ROLE'), permissive || cmd,
  regexp_replace(coalesce(qual, '') || coalesce(with_check, ''), 'repot_tenant(_[0-9a-f]{16})?', 'ROLE', 'g') from pg_policies where schemaname = 'public'
union all select 'grant', table_name, regexp_replace(grantee, 'repot_tenant(_[0-9a-f]{16})?', 'ROLE'), privilege_type, null
  from information_schema.role_table_grants where table_schema = 'public'
union all select 'secured', relname, relpersistence::text, relrowsecurity::text, null from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'
union all select 'view', viewname, null, definition, null from pg_views where schemaname = 'public'
order by 1, 2, 3, 4, 5";

/// Everything in a database, a line each.
fn made(project: &Project) -> Vec<String> {
    match &project.database {
        Database::Sqlite => {
            let connection = rusqlite::Connection::open(project.path("repot.db")).unwrap();
            // statistics are no part of the tables
            let sql = "select coalesce(sql, type || ' ' || name) from sqlite_schema where name not like 'sqlite_stat%' order by name";
            let mut statement = connection.prepare(sql).unwrap();
            let lines = statement.query_map((), |row| row.get(0)).unwrap();
            lines.map(Result::unwrap).collect()
        }
        Database::Postgres(url) => {
            postgres().unwrap().query(url, CATALOGUE).lines().map(str::to_owned).collect()
        }
    }
}

#[test]
fn what_is_printed_makes_what_a_copy_makes() {
    for (copied, printed) in databases().into_iter().zip(databases()) {
        let copied = Project::with(copied, MODEL, &[("users/a.json", b"{\"id\":\"a\",\"name\":\"n\"}")]);
        let sql = copied.run(&["plan", "--sql"]).expect(0).out;
        copied.run(&["copy"]).expect(0);
        let printed = Project::with(printed, MODEL, &[]);
        printed.sql(&sql);
        let (wanted, is) = (made(&copied), made(&printed));
        let has = |part: &str| wanted.iter().any(|line| line.contains(part));
        let parts = ["repot_audit", "repot_trash", "repot_search_rows_chats", "idx_chats_title", "titles"];
        assert!(parts.into_iter().all(has), "{wanted:#?}");
        let policed = matches!(copied.database, Database::Postgres(_));
        assert_eq!(has("policy|messages|ROLE|RESTRICTIVE"), policed, "{wanted:#?}");
        let missing: Vec<_> = wanted.iter().filter(|line| !is.contains(line)).collect();
        let more: Vec<_> = is.iter().filter(|line| !wanted.contains(line)).collect();
        assert!(missing.is_empty() && more.is_empty(), "missing: {missing:#?}\nmore: {more:#?}");
    }
}
