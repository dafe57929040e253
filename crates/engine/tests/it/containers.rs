//! Documents that share a file, in databases: what is written of them, what an export and a proof make of it, and what
//! SQL does to them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use repot_core::change_log::ChangeKind;
use repot_core::store::{
    BucketStore, Change, ChangeFeed as _, ChangeScope, DocumentKey, MemoryObjects, Objects as _,
    Precondition, Scope, Store, StoreExt as _, UnitOfWork, Write,
};
use repot_core::{Pieces, Result, Sink};
use repot_engine::export::Export;
use repot_engine::{NoProgress, Options};
use repot_testkit::conformance::{DOCUMENT_BYTES_MAX, layout, model};

use crate::documents::{Database, block_on, copy, proof};
use crate::scripted::Scripted;

/// Files in every style: blank lines, white space, a missing last line break, lines that are no documents, what stands around.
pub(crate) const FILES: [(&str, &str); 6] = [
    ("events/d1.jsonl", "{\"id\":\"e0\",\"count\":1.0}\n\n  {\"id\":\"e1\"}  \r\nnot json\n{\"id\":\"e2\"}"),
    ("events/d2.jsonl", "\u{feff}{\"id\":\"f0\"}\r\n{\"id\":\"f1\"}\r\n"),
    (
        "boards/b1.json",
        "{ \"v\":1,\n \"cards\": [\n\t{\"id\":\"c0\"},\n\t{\"id\":\"c1\",\"count\":2},\n\t{\"id\":\"c2\"}\n ], \"z\":[] }",
    ),
    ("boards/b2.json", "{\"cards\":[ ]}\n"),
    (
        "settings.json",
        "{\"settings\":{\"s0\":{\"count\":1,\"tags\":[\"x\"]} , \"s1\" : {\"count\":2}},\"other\":true}\n",
    ),
    ("journals/t1.jsonl", "{\"id\":\"j0\"}\n"),
];

/// Keeps what is exported.
#[derive(Debug, Default)]
struct Kept(Mutex<BTreeMap<String, Vec<u8>>>);

impl Sink for Kept {
    fn write(&self, path: &str, bytes: &[u8]) -> Result<()> {
        self.0.lock().unwrap().insert(path.to_owned(), bytes.to_vec());
        Ok(())
    }

    fn write_pieces(&self, _path: &str, _pieces: Pieces<'_>) -> Result<()> {
        Ok(())
    }

    fn finish(&self) -> Result<()> {
        Ok(())
    }
}

pub(crate) fn exported(database: &Database) -> BTreeMap<String, Vec<u8>> {
    let (model, plan, _) = model();
    let (sink, options) = (Kept::default(), Options::default());
    let export = Export { model: &model, plan: &plan, options: &options, progress: &NoProgress, seed: 7 };
    export.run(database.target().as_ref(), &sink).unwrap();
    sink.0.into_inner().unwrap()
}

fn keys() -> Vec<DocumentKey> {
    let mut keys = Vec::new();
    for at in 0..6 {
        let id = |kind: &str| format!("{kind}{at}");
        keys.push(DocumentKey::at("events", &[("day", "d1"), ("id", &id("e"))]));
        keys.push(DocumentKey::at("events", &[("day", "d2"), ("id", &id("f"))]));
        keys.push(DocumentKey::of_parts("cards", &["b1", &id("c")]));
        keys.push(DocumentKey::of_parts("cards", &["b2", &id("d")]));
        keys.push(DocumentKey::of_parts("cards", &["b3", &id("n")]));
        keys.push(DocumentKey::new("settings", &id("s")));
        keys.push(DocumentKey::new("entries", &id("j")).in_tenant("t1"));
    }
    keys
}

fn body(key: &DocumentKey, count: u64) -> String {
    let id = key.text().rsplit(['/', '=']).next().unwrap_or_default();
    match key.collection() {
        "settings" => format!("{{\"count\": {count}, \"tags\": [\"a\", \"{count}\"]}}"),
        "cards" if count.is_multiple_of(3) => format!("{{\n  \"id\": \"{id}\",\n  \"count\": {count}\n}}"),
        _ => format!("{{\"id\": \"{id}\", \"count\": {count}}}"),
    }
}

