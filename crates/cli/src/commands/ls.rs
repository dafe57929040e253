//! `repot ls`: rows and documents of a collection.

use http::Method;
use repot_core::{Error, Kind, QueryResult, Result};
use repot_json::{Kind as JsonKind, Value};
use serde_json::json;

use super::query;
use crate::args::Global;
use crate::asking::Asking;
use crate::document_args::Ls;
use crate::errors::{Exit, Failure};
use crate::output::Output;
use crate::page::{Page, one_line};
use crate::paths;

/// Items of one request.
const PAGE: usize = 500;
/// What a row says of its document, which a table has no room for.
const OF_DOCUMENT: [&str; 2] = ["_etag", "_updated"];

pub(crate) fn run(global: &Global, ls: &Ls, output: &Output) -> Result<Exit, Failure> {
    let asked = pairs(ls)?;
    let asking = Asking::open(global, &ls.at)?;
    let path = paths::of_collection(&ls.collection)?;
    let (mut after, mut items, mut rows) = (ls.after.clone(), 0, Rows::default());
    loop {
        let most = if ls.all { PAGE } else { PAGE.min(ls.limit - items) };
        let most_text = most.to_string();
        let mut pairs = asked.clone();
        pairs.push(("limit", &most_text));
        pairs.extend(after.as_deref().map(|after| ("after", after)));
        let answer = asking.ask(paths::request(Method::GET, &format!("{path}?{}", paths::query(&pairs)))?)?;
        let page = Page::read(answer.into_body())?;
        items += page.each(
            |item, beside| {
                if output.json { output.print(&line(item, beside)) } else { rows.push(item) }
            },
        )?;
        after = page.field("next").and_then(|next| Some(next.as_str()?.into_owned()));
        if after.is_none() || (!ls.all && items >= ls.limit) {
            break;
        }
    }
    if !output.json {
        output.print_raw(query::table(&rows.finish()).as_bytes());
        if let Some(after) = &after {
            output.say(&format!("There are more: --all, or --after {after}"));
        }
    }
    output.done(json!({"type": "result", "items": items, "after": after}), &[]);
    Ok(Exit::Done)
}

/// The parameters of the listing.
fn pairs(ls: &Ls) -> Result<Vec<(&str, &str)>> {
    let mut pairs = Vec::new();
    for text in &ls.wheres {
        pairs.push(text.split_once('=').ok_or_else(|| {
            Error::new(Kind::Invalid, "R0100", format!("`{text}` is no condition"))
                .hint("Write --where FIELD=VALUE, or --where 'FIELD[gte]=VALUE'.")
        })?);
    }
    let named = [("q", &ls.search), ("sort", &ls.sort), ("fields", &ls.fields)];
    pairs.extend(named.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))));
    if ls.full {
        pairs.push(("full", "1"));
    }
    Ok(pairs)
}

/// `{"type":"item","item":...}`: the item's own text, without line breaks between its values, and what stands beside it.
fn line(item: Value<'_>, beside: [Option<&str>; 2]) -> String {
    let said = ["etag", "updated"].iter().zip(beside);
    let said = said.filter_map(|(name, value)| Some(format!("\"{name}\":{},", json!(value?))));
    format!("{{\"type\":\"item\",{}\"item\":{}}}", said.collect::<String>(), one_line(item.raw()))
}

/// Items as rows of a table: a column for each field, in the order in which they come first.
#[derive(Default)]
struct Rows {
    columns: Vec<String>,
    rows: Vec<Vec<Option<String>>>,
}

impl Rows {
    fn push(&mut self, item: Value<'_>) {
        let mut row = Vec::with_capacity(self.columns.len());
        for (name, value) in item.entries() {
            let Some(name) = name.as_str().filter(|name| !OF_DOCUMENT.contains(&name.as_ref())) else {
                continue;
            };
            let known = self.columns.iter().position(|column| *column == name);
            let at = known.unwrap_or_else(|| {
                self.columns.push(name.into_owned());
                self.columns.len() - 1
            });
            row.resize(row.len().max(at + 1), None);
            row[at] = cell(value);
        }
        self.rows.push(row);
    }

    fn finish(mut self) -> QueryResult {
        for row in &mut self.rows {
            row.resize(self.columns.len(), None);
        }
        QueryResult { columns: self.columns, rows: self.rows, more: false }
    }
}

fn cell(value: Value<'_>) -> Option<String> {
    match value.kind() {
        JsonKind::Null => None,
        JsonKind::String => value.as_str().map(std::borrow::Cow::into_owned),
        _ => Some(value.raw().to_owned()),
    }
}
