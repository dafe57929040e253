//! A plan with everything a plan can have, and items made from rows.

use std::borrow::Cow;

use repot_core::{Batch, DocumentRecord, Item, LockHolder, ObjectRecord, Reader, Status, Target};
use repot_model::language::{Model, OnDelete};
use repot_model::plan::{Column, ColumnKind, ForeignKey, IndexPlan, Parent, Plan, Table, key_text};
use repot_model::row::{Cell, RowBuffer};
use repot_postgres::{PostgresOptions, PostgresTarget};
use repot_testkit::postgres::{PgServer, postgres};

pub(crate) const USERS: usize = 0;
pub(crate) const EVERYTHING: usize = 1;
pub(crate) const CHILD: usize = 2;
pub(crate) const GRANDCHILD: usize = 3;
pub(crate) const POLY: usize = 4;
pub(crate) const PAIRS: usize = 5;
/// A name of 63 bytes.
pub(crate) const LONG: &str = "a_name_as_long_as_postgresql_takes_them_which_is_63_bytes_long_";

pub(crate) type Rows<'a> = Vec<(usize, Vec<Cell<'a>>)>;

/// A database of the test's own and a target on it.
pub(crate) struct Fixture {
    pub server: PgServer,
    pub url: String,
    pub target: PostgresTarget,
    pub plan: Plan,
}

impl Fixture {
    /// `None` after a printed skip.
    pub(crate) fn new() -> Option<Self> {
        let server = postgres()?;
        let url = server.fresh_database();
        let mut target = open(&url);
        let plan = plan();
        target.create(&plan, "the model").unwrap();
        Some(Self { server, url, target, plan })
    }

    pub(crate) fn load(&mut self, items: Vec<Item>) -> Vec<(String, u32, &'static str, String)> {
        let report = self
            .target
            .load(&self.plan, Batch { items, dictionaries: Vec::new(), ..Batch::default() })
            .unwrap();
        report
            .refused
            .into_iter()
            .map(|refusal| (refusal.path, refusal.ordinal, refusal.code, refusal.reason))
            .collect()
    }

    pub(crate) fn finish(&mut self) -> Vec<repot_core::Violation> {
        self.target.finish(&self.plan, 100, &mut |_| {}).unwrap()
    }

    pub(crate) fn sql(&self, sql: &str) -> String {
        self.server.query(&self.url, sql)
    }

    pub(crate) fn reader(&self) -> Box<dyn Reader> {
        self.target.reader().unwrap()
    }

    /// All rows of a table as encoded, sorted.
    pub(crate) fn scanned(&self, table: usize) -> Vec<Vec<u8>> {
        let mut rows = Vec::new();
        let mut each = |cells: &[u8]| {
            rows.push(cells.to_vec());
            Ok(())
        };
        self.reader().scan(&self.plan, table, &mut each).unwrap();
        rows.sort();
        rows
    }

    pub(crate) fn paths(&self) -> Vec<String> {
        self.reader()
            .objects(None, 1000, false)
            .unwrap()
            .into_iter()
            .map(|object| object.record.path)
            .collect()
    }
}

pub(crate) fn open(url: &str) -> PostgresTarget {
    PostgresTarget::open(url, PostgresOptions::default()).unwrap()
}

pub(crate) fn me(pid: u32) -> LockHolder {
    LockHolder { host: "here".to_owned(), pid, since_ms: 1_700_000_000_000 }
}

fn column(name: &str, kind: ColumnKind, nullable: bool) -> Column {
    Column { name: name.to_owned(), kind, nullable, default: None, words: Vec::new() }
}

fn table(name: &str, columns: Vec<Column>, key: Vec<usize>, key_is_auto: bool) -> Table {
    let identity = key.clone();
    Table {
        name: name.to_owned(),
        columns,
        key,
        key_is_auto,
        identity,
        unique: Vec::new(),
        indexes: Vec::new(),
        foreign_keys: Vec::new(),
        position: None,
        parents: Vec::new(),
        tenant: None,
    }
}

