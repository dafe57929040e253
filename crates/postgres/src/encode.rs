//! Cells of the neutral encoding to PostgreSQL's binary fields, for COPY and for parameters.

use repot_model::plan::ColumnKind;
use repot_model::row::{Cell, Cells};
use tokio_postgres::types::Type;

use crate::numeric;

/// 2000-01-01, where PostgreSQL counts from, in days and microseconds since 1970.
pub(crate) const EPOCH_DAYS: i32 = 10_957;
/// The same in microseconds.
pub(crate) const EPOCH_US: i64 = 946_684_800_000_000;

/// The type of a column of this kind.
pub(crate) const fn type_of(kind: ColumnKind) -> Type {
    match kind {
        ColumnKind::Text(None) => Type::TEXT,
        ColumnKind::Text(Some(_)) => Type::VARCHAR,
        ColumnKind::Int => Type::INT8,
        ColumnKind::Float => Type::FLOAT8,
        ColumnKind::Decimal => Type::NUMERIC,
        ColumnKind::Bool => Type::BOOL,
        ColumnKind::Time => Type::TIMESTAMPTZ,
        ColumnKind::Date => Type::DATE,
        ColumnKind::Uuid => Type::UUID,
        ColumnKind::Json => Type::JSON,
        ColumnKind::Bytes => Type::BYTEA,
        ColumnKind::TextList => Type::TEXT_ARRAY,
        ColumnKind::IntList => Type::INT8_ARRAY,
        ColumnKind::FloatList => Type::FLOAT8_ARRAY,
        ColumnKind::BoolList => Type::BOOL_ARRAY,
    }
}

/// The type of an array of such values; lists of lists are none we send.
pub(crate) const fn array_of(kind: ColumnKind) -> Type {
    match kind {
        ColumnKind::Text(_) => Type::TEXT_ARRAY,
        ColumnKind::Int => Type::INT8_ARRAY,
        ColumnKind::Float => Type::FLOAT8_ARRAY,
        ColumnKind::Decimal => Type::NUMERIC_ARRAY,
        ColumnKind::Bool => Type::BOOL_ARRAY,
        ColumnKind::Time => Type::TIMESTAMPTZ_ARRAY,
        ColumnKind::Date => Type::DATE_ARRAY,
        ColumnKind::Uuid => Type::UUID_ARRAY,
        ColumnKind::Json => Type::JSON_ARRAY,
        ColumnKind::Bytes => Type::BYTEA_ARRAY,
        ColumnKind::TextList => Type::TEXT_ARRAY,
        ColumnKind::IntList => Type::INT8_ARRAY,
        ColumnKind::FloatList => Type::FLOAT8_ARRAY,
        ColumnKind::BoolList => Type::BOOL_ARRAY,
    }
}

/// Appends a field: length and bytes. `false` when the cell is not of this kind.
#[must_use]
pub(crate) fn field(cell: &Cell<'_>, kind: ColumnKind, out: &mut Vec<u8>) -> bool {
    match cell {
        Cell::Null => {
            out.extend_from_slice(&(-1_i32).to_be_bytes());
            return true;
        }
        // the common ones first, without patching the length
        Cell::Text(text) if matches!(kind, ColumnKind::Text(_)) => return sized(out, text.as_bytes()),
        Cell::Int(value) if kind == ColumnKind::Int => return sized(out, &value.to_be_bytes()),
        _ => {}
    }
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    if !value(cell, kind, out) {
        out.truncate(start);
        return false;
    }
    let Ok(length) = i32::try_from(out.len() - start - 4) else { return false };
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    true
}

fn sized(out: &mut Vec<u8>, bytes: &[u8]) -> bool {
    let Ok(length) = i32::try_from(bytes.len()) else { return false };
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(bytes);
    true
}

/// Appends the bytes of a non-null value.
#[must_use]
pub(crate) fn value(cell: &Cell<'_>, kind: ColumnKind, out: &mut Vec<u8>) -> bool {
    match (cell, kind) {
        (Cell::Text(text), ColumnKind::Text(_)) | (Cell::Json(text), ColumnKind::Json) => {
            out.extend_from_slice(text.as_bytes());
        }
        (Cell::Int(value), ColumnKind::Int) => out.extend_from_slice(&value.to_be_bytes()),
        (Cell::Float(value), ColumnKind::Float) => out.extend_from_slice(&value.to_be_bytes()),
        (Cell::Bool(value), ColumnKind::Bool) => out.push(u8::from(*value)),
        (Cell::Time(micros), ColumnKind::Time) => match micros.checked_sub(EPOCH_US) {
            Some(micros) => out.extend_from_slice(&micros.to_be_bytes()),
            None => return false,
        },
        (Cell::Date(days), ColumnKind::Date) => match days.checked_sub(EPOCH_DAYS) {
            Some(days) => out.extend_from_slice(&days.to_be_bytes()),
            None => return false,
        },
        (Cell::Uuid(bytes), ColumnKind::Uuid) => out.extend_from_slice(bytes),
        (Cell::Bytes(bytes), ColumnKind::Bytes) => out.extend_from_slice(bytes),
        (Cell::Decimal(text), ColumnKind::Decimal) => return numeric::encode(text, out),
        (Cell::List(payload), ColumnKind::TextList) => return list(payload, ColumnKind::Text(None), out),
        (Cell::List(payload), ColumnKind::IntList) => return list(payload, ColumnKind::Int, out),
        (Cell::List(payload), ColumnKind::FloatList) => return list(payload, ColumnKind::Float, out),
        (Cell::List(payload), ColumnKind::BoolList) => return list(payload, ColumnKind::Bool, out),
        _ => return false,
    }
    true
}

fn list(payload: &[u8], kind: ColumnKind, out: &mut Vec<u8>) -> bool {
    let count = Cells::list(payload).count();
    array(count, Cells::list(payload), kind, out)
}

/// Appends a one-dimensional array.
#[must_use]
pub(crate) fn array<'a>(
    count: usize,
    cells: impl Iterator<Item = Cell<'a>>,
    kind: ColumnKind,
    out: &mut Vec<u8>,
) -> bool {
    let Ok(length) = i32::try_from(count) else { return false };
    out.extend_from_slice(&i32::from(count > 0).to_be_bytes());
    out.extend_from_slice(&1_i32.to_be_bytes());
    // an array's element type must be the one of the array, and varchar values travel in text[]
    let element = if matches!(kind, ColumnKind::Text(_)) { Type::TEXT } else { type_of(kind) };
    out.extend_from_slice(&element.oid().to_be_bytes());
    if count == 0 {
        return true;
    }
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&1_i32.to_be_bytes());
    for cell in cells {
        if !field(&cell, kind, out) {
            return false;
        }
    }
    true
}
