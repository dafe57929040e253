//! Listings, and their parameters.

use repot_core::store::PAGE_ITEMS_MAX;
use repot_model::plan::{Column, ColumnKind};
use serde_json::{Value, json};

use super::responses::{self, header};
use super::schemas::{self, bounded};
use super::subject::Subject;
use crate::ask::DocumentColumns;

/// The operation of a listing.
pub(super) fn operation(subject: &Subject<'_>) -> Value {
    let name = subject.name();
    let mut parameters = pages(subject);
    parameters.extend(choices(subject));
    parameters.extend(filters(subject));
    if subject.is_tenants() {
        parameters.push(header("RepotTenant"));
    }
    parameters.push(json!({
        "name": "Prefer", "in": "header",
        "description": "`count=exact`: with the number of all items.",
        "schema": {"type": "string", "examples": ["count=exact"]},
    }));
    let mut page =
        responses::body("A page.", "application/json", &schemas::reference(&format!("{name}.page")));
    page["content"]["application/x-ndjson"] =
        json!({"schema": {"type": "string", "description": "An item a line, all of them."}});
    page["headers"] = json!({
        "X-Total-Count": {
            "description": "How many there are on all pages (`Prefer: count=exact`).",
            "schema": {"type": "integer", "minimum": 0},
        },
        "Preference-Applied": {"description": "What was done as preferred.", "schema": {"type": "string"}},
        "Link": {"description": "The next page (`rel=\"next\"`).", "schema": {"type": "string"}},
        "Warning": {"description": "Names conditions that no index helps.", "schema": {"type": "string"}}
    });
    page["links"] = json!({
        "next": {"operationId": format!("list_{name}"), "parameters": {"query.after": "$response.body#/next"}}
    });
    json!({
        "operationId": format!("list_{name}"),
        "tags": [name],
        "summary": format!("A page of rows of {name}"),
        "description": "Also `field[op]=value` of fields inside JSON (`metadata.size[gt]=5`) and of rows that are held (`characters.name=Mara`). With `Accept: application/x-ndjson` all of it comes, an item a line.",
        "parameters": parameters,
        "responses": responses::responses(&[(200, page)], &[]),
    })
}

/// The schema of a page.
pub(super) fn page(subject: &Subject<'_>) -> Value {
    let row = schemas::reference(&format!("{}.row", subject.name()));
    let items =
        if subject.is_json() { json!({"anyOf": [row, schemas::reference(subject.name())]}) } else { row };
    let mut properties = json!({
        "items": {"type": "array", "items": items},
        "next": {"type": "string", "description": "Where the next page begins (`after`); missing at the end."}
    });
    if subject.is_json() {
        properties["etags"] = json!({
            "type": "array",
            "description": "With `full=1`: the states of the items.",
            "items": {"type": ["string", "null"]}
        });
        properties["updated"] = json!({
            "type": "array",
            "description": "With `full=1`: when each of the items was written last.",
            "items": {"type": ["string", "null"], "format": "date-time"}
        });
    }
    json!({"type": "object", "properties": properties, "required": ["items"]})
}

/// A parameter behind `?`.
pub(super) fn query(name: &str, about: &str, schema: Value) -> Value {
    let mut parameter = json!({"name": name, "in": "query"});
    if !about.is_empty() {
        parameter["description"] = json!(about);
    }
    parameter["schema"] = schema;
    parameter
}

fn yes_or_no() -> Value {
    json!({"type": "string", "enum": ["1", "0", "true", "false"]})
}

fn pages(subject: &Subject<'_>) -> Vec<Value> {
    let limit = json!({"type": "integer", "minimum": 1, "maximum": PAGE_ITEMS_MAX});
    let offset = json!({"type": "integer", "minimum": 0, "maximum": i64::MAX});
    let mut found = vec![
        query("limit", "Items of the page at most.", limit),
        query("after", "Goes on behind a page: its `next`.", json!({"type": "string"})),
        query("offset", "Items left out at the beginning; only without `after`.", offset),
    ];
    if subject.is_json() {
        found.push(query("full", "Whole documents instead of rows.", yes_or_no()));
    }
    found
}

/// How many more names follow the first in an order, and of references that come along: a query takes 16.
const FEW: &str = "{0,15}";
/// As many as there are columns.
const MANY: &str = "*";

/// Names of these columns, with commas between.
fn names(columns: &[&str], before: &str, more: &str) -> Value {
    let one = format!("{before}({})", columns.join("|"));
    json!({"type": "string", "pattern": format!("^({one}(,{one}){more})?$")})
}