fn refers(name: &str, column: usize, table: usize, target_column: usize, may_dangle: bool) -> ForeignKey {
    let on_delete = if may_dangle { OnDelete::Refuse } else { OnDelete::Cascade };
    ForeignKey { name: name.to_owned(), column, table, target_column, on_delete, may_dangle }
}

fn index(name: &str, columns: &[usize]) -> IndexPlan {
    IndexPlan { name: name.to_owned(), columns: columns.iter().map(|&column| (column, false)).collect() }
}

pub(crate) fn plan() -> Plan {
    let mut plan = Plan::compile(&Model::default()).unwrap();
    plan.hash = "fixture".to_owned();
    let text = ColumnKind::Text(None);
    let mut everything = table("everything", every_column(), vec![0], true);
    everything.foreign_keys.push(refers("fk_everything_author", 15, USERS, 0, true));
    everything.indexes.push(index("idx_everything_text", &[1]));
    let mut child = table(
        "select",
        vec![
            column("id", ColumnKind::Int, false),
            column("everything_id", ColumnKind::Uuid, false),
            column("position", ColumnKind::Int, false),
            column("content", text, true),
        ],
        vec![0],
        true,
    );
    child.position = Some(2);
    child.parents.push(Parent { table: EVERYTHING, column: 1, parent_column: 0, type_column: None });
    child.foreign_keys.push(refers("fk_child", 1, EVERYTHING, 0, false));
    child.indexes.push(index("idx_child", &[1]));
    let mut grandchild = table(
        "grandchild",
        vec![
            column("child_id", ColumnKind::Int, false),
            column("position", ColumnKind::Int, true),
            column("note", text, true),
            column("by", text, true),
        ],
        vec![],
        false,
    );
    grandchild.identity = vec![0, 1];
    grandchild.position = Some(1);
    grandchild.parents.push(Parent { table: CHILD, column: 0, parent_column: 0, type_column: None });
    grandchild.foreign_keys.push(refers("fk_grandchild", 0, CHILD, 0, false));
    grandchild.foreign_keys.push(refers("fk_grandchild_by", 3, USERS, 0, true));
    grandchild.indexes.push(index("idx_grandchild", &[0]));
    let mut poly = table(
        "poly",
        vec![
            column("owner_type", text, false),
            column("owner_id", text, false),
            column("position", ColumnKind::Int, false),
            column("tag", text, true),
        ],
        vec![],
        false,
    );
    poly.identity = vec![0, 1, 2];
    poly.position = Some(2);
    poly.parents.push(Parent { table: USERS, column: 1, parent_column: 0, type_column: Some(0) });
    poly.parents.push(Parent { table: EVERYTHING, column: 1, parent_column: 0, type_column: Some(0) });
    poly.indexes.push(index("idx_poly", &[0, 1]));
    plan.tables = vec![users(), everything, child, grandchild, poly, pairs()];
    plan
}

fn users() -> Table {
    let text = ColumnKind::Text(None);
    let mut users = table(
        "Users",
        vec![
            column("id", text, false),
            column("order", ColumnKind::Int, true),
            column("email", ColumnKind::Text(Some(20)), true),
            column("friend", text, true),
        ],
        vec![0],
        false,
    );
    users.unique.push(index("uq_users_email", &[2]));
    users.foreign_keys.push(refers("fk_users_friend", 3, USERS, 0, true));
    users.indexes.push(index("idx_users_friend", &[3]));
    users
}

fn pairs() -> Table {
    let text = ColumnKind::Text(None);
    table(
        LONG,
        vec![column("a", ColumnKind::Int, false), column("b", text, false), column(LONG, text, true)],
        vec![0, 1],
        false,
    )
}

