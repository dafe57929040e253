//! Questions about rows in SQLite and PostgreSQL: what the apps ask, pages while others write, tenants, mistakes.

use std::sync::Arc;

use futures_util::TryStreamExt as _;
use repot_core::store::{
    BucketStore, Cursor, DocumentKey, Filter, Layout, MemoryObjects, Op, Precondition, Query, QueryValue,
    Queryable, QueryableExt as _, Scope, Store as _, StoreExt as _,
};
use repot_core::{FixedClock, Kind, LockHolder, Target};
use repot_engine::store::{PoolOptions, RowStore, RowStoreOptions};
use repot_model::language::{Model, parse};
use repot_model::plan::Plan;
use repot_postgres::{PostgresOptions, PostgresTarget};
use repot_sqlite::{SqliteOptions, SqliteTarget};
use repot_testkit::TempTree;
use repot_testkit::postgres::{PgServer, postgres};

/// A store over a database of the test's own.
pub(crate) struct Asked {
    pub name: &'static str,
    pub store: RowStore,
    place: Place,
}

enum Place {
    Sqlite(TempTree),
    Postgres(PgServer, String),
}

impl Asked {
    /// One of each database; PostgreSQL also with texts that do not follow each other by their bytes.
    pub(crate) fn all(model: &'static str) -> Vec<Self> {
        let folder = TempTree::new();
        let file = folder.path().join("asked.db");
        let target = SqliteTarget::open(&file, SqliteOptions::default()).unwrap();
        let mut all = vec![Self::open("SQLite", Box::new(target), model, Place::Sqlite(folder))];
        let Some(server) = postgres() else { return all };
        let plain = server.fresh_database();
        let name = plain.rsplit('/').next().unwrap().split('?').next().unwrap().to_owned();
        let by_language = format!("{name}_words");
        let made = format!(
            "create database {by_language} template template0 locale_provider icu icu_locale 'en-US' locale 'C'"
        );
        assert_eq!(server.query(server.url(), &made), "");
        for (shown, url) in
            [("PostgreSQL", plain.clone()), ("PostgreSQL by words", plain.replace(&name, &by_language))]
        {
            let target = PostgresTarget::open(&url, PostgresOptions::default()).unwrap();
            all.push(Self::open(shown, Box::new(target), model, Place::Postgres(server.clone(), url)));
        }
        all
    }

    /// The database's address; `None`: SQLite.
    pub(crate) fn url(&self) -> Option<&str> {
        match &self.place {
            Place::Sqlite(_) => None,
            Place::Postgres(_, url) => Some(url),
        }
    }

    /// The same database opened anew, with another model.
    pub(crate) fn reopened(self, model: &'static str) -> Self {
        let Self { name, store, place } = self;
        drop(store);
        Self::open(name, target(&place), model, place)
    }

    /// Another store over the same database.
    pub(crate) fn another(&self, model: &'static str) -> RowStore {
        store(target(&self.place), model)
    }

    fn open(name: &'static str, target: Box<dyn Target>, text: &'static str, place: Place) -> Self {
        let store = store(target, text);
        Self { name, store, place }
    }

    pub(crate) fn sql(&self, sql: &str) {
        match &self.place {
            Place::Sqlite(folder) => {
                let connection = rusqlite::Connection::open(folder.path().join("asked.db")).unwrap();
                connection.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
                connection.execute_batch(sql).unwrap();
            }
            Place::Postgres(server, url) => drop(server.query(url, sql)),
        }
    }

    pub(crate) async fn put(&self, key: &DocumentKey, body: impl Into<String>) {
        self.store.put(key, body.into()).await.unwrap();
    }

    /// The same of a question whose answer is one page, with nobody who writes meanwhile: as many are counted.
    async fn counted(&self, query: &Query, name: &str) -> Vec<String> {
        let found = self.column(query, name).await;
        assert_eq!(self.store.count(query).await.unwrap(), found.len() as u64, "{query:?}");
        found
    }

    /// What the column holds in each item.
    pub(crate) async fn column(&self, query: &Query, name: &str) -> Vec<String> {
        let page = self.store.query(query).await.unwrap();
        let value =
            |body: &[u8]| serde_json::from_slice::<serde_json::Value>(body).unwrap()[name].to_string();
        page.items.iter().map(|item| value(&item.body).trim_matches('"').to_owned()).collect()
    }
}

