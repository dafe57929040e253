//! The objects view of a database: the conformance suite through it, the bytes of an export, `ETags`, conditions, and deadlines.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use repot_bucket::DirectorySource;
use repot_core::store::{
    BucketStore, DocumentKey, ETag, Edit, ObjectMeta, Objects, Precondition, Store as _, StoreExt as _,
    UnitOfWork, Write,
};
use repot_core::{Clock as _, FixedClock, Kind, LockHolder, Source, SystemClock};
use repot_engine::store::{RowObjects, RowSource, RowStore, open_source_database};
use repot_engine::{NoProgress, Options, TokioPacing, copy};
use repot_model::language::parse;
use repot_model::plan::Plan;
use repot_testkit::conformance::{DOCUMENT_BYTES_MAX, Subject, layout};
use repot_testkit::{HandClock, TempTree};

use crate::containers::{FILES, exported};
use crate::documents::{Database, block_on, copy as copy_files, note, proved};
use crate::scripted::Scripted;

const ROOM: u64 = 1 << 20;

repot_testkit::conformance!(sqlite, super::subject(super::Database::sqlite()));
repot_testkit::conformance!(postgres, super::Database::postgres().map(super::subject));

fn view(rows: RowStore) -> Arc<RowObjects> {
    Arc::new(RowObjects::new(Arc::new(rows), Arc::new(TokioPacing)))
}

fn subject(database: Database) -> Subject {
    let objects = view(database.try_open().unwrap());
    let store = BucketStore::new(objects, layout(), DOCUMENT_BYTES_MAX);
    Subject { store: Arc::new(store), keep: Box::new(database) as Box<dyn Any + Send> }
}

/// A copied database, and its view.
fn copied(database: &Database) -> Arc<RowObjects> {
    let source = Scripted::default();
    for (path, text) in FILES {
        source.put(path, text);
    }
    source.put("notes/a.json", "{\"id\": \"a\",\t\"title\": \"one\"}\n");
    source.put("notes/torn.json", "{");
    copy_files(database, &source).unwrap();
    view(database.try_open().unwrap())
}

/// All that a listing gives, by small pages, each as it is looked at alone.
async fn all(objects: &RowObjects) -> BTreeMap<String, (ObjectMeta, Vec<u8>)> {
    let (mut found, mut after) = (BTreeMap::new(), None::<String>);
    loop {
        let page = objects.list("", after.as_deref(), 3).await.unwrap();
        let ends = page.len() < 3;
        for meta in page {
            assert!(after.is_none_or(|after| after < meta.path), "{meta:?}");
            after = Some(meta.path.clone());
            let body = objects.get(&meta.path, ROOM).await.unwrap().unwrap();
            assert_eq!(objects.head(&meta.path).await.unwrap().as_ref(), Some(&meta));
            assert_eq!(Some(&body.etag), meta.etag.as_ref(), "{}", meta.path);
            assert_eq!(body.bytes.len() as u64, meta.size_bytes, "{}", meta.path);
            found.insert(meta.path.clone(), (meta, body.bytes.to_vec()));
        }
        if ends {
            return found;
        }
    }
}

async fn etag(objects: &RowObjects, path: &str) -> ETag {
    let listed = objects.list(path, None, 1).await.unwrap();
    listed[0].etag.clone().unwrap()
}

