//! The newest of a user on PostgreSQL: the model's index gives their order, on every page; a table that is changed under
//! statements that a session keeps is no error.

use std::sync::Arc;

use repot_core::store::{
    Change, DocumentKey, Filter, Precondition, Query, Queryable as _, Scope, StoreExt as _,
};
use repot_engine::store::RowStore;
use repot_json::patch::Pointer;
use repot_model::language::{Model, parse};
use repot_model::plan::Plan;
use repot_postgres::{PostgresOptions, PostgresTarget};
use repot_testkit::conformance::model;
use repot_testkit::postgres::{PgServer, postgres};

use crate::documents::{Database, block_on};

const MODEL: &str = r#"
[repot]
source = "./data"

[chats]
file   = "{user}/{id}.json"
tenant = "user"
index  = ["user, made desc"]

[chats.fields]
id    = "text(40) key"
user  = "text(40)"
title = "text(200) = New"
made  = "time?"

[messages]
in = "chats.messages[]"

[messages.fields]
id      = "int key auto"
chat_id = "-> chats cascade auto"
order   = "position"
content = "text?"
"#;

fn opened() -> Option<(PgServer, String, RowStore)> {
    let database = Database::postgres()?;
    let model: (Arc<Model>, Arc<Plan>, &'static str) = {
        let model = parse(MODEL, "repot.toml", &|_| None).unwrap();
        let plan = Plan::compile(&model).unwrap();
        (Arc::new(model), Arc::new(plan), MODEL)
    };
    let store = database.try_open_as(model).unwrap();
    let Database::Postgres(server, url) = database else { return None };
    Some((server, url, store))
}

fn newest() -> Query {
    Query::of(Scope::of("chats").in_tenant("u7")).sort("-made").limit(50).fields("id,made")
}

/// The plan of a question reads the index in its order, beginning where the condition says, and sorts only rows that are equal
/// in what the index orders by. Behind a cursor, nulls are a part of their own: all of them are equal.
async fn comes_in_order(store: &RowStore, query: &Query, condition: &str) {
    let why = store.explain(query).await.unwrap();
    let plan = why.plan.join("\n");
    assert!(!plan.contains("Seq Scan"), "{plan}");
    let (values, nulls) = plan.split_once("\"*SELECT* 2\"  (").unwrap_or((&plan, ""));
    assert!(values.contains("Index Scan using idx_chats_user_made"), "{plan}");
    let given = |line: &str| line.contains("Index Cond:") && line.contains(condition);
    assert!(values.lines().any(given), "{plan}");
    assert!(!values.lines().any(|line| line.trim_start().starts_with("->  Sort  (")), "{plan}");
    assert_eq!(condition.contains("<="), nulls.contains("made IS NULL"), "{plan}");
}

#[test]
fn the_index_gives_the_order_of_the_newest() {
    let Some((server, url, store)) = opened() else { return };
    // 500 of each user; of every tenth it is not known when it was made, and three each were made at one time
    let fill = "insert into chats (id, \"user\", title, made) select 'c' || i, 'u' || i % 20, 't' || i, \
                case when i / 20 % 10 = 3 then null else timestamptz '2025-01-01' + (i / 60) * interval '1 hour' end \
                from generate_series(0, 9999) i; analyze chats";
    assert_eq!(server.query(&url, fill), "");
    block_on(async {
        comes_in_order(&store, &newest(), "\"user\")::text").await;
        let mut found = Vec::new();
        let mut query = newest();
        loop {
            let page = store.query(&query).await.unwrap();
            for item in &page.items {
                let value: serde_json::Value = serde_json::from_slice(&item.body).unwrap();
                found.push(value["id"].as_str().unwrap().to_owned());
            }
            let Some(next) = page.next else { break };
            query = newest().after(next);
            if found.len() == 100 {
                comes_in_order(&store, &query, "made <=").await;
            }
        }
        let wanted =
            "select id from chats where \"user\" = 'u7' order by made desc nulls last, id collate \"C\"";
        let wanted = server.query(&url, wanted);
        assert_eq!(found, wanted.lines().collect::<Vec<_>>());
        assert_eq!(found.len(), 500);
    });
    // one that an older version made orders otherwise, and the answer is the same
    let older =
        "drop index idx_chats_user_made; create index idx_chats_user_made on chats (\"user\", made desc)";
    assert_eq!(server.query(&url, older), "");
    block_on(async {
        let page = store.query(&newest()).await.unwrap();
        let wanted = "select id from chats where \"user\" = 'u7' order by made desc nulls last, id collate \"C\" limit 50";
        let wanted = server.query(&url, wanted);
        let ids: Vec<String> =
            page.items.iter().filter_map(|item| item.key.as_ref().map(|key| key.text().to_owned())).collect();
        assert_eq!(ids, wanted.lines().collect::<Vec<_>>());
    });
}

