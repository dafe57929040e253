//! Questions about rows, answered on a reading thread: names and values are looked up in the model, the statement is made
//! from the plan, and its rows become items.

mod cursor;
mod resolve;
mod search;
mod values;

use async_trait::async_trait;
use repot_core::store::{
    Document, DocumentKey, Filter, Layout, Query, QueryExplanation, QueryItem, QueryPage, Queryable,
};
use repot_core::{Answer, Result};
use repot_json::{Limits, Tree};
use repot_model::plan::{Plan, cell_json, key_text};
use repot_model::row::{Cell, Cells};
use repot_model::sql::query::{Expansion, Helps, Select, Speech, reads_all};

use self::resolve::Resolved;
use self::search::Marks;
use super::desk::Desk;
use super::row_store::RowStore;

/// A page ends when its rows, or its documents, have this many bytes.
const PAGE_BYTES: usize = 8 << 20;

#[async_trait]
impl Queryable for RowStore {
    async fn query(&self, query: &Query) -> Result<QueryPage> {
        if query.full && query.after.is_none() {
            // rows that plain SQL made have no text before they are settled
            self.settle_new(&query.scope.collection).await?;
        }
        let mut marks = Marks::default();
        loop {
            let query = query.clone();
            let (found, waits) = self.read(move |desk, layout| page(desk, layout, &query, marks)).await?;
            match found {
                Some(page) => return Ok(page),
                // a step at a time, so that writes get their turn
                None => self.index_words().await?,
            }
            marks = waits;
        }
    }

    async fn explain(&self, query: &Query) -> Result<QueryExplanation> {
        let query = query.clone();
        self.read(move |desk, layout| explain(desk, layout, &query)).await
    }
}

/// `None` while rows wait to be indexed that plain SQL changed.
fn page(
    desk: &mut Desk<'_, '_>,
    layout: &Layout,
    query: &Query,
    mut marks: Marks,
) -> Result<(Option<QueryPage>, Marks)> {
    let plan = desk.plan;
    let speech = desk.reader().speech()?;
    let resolved = Resolved::new(layout.model(), plan, query)?;
    if marks.wait(desk, &resolved)? {
        return Ok((None, marks));
    }
    let made = resolved.statement(speech);
    let answer = desk.reader().ask(&made, PAGE_BYTES)?;
    let page = if query.full {
        documents(desk, layout, &resolved, &answer)?
    } else {
        rows(plan, &resolved, &answer)?
    };
    Ok((Some(page), marks))
}

/// The rows of a page: one more was asked for than there is room for.
fn rows(plan: &Plan, resolved: &Resolved<'_>, answer: &Answer) -> Result<QueryPage> {
    let mut items = Vec::new();
    let mut last: Option<&[u8]> = None;
    for (_, row) in answer.rows.iter().take(resolved.limit()) {
        let raw = raw_cells(row);
        let body = object(plan, resolved, &raw).into();
        items.push(QueryItem { key: key(resolved, &raw), etag: None, body });
        last = Some(row);
    }
    let more = answer.cut || answer.rows.len() > resolved.limit();
    let next = last.filter(|_| more).map(|row| resolved.cursor(&raw_cells(row))).transpose()?;
    Ok(QueryPage { items, next })
}

/// The documents of a page, of the same state of the database as the rows that led to them.
fn documents(
    desk: &mut Desk<'_, '_>,
    layout: &Layout,
    resolved: &Resolved<'_>,
    answer: &Answer,
) -> Result<QueryPage> {
    let mut items = Vec::new();
    let mut bytes = 0;
    let mut left_out = answer.cut || answer.rows.len() > resolved.limit();
    let mut last: Option<&[u8]> = None;
    for (_, row) in answer.rows.iter().take(resolved.limit()) {
        if bytes > PAGE_BYTES {
            left_out = true;
            break;
        }
        last = Some(row);
        let Some(key) = key(resolved, &raw_cells(row)) else { continue };
        if let Some(Document { key, etag, body }) = desk.document(layout, &key)?.flatten() {
            bytes += body.len();
            items.push(QueryItem { key: Some(key), etag: Some(etag), body });
        }
    }
    let next = last.filter(|_| left_out).map(|row| resolved.cursor(&raw_cells(row))).transpose()?;
    Ok(QueryPage { items, next })
}

fn raw_cells(row: &[u8]) -> Vec<&[u8]> {
    let mut cells = Cells::new(row);
    std::iter::from_fn(|| cells.next_raw()).collect()
}

fn key(resolved: &Resolved<'_>, row: &[&[u8]]) -> Option<DocumentKey> {
    let range = resolved.key.clone()?;
    let scope = &resolved.query.scope;
    let text = key_text(&row.get(range)?.concat());
    Some(DocumentKey::of_record((&scope.collection, scope.tenant.as_deref()), &text))
}

/// A row as a JSON object, with the rows that came along in the place of the references to them.
fn object(plan: &Plan, resolved: &Resolved<'_>, row: &[&[u8]]) -> String {
    let Select { table, columns, expand, .. } = &resolved.select;
    let shape = &plan.tables[*table];
    let mut out = "{".to_owned();
    for (at, &column) in columns.iter().enumerate().take(resolved.shown) {
        if at > 0 {
            out.push(',');
        }
        let cell = row.get(at).copied().unwrap_or_default();
        let value = expanded(plan, (expand, columns.len()), column, row).unwrap_or_else(|| json(cell));
        entry(&mut out, &shape.columns[column].name, &value);
    }
    out.push('}');
    out
}

fn entry(out: &mut String, name: &str, value: &str) {
    out.push_str(&repot_json::edit::quote(name));
    out.push(':');
    out.push_str(value);
}

/// The row that a reference refers to; `None` when it is none of the references that come along, or refers to nothing.
fn expanded(
    plan: &Plan,
    (expand, mut at): (&[Expansion], usize),
    column: usize,
    row: &[&[u8]],
) -> Option<String> {
    for one in expand {
        for target in &one.targets {
            let shape = &plan.tables[target.table];
            let cells = row.get(at..at + shape.columns.len())?;
            at += shape.columns.len();
            let there = Cells::new(cells.get(target.column)?).next().is_some_and(|cell| cell != Cell::Null);
            if one.column == column && there {
                let mut out = "{".to_owned();
                for (number, (column, cell)) in shape.columns.iter().zip(cells).enumerate() {
                    if number > 0 {
                        out.push(',');
                    }
                    entry(&mut out, &column.name, &json(cell));
                }
                out.push('}');
                return Some(out);
            }
        }
    }
    None
}

fn json(cell: &[u8]) -> String {
    let cell = Cells::new(cell).next().unwrap_or(Cell::Null);
    match &cell {
        // plain SQL can put anything into a column of SQLite
        Cell::Json(text) if Tree::parse(text.as_bytes(), Limits::default()).is_err() => {
            repot_json::edit::quote(text)
        }
        _ => cell_json(&cell),
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
