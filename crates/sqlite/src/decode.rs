//! Values of the database back to cells: exactly the encoding that splitting gave. A value that is not what its
//! column holds becomes what it is, so that it differs.

use std::borrow::Cow;

use repot_model::plan::{ColumnKind, Table};
use repot_model::row::Cell;
use rusqlite::Row;
use rusqlite::types::ValueRef;

use crate::{list_text, time_text};

/// Appends the encoding of a row whose first columns are those of `table`.
pub(crate) fn row(table: &Table, row: &Row<'_>, out: &mut Vec<u8>) -> rusqlite::Result<()> {
    for (at, column) in table.columns.iter().enumerate() {
        value(column.kind, row.get_ref(at)?).encode(out);
    }
    Ok(())
}

/// One value.
pub(crate) fn value(kind: ColumnKind, value: ValueRef<'_>) -> Cell<'_> {
    match (value, kind) {
        (ValueRef::Null, _) => Cell::Null,
        (ValueRef::Integer(number @ (0 | 1)), ColumnKind::Bool) => Cell::Bool(number == 1),
        (ValueRef::Integer(number), _) => Cell::Int(number),
        (ValueRef::Real(number), _) => Cell::Float(number),
        (ValueRef::Blob(bytes), _) => Cell::Bytes(Cow::Borrowed(bytes)),
        (ValueRef::Text(bytes), kind) => match std::str::from_utf8(bytes) {
            Ok(text) => from_text(kind, text).unwrap_or(Cell::Text(Cow::Borrowed(text))),
            Err(_) => Cell::Bytes(Cow::Borrowed(bytes)),
        },
    }
}

fn from_text(kind: ColumnKind, text: &str) -> Option<Cell<'_>> {
    match kind {
        ColumnKind::Time => time_text::time(text.as_bytes()).map(Cell::Time),
        ColumnKind::Date => time_text::date(text.as_bytes()).map(Cell::Date),
        ColumnKind::Uuid => uuid(text.as_bytes()).map(Cell::Uuid),
        ColumnKind::Json => Some(Cell::Json(Cow::Borrowed(text))),
        ColumnKind::Decimal if is_plain_decimal(text) => Some(Cell::Decimal(Cow::Borrowed(text))),
        ColumnKind::TextList | ColumnKind::IntList | ColumnKind::BoolList | ColumnKind::FloatList => {
            list_text::parse(text, kind == ColumnKind::FloatList)
                .map(|payload| Cell::List(Cow::Owned(payload)))
        }
        _ => None,
    }
}

/// The bytes of a UUID in the usual spelling, upper or lower case.
pub(crate) fn uuid(text: &[u8]) -> Option<[u8; 16]> {
    let mut out = [0_u8; 16];
    let mut count = 0_usize;
    if text.len() != 36 {
        return None;
    }
    for (at, byte) in text.iter().enumerate() {
        if matches!(at, 8 | 13 | 18 | 23) {
            if *byte != b'-' {
                return None;
            }
            continue;
        }
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            _ => return None,
        };
        out[count / 2] = (out[count / 2] << 4) | digit;
        count += 1;
    }
    Some(out)
}

/// The one spelling that [`Cell::Decimal`] has.
fn is_plain_decimal(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) =
        unsigned.split_once('.').map_or((unsigned, None), |(whole, rest)| (whole, Some(rest)));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(|fraction| digits(fraction) && !fraction.ends_with('0'))
        && text != "-0"
}

#[cfg(test)]
mod tests {
    use super::is_plain_decimal;

    #[test]
    fn decimals_have_one_spelling() {
        for good in ["0", "-1", "10", "0.5", "-0.25", "123456789012345678901234567890.1"] {
            assert!(is_plain_decimal(good), "{good}");
        }
        for bad in ["", "-", "-0", "00", "01", "1.", ".5", "1.10", "1e5", "+1", " 1", "0.0"] {
            assert!(!is_plain_decimal(bad), "{bad}");
        }
    }
}