#[test]
fn objects_are_what_an_export_writes() {
    for database in Database::all() {
        let objects = copied(&database);
        let before = block_on(all(&objects));
        for (path, text) in FILES {
            assert_eq!(before[path].1, text.as_bytes(), "{path}");
        }
        assert_eq!(before["notes/torn.json"].1, b"{");
        block_on(async {
            let rows = objects.rows();
            rows.put(&DocumentKey::of_parts("cards", &["b1", "c1"]), "{ \"id\":\"c1\" }").await.unwrap();
            rows.delete(&DocumentKey::of_parts("cards", &["b1", "c0"]), Precondition::Any).await.unwrap();
            rows.put(&note("b"), "{\"id\": \"b\", \"marks\": []}").await.unwrap();
            rows.append(&note("b"), "/marks", "{\"word\": \"kept beside the text\"}").await.unwrap();
        });
        database.sql("update notes set title = 'two' where id = 'a'");
        database.sql("update events set count = 7 where id = 'e1'");
        database.sql("insert into cards (board_id, id, \"order\", title) values ('b2', 'new', 0, 'of SQL')");
        let now = block_on(all(&objects));
        for path in ["notes/a.json", "notes/b.json", "events/d1.jsonl", "boards/b1.json", "boards/b2.json"] {
            assert_ne!(
                before.get(path).map(|one| &one.0.etag),
                now.get(path).map(|one| &one.0.etag),
                "{path}"
            );
        }
        assert_eq!(before["events/d2.jsonl"].0, now["events/d2.jsonl"].0);
        assert!(now["boards/b2.json"].1.windows(6).any(|part| part == b"of SQL"));
        let export = exported(&database);
        let now: BTreeMap<String, Vec<u8>> =
            now.into_iter().map(|(path, (_, bytes))| (path, bytes)).collect();
        assert_eq!(now, export);
    }
}

#[test]
fn each_change_of_an_object_changes_its_etag() {
    for database in Database::all() {
        let objects = copied(&database);
        block_on(async {
            let board = "boards/b1.json";
            let card = DocumentKey::of_parts("cards", &["b1", "c1"]);
            let first = etag(&objects, board).await;
            objects.rows().put(&card, "{\"id\":\"c1\",\"count\":3}").await.unwrap();
            let second = etag(&objects, board).await;
            database.sql("update cards set count = 4 where id = 'c1'");
            let third = etag(&objects, board).await;
            // the same bytes again, at another time
            objects.rows().put(&card, "{\"id\":\"c1\",\"count\":3}").await.unwrap();
            assert_eq!(etag(&objects, board).await, second);
            objects.rows().put(&card, "{\"id\":\"c1\",\"count\":2}").await.unwrap();
            assert_eq!(etag(&objects, board).await, first);
            assert!(first != second && second != third && first != third);
            let text = objects.get(board, ROOM).await.unwrap().unwrap().bytes;
            let apart = String::from_utf8(text.to_vec()).unwrap().replace("\n\t{", "\t\n{");
            objects.put(board, apart.into(), &Precondition::Matches(first.clone()), None).await.unwrap();
            assert_ne!(etag(&objects, board).await, first, "the same documents, other white space between");
        });
    }
}

#[test]
fn a_shared_file_is_written_whole_or_not_at_all() {
    for database in Database::all() {
        let objects = copied(&database);
        block_on(async {
            let path = "events/d1.jsonl";
            let found = objects.get(path, ROOM).await.unwrap().unwrap();
            let text = String::from_utf8(found.bytes.to_vec()).unwrap();
            // the line that is no document may stay
            let new = text.replace("{\"id\":\"e0\",\"count\":1.0}", "{ \"id\":\"e9\" }");
            let when = Precondition::Matches(found.etag.clone());
            let etag = objects.put(path, new.clone().into(), &when, None).await.unwrap();
            let read = objects.get(path, ROOM).await.unwrap().unwrap();
            assert_eq!((read.bytes.as_ref(), &read.etag), (new.as_bytes(), &etag));
            let event = |id: &str| DocumentKey::at("events", &[("day", "d1"), ("id", id)]);
            assert_eq!(objects.rows().require(&event("e9")).await.unwrap().body, "{ \"id\":\"e9\" }");
            assert!(!objects.rows().exists(&event("e0")).await.unwrap());
            assert_eq!(database.ask("select count(*) from events where id = 'e0'").trim(), "0");
            for (body, when, kind, code) in [
                (new.clone(), when.clone(), Kind::Conflict, "R0401"),
                (new.clone(), Precondition::Absent, Kind::Conflict, "R0401"),
                (new.replace("not json", "no json"), Precondition::Any, Kind::Invalid, "R0404"),
                (new.replace("\"e1\"", "\"f1\""), Precondition::Any, Kind::Conflict, "R0203"),
            ] {
                let error = objects.put(path, body.into(), &when, None).await.unwrap_err();
                assert_eq!((error.kind(), error.code()), (kind, code), "{error}");
                assert_eq!(objects.get(path, ROOM).await.unwrap().unwrap().etag, etag);
            }
            let error = objects.put("else/x.json", "{}".into(), &Precondition::Any, None).await.unwrap_err();
            assert_eq!((error.kind(), error.code()), (Kind::Invalid, "R0403"), "{error}");
            let other = Precondition::Matches(found.etag);
            assert_eq!(objects.delete(path, &other, None).await.unwrap_err().code(), "R0401");
            assert!(objects.delete(path, &Precondition::Matches(etag), None).await.unwrap());
            assert!(!objects.delete(path, &Precondition::Any, None).await.unwrap());
            assert!(objects.get(path, ROOM).await.unwrap().is_none());
            assert!(!objects.rows().exists(&event("e9")).await.unwrap());
            objects
                .put(path, new.clone().replace("not json\n", "").into(), &Precondition::Absent, None)
                .await
                .unwrap();
            assert!(objects.rows().exists(&event("e9")).await.unwrap());
        });
        proved(&database, repot_testkit::conformance::model());
    }
}

