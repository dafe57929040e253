//! The limit on SQLite: threads that read, scan and split hand batches to one writer with prepared statements
//! in one large transaction; indexes come after the load.

use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use anyhow::{Context as _, Result, anyhow};
use repot_json::Value;
use repot_model::plan::Plan;
use repot_model::plan::time::time_text;
use repot_model::sql::{Dialect, create_index, create_table, quote};
use rusqlite::{Connection, Statement};

use super::FILES_AT_ONCE;
use super::documents::{Documents, Rows};
use super::files::{Files, read};
use crate::corpus::Kind;

/// Batches on their way to the writer.
const BATCHES_WAITING: usize = 4;

/// Loads the corpus at `source` into a new database.
pub(super) fn run(kind: Kind, source: &Path, database: &Path, plan: &Plan, threads: usize) -> Result<u64> {
    let connection = Connection::open(database).context("making the database")?;
    connection.execute_batch(
        "pragma journal_mode = truncate; pragma synchronous = off; pragma foreign_keys = off;
         pragma cache_size = -32768; pragma threads = 2;",
    )?;
    for table in &plan.tables {
        connection.execute_batch(&create_table(table, &plan.tables, Dialect::Sqlite))?;
    }
    let files = Files::list(source)?;
    let (sender, receiver) = sync_channel(BATCHES_WAITING);
    let rows = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                let (sender, files) = (sender.clone(), &files);
                scope.spawn(move || work(kind, plan, files, &sender))
            })
            .collect();
        drop(sender);
        let rows = write(&connection, plan, receiver);
        for worker in workers {
            worker.join().map_err(|_panic| anyhow!("a thread of the limit panicked"))??;
        }
        rows
    })?;
    for table in &plan.tables {
        for index in &table.indexes {
            connection.execute_batch(&create_index(table, index, Dialect::Sqlite))?;
        }
    }
    Ok(rows)
}

fn work(kind: Kind, plan: &Plan, files: &Files, sender: &SyncSender<Batch>) -> Result<()> {
    let mut documents = Documents::new(kind, plan)?;
    let mut text = Vec::new();
    loop {
        let paths = files.take(FILES_AT_ONCE);
        if paths.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::new(plan.tables.len());
        for path in paths {
            read(path, &mut text)?;
            documents.split(path, &text, &mut batch)?;
        }
        sender.send(batch).context("the writer ended early")?;
    }
}

fn write(connection: &Connection, plan: &Plan, batches: Receiver<Batch>) -> Result<u64> {
    let mut tables = Vec::new();
    for table in &plan.tables {
        let columns = table.columns.len();
        let marks = vec!["?"; columns].join(", ");
        // several rows in one statement were measured too: no difference
        let insert = connection.prepare(&format!("insert into {} values ({marks})", quote(&table.name)))?;
        tables.push((columns, insert));
    }
    connection.execute_batch("begin")?;
    let mut auto = 0;
    let mut rows = 0;
    for batch in batches {
        for ((columns, statement), cells) in tables.iter_mut().zip(&batch.tables) {
            for row in cells.chunks_exact(*columns) {
                insert(statement, row, &batch.text, &mut auto)?;
                rows += 1;
            }
        }
    }
    connection.execute_batch("commit")?;
    Ok(rows)
}

fn insert(statement: &mut Statement<'_>, cells: &[Cell], text: &str, auto: &mut i64) -> Result<()> {
    for (at, cell) in cells.iter().enumerate() {
        match *cell {
            Cell::Null => statement.raw_bind_parameter(at + 1, rusqlite::types::Null)?,
            Cell::Int(value) => statement.raw_bind_parameter(at + 1, value)?,
            Cell::Text(start, end) => {
                let text = text.get(start as usize..end as usize).context("a cell lies in its text")?;
                statement.raw_bind_parameter(at + 1, text)?;
            }
            Cell::Auto => {
                *auto += 1;
                statement.raw_bind_parameter(at + 1, *auto)?;
            }
        }
    }
    statement.raw_execute()?;
    Ok(())
}

#[derive(Debug, Clone, Copy)]
enum Cell {
    Null,
    Int(i64),
    /// From, to in the batch's text.
    Text(u32, u32),
    Auto,
}

/// Cells of several documents, by table; all texts stand in one.
#[derive(Debug)]
struct Batch {
    text: String,
    tables: Vec<Vec<Cell>>,
    table: usize,
}

impl Batch {
    fn new(tables: usize) -> Self {
        Self { text: String::new(), tables: vec![Vec::new(); tables], table: 0 }
    }
}

impl Rows for Batch {
    fn begin(&mut self, table: usize) {
        self.table = table;
    }

    fn null(&mut self) {
        self.tables[self.table].push(Cell::Null);
    }

    fn int(&mut self, value: i64) {
        self.tables[self.table].push(Cell::Int(value));
    }

    fn auto(&mut self) {
        self.tables[self.table].push(Cell::Auto);
    }

    fn text(&mut self, value: &str) {
        let start = self.text.len();
        self.text.push_str(value);
        let position = |at: usize| u32::try_from(at).expect("a batch of a few documents stays below 4 GiB");
        self.tables[self.table].push(Cell::Text(position(start), position(self.text.len())));
    }

    fn json(&mut self, raw: &str) {
        self.text(raw);
    }

    fn uuid(&mut self, text: &str) -> Result<()> {
        self.text(text);
        Ok(())
    }

    fn time(&mut self, micros: i64) {
        let text = time_text(micros, 'T', 6);
        self.text(&format!("{text}Z"));
    }

    fn date(&mut self, _days: i32, text: &str) {
        self.text(text);
    }

    fn list(&mut self, list: Value<'_>) -> Result<()> {
        self.text(list.raw());
        Ok(())
    }
}
