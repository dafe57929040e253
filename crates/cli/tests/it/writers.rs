//! Writers whose steps follow from their number alone, so that whoever knows how far one got knows what it wrote.

use std::path::PathBuf;
use std::sync::Arc;

use repot_bucket::{DirectoryObjects, S3Config, S3Objects};
use repot_core::change_log::ChangeRetention;
use repot_core::store::{
    BucketStore, Change, DocumentKey, Event, HistoryQuery, Layout, Precondition, Store, StoreExt as _,
    UnitOfWork, Write,
};
use repot_core::{LockHolder, Result, SystemClock, Target};
use repot_engine::store::{PoolOptions, RowStore, RowStoreOptions};
use repot_json::Limits;
use repot_json::patch::Pointer;
use repot_postgres::{PostgresOptions, PostgresTarget};
use repot_sqlite::{SqliteOptions, SqliteTarget};

pub(crate) const MODEL: &str = r#"
[repot]
source = "./data"

[notes]
file  = "notes/{id}.json"
index = ["count"]

[notes.fields]
id    = "text key"
count = "int"

[marks]
in = "notes.marks[]"

[marks.fields]
id      = "int key auto"
note_id = "-> notes cascade auto"
order   = "position"
word    = "text"

[lines]
file = "lines/{shelf}.jsonl"

[lines.fields]
shelf = "text key"
id    = "text key"
count = "int"
order = "position"

[kept]
file  = "kept/{id}.json"
audit = "1y"

[kept.fields]
id    = "text key"
count = "int"
"#;

/// Documents that many append to.
pub(crate) const SHARED: usize = 8;
/// Files in which many writers have their documents.
const SHELVES: usize = 32;
/// The document that many count in.
pub(crate) const COUNTER: &str = "counter";
/// Bytes of the largest document.
const BYTES_MAX: u64 = 1 << 20;

/// A store that another process can open too.
pub(crate) enum Place {
    Directory(PathBuf),
    Sqlite(PathBuf),
    Postgres(String),
    Bucket { bucket: String, endpoint: String, keys: [String; 2] },
}

impl Place {
    pub(crate) fn to_text(&self) -> String {
        match self {
            Self::Directory(path) => format!("directory {}", path.display()),
            Self::Sqlite(path) => format!("sqlite {}", path.display()),
            Self::Postgres(url) => format!("postgres {url}"),
            Self::Bucket { bucket, endpoint, keys: [access, secret] } => {
                format!("bucket {bucket} {endpoint} {access} {secret}")
            }
        }
    }

    pub(crate) fn from_text(text: &str) -> Self {
        let (kind, rest) = text.split_once(' ').unwrap();
        match kind {
            "directory" => Self::Directory(rest.into()),
            "sqlite" => Self::Sqlite(rest.into()),
            "postgres" => Self::Postgres(rest.to_owned()),
            _ => {
                let words: Vec<String> = rest.split(' ').map(str::to_owned).collect();
                let [bucket, endpoint, access, secret] = words.try_into().unwrap();
                Self::Bucket { bucket, endpoint, keys: [access, secret] }
            }
        }
    }

    pub(crate) fn open(&self) -> Arc<dyn Store> {
        let (model, plan, _) = repot_testkit::compiled(MODEL);
        let objects = |objects| {
            let layout = Layout::new(Arc::clone(&model), Arc::clone(&plan), Limits::default()).unwrap();
            Arc::new(BucketStore::new(objects, layout, BYTES_MAX)) as Arc<dyn Store>
        };
        let target: Box<dyn Target> = match self {
            Self::Directory(path) => return objects(Arc::new(DirectoryObjects::open(path).unwrap())),
            Self::Bucket { bucket, endpoint, keys: [access, secret] } => {
                let config = S3Config {
                    bucket: bucket.clone(),
                    endpoint: Some(endpoint.clone()),
                    access_key: access.clone(),
                    secret_key: secret.clone(),
                    ..S3Config::default()
                };
                return objects(Arc::new(S3Objects::open(config).unwrap()));
            }
            Self::Sqlite(path) => Box::new(SqliteTarget::open(path, SqliteOptions::default()).unwrap()),
            Self::Postgres(url) => Box::new(PostgresTarget::open(url, PostgresOptions::default()).unwrap()),
        };
        let options = RowStoreOptions {
            readers: 2,
            writers: 4,
            pool: PoolOptions::default(),
            document_bytes_max: BYTES_MAX,
            recent_bytes: 1 << 20,
            json: Limits::default(),
            me: LockHolder { host: "here".to_owned(), pid: std::process::id(), since_ms: 0 },
            clock: Arc::new(SystemClock),
            changes: ChangeRetention::default(),
        };
        Arc::new(RowStore::open(target, (model, plan, MODEL), options).unwrap())
    }
}