fn choices(subject: &Subject<'_>) -> Vec<Value> {
    let columns = &subject.columns().columns;
    let mut found = Vec::new();
    let sortable: Vec<&str> =
        columns.iter().filter(|column| column.kind.has_order()).map(|column| column.name.as_str()).collect();
    if !sortable.is_empty() {
        found.push(query("sort", "The order: `-created_at,title`.", names(&sortable, "-?", FEW)));
    }
    let all: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    found.push(fields(subject, &all));
    let references: Vec<&str> = columns
        .iter()
        .enumerate()
        .filter(|(at, _)| !schemas::expands_to(subject, *at).is_empty())
        .map(|(_, column)| column.name.as_str())
        .collect();
    if !references.is_empty() {
        let about = "References in whose place the row that they refer to is given.";
        found.push(query("expand", about, names(&references, "", FEW)));
    }
    if !subject.collection.search.is_empty() {
        let about = "Words to search for: `words \"a phrase\" beg*`.";
        found.push(query("q", about, json!({"type": "string"})));
    }
    found
}

/// Only these columns; with what rows tell of their document, but not that alone.
fn fields(subject: &Subject<'_>, all: &[&str]) -> Value {
    let told: Vec<&str> = schemas::rows_tell(subject).into_iter().flat_map(DocumentColumns::names).collect();
    if told.is_empty() {
        return query("fields", "Only these columns.", names(all, "", MANY));
    }
    let (own, one) = (format!("({})", told.join("|")), format!("({})", all.join("|")));
    let pattern = format!("^(({own},)*{one}(,({own}|{one}))*)?$");
    let about = format!("Only these columns, of which `{}` may be some.", told.join("` and `"));
    query("fields", &about, json!({"type": "string", "pattern": pattern}))
}

fn filters(subject: &Subject<'_>) -> Vec<Value> {
    let mut found = Vec::new();
    for column in &subject.columns().columns {
        of_column(column, &mut found);
    }
    let plan = subject.plan();
    let held =
        plan.tables.iter().filter(|table| table.parents.iter().any(|parent| parent.table == subject.table));
    for table in held {
        found.push(query(&format!("{}[count]", table.name), "The number of rows: `gt.5`.", measure()));
    }
    found
}

/// `gt.5`
fn measure() -> Value {
    json!({"type": "string", "pattern": "^((eq|ne|gt|gte|lt|lte)\\.)?[0-9]{1,18}$"})
}

fn of_column(column: &Column, found: &mut Vec<Value>) {
    let name = &column.name;
    let with = |op: &str| format!("{name}[{op}]");
    let kind = element(column.kind);
    if matches!(column.kind, ColumnKind::Json | ColumnKind::Bytes) {
        found.push(query(&with("null"), "", yes_or_no()));
        return;
    }
    let value = match column.words.as_slice() {
        [] => bounded(schemas::plain(kind), kind),
        words => json!({"type": "string", "enum": words}),
    };
    found.push(query(name, "Equals.", value.clone()));
    found.push(query(&with("ne"), "", value.clone()));
    if column.kind.has_order() && column.words.is_empty() && kind != ColumnKind::Bool {
        found.extend(["gt", "gte", "lt", "lte"].map(|op| query(&with(op), "", value.clone())));
    }
    if let Some(one) = spelled(column, kind) {
        let several = json!({"type": "string", "pattern": format!("^({one})(,({one}))*$")});
        found.push(query(&with("in"), "One of these, with commas between.", several));
    }
    if matches!(kind, ColumnKind::Text(_)) && column.words.is_empty() {
        let pattern =
            json!({"type": "string", "maxLength": 1000, "pattern": r"^([^\u0000\\]|\\[^\u0000])*$"});
        found.push(query(&with("like"), "`%` and `_` stand for others, `\\` takes that from them.", pattern));
        if matches!(column.kind, ColumnKind::Text(_)) {
            found.push(query(&with("length"), "The number of characters: `lte.20`.", measure()));
        }
    }
    if column.nullable {
        found.push(query(&with("null"), "", yes_or_no()));
    }
}

/// What a list consists of.
const fn element(kind: ColumnKind) -> ColumnKind {
    match kind {
        // a longer text can be asked for, too
        ColumnKind::Text(_) => ColumnKind::Text(None),
        ColumnKind::TextList => ColumnKind::Text(None),
        ColumnKind::IntList => ColumnKind::Int,
        ColumnKind::FloatList => ColumnKind::Float,
        ColumnKind::BoolList => ColumnKind::Bool,
        kind => kind,
    }
}

/// How one of several values is spelled, as a pattern.
fn spelled(column: &Column, kind: ColumnKind) -> Option<String> {
    const DATE: &str = "[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])";
    Some(match kind {
        _ if !column.words.is_empty() => column.words.join("|"),
        ColumnKind::Text(_) => r"[^\u0000,]*".to_owned(),
        ColumnKind::Int => "-?[0-9]{1,18}".to_owned(),
        ColumnKind::Float | ColumnKind::Decimal => r"-?[0-9]{1,30}(\.[0-9]{1,30})?".to_owned(),
        ColumnKind::Date => DATE.to_owned(),
        ColumnKind::Time => format!("{DATE}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z"),
        ColumnKind::Uuid => "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}".to_owned(),
        _ => return None,
    })
}
