//! Questions about rows, answered on a reading thread: names and values are looked up in the model, the statement is made
//! from the plan, and its rows become items.

mod cursor;
mod resolve;
mod search;
mod states;
mod values;

use async_trait::async_trait;
use bytes::Bytes;
use repot_core::store::{
    Document, DocumentKey, Filter, Layout, Query, QueryExplanation, QueryItem, QueryPage, Queryable, Scope,
    SqlQuestion, SqlSink,
};
use repot_core::{Answer, Error, Kind, Result};
use repot_json::{Limits, Tree};
use repot_model::plan::{Plan, cell_json_into, key_text_into};
use repot_model::row::{Cell, Cells};
use repot_model::sql::query::{Expansion, Helps, Select, Speech, Statement, reads_all};

use self::resolve::Resolved;
use self::search::Marks;
use super::desk::Desk;
use super::row_store::RowStore;

/// A page ends when its rows, or its documents, have this many bytes.
const PAGE_BYTES: usize = 8 << 20;
/// Whole documents of a page that are read together.
const EXPECTED_AT_ONCE: usize = 32;
/// Rows of a page that is short.
const SHORT_ITEMS: usize = 100;

#[async_trait]
impl Queryable for RowStore {
    async fn query(&self, query: &Query) -> Result<QueryPage> {
        if query.full && query.after.is_none() {
            // rows that plain SQL made have no text before they are settled
            self.settle_new(&query.scope.collection).await?;
        }
        let (mut marks, is_short) = (Marks::default(), is_short(query));
        loop {
            let asked = query.clone();
            let asking = move |desk: &mut Desk<'_, '_>, layout: &Layout| page(desk, layout, &asked, &marks);
            let (found, waits) =
                if is_short { self.read_short(asking).await? } else { self.read(asking).await? };
            match found {
                Some(page) => return Ok(page),
                // a step at a time, so that writes get their turn
                None => self.index_words().await?,
            }
            marks = waits;
        }
    }

    async fn count(&self, query: &Query) -> Result<u64> {
        if query.full {
            self.settle_new(&query.scope.collection).await?;
        }
        let query = Query { after: None, offset: 0, ..query.clone() };
        let (mut marks, is_plain) = (Marks::default(), is_plain(&query.filter));
        loop {
            let asked = query.clone();
            let counting =
                move |desk: &mut Desk<'_, '_>, layout: &Layout| count(desk, layout, &asked, &marks);
            let (found, waits) =
                if is_plain { self.read_short(counting).await? } else { self.read(counting).await? };
            match found {
                Some(count) => return Ok(count),
                None => self.index_words().await?,
            }
            marks = waits;
        }
    }

    async fn read_sql(&self, question: SqlQuestion, mut sink: SqlSink) -> Result<bool> {
        self.read(move |desk, _| desk.reader().read_sql(&question, &mut sink)).await
    }

    async fn explain(&self, query: &Query) -> Result<QueryExplanation> {
        let query = query.clone();
        self.read(move |desk, layout| explain(desk, layout, &query)).await
    }
}

/// Whether a page of it is likely read at once: few rows, and conditions that are about their columns alone.
fn is_short(query: &Query) -> bool {
    query.limit <= SHORT_ITEMS && is_plain(&query.filter)
}

fn is_plain(filter: &Filter) -> bool {
    match filter {
        Filter::All(all) | Filter::Any(all) => all.iter().all(is_plain),
        Filter::Not(inner) => is_plain(inner),
        Filter::Is { field, .. }
        | Filter::In { field, .. }
        | Filter::Like { field, .. }
        | Filter::Null { field } => !field.contains('.'),
        Filter::Count { .. } | Filter::Length { .. } | Filter::Search { .. } | Filter::Holds { .. } => false,
    }
}

/// `None` while rows wait to be indexed that plain SQL changed.
fn page(
    desk: &mut Desk<'_, '_>,
    layout: &Layout,
    query: &Query,
    marks: &Marks,
) -> Result<(Option<QueryPage>, Marks)> {
    let mut marks = marks.clone();
    let plan = desk.plan;
    let speech = desk.reader().speech()?;
    let resolved = Resolved::new(layout.model(), plan, query)?;
    if marks.wait(desk, &resolved)? {
        return Ok((None, marks));
    }
    let made = resolved.statement(speech);
    let page = if query.full {
        let answer = desk.reader().ask(&made, PAGE_BYTES)?;
        documents(desk, layout, (&resolved, &made), &answer)?
    } else if query.etags && resolved.key.is_some() {
        states::page(desk, layout, (&resolved, &made))?
    } else {
        rows(plan, (&resolved, &made), &desk.reader().ask_once(&made, PAGE_BYTES)?)?
    };
    Ok((Some(page), marks))
}

