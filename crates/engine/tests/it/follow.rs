//! Following real directories and buckets beside a database that they were copied into.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;

use async_trait::async_trait;
use repot_bucket::{DirectoryObjects, DirectorySource, DirectoryWatch, S3Config, S3Objects, S3Source};
use repot_core::moving::{Hints, Marks};
use repot_core::store::{DocumentKey, Objects, StoreExt as _};
use repot_core::{Clock, FixedClock, LockHolder, Result, Source, SystemClock};
use repot_engine::copy::Copy;
use repot_engine::moving::{FollowOptions, Followed, Follower, Known as _, ObjectState, Sight};
use repot_engine::store::RowStore;
use repot_engine::{NoProgress, Options, TokioPacing};
use repot_s3lab::S3Lab;
use repot_testkit::conformance::{layout, model};
use repot_testkit::{HandClock, TempTree};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::documents::{Database, block_on, note};

/// No second scan within the test.
const ONLY_ONE_SCAN: FollowOptions = FollowOptions {
    interval_ms: 3_600_000,
    share_percent: 10,
    debounce_ms: 20,
    young_ms: 2_000,
    claim_ms: 60_000,
    document_bytes_max: 1 << 20,
};

#[derive(Debug)]
struct Told(UnboundedSender<DocumentKey>);

#[async_trait]
impl Marks for Told {
    async fn mark(&self, keys: &[DocumentKey]) -> Result<()> {
        for key in keys {
            self.0.send(key.clone()).expect("the test listens");
        }
        Ok(())
    }
}

/// Copies everything, as before a move.
fn copied(database: &Database, source: &dyn Source) -> Arc<RowStore> {
    let (model, plan, model_text) = model();
    let (options, me) = (Options::default(), LockHolder { host: "here".to_owned(), pid: 8, since_ms: 0 });
    let (progress, clock) = (&NoProgress, &FixedClock(0));
    let copy =
        Copy { source, model: &model, model_text, plan: &plan, options: &options, progress, clock, me };
    copy.run(database.target().as_mut(), false).unwrap();
    Arc::new(database.try_open().unwrap())
}

fn follower(
    objects: Arc<dyn Objects>,
    known: &Arc<RowStore>,
    hints: Option<Arc<dyn Hints>>,
    (clock, options): (Arc<dyn Clock>, FollowOptions),
) -> (Follower, UnboundedReceiver<DocumentKey>) {
    let (tell, told) = unbounded_channel();
    let with = Followed {
        objects,
        layout: Arc::new(layout()),
        known: Arc::clone(known) as Arc<_>,
        marks: Arc::new(Told(tell)),
        hints,
        clock,
        pacing: Arc::new(TokioPacing),
    };
    (Follower::new(with, options), told)
}

/// Waits until all of these were told; gives what else was.
async fn heard(told: &mut UnboundedReceiver<DocumentKey>, wanted: &[DocumentKey]) -> BTreeSet<DocumentKey> {
    let mut wanted: BTreeSet<DocumentKey> = wanted.iter().cloned().collect();
    let mut others = BTreeSet::new();
    while !wanted.is_empty() {
        let key = told.recv().await.expect("the follower lives");
        if !wanted.remove(&key) {
            others.insert(key);
        }
    }
    others
}

fn event(id: &str) -> DocumentKey {
    DocumentKey::at("events", &[("day", "d1"), ("id", id)])
}

async fn scanned(follower: &Follower) {
    while follower.status().scanned_ms.is_none() {
        tokio::task::yield_now().await;
    }
}

