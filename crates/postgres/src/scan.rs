//! Scanning tables and collecting a document's rows, in the neutral encoding.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;

use crate::client::Client;
use bytes::Bytes;
use futures_util::StreamExt;
use repot_core::{Error, Kind, Result};
use repot_model::plan::{Plan, Table};
use repot_model::row::{Cell, RowBuffer};
use repot_model::sql::quote;
use tokio::sync::mpsc;
use tokio_postgres::types::Type;

use crate::chain::{borrowed, chains, condition};
use crate::decode;
use crate::error::failed;
use crate::stored::Raw;

/// Rows are handed over when they have this many bytes.
const PAGE_BYTES: usize = 256 * 1024;

/// What is read of a table: an expression for each column and whether its type is the plan's.
pub(crate) struct Selection {
    expressions: Vec<String>,
    plain: Vec<bool>,
}

impl Selection {
    fn list(&self) -> String {
        self.expressions.join(", ")
    }

    /// Appends the cell of a field.
    fn cell(&self, table: &Table, at: usize, field: Option<&[u8]>, out: &mut Vec<u8>) -> Result<()> {
        if self.plain[at] {
            if decode::cell(field, table.columns[at].kind, out) {
                return Ok(());
            }
            let name = format!("{}.{}", table.name, table.columns[at].name);
            return Err(Error::new(
                Kind::Corrupt,
                "R0803",
                format!("{name} holds a value that cannot be read"),
            ));
        }
        match field {
            None => Cell::Null.encode(out),
            Some(bytes) => Cell::Text(String::from_utf8_lossy(bytes)).encode(out),
        }
        Ok(())
    }
}

/// How to read the columns of the plan from the table as it is now.
pub(crate) async fn selection(client: &Client, table: &Table, alias: &str) -> Result<Selection> {
    let rows = client
        .query_typed(
            "select attname::text, atttypid from pg_attribute join pg_class on pg_class.oid = attrelid \
             where relnamespace = quote_ident(current_schema())::regnamespace and relname = $1 and attnum > 0 and not attisdropped",
            &[(&table.name, Type::TEXT)],
        )
        .await
        .map_err(|error| failed("read the catalogue", error))?;
    let gone = |what: String| {
        Error::new(Kind::Corrupt, "R0802", what)
            .hint("It was dropped or renamed in the database; put it back as `repot plan --sql` prints it.")
    };
    if rows.is_empty() {
        return Err(gone(format!("table {} is missing", table.name)));
    }
    let types: HashMap<String, u32> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let mut selection = Selection { expressions: Vec::new(), plain: Vec::new() };
    for column in &table.columns {
        let Some(&oid) = types.get(&column.name) else {
            return Err(gone(format!("column {}.{} is missing", table.name, column.name)));
        };
        let plain = decode::reads_as(oid, column.kind);
        let name = quote(&column.name);
        selection.expressions.push(if plain {
            format!("{alias}.{name}")
        } else {
            format!("{alias}.{name}::text")
        });
        selection.plain.push(plain);
    }
    Ok(selection)
}

/// Reads every row of a table by binary COPY and sends them a few at a time.
pub(crate) async fn scan(
    client: &Client,
    plan: Arc<Plan>,
    number: usize,
    sender: mpsc::Sender<RowBuffer>,
) -> Result<()> {
    let table = &plan.tables[number];
    let what = format!("read table {}", table.name);
    let selection = selection(client, table, "t").await?;
    let sql =
        format!("copy (select {} from only {} t) to stdout binary", selection.list(), quote(&table.name));
    let stream = client.copy_out(&sql).await.map_err(|error| failed(&what, error))?;
    let mut stream = pin!(stream);
    let mut reader = CopyReader { table, number, selection: &selection, rest: Vec::new(), started: false };
    let mut page = RowBuffer::new();
    let mut cells = Vec::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|error| failed(&what, error))?;
        reader.take(&chunk, &mut page, &mut cells)?;
        if page.size_bytes() >= PAGE_BYTES {
            let full = std::mem::take(&mut page);
            if sender.send(full).await.is_err() {
                // the caller wants no more; the connection drops the rest of the answer
                return Ok(());
            }
        }
    }
    if !page.is_empty() {
        // a caller that wants no more has what it asked for
        drop(sender.send(page).await);
    }
    Ok(())
}

