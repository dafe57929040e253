//! Parts of documents that are changed without their texts: read as if the text had been changed, proved, folded, refused
//! like any other change, and small.

use std::sync::Arc;

use repot_core::moving::CopyInto as _;
use repot_core::store::{
    BucketStore, Change, DocumentKey, Layout, MemoryObjects, Pointer, Precondition, Store, StoreExt as _,
    UnitOfWork, Write,
};
use repot_core::{Clock, FixedClock, Kind};
use repot_engine::store::{RowStore, RowStoreOptions};
use repot_engine::verify::{self, Verify};
use repot_engine::{NoProgress, Options};
use repot_model::language::{Model, parse};
use repot_model::plan::Plan;
use repot_testkit::HandClock;

use crate::documents::{Database, block_on};

const MODEL: &str = r#"
[repot]
source = "./data"

[chats]
file   = "chats/{user}/{id}.json"
tenant = "user"
search = ["title"]

[chats.fields]
id         = "text key"
user       = "text"
title      = "text(40) = New"
stars      = "int?"
price      = "decimal? from meta.price"
mood       = "calm | loud?"
more       = "json?"
code       = "text? unique"
updated_at = "time = now on write"
seen_at    = "time?"

[messages]
in = "chats.messages[]"

[messages.fields]
id      = "int key auto"
chat_id = "-> chats cascade auto"
order   = "position"
text    = "text(60)?"
at      = "time = now"

[voices]
in = "chats.voices{name}"

[voices.fields]
id         = "int key auto"
chat_id    = "-> chats cascade auto"
name       = "text"
pitch      = "float?"
changed_at = "time = now on write"

[lines]
in = "voices.lines[]"

[lines.fields]
words    = "text key"
voice_id = "-> voices cascade auto"
order    = "position"
"#;

/// 2023-11-14T22:13:20.123Z
const NOW_MS: i64 = 1_700_000_000_123;

fn own() -> (Arc<Model>, Arc<Plan>) {
    compiled(MODEL)
}

fn compiled(text: &str) -> (Arc<Model>, Arc<Plan>) {
    let model = parse(text, "repot.toml", &|_| None).unwrap();
    let plan = Plan::compile(&model).unwrap();
    (Arc::new(model), Arc::new(plan))
}

fn open(database: &Database) -> RowStore {
    let (model, plan) = own();
    let mut options = Database::options();
    options.clock = Arc::new(FixedClock(NOW_MS)) as Arc<dyn Clock>;
    RowStore::open(database.target(), (model, plan, MODEL), options).unwrap()
}

fn open_at(database: &Database, clock: Arc<dyn Clock>) -> RowStore {
    let (model, plan) = own();
    // with one writer calls come in their order
    let options = RowStoreOptions { clock, writers: 1, ..Database::options() };
    RowStore::open(database.target(), (model, plan, MODEL), options).unwrap()
}

fn memory(clock: Arc<dyn Clock>) -> BucketStore {
    let (model, plan) = own();
    let layout = Layout::new(model, plan, repot_json::Limits::default()).unwrap();
    BucketStore::new(Arc::new(MemoryObjects::new()), layout, 1 << 20).with_clock(clock)
}

fn prove(database: &Database) {
    let (model, plan) = own();
    let options = Options::default();
    let verify = Verify { model: &model, plan: &plan, options: &options, progress: &NoProgress, seed: 3 };
    let proof = verify.run(database.target().as_ref(), verify::Scope::Everything).unwrap();
    assert!(proof.holds(), "{:?}", proof.differences);
}

fn chat() -> DocumentKey {
    DocumentKey::new("chats", "c").in_tenant("u")
}

fn at(pointer: &str) -> Pointer {
    Pointer::parse(pointer).unwrap()
}

async fn patch(store: &dyn Store, change: Change) -> repot_core::Result<repot_core::store::ETag> {
    store.change(&chat(), change, Precondition::Any).await
}

fn set(pointer: &str, value: &str) -> Change {
    Change::Set { at: at(pointer), value: value.to_owned().into() }
}

fn append(list: &str, element: &str) -> Change {
    Change::Append { list: at(list), element: element.to_owned().into() }
}

/// How many changes are kept beside texts.
fn kept(database: &Database) -> i64 {
    let sql = "select count(*) from repot_pending where seq > 0";
    database.ask(sql).trim().parse().unwrap()
}