/// Writes, renames, removals and whole folders are marked at once; what is no document's is not.
#[test]
fn what_a_watcher_tells_is_marked_without_a_scan() {
    let tree = TempTree::with([
        ("notes/a.json", r#"{"id":"a"}"#),
        ("notes/b.json", r#"{"id":"b"}"#),
        ("events/d1.jsonl", "{\"id\":\"e1\"}\n{\"id\":\"e2\"}\n"),
    ]);
    let beside = TempTree::with([("t1/c.json", r#"{"id":"c"}"#)]);
    let database = Database::sqlite();
    let known = copied(&database, &DirectorySource::open(tree.path(), Arc::new(SystemClock)).unwrap());
    let objects = Arc::new(DirectoryObjects::open(tree.path()).unwrap());
    let watch = Arc::new(DirectoryWatch::open(tree.path()).unwrap());
    let (follower, mut told) = follower(objects, &known, Some(watch), (Arc::new(SystemClock), ONLY_ONE_SCAN));
    block_on(follower.run(async {
        scanned(&follower).await;
        assert_eq!(follower.status().marked, 0, "everything is as it was copied");
        assert!(follower.status().watching);
        // of the same size
        tree.write("notes/a.json", r#"{"id":"A"}"#);
        assert!(heard(&mut told, &[note("a")]).await.is_empty());
        // one document of the file changes, one goes, one comes
        tree.write("events/d1.jsonl", "{\"id\":\"e1\",\"count\":1}\n{\"id\":\"e3\"}\n");
        let others = heard(&mut told, &[event("e1"), event("e2"), event("e3")]).await;
        assert!(others.is_subset(&BTreeSet::from([note("a")])), "{others:?}");
        fs::rename(tree.join("notes/b.json"), tree.join("notes/c.json")).unwrap();
        heard(&mut told, &[note("b"), note("c")]).await;
        // under another name first
        fs::write(tree.join("notes/.d.tmp"), r#"{"id":"d"}"#).unwrap();
        fs::rename(tree.join("notes/.d.tmp"), tree.join("notes/d.json")).unwrap();
        heard(&mut told, &[note("d")]).await;
        // a whole folder comes, is renamed, and goes
        let chat = |tenant: &str| DocumentKey::new("chats", "c").in_tenant(tenant);
        fs::rename(beside.path(), tree.join("chats")).unwrap();
        heard(&mut told, &[chat("t1")]).await;
        fs::rename(tree.join("chats/t1"), tree.join("chats/t2")).unwrap();
        heard(&mut told, &[chat("t1"), chat("t2")]).await;
        fs::rename(tree.join("chats"), beside.path()).unwrap();
        heard(&mut told, &[chat("t2")]).await;
        tree.write("other/x.json", "{}");
        tree.write(".repot/x.json", "{}");
        fs::remove_file(tree.join("notes/a.json")).unwrap();
        heard(&mut told, &[note("a")]).await;
    }));
    let status = follower.status();
    assert!(status.hints >= 10 && status.marked >= 12, "{status:?}");
    assert_eq!((status.last_error, status.unnamed), (None, 0));
}

/// More changes than are kept as hints: a scan finds all of them, before its time.
#[test]
fn a_burst_that_overflows_is_caught_by_a_scan() {
    let tree = TempTree::with([("notes/a.json", r#"{"id":"a"}"#)]);
    let database = Database::sqlite();
    let known = copied(&database, &DirectorySource::open(tree.path(), Arc::new(SystemClock)).unwrap());
    let objects = Arc::new(DirectoryObjects::open(tree.path()).unwrap());
    let watch = Arc::new(DirectoryWatch::with_room(tree.path(), 4).unwrap());
    let (follower, mut told) = follower(objects, &known, Some(watch), (Arc::new(SystemClock), ONLY_ONE_SCAN));
    block_on(follower.run(async {
        scanned(&follower).await;
        let names: Vec<String> = (0..300).map(|at| format!("n{at}")).collect();
        for name in &names {
            tree.write(format!("notes/{name}.json"), "{}");
        }
        let keys: Vec<DocumentKey> = names.iter().map(|name| note(name)).collect();
        heard(&mut told, &keys).await;
    }));
    assert!(follower.status().hints < 300, "{:?}", follower.status());
}

/// A file that is too large to be read stops nothing, is said, and is looked at in every scan.
#[test]
fn what_cannot_be_read_is_said_and_looked_at_again() {
    let tree = TempTree::with([("events/d1.jsonl", "{\"id\":\"e1\"}\n"), ("notes/z.json", "{}")]);
    let database = Database::sqlite();
    let known = copied(&database, &DirectorySource::open(tree.path(), Arc::new(SystemClock)).unwrap());
    let objects = Arc::new(DirectoryObjects::open(tree.path()).unwrap());
    let options = FollowOptions { document_bytes_max: 30, ..ONLY_ONE_SCAN };
    let clock = HandClock::at(SystemClock.now_ms() + 3_600_000);
    let (follower, mut told) = follower(objects, &known, None, (Arc::new(clock), options));
    tree.write("events/d1.jsonl", "{\"id\":\"e1\"}\n{\"id\":\"e2\"}\n{\"id\":\"e3\"}\n");
    tree.write("notes/z.json", r#"{"id":"z"}"#);
    for marked in [2, 1] {
        // the document that the database has of it, and the note after it
        assert_eq!(block_on(follower.scan()).unwrap().marked, marked);
        assert!(follower.status().last_error.unwrap().contains("30 are the most"));
    }
    tree.write("events/d1.jsonl", "{\"id\":\"e2\"}\n");
    assert_eq!(block_on(follower.scan()).unwrap().marked, 2);
    assert_eq!(follower.status().last_error, None);
    let told: Vec<_> = std::iter::from_fn(|| told.try_recv().ok()).collect();
    assert_eq!(told, [event("e1"), note("z"), event("e1"), event("e1"), event("e2")]);
}

/// A directory that goes away is not an empty one: nothing is taken for deleted, and following goes on.
#[test]
fn a_source_out_of_reach_is_tried_again() {
    let tree = TempTree::with([("notes/a.json", r#"{"id":"a"}"#)]);
    let database = Database::sqlite();
    let known = copied(&database, &DirectorySource::open(tree.path(), Arc::new(SystemClock)).unwrap());
    let objects = Arc::new(DirectoryObjects::open(tree.path()).unwrap());
    let (follower, mut told) = follower(objects, &known, None, (Arc::new(SystemClock), ONLY_ONE_SCAN));
    fs::remove_dir_all(tree.path()).unwrap();
    block_on(follower.run(async {
        while follower.status().last_error.is_none() {
            tokio::task::yield_now().await;
        }
    }));
    let status = follower.status();
    assert_eq!((status.scanned_ms, status.marked, status.watching), (None, 0, false));
    assert!(told.try_recv().is_err());
}

/// A bucket tells by its `ETags`; what did not change since the copy is not marked.
#[test]
fn a_bucket_is_followed_by_its_etags() {
    let lab = S3Lab::start();
    lab.limit_pages(2);
    for id in ["a", "b", "c", "d"] {
        lab.put(format!("notes/{id}.json"), format!(r#"{{"id":"{id}"}}"#));
    }
    let config = || S3Config {
        bucket: lab.bucket().to_owned(),
        endpoint: Some(lab.endpoint()),
        access_key: lab.access_key().to_owned(),
        secret_key: lab.secret_key().to_owned(),
        ..S3Config::default()
    };
    let database = Database::sqlite();
    let known = copied(&database, &S3Source::open(config()).unwrap());
    let clock = HandClock::at(SystemClock.now_ms() + 3_600_000);
    let objects = Arc::new(S3Objects::open(config()).unwrap());
    let (follower, mut told) = follower(objects, &known, None, (Arc::new(clock), ONLY_ONE_SCAN));
    assert_eq!(block_on(follower.scan()).unwrap().marked, 0);
    lab.put("notes/b.json", r#"{"id":"B"}"#);
    lab.remove("notes/c.json");
    lab.put("notes/e.json", r#"{"id":"e"}"#);
    lab.put("README.md", "beside");
    let scanned = block_on(follower.scan()).unwrap();
    assert_eq!((scanned.listed, scanned.marked), (5, 3));
    let told: Vec<_> = std::iter::from_fn(|| told.try_recv().ok()).collect();
    assert_eq!(told, [note("b"), note("c"), note("e")]);
    // what went is marked until the database has it no more
    assert_eq!(block_on(follower.scan()).unwrap().marked, 1);
    block_on(known.delete(&note("c"), repot_core::store::Precondition::Any)).unwrap();
    assert_eq!(block_on(follower.scan()).unwrap().marked, 0);
}

/// What was seen is kept in the database, and read by the page; a record of what was written there says nothing of the source.
#[test]
fn a_database_knows_what_was_copied_and_what_was_seen() {
    for database in Database::all() {
        let tree = TempTree::with([
            ("notes/a.json", "{\"id\":\"a\"}"),
            ("events/d1.jsonl", "{\"id\":\"e1\"}\n"),
            ("x", ""),
        ]);
        let known = copied(&database, &DirectorySource::open(tree.path(), Arc::new(SystemClock)).unwrap());
        block_on(async {
            let recorded = known.recorded(None, 10).await.unwrap();
            let paths: Vec<&str> = recorded.iter().map(|(path, _)| path.as_str()).collect();
            assert_eq!(paths, ["events/d1.jsonl", "notes/a.json"], "and nothing of what is not moved");
            let head = DirectoryObjects::open(tree.path()).unwrap().head("notes/a.json").await.unwrap();
            assert_eq!(recorded[1].1, head.as_ref().map(ObjectState::from));
            assert_eq!(known.recorded(None, 1).await.unwrap(), recorded[..1]);
            assert_eq!(known.recorded(Some("events/d1.jsonl"), 1).await.unwrap(), recorded[1..]);
            known.put(&note("a"), "{\"id\":\"a\",\"count\":1}").await.unwrap();
            assert_eq!(known.recorded(Some("f"), 9).await.unwrap(), [("notes/a.json".to_owned(), None)]);
            let held = known.held("events/d1.jsonl").await.unwrap();
            assert_eq!(held, [("events".to_owned(), "e1".to_owned())]);
            assert!(known.held("nothing").await.unwrap().is_empty());
            let sight = |at: i64| {
                let state = ObjectState { size_bytes: 1, modified_ns: at, etag: Some("e".to_owned()) };
                Some(Sight { state, again_ms: Some(at) })
            };
            let long = "p".repeat(2_000);
            let mut sights: Vec<_> = (0..250).map(|at| (format!("p{at:03}"), sight(at))).collect();
            sights.push((long.clone(), sight(1)));
            known.note(&sights).await.unwrap();
            known.note(&[("p007".to_owned(), None)]).await.unwrap();
            let seen = known.seen(Some("p005"), 3).await.unwrap();
            let paths: Vec<&str> = seen.iter().map(|(path, _)| path.as_str()).collect();
            assert_eq!(paths, ["p006", "p008", "p009"]);
            assert_eq!(Some(seen[0].1.clone()), sight(6));
            assert_eq!(
                known.seen(None, 5_000).await.unwrap().len(),
                249,
                "without the path that is too long"
            );
            assert!(known.seen(Some(&long), 10).await.unwrap().is_empty());
        });
        drop(known);
        let again = database.try_open().unwrap();
        assert_eq!(block_on(again.seen(None, 5_000)).unwrap().len(), 249, "in another process, too");
        block_on(again.forget_seen()).unwrap();
        assert!(block_on(again.seen(None, 1)).unwrap().is_empty());
    }
}