pub(crate) fn shared_name(writer: usize) -> String {
    format!("s{}", writer % SHARED)
}

fn note(id: &str) -> DocumentKey {
    DocumentKey::new("notes", id)
}

/// A document of this writer's: with a file of its own, in a file with those of others, or with its texts on record.
fn document(writer: usize, name: char) -> DocumentKey {
    let id = format!("{name}{writer}");
    match writer % 4 {
        1 => DocumentKey::of_parts("lines", &[&format!("s{}", writer / 4 % SHELVES), &id]),
        2 => DocumentKey::new("kept", &id),
        _ => note(&id),
    }
}

pub(crate) fn own(writer: usize) -> DocumentKey {
    document(writer, 'n')
}

/// The second document of a writer's units of work.
fn pair(writer: usize) -> DocumentKey {
    document(writer, 'p')
}

pub(crate) fn text(key: &DocumentKey, count: usize) -> String {
    let id = key.parts().pop().unwrap();
    format!(r#"{{"id": "{id}", "count": {count}, "marks": []}}"#)
}

/// What a document counts.
pub(crate) fn count(text: &[u8]) -> usize {
    let text = std::str::from_utf8(text).unwrap();
    let digits = text.split("\"count\": ").nth(1).unwrap();
    digits.split(',').next().unwrap().parse().unwrap()
}

/// Makes the documents that writers share.
pub(crate) async fn begin(store: &dyn Store) {
    // finds out what a bucket can do
    store.probe().await.unwrap();
    for name in (0..SHARED).map(shared_name).chain([COUNTER.to_owned()]) {
        store.create(&note(&name), text(&note(&name), 0)).await.unwrap();
    }
}

/// The documents that one writer alone writes.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Wrote {
    own: Option<String>,
    pair: Option<String>,
}

impl Wrote {
    /// What is there now; the second document where one of `expected` has it.
    pub(crate) async fn read(store: &dyn Store, writer: usize, expected: &[Self]) -> Self {
        let read = async |key| {
            let found = store.get(&key).await.unwrap();
            found.map(|found| String::from_utf8(found.body.to_vec()).unwrap())
        };
        let paired = expected.iter().any(|state| state.pair.is_some());
        Self { own: read(own(writer)).await, pair: if paired { read(pair(writer)).await } else { None } }
    }
}

/// The record of a writer's document says what became of it step by step, without a gap, up to what is there now.
pub(crate) async fn check_record(store: &dyn Store, writer: usize) {
    const ENTRIES_MAX: usize = 1_000;
    let key = own(writer);
    let (Some(record), "kept") = (store.record(), key.collection()) else { return };
    let mut is = store.get(&key).await.unwrap().map(|there| there.etag);
    let page = record.history(&HistoryQuery::of_document(&key), ENTRIES_MAX).await.unwrap();
    assert!(page.next.is_none());
    for entry in page.entries {
        is = match entry.event {
            Event::Put { before, etag, .. } => {
                assert_eq!(is.as_ref(), Some(&etag), "{key}: what became of it is not on record");
                before
            }
            Event::Deleted { before } => {
                assert_eq!(is, None, "{key}: it was made without a record");
                Some(before)
            }
            other => panic!("{key}: {other:?}"),
        };
    }
    assert_eq!(is, None, "{key}: it was there before its record");
}

