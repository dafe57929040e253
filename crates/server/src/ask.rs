//! The parameters of a listing: filters, order, pages.

use axum::http::request::Parts;
use percent_encoding::percent_decode_str;
use repot_core::store::{Cursor, Filter, Op, PAGE_ITEMS_MAX, Query, QueryValue, Scope};
use repot_model::language::{FieldKind, Model, Scalar};

use crate::problem::{Answered, Problem};

/// Filters of one request at the most.
const FILTERS_MAX: usize = 256;
/// Where a row has the tag of its document.
pub(crate) const STATE: &str = "_etag";
/// Where a row has the time at which its document was written last.
pub(crate) const UPDATED: &str = "_updated";

/// What rows tell of their documents beside the columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DocumentColumns {
    pub state: bool,
    pub updated: bool,
}

impl DocumentColumns {
    /// What rows of a collection can tell: not what a field of its own is named after.
    pub(crate) fn of(model: &Model, collection: &str) -> Self {
        let own = model.collection(collection);
        let is_free = |name: &str| own.is_none_or(|found| found.field(name).is_none());
        Self { state: is_free(STATE), updated: is_free(UPDATED) }
    }

    /// Their names.
    pub(crate) fn names(self) -> impl Iterator<Item = &'static str> {
        [self.state.then_some(STATE), self.updated.then_some(UPDATED)].into_iter().flatten()
    }
}

/// The parameters as they were sent, decoded; `+` is a space, as forms have it.
///
/// # Errors
/// 400 when one is no UTF-8.
pub(crate) fn pairs(head: &Parts) -> Answered<Vec<(String, String)>> {
    let text = head.uri.query().unwrap_or_default();
    let decoded = |part: &str| {
        let part = part.replace('+', " ");
        let text = percent_decode_str(&part).decode_utf8().map(std::borrow::Cow::into_owned);
        text.map_err(|_utf8| {
            Problem::bad(format!("parameter `{part}` is no UTF-8"), "Percent-encode it as UTF-8.")
        })
    };
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Ok((decoded(name)?, decoded(value)?))
    };
    text.split('&').filter(|part| !part.is_empty()).map(pair).collect()
}

/// What a listing asks for.
#[derive(Debug)]
pub(crate) struct Listing {
    pub query: Query,
    pub told: DocumentColumns,
    /// It says something that only tables can answer.
    pub needs_tables: bool,
    /// The names of its filters and its order, without values: what decides which of them an index helps.
    pub form: String,
}

/// Reads the parameters of a listing of this collection.
///
/// # Errors
/// 400 for a parameter that is none: wrong operator, wrong number, said twice. Whether its field is there, the store says.
pub(crate) fn listing(model: &Model, scope: Scope, pairs: &[(String, String)]) -> Answered<Listing> {
    let mut query = Query::of(scope);
    let mut told = DocumentColumns::of(model, &query.scope.collection);
    let mut filters = 0;
    let mut form = query.scope.collection.clone();
    for (at, (name, value)) in pairs.iter().enumerate() {
        let is_own = matches!(
            name.as_str(),
            "q" | "sort" | "fields" | "expand" | "limit" | "offset" | "after" | "full"
        );
        if is_own && pairs.iter().take(at).any(|(other, _)| other == name) {
            return Err(wrong(name, "is given twice"));
        }
        match name.as_str() {
            "sort" => {
                form.push_str(&format!("&sort={value}"));
                query = query.sort(value);
            }
            "fields" => (query, told) = fields(query, told, value)?,
            "expand" => {
                let names = value.split(',').filter(|name| !name.is_empty());
                query.expand = names.map(str::to_owned).collect();
            }
            "limit" => {
                let limit = value.parse().ok().filter(|limit| (1..=PAGE_ITEMS_MAX).contains(limit));
                query.limit = limit
                    .ok_or_else(|| wrong(name, &format!("is a whole number from 1 to {PAGE_ITEMS_MAX}")))?;
            }
            "offset" => {
                let offset = value.parse().ok().filter(|offset| i64::try_from(*offset).is_ok());
                query.offset = offset.ok_or_else(|| wrong(name, "is a whole number from 0"))?;
            }
            "after" => query.after = Some(Cursor::new(value.clone())),
            "full" => query.full = boolean(name, value)?,
            "q" => {
                filters += 1;
                query = query.search(value);
            }
            _ => {
                filters += 1;
                form.push('&');
                form.push_str(name);
                let filter = filter(model, &query.scope.collection, name, value)?;
                query = query.filter(filter);
            }
        }
    }
    if filters > FILTERS_MAX {
        return Err(wrong("...", &format!("are at most {FILTERS_MAX}")));
    }
    let plain = filters == 0 && query.sort.is_empty() && query.fields.is_empty();
    let needs_tables = !plain || !query.expand.is_empty() || query.offset > 0;
    query.etags = told.names().next().is_some();
    query.keyless = true;
    Ok(Listing { query, told, needs_tables, form })
}