fn target(place: &Place) -> Box<dyn Target> {
    match place {
        Place::Sqlite(folder) => {
            let file = folder.path().join("asked.db");
            Box::new(SqliteTarget::open(&file, SqliteOptions::default()).unwrap())
        }
        Place::Postgres(_, url) => Box::new(PostgresTarget::open(url, PostgresOptions::default()).unwrap()),
    }
}

fn store(target: Box<dyn Target>, text: &'static str) -> RowStore {
    let (model, plan) = compiled(text);
    let options = RowStoreOptions {
        readers: 1,
        writers: 1,
        pool: PoolOptions::default(),
        changes: repot_core::change_log::ChangeRetention::default(),
        document_bytes_max: 4 << 20,
        recent_bytes: 1 << 20,
        json: repot_json::Limits::default(),
        me: LockHolder { host: "here".to_owned(), pid: 7, since_ms: 0 },
        clock: Arc::new(FixedClock(1_700_000_000_000)),
    };
    RowStore::open(target, (model, plan, text), options).unwrap()
}

pub(crate) fn compiled(text: &str) -> (Arc<Model>, Arc<Plan>) {
    let model = parse(text, "repot.toml", &|_| None).unwrap();
    let plan = Plan::compile(&model).unwrap();
    (Arc::new(model), Arc::new(plan))
}

pub(crate) use crate::documents::block_on;

const DRAMAS: &str = include_str!("../../../../apps/dramas/repot.toml");
const COUNCIL: &str = include_str!("../../../../apps/council/repot.toml");
const MEDIA: &str = include_str!("../../../../apps/media/repot.toml");