/// One write, the same for each store.
fn write(key: &DocumentKey, random: u64) -> Write {
    let (key, count) = (key.clone(), random >> 40);
    let when = if random & 16 == 0 { Precondition::Absent } else { Precondition::Any };
    match random % 6 {
        0..=2 => Write::Put { body: body(&key, count).into(), key, when },
        3 => {
            let change = Change::Merge(format!("{{\"count\":{count}}}").into());
            Write::Patch { key, change, when: Precondition::Any }
        }
        _ => Write::Delete { key, when: Precondition::Any },
    }
}

fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// The same writes to a database and to the files in memory: the same answers, and in the end the export is those files,
/// byte for byte.
#[test]
fn an_export_is_the_files_as_they_would_be() {
    for (database, seed) in Database::all().zip([0x5eed_u64, 0x5eed_0002]) {
        let source = Scripted::default();
        let objects = Arc::new(MemoryObjects::new());
        let files: Arc<dyn repot_core::store::Objects> = Arc::<MemoryObjects>::clone(&objects);
        for (path, text) in FILES {
            source.put(path, text);
            block_on(objects.put(path, text.into(), &Precondition::Absent, None)).unwrap();
        }
        copy(&database, &source).unwrap();
        let memory = BucketStore::new(files, layout(), DOCUMENT_BYTES_MAX);
        let store = database.open();
        let (keys, mut state) = (keys(), seed);
        block_on(async {
            for step in 0..150 {
                let key = &keys[usize::try_from(next(&mut state) % keys.len() as u64).unwrap()];
                let mut work = UnitOfWork::default().with(write(key, next(&mut state)));
                // every third is of two documents of one file
                let other = &keys[usize::try_from(next(&mut state) % keys.len() as u64).unwrap()];
                let alike = |key: &DocumentKey| layout().whereabouts(key).unwrap().paths;
                if step % 3 == 0 && other != key && alike(other) == alike(key) {
                    work = work.with(write(other, next(&mut state)));
                }
                let (ours, theirs) = (store.apply(work.clone()).await, memory.apply(work.clone()).await);
                match (&ours, &theirs) {
                    (Ok(ours), Ok(theirs)) => assert_eq!(ours, theirs, "step {step}: {work:?}"),
                    (Err(ours), Err(theirs)) => {
                        assert_eq!(ours.code(), theirs.code(), "step {step}: {work:?}");
                    }
                    _ => panic!("step {step}: {work:?}: {ours:?} but {theirs:?}"),
                }
            }
        });
        drop(store);
        let proof = proof(&database);
        assert!(proof.holds(), "{:?}", proof.differences);
        let exported = exported(&database);
        let files = block_on(objects.list("", None, 100)).unwrap();
        assert_eq!(files.len(), exported.len());
        for file in files {
            let text = block_on(objects.get(&file.path, u64::MAX)).unwrap().unwrap().bytes;
            let ours = String::from_utf8_lossy(&exported[&file.path]);
            assert_eq!(ours, String::from_utf8_lossy(&text), "{}", file.path);
        }
    }
}

fn entry(id: &str) -> DocumentKey {
    DocumentKey::new("entries", id).in_tenant("t1")
}

/// Which records of documents were written, whatever their texts: a row that is written anew has another number.
fn records(database: &Database) -> BTreeMap<String, String> {
    let number = match database {
        Database::Sqlite(_) => "rowid",
        Database::Postgres(..) => "ctid",
    };
    let found = database.ask(&format!("select ordinal, {number} from repot_documents"));
    let pair = |line: &str| line.split_once('|').map(|(one, two)| (one.to_owned(), two.to_owned()));
    let lines: BTreeMap<String, String> = found.lines().filter_map(pair).collect();
    assert!(!lines.is_empty());
    lines
}

