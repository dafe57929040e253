//! Two stores, and processes between them that can be cut off, paused and killed.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use repot_core::store::{
    BucketStore, Document, DocumentKey, Layout, MemoryObjects, Objects, Store, StoreExt as _,
};
use repot_core::{Clock, SystemClock};
use repot_engine::TokioPacing;
use repot_engine::moving::{
    Beside, Copied, Known as _, Moving, MovingOptions, MovingStore, ObjectState, Running, Sides, Sight,
};
use repot_engine::store::{RowObjects, RowStore, RowStoreOptions};
use repot_model::language::{Model, parse};
use repot_model::plan::Plan;

use super::far::FarStore;
use super::objects::{Far, Line};
use crate::documents::Database;

const MODEL: &str = r#"
[repot]
source = "./data"

[chats]
file   = "chats/{user_id}/{id}.json"
tenant = "user_id"

[chats.fields]
id      = "text key"
user_id = "text"

[messages]
in = "chats.messages[]"

[messages.fields]
id      = "int key auto"
chat_id = "-> chats cascade auto"
order   = "position"
n       = "int"

[notes]
file   = "notes/{user_id}/{id}.json"
tenant = "user_id"

[notes.fields]
id      = "text key"
user_id = "text"
goes    = "-> chats? cascade"
stays   = "-> chats? set null"
"#;

/// Bounds of a move whose processes are killed often.
pub(super) const QUICK: MovingOptions = MovingOptions {
    write_ms: 400,
    skew_ms: 50,
    lease_ms: 500,
    look_ms: 20,
    ask_ms: 300,
    wait_ms: 3_000,
    claim_ms: 500,
};

pub(super) fn compiled() -> (Arc<Model>, Arc<Plan>, &'static str) {
    let model = parse(MODEL, "repot.toml", &|_| None).unwrap();
    let plan = Plan::compile(&model).unwrap();
    (Arc::new(model), Arc::new(plan), MODEL)
}

/// The machine's clock, which can be put forward.
#[derive(Debug, Default)]
pub(super) struct Ahead(AtomicI64);

