//! PostgreSQL's binary fields to the neutral encoding, byte for byte what the splitter writes for the same value.
//! What no cell of the column's kind can say becomes text, so that it differs.

use std::borrow::Cow;

use repot_model::plan::ColumnKind;
use repot_model::row::Cell;
use tokio_postgres::types::Type;

use crate::encode::{EPOCH_DAYS, EPOCH_US, type_of};
use crate::numeric;

/// Appends the cell of a field; `None`: null. `false` when the bytes are no value of this kind.
#[must_use]
pub(crate) fn cell(bytes: Option<&[u8]>, kind: ColumnKind, out: &mut Vec<u8>) -> bool {
    let Some(bytes) = bytes else {
        Cell::Null.encode(out);
        return true;
    };
    let Some(cell) = value(bytes, kind) else { return false };
    cell.encode(out);
    true
}

fn text(words: &str) -> Cell<'static> {
    Cell::Text(Cow::Owned(words.to_owned()))
}

fn value(bytes: &[u8], kind: ColumnKind) -> Option<Cell<'_>> {
    Some(match kind {
        ColumnKind::Text(_) => Cell::Text(Cow::Borrowed(std::str::from_utf8(bytes).ok()?)),
        ColumnKind::Json => Cell::Json(Cow::Borrowed(std::str::from_utf8(bytes).ok()?)),
        ColumnKind::Int => Cell::Int(i64::from_be_bytes(bytes.try_into().ok()?)),
        ColumnKind::Float => {
            let number = f64::from_be_bytes(bytes.try_into().ok()?);
            if number.is_finite() { Cell::Float(number + 0.0) } else { text(&number.to_string()) }
        }
        ColumnKind::Bool => Cell::Bool(bytes == [1]),
        ColumnKind::Time => {
            let micros = i64::from_be_bytes(bytes.try_into().ok()?);
            match micros {
                i64::MAX => text("infinity"),
                i64::MIN => text("-infinity"),
                _ => micros.checked_add(EPOCH_US).map_or_else(|| text("beyond the range"), Cell::Time),
            }
        }
        ColumnKind::Date => {
            let days = i32::from_be_bytes(bytes.try_into().ok()?);
            match days {
                i32::MAX => text("infinity"),
                i32::MIN => text("-infinity"),
                _ => days.checked_add(EPOCH_DAYS).map_or_else(|| text("beyond the range"), Cell::Date),
            }
        }
        ColumnKind::Uuid => Cell::Uuid(bytes.try_into().ok()?),
        ColumnKind::Bytes => Cell::Bytes(Cow::Borrowed(bytes)),
        ColumnKind::Decimal => match numeric::decode(bytes) {
            Ok(plain) => Cell::Decimal(Cow::Owned(plain)),
            Err(word) => text(word),
        },
        ColumnKind::TextList => list(bytes, ColumnKind::Text(None))?,
        ColumnKind::IntList => list(bytes, ColumnKind::Int)?,
        ColumnKind::FloatList => list(bytes, ColumnKind::Float)?,
        ColumnKind::BoolList => list(bytes, ColumnKind::Bool)?,
    })
}

fn list(bytes: &[u8], kind: ColumnKind) -> Option<Cell<'static>> {
    let word =
        |at: usize| bytes.get(at..at + 4).and_then(|four| four.try_into().ok()).map(i32::from_be_bytes);
    let dimensions = word(0)?;
    if u32::try_from(word(8)?).ok()? != type_of(kind).oid() {
        return None;
    }
    match dimensions {
        0 => return Some(Cell::List(Cow::Owned(Vec::new()))),
        1 => {}
        _ => return Some(text("a list of lists")),
    }
    let count = usize::try_from(word(12)?).ok()?;
    let mut at = 20;
    let mut payload = Vec::new();
    for _ in 0..count {
        let length = word(at)?;
        at += 4;
        let element = match usize::try_from(length) {
            Ok(length) => {
                let element = bytes.get(at..at + length)?;
                at += length;
                Some(element)
            }
            Err(_) => None,
        };
        if !cell(element, kind, &mut payload) {
            return None;
        }
    }
    Some(Cell::List(Cow::Owned(payload)))
}

/// True when a column of this type is read as `kind` without a cast.
pub(crate) fn reads_as(oid: u32, kind: ColumnKind) -> bool {
    match kind {
        ColumnKind::Text(_) => oid == Type::TEXT.oid() || oid == Type::VARCHAR.oid(),
        _ => oid == type_of(kind).oid(),
    }
}
