//! A model with every kind of column and of table, and items made of JSON texts or of cells.

use std::borrow::Cow;
use std::path::PathBuf;

use repot_core::{
    Batch, DocumentRecord, Item, ObjectRecord, Reader, Refusal, RowChanges, Status, Target as _,
};
use repot_json::Limits;
use repot_model::language::parse;
use repot_model::plan::{Place, Plan, Splitter};
use repot_model::row::{Cell, RowBuffer};
use repot_sqlite::{SqliteOptions, SqliteTarget};
use tempfile::TempDir;

pub(crate) const MODEL: &str = r#"
[things]
file = "things/{id}.json"
[things.fields]
id = "text key"
number = "int?"
ratio = "float?"
exact = "decimal?"
flag = "bool?"
at = "time?"
day = "date?"
uid = "uuid?"
raw = "json?"
data = "bytes?"
names = "[text]?"
numbers = "[int]?"
ratios = "[float]?"
flags = "[bool]?"

[owners]
file = "owners/{id}.json"
[owners.fields]
id = "int key"
email = "text(20) unique"
level = "low | high?"

[jobs]
file = "jobs/{id}.json"
index = ["title"]
[jobs.fields]
id = "text key"
title = "text"
owner_id = "-> owners?"

[steps]
in = "jobs.steps[]"
[steps.fields]
job_id = "-> jobs cascade auto"
place = "position"
id = "int key auto"
name = "text"

[notes]
in = "steps.notes[]"
[notes.fields]
step_id = "-> steps cascade auto"
place = "position"
text = "text"

[labels]
in = ["jobs.labels[]", "steps.labels[]"]
[labels.fields]
id = "uuid key auto"
on = "-> jobs | steps cascade auto"
word = "text"

[pairs]
file = "pairs/{left}/{right}.json"
[pairs.fields]
left = "text key"
right = "int key"
value = "text?"
"#;

pub(crate) fn plan() -> Plan {
    let model = parse(MODEL, "repot.toml", &|_| None).unwrap_or_else(|problems| panic!("{problems:?}"));
    Plan::compile(&model).unwrap_or_else(|problems| panic!("{problems:?}"))
}

/// A database in a folder of its own.
pub(crate) struct World {
    pub folder: TempDir,
    pub plan: Plan,
    pub target: SqliteTarget,
}

impl World {
    /// With tables made, loading in bulk.
    pub(crate) fn new() -> Self {
        Self::with(plan())
    }

    pub(crate) fn with(plan: Plan) -> Self {
        let folder = TempDir::new().unwrap();
        let mut target =
            SqliteTarget::open(&folder.path().join("repot.db"), SqliteOptions::default()).unwrap();
        target.create(&plan, MODEL).unwrap();
        Self { folder, plan, target }
    }

    /// Past the bulk load.
    pub(crate) fn steady() -> Self {
        let mut world = Self::new();
        assert_eq!(world.target.finish(&world.plan, 10, &mut |_| {}).unwrap(), []);
        world
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("repot.db")
    }

    /// Another handle on the same database, as another process would have.
    pub(crate) fn again(&self) -> SqliteTarget {
        SqliteTarget::open(&self.path(), SqliteOptions::default()).unwrap()
    }

    pub(crate) fn sql(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.path()).unwrap()
    }

    pub(crate) fn load(&mut self, items: Vec<Item>) -> Vec<Refusal> {
        self.target
            .load(&self.plan, Batch { items, dictionaries: Vec::new(), ..Batch::default() })
            .unwrap()
            .refused
    }

    pub(crate) fn reader(&self) -> Box<dyn Reader> {
        self.target.reader().unwrap()
    }

    pub(crate) fn table(&self, name: &str) -> usize {
        self.plan.table(name).unwrap()
    }

    /// All rows of a table, sorted.
    pub(crate) fn scan(&self, name: &str) -> Vec<Vec<u8>> {
        let mut rows = Vec::new();
        let mut reader = self.reader();
        reader
            .scan(&self.plan, self.table(name), &mut |row| {
                rows.push(row.to_vec());
                Ok(())
            })
            .unwrap();
        rows.sort();
        rows
    }

    pub(crate) fn count(&self, name: &str) -> usize {
        self.scan(name).len()
    }

    /// `collection/key` documents of JSON texts, as a copy makes them.
    pub(crate) fn item(&self, path: &str, json: &str) -> Item {
        let name = path.split('/').next().unwrap();
        let root = self.plan.roots.iter().position(|root| root.name == name).unwrap();
        let values: Vec<&str> = path.strip_suffix(".json").unwrap().split('/').skip(1).collect();
        let mut splitter = Splitter::new(&self.plan, Limits::default());
        let (mut rows, mut found) = (RowBuffer::new(), Vec::new());
        splitter.split(
            &[Place { root, template: 0, values: &values }],
            path,
            json.as_bytes(),
            &mut rows,
            &mut found,
        );
        let documents = found
            .iter()
            .enumerate()
            .map(|(at, document)| {
                assert_eq!(document.misfit, None, "{path}");
                record(u32::try_from(at).unwrap(), name, document.key.clone(), json, document.rows.clone())
            })
            .collect();
        Item { documents, rows, ..bare(path, name) }
    }
}

pub(crate) fn record(
    ordinal: u32,
    collection: &str,
    key: Option<String>,
    text: &str,
    rows: std::ops::Range<usize>,
) -> DocumentRecord {
    DocumentRecord {
        ordinal,
        collection: collection.to_owned(),
        key,
        etag: format!("e{}", text.len()),
        version: 1,
        dictionary: 0,
        size: text.len() as u64,
        text: text.as_bytes().to_vec(),
        reason: None,
        rows,
        skips: false,
    }
}

/// An item without documents.
pub(crate) fn bare(path: &str, collection: &str) -> Item {
    Item {
        object: ObjectRecord {
            path: path.to_owned(),
            size: 7,
            modified_ns: -5,
            etag: Some("\"e\"".to_owned()),
            sha256: vec![1, 2, 3],
            collection: Some(collection.to_owned()),
            status: Status::Moved,
            reason: None,
            frame: None,
        },
        documents: Vec::new(),
        rows: RowBuffer::new(),
        changes: RowChanges::default(),
        replaces: false,
        removes: false,
        keeps_pieces: false,
        touched: None,
        kept: None,
    }
}

/// An item with one document of these rows (table, cells).
pub(crate) fn item_of(path: &str, collection: &str, key: &str, rows: &[(usize, Vec<u8>)]) -> Item {
    let mut item = bare(path, collection);
    for (table, cells) in rows {
        item.rows.raw(cells);
        item.rows.end_row(*table);
    }
    item.documents.push(record(0, collection, Some(key.to_owned()), "{}", 0..rows.len()));
    item
}

pub(crate) fn encoded(cells: &[Cell<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    cells.iter().for_each(|cell| cell.encode(&mut out));
    out
}

pub(crate) fn text(text: &str) -> Cell<'_> {
    Cell::Text(Cow::Borrowed(text))
}
