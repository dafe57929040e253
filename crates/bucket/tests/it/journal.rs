//! Several writers on one directory or bucket: appends from two processes, units of work with a journal, kill -9.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use repot_bucket::{DirectoryObjects, S3Objects};
use repot_core::store::{
    BucketStore, DocumentKey, Journal, Objects, Precondition, Store, StoreExt as _, UnitOfWork, Write,
};
use repot_s3lab::S3Lab;
use repot_testkit::conformance::{
    DOCUMENT_BYTES_MAX, Subject, append_in_order, appends_by_several_stores, check_appends, layout,
};
use repot_testkit::{QuickPacing, TempTree};

use crate::s3_objects::config;

const ROLE: &str = "REPOT_TEST_JOURNAL_ROLE";
const ROOT: &str = "REPOT_TEST_JOURNAL_ROOT";
/// Appends of each task of each of the two processes.
const TIMES: usize = 25;
const TASKS: usize = 4;
/// Documents of each unit of work that is killed.
const DOCUMENTS: usize = 5;

fn directory(root: &Path) -> Arc<dyn Objects> {
    Arc::new(DirectoryObjects::open(root).expect("the folder is there"))
}

fn plain(objects: Arc<dyn Objects>) -> BucketStore {
    BucketStore::new(objects, layout(), DOCUMENT_BYTES_MAX)
}

fn journaled(objects: Arc<dyn Objects>) -> BucketStore {
    let journal = Journal::new(Arc::clone(&objects), ".journal", Arc::new(QuickPacing::default()), 50);
    plain(objects).with_journal(journal).expect("no document's place")
}

fn in_directory() -> Subject {
    let folder = TempTree::new();
    Subject { store: Arc::new(journaled(directory(folder.path()))), keep: Box::new(folder) }
}

fn in_bucket() -> Subject {
    let lab = S3Lab::start();
    let objects = Arc::new(S3Objects::open(config(&lab)).expect("good settings"));
    Subject { store: Arc::new(journaled(objects)), keep: Box::new(lab) }
}

repot_testkit::conformance!(journaled_directory, super::in_directory());
repot_testkit::conformance!(journaled_s3, super::in_bucket());

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_append_to_one_file() {
    let folder = TempTree::new();
    let store = || -> Arc<dyn Store> { Arc::new(plain(directory(folder.path()))) };
    appends_by_several_stores(&[store(), store()]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_append_to_one_object() {
    let lab = S3Lab::start();
    let mut stores: Vec<Arc<dyn Store>> = Vec::new();
    for _ in 0..2 {
        let store = plain(Arc::new(S3Objects::open(config(&lab)).expect("good settings")));
        store.probe().await.expect("it can be reached");
        stores.push(Arc::new(store));
    }
    appends_by_several_stores(&stores).await;
}

/// Starts this test binary again for a part to play.
fn start(role: &str, root: &Path) -> Child {
    Command::new(std::env::current_exe().expect("this binary has a path"))
        .args(["--exact", "journal::a_part_in_another_process", "--nocapture"])
        .env(ROLE, role)
        .env(ROOT, root)
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts")
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(future)
}

/// Nothing by itself: what the processes do that other tests start.
#[test]
fn a_part_in_another_process() {
    let (Some(role), Some(root)) = (std::env::var_os(ROLE), std::env::var_os(ROOT)) else { return };
    let root = Path::new(&root);
    match role.to_str() {
        Some("write") => run(write_units(&journaled(directory(root)), |round| println!("written {round}"))),
        Some(name) => run(append_as(name, root)),
        None => panic!("{} is no part", role.display()),
    }
}

async fn append_as(name: &str, root: &Path) {
    let store: Arc<dyn Store> = Arc::new(plain(directory(root)));
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let (store, writer) = (Arc::clone(&store), format!("{name}{task}"));
            tokio::spawn(async move { append_in_order(&store, &writer, TIMES).await })
        })
        .collect();
    for task in tasks {
        task.await.expect("appended");
    }
}

