//! Collections over a store that fails between a write and the read after it, and one that fills fields.

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use repot_core::store::{
    BucketStore, Capabilities, Layout, MemoryObjects, Page, Query, QueryExplanation, QueryPage, Queryable,
    Receipt, SqlQuestion, SqlSink, Store, StoreExt as _, UnitOfWork, Write,
};
use repot_core::{Error as Cause, SystemClock};
use repot_json::Limits;
use repot_model::language::parse;
use repot_model::plan::Plan;
use serde::Deserialize;

use super::*;
use crate::Shared;

const MODEL: &str = r#"
[notes]
file = "notes/{id}.json"
[notes.fields]
id   = "text key"
made = "time? = now"
"#;

/// Fills `made` in what is created, and fails to read when told so.
#[derive(Debug)]
struct Filling {
    beneath: BucketStore,
    fails: AtomicBool,
}

impl fmt::Display for Filling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "filling({})", self.beneath)
    }
}

#[async_trait]
impl Store for Filling {
    fn capabilities(&self) -> Capabilities {
        self.beneath.capabilities()
    }

    fn collections(&self) -> Vec<String> {
        self.beneath.collections()
    }

    async fn get(&self, key: &DocumentKey) -> repot_core::Result<Option<Document>> {
        if self.fails.load(Ordering::SeqCst) {
            return Err(Cause::new(Kind::Unavailable, "R0106", "out of reach").retry(Retry::Safe));
        }
        self.beneath.get(key).await
    }

    async fn exists(&self, key: &DocumentKey) -> repot_core::Result<bool> {
        self.beneath.exists(key).await
    }

    async fn apply(&self, mut work: UnitOfWork) -> repot_core::Result<Receipt> {
        for write in &mut work.writes {
            if let Write::Put { body, when: Precondition::Absent, .. } = write {
                let text =
                    String::from_utf8_lossy(body).replacen('}', r#", "made": "2024-01-01T00:00:00Z"}"#, 1);
                *body = text.into();
            }
        }
        self.beneath.apply(work).await
    }

    async fn list(&self, scope: &Scope, after: Option<&Cursor>, most: usize) -> repot_core::Result<Page> {
        self.beneath.list(scope, after, most).await
    }

    async fn probe(&self) -> repot_core::Result<()> {
        self.beneath.probe().await
    }
}

#[async_trait]
impl Queryable for Filling {
    async fn query(&self, query: &Query) -> repot_core::Result<QueryPage> {
        self.beneath.query(query).await
    }

    async fn count(&self, query: &Query) -> repot_core::Result<u64> {
        self.beneath.count(query).await
    }

    async fn read_sql(&self, question: SqlQuestion, sink: SqlSink) -> repot_core::Result<bool> {
        self.beneath.read_sql(question, sink).await
    }

    async fn explain(&self, query: &Query) -> repot_core::Result<QueryExplanation> {
        self.beneath.explain(query).await
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Note {
    id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    made: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    word: Option<String>,
}

impl Entity for Note {
    const COLLECTION: &'static str = "notes";
    type Reach = Shared;
    fn id(&self) -> Id {
        (&self.id).into()
    }
}

fn note(id: &str) -> Note {
    Note { id: id.to_owned(), made: None, word: None }
}

fn collection() -> (Arc<Filling>, Collection<Note>) {
    let model = Arc::new(parse(MODEL, "repot.toml", &|_| None).unwrap());
    let plan = Arc::new(Plan::compile(&model).unwrap());
    let layout = Layout::new(Arc::clone(&model), plan, Limits::default()).unwrap();
    let own = layout.clone();
    let beneath = BucketStore::new(Arc::new(MemoryObjects::default()), layout, 1 << 20);
    let store = Arc::new(Filling { beneath, fails: AtomicBool::new(false) });
    let shared: Arc<dyn Queryable> = Arc::clone(&store) as Arc<dyn Queryable>;
    let inside =
        Inside::new(shared, (model, own), Limits::default(), NewText::Compact, Arc::new(SystemClock));
    (store, Collection::new(Arc::new(inside), None))
}

#[tokio::test]
async fn what_the_store_filled_is_given_back_and_stays() {
    let (store, notes) = collection();
    let mut made = notes.create(note("a")).await.unwrap();
    assert_eq!(made.made.as_deref(), Some("2024-01-01T00:00:00Z"));
    made.word = Some("w".to_owned());
    notes.update(made).await.unwrap();
    let body = store.require(&notes.key("a")).await.unwrap().body;
    let text = String::from_utf8(body.to_vec()).unwrap();
    let (front, word) = text.split_at(r#"{"id":"a", "made": "2024-01-01T00:00:00Z""#.len());
    assert_eq!(front, r#"{"id":"a", "made": "2024-01-01T00:00:00Z""#);
    assert!(word.contains("word"), "{text}");
}

#[tokio::test]
async fn a_write_that_cannot_be_read_back_has_happened() {
    let (store, notes) = collection();
    store.fails.store(true, Ordering::SeqCst);
    let mut made = notes.create(note("a")).await.unwrap();
    store.fails.store(false, Ordering::SeqCst);
    made.word = Some("w".to_owned());
    // its text is not known, so it cannot be changed: what was filled would be lost
    assert!(matches!(notes.update(made).await, Err(Error::Conflict(_))));
    let mut read = notes.require("a").await.unwrap();
    assert_eq!(read.made.as_deref(), Some("2024-01-01T00:00:00Z"));
    read.word = Some("w".to_owned());
    notes.update(read).await.unwrap();
}