/// Of a file with many documents one is written: the records of the others are not touched.
#[test]
fn a_write_touches_its_own_document_only() {
    const MANY: usize = 400;
    for database in Database::all() {
        let source = Scripted::default();
        let lines: String = (0..MANY).map(|at| format!("{{\"id\":\"j{at:03}\",\"count\":1}}\n")).collect();
        source.put("journals/t1.jsonl", &lines);
        copy(&database, &source).unwrap();
        let store = database.open();
        let changed = |before: &BTreeMap<String, String>| {
            let after = records(&database);
            let same = after.iter().filter(|(ordinal, id)| before.get(*ordinal) == Some(id)).count();
            (after.len(), after.len() - same)
        };
        let put =
            |id: &str| block_on(store.put(&entry(id), format!("{{\"id\":\"{id}\",\"count\":2}}"))).unwrap();
        let before = records(&database);
        put("j017");
        assert_eq!(changed(&before), (MANY, 1));
        let before = records(&database);
        put("new");
        assert_eq!(changed(&before), (MANY + 1, 1));
        let before = records(&database);
        assert!(block_on(store.delete(&entry("j003"), Precondition::Any)).unwrap());
        assert_eq!(changed(&before), (MANY, 0));
        drop(store);
        assert!(proof(&database).holds());
        let wanted = lines
            .replace("\"j017\",\"count\":1", "\"j017\",\"count\":2")
            .replace("{\"id\":\"j003\",\"count\":1}\n", "")
            + "{\"id\":\"new\",\"count\":2}\n";
        assert_eq!(String::from_utf8_lossy(&exported(&database)["journals/t1.jsonl"]), wanted);
    }
}

/// Rows that SQL changes, deletes and makes are in the next read of their documents, and settle into the file.
#[test]
fn what_sql_does_is_in_the_next_read() {
    for database in Database::all() {
        let source = Scripted::default();
        for (path, text) in FILES {
            source.put(path, text);
        }
        copy(&database, &source).unwrap();
        let store = database.open();
        let (card, setting) =
            (DocumentKey::of_parts("cards", &["b1", "c1"]), DocumentKey::new("settings", "s0"));
        block_on(async {
            store.put(&setting, "{\"count\":1,\"tags\":[\"x\",\"y\"]}").await.unwrap();
            let was = store.require(&card).await.unwrap().etag;
            database.sql("update cards set count = 7 where id = 'c1'; delete from cards where id = 'c0'; delete from setting_tags where tag = 'x'");
            let read = store.require(&card).await.unwrap();
            assert_eq!(read.body, "{\"id\":\"c1\",\"count\":7}");
            assert_ne!(read.etag, was);
            assert_eq!(store.replace(&card, body(&card, 1), &was).await.unwrap_err().code(), "R0401");
            let gone = DocumentKey::of_parts("cards", &["b1", "c0"]);
            assert_eq!(store.get(&gone).await.unwrap(), None);
            assert!(!store.delete(&gone, Precondition::Any).await.unwrap());
            assert_eq!(store.require(&setting).await.unwrap().body, "{\"count\":1,\"tags\":[\"y\"]}");
            database.sql("insert into settings (name, count) values ('s9', 9)");
            let made = store.require(&DocumentKey::new("settings", "s9")).await.unwrap().body;
            assert_eq!(made, "{\"count\": 9}");
            let listed = store.list(&Scope::of("settings"), None, 10).await.unwrap().items;
            assert_eq!(listed.iter().map(|item| item.key.text()).collect::<Vec<_>>(), ["s0", "s1", "s9"]);
            store
                .change(&card, Change::Merge("{\"title\":\"t\"}".into()), Precondition::Matches(read.etag))
                .await
                .unwrap();
        });
        drop(store);
        let (model, plan, _) = model();
        assert!(repot_engine::store::settle(database.target(), (model, plan), &Database::options()).unwrap());
        let proof = proof(&database);
        assert!(proof.holds(), "{:?}", proof.differences);
        let files = exported(&database);
        let text = |path: &str| String::from_utf8_lossy(&files[path]).into_owned();
        assert_eq!(
            text("boards/b1.json"),
            "{ \"v\":1,\n \"cards\": [\n\t{\"id\":\"c1\",\"count\":7,\"title\":\"t\"},\n\t{\"id\":\"c2\"}\n ], \"z\":[] }"
        );
        assert!(text("settings.json").contains("\"tags\":[\"y\"]"), "{}", text("settings.json"));
        assert!(text("settings.json").contains("\"s9\" : {\"count\": 9}"), "{}", text("settings.json"));
        whole_hashes(&database);
    }
}

