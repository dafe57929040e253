//! Values of a query as cells of the columns they are compared with.

use repot_core::store::{Op, QueryValue};
use repot_core::{Error, Kind, Result};
use repot_model::plan::time::{parse_date, parse_time};
use repot_model::plan::{Column, ColumnKind};
use repot_model::row::Cell;
use repot_model::sql::query::{Comparison, JsonType, Parameter, json_number};

/// The error of a query that is wrong.
pub(super) fn wrong(message: impl Into<String>) -> Error {
    Error::new(Kind::Invalid, "R0412", message)
        .hint("Mend the query at the place named; repot.toml lists the fields.")
}

/// How two values are compared, and whether the opposite is meant.
pub(super) const fn comparison(op: Op) -> (Comparison, bool) {
    match op {
        Op::Eq => (Comparison::Equal, false),
        Op::Ne => (Comparison::Equal, true),
        Op::Gt => (Comparison::Greater, false),
        Op::Gte => (Comparison::AtLeast, false),
        Op::Lt => (Comparison::Less, false),
        Op::Lte => (Comparison::AtMost, false),
    }
}

/// A non-null value for a column of this kind. `exact`: it must be a value that the column can have.
pub(super) fn parameter(
    column: &Column,
    kind: ColumnKind,
    value: &QueryValue,
    exact: bool,
) -> Result<Parameter> {
    if let (QueryValue::Text(text), true) = (value, exact)
        && !column.words.is_empty()
        && !column.words.contains(text)
    {
        return Err(wrong(format!("{} is none of {}: {text:?}", column.name, column.words.join(" | "))));
    }
    let cell = cell(kind, value)
        .ok_or_else(|| wrong(format!("{} is {}, {value} is none", column.name, named(kind))))?;
    let mut encoded = Vec::new();
    cell.encode(&mut encoded);
    Ok(Parameter { cell: encoded, kind })
}

/// A non-null value inside a JSON column, and of which kind it is.
pub(super) fn json(field: &str, value: &QueryValue) -> Result<(JsonType, Parameter)> {
    let (is, kind) = match value {
        QueryValue::Text(_) => (JsonType::Text, ColumnKind::Text(None)),
        QueryValue::Bool(_) => (JsonType::Bool, ColumnKind::Bool),
        _ => (JsonType::Number, ColumnKind::Decimal),
    };
    let cell = cell(kind, value).ok_or_else(|| wrong(format!("{field} cannot be compared with {value}")))?;
    let mut encoded = Vec::new();
    cell.encode(&mut encoded);
    Ok((is, Parameter { cell: encoded, kind }))
}

fn cell(kind: ColumnKind, value: &QueryValue) -> Option<Cell<'static>> {
    match (kind, value) {
        (ColumnKind::Text(_), QueryValue::Text(text)) => {
            (!text.contains('\0')).then(|| Cell::Text(text.clone().into()))
        }
        (ColumnKind::Int, QueryValue::Int(number)) => Some(Cell::Int(*number)),
        (ColumnKind::Int, QueryValue::Text(text)) => text.parse().ok().map(Cell::Int),
        #[expect(clippy::cast_precision_loss, reason = "the nearest double is what the column would hold")]
        (ColumnKind::Float, QueryValue::Int(number)) => Some(Cell::Float(*number as f64)),
        (ColumnKind::Float, QueryValue::Float(number)) => finite(*number),
        (ColumnKind::Float, QueryValue::Text(text)) => text.parse().ok().and_then(finite),
        (ColumnKind::Decimal, QueryValue::Int(number)) => {
            json_number(&number.to_string()).map(|plain| Cell::Decimal(plain.into()))
        }
        (ColumnKind::Decimal, QueryValue::Float(number)) if number.is_finite() => {
            json_number(&format!("{number:?}")).map(|plain| Cell::Decimal(plain.into()))
        }
        (ColumnKind::Decimal, QueryValue::Text(text)) => {
            json_number(text).map(|plain| Cell::Decimal(plain.into()))
        }
        (ColumnKind::Bool, QueryValue::Bool(value)) => Some(Cell::Bool(*value)),
        (ColumnKind::Bool, QueryValue::Text(text)) => text.parse().ok().map(Cell::Bool),
        // a day begins at midnight, UTC
        (ColumnKind::Time, QueryValue::Text(text)) => {
            let day = || parse_date(text).and_then(|_| parse_time(&format!("{text}T00:00:00Z")));
            parse_time(text).or_else(day).map(Cell::Time)
        }
        (ColumnKind::Date, QueryValue::Text(text)) => parse_date(text).map(Cell::Date),
        (ColumnKind::Uuid, QueryValue::Text(text)) => uuid(text).map(Cell::Uuid),
        _ => None,
    }
}

fn finite(number: f64) -> Option<Cell<'static>> {
    // the databases hold no -0
    number.is_finite().then_some(Cell::Float(number + 0.0))
}

fn uuid(text: &str) -> Option<[u8; 16]> {
    let parts: Vec<&str> = text.split('-').collect();
    if parts.iter().map(|part| part.len()).ne([8, 4, 4, 4, 12]) {
        return None;
    }
    let digits = parts.concat();
    let all = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    all.then(|| u128::from_str_radix(&digits, 16).ok().map(u128::to_be_bytes))?
}

const fn named(kind: ColumnKind) -> &'static str {
    match kind {
        ColumnKind::Text(_) => "a text (without NUL)",
        ColumnKind::Int => "a whole number",
        ColumnKind::Float | ColumnKind::Decimal => "a number",
        ColumnKind::Bool => "true or false",
        ColumnKind::Time => "a time such as 2025-01-31T10:00:00Z",
        ColumnKind::Date => "a date such as 2025-01-31",
        ColumnKind::Uuid => "a UUID",
        _ => "nothing that can be compared",
    }
}
