//! The record of changes: who, when, old and new; what plain SQL did; taking changes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use repot_core::store::{
    BucketStore, Change, DocumentKey, EntryId, Event, History, HistoryEntry, HistoryQuery, Layout,
    MemoryObjects, Moment, Pointer, Precondition, Scope, Store, StoreExt as _, UnitOfWork, Write, Written,
};
use repot_core::{Clock, Kind};
use repot_engine::store::RowStore;
use repot_model::language::{Model, parse};
use repot_model::plan::Plan;

use crate::documents::{Database, OwnModel, block_on, proof_of};

const MODEL: &str = r#"
[repot]
source = "./data"

[dramas]
file  = "dramas/{id}.json"
audit = "1y"

[dramas.fields]
id     = "text key"
title  = "text?"
status = "draft | live = draft"
blob   = "bytes?"

[dramas.transitions.status]
draft = ["live"]
live  = []

[scenes]
in = "dramas.scenes[]"

[scenes.fields]
id       = "text key"
drama_id = "-> dramas cascade auto"
order    = "position"
title    = "text?"

[lines]
in = "scenes.lines[]"

[lines.fields]
scene_id = "-> scenes cascade auto"
order    = "position"
words    = "text"

[chats]
file   = "chats/{user_id}/{id}.json"
tenant = "user_id"
audit  = "30d"

[chats.fields]
id      = "text key"
user_id = "text"
title   = "text?"

[jobs]
file = "jobs/{id}.json"

[jobs.fields]
id     = "text key"
status = "queued | running | done = queued"

[jobs.transitions.status]
queued  = ["running"]
running = ["done"]
done    = []

[notes]
file = "notes/{id}.json"

[notes.fields]
id = "text key"
"#;

fn model() -> (Arc<Model>, Arc<Plan>, &'static str) {
    let model = parse(MODEL, "repot.toml", &|_| None).unwrap();
    let plan = Plan::compile(&model).unwrap();
    (Arc::new(model), Arc::new(plan), MODEL)
}

/// A clock that the test sets.
#[derive(Debug)]
pub(crate) struct Hand(pub(crate) AtomicI64);