/// Only these columns; what rows tell of their documents are some of them, and are worked out only for who asks.
fn fields(query: Query, told: DocumentColumns, value: &str) -> Answered<(Query, DocumentColumns)> {
    let names: Vec<&str> = told.names().collect();
    let (own, columns): (Vec<&str>, Vec<&str>) =
        value.split(',').filter(|name| !name.is_empty()).partition(|name| names.contains(name));
    if columns.is_empty() && !own.is_empty() {
        return Err(wrong("fields", &format!("names no column beside {}", names.join(" and "))));
    }
    let asked = |name: &str| columns.is_empty() || own.contains(&name);
    let told = DocumentColumns { state: told.state && asked(STATE), updated: told.updated && asked(UPDATED) };
    Ok((query.fields(&columns.join(",")), told))
}

fn boolean(name: &str, value: &str) -> Answered<bool> {
    match value {
        "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err(wrong(name, "is 1 or 0")),
    }
}

fn wrong(name: &str, what: &str) -> Problem {
    Problem::bad(format!("parameter `{name}` {what}"), "Mend the parameter; the API's page lists them.")
}

/// `field=value`, `field[op]=value`.
fn filter(model: &Model, collection: &str, name: &str, value: &str) -> Answered<Filter> {
    let (field, op) = match name.split_once('[') {
        None => (name, "eq"),
        Some((field, op)) => {
            (field, op.strip_suffix(']').ok_or_else(|| wrong(name, "has no `]` at its end"))?)
        }
    };
    let in_json = is_in_json(model, collection, field);
    let typed = |text: &str| if in_json { json_value(text) } else { QueryValue::Text(text.to_owned()) };
    let compare = |op| Filter::is(field, op, typed(value));
    let field = field.to_owned();
    Ok(match op {
        "eq" => compare(Op::Eq),
        "ne" => compare(Op::Ne),
        "gt" => compare(Op::Gt),
        "gte" => compare(Op::Gte),
        "lt" => compare(Op::Lt),
        "lte" => compare(Op::Lte),
        "in" => Filter::In { field, values: value.split(',').map(typed).collect() },
        "like" => Filter::Like { field, pattern: value.to_owned() },
        "null" => {
            let null = Filter::Null { field };
            if boolean(name, value)? { null } else { !null }
        }
        "count" | "length" => return measured(&field, op, value),
        _ => {
            return Err(wrong(
                name,
                "has none of eq ne gt gte lt lte in like null count length in its brackets",
            ));
        }
    })
}

/// `characters[count]=gt.5`, `title[length]=lte.20`: a number of rows or of characters.
fn measured(field: &str, what: &str, value: &str) -> Answered<Filter> {
    let (op, number) = value.split_once('.').unwrap_or(("eq", value));
    let op = match op {
        "eq" => Op::Eq,
        "ne" => Op::Ne,
        "gt" => Op::Gt,
        "gte" => Op::Gte,
        "lt" => Op::Lt,
        "lte" => Op::Lte,
        _ => return Err(wrong(field, "is compared as in `gt.5`")),
    };
    let number = number.parse().map_err(|_no_number| wrong(field, "is compared with a whole number"))?;
    Ok(if what == "count" { Filter::count(field, op, number) } else { Filter::length(field, op, number) })
}

/// Whether a dotted name leads into a JSON column.
fn is_in_json(model: &Model, collection: &str, field: &str) -> bool {
    let mut at = collection;
    for name in field.split('.') {
        let Some(found) = model.collection(at) else { return false };
        match found.field(name).map(|field| &field.kind) {
            Some(FieldKind::Scalar(Scalar::Json)) => return true,
            Some(_) => return false,
            None => at = name,
        }
    }
    false
}

/// A value inside JSON: a number, `true` or `false` where it reads as one, else a text; `"5"` is the text 5.
fn json_value(text: &str) -> QueryValue {
    if let Some(quoted) = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        return QueryValue::Text(quoted.to_owned());
    }
    match text {
        "true" => QueryValue::Bool(true),
        "false" => QueryValue::Bool(false),
        "null" => QueryValue::Null,
        _ => {
            let number = || text.parse().ok().filter(|number: &f64| number.is_finite());
            let whole = || text.parse().ok().map(QueryValue::Int);
            whole()
                .or_else(|| number().map(QueryValue::Float))
                .unwrap_or_else(|| QueryValue::Text(text.to_owned()))
        }
    }
}
