//! The limit on PostgreSQL: each thread reads, scans, splits and encodes for binary COPY over a connection of
//! its own, into tables without any key; keys, references and indexes come after the load.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread;

use anyhow::{Context as _, Result, anyhow};
use bytes::{BufMut as _, BytesMut};
use futures_util::SinkExt as _;
use repot_json::{Kind as JsonKind, Value};
use repot_model::plan::{Plan, Table};
use repot_model::sql::{Dialect, create_index, create_table, foreign_key, primary_key, quote};

use super::FILES_AT_ONCE;
use super::documents::{Documents, Rows};
use super::files::{Files, read};
use crate::corpus::Kind;
use crate::database::Session;

/// Rows are sent when a table has collected this many bytes.
const COPY_BYTES: usize = 1 << 20;
/// Microseconds and days between 1970 and PostgreSQL's 2000-01-01.
const EPOCH_US: i64 = 946_684_800_000_000;
const EPOCH_DAYS: i32 = 10_957;
/// PostgreSQL's number for the type `text`.
const TEXT_TYPE: u32 = 25;

/// Loads the corpus at `source` into the empty database at `url`.
pub(super) fn run(kind: Kind, source: &Path, url: &str, plan: &Plan, threads: usize) -> Result<u64> {
    let mut session = Session::open(url)?;
    for table in &plan.tables {
        let bare = Table { key: Vec::new(), unique: Vec::new(), ..table.clone() };
        session.run(&create_table(&bare, &plan.tables, Dialect::Postgres))?;
    }
    let files = Files::list(source)?;
    let auto = AtomicI64::new(1);
    let mut rows = 0;
    thread::scope(|scope| {
        let work = || work(kind, plan, &files, url, &auto);
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            rows += worker.join().map_err(|_panic| anyhow!("a thread of the limit panicked"))??;
        }
        anyhow::Ok(())
    })?;
    build(plan, url, &mut session)?;
    Ok(rows)
}

/// Keys and indexes over two connections, then what refers to the keys.
fn build(plan: &Plan, url: &str, session: &mut Session) -> Result<()> {
    let mut statements = Vec::new();
    for table in &plan.tables {
        if !table.key.is_empty() {
            statements.push(primary_key(table));
        }
        for unique in &table.unique {
            let columns: Vec<String> =
                unique.columns.iter().map(|&(column, _)| quote(&table.columns[column].name)).collect();
            statements.push(format!(
                "alter table {} add constraint {} unique ({})",
                quote(&table.name),
                quote(&unique.name),
                columns.join(", ")
            ));
        }
        statements.extend(table.indexes.iter().map(|index| create_index(table, index, Dialect::Postgres)));
    }
    let statements = Mutex::new(statements);
    let next =
        || statements.lock().map_err(|_poisoned| anyhow!("a thread panicked")).map(|mut all| all.pop());
    let run_all = |session: &mut Session| {
        while let Some(statement) = next()? {
            session.run(&statement)?;
        }
        anyhow::Ok(())
    };
    thread::scope(|scope| {
        let second = scope.spawn(|| run_all(&mut Session::open(url)?));
        run_all(session)?;
        second.join().map_err(|_panic| anyhow!("a thread of the limit panicked"))?
    })?;
    for table in &plan.tables {
        for key in &table.foreign_keys {
            session.run(&foreign_key(table, key, &plan.tables))?;
        }
    }
    Ok(())
}

fn work(kind: Kind, plan: &Plan, files: &Files, url: &str, auto: &AtomicI64) -> Result<u64> {
    let mut documents = Documents::new(kind, plan)?;
    let mut session = Session::open(url)?;
    let mut text = Vec::new();
    let mut rows = Encoder::new(plan, auto);
    session.run("begin")?;
    loop {
        let paths = files.take(FILES_AT_ONCE);
        for path in paths {
            read(path, &mut text)?;
            documents.split(path, &text, &mut rows)?;
        }
        rows.send(&mut session, if paths.is_empty() { 1 } else { COPY_BYTES })?;
        if paths.is_empty() {
            session.run("commit")?;
            return Ok(rows.count);
        }
    }
}