/// For another process: a line for each writer's documents.
pub(crate) fn states_text(states: &[Wrote]) -> String {
    let shown = |text: &Option<String>| text.clone().unwrap_or_default();
    states.iter().map(|state| format!("{}\t{}\n", shown(&state.own), shown(&state.pair))).collect()
}

/// What [`states_text`] says.
pub(crate) fn states(text: &str) -> Vec<Wrote> {
    let read = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let line = |line: &str| {
        let (own, pair) = line.split_once('\t').unwrap();
        Wrote { own: read(own), pair: read(pair) }
    };
    text.lines().map(line).collect()
}

/// What a writer does next.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Create(String),
    Put(String),
    Change(Change),
    /// Two documents in one unit of work.
    Both(String, String),
    Delete,
    AppendShared(String),
    Count,
}

/// The step of this number.
pub(crate) fn next_step(store: &dyn Store, writer: usize, number: usize, wrote: &Wrote) -> Step {
    let (key, word) = (own(writer), format!("w{writer}-{number}"));
    match (&wrote.own, (writer + number) % 8) {
        (_, 0) => Step::AppendShared(word),
        (_, 1) => Step::Count,
        (None, _) => Step::Create(text(&key, number)),
        (Some(_), 2) => Step::Put(text(&key, number)),
        (Some(_), 3) => {
            let at = Pointer::parse("/count").unwrap();
            Step::Change(Change::Set { at, value: number.to_string().into() })
        }
        (Some(_), 4) => Step::Change(Change::Merge(format!(r#"{{"count": {number}}}"#).into())),
        (Some(_), 5) => {
            let list = Pointer::parse("/marks").unwrap();
            Step::Change(Change::Append { list, element: format!(r#"{{"word": "{word}"}}"#).into() })
        }
        (Some(_), 6) if store.capabilities().atomic_writes_max > 1 => {
            Step::Both(text(&key, number), text(&pair(writer), number))
        }
        (Some(_), _) => Step::Delete,
    }
}

impl Step {
    /// Does it.
    pub(crate) async fn send(&self, store: &dyn Store, writer: usize) -> Result<()> {
        let key = own(writer);
        match self {
            Self::Create(text) => store.create(&key, text.clone()).await.map(drop),
            Self::Put(text) => store.put(&key, text.clone()).await.map(drop),
            Self::Change(change) => store.change(&key, change.clone(), Precondition::Any).await.map(drop),
            Self::Both(one, other) => {
                let put = |key, text: &String| Write::Put {
                    key,
                    body: text.clone().into(),
                    when: Precondition::Any,
                };
                let unit = UnitOfWork::default().with(put(key, one)).with(put(pair(writer), other));
                store.apply(unit).await.map(drop)
            }
            Self::Delete => store.delete(&key, Precondition::Any).await.map(drop),
            Self::AppendShared(word) => {
                let element = format!(r#"{{"word": "{word}"}}"#);
                store.append(&note(&shared_name(writer)), "/marks", element).await.map(drop)
            }
            Self::Count => {
                let edit = |was: Option<&[u8]>| Ok(text(&note(COUNTER), was.map_or(0, count) + 1).into());
                store.update(&note(COUNTER), edit).await.map(drop)
            }
        }
    }

    /// The writer's documents after it.
    pub(crate) fn after(self, wrote: Wrote) -> Wrote {
        match self {
            Self::Create(text) | Self::Put(text) => Wrote { own: Some(text), ..wrote },
            Self::Change(change) => {
                let was = wrote.own.as_deref().unwrap_or_default().as_bytes();
                let changed = change.apply(was, Limits::default()).unwrap();
                Wrote { own: Some(String::from_utf8(changed).unwrap()), ..wrote }
            }
            Self::Both(one, other) => Wrote { own: Some(one), pair: Some(other) },
            Self::Delete => Wrote { own: None, ..wrote },
            Self::AppendShared(_) | Self::Count => wrote,
        }
    }
}
