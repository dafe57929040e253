//! A document's key as text: its key cells joined by `/`, so that two keys never have one text.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::{ColumnKind, Table};
use crate::row::{Cell, Cells};

/// The text of encoded key cells. `%` and `/` inside a text are written `%25` and `%2F`.
#[must_use]
pub fn key_text(cells: &[u8]) -> String {
    let mut out = String::new();
    key_text_into(cells, &mut out);
    out
}

/// The same, behind what is there.
pub fn key_text_into(cells: &[u8], out: &mut String) {
    for (index, cell) in Cells::new(cells).enumerate() {
        if index > 0 {
            out.push('/');
        }
        push(out, &cell);
    }
}

fn push(out: &mut String, cell: &Cell<'_>) {
    match cell {
        Cell::Text(text) | Cell::Decimal(text) | Cell::Json(text) => {
            if text.bytes().all(|byte| !matches!(byte, b'%' | b'/')) {
                out.push_str(text);
                return;
            }
            for character in text.chars() {
                match character {
                    '%' => out.push_str("%25"),
                    '/' => out.push_str("%2F"),
                    other => out.push(other),
                }
            }
        }
        Cell::Uuid(bytes) => out.push_str(&uuid_text(bytes)),
        Cell::Int(value) | Cell::Time(value) => write!(out, "{value}").expect("a String takes everything"),
        Cell::Date(value) => write!(out, "{value}").expect("a String takes everything"),
        Cell::Float(value) => write!(out, "{value}").expect("a String takes everything"),
        Cell::Bool(value) => write!(out, "{value}").expect("a String takes everything"),
        Cell::Null | Cell::Bytes(_) | Cell::List(_) => {}
    }
}

/// `8-4-4-4-12`, lower case.
#[must_use]
pub fn uuid_text(bytes: &[u8; 16]) -> String {
    let mut out = String::with_capacity(36);
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            out.push('-');
        }
        write!(out, "{byte:02x}").expect("a String takes everything");
    }
    out
}

/// The key cells, encoded, that a document's key text stands for; `None` when it is no key of this table.
#[must_use]
pub fn key_cells(table: &Table, text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut parts = text.split('/');
    for &column in &table.key {
        key_cell(table.columns[column].kind, parts.next()?)?.encode(&mut out);
    }
    (!table.key.is_empty() && parts.next().is_none()).then_some(out)
}

/// The cell that one part of a key text stands for.
#[must_use]
pub fn key_cell(kind: ColumnKind, part: &str) -> Option<Cell<'static>> {
    let unescaped = || part.replace("%2F", "/").replace("%25", "%");
    Some(match kind {
        ColumnKind::Text(_) => Cell::Text(Cow::Owned(unescaped())),
        ColumnKind::Decimal => Cell::Decimal(Cow::Owned(unescaped())),
        ColumnKind::Json => Cell::Json(Cow::Owned(unescaped())),
        ColumnKind::Int => Cell::Int(part.parse().ok()?),
        ColumnKind::Time => Cell::Time(part.parse().ok()?),
        ColumnKind::Date => Cell::Date(part.parse().ok()?),
        ColumnKind::Bool => Cell::Bool(part.parse().ok()?),
        ColumnKind::Float => Cell::Float(part.parse().ok()?),
        ColumnKind::Uuid => Cell::Uuid(uuid(part.as_bytes())?),
        _ => return None,
    })
}

/// The bytes of a UUID, with or without hyphens.
fn uuid(text: &[u8]) -> Option<[u8; 16]> {
    let digits: Vec<u8> = text.iter().copied().filter(|&byte| byte != b'-').collect();
    let mut bytes = [0; 16];
    if digits.len() != 32 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::{key_cell, key_text};
    use crate::plan::ColumnKind;
    use crate::row::Cell;

    #[test]
    fn keys_come_back_from_their_text() {
        let cells = [
            (ColumnKind::Text(None), Cell::Text("a/b%2F%25c".into())),
            (ColumnKind::Int, Cell::Int(i64::MIN)),
            (ColumnKind::Date, Cell::Date(-3)),
            (ColumnKind::Time, Cell::Time(-3)),
            (ColumnKind::Uuid, Cell::Uuid([0xab; 16])),
        ];
        for (kind, cell) in cells {
            let mut encoded = Vec::new();
            cell.encode(&mut encoded);
            assert_eq!(key_cell(kind, &key_text(&encoded)), Some(cell));
        }
    }
}
