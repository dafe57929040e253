//! Counters in documents: exact on every store under many callers.

use std::sync::Arc;

use repot_bucket::{DirectoryObjects, S3Config, S3Objects};
use repot_core::Kind;
use repot_core::store::{
    BucketStore, DocumentKey, Layout, MemoryObjects, Objects, Precondition, Quotas, Store, StoreExt as _,
};
use repot_model::language::{Model, parse};
use repot_model::plan::Plan;
use repot_s3lab::S3Lab;
use repot_testkit::TempTree;

use crate::documents::{Database, block_on};

const MODEL: &str = r#"
[repot]
source = "./data"

[usage]
file   = "usage/{user}/{id}.json"
tenant = "user"

[usage.fields]
id          = "text key"
user        = "text"
used        = "int = 0"
limit       = "int = 10"
reset_daily = "date = today"
all         = "int = 0"

[usage.quota]
daily = { used = "used", limit = "limit", reset = "reset_daily" }
total = { used = "all" }

[strict]
file = "strict/{id}.json"
etag = "required"

[strict.fields]
id   = "text key"
used = "int = 0"
most = "int = 10"

[strict.quota]
total = { used = "used", limit = "most" }
"#;

/// Noon of 31 January 2025.
const NOON_MS: i64 = 1_738_324_800_000;
const DAY_MS: i64 = 86_400_000;

fn model() -> (Arc<Model>, Arc<Plan>) {
    let model = parse(MODEL, "repot.toml", &|_| None).unwrap();
    let plan = Plan::compile(&model).unwrap();
    (Arc::new(model), Arc::new(plan))
}

fn layout() -> Layout {
    let (model, plan) = model();
    Layout::new(model, plan, repot_json::Limits::default()).unwrap()
}

fn key() -> DocumentKey {
    DocumentKey::new("usage", "a").in_tenant("u")
}

fn database(database: &Database) -> Arc<dyn Store> {
    let (model, plan) = model();
    database.open_as((model, plan, MODEL))
}

fn bucket(objects: Arc<dyn Objects>) -> Arc<dyn Store> {
    let store = BucketStore::new(objects, layout(), 1 << 20);
    block_on(store.probe()).unwrap();
    Arc::new(store)
}

/// 64 callers at once spend more than there is: exactly the limit is granted, and both counters say so.
fn spends_exactly(store: &Arc<dyn Store>, limit: usize) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let text = format!("{{\r\n\t\"id\": \"a\", \"user\": \"u\", \"used\": 0, \"reset_daily\": \"2025-01-31\", \"all\": 0,\r\n\t\"limit\":\t{limit}\r\n}}\r\n");
        store.put(&key(), text).await.unwrap();
        let quotas = Arc::new(Quotas::of(&layout(), "usage").unwrap());
        let callers: Vec<_> = (0..64)
            .map(|_| {
                let (store, quotas) = (Arc::clone(store), Arc::clone(&quotas));
                tokio::spawn(async move {
                    let mut granted = Vec::new();
                    loop {
                        let spent = quotas.spend(store.as_ref(), &key(), 1, NOON_MS).await.unwrap();
                        let used = spent.counters[0].used;
                        match spent.granted(&key()) {
                            Ok(counters) => granted.push((used, counters[0].left)),
                            Err(error) => {
                                assert_eq!((error.kind(), error.code()), (Kind::Refused, "R0503"), "{error}");
                                return granted;
                            }
                        }
                    }
                })
            })
            .collect();
        let mut granted = Vec::new();
        for caller in callers {
            granted.extend(caller.await.unwrap());
        }
        granted.sort_unstable();
        let limit = i64::try_from(limit).unwrap();
        // each number was given to one caller
        assert_eq!(granted, (1..=limit).map(|used| (used, Some(limit - used))).collect::<Vec<_>>());
        let text = store.require(&key()).await.unwrap().body;
        let text = String::from_utf8(text.to_vec()).unwrap();
        assert!(
            text.contains(&format!("\"used\": {limit}")) && text.contains(&format!("\"all\": {limit}")),
            "{text}"
        );
        assert!(text.starts_with("{\r\n\t\"id\": \"a\"") && text.contains("\"limit\":\t"), "{text}");
        // nothing is granted of more than is left, and on the next day all of it once
        let none = quotas.spend(store.as_ref(), &key(), 1, NOON_MS - DAY_MS).await.unwrap();
        assert_eq!(none.used_up.as_deref(), Some("daily"));
        let all = u32::try_from(limit).unwrap();
        let next = quotas.spend(store.as_ref(), &key(), all, NOON_MS + DAY_MS).await.unwrap();
        assert_eq!((next.used_up, next.counters[0].used, next.counters[1].used), (None, limit, 2 * limit));
        let looked = quotas.peek(store.as_ref(), &key(), NOON_MS + DAY_MS).await.unwrap();
        assert_eq!((looked.counters[0].left, looked.text), (Some(0), None));
        let absent = DocumentKey::new("usage", "b").in_tenant("u");
        let error = quotas.spend(store.as_ref(), &absent, 1, NOON_MS).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::NotFound, "R0402"), "{error}");
        assert_eq!(store.get(&absent).await.unwrap(), None);
    });
}

#[test]
fn in_memory() {
    spends_exactly(&bucket(Arc::new(MemoryObjects::new())), 200);
}

#[test]
fn in_a_directory() {
    let folder = TempTree::new();
    spends_exactly(&bucket(Arc::new(DirectoryObjects::open(folder.path()).unwrap())), 150);
}

#[test]
fn in_a_bucket() {
    let lab = S3Lab::start();
    let config = S3Config {
        bucket: lab.bucket().to_owned(),
        endpoint: Some(lab.endpoint()),
        access_key: lab.access_key().to_owned(),
        secret_key: lab.secret_key().to_owned(),
        ..S3Config::default()
    };
    spends_exactly(&bucket(Arc::new(S3Objects::open(config).unwrap())), 50);
}

#[test]
fn in_databases() {
    for one in Database::all() {
        spends_exactly(&database(&one), 200);
    }
}

/// Where each write has to say what it replaces, it does.
#[test]
fn where_an_etag_is_required() {
    for one in Database::all() {
        let store = database(&one);
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let key = DocumentKey::new("strict", "a");
            store.put_when(&key, "{\"id\": \"a\"}", Precondition::Absent).await.unwrap();
            let quotas = Arc::new(Quotas::of(&layout(), "strict").unwrap());
            let callers: Vec<_> = (0..8)
                .map(|_| {
                    let (store, quotas, key) = (Arc::clone(&store), Arc::clone(&quotas), key.clone());
                    tokio::spawn(async move {
                        let mut granted = 0;
                        for _ in 0..3 {
                            let spent = quotas.spend(store.as_ref(), &key, 1, NOON_MS).await.unwrap();
                            granted += usize::from(spent.used_up.is_none());
                        }
                        granted
                    })
                })
                .collect();
            let mut granted = 0;
            for caller in callers {
                granted += caller.await.unwrap();
            }
            assert_eq!(granted, 10);
        });
    }
}
