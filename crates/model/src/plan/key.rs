//! A document's key as text: its key cells joined by `/`, so that two keys never have one text.

use std::fmt::Write as _;

use crate::row::{Cell, Cells};

/// The text of encoded key cells. `%` and `/` inside a text are written `%25` and `%2F`.
#[must_use]
pub fn key_text(cells: &[u8]) -> String {
    let mut out = String::new();
    for (index, cell) in Cells::new(cells).enumerate() {
        if index > 0 {
            out.push('/');
        }
        push(&mut out, &cell);
    }
    out
}

fn push(out: &mut String, cell: &Cell<'_>) {
    match cell {
        Cell::Text(text) | Cell::Decimal(text) | Cell::Json(text) => {
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