impl Clock for Hand {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

pub(crate) const DAY_MS: i64 = 86_400_000;
const BEGIN_MS: i64 = 1_700_000_000_000;

pub(crate) fn open(database: &Database) -> (RowStore, Arc<Hand>) {
    open_as(database, model())
}

/// The same, of a model of the test's own.
pub(crate) fn open_as(database: &Database, model: OwnModel<'_>) -> (RowStore, Arc<Hand>) {
    let clock = Arc::new(Hand(AtomicI64::new(BEGIN_MS)));
    let mut options = Database::options();
    options.clock = Arc::<Hand>::clone(&clock);
    (RowStore::open(database.target(), model, options).unwrap(), clock)
}

pub(crate) fn drama() -> DocumentKey {
    DocumentKey::new("dramas", "a")
}

pub(crate) async fn put(
    store: &RowStore,
    key: &DocumentKey,
    body: &'static str,
    actor: &str,
) -> repot_core::Result<Written> {
    let write = Write::Put { key: key.clone(), body: body.into(), when: Precondition::Any };
    Ok(store.apply(UnitOfWork::default().with(write).by(actor)).await?.written.remove(0))
}

pub(crate) async fn all(store: &RowStore, query: HistoryQuery) -> Vec<HistoryEntry> {
    let (mut query, mut found) = (query, Vec::new());
    loop {
        // pages of an odd size, so that they end everywhere
        let page = store.history(&query, 3).await.unwrap();
        found.extend(page.entries);
        match page.next {
            Some(next) => query.before = Some(next),
            None => return found,
        }
    }
}

/// One line for each entry.
pub(crate) fn shown(entries: &[HistoryEntry]) -> Vec<String> {
    let text = |text: &Option<bytes::Bytes>| {
        text.as_ref().map_or("-".to_owned(), |text| String::from_utf8_lossy(text).into_owned())
    };
    let line = |entry: &HistoryEntry| {
        let what = match &entry.event {
            Event::Put { version, changes, .. } => {
                let changes: Vec<String> = changes
                    .iter()
                    .map(|change| format!(" {}: {} -> {}", change.at, text(&change.old), text(&change.new)))
                    .collect();
                format!("put {version}{}", changes.join(";"))
            }
            Event::Deleted { .. } => "deleted".to_owned(),
            Event::Restored { version, .. } => format!("restored {version}"),
            Event::Purged => "purged".to_owned(),
            Event::Row { table, was, became } => {
                format!("{table} {} -> {}", was.as_deref().unwrap_or("-"), became.as_deref().unwrap_or("-"))
            }
            Event::State { table, row, field, was, became, by_sql } => {
                let (was, became) = (was.as_deref().unwrap_or("-"), became.as_deref().unwrap_or("-"));
                format!("{table}/{row}.{field} {was} -> {became}{}", if *by_sql { " by SQL" } else { "" })
            }
        };
        format!("{} {what}", entry.actor.as_deref().unwrap_or("-"))
    };
    entries.iter().map(line).collect()
}

pub(crate) fn text(body: Option<bytes::Bytes>) -> String {
    body.map_or("-".to_owned(), |body| String::from_utf8_lossy(&body).into_owned())
}

#[test]
fn who_changed_what() {
    for database in Database::all() {
        let (store, clock) = open(&database);
        block_on(async {
            let first = r#"{"id": "a", "title": "one", "status": "draft",  "scenes": [{"id": "s"}]}"#;
            let second =
                r#"{"id": "a", "title": "two", "status": "live",  "scenes": [{"id": "s"}, {"id": "t"}]}"#;
            put(&store, &drama(), first, "anna").await.unwrap();
            clock.0.fetch_add(1_000, Ordering::SeqCst);
            put(&store, &drama(), second, "ben").await.unwrap();
            // the same text is no change
            put(&store, &drama(), second, "ben").await.unwrap();
            clock.0.fetch_add(1_000, Ordering::SeqCst);
            store.delete(&drama(), Precondition::Any).await.unwrap();
            let entries = all(&store, HistoryQuery::of_document(&drama())).await;
            assert_eq!(
                shown(&entries),
                [
                    "- deleted".to_owned(),
                    r#"ben put 2 /title: "one" -> "two"; /status: "draft" -> "live"; /scenes/1: - -> {"id": "t"}"#.to_owned(),
                    "ben dramas/a.status draft -> live".to_owned(),
                    format!("anna put 1 : - -> {first}"),
                ]
            );
            assert_eq!(entries[1].at_ms, BEGIN_MS + 1_000);
            assert_eq!(entries[0].key, Some(drama()));
            let of = |query: HistoryQuery| {
                let store = &store;
                async move { shown(&all(store, query).await).len() }
            };
            let everything = HistoryQuery::of(Scope::of("dramas"));
            assert_eq!(of(everything.clone().by("anna")).await, 1);
            assert_eq!(of(everything.clone().at(Pointer::parse("/scenes/1/id").unwrap())).await, 3);
            assert_eq!(of(everything.clone().at(Pointer::parse("/scenes/0").unwrap())).await, 2);
            assert_eq!(of(HistoryQuery { from_ms: Some(BEGIN_MS + 1_000), ..everything.clone() }).await, 3);
            assert_eq!(of(HistoryQuery { until_ms: Some(BEGIN_MS + 1_000), ..everything }).await, 1);
            assert_eq!(of(HistoryQuery::of_document(&DocumentKey::new("dramas", "b"))).await, 0);
            for (moment, expected) in [
                (Moment::Version(1), first),
                (Moment::Version(2), second),
                (Moment::After(entries[3].id), first),
                (Moment::After(entries[0].id), "-"),
                (Moment::Time(BEGIN_MS - 1), "-"),
                (Moment::Time(BEGIN_MS), first),
                (Moment::Time(BEGIN_MS + 1_999), second),
                (Moment::Time(i64::MAX), "-"),
            ] {
                assert_eq!(text(store.text_at(&drama(), moment).await.unwrap()), expected, "{moment:?}");
            }
            for moment in [Moment::Version(3), Moment::After(EntryId(i64::MAX)), Moment::After(entries[2].id)]
            {
                assert_eq!(store.text_at(&drama(), moment).await.unwrap_err().code(), "R0402", "{moment:?}");
            }
            let error = store.history(&HistoryQuery::of(Scope::of("notes")), 1).await.unwrap_err();
            assert_eq!((error.kind(), error.code()), (Kind::Unsupported, "R0405"));
            assert_eq!(
                store.history(&HistoryQuery::of(Scope::of("nope")), 1).await.unwrap_err().code(),
                "R0402"
            );
        });
        let answer = database.ask("select actor, changes from repot_audit where kind = 0 and actor = 'ben'");
        assert!(
            answer.is_empty() || answer.contains(r#"{"at":"/title","old":"one","new":"two"}"#),
            "{answer}"
        );
    }
}

/// What is not done is not on record, and what is done together is.
#[test]
fn a_unit_that_fails_leaves_nothing_on_record() {
    for database in Database::all() {
        let (store, _) = open(&database);
        block_on(async {
            put(&store, &drama(), r#"{"id": "a", "status": "live", "scenes": [{"id": "s"}]}"#, "anna")
                .await
                .unwrap();
            let before = all(&store, HistoryQuery::of(Scope::of("dramas"))).await;
            let write = |id: &str, body: &'static str| Write::Put {
                key: DocumentKey::new("dramas", id),
                body: body.into(),
                when: Precondition::Any,
            };
            for (second, code) in [
                (write("a", r#"{"id": "a", "status": "draft"}"#), "R0410"),
                // a key that another document has
                (write("c", r#"{"id": "c", "scenes": [{"id": "s"}]}"#), "R0203"),
            ] {
                let unit = UnitOfWork::default().with(write("b", r#"{"id": "b"}"#)).with(second).by("ben");
                assert_eq!(store.apply(unit).await.unwrap_err().code(), code);
            }
            assert_eq!(all(&store, HistoryQuery::of(Scope::of("dramas"))).await, before);
            let unit = UnitOfWork::default()
                .with(write("b", r#"{"id": "b"}"#))
                .with(write("a", r#"{"id": "a", "status": "live"}"#))
                .by("ben");
            store.apply(unit).await.unwrap();
            assert_eq!(all(&store, HistoryQuery::of(Scope::of("dramas")).by("ben")).await.len(), 2);
        });
    }
}

#[test]
fn a_change_is_taken_back() {
    for database in Database::all() {
        let (store, _) = open(&database);
        block_on(async {
            let key = drama();
            let texts = [
                r#"{"id": "a",  "title": "one", "scenes": [{"id": "s", "title": "x"}], "more": 1.10, "status": "draft"}"#,
                r#"{"id": "a",  "title": "two", "scenes": [{"id": "s", "title": "y"}], "more": 1.10, "status": "draft"}"#,
                r#"{"id": "a",  "title": "two", "scenes": [{"id": "s", "title": "y"}], "more": 2, "status": "draft"}"#,
            ];
            for text in texts {
                put(&store, &key, text, "anna").await.unwrap();
            }
            let entries = all(&store, HistoryQuery::of_document(&key)).await;
            let revert = |entry: &HistoryEntry, when: Precondition| {
                let (store, key, id) = (&store, &key, entry.id);
                async move { store.revert(key, id, (Some("rita"), when)).await }
            };
            // what was changed since stays
            revert(&entries[1], Precondition::Any).await.unwrap();
            let there = store.require(&key).await.unwrap();
            assert_eq!(
                there.body,
                r#"{"id": "a",  "title": "one", "scenes": [{"id": "s", "title": "x"}], "more": 2, "status": "draft"}"#
            );
            let newest = all(&store, HistoryQuery::of_document(&key)).await.remove(0);
            assert_eq!(
                shown(std::slice::from_ref(&newest)),
                [r#"rita put 4 /title: "two" -> "one"; /scenes/0/title: "y" -> "x""#]
            );
            // taking that back gives the very bytes
            revert(&newest, Precondition::Matches(there.etag.clone())).await.unwrap();
            assert_eq!(store.require(&key).await.unwrap().body, texts[2]);
            let error = revert(&newest, Precondition::Matches(there.etag)).await.unwrap_err();
            assert_eq!(error.code(), "R0401");
            // another one changed the same place
            put(&store, &key, r#"{"id": "a", "title": "three"}"#, "ben").await.unwrap();
            let error = revert(&entries[1], Precondition::Any).await.unwrap_err();
            assert_eq!((error.kind(), error.code()), (Kind::Conflict, "R0414"));
            assert!(error.details().contains(&"place: /title".to_owned()), "{error:?}");
            // the creation is not taken back when others wrote since
            assert_eq!(revert(&entries[2], Precondition::Any).await.unwrap_err().code(), "R0401");
            store.delete(&key, Precondition::Any).await.unwrap();
            let gone = all(&store, HistoryQuery::of_document(&key)).await.remove(0);
            assert_eq!(revert(&entries[1], Precondition::Any).await.unwrap_err().code(), "R0402");
            revert(&gone, Precondition::Any).await.unwrap();
            assert!(store.require(&key).await.unwrap().body.starts_with(br#"{"id": "a", "title": "three""#));
            assert_eq!(revert(&gone, Precondition::Any).await.unwrap_err().code(), "R0401");
            let made = all(&store, HistoryQuery::of_document(&key)).await.remove(0);
            assert_eq!(revert(&made, Precondition::Any).await.unwrap(), Written::Deleted);
            assert_eq!(revert(&made, Precondition::Any).await.unwrap_err().code(), "R0401");
            assert_eq!(
                store.revert(&key, EntryId(12_345), (None, Precondition::Any)).await.unwrap_err().code(),
                "R0402"
            );
            // rules hold for what is taken back
            put(&store, &key, r#"{"id": "a", "status": "draft"}"#, "anna").await.unwrap();
            put(&store, &key, r#"{"id": "a", "status": "live"}"#, "anna").await.unwrap();
            let entries = all(&store, HistoryQuery::of_document(&key)).await;
            assert_eq!(revert(&entries[0], Precondition::Any).await.unwrap_err().code(), "R0410");
            assert_eq!(revert(&entries[1], Precondition::Any).await.unwrap_err().code(), "R0405");
        });
        drop(store);
        let proof = proof_of(&database, model());
        assert!(proof.holds(), "{:?}", proof.differences);
    }
}

/// A tenant sees its own record only, and SQL that hands a document over shows neither the other's state.
#[test]
fn a_tenant_sees_its_own_record() {
    for database in Database::all() {
        let (store, _) = open(&database);
        let chat = |id: &str, user: &str| DocumentKey::new("chats", id).in_tenant(user);
        let of = |user: &str| {
            let scope = Scope::of("chats").in_tenant(user);
            shown(&block_on(all(&store, HistoryQuery::of(scope))))
        };
        block_on(async {
            put(&store, &chat("c", "u1"), r#"{"id": "c", "user_id": "u1", "title": "secret"}"#, "anna")
                .await
                .unwrap();
            put(&store, &chat("d", "u2"), r#"{"id": "d", "user_id": "u2"}"#, "ben").await.unwrap();
            assert_eq!(
                store.history(&HistoryQuery::of(Scope::of("chats")), 9).await.unwrap_err().code(),
                "R0406"
            );
            let entry = all(&store, HistoryQuery::of_document(&chat("c", "u1"))).await.remove(0);
            let foreign = chat("c", "u2");
            assert_eq!(store.text_at(&foreign, Moment::After(entry.id)).await.unwrap_err().code(), "R0402");
            assert_eq!(store.text_at(&foreign, Moment::Version(1)).await.unwrap_err().code(), "R0402");
            let error = store.revert(&foreign, entry.id, (None, Precondition::Any)).await.unwrap_err();
            assert_eq!(error.code(), "R0402");
        });
        assert_eq!((of("u1").len(), of("u2").len(), of("u3").len()), (1, 1, 0));
        database.sql("update chats set title = 'x' where id = 'c'");
        database.sql("update chats set user_id = 'u2', title = 'y' where id = 'c'");
        assert_eq!((of("u1").len(), of("u2").len()), (3, 2));
        assert!(
            of("u2").iter().all(|line| !line.contains("secret") && !line.contains("\"x\"")),
            "{:?}",
            of("u2")
        );
        assert!(of("u1").iter().all(|line| !line.contains("\"y\"")), "{:?}", of("u1"));
    }
}

#[test]
fn what_is_too_old_goes() {
    for database in Database::all() {
        let (store, clock) = open(&database);
        let key = |id: &str| DocumentKey::new("chats", id).in_tenant("u");
        let write = |id: &str, title: usize| {
            let body = format!(r#"{{"id": "{id}", "user_id": "u", "title": "{title}"}}"#);
            Write::Put { key: key(id), body: body.into(), when: Precondition::Any }
        };
        let once = |id: &str, title: usize| {
            block_on(store.apply(UnitOfWork::default().with(write(id, title)))).unwrap();
        };
        let left = || block_on(all(&store, HistoryQuery::of(Scope::of("chats").in_tenant("u"))));
        let many = (0..149).map(|number| write(&format!("old{number}"), number)).collect();
        block_on(store.apply(UnitOfWork { writes: many, ..UnitOfWork::default() })).unwrap();
        once("c", 1);
        assert_eq!(left().len(), 150);
        clock.0.fetch_add(30 * DAY_MS, Ordering::SeqCst);
        once("c", 2);
        assert_eq!(left().len(), 151, "not older than 30 days");
        clock.0.fetch_add(1, Ordering::SeqCst);
        once("c", 3);
        let some = left();
        assert_eq!(some.len(), 52, "a write removes some");
        assert_eq!(some[0].at_ms, BEGIN_MS + 30 * DAY_MS + 1);
        block_on(store.prune_history()).unwrap();
        assert_eq!(left().len(), 2);
        let time = BEGIN_MS + 30 * DAY_MS - 1;
        let before = block_on(store.text_at(&key("c"), Moment::Time(time))).unwrap();
        assert_eq!(text(before), r#"{"id": "c", "user_id": "u", "title": "1"}"#);
        let error = block_on(store.text_at(&key("old7"), Moment::Time(time))).unwrap_err();
        assert_eq!(error.code(), "R0402");
        // nothing but the record is touched
        let there = block_on(store.require(&key("c"))).unwrap().body;
        assert_eq!(there, r#"{"id": "c", "user_id": "u", "title": "3"}"#);
    }
}

/// Each acknowledged write is on record once, and each begins with what the one before left.
#[test]
fn many_writers_make_one_chain() {
    const WRITERS: usize = 8;
    const WRITES: usize = 25;
    for database in Database::all() {
        let (store, _) = open(&database);
        block_on(store.put(&drama(), r#"{"id": "a", "marks": []}"#)).unwrap();
        let store = Arc::new(store);
        block_on(async {
            let writers = (0..WRITERS).map(|writer| {
                let store = Arc::clone(&store);
                tokio::spawn(async move {
                    for number in 0..WRITES {
                        let change = Change::Append {
                            list: Pointer::parse("/marks").unwrap(),
                            element: format!("{}", writer * 1_000 + number).into(),
                        };
                        let write = Write::Patch { key: drama(), change, when: Precondition::Any };
                        let unit = UnitOfWork::default().with(write).by(&format!("w{writer}"));
                        store.apply(unit).await.unwrap();
                    }
                })
            });
            for writer in writers.collect::<Vec<_>>() {
                writer.await.unwrap();
            }
            let entries = all(&store, HistoryQuery::of_document(&drama())).await;
            assert_eq!(entries.len(), WRITERS * WRITES + 1);
            let mut there = Some(store.require(&drama()).await.unwrap().etag);
            for entry in &entries {
                let Event::Put { before, etag, changes, .. } = &entry.event else {
                    unreachable!("{entry:?}")
                };
                assert_eq!(there.as_ref(), Some(etag));
                assert!(before.is_none() || changes.len() == 1, "{changes:?}");
                there.clone_from(before);
            }
            assert_eq!(all(&store, HistoryQuery::of_document(&drama()).by("w3")).await.len(), WRITES);
        });
    }
}

/// Texts of every kind come back from the record as they were: large ones, bodies that are no JSON values alone.
#[test]
fn texts_on_record_are_exact() {
    for database in Database::all() {
        let (store, _) = open(&database);
        let body = |words: &str, tail: &str| {
            format!("{{\"id\": \"a\",\n \"x\": \"{words}\",{tail}\"status\":\"draft\"}}")
        };
        let long = (0..60_000).map(|number| format!("{} ", number * 7)).collect::<String>();
        let bodies = [
            body(&long, ""),
            body(&long, " \"é\": 1.10, "),
            body("", "  "),
            body(&format!("{long}{long}"), ""),
            body(&long, ""),
        ];
        block_on(async {
            for body in &bodies {
                store.put(&drama(), body.clone()).await.unwrap();
            }
            for (number, body) in bodies.iter().enumerate() {
                let version = i64::try_from(number + 1).unwrap();
                let read = store.text_at(&drama(), Moment::Version(version)).await.unwrap();
                assert!(read.as_deref() == Some(body.as_bytes()), "{version}");
            }
        });
    }
}

#[test]
fn stores_without_a_record_refuse() {
    let (model, plan, _) = model();
    let layout = Layout::new(model, plan, repot_json::Limits::default()).unwrap();
    let store = BucketStore::new(Arc::new(MemoryObjects::default()), layout, 1 << 20);
    assert!(!store.capabilities().audit && store.record().is_none());
    block_on(async {
        let unit = |key: DocumentKey, body: &'static str| {
            UnitOfWork::default().with(Write::Put { key, body: body.into(), when: Precondition::Any })
        };
        let error = store.apply(unit(drama(), r#"{"id": "a"}"#).by("anna")).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Unsupported, "R0405"));
        assert_eq!(store.get(&drama()).await.unwrap(), None);
        store.apply(unit(drama(), r#"{"id": "a"}"#)).await.unwrap();
        // nothing of these is on record anywhere
        store.apply(unit(DocumentKey::new("notes", "n"), r#"{"id": "n"}"#).by("anna")).await.unwrap();
    });
}

/// `audit` that comes into a model, or goes, is in force when the database is opened with it.
#[test]
fn the_record_follows_the_model() {
    for database in Database::all() {
        let other = MODEL.replace("audit = \"1y\"", "").replace("audit  = \"30d\"", "");
        let without = || {
            let model = parse(&other, "repot.toml", &|_| None).unwrap();
            let plan = Plan::compile(&model).unwrap();
            (Arc::new(model), Arc::new(plan))
        };
        let (model, plan) = without();
        let store = RowStore::open(database.target(), (model, plan, &other), Database::options()).unwrap();
        block_on(store.put(&drama(), r#"{"id": "a"}"#)).unwrap();
        database.sql("update dramas set title = 'x'");
        drop(store);
        let (store, _) = open(&database);
        assert!(block_on(all(&store, HistoryQuery::of_document(&drama()))).is_empty());
        database.sql("update dramas set title = 'y'");
        assert_eq!(block_on(all(&store, HistoryQuery::of_document(&drama()))).len(), 1);
        drop(store);
        let (model, plan) = without();
        drop(RowStore::open(database.target(), (model, plan, &other), Database::options()).unwrap());
        database.sql("update dramas set title = 'z'");
        let (store, _) = open(&database);
        assert_eq!(block_on(all(&store, HistoryQuery::of_document(&drama()))).len(), 1);
    }
}