/// What SQL did to a file that is written whole is what the condition is about, and nothing of it is left behind.
#[test]
fn plain_sql_is_met_by_conditions() {
    for database in Database::all() {
        let objects = copied(&database);
        block_on(async {
            let path = "boards/b1.json";
            let found = objects.get(path, ROOM).await.unwrap().unwrap();
            database.sql("update cards set count = 9 where id = 'c1'");
            let when = Precondition::Matches(found.etag);
            let error = objects.put(path, found.bytes.clone(), &when, None).await.unwrap_err();
            assert_eq!(error.code(), "R0401", "{error}");
            database.sql("update cards set count = 10 where id = 'c1'");
            objects.put(path, found.bytes.clone(), &Precondition::Any, None).await.unwrap();
            assert_eq!(objects.get(path, ROOM).await.unwrap().unwrap().bytes, found.bytes);
            assert_eq!(database.ask("select count from cards where id = 'c1'").trim(), "2");
        });
        proved(&database, repot_testkit::conformance::model());
    }
}

#[test]
fn what_is_beside_the_documents_is_none() {
    for database in Database::all() {
        let objects = copied(&database);
        block_on(async {
            let put = |path: &'static str, text: &'static str, when: Precondition| {
                let objects = Arc::clone(&objects);
                async move { objects.put(path, text.into(), &when, None).await }
            };
            let fence = ".repot/fence";
            assert!(objects.get(fence, ROOM).await.unwrap().is_none());
            let first = put(fence, "1", Precondition::Absent).await.unwrap();
            assert_eq!(put(fence, "2", Precondition::Absent).await.unwrap_err().code(), "R0401");
            let second = put(fence, "1", Precondition::Matches(first.clone())).await.unwrap();
            assert_ne!(first, second, "it is another state, whatever its bytes");
            let stale = put(fence, "3", Precondition::Matches(first.clone())).await.unwrap_err();
            assert_eq!((stale.kind(), stale.code()), (Kind::Conflict, "R0401"));
            for path in [".repot/notes/b", ".repot/notes/a", ".repot/other"] {
                put(path, "note", Precondition::Any).await.unwrap();
            }
            let names = |found: Vec<ObjectMeta>| found.into_iter().map(|meta| meta.path).collect::<Vec<_>>();
            let notes = objects.list(".repot/notes/", None, 9).await.unwrap();
            assert_eq!(names(notes), [".repot/notes/a", ".repot/notes/b"]);
            let rest = objects.list(".repot/", Some(".repot/notes/a"), 9).await.unwrap();
            assert_eq!(names(rest), [".repot/notes/b", ".repot/other"]);
            let page = objects.list("", Some(".repot/notes/b"), 2).await.unwrap();
            assert_eq!(names(page), [".repot/other", "boards/b1.json"]);
            let listed = objects.list(".repot/fence", None, 1).await.unwrap();
            assert_eq!(listed[0].etag.as_ref(), Some(&second));
            assert_eq!(objects.head(fence).await.unwrap().as_ref(), listed.first());
            assert!(objects.delete(fence, &Precondition::Matches(first), None).await.is_err());
            assert!(objects.delete(fence, &Precondition::Matches(second.clone()), None).await.unwrap());
            assert!(!objects.delete(fence, &Precondition::Any, None).await.unwrap());
            let third = put(fence, "1", Precondition::Absent).await.unwrap();
            assert_ne!(second, third, "also after it was gone");
        });
        assert!(!exported(&database).keys().any(|path| path.starts_with(".repot/")));
    }
}

