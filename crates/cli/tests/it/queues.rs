//! Work queues across processes: kill -9 of workers, whose processes hold the store too, and the command.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::sync::Arc;

use repot_core::change_log::ChangeRetention;
use repot_core::store::{
    Claim, ClaimRequest, DocumentKey, Edit, Precondition, Scope, Store as _, StoreExt as _, UnitOfWork,
    WorkQueue as _, Write,
};
use repot_core::{Clock, LockHolder, SystemClock, Target};
use repot_engine::store::{PoolOptions, RowStore, RowStoreOptions};
use repot_json::Limits;
use repot_model::language::parse;
use repot_model::plan::Plan;
use repot_postgres::{PostgresOptions, PostgresTarget};
use repot_sqlite::{SqliteOptions, SqliteTarget};

use crate::project::{Database, Project, databases};

const MODEL: &str = r#"
[repot]
source = "./data"

[requests]
file  = "batches/{batch}/requests.jsonl"
queue = { lease = "5m", tries = 100 }

[requests.fields]
batch = "text key"
id    = "int key"

[results]
file = "results/{id}.json"

[results.fields]
id    = "text key"
count = "int"
"#;

/// Set for the processes that the tests start: the database.
const PLACE: &str = "REPOT_TEST_QUEUE_PLACE";
const MESSAGES: usize = 400;
const WORKERS: usize = 16;
/// More claims of one worker than it ever makes.
const ROUNDS: usize = 1_000_000;

/// The machine's clock, ahead of itself by this.
#[derive(Debug)]
struct Ahead(i64);

impl Clock for Ahead {
    fn now_ms(&self) -> i64 {
        SystemClock.now_ms() + self.0
    }
}

fn open(place: &str, ahead_ms: i64) -> Arc<RowStore> {
    let model = Arc::new(parse(MODEL, "repot.toml", &|_| None).unwrap());
    let plan = Arc::new(Plan::compile(&model).unwrap());
    let target: Box<dyn Target> = if place.starts_with("postgres") {
        Box::new(PostgresTarget::open(place, PostgresOptions::default()).unwrap())
    } else {
        Box::new(SqliteTarget::open(std::path::Path::new(place), SqliteOptions::default()).unwrap())
    };
    let options = RowStoreOptions {
        readers: 2,
        writers: 4,
        pool: PoolOptions::default(),
        document_bytes_max: 1 << 20,
        recent_bytes: 1 << 20,
        json: Limits::default(),
        me: LockHolder { host: "here".to_owned(), pid: std::process::id(), since_ms: 0 },
        clock: Arc::new(Ahead(ahead_ms)),
        changes: ChangeRetention::default(),
    };
    Arc::new(RowStore::open(target, (model, plan, MODEL), options).unwrap())
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn wanted(count: usize) -> ClaimRequest {
    let worker = std::process::id().to_string();
    ClaimRequest { scope: Scope::of("requests"), count, lease_ms: None, worker, facts: Vec::new() }
}

/// The name of a message's result.
fn name(claim: &Claim) -> String {
    claim.document.key.text().replace('/', "-")
}

/// One more effect of this message, and it is done, in one transaction.
async fn do_it(store: &RowStore, claim: Claim) -> repot_core::Result<()> {
    let id = name(&claim);
    let key = DocumentKey::new("results", &id);
    let edit = Edit::new(move |text: Option<&[u8]>| {
        let count = text.map_or(0, |text| {
            serde_json::from_slice::<serde_json::Value>(text).unwrap()["count"].as_u64().unwrap()
        });
        Ok(Some(format!("{{\"id\": \"{id}\", \"count\": {}}}", count + 1).into()))
    });
    let write = Write::Update { key, edit, when: Precondition::Any };
    store.apply(UnitOfWork::default().with(write).acking(claim.token, None)).await.map(drop)
}

/// The process that is killed; nothing when the tests run it by its name.
#[test]
fn works_until_it_is_killed() {
    let Some(place) = std::env::var_os(PLACE) else { return };
    let store = open(place.to_str().unwrap(), 0);
    runtime().block_on(async {
        let workers: Vec<_> = (0..WORKERS)
            .map(|worker| {
                let store = Arc::clone(&store);
                tokio::spawn(async move {
                    for _ in 0..ROUNDS {
                        for claim in store.claim(&wanted(1 + worker % 5)).await.unwrap() {
                            let id = name(&claim);
                            do_it(&store, claim).await.unwrap();
                            // not `print`, which tests capture
                            std::io::stdout().write_all(format!("ack {id}\n").as_bytes()).unwrap();
                        }
                    }
                })
            })
            .collect();
        for worker in workers {
            worker.await.unwrap();
        }
    });
}

/// Lets a new process work until so many messages are acknowledged, and kills it; what was acknowledged.
fn work_and_kill(place: &str, count: usize) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "queues::works_until_it_is_killed", "--nocapture"])
        .env(PLACE, place)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut acked = Vec::new();
    while acked.len() < count {
        let line = lines.next().expect("it works until it is killed").unwrap();
        acked.extend(line.strip_prefix("ack ").map(str::to_owned));
    }
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success());
    // what it had printed is acknowledged too
    for line in lines.map_while(Result::ok) {
        acked.extend(line.strip_prefix("ack ").map(str::to_owned));
    }
    acked
}