const TEXT: &str = r#"{
    "id": "c",
    "user": "u",
    "title": "caf\u00e9",
    "stars": 1.0,
    "meta": {"price": 1.10, "x": [1e400]},
    "mood": "calm",
    "code": "one",
    "updated_at": "2024-05-06 07:08:09.123456+02:00",
    "messages": [
        {"text": "a", "at": "2024-05-06T07:08:09Z"},
        {"at": "2024-05-06T07:08:09Z", "text": "b", "seen": null}
    ],
    "voices": {
        "mara": {"pitch": 1.5, "lines": [{"words": "w"}], "changed_at": "2024-05-06T07:08:09.5678Z"},
        "ole~/": {"pitch": 2, "changed_at": "2024-05-06T07:08:09.001Z"}
    }
}
"#;

/// What each may do: done without the text (`true`), by the text, or refused.
fn changes() -> Vec<(Change, Option<bool>)> {
    vec![
        (set("/title", "\"tea\""), Some(true)),
        (set("/stars", "7"), Some(true)),
        (set("/meta/price", "2.50"), Some(true)),
        (append("/messages", r#"{"text": "c", "at": "2025-01-01T00:00:00Z", "extra": [1.0]}"#), Some(true)),
        (append("/messages", r#"{"at":"2025-01-01T00:00:01Z","text":"d"}"#), Some(true)),
        (set("/messages/3/text", "\"e\""), Some(true)),
        (set("/voices/mara/pitch", "0.25"), Some(true)),
        (set("/voices/ole~0~1/pitch", "3"), Some(true)),
        (append("/voices/mara/lines", r#"{"words": "x"}"#), Some(true)),
        (set("/more", r#"{"a": [1, 2.0]}"#), Some(true)),
        (Change::Merge(r#"{"title": "coffee", "stars": 3}"#.into()), Some(true)),
        // the model fills in a time
        (append("/messages", r#"{"text": "f"}"#), Some(false)),
        (set("/mood", "\"sad\""), None),
        (set("/title", "null"), Some(false)),
        (set("/code", "\"two\""), Some(false)),
        (set("/id", "\"d\""), None),
        (set("/meta/x", "1"), Some(false)),
        (append("/title", "1"), None),
        (append("/other", "1"), Some(false)),
        (set("/messages/9/text", "\"e\""), None),
        (append("/messages", "7"), Some(false)),
        // a list with an element that is no row is not counted by its rows
        (append("/messages", r#"{"text": "g", "at": "2025-01-01T00:00:02Z"}"#), Some(false)),
        (Change::Remove { at: at("/messages/4") }, Some(false)),
        (Change::Remove { at: at("/messages/4") }, Some(false)),
        (append("/messages", r#"{"text": "h", "at": "2025-01-01T00:00:02Z"}"#), Some(true)),
        (set("/updated_at", "\"2025-01-01T00:00:00.001Z\""), Some(true)),
        (set("/stars", "9"), Some(true)),
    ]
}

/// The same bytes as from a store that changes the text at once; rows and texts agree; the same errors.
#[test]
fn a_part_changed_by_rows_reads_like_a_text_that_was_changed() {
    for database in Database::all() {
        let (store, memory) = (open(&database), memory(Arc::new(FixedClock(NOW_MS))));
        block_on(async {
            store.put(&chat(), TEXT).await.unwrap();
            memory.put(&chat(), TEXT).await.unwrap();
            for (number, (change, by_rows)) in changes().into_iter().enumerate() {
                let before = kept(&database);
                let expected = patch(&memory, change.clone()).await;
                let done = patch(&store, change.clone()).await;
                let read = store.require(&chat()).await.unwrap();
                let there = memory.require(&chat()).await.unwrap();
                let same = read.body == there.body;
                assert!(same, "{number} {change:?}:\n{:?}\n{:?}", read.body, there.body);
                match (done, by_rows) {
                    (Ok(etag), Some(by_rows)) => {
                        assert_eq!(etag, read.etag, "{change:?}");
                        assert_eq!(kept(&database), if by_rows { before + 1 } else { 0 }, "{change:?}");
                    }
                    (Err(error), None) => {
                        assert_eq!(error.code(), expected.unwrap_err().code(), "{change:?}");
                        assert_eq!(kept(&database), before, "{change:?}");
                    }
                    (done, by_rows) => panic!("{change:?}: {done:?}, {by_rows:?}"),
                }
            }
        });
        assert!(kept(&database) > 2);
        prove(&database);
        block_on(async {
            let was = store.require(&chat()).await.unwrap();
            store.settle().await.unwrap();
            assert_eq!(kept(&database), 0);
            assert_eq!(store.require(&chat()).await.unwrap(), was);
            // the `ETag` still writes
            store.replace(&chat(), was.body.clone(), &was.etag).await.unwrap();
        });
        drop(store);
        prove(&database);
    }
}

/// Texts with their times in many forms, and whether a change of a part is done without them.
fn times() -> Vec<(&'static str, bool)> {
    vec![
        (
            r#"{"id": "c", "user": "u", "updated_at": "2024-05-06T07:08:09Z", "messages": [{"at": "2024-05-06T00:00:00Z"}]}"#,
            true,
        ),
        (
            r#"{"id": "c", "user": "u", "messages": [{"at": "2024-05-06T07:08:09Z"}], "updated_at": "2024-05-06 07:08"}"#,
            true,
        ),
        (
            r#"{"id": "c", "user": "u", "updated_at": "2024-05-06T07:08:09,5+05:30", "messages": [{"at": "2024-05-06T00:00:00Z"}]}"#,
            true,
        ),
        (
            r#"{"id": "c", "user": "u", "updated_at": "2024-05-06T07:08:09.100Z", "messages": [{"at": "2024-05-06T00:00:00Z"}]}"#,
            true,
        ),
        (
            r#"{"id": "c", "user": "u", "updated_at": "2024-05-06T07:08:09.123456789Z", "messages": [{}]}"#,
            true,
        ),
        // of an empty list the rows say nothing
        (r#"{"id": "c", "user": "u", "updated_at": "2024-05-06T07:08:09.001Z", "messages": [ ]}"#, true),
        // not there, and spelled like the other time of its row
        (
            r#"{"id": "c", "seen_at": "2024-05-06T07:08:09Z", "user": "u", "messages": [{"at": "2024-05-06T00:00:00Z"}]}"#,
            true,
        ),
        (
            "{\n\t\"id\": \"c\",\n\t\"seen_at\": \"2024-05-06 07:08:09.12\",\n\t\"user\": \"u\",\n\t\"messages\": [{}]\n}",
            true,
        ),
        // like one of another row, or like none
        (r#"{"id": "c", "user": "u", "messages": [{"at": "2024-05-06T07:08:09"}]}"#, false),
        (r#"{"id": "c", "seen_at": null, "user": "u", "messages": [{}]}"#, false),
        (r#"{"id": "c", "user": "u", "updated_at": null, "messages": [{}]}"#, false),
    ]
}

/// The form of a time follows from the text once, and is known from then on.
#[test]
fn a_time_in_any_form_is_set_by_rows() {
    const VOICES: &str = r#", "voices": {"bo": {"pitch": 1, "changed_at": "2024-05-06T07:08:09+00:00"}}}"#;
    for database in Database::all() {
        let clock = HandClock::at(NOW_MS);
        let (store, memory) = (open_at(&database, Arc::new(clock.clone())), memory(Arc::new(clock.clone())));
        for (text, by_rows) in times() {
            let text = format!("{}{VOICES}", text.trim_end_matches('}').trim_end());
            block_on(async {
                // as from files: a write would set the time
                let write = Write::Put { key: chat(), body: text.clone().into(), when: Precondition::Any };
                let work = UnitOfWork::default().with(write);
                store.copy_in(work.clone()).await.unwrap();
                memory.copy_in(work).await.unwrap();
                for (number, passed_ms) in [0, 400, 700, 60_000, 3].into_iter().enumerate() {
                    clock.turn(passed_ms);
                    let before = kept(&database);
                    let change = match number {
                        2 => set("/voices/bo/pitch", &format!("{number}")),
                        3 => Change::Merge(format!(r#"{{"stars": {number}, "title": "t"}}"#).into()),
                        _ => append("/messages", r#"{"text": "c", "at": "2025-01-01T00:00:00Z"}"#),
                    };
                    patch(&memory, change.clone()).await.unwrap();
                    patch(&store, change).await.unwrap();
                    let (read, there) =
                        (store.require(&chat()).await.unwrap(), memory.require(&chat()).await.unwrap());
                    assert!(read.body == there.body, "{text} {number}:\n{:?}\n{:?}", read.body, there.body);
                    // what is written by its text has a time with a known form from then on
                    let expected = if by_rows || number > 0 { before + 1 } else { 0 };
                    assert_eq!(kept(&database), expected, "{text} {number}");
                }
            });
        }
        drop(store);
        prove(&database);
    }
}

/// A time that is missing is spelled like another one, also where that is set by the same change.
#[test]
fn a_missing_time_is_spelled_like_the_one_that_is_set() {
    let text = r#"{"id": "c", "seen_at": "2024-05-06T07:08:09Z", "user": "u", "messages": []}"#;
    for database in Database::all() {
        let (store, memory) = (open(&database), memory(Arc::new(FixedClock(NOW_MS))));
        block_on(async {
            let write = Write::Put { key: chat(), body: text.into(), when: Precondition::Any };
            store.copy_in(UnitOfWork::default().with(write.clone())).await.unwrap();
            memory.copy_in(UnitOfWork::default().with(write)).await.unwrap();
            let change = set("/seen_at", "\"2026-01-01 10:11\"");
            patch(&memory, change.clone()).await.unwrap();
            patch(&store, change).await.unwrap();
            let (read, there) =
                (store.require(&chat()).await.unwrap(), memory.require(&chat()).await.unwrap());
            assert!(read.body == there.body, "{:?}\n{:?}", read.body, there.body);
        });
        drop(store);
        prove(&database);
    }
}

/// A time that is missing with the object that would hold it takes a write of the text.
#[test]
fn a_time_in_an_object_that_is_missing_is_set_by_the_text() {
    let tended = "seen_at = \"time?\"\ntended_at = \"time from meta.tended_at = now on write\"";
    let model = MODEL.replace("seen_at    = \"time?\"", tended);
    for database in Database::all() {
        let (compiled, plan) = compiled(&model);
        let layout =
            Layout::new(Arc::clone(&compiled), Arc::clone(&plan), repot_json::Limits::default()).unwrap();
        let clock = Arc::new(FixedClock(NOW_MS));
        let memory = BucketStore::new(Arc::new(MemoryObjects::new()), layout, 1 << 20)
            .with_clock(Arc::clone(&clock) as _);
        let options = RowStoreOptions { clock, ..Database::options() };
        let store = RowStore::open(database.target(), (compiled, plan, &*model), options).unwrap();
        block_on(async {
            for (text, by_rows) in [
                (r#"{"id": "c", "user": "u", "updated_at": "2024-05-06T07:08:09Z"}"#, 0),
                (r#"{"id": "c", "user": "u", "updated_at": "2024-05-06T07:08:09Z", "meta": {}}"#, 1),
            ] {
                let write = Write::Put { key: chat(), body: text.into(), when: Precondition::Any };
                store.copy_in(UnitOfWork::default().with(write.clone())).await.unwrap();
                memory.copy_in(UnitOfWork::default().with(write)).await.unwrap();
                patch(&memory, set("/stars", "2")).await.unwrap();
                patch(&store, set("/stars", "2")).await.unwrap();
                assert_eq!(kept(&database), by_rows, "{text}");
                let (read, there) =
                    (store.require(&chat()).await.unwrap(), memory.require(&chat()).await.unwrap());
                assert!(read.body == there.body, "{:?}\n{:?}", read.body, there.body);
            }
        });
    }
}

/// Several changes of one document in one transaction, the form of whose time is not known before.
#[test]
fn a_time_in_a_new_form_is_that_of_the_changes_before() {
    let text = r#"{"id": "c", "user": "u", "updated_at": "2024-05-06T07:08:09Z", "messages": [{}]}"#;
    for database in Database::all() {
        let clock = HandClock::at(NOW_MS);
        let (store, memory) = (open_at(&database, Arc::new(clock.clone())), memory(Arc::new(clock.clone())));
        block_on(async {
            store.put(&chat(), text).await.unwrap();
            memory.put(&chat(), text).await.unwrap();
            let changes = [
                set("/updated_at", "\"2026-01-01 10:11:12.5\""),
                set("/stars", "1"),
                set("/updated_at", "\"2026-01-01T10:11\""),
                set("/stars", "2"),
            ];
            for change in &changes {
                patch(&memory, change.clone()).await.unwrap();
            }
            // while one writes, the others come together
            let all = changes.iter().map(|change| patch(&store, change.clone()));
            for done in futures_util::future::join_all(all).await {
                done.unwrap();
            }
            let (read, there) =
                (store.require(&chat()).await.unwrap(), memory.require(&chat()).await.unwrap());
            assert!(read.body == there.body, "{:?}\n{:?}", read.body, there.body);
        });
        drop(store);
        prove(&database);
    }
}

/// An `ETag` is that of one text: it changes with each change of a part, and an older one does not write.
#[test]
fn preconditions_hold_without_the_text() {
    for database in Database::all() {
        let store = open(&database);
        block_on(async {
            let first = store.put(&chat(), TEXT).await.unwrap();
            let when = Precondition::Matches(first.clone());
            let second = store.change(&chat(), set("/stars", "2"), when.clone()).await.unwrap();
            assert_ne!(first, second);
            let error = store.change(&chat(), set("/stars", "3"), when).await.unwrap_err();
            assert_eq!(error.kind(), Kind::Conflict);
            let back = store.change(&chat(), set("/stars", "1.0"), Precondition::Any).await.unwrap();
            assert_ne!(back, first);
            let error = store.delete(&chat(), Precondition::Matches(second)).await.unwrap_err();
            assert_eq!(error.kind(), Kind::Conflict);
            assert!(store.delete(&chat(), Precondition::Matches(back)).await.unwrap());
            assert_eq!(kept(&database), 0);
            let error = patch(&store, set("/stars", "3")).await.unwrap_err();
            assert_eq!((error.kind(), error.code()), (Kind::NotFound, "R0402"));
            // what was kept beside the old text is not laid over a new one
            store.put(&chat(), TEXT).await.unwrap();
            assert_eq!(store.require(&chat()).await.unwrap().etag, first);
        });
    }
}

/// A change that the database refuses is refused as one of the text is, and nothing of it is there.
#[test]
fn what_the_database_refuses_is_refused_in_the_same_words() {
    for database in Database::all() {
        let store = open(&database);
        block_on(async {
            store.put(&chat(), TEXT).await.unwrap();
            let other = r#"{"id": "o", "user": "u", "voices": {"bo": {"lines": [{"words": "taken"}]}}}"#;
            store.put(&DocumentKey::new("chats", "o").in_tenant("u"), other).await.unwrap();
            let was = store.require(&chat()).await.unwrap();
            let change = append("/voices/mara/lines", r#"{"words": "taken"}"#);
            let error = patch(&store, change).await.unwrap_err();
            assert_eq!((error.kind(), error.code()), (Kind::Conflict, "R0203"), "{error}");
            assert!(error.message().contains("lines"), "{error}");
            assert_eq!(store.require(&chat()).await.unwrap(), was);
            assert_eq!(kept(&database), 0);
        });
    }
}

/// What plain SQL did meanwhile is not lost: the text is read, and what was kept beside it is in it.
#[test]
fn plain_sql_between_changes_of_parts() {
    for database in Database::all() {
        let store = open(&database);
        block_on(async {
            store.put(&chat(), TEXT).await.unwrap();
            patch(&store, set("/stars", "5")).await.unwrap();
            assert_eq!(kept(&database), 1);
            database.sql("update messages set text = 'by sql' where \"order\" = 0; delete from voices where name = 'mara'");
            let message = r#"{"text": "z", "at": "2025-01-01T00:00:02Z"}"#;
            patch(&store, append("/messages", message)).await.unwrap();
            assert_eq!(kept(&database), 0);
            let read = store.require(&chat()).await.unwrap();
            let text = String::from_utf8(read.body.to_vec()).unwrap();
            for part in ["\"by sql\"", "\"stars\": 5,", "\"z\""] {
                assert!(text.contains(part), "{part}: {text}");
            }
            assert!(!text.contains("mara"), "{text}");
            patch(&store, append("/messages", message)).await.unwrap();
            assert_eq!(kept(&database), 1);
        });
        drop(store);
        prove(&database);
    }
}

/// Elements of one list by many writers at once: none is lost, none conflicts, and the rows are numbered without gaps.
#[test]
fn appends_of_many_writers_are_all_there() {
    let full = repot_testkit::full();
    let (writers, each) = if full { (64, 1_000) } else { (64, 8) };
    for database in Database::all() {
        let store = Arc::new(open(&database));
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            store.put(&chat(), TEXT).await.unwrap();
            let running = (0..writers).map(|writer| {
                let store = Arc::clone(&store);
                tokio::spawn(async move {
                    for number in 0..each {
                        let element =
                            format!(r#"{{"text": "{writer}/{number}", "at": "2025-01-01T00:00:02Z"}}"#);
                        patch(store.as_ref(), append("/messages", &element)).await.unwrap();
                    }
                })
            });
            for done in running.collect::<Vec<_>>() {
                done.await.unwrap();
            }
            let read = store.require(&chat()).await.unwrap();
            let text = String::from_utf8(read.body.to_vec()).unwrap();
            for writer in 0..writers {
                // each writer's own come in their order
                let mut from = 0;
                for number in 0..each {
                    let wanted = format!("\"{writer}/{number}\"");
                    let found = text.get(from..).and_then(|rest| rest.find(&wanted));
                    from += found.unwrap_or_else(|| panic!("{wanted} is lost"));
                }
            }
        });
        let rows =
            "select count(*) || ' ' || count(distinct \"order\") || ' ' || max(\"order\") from messages";
        let all = writers * each + 2;
        assert_eq!(database.ask(rows).trim(), format!("{all} {all} {}", all - 1));
        drop(store);
        prove(&database);
    }
}

/// A reader meets no long row of changes, however many are made; beside a larger text there may be more.
#[test]
fn so_many_changes_are_kept_beside_a_text() {
    for database in Database::all() {
        let store = open(&database);
        block_on(async {
            for (title, most) in [(1, 32), (70_000, 36)] {
                let large = format!("\"more\": \"{}\", \"title\"", "x".repeat(title));
                store.put(&chat(), TEXT.replace("\"title\"", &large)).await.unwrap();
                let mut seen = Vec::new();
                for _ in 0..80 {
                    let message = r#"{"text": "c", "at": "2025-01-01T00:00:00Z"}"#;
                    patch(&store, append("/messages", message)).await.unwrap();
                    seen.push(kept(&database));
                }
                assert_eq!(seen.iter().max(), Some(&most), "{seen:?}");
                assert_eq!(seen.iter().filter(|&&kept| kept == 0).count(), 2, "{seen:?}");
            }
        });
        drop(store);
        prove(&database);
    }
}

/// A field of a large document costs what the field costs.
#[test]
fn a_field_of_a_large_document_is_a_small_write() {
    const MOST: i64 = 16 << 10;
    for database in Database::all() {
        let store = open(&database);
        block_on(async {
            let messages: Vec<String> = (0..12_000)
                .map(|number| format!(r#"{{"text": "{number:0>50}", "at": "2025-01-01T00:00:02Z"}}"#))
                .collect();
            let text = TEXT.replace("\"messages\": [", &format!("\"messages\": [{},", messages.join(",")));
            assert!(text.len() > 1_000_000);
            store.put(&chat(), text).await.unwrap();
            // the first change of a day makes pages of the log and the indexes
            patch(&store, set("/stars", "2")).await.unwrap();
            // the log of a server is that of all its databases, and others are tested beside this one
            let shared = matches!(database, Database::Postgres(..));
            let (mut bytes, mut stars) = (Vec::new(), 2);
            while bytes.len() < 12 && !(shared && bytes.last().is_some_and(|&bytes| bytes < MOST)) {
                stars += 1;
                let before = written(&database);
                patch(&store, set("/stars", &stars.to_string())).await.unwrap();
                bytes.push(written(&database) - before);
            }
            assert_eq!(kept(&database), stars - 1);
            let small = |bytes: &i64| 0 < *bytes && *bytes < MOST;
            let held = if shared { bytes.last().is_some_and(small) } else { bytes.iter().all(small) };
            assert!(held, "{bytes:?} bytes were written in {}", database.url());
            assert!(
                store
                    .get_part(&chat(), "/stars")
                    .await
                    .unwrap()
                    .is_some_and(|read| read == stars.to_string())
            );
        });
    }
}

/// Bytes that went to the database's log so far.
fn written(database: &Database) -> i64 {
    match database {
        Database::Sqlite(folder) => {
            let log = Database::file(folder).with_extension("db-wal");
            i64::try_from(std::fs::metadata(log).unwrap().len()).unwrap()
        }
        Database::Postgres(..) => database
            .ask("select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint")
            .trim()
            .parse()
            .unwrap(),
    }
}