/// A proof of files compares them with the files' own hashes, also after single documents were written.
fn whole_hashes(database: &Database) {
    std::thread::scope(|scope| {
        let read = || {
            let mut reader = database.target().reader().unwrap();
            reader.objects(None, 100, false).unwrap()
        };
        let objects = scope.spawn(read).join().unwrap();
        assert!(objects.iter().all(|object| object.record.sha256.len() == 32), "{objects:?}");
    });
}

/// Several processes write different documents of one file, and nobody's are lost.
#[test]
fn stores_beside_each_other_lose_nothing() {
    const STORES: usize = 3;
    const EACH: usize = 12;
    for database in Database::all() {
        let stores: Vec<Arc<dyn Store>> = (0..STORES).map(|_| database.open()).collect();
        std::thread::scope(|scope| {
            for (number, store) in stores.iter().enumerate() {
                scope.spawn(move || {
                    block_on(async {
                        for at in 0..EACH {
                            let key = DocumentKey::of_parts("cards", &["b1", &format!("{number}-{at}")]);
                            store.create(&key, body(&key, 1)).await.unwrap();
                            if at % 3 == 2 {
                                let gone =
                                    DocumentKey::of_parts("cards", &["b1", &format!("{number}-{}", at - 1)]);
                                assert!(store.delete(&gone, Precondition::Any).await.unwrap());
                            }
                        }
                    });
                });
            }
        });
        let page = block_on(stores[0].list(&Scope::of("cards"), None, 1_000)).unwrap();
        assert_eq!(page.items.len(), STORES * EACH * 2 / 3);
        drop(stores);
        let proof = proof(&database);
        assert!(proof.holds(), "{:?}", proof.differences);
    }
}

const KEPT: &str = r#"
[repot]
source = "./data"

[lines]
file        = "lines/{user_id}.jsonl"
tenant      = "user_id"
soft_delete = "30d"

[lines.fields]
id      = "text key"
user_id = "text"
order   = "position"
"#;

/// A deleted line comes back as it was, among the others; and the log says whose documents changed.
#[test]
fn a_deleted_line_can_be_had_back() {
    for database in Database::all() {
        let store = database.try_open_as(repot_testkit::compiled(KEPT)).unwrap();
        let line = |id: &str| DocumentKey::new("lines", id).in_tenant("u1");
        block_on(async {
            for id in ["a", "b", "c"] {
                store.put(&line(id), format!("{{ \"id\":\"{id}\" }}")).await.unwrap();
            }
            let position = store.position().await.unwrap();
            assert!(store.delete(&line("a"), Precondition::Any).await.unwrap());
            let trash = store.trash().unwrap();
            assert_eq!(trash.restore(&line("a")).await.unwrap(), [line("a")]);
            assert_eq!(trash.restore(&line("a")).await.unwrap_err().code(), "R0418");
            assert_eq!(store.require(&line("a")).await.unwrap().body, "{ \"id\":\"a\" }");
            let tenant = |tenant: &str| ChangeScope::Tenant(tenant.to_owned());
            let page = store.changes(&tenant("u1"), position, 10).await.unwrap();
            let seen: Vec<(&DocumentKey, ChangeKind)> =
                page.entries.iter().map(|entry| (&entry.key, entry.kind)).collect();
            assert_eq!(seen, [(&line("a"), ChangeKind::Deleted), (&line("a"), ChangeKind::Put)]);
            assert!(store.changes(&tenant("u2"), position, 10).await.unwrap().entries.is_empty());
        });
    }
}