/// Encodes rows as binary COPY takes them, a buffer for each table.
#[derive(Debug)]
struct Encoder<'a> {
    /// The COPY statement, number of columns, rows.
    tables: Vec<(String, i16, BytesMut)>,
    table: usize,
    count: u64,
    auto: &'a AtomicI64,
}

impl<'a> Encoder<'a> {
    fn new(plan: &Plan, auto: &'a AtomicI64) -> Self {
        let tables = plan.tables.iter().map(|table| {
            let columns = i16::try_from(table.columns.len()).expect("PostgreSQL has at most 1,600 columns");
            let copy = format!("copy {} from stdin (format binary)", quote(&table.name));
            (copy, columns, BytesMut::new())
        });
        Self { tables: tables.collect(), table: 0, count: 0, auto }
    }

    /// Sends the tables that have collected at least `least` bytes.
    fn send(&mut self, session: &mut Session, least: usize) -> Result<()> {
        for (copy, _, buffer) in &mut self.tables {
            if buffer.len() < least {
                continue;
            }
            buffer.put_i16(-1);
            let rows = buffer.split().freeze();
            session.block_on(async |client| {
                let sink = client.copy_in(copy.as_str()).await?;
                let mut sink = std::pin::pin!(sink);
                sink.send(rows).await?;
                sink.finish().await
            })?;
        }
        Ok(())
    }

    fn buffer(&mut self) -> &mut BytesMut {
        &mut self.tables[self.table].2
    }

    fn cell(&mut self, bytes: &[u8]) {
        let length = i32::try_from(bytes.len()).expect("a cell of the corpora is small");
        let buffer = self.buffer();
        buffer.put_i32(length);
        buffer.put_slice(bytes);
    }
}

impl Rows for Encoder<'_> {
    fn begin(&mut self, table: usize) {
        self.table = table;
        self.count += 1;
        let (_, columns, buffer) = &mut self.tables[table];
        if buffer.is_empty() {
            buffer.reserve(COPY_BYTES + COPY_BYTES / 4);
            buffer.put_slice(b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0");
        }
        buffer.put_i16(*columns);
    }

    fn null(&mut self) {
        self.buffer().put_i32(-1);
    }

    fn int(&mut self, value: i64) {
        let buffer = self.buffer();
        buffer.put_i32(8);
        buffer.put_i64(value);
    }

    fn auto(&mut self) {
        let value = self.auto.fetch_add(1, Ordering::Relaxed);
        self.int(value);
    }

    fn text(&mut self, value: &str) {
        self.cell(value.as_bytes());
    }

    fn json(&mut self, raw: &str) {
        self.cell(raw.as_bytes());
    }

    fn uuid(&mut self, text: &str) -> Result<()> {
        let mut value = 0_u128;
        for byte in text.bytes().filter(|byte| *byte != b'-') {
            let digit = char::from(byte).to_digit(16).context("an id of the corpus is a UUID")?;
            value = value << 4 | u128::from(digit);
        }
        self.cell(&value.to_be_bytes());
        Ok(())
    }

    fn time(&mut self, micros: i64) {
        self.int(micros - EPOCH_US);
    }

    fn date(&mut self, days: i32, _text: &str) {
        self.cell(&(days - EPOCH_DAYS).to_be_bytes());
    }

    fn list(&mut self, list: Value<'_>) -> Result<()> {
        let count = i32::try_from(list.elements().count())?;
        let mut out = BytesMut::new();
        out.put_i32(i32::from(count > 0));
        out.put_i32(0);
        out.put_u32(TEXT_TYPE);
        if count > 0 {
            out.put_i32(count);
            out.put_i32(1);
        }
        for element in list.elements() {
            debug_assert_eq!(element.kind(), JsonKind::String);
            let text = element.as_str().context("a list of the corpus holds strings")?;
            out.put_i32(i32::try_from(text.len())?);
            out.put_slice(text.as_bytes());
        }
        self.cell(&out);
        Ok(())
    }
}