fn every_column() -> Vec<Column> {
    [
        ColumnKind::Uuid,
        ColumnKind::Text(None),
        ColumnKind::Text(Some(5)),
        ColumnKind::Int,
        ColumnKind::Float,
        ColumnKind::Decimal,
        ColumnKind::Bool,
        ColumnKind::Time,
        ColumnKind::Date,
        ColumnKind::Json,
        ColumnKind::Bytes,
        ColumnKind::TextList,
        ColumnKind::IntList,
        ColumnKind::FloatList,
        ColumnKind::BoolList,
        ColumnKind::Text(None),
    ]
    .iter()
    .enumerate()
    .map(|(at, &kind)| column(&format!("C{at}"), kind, at > 0))
    .collect()
}

pub(crate) fn text(text: &str) -> Cell<'_> {
    Cell::Text(Cow::Borrowed(text))
}

pub(crate) fn user<'a>(
    id: &'a str,
    email: Option<&'a str>,
    friend: Option<&'a str>,
) -> (usize, Vec<Cell<'a>>) {
    (USERS, vec![text(id), Cell::Int(1), email.map_or(Cell::Null, text), friend.map_or(Cell::Null, text)])
}

/// A row of `everything` with nulls but for its key, text and author.
pub(crate) fn plain<'a>(key: u8, content: &'a str, author: Option<&'a str>) -> (usize, Vec<Cell<'a>>) {
    let mut cells = vec![Cell::Null; 16];
    cells[0] = Cell::Uuid([key; 16]);
    cells[1] = text(content);
    cells[15] = author.map_or(Cell::Null, text);
    (EVERYTHING, cells)
}

pub(crate) fn child(id: i64, parent: u8, position: i64, content: &str) -> (usize, Vec<Cell<'_>>) {
    (CHILD, vec![Cell::Int(id), Cell::Uuid([parent; 16]), Cell::Int(position), text(content)])
}

pub(crate) fn encoded(cells: &[Cell<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    for cell in cells {
        cell.encode(&mut out);
    }
    out
}

pub(crate) fn buffer(rows: &Rows<'_>) -> RowBuffer {
    let mut out = RowBuffer::new();
    for (table, cells) in rows {
        out.raw(&encoded(cells));
        out.end_row(*table);
    }
    out
}

/// An object with one document for each group of rows, the root row first.
pub(crate) fn item(path: &str, documents: &[Rows<'_>]) -> Item {
    let plan = plan();
    let mut rows: Rows<'_> = Vec::new();
    let mut records = Vec::new();
    for (ordinal, document) in documents.iter().enumerate() {
        let start = rows.len();
        rows.extend(document.iter().cloned());
        let root = document.first().map(|(table, cells)| {
            let key: Vec<Cell<'_>> =
                plan.tables[*table].key.iter().map(|&column| cells[column].clone()).collect();
            (plan.tables[*table].name.clone(), key_text(&encoded(&key)))
        });
        records.push(DocumentRecord {
            ordinal: u32::try_from(ordinal).unwrap(),
            collection: root.as_ref().map_or_else(String::new, |root| root.0.clone()),
            key: root.map(|root| root.1),
            etag: format!("e{ordinal}"),
            version: 1,
            dictionary: 0,
            size: 3,
            text: vec![1, 2, 3, u8::try_from(ordinal % 256).unwrap()],
            reason: None,
            rows: start..rows.len(),
            skips: false,
        });
    }
    Item {
        object: ObjectRecord {
            path: path.to_owned(),
            size: 3,
            modified_ns: i64::MAX,
            etag: None,
            sha256: vec![9; 32],
            collection: Some("Users".to_owned()),
            status: Status::Moved,
            reason: None,
            frame: Some(vec![7; 10]),
        },
        documents: records,
        rows: buffer(&rows),
        changes: repot_core::RowChanges::default(),
        replaces: false,
        removes: false,
        keeps_pieces: false,
        touched: None,
        kept: None,
    }
}