fn database_of(project: &Project) -> String {
    match &project.database {
        Database::Sqlite => project.path("repot.db").to_string_lossy().into_owned(),
        Database::Postgres(url) => url.clone(),
    }
}

#[test]
fn killed_workers_lose_and_double_nothing() {
    for database in databases() {
        let project = Project::with(database, MODEL, &[]);
        std::fs::create_dir(project.path("data")).unwrap();
        let place = database_of(&project);
        // this process holds the store too, and works beside the one that is killed
        let store = open(&place, 0);
        let runtime = runtime();
        runtime.block_on(async {
            let put = |id: usize| Write::Put {
                key: DocumentKey::at(
                    "requests",
                    &[("batch", &format!("b{}", id % 4)), ("id", &id.to_string())],
                ),
                body: format!("{{\"id\": {id}}}").into(),
                when: Precondition::Absent,
            };
            let work = UnitOfWork { writes: (0..MESSAGES).map(put).collect(), ..UnitOfWork::default() };
            store.apply(work).await.unwrap();
        });
        let mut acked = BTreeSet::new();
        for count in [1, 40, 25] {
            let beside = Arc::clone(&store);
            let own = runtime.spawn(async move {
                let mut done = Vec::new();
                for claim in beside.claim(&wanted(10)).await.unwrap() {
                    done.push(name(&claim));
                    do_it(&beside, claim).await.unwrap();
                }
                done
            });
            for id in work_and_kill(&place, count).into_iter().chain(runtime.block_on(own).unwrap()) {
                assert!(acked.insert(id.clone()), "{id} was acknowledged twice");
            }
        }
        drop(store);
        // six minutes later, when the leases of the dead are over
        let store = open(&place, 360_000);
        runtime.block_on(async {
            loop {
                let claims = store.claim(&wanted(50)).await.unwrap();
                if claims.is_empty() {
                    break;
                }
                for claim in claims {
                    assert!(!acked.contains(&name(&claim)), "{} was done already", name(&claim));
                    do_it(&store, claim).await.unwrap();
                }
            }
            let stats = store.stats(&Scope::of("requests")).await.unwrap();
            assert_eq!(
                (stats.done, stats.ready + stats.leased + stats.delayed + stats.dead),
                (MESSAGES as u64, 0)
            );
            for id in 0..MESSAGES {
                let key = DocumentKey::new("results", &format!("b{}-{id}", id % 4));
                let result = store.require(&key).await.unwrap().body;
                assert!(result.ends_with(b"\"count\": 1}"), "{key}: {result:?}");
            }
        });
    }
}

#[test]
fn the_command_shows_and_revives() {
    for database in databases() {
        let lines = b"{\"id\": 1}\n{\"id\": 2}\n{\"id\": 3}\n";
        let project = Project::with(database, MODEL, &[("batches/b/requests.jsonl", lines)]);
        project.run(&["copy"]).expect(0);
        let store = open(&database_of(&project), 0);
        runtime().block_on(async {
            let claims = store.claim(&wanted(2)).await.unwrap();
            assert_eq!(claims.iter().map(name).collect::<Vec<_>>(), ["b-1", "b-2"]);
            store.fail(&claims[0].document.key, &claims[0].token, "no\nreason").await.unwrap();
            store.ack(&claims[1].document.key, &claims[1].token).await.unwrap();
        });
        drop(store);
        let stats = project.run(&["queue", "stats", "requests", "--json"]).expect(0).result();
        let counts = ["ready", "leased", "delayed", "done", "dead"].map(|name| stats[name].as_u64().unwrap());
        assert_eq!(counts, [1, 0, 0, 1, 1], "{stats}");
        let shown = project.run(&["queue", "stats", "requests"]).expect(0).out;
        assert!(
            shown.starts_with("ready    1, the oldest for ") && shown.ends_with("dead     1\n"),
            "{shown}"
        );
        let shown = project.run(&["queue", "dead", "requests"]).expect(0).out;
        assert!(shown.starts_with("b/1   1 tries   20") && shown.ends_with("Z   no reason\n"), "{shown}");
        let dead = project.run(&["queue", "dead", "requests", "--json"]).expect(0).result();
        assert_eq!((&dead["dead"][0]["key"], &dead["more"]), (&"b/1".into(), &false.into()), "{dead}");
        project.run(&["queue", "revive", "requests"]).expect(2);
        let revived = project.run(&["queue", "revive", "requests", "b/1", "--json"]).expect(0).result();
        assert_eq!(revived["revived"], 1);
        let revived = project.run(&["queue", "revive", "requests", "--all", "--json"]).expect(0).result();
        assert_eq!(revived["revived"], 0);
        let refused = project.run(&["queue", "stats", "results"]);
        assert!(refused.err.contains("R0502"), "{}", refused.err);
    }
}