#[test]
fn a_deadline_that_is_over_writes_nothing() {
    for database in Database::all() {
        let clock = Arc::new(HandClock::at(1_700_000_000_000));
        let objects = view(crate::ledger::open(&database, &clock));
        block_on(async {
            let until = Some(clock.now_ms() + 1_000);
            let put = |path: &'static str| {
                let objects = Arc::clone(&objects);
                let body = if path.starts_with("boards") {
                    "{\"cards\":[{\"id\":\"x\"}]}"
                } else {
                    "{\"id\":\"x\"}"
                };
                async move { objects.put(path, body.into(), &Precondition::Any, until).await }
            };
            let paths = ["notes/x.json", "boards/x.json", ".repot/x"];
            clock.turn(1_000);
            for path in paths {
                let error = put(path).await.unwrap_err();
                assert_eq!((error.kind(), error.code()), (Kind::Fenced, "R0452"), "{path}: {error}");
                assert!(objects.get(path, ROOM).await.unwrap().is_none());
            }
            clock.turn(-1);
            for path in paths {
                put(path).await.unwrap();
                clock.turn(1);
                let error = objects.delete(path, &Precondition::Any, until).await.unwrap_err();
                assert_eq!(error.code(), "R0452", "{path}: {error}");
                assert!(objects.get(path, ROOM).await.unwrap().is_some());
                clock.turn(-1);
            }
        });
    }
}

/// A transaction looked at its deadline in time, and is paused before it commits: nobody may say that nothing comes any more.
#[test]
fn nothing_is_settled_while_a_transaction_that_was_in_time_has_not_ended() {
    for database in Database::all() {
        let clock = Arc::new(HandClock::at(1_700_000_000_000));
        let (paused, other) =
            (Arc::new(crate::ledger::open(&database, &clock)), view(crate::ledger::open(&database, &clock)));
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            // a document that is there, and one that comes: nothing of it can be locked before
            paused.put(&note("there"), r#"{"id": "there", "title": "old"}"#).await.unwrap();
            for id in ["there", "new"] {
                let path = format!("notes/{id}.json");
                let until_ms = clock.now_ms() + 1_000;
                let (entered, enters) = mpsc::channel();
                let (go, goes) = mpsc::channel::<()>();
                let goes = std::sync::Mutex::new(goes);
                let text = format!(r#"{{"id": "{id}", "title": "in time"}}"#);
                let edit = Edit::new(move |_| {
                    let _first_call_only = entered.send(());
                    let _goes_on = goes.lock().unwrap().recv();
                    Ok(Some(text.clone().into()))
                });
                let write = Write::Update { key: note(id), edit, when: Precondition::Any };
                let work = UnitOfWork::default().with(write).until(until_ms);
                let writing = tokio::spawn({
                    let paused = Arc::clone(&paused);
                    async move { paused.apply(work).await }
                });
                tokio::task::spawn_blocking(move || enters.recv().unwrap()).await.unwrap();
                let early = other.settle(&path, until_ms + 60_000).await.unwrap_err();
                assert_eq!((early.kind(), early.code()), (Kind::Unavailable, "R0453"), "{early}");
                clock.turn(1_000);
                let settled = tokio::spawn({
                    let (other, path) = (Arc::clone(&other), path.clone());
                    async move { other.settle(&path, until_ms).await }
                });
                tokio::time::sleep(Duration::from_millis(200)).await;
                assert!(!settled.is_finished(), "{path} may still be written");
                // two sends: a transaction that is given up is decided once more
                go.send(()).unwrap();
                drop(go);
                writing.await.unwrap().unwrap();
                settled.await.unwrap().unwrap();
                let read = other.get(&path, ROOM).await.unwrap().unwrap();
                assert!(read.bytes.ends_with(b"\"in time\"}"), "{read:?}");
                // and who is idle holds nothing up
                other.settle(&path, until_ms).await.unwrap();
            }
        });
    }
}

