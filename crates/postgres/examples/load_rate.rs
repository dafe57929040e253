//! Measures how fast batches load: `load_rate URL [DOCUMENTS]` into an empty database, 30 child rows each.
#![expect(clippy::print_stdout, reason = "it prints what it measured")]

use std::borrow::Cow;
use std::error::Error;
use std::time::{Duration, Instant};

use repot_core::{Batch, DocumentRecord, Item, ObjectRecord, RowChanges, Status, Target};
use repot_model::language::{Model, OnDelete};
use repot_model::plan::{Column, ColumnKind, ForeignKey, IndexPlan, Parent, Plan, Table};
use repot_model::row::{Cell, RowBuffer};
use repot_postgres::{PostgresOptions, PostgresTarget};

const CHILDREN: i64 = 30;
const BATCH: i64 = 1000;
const CONTENT: &str = "A message of about one hundred and fifty characters, which is what messages of real conversations \
                       have on the average; some are far longer than this, many are shorter.";

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().ok_or("the URL of an empty database is needed")?;
    let documents: i64 = arguments.next().map_or(Ok(100_000), |count| count.parse())?;
    let plan = plan()?;
    let mut target = PostgresTarget::open(&url, PostgresOptions::default())?;
    target.create(&plan, "")?;
    let (mut loading, mut rows) = (Duration::ZERO, 0);
    for first in (0..documents).step_by(1000) {
        let batch = Batch {
            items: (first..(first + BATCH).min(documents)).map(item).collect(),
            dictionaries: Vec::new(),
            ..Batch::default()
        };
        rows += batch.items.iter().map(|item| item.rows.len()).sum::<usize>();
        let start = Instant::now();
        target.load(&plan, batch)?;
        loading += start.elapsed();
    }
    report("load", rows, loading);
    let start = Instant::now();
    target.finish(&plan, 10, &mut |_| {})?;
    report("finish", rows, start.elapsed());
    let start = Instant::now();
    let mut reader = target.reader()?;
    let mut bytes = 0;
    let mut each = |cells: &[u8]| {
        bytes += cells.len();
        Ok(())
    };
    reader.scan(&plan, 0, &mut each)?;
    reader.scan(&plan, 1, &mut each)?;
    report("scan", rows, start.elapsed());
    println!("{bytes} bytes scanned");
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a rate to print")]
fn report(what: &str, rows: usize, time: Duration) {
    println!(
        "{what}: {rows} rows in {:.2} s, {:.0} rows/s",
        time.as_secs_f64(),
        rows as f64 / time.as_secs_f64()
    );
}

fn item(number: i64) -> Item {
    let mut rows = RowBuffer::new();
    let text = |text: &'static str| Cell::Text(Cow::Borrowed(text));
    for cell in [Cell::Int(number), text("A title"), Cell::Time(1_700_000_000_000_000 + number)] {
        rows.cell(&cell);
    }
    rows.end_row(0);
    for child in 0..CHILDREN {
        for cell in [
            Cell::Int(number * CHILDREN + child),
            Cell::Int(number),
            Cell::Int(child),
            text("user"),
            text(CONTENT),
        ] {
            rows.cell(&cell);
        }
        rows.end_row(1);
    }
    let document = DocumentRecord {
        ordinal: 0,
        collection: "conversations".to_owned(),
        key: Some(number.to_string()),
        etag: format!("{number:016x}"),
        version: 1,
        dictionary: 0,
        size: 4500,
        text: vec![0x5a; 1000],
        reason: None,
        rows: 0..rows.len(),
        skips: false,
    };
    let object = ObjectRecord {
        path: format!("conversations/{number:08}.json"),
        size: 4500,
        modified_ns: number,
        etag: None,
        sha256: vec![7; 32],
        collection: Some("conversations".to_owned()),
        status: Status::Moved,
        reason: None,
        frame: None,
    };
    let changes = RowChanges::default();
    Item {
        object,
        documents: vec![document],
        rows,
        changes,
        replaces: false,
        removes: false,
        keeps_pieces: false,
        touched: None,
        kept: None,
    }
}

fn plan() -> Result<Plan, Box<dyn Error>> {
    let mut plan = Plan::compile(&Model::default()).map_err(|problems| format!("{problems:?}"))?;
    let column = |name: &str, kind| Column {
        name: name.to_owned(),
        kind,
        nullable: false,
        default: None,
        words: Vec::new(),
    };
    let text = ColumnKind::Text(None);
    let table = |name: &str, columns| Table {
        name: name.to_owned(),
        columns,
        key: vec![0],
        key_is_auto: name == "messages",
        identity: vec![0],
        unique: Vec::new(),
        indexes: Vec::new(),
        foreign_keys: Vec::new(),
        position: None,
        parents: Vec::new(),
        tenant: None,
    };
    let conversations =
        vec![column("id", ColumnKind::Int), column("title", text), column("created_at", ColumnKind::Time)];
    let mut messages = table(
        "messages",
        vec![
            column("id", ColumnKind::Int),
            column("conversation_id", ColumnKind::Int),
            column("position", ColumnKind::Int),
            column("role", text),
            column("content", text),
        ],
    );
    messages.position = Some(2);
    messages.parents = vec![Parent { table: 0, column: 1, parent_column: 0, type_column: None }];
    messages.indexes =
        vec![IndexPlan { name: "idx_messages".to_owned(), columns: vec![(1, false), (2, false)] }];
    messages.foreign_keys = vec![ForeignKey {
        name: "fk_messages".to_owned(),
        column: 1,
        table: 0,
        target_column: 0,
        on_delete: OnDelete::Cascade,
        may_dangle: false,
    }];
    plan.tables = vec![table("conversations", conversations), messages];
    Ok(plan)
}