#[test]
fn two_processes_append_to_one_file() {
    let folder = TempTree::new();
    let store: Arc<dyn Store> = Arc::new(plain(directory(folder.path())));
    let note = DocumentKey::new("notes", "a");
    run(store.put(&note, r#"{"id": "a"}"#)).expect("written");
    let started = ["one", "two"].map(|name| start(name, folder.path()));
    for child in started {
        let ended = child.wait_with_output().expect("it ends");
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stdout));
    }
    let writers: Vec<String> =
        ["one", "two"].iter().flat_map(|name| (0..TASKS).map(move |task| format!("{name}{task}"))).collect();
    run(check_appends(&store, &writers, TIMES));
}

fn key(number: usize) -> DocumentKey {
    DocumentKey::new("notes", &format!("n{number}"))
}

/// The number that a document has; 0 where it is not there.
async fn round_of(store: &BucketStore, number: usize) -> u64 {
    let Some(found) = store.get(&key(number)).await.expect("it can be read") else { return 0 };
    let text = String::from_utf8(found.body.to_vec()).expect("UTF-8");
    text.split("\"count\": ").nth(1).expect("a count").trim_end_matches('}').parse().expect("a number")
}

/// Writes the same number into all documents, the next number each time, for ever; every fifth time the documents go.
async fn write_units(store: &BucketStore, acknowledged: impl Fn(u64)) {
    store.probe().await.expect("nothing is in the way");
    let mut round = round_of(store, 0).await;
    loop {
        round += 1;
        let mut unit = UnitOfWork::default();
        for number in 0..DOCUMENTS {
            let body = format!(r#"{{"id": "n{number}", "count": {round}}}"#).into();
            unit = unit.with(Write::Put { key: key(number), body, when: Precondition::Any });
        }
        store.apply(unit).await.expect("written");
        acknowledged(round);
        if round.is_multiple_of(5) {
            // the first document says how far it is; it is the one that stays
            let mut unit = UnitOfWork::default();
            for number in 1..DOCUMENTS {
                unit = unit.with(Write::Delete { key: key(number), when: Precondition::Any });
            }
            store.apply(unit).await.expect("removed");
        }
    }
}

/// A process is killed in the midst of units of work: the next who opens the store finds each done whole, or not begun,
/// and nothing that was acknowledged is lost.
#[test]
fn a_kill_leaves_all_of_a_unit_or_nothing() {
    let folder = TempTree::new();
    let mut recovered = 0;
    let rounds: u64 = if repot_testkit::full() { 300 } else { 20 };
    for round in 0..rounds {
        let mut child = start("write", folder.path());
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let number =
            |line: &str| line.split_once("written ").and_then(|(_, number)| number.parse::<u64>().ok());
        let mut acknowledged = 0;
        for _ in 0..=round * 7 % 11 {
            acknowledged = lines
                .by_ref()
                .find_map(|line| number(&line.expect("text")))
                .expect("it writes until it is killed");
        }
        // somewhere in a later unit: not by the clock, so that the test does not depend on its speed
        for _ in 0..round * 104_729 % 300_000 {
            std::hint::spin_loop();
        }
        child.kill().expect("killed");
        assert!(!child.wait().expect("it ended").success());
        let rest = lines.map_while(std::io::Result::ok).filter_map(|line| number(&line)).last();
        let acknowledged = rest.unwrap_or(acknowledged);
        run(async {
            let store = journaled(directory(folder.path()));
            recovered += u64::from(store.recover(repot_core::store::Recovery::Refuse).await.expect("done"));
            let first = round_of(&store, 0).await;
            assert!(first >= acknowledged, "{first} of {acknowledged}");
            let mut others = Vec::new();
            for number in 1..DOCUMENTS {
                others.push(round_of(&store, number).await);
            }
            let gone = first.is_multiple_of(5) && others.iter().all(|other| *other == 0);
            assert!(gone || others.iter().all(|other| *other == first), "{first} {others:?}");
        });
    }
    assert!(recovered > 0, "no kill came in the midst of a unit");
}