/// Reads a binary COPY stream, whatever its chunks; the server sends one row in each.
struct CopyReader<'a> {
    table: &'a Table,
    number: usize,
    selection: &'a Selection,
    rest: Vec<u8>,
    started: bool,
}

impl CopyReader<'_> {
    fn take(&mut self, chunk: &Bytes, page: &mut RowBuffer, cells: &mut Vec<u8>) -> Result<()> {
        let joined;
        let mut bytes: &[u8] = if self.rest.is_empty() {
            chunk
        } else {
            joined = [self.rest.as_slice(), chunk].concat();
            self.rest.clear();
            &joined
        };
        if !self.started {
            let Some(after) = header(bytes) else {
                self.rest = bytes.to_vec();
                return Ok(());
            };
            bytes = after;
            self.started = true;
        }
        loop {
            cells.clear();
            let Some(after) = self.row(bytes, cells)? else {
                self.rest = bytes.to_vec();
                return Ok(());
            };
            if after.is_empty() && cells.is_empty() {
                return Ok(());
            }
            page.raw(cells);
            page.end_row(self.number);
            bytes = after;
            if bytes.is_empty() {
                return Ok(());
            }
        }
    }

    /// One row's cells; `None` when it is not whole; the end of the data leaves nothing.
    fn row<'b>(&self, bytes: &'b [u8], cells: &mut Vec<u8>) -> Result<Option<&'b [u8]>> {
        let Some((count, mut bytes)) = bytes.split_first_chunk::<2>() else { return Ok(None) };
        if i16::from_be_bytes(*count) < 0 {
            return Ok(Some(&[]));
        }
        for at in 0..self.table.columns.len() {
            let Some((length, after)) = bytes.split_first_chunk::<4>() else { return Ok(None) };
            bytes = after;
            let field = match usize::try_from(i32::from_be_bytes(*length)) {
                Err(_) => None,
                Ok(length) => {
                    let Some((field, after)) = bytes.split_at_checked(length) else { return Ok(None) };
                    bytes = after;
                    Some(field)
                }
            };
            self.selection.cell(self.table, at, field, cells)?;
        }
        Ok(Some(bytes))
    }
}

fn header(bytes: &[u8]) -> Option<&[u8]> {
    let extension = bytes.get(15..19)?.try_into().ok().map(u32::from_be_bytes)?;
    bytes.get(19 + usize::try_from(extension).ok()?..)
}

/// All rows of one document, of all tables; all questions go out before the first answer is awaited.
pub(crate) async fn document_rows(
    client: &Client,
    plan: &Plan,
    root: usize,
    key: &[u8],
) -> Result<RowBuffer> {
    let root_table = &plan.tables[root];
    let mut asked = Vec::new();
    for (number, table) in plan.tables.iter().enumerate() {
        let ways: Vec<_> = chains(plan, number).into_iter().filter(|chain| chain.root() == root).collect();
        if ways.is_empty() {
            continue;
        }
        let selection = selection(client, table, "t0").await?;
        let order = table.position.map_or_else(String::new, |column| {
            format!(" order by t0.{}", quote(&table.columns[column].name))
        });
        let mut parameters = Vec::new();
        for chain in &ways {
            let (place, given) = condition(root_table, &root_table.key, key, &chain.root_alias())?;
            let sql = format!("select {} from {} where {place}{order}", selection.list(), chain.from(plan));
            parameters.push((sql, given));
        }
        asked.push((number, selection, parameters));
    }
    let questions = asked
        .iter()
        .flat_map(|(_, _, parameters)| parameters)
        .map(|(sql, given)| async move { client.query_typed(sql, &borrowed(given)).await });
    let mut answers = futures_util::future::join_all(questions).await.into_iter();
    let mut out = RowBuffer::new();
    let mut cells = Vec::new();
    for (number, selection, parameters) in &asked {
        let table = &plan.tables[*number];
        for _ in parameters {
            let Some(rows) = answers.next() else { break };
            for row in rows.map_err(|error| failed(&format!("read rows of {}", table.name), error))? {
                cells.clear();
                for at in 0..table.columns.len() {
                    let raw: Raw<'_> = row.try_get(at).map_err(|error| failed("read a row", error))?;
                    selection.cell(table, at, raw.0, &mut cells)?;
                }
                out.raw(&cells);
                out.end_row(*number);
            }
        }
    }
    Ok(out)
}