/// `None` while rows wait to be indexed that plain SQL changed.
fn count(
    desk: &mut Desk<'_, '_>,
    layout: &Layout,
    query: &Query,
    marks: &Marks,
) -> Result<(Option<u64>, Marks)> {
    let mut marks = marks.clone();
    let speech = desk.reader().speech()?;
    let resolved = Resolved::new(layout.model(), desk.plan, query)?;
    if marks.wait(desk, &resolved)? {
        return Ok((None, marks));
    }
    let answer = desk.reader().ask_once(&resolved.counting(speech), PAGE_BYTES)?;
    let found = answer.rows.iter().next().and_then(|(_, row)| Cells::new(row).next());
    match found {
        Some(Cell::Int(number)) => Ok((Some(number.unsigned_abs()), marks)),
        _ => Err(Error::new(Kind::Corrupt, "R0802", "the database counted nothing")),
    }
}

/// The rows of a page: one more was asked for than there is room for.
fn rows(
    plan: &Plan,
    (resolved, statement): (&Resolved<'_>, &Statement),
    answer: &Answer,
) -> Result<QueryPage> {
    let mut made = Vec::with_capacity(answer.rows.len().min(resolved.limit()));
    let (names, mut keys) = (Names::new(plan, resolved), Keys::new(resolved));
    // one text for all of them, of which each item has its part
    let mut text = String::with_capacity(answer.rows.size_bytes() * 2);
    let (mut raw, mut last) = (Vec::new(), None);
    for (_, row) in answer.rows.iter().take(resolved.limit()) {
        let begin = text.len();
        names.object(row, &mut text);
        let key = match resolved.key {
            Some(_) => {
                raw_cells(row, &mut raw);
                keys.of(&raw)
            }
            None => None,
        };
        made.push((key, begin..text.len()));
        last = Some(row);
    }
    let text = Bytes::from(text);
    let item = |(key, range)| QueryItem { key, etag: None, modified_ms: None, body: text.slice(range) };
    let items = made.into_iter().map(item).collect();
    let more = answer.cut || answer.rows.len() > resolved.limit();
    let next = last.filter(|_| more).map(|row| {
        raw_cells(row, &mut raw);
        resolved.cursor(statement, &raw)
    });
    Ok(QueryPage { items, next: next.transpose()? })
}

/// The documents of a page, of the same state of the database as the rows that led to them.
fn documents(
    desk: &mut Desk<'_, '_>,
    layout: &Layout,
    (resolved, made): (&Resolved<'_>, &Statement),
    answer: &Answer,
) -> Result<QueryPage> {
    let mut items = Vec::new();
    let mut bytes = 0;
    let mut left_out = answer.cut || answer.rows.len() > resolved.limit();
    let (mut keys, mut raw) = (Keys::new(resolved), Vec::new());
    let rows: Vec<&[u8]> = answer.rows.iter().take(resolved.limit()).map(|(_, row)| row).collect();
    for (at, row) in rows.iter().enumerate() {
        if bytes > PAGE_BYTES {
            left_out = true;
            break;
        }
        if at % EXPECTED_AT_ONCE == 0 {
            let next = rows[at..].iter().take(EXPECTED_AT_ONCE);
            let next: Vec<DocumentKey> = next
                .filter_map(|row| {
                    raw_cells(row, &mut raw);
                    keys.of(&raw)
                })
                .collect();
            desk.expect(layout, &next)?;
        }
        raw_cells(row, &mut raw);
        let Some(key) = keys.of(&raw) else { continue };
        if let Some(Document { key, etag, body, modified_ms }) = desk.document(layout, &key)?.flatten() {
            bytes += body.len();
            items.push(QueryItem { key: Some(key), etag: Some(etag), modified_ms, body });
        }
    }
    let next = (left_out && !raw.is_empty()).then(|| resolved.cursor(made, &raw)).transpose()?;
    Ok(QueryPage { items, next })
}

fn raw_cells<'r>(row: &'r [u8], raw: &mut Vec<&'r [u8]>) {
    let mut cells = Cells::new(row);
    raw.clear();
    raw.extend(std::iter::from_fn(|| cells.next_raw()));
}

/// The keys of rows that are documents of the collection and tenant that are asked.
struct Keys<'r> {
    resolved: &'r Resolved<'r>,
    /// Any of them.
    any: DocumentKey,
    text: String,
}

impl<'r> Keys<'r> {
    fn new(resolved: &'r Resolved<'r>) -> Self {
        let Scope { collection, tenant } = &resolved.query.scope;
        let any = DocumentKey::of_record((collection, tenant.as_deref()), "");
        Self { resolved, any, text: String::new() }
    }

