//! Cells into statements: borrowed where SQLite takes them as they are, through one reused buffer where it
//! holds them as text.

use repot_model::row::{Cell, Cells};
use rusqlite::Statement;
use rusqlite::types::{Null, ToSqlOutput, ValueRef};

use crate::{list_text, time_text};

/// Binds encoded cells to the parameters from `first` (counted from 1).
pub(crate) fn cells(
    statement: &mut Statement<'_>,
    first: usize,
    cells: &[u8],
    scratch: &mut Vec<u8>,
) -> rusqlite::Result<()> {
    for (at, value) in Cells::new(cells).enumerate() {
        cell(statement, first + at, &value, scratch)?;
    }
    Ok(())
}

/// Binds one cell.
pub(crate) fn cell(
    statement: &mut Statement<'_>,
    at: usize,
    cell: &Cell<'_>,
    scratch: &mut Vec<u8>,
) -> rusqlite::Result<()> {
    scratch.clear();
    match cell {
        Cell::Null => return statement.raw_bind_parameter(at, Null),
        Cell::Int(value) => return statement.raw_bind_parameter(at, *value),
        Cell::Bool(value) => return statement.raw_bind_parameter(at, i64::from(*value)),
        Cell::Float(value) => return statement.raw_bind_parameter(at, *value),
        Cell::Text(text) | Cell::Json(text) | Cell::Decimal(text) => {
            return statement.raw_bind_parameter(at, text.as_ref());
        }
        Cell::Bytes(bytes) => return statement.raw_bind_parameter(at, bytes.as_ref()),
        Cell::Time(micros) => time_text::push_time(scratch, *micros),
        Cell::Date(days) => time_text::push_date(scratch, *days),
        Cell::Uuid(bytes) => uuid(scratch, bytes),
        Cell::List(payload) => list_text::push(scratch, payload),
    }
    statement.raw_bind_parameter(at, ToSqlOutput::Borrowed(ValueRef::Text(scratch)))
}

fn uuid(out: &mut Vec<u8>, bytes: &[u8; 16]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        out.extend([byte >> 4, byte & 15].map(|digit| DIGITS[usize::from(digit)]));
    }
}