/// A drama with so many characters, and in each episode so many scenes.
fn drama(id: &str, characters: usize, scenes: &[usize]) -> String {
    let mut name = 0;
    let mut next = |kind: &str| {
        name += 1;
        format!("{id}-{kind}{name}")
    };
    let people: Vec<String> = (0..characters)
        .map(|at| {
            format!(
                r#"{{"id":"{}","name":"N{at}","assets":[{{"id":"{}","kind":"image"}}]}}"#,
                next("c"),
                next("a")
            )
        })
        .collect();
    let episodes: Vec<String> = scenes
        .iter()
        .map(|&count| {
            let scenes: Vec<String> = (0..count)
                .map(|at| format!(r#"{{"id":"{}","description":"{}"}}"#, next("s"), "x".repeat(at * 10)))
                .collect();
            format!(r#"{{"id":"{}","title":"E{count}","scenes":[{}]}}"#, next("e"), scenes.join(","))
        })
        .collect();
    format!(
        r#"{{"id":"{id}","title":"T {id}","metadata":{{"genre":"noir","stars":{}.50}},"created_at":"2025-01-01T00:00:00Z","updated_at":"2025-01-01T00:00:00Z","characters":[{}],"episodes":[{}]}}"#,
        characters,
        people.join(","),
        episodes.join(",")
    )
}

#[test]
fn what_the_dramas_app_asks() {
    for asked in Asked::all(DRAMAS) {
        block_on(async {
            for (id, characters, scenes) in
                [("a", 3, &[1, 2][..]), ("b", 6, &[5]), ("c", 7, &[0, 4]), ("d", 0, &[])]
            {
                asked.put(&DocumentKey::new("dramas", id), drama(id, characters, scenes)).await;
            }
            let of = |collection: &str, filter: Filter| Query::of(Scope::of(collection)).filter(filter);
            for (filter, expected) in [
                (Filter::count("characters", Op::Gt, 5), "b c"),
                (Filter::count("characters", Op::Eq, 0), "d"),
                (Filter::count("episodes.scenes", Op::Gte, 4), "b c"),
                (Filter::eq("characters.name", "N6"), "c"),
                (!Filter::eq("characters.name", "N2"), "d"),
                (Filter::is("characters.name", Op::Ne, "N2"), "d"),
                (Filter::length("episodes.scenes.description", Op::Gt, 25), "b c"),
                (Filter::eq("characters.assets.kind", "image"), "a b c"),
                (Filter::eq("metadata.genre", "noir"), "a b c d"),
                (Filter::eq("genre", "noir"), "a b c d"),
                (Filter::is("metadata.stars", Op::Gt, 6), "b c"),
                (Filter::eq("metadata.stars", 6.5), "b"),
                (Filter::Null { field: "metadata.country".to_owned() }, "a b c d"),
                (
                    Filter::Holds {
                        list: "episodes".to_owned(),
                        filter: Box::new(Filter::count("scenes", Op::Gt, 3)),
                    },
                    "b c",
                ),
                (Filter::Like { field: "title".to_owned(), pattern: "T _".to_owned() }, "a b c d"),
                (Filter::Like { field: "title".to_owned(), pattern: "t %".to_owned() }, ""),
            ] {
                let ids = asked.counted(&of("dramas", filter.clone()), "id").await;
                assert_eq!(ids.join(" "), expected, "{} on {}", filter, asked.name);
            }
            // episodes longer than three scenes, with the drama that holds each
            let query = of("episodes", Filter::count("scenes", Op::Gt, 3)).expand("drama_id").sort("-title");
            let page = asked.store.query(&query).await.unwrap();
            let first: serde_json::Value = serde_json::from_slice(&page.items[0].body).unwrap();
            assert_eq!(page.items.len(), 2, "{}", asked.name);
            assert_eq!(
                (first["title"].as_str(), first["drama_id"]["title"].as_str()),
                (Some("E5"), Some("T b"))
            );
            assert_eq!(page.items[0].key, None);
            // a reference to rows of several tables
            let query = of("assets", Filter::eq("entity_type", "characters")).expand("entity_id").limit(1);
            let page = asked.store.query(&query).await.unwrap();
            let first: serde_json::Value = serde_json::from_slice(&page.items[0].body).unwrap();
            assert_eq!(first["entity_id"]["name"].as_str(), Some("N0"), "{}", asked.name);
            // whole documents are the bytes that were put
            let query = of("dramas", Filter::count("characters", Op::Gt, 5)).full().sort("-id");
            let page = asked.store.query(&query).await.unwrap();
            assert_eq!(page.items[0].body, drama("c", 7, &[0, 4]));
            let read = asked.store.require(&DocumentKey::new("dramas", "c")).await.unwrap();
            assert_eq!(page.items[0].etag, Some(read.etag));
            let stream = asked.store.stream(query.limit(1));
            let all: Vec<_> = stream.try_collect().await.unwrap();
            assert_eq!(all.len(), 2);

            let why = asked.store.explain(&of("dramas", Filter::eq("characters.name", "N6"))).await.unwrap();
            assert_eq!((why.unindexed.len(), why.reads_all), (0, false), "{why:?}");
            let why =
                asked.store.explain(&of("dramas", Filter::count("characters", Op::Gt, 5))).await.unwrap();
            assert_eq!((why.unindexed, why.reads_all), (vec!["count(characters) > 5".to_owned()], true));
            assert!(!why.plan.is_empty());
        });
    }
}

fn conversation(user: &str, at: usize) -> (DocumentKey, String) {
    let id = format!("{user}-{at:03}");
    let body = format!(
        r#"{{"id":"{id}","title":"C","created_at":"2025-01-01T00:{:02}:00Z","updated_at":"2025-01-01T00:00:00Z","messages":[{{"role":"user","content":"of {user}"}}]}}"#,
        at % 60
    );
    (DocumentKey::new("conversations", &id).in_tenant(user), body)
}

/// The 50 newest of a user; and nothing of another user, whatever is asked.
#[test]
fn a_tenant_sees_its_own() {
    for asked in Asked::all(COUNCIL) {
        block_on(async {
            for at in 0..70 {
                let (key, body) = conversation("anna", at);
                asked.put(&key, body).await;
            }
            for at in 0..5 {
                let (key, body) = conversation("bela", at);
                asked.put(&key, body).await;
            }
            let anna = Query::of(Scope::of("conversations").in_tenant("anna")).sort("-created_at");
            let ids = asked.column(&anna, "id").await;
            assert_eq!(ids.len(), 50, "{}", asked.name);
            assert_eq!((ids[0].as_str(), ids[49].as_str()), ("anna-059", "anna-010"), "{}", asked.name);
            let why = asked.store.explain(&anna).await.unwrap();
            assert_eq!((why.reads_all, why.unindexed.len()), (false, 0));
            if asked.name == "SQLite" {
                assert!(why.plan[0].contains("idx_conversations_user_created"), "{why:?}");
            }
            let bela = Query::of(Scope::of("conversations").in_tenant("bela")).sort("-created_at");
            assert_eq!(asked.column(&bela, "id").await.len(), 5);
            // a cursor of one is none of the other
            let cursor = asked.store.query(&anna).await.unwrap().next.unwrap();
            let error = asked.store.query(&bela.clone().after(cursor)).await.unwrap_err();
            assert_eq!((error.kind(), error.code()), (Kind::Invalid, "R0413"));
            // rows that documents hold
            let messages = Query::of(Scope::of("messages").in_tenant("bela"));
            assert_eq!(asked.column(&messages, "content").await, vec!["of bela"; 5]);
            let or = Filter::Any(vec![Filter::All(Vec::new()), Filter::eq("content", "of anna")]);
            assert_eq!(asked.column(&messages.clone().filter(or), "content").await.len(), 5);
            let page = asked.store.query(&messages.clone().expand("conversation_id").limit(1)).await.unwrap();
            assert!(String::from_utf8_lossy(&page.items[0].body).contains(r#""user_id":"bela""#));
            for (scope, code) in [
                (Scope::of("conversations"), "R0406"),
                (Scope::of("messages"), "R0406"),
                (Scope::of("nothing"), "R0402"),
            ] {
                assert_eq!(asked.store.query(&Query::of(scope)).await.unwrap_err().code(), code);
            }
            let nobody = Query::of(Scope::of("messages").in_tenant("' or true --"));
            assert_eq!(asked.store.query(&nobody).await.unwrap().items, []);
        });
    }
}

/// Jobs by status, media by external id; types and words are checked.
#[test]
fn what_the_media_app_asks() {
    for asked in Asked::all(MEDIA) {
        block_on(async {
            for id in 1..=6 {
                let status = ["queued", "running"][id % 2];
                let at = r#""created_at":"2025-01-01T00:00:00Z","updated_at":"2025-01-01T00:00:00Z""#;
                let media = format!(
                    r#"{{"id":{id},"type":"movie","service":"radarr","external_id":"x{id}","title":"M",{at}}}"#
                );
                asked.put(&DocumentKey::new("media", &id.to_string()), media).await;
                let job = format!(r#"{{"id":{id},"media_id":{id},"status":"{status}",{at}}}"#);
                asked.put(&DocumentKey::new("jobs", &id.to_string()), job).await;
            }
            let jobs = Query::of(Scope::of("jobs")).filter(Filter::eq("status", "queued")).sort("created_at");
            assert_eq!(asked.column(&jobs, "id").await, ["2", "4", "6"], "{}", asked.name);
            let by_id = Filter::All(vec![Filter::eq("service", "radarr"), Filter::eq("external_id", "x3")]);
            let media = Query::of(Scope::of("media")).filter(by_id);
            assert_eq!(asked.column(&media, "id").await, ["3"]);
            for query in [&jobs, &media] {
                let why = asked.store.explain(query).await.unwrap();
                assert_eq!((why.reads_all, why.unindexed.len()), (false, 0), "{why:?}");
            }
            let page = asked
                .store
                .query(&jobs.clone().expand("media_id").fields("media_id,id").limit(1))
                .await
                .unwrap();
            let body = String::from_utf8_lossy(&page.items[0].body).into_owned();
            assert!(
                body.starts_with(r#"{"media_id":{"id":2,"type":"movie""#) && body.ends_with(r#"},"id":2}"#),
                "{body}"
            );
            assert_eq!(page.items[0].key, Some(DocumentKey::new("jobs", "2")));
            for wrong in [
                Filter::eq("state", "queued"),
                Filter::eq("status", "waiting"),
                Filter::eq("id", "one"),
                Filter::eq("id", 1.5),
                Filter::is("created_at", Op::Gt, "yesterday"),
                Filter::is("error", Op::Gt, QueryValue::Null),
                Filter::eq("error", "\0"),
                Filter::eq("error.inside", "x"),
                Filter::count("characters", Op::Gt, 5),
                Filter::length("id", Op::Gt, 5),
                Filter::Like { field: "error".to_owned(), pattern: "a\\".to_owned() },
                Filter::eq("'error", "x"),
                Filter::eq("error\" or 1=1 --", "x"),
                (0..40).fold(Filter::eq("id", 1), |inner, _| !inner),
                Filter::Any(vec![Filter::eq("id", 1); 300]),
            ] {
                let error =
                    asked.store.query(&Query::of(Scope::of("jobs")).filter(wrong.clone())).await.unwrap_err();
                assert_eq!((error.kind(), error.code()), (Kind::Invalid, "R0412"), "{wrong}");
            }
            let of = || Query::of(Scope::of("jobs"));
            for wrong in [
                of().limit(0),
                of().limit(1_001),
                of().sort("nothing"),
                of().fields("x"),
                of().expand("id"),
                of().full().fields("id"),
            ] {
                assert_eq!(asked.store.query(&wrong).await.unwrap_err().code(), "R0412", "{wrong:?}");
            }
        });
    }
}

#[test]
fn a_store_without_tables_says_so() {
    let (model, plan) = compiled(MEDIA);
    let layout = Layout::new(model, plan, repot_json::Limits::default()).unwrap();
    let store = BucketStore::new(Arc::new(MemoryObjects::default()), layout, 1 << 20);
    assert!(!store.capabilities().queries);
    let error = block_on(store.query(&Query::of(Scope::of("jobs")))).unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Unsupported, "R0405"));
}

/// Any change of a cursor, and any other query, is refused; the order of a query decides whose cursor it is.
#[test]
fn a_cursor_goes_on_with_its_query_alone() {
    for asked in Asked::all(MARKS) {
        block_on(async {
            for id in 0..4 {
                asked.put(&DocumentKey::new("marks", &id.to_string()), mark(id, "x", None)).await;
            }
            let query = Query::of(Scope::of("marks")).sort("-word").limit(2);
            let cursor = asked.store.query(&query).await.unwrap().next.unwrap();
            let next = asked.store.query(&query.clone().limit(9).after(cursor.clone())).await.unwrap();
            assert_eq!((next.items.len(), next.next), (2, None));
            let text = cursor.as_str();
            for at in 0..text.len() {
                let other = if text.as_bytes()[at] == b'0' { '1' } else { '0' };
                let changed: String = text
                    .chars()
                    .enumerate()
                    .map(|(place, same)| if place == at { other } else { same })
                    .collect();
                let error = asked.store.query(&query.clone().after(Cursor::new(changed))).await.unwrap_err();
                assert_eq!(error.code(), "R0413");
            }
            for wrong in [
                query.clone().after(Cursor::new("zz".to_owned())),
                query.clone().after(Cursor::new("é".to_owned())),
                query.clone().sort("word").after(cursor.clone()),
                query.clone().filter(Filter::eq("word", "x")).after(cursor.clone()),
            ] {
                assert_eq!(asked.store.query(&wrong).await.unwrap_err().code(), "R0413");
            }
            let both = query.offset(1).after(cursor);
            assert_eq!(asked.store.query(&both).await.unwrap_err().code(), "R0412");
        });
    }
}

const MARKS: &str = r#"
[repot]
source = "./data"

[marks]
file  = "marks/{id}.json"
index = ["word, at desc"]

[marks.fields]
id   = "int key"
word = "text?"
at   = "time?"
more = "json?"
"#;

fn mark(id: usize, word: &str, minute: Option<usize>) -> String {
    let at = minute.map_or("null".to_owned(), |minute| format!(r#""2025-01-01T00:{minute:02}:00Z""#));
    format!(r#"{{"id":{id},"word":"{word}","at":{at}}}"#)
}

/// Between pages rows come before and behind, the row where a page ended goes, and SQL spells times in its own way:
/// what was there all the time comes exactly once.
#[test]
fn pages_hold_while_others_write() {
    for asked in Asked::all(MARKS) {
        for sort in ["at", "-at", "word,-at", "-word,at", ""] {
            block_on(async {
                let key = |id: usize| DocumentKey::new("marks", &id.to_string());
                for id in 0..20 {
                    let minute = (id % 4 != 0).then_some(id % 7);
                    asked.put(&key(id), mark(id, ["a", "B", "ä"][id % 3], minute)).await;
                }
                asked.sql("update marks set at = '2025-01-01 00:03:00' where id in (5, 6, 7)");
                let mut query = Query::of(Scope::of("marks")).sort(sort).limit(4);
                let mut seen: Vec<usize> = Vec::new();
                let (mut gone, mut round) = (Vec::new(), 0);
                loop {
                    let page = asked.store.query(&query).await.unwrap();
                    let ids: Vec<usize> = page
                        .items
                        .iter()
                        .map(|item| item.key.as_ref().unwrap().text().parse().unwrap())
                        .collect();
                    seen.extend(&ids);
                    let Some(next) = page.next else { break };
                    query = query.after(next);
                    // the row that the cursor names goes; others come on both sides
                    let last = *ids.last().unwrap();
                    asked.store.delete(&key(last), Precondition::Any).await.unwrap();
                    gone.push(last);
                    for word in ["", "a", "zz"] {
                        asked.put(&key(100 + round), mark(100 + round, word, Some(round % 9))).await;
                        round += 1;
                    }
                    if round > 60 {
                        break;
                    }
                }
                for id in 0..20 {
                    let times = seen.iter().filter(|one| **one == id).count();
                    assert_eq!(times, 1, "{id} with {sort:?} on {}: {seen:?}", asked.name);
                }
                for id in (0..20).chain(100..100 + round) {
                    asked.store.delete(&key(id), Precondition::Any).await.unwrap();
                }
            });
        }
    }
}

/// Documents that one of the two databases would not read: each condition holds or not, the same on both, and no
/// query fails because of one row.
#[test]
fn awkward_json_is_the_same_on_both() {
    let texts = [
        r#"{"n":1e400,"k":"a"}"#,
        r#"{"n":1e99999,"k":"a"}"#,
        r#"{"n":1.0,"k":"\u0000"}"#,
        r#"{"n":1.0,"k":"\ud83d"}"#,
        r#"{"n":1.00,"k":"\ud83d\ude00"}"#,
        r#"{"n":2,"n":1,"k":"\\u0000"}"#,
        r#"{"n":"1","k":true}"#,
        r#"{"n":{"x":[0,{"y":"z"}]}}"#,
        "[1,2]",
        "\"n\"",
        "12345678901234567890123456789.5",
    ];
    for asked in Asked::all(MARKS) {
        block_on(async {
            for (id, text) in texts.iter().enumerate() {
                let body = format!(r#"{{"id":{id},"more":{text}}}"#);
                asked.put(&DocumentKey::new("marks", &id.to_string()), body).await;
            }
            for (filter, expected) in [
                (Filter::eq("more.n", 1), "4 5"),
                (Filter::is("more.n", Op::Gt, 1), "0"),
                (Filter::eq("more.n", "1"), "6"),
                (Filter::eq("more.k", "\u{1f600}"), "4"),
                (Filter::eq("more.k", "\\u0000"), "5"),
                (Filter::eq("more.k", true), "6"),
                (Filter::eq("more.n.x.1.y", "z"), "7"),
                (Filter::eq("more.0", 1), "8"),
                (Filter::eq("more.-1", 2), "8"),
                (Filter::Null { field: "more.n".to_owned() }, "2 3 8 9 10"),
                (!Filter::Null { field: "more.k".to_owned() }, "0 1 4 5 6"),
                (
                    Filter::In {
                        field: "more.n".to_owned(),
                        values: vec![1.into(), "1".into(), QueryValue::Null],
                    },
                    "2 3 4 5 6 8 9 10",
                ),
            ] {
                let ids = asked
                    .column(&Query::of(Scope::of("marks")).filter(filter.clone()).fields("id"), "id")
                    .await;
                assert_eq!(ids.join(" "), expected, "{} on {}", filter, asked.name);
            }
            // and what comes out is JSON, the value's own text in it
            let page = asked.store.query(&Query::of(Scope::of("marks")).fields("more")).await.unwrap();
            for (item, text) in page.items.iter().zip(texts) {
                assert_eq!(item.body, format!(r#"{{"more":{text}}}"#));
            }
        });
    }
}

const CARDS: &str = r#"
[repot]
source = "./data"

[cards]
file   = "{owner}/{id}.json"
tenant = "owner"

[cards.fields]
id    = "text key"
owner = "text"
next  = "-> cards?"
"#;

/// A reference to another tenant's row is not followed.
#[test]
fn a_reference_does_not_lead_to_another_tenant() {
    for asked in Asked::all(CARDS) {
        block_on(async {
            for (id, owner, next) in
                [("a", "u", "null"), ("b", "v", "null"), ("c", "u", "\"b\""), ("d", "u", "\"a\"")]
            {
                let body = format!(r#"{{"id":"{id}","owner":"{owner}","next":{next}}}"#);
                asked.put(&DocumentKey::new("cards", id).in_tenant(owner), body).await;
            }
            let query = Query::of(Scope::of("cards").in_tenant("u")).expand("next");
            let page = asked.store.query(&query).await.unwrap();
            let bodies: Vec<_> = page.items.iter().map(|item| String::from_utf8_lossy(&item.body)).collect();
            assert_eq!(
                bodies,
                [
                    r#"{"id":"a","owner":"u","next":null}"#,
                    r#"{"id":"c","owner":"u","next":"b"}"#,
                    r#"{"id":"d","owner":"u","next":{"id":"a","owner":"u","next":null}}"#,
                ],
                "{}",
                asked.name
            );
        });
    }
}