impl Ahead {
    pub(super) fn put_forward(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for Ahead {
    fn now_ms(&self) -> i64 {
        SystemClock.now_ms() + self.0.load(Ordering::SeqCst)
    }
}

/// A database as the old store.
type Old = (Database, Arc<RowObjects>);

/// Two stores of the same documents.
pub(super) struct World {
    pub objects: Arc<dyn Objects>,
    pub layout: Arc<Layout>,
    pub new: Arc<RowStore>,
    pub options: MovingOptions,
    pub database: Database,
    pub clock: Arc<Ahead>,
    /// Where the objects are, if that is a database, and who can keep others out of it.
    old: Option<Old>,
}

impl World {
    pub(super) fn new(database: Database, options: MovingOptions) -> Self {
        Self::between((Arc::new(MemoryObjects::new()), None), database, options, Arc::default())
    }

    /// The old store is a database, too.
    pub(super) fn of_databases(old: Database, new: Database, options: MovingOptions) -> Self {
        let clock: Arc<Ahead> = Arc::default();
        let rows = RowStoreOptions { clock: Arc::clone(&clock) as _, ..Database::options() };
        let rows = RowStore::open(old.target(), compiled(), rows).unwrap();
        let objects = Arc::new(RowObjects::new(Arc::new(rows), Arc::new(TokioPacing)));
        Self::between((Arc::clone(&objects) as _, Some((old, objects))), new, options, clock)
    }

    fn between(
        (objects, old): (Arc<dyn Objects>, Option<Old>),
        database: Database,
        options: MovingOptions,
        clock: Arc<Ahead>,
    ) -> Self {
        let (model, plan, text) = compiled();
        let layout = Layout::new(Arc::clone(&model), Arc::clone(&plan), repot_json::Limits::default());
        let rows = RowStoreOptions { clock: Arc::clone(&clock) as _, ..Database::options() };
        let new = RowStore::open(database.target(), (model, plan, text), rows).unwrap();
        Self { objects, old, layout: Arc::new(layout.unwrap()), new: Arc::new(new), options, database, clock }
    }

    /// A server over the old database alone, which knows nothing of the move.
    pub(super) fn direct(&self) -> Option<RowStore> {
        let (old, _) = self.old.as_ref()?;
        let rows = RowStoreOptions { clock: Arc::clone(&self.clock) as _, ..Database::options() };
        Some(RowStore::open(old.target(), compiled(), rows).unwrap())
    }

    /// The files of a document are followed to the end as they are now.
    pub(super) async fn followed(&self, key: &DocumentKey) {
        for path in self.layout.paths(key).unwrap() {
            let head = self.objects.head(&path).await.unwrap();
            let sight = head.map(|head| Sight { state: ObjectState::from(&head), again_ms: None });
            self.new.note(&[(path, sight)]).await.unwrap();
        }
    }

    fn bucket(&self, objects: Arc<dyn Objects>) -> Arc<BucketStore> {
        Arc::new(BucketStore::new(objects, (*self.layout).clone(), 1 << 20))
    }

    /// The old store, past every process.
    pub(super) fn old(&self) -> Arc<BucketStore> {
        self.bucket(Arc::clone(&self.objects))
    }

    /// A process that waits for the new store as long as a busy machine takes.
    pub(super) fn patient(&self, id: &str, seed: u64) -> Process {
        self.process_with(id, seed, MovingOptions { ask_ms: 60_000, write_ms: 10_000, ..self.options })
    }

    /// A process, with its ways to the stores.
    pub(super) fn process(&self, id: &str, seed: u64) -> Process {
        self.process_with(id, seed, self.options)
    }

    fn process_with(&self, id: &str, seed: u64, options: MovingOptions) -> Process {
        let old_line = Line::seeded(seed);
        let new_line = Line::seeded(seed.wrapping_mul(31));
        let objects: Arc<dyn Objects> =
            Arc::new(Far { objects: Arc::clone(&self.objects), line: Arc::clone(&old_line) });
        let new = Arc::new(FarStore { store: Arc::clone(&self.new), line: Arc::clone(&new_line) });
        let old = self.bucket(Arc::clone(&objects));
        let sides = Sides {
            into_old: Arc::clone(&old) as _,
            announcing_old: Arc::clone(&old) as _,
            old,
            beside: Beside::new(objects, ".repot/"),
            outsiders: self.old.as_ref().map(|(_, objects)| Arc::clone(objects) as _),
            old_database: self.old.as_ref().map(|(_, objects)| {
                Arc::new(FarStore { store: Arc::clone(objects.rows()), line: Arc::clone(&old_line) }) as _
            }),
            into_new: Arc::clone(&new) as _,
            new,
            known: Arc::clone(&self.new) as _,
            layout: Arc::clone(&self.layout),
        };
        let outside = (Arc::clone(&self.clock) as _, Arc::new(TokioPacing) as _);
        let moving = Arc::new(Moving::new(sides, outside, options, id));
        let store = Arc::new(MovingStore::new(Arc::clone(&moving)));
        Process { moving, store, old_line, new_line, running: None }
    }
}

/// A process that takes part in a move.
pub(super) struct Process {
    pub moving: Arc<Moving>,
    pub store: Arc<MovingStore>,
    pub old_line: Arc<Line>,
    pub new_line: Arc<Line>,
    running: Option<Running>,
}

impl Process {
    /// Looks, copies and mends all the time, as a server does.
    pub(super) fn run(&mut self) {
        self.running = Some(Running::start(&self.moving));
    }

    pub(super) fn delay(&self, ms: u64) {
        self.old_line.delay_ms.store(ms, Ordering::SeqCst);
        self.new_line.delay_ms.store(ms, Ordering::SeqCst);
    }

    /// It is gone, in the middle of whatever it does; what it has sent still arrives.
    pub(super) fn kill(&mut self) {
        self.running = None;
    }
}

pub(super) fn chat(user: &str, id: &str) -> DocumentKey {
    DocumentKey::new("chats", id).in_tenant(user)
}

pub(super) fn empty(user: &str, id: &str) -> String {
    format!("{{\n  \"id\": \"{id}\",\n  \"user_id\": \"{user}\",\n  \"messages\": []\n}}\n")
}

/// The numbers of a chat's messages.
pub(super) fn numbers(found: Option<&Document>) -> Vec<u64> {
    let Some(found) = found else { return Vec::new() };
    let value: serde_json::Value = serde_json::from_slice(&found.body).unwrap();
    value["messages"].as_array().unwrap().iter().map(|message| message["n"].as_u64().unwrap()).collect()
}

/// The text of a chat in one of the stores.
pub(super) async fn text(store: &(impl Store + ?Sized), key: &DocumentKey) -> Option<String> {
    let found = store.get(key).await.unwrap()?;
    Some(String::from_utf8(found.body.to_vec()).unwrap())
}

/// Reads all that is logged, and copies until nothing is marked.
pub(super) async fn settle(process: &Process) -> Copied {
    let mut all = Copied::default();
    loop {
        while process.moving.read_log().await.unwrap() {}
        let done = process.moving.copy_marked().await.unwrap();
        all.copied += done.copied;
        all.same += done.same;
        if done == Copied::default() && process.moving.journal().pending().await.unwrap() == 0 {
            return all;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

pub(super) async fn say(store: &(impl Store + ?Sized), key: &DocumentKey, n: u64) -> repot_core::Result<()> {
    store.append(key, "/messages", format!("{{\"n\": {n}}}")).await.map(drop)
}