    fn of(&mut self, row: &[&[u8]]) -> Option<DocumentKey> {
        let cell = |&at: &usize| row.get(at).copied();
        self.text.clear();
        match self.resolved.key.as_deref()? {
            [only] => key_text_into(cell(only)?, &mut self.text),
            several => {
                let cells: Vec<&[u8]> = several.iter().map(cell).collect::<Option<_>>()?;
                key_text_into(&cells.concat(), &mut self.text);
            }
        }
        Some(self.any.beside(&self.text))
    }
}

/// The names of what is shown, ready to stand in an object.
struct Names<'r> {
    resolved: &'r Resolved<'r>,
    plan: &'r Plan,
    /// Each with quotes and colon, and the comma before it.
    shown: Vec<String>,
}

impl<'r> Names<'r> {
    fn new(plan: &'r Plan, resolved: &'r Resolved<'r>) -> Self {
        let Select { table, columns, .. } = &resolved.select;
        let name = |(at, &column): (usize, &usize)| entry(at, &plan.tables[*table].columns[column].name);
        let shown = columns.iter().enumerate().take(resolved.shown).map(name).collect();
        Self { resolved, plan, shown }
    }

    /// A row as a JSON object, with the rows that came along in the place of the references to them.
    fn object(&self, row: &[u8], out: &mut String) {
        let Select { columns, expand, .. } = &self.resolved.select;
        let mut raw = Vec::new();
        if !expand.is_empty() {
            raw_cells(row, &mut raw);
        }
        let mut cells = Cells::new(row);
        out.push('{');
        for (&column, name) in columns.iter().zip(&self.shown) {
            out.push_str(name);
            let cell = cells.next().unwrap_or(Cell::Null);
            if !expanded(self.plan, (expand, columns.len()), column, &raw, out).unwrap_or_default() {
                json(&cell, out);
            }
        }
        out.push('}');
    }
}

fn entry(at: usize, name: &str) -> String {
    format!("{}{}:", if at > 0 { "," } else { "" }, repot_json::edit::quote(name))
}

/// Appends the row that a reference refers to; not when it is none of the references that come along, or refers to nothing.
fn expanded(
    plan: &Plan,
    (expand, mut at): (&[Expansion], usize),
    column: usize,
    row: &[&[u8]],
    out: &mut String,
) -> Option<bool> {
    for one in expand {
        for target in &one.targets {
            let shape = &plan.tables[target.table];
            let cells = row.get(at..at + shape.columns.len())?;
            at += shape.columns.len();
            let there = Cells::new(cells.get(target.column)?).next().is_some_and(|cell| cell != Cell::Null);
            if one.column == column && there {
                out.push('{');
                for (number, (column, cell)) in shape.columns.iter().zip(cells).enumerate() {
                    out.push_str(&entry(number, &column.name));
                    json(&Cells::new(cell).next().unwrap_or(Cell::Null), out);
                }
                out.push('}');
                return Some(true);
            }
        }
    }
    None
}

fn json(cell: &Cell<'_>, out: &mut String) {
    match cell {
        // plain SQL can put anything into a column of SQLite
        Cell::Json(text) if Tree::parse(text.as_bytes(), Limits::default()).is_err() => {
            repot_json::edit::quote_into(text, out);
        }
        _ => cell_json_into(cell, out),
    }
}

fn explain(desk: &mut Desk<'_, '_>, layout: &Layout, query: &Query) -> Result<QueryExplanation> {
    let plan = desk.plan;
    let speech = desk.reader().speech()?;
    let resolved = Resolved::new(layout.model(), plan, query)?;
    let made = resolved.statement(speech);
    let lines = desk.reader().explain(&made)?;
    let Select { table, filter, .. } = &resolved.select;
    Ok(QueryExplanation {
        unindexed: unindexed(plan, speech, &resolved)?,
        reads_all: reads_all(plan, &resolved.tenancy, speech, *table, filter),
        statement: made.sql,
        plan: lines,
    })
}

/// The conditions, of those that must all hold, that no index helps.
fn unindexed(plan: &Plan, speech: Speech, resolved: &Resolved<'_>) -> Result<Vec<String>> {
    let table = resolved.select.table;
    let helps = Helps::new(plan, speech);
    let mut all = Vec::new();
    flatten(&resolved.query.filter, &mut all);
    let mut conditions = Vec::new();
    for filter in all {
        conditions.push((filter, resolved.condition(plan, filter)?));
    }
    let mut known: Vec<usize> = resolved.tenancy.columns[table].into_iter().collect();
    known.extend(conditions.iter().filter_map(|(_, condition)| helps.fixed(table, condition)));
    let unhelped = |(filter, condition): &(&Filter, _)| {
        (!helps.helped_beside(table, condition, &known)).then(|| filter.to_string())
    };
    Ok(conditions.iter().filter_map(unhelped).collect())
}

fn flatten<'f>(filter: &'f Filter, out: &mut Vec<&'f Filter>) {
    match filter {
        Filter::All(all) => all.iter().for_each(|one| flatten(one, out)),
        other => out.push(other),
    }
}