/// Where texts are compared by bytes, in whatever locale that is, the key's own index gives the pages in its order, and a pattern's rows.
/// Elsewhere there is one for the pages.
#[test]
fn an_index_gives_the_order_of_pages() {
    let Some(server) = postgres() else { return };
    // not every server is built with it
    let has_icu = server
        .query(server.url(), "select exists (select from pg_collation where collprovider = 'i')")
        .starts_with('t');
    for (at, (locale, fits)) in
        [("locale 'C'", true), ("locale 'C.UTF-8'", true), ("locale_provider icu icu_locale 'en-US'", false)]
            .into_iter()
            .enumerate()
    {
        if locale.contains("icu") && !has_icu {
            continue;
        }
        let url = server.fresh_database();
        let (before, name) = url.rsplit_once('/').unwrap();
        let name = format!("{name}_{at}");
        let create = format!("create database {name} template template0 encoding 'UTF8' {locale}");
        assert_eq!(server.query(&url, &create), "");
        let url = format!("{before}/{name}");
        let target = PostgresTarget::open(&url, PostgresOptions::default()).unwrap();
        let store = RowStore::open(Box::new(target), model(), Database::options()).unwrap();
        let fill = "insert into notes (id, title) select 'n' || i, 't' from generate_series(0, 9999) i; insert into notes (id) values ('Z'); analyze notes";
        assert_eq!(server.query(&url, fill), "");
        block_on(async {
            let plan = async |query: &Query| store.explain(query).await.unwrap().plan.join("\n");
            let pattern = || Filter::Like { field: "id".to_owned(), pattern: "n99%".to_owned() };
            let notes = || Query::of(Scope::of("notes")).limit(50).fields("id");
            let first = store.query(&notes()).await.unwrap();
            let last = first.items.last().and_then(|item| item.key.as_ref()).map(|key| key.text().to_owned());
            // by bytes `Z` comes first, whatever the database makes of it
            assert_eq!((first.items.len(), last.as_deref()), (50, Some("n1040")), "{locale}");
            let index = if fits { "notes_pkey" } else { "repot_order_notes" };
            for query in [notes(), notes().after(first.next.unwrap())] {
                let plan = plan(&query).await;
                assert!(plan.contains(index) && !plan.contains("Sort"), "{locale}: {plan}");
            }
            let plan = plan(&notes().filter(pattern())).await;
            assert_eq!(plan.contains("Index Cond") && plan.contains("notes_pkey"), fits, "{locale}: {plan}");
            let made = "select count(*) from pg_indexes where indexname like 'repot\\_order\\_%'";
            assert_eq!(server.query(&url, made).trim() == "0", fits, "{locale}");
            let found = store.query(&notes().filter(pattern()).limit(1_000)).await.unwrap();
            assert_eq!(found.items.len(), 111, "{locale}");
        });
    }
}

#[test]
fn a_table_changed_under_kept_statements_is_no_error() {
    let Some((server, url, store)) = opened() else { return };
    let key = DocumentKey::new("chats", "a").in_tenant("u7");
    let body = r#"{"id":"a","user":"u7","title":"one","messages":[{"content":"x"}]}"#;
    let named = |title: &str| newest().filter(Filter::eq("title", title)).fields("id,title");
    let set = |title: &str| Change::Set {
        at: Pointer::parse("/title").unwrap(),
        value: serde_json::to_string(title).unwrap().into(),
    };
    block_on(async {
        store.put(&key, body).await.unwrap();
        let all = async |title: &str| {
            let query = named(title);
            assert_eq!(store.query(&query).await.unwrap().items.len(), 1, "{title}");
            let mut full = query.clone().full();
            full.fields.clear();
            assert_eq!(store.query(&full).await.unwrap().items.len(), 1, "{title}");
            assert_eq!(
                store.query(&Query::of(Scope::of("messages").in_tenant("u7"))).await.unwrap().items.len(),
                1
            );
        };
        for round in 0..3 {
            // as often as the session has them kept in every way
            for _ in 0..2 {
                let title = format!("title {round}");
                store.change(&key, set(&title), Precondition::Any).await.unwrap();
                store.change(&key, set(&title), Precondition::Any).await.unwrap();
                all(&title).await;
            }
            let longer = format!("alter table chats alter title type varchar({})", 300 + round);
            assert_eq!(server.query(&url, &longer), "");
            let longer = format!("alter table messages alter content type varchar({})", 300 + round);
            assert_eq!(server.query(&url, &longer), "");
            all(&format!("title {round}")).await;
        }
        store.append(&key, "/messages", r#"{"content":"y"}"#).await.unwrap();
        let document = store.require(&key).await.unwrap();
        assert!(String::from_utf8_lossy(&document.body).contains("title 2"));
    });
}
