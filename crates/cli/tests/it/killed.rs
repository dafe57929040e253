//! kill -9 while a thousand writers write documents through a store: what was acknowledged is there, whole, once, and
//! nothing else but what was sent; rows and text agree, and so does the record of changes; and the next process goes on
//! writing. Some writers' documents have files of their own, some stand with others' in one file.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::ops::Range;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;

use repot_core::store::{DocumentKey, Precondition, Scope, Store, StoreExt as _};
use repot_s3lab::S3Lab;
use repot_testkit::TempTree;

use crate::project::{Database, Project, ran};
use crate::writers::{self, COUNTER, MODEL, Place, SHARED, Step, Wrote, next_step, shared_name};

/// Set for the processes that the tests start: the store, the number of the first step, and the file of what is there.
const PLACE: &str = "REPOT_TEST_KILLED_PLACE";
const FIRST: &str = "REPOT_TEST_KILLED_FIRST";
const STATES: &str = "REPOT_TEST_KILLED_STATES";
/// Writers at once.
const WRITERS: usize = 1_000;
/// Steps of one writer in one process, and more than it ever does.
const STEPS: usize = 10_000;

/// A process that writes, killed when it is dropped.
struct Writing {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Writing {
    fn start(place: &Place, first: usize, states: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "killed::writes_until_it_is_killed", "--nocapture"])
            .env(PLACE, place.to_text())
            .env(FIRST, first.to_string())
            .env(STATES, states)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// For each writer that had an answer, how many of its steps were acknowledged.
type Acknowledged = BTreeMap<usize, usize>;

/// `ack WRITER STEP`; what else the test harness prints is none.
fn note_line(line: &str, acknowledged: &mut Acknowledged) -> bool {
    assert!(!line.starts_with("failed"), "{line}");
    let Some(rest) = line.strip_prefix("ack ") else { return false };
    let (writer, step) = rest.split_once(' ').unwrap();
    let (writer, step): (usize, usize) = (writer.parse().unwrap(), step.parse().unwrap());
    let before = acknowledged.insert(writer, step + 1);
    assert_eq!(before.unwrap_or(0), step, "each writer does one step after the other");
    true
}

/// Lets a new process write until so many steps are acknowledged, and kills it.
fn write_and_kill(place: &Place, (first, wrote): (usize, &[Wrote]), steps: usize) -> Acknowledged {
    let folder = TempTree::new();
    folder.write("states", writers::states_text(wrote));
    let mut acknowledged = Acknowledged::new();
    let mut writing = Writing::start(place, first, &folder.join("states"));
    let mut seen = 0;
    while seen < steps {
        let line = writing.lines.next().expect("it writes until it is killed").unwrap();
        seen += usize::from(note_line(&line, &mut acknowledged));
    }
    writing.child.kill().unwrap();
    assert!(!writing.child.wait().unwrap().success());
    // what it had printed is acknowledged too
    for line in writing.lines.by_ref().map_while(Result::ok) {
        note_line(&line, &mut acknowledged);
    }
    acknowledged
}

/// The process that is killed; nothing when the tests run it by its name.
#[test]
fn writes_until_it_is_killed() {
    let Some(place) = std::env::var_os(PLACE) else { return };
    let place = Place::from_text(place.to_str().unwrap());
    let first: usize = std::env::var_os(FIRST).unwrap().to_str().unwrap().parse().unwrap();
    let states = std::fs::read_to_string(std::env::var_os(STATES).unwrap()).unwrap();
    let store = place.open();
    runtime().block_on(async {
        store.probe().await.unwrap();
        let tasks: Vec<_> = writers::states(&states)
            .into_iter()
            .enumerate()
            .map(|(writer, mut wrote)| {
                let store = Arc::clone(&store);
                tokio::spawn(async move {
                    for number in 0..STEPS {
                        let step = next_step(store.as_ref(), writer, first + number, &wrote);
                        let line = match step.send(store.as_ref(), writer).await {
                            Ok(()) => format!("ack {writer} {number}\n"),
                            Err(error) => format!("failed {writer} {step:?}: {error:?}\n"),
                        };
                        wrote = step.after(wrote);
                        // not `print`, which tests capture
                        std::io::stdout().write_all(line.as_bytes()).unwrap();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// What all rounds until now did to the documents that many share.
#[derive(Default)]
struct Shared {
    /// Words of acknowledged appends, by document.
    appended: BTreeMap<String, Vec<String>>,
    /// Words that may be there besides.
    perhaps: Vec<String>,
    /// Acknowledged increments, and those that were sent without an answer.
    counted: usize,
    counted_perhaps: usize,
}

/// The writer's own documents after its last acknowledged step, and after the one that was under way.
fn expected(
    store: &dyn Store,
    (writer, mut wrote): (usize, Wrote),
    steps: Range<usize>,
    shared: &mut Shared,
) -> [Wrote; 2] {
    let last = steps.end;
    for number in steps {
        let step = next_step(store, writer, number, &wrote);
        match &step {
            Step::AppendShared(word) => {
                shared.appended.entry(shared_name(writer)).or_default().push(word.clone());
            }
            Step::Count => shared.counted += 1,
            _ => {}
        }
        wrote = step.after(wrote);
    }
    let sent = next_step(store, writer, last, &wrote);
    match &sent {
        Step::AppendShared(word) => shared.perhaps.push(word.clone()),
        Step::Count => shared.counted_perhaps += 1,
        _ => {}
    }
    [wrote.clone(), sent.after(wrote)]
}

/// Every writer's own documents are in the state after its last acknowledged step, or in the one after that: which
/// it is, is what the next process begins with.
async fn check_own(store: &Arc<dyn Store>, expected: Vec<[Wrote; 2]>) -> Vec<Wrote> {
    const TOGETHER: usize = 125;
    let mut checks = Vec::new();
    let mut writers = expected.into_iter().enumerate().peekable();
    while writers.peek().is_some() {
        let some: Vec<(usize, [Wrote; 2])> = writers.by_ref().take(TOGETHER).collect();
        let store = Arc::clone(store);
        checks.push(tokio::spawn(async move {
            let mut found = Vec::new();
            for (writer, states) in some {
                let is = Wrote::read(store.as_ref(), writer, &states).await;
                assert!(states.contains(&is), "writer {writer}: {is:#?}, and not one of {states:#?}");
                writers::check_record(store.as_ref(), writer).await;
                found.push(is);
            }
            found
        }));
    }
    let mut found = Vec::new();
    for check in checks {
        found.extend(check.await.unwrap());
    }
    found
}

/// Every acknowledged append is there once, in the order of its writer; besides, only what was sent.
async fn check_shared(store: &dyn Store, shared: &Shared) {
    let mut perhaps = shared.perhaps.clone();
    for number in 0..SHARED {
        let name = shared_name(number);
        let text = store.require(&DocumentKey::new("notes", &name)).await.unwrap().body;
        let text = std::str::from_utf8(&text).unwrap();
        let mut places = BTreeMap::new();
        for (at, word) in text.split("{\"word\": \"").skip(1).enumerate() {
            let word = word.split('"').next().unwrap();
            assert_eq!(places.insert(word, at), None, "{word} is there twice");
        }
        let acknowledged = shared.appended.get(&name).map_or(&[][..], Vec::as_slice);
        let mut last: Option<(&str, usize)> = None;
        for word in acknowledged {
            let at = places.remove(word.as_str()).unwrap_or_else(|| panic!("{word} was lost in {name}"));
            let writer = word.split('-').next().unwrap();
            assert!(
                last.is_none_or(|(other, before)| other != writer || before < at),
                "{word} is out of order"
            );
            last = Some((writer, at));
        }
        for word in places.keys() {
            let sent = perhaps.iter().position(|other| other == word);
            perhaps.swap_remove(sent.unwrap_or_else(|| panic!("{word} in {name} was never sent")));
        }
    }
    let counter = store.require(&DocumentKey::new("notes", COUNTER)).await.unwrap().body;
    let counted = writers::count(&counter);
    let most = shared.counted + shared.counted_perhaps;
    assert!((shared.counted..=most).contains(&counted), "{counted} of {}..={most}", shared.counted);
}

/// Kills one process after the other, each after another number of acknowledged writes, and looks after each what is there.
fn kill(place: &Place, when_dead: impl Fn()) {
    let full = repot_testkit::full();
    let counts: Vec<usize> =
        if full { (0..20).map(|round| 1 + round * 997 % 4_000).collect() } else { vec![1, 700, 400] };
    runtime().block_on(writers::begin(place.open().as_ref()));
    let mut shared = Shared::default();
    let mut wrote = vec![Wrote::default(); WRITERS];
    for (round, count) in counts.into_iter().enumerate() {
        let first = round * STEPS;
        let acknowledged = write_and_kill(place, (first, &wrote), count);
        when_dead();
        let store = place.open();
        runtime().block_on(async {
            store.probe().await.unwrap();
            let was = std::mem::take(&mut wrote).into_iter().enumerate();
            let expected = was.map(|(writer, was)| {
                let done = acknowledged.get(&writer).copied().unwrap_or(0);
                expected(store.as_ref(), (writer, was), first..first + done, &mut shared)
            });
            let expected = expected.collect();
            wrote = check_own(&store, expected).await;
            check_shared(store.as_ref(), &shared).await;
            go_on(store.as_ref(), WRITERS + round, &mut shared).await;
        });
    }
}

/// Nothing that the kill left is in the way of a new writer, and what is listed can be read.
async fn go_on(store: &dyn Store, writer: usize, shared: &mut Shared) {
    let word = format!("after{writer}-0");
    Step::AppendShared(word.clone()).send(store, writer).await.unwrap();
    shared.appended.entry(shared_name(writer)).or_default().push(word);
    let own = DocumentKey::new("notes", &format!("n{writer}"));
    store.put(&own, writers::text(&own, 0)).await.unwrap();
    assert!(store.delete(&own, Precondition::Any).await.unwrap());
    for collection in ["notes", "lines", "kept"] {
        let page = store.list(&Scope::of(collection), None, 50).await.unwrap();
        for item in page.items {
            assert_eq!(store.require(&item.key).await.unwrap().body.len() as u64, item.size_bytes);
        }
    }
}

fn project(database: Database) -> Project {
    let project = Project::with(database, MODEL, &[]);
    std::fs::create_dir(project.path("data")).unwrap();
    project
}

/// No session of a killed process is at work any more: what was under way is committed or rolled back.
fn until_sessions_ended(url: &str) {
    let server = repot_testkit::postgres::postgres().unwrap();
    let sql = "select count(*) from pg_stat_activity where application_name = 'repot' and datname = current_database()";
    while server.query(url, sql) != "0\n" {}
}

#[test]
fn a_sqlite_file_with_a_thousand_writers() {
    in_database(Database::Sqlite);
}

#[test]
fn a_postgres_database_with_a_thousand_writers() {
    let Some(url) = repot_testkit::postgres::fresh_database() else { return };
    in_database(Database::Postgres(url));
}

fn in_database(database: Database) {
    let project = project(database);
    match &project.database {
        Database::Sqlite => kill(&Place::Sqlite(project.path("repot.db")), || {}),
        Database::Postgres(url) => kill(&Place::Postgres(url.clone()), || until_sessions_ended(url)),
    }
    let proof = project.run(&["verify", "--json"]).expect(0).result();
    assert!(proof["proved"].as_u64().unwrap() > SHARED as u64, "{proof}");
}

/// What is left beside the documents is no document, neither for a listing nor for a copy, which proves the rest.
#[test]
fn a_directory_with_a_thousand_writers() {
    let project = project(Database::Sqlite);
    kill(&Place::Directory(project.path("data")), || {});
    let copied = project.run(&["copy", "--json"]).expect(0).result();
    assert!(copied["moved"].as_u64().unwrap() > SHARED as u64, "{copied}");
    assert_eq!((&copied["moved"], &copied["set_aside"]), (&copied["proved"], &0.into()), "{copied}");
    project.run(&["verify", "--json"]).expect(0);
}

#[test]
fn a_bucket_with_a_thousand_writers() {
    let project = project(Database::Sqlite);
    let lab = S3Lab::start();
    let [bucket, endpoint] = [lab.bucket().to_owned(), lab.endpoint()];
    let keys = [lab.access_key(), lab.secret_key()].map(str::to_owned);
    kill(&Place::Bucket { bucket, endpoint, keys }, || {});
    let run = |words: &[&str]| {
        let mut command = project.command(words);
        command
            .env("REPOT_SOURCE", format!("s3://{}", lab.bucket()))
            .env("REPOT_SOURCE_ENDPOINT", lab.endpoint())
            .env("AWS_ACCESS_KEY_ID", lab.access_key())
            .env("AWS_SECRET_ACCESS_KEY", lab.secret_key());
        ran(&command.output().unwrap()).expect(0).result()
    };
    let copied = run(&["copy", "--json"]);
    assert_eq!((&copied["moved"], &copied["set_aside"]), (&copied["proved"], &0.into()), "{copied}");
    run(&["verify", "--json"]);
}