/// Small, so that a file is too large for a document.
const FEW: u64 = 200;

fn copy_from(source: &dyn Source, database: &Database) -> copy::Report {
    let (model, plan, model_text) = repot_testkit::conformance::model();
    let options = Options { document_bytes_max: FEW, ..Options::default() };
    let me = LockHolder { host: "here".to_owned(), pid: 8, since_ms: 0 };
    let (progress, clock) = (&NoProgress, &FixedClock(0));
    let copy =
        copy::Copy { source, model: &model, model_text, plan: &plan, options: &options, progress, clock, me };
    copy.run(database.target().as_mut(), false).unwrap()
}

#[test]
fn a_database_is_the_source_of_another_one() {
    let pairs = [
        (Some(Database::sqlite()), Some(Database::sqlite())),
        (Some(Database::sqlite()), Database::postgres()),
        (Database::postgres(), Some(Database::sqlite())),
    ];
    for (old, new) in pairs {
        let (Some(old), Some(new)) = (old, new) else { continue };
        let files = TempTree::with(FILES);
        files.write("notes/torn.json", "{");
        let large = format!("{{\"id\": \"large\", \"more\": \"{}\"}}", "x".repeat(5_000));
        files.write("notes/large.json", large);
        files.write("else/where.txt", "matched by nothing");
        copy_from(&DirectorySource::open(files.path(), Arc::new(SystemClock)).unwrap(), &old);
        let objects = view(old.try_open().unwrap());
        block_on(async {
            let card = DocumentKey::of_parts("cards", &["b1", "c1"]);
            objects.rows().put(&card, "{ \"id\":\"c1\" }").await.unwrap();
            objects.put(".repot/fence", "1".into(), &Precondition::Any, None).await.unwrap();
        });
        old.sql("insert into notes (id, title) values ('sql', 'made')");
        let source = RowSource::new(Arc::clone(&objects));
        let before = block_on(all(&objects));
        let first = copy_from(&source, &new);
        assert_eq!((first.tally.unmatched, first.tally.set_aside), (0, 2), "{first:?}");
        let copied = block_on(all(&view(new.try_open().unwrap())));
        let bytes = |all: &BTreeMap<String, (ObjectMeta, Vec<u8>)>| {
            let own = all.iter().filter(|(path, _)| !path.starts_with(".repot/"));
            own.map(|(path, (_, bytes))| (path.clone(), bytes.clone())).collect::<BTreeMap<_, _>>()
        };
        assert_eq!(bytes(&before), bytes(&copied));
        assert_eq!(copied["notes/large.json"].1.len(), 5_027);
        assert!(copied.contains_key("notes/sql.json"));
        // a second time only what was changed
        old.sql("update notes set title = 'again' where id = 'sql'");
        let second = copy_from(&source, &new);
        assert_eq!((second.changed, second.removed), (1, 0), "{second:?}");
        block_on(objects.delete("notes/sql.json", &Precondition::Any, None)).unwrap();
        let third = copy_from(&source, &new);
        assert_eq!((third.changed, third.removed), (0, 1), "{third:?}");
        proved(&new, repot_testkit::conformance::model());
    }
}

#[test]
fn a_database_without_documents_is_no_source() {
    for database in Database::all() {
        let open = || {
            let model = repot_testkit::conformance::model();
            open_source_database(database.target(), model, Database::options())
        };
        assert_eq!(open().unwrap_err().code(), "R0724");
        copied(&database);
        assert!(open().is_ok());
        let text = "[repot]\nsource = \"./data\"\n\n[others]\nfile = \"others/{id}.json\"\n\n[others.fields]\nid = \"text key\"\n";
        let other = parse(text, "repot.toml", &|_| None).unwrap();
        let plan = Plan::compile(&other).unwrap();
        let other = (Arc::new(other), Arc::new(plan), text);
        let error = open_source_database(database.target(), other, Database::options()).unwrap_err();
        assert_eq!(error.code(), "R0151", "{error}");
    }
}
