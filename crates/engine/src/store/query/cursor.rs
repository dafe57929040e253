//! Where a page ended: the values of its last row in the order, as a text that only its own query takes.

use std::fmt::Write as _;

use repot_core::store::{Cursor, Query};
use repot_core::{Error, Kind, Result};
use repot_model::plan::Plan;
use repot_model::row::Cells;
use sha2::{Digest, Sha256};

/// Bytes of the values in one cursor.
const BYTES_MAX: usize = 16 << 10;
/// Bytes of the hash over query and values. It tells a changed cursor and one of another query from the right one; what
/// a tenant may see does not hang on it, for that is part of every statement.
const HASH_BYTES: usize = 16;

/// The cursor after a row with these encoded values of the order.
pub(super) fn make(plan: &Plan, query: &Query, cells: &[u8]) -> Result<Cursor> {
    if cells.len() > BYTES_MAX {
        let message = format!("the values of the order have {} bytes, {BYTES_MAX} are the most", cells.len());
        return Err(Error::new(Kind::Invalid, "R0412", message)
            .hint("Order by a shorter column, or ask for all rows on one page."));
    }
    let mut text = String::new();
    for byte in hash(plan, query, cells).iter().chain(cells) {
        write!(text, "{byte:02x}").expect("a String takes everything");
    }
    Ok(Cursor::new(text))
}

/// The encoded values of a cursor, which must be of this query and hold `count` of them.
pub(super) fn read(plan: &Plan, query: &Query, cursor: &Cursor, count: usize) -> Result<Vec<u8>> {
    let wrong = || {
        Error::new(Kind::Invalid, "R0413", "the cursor is not of this query, or was changed")
            .hint("Give the cursor with the query it came from, or start again without one.")
    };
    let bytes = unhex(cursor.as_str()).ok_or_else(wrong)?;
    let (given, cells) = bytes.split_at_checked(HASH_BYTES).ok_or_else(wrong)?;
    if hash(plan, query, cells) != given || Cells::new(cells).count() != count {
        return Err(wrong());
    }
    Ok(cells.to_vec())
}

/// Over all that decides which rows come in which order, and where the cursor stands in it.
fn hash(plan: &Plan, query: &Query, cells: &[u8]) -> Vec<u8> {
    let Query { scope, filter, sort, .. } = query;
    let asked = format!("{}\n{scope:?}\n{filter:?}\n{sort:?}", plan.hash);
    let mut hash = Sha256::new();
    hash.update(asked.len().to_le_bytes());
    hash.update(asked.as_bytes());
    hash.update(cells);
    hash.finalize().iter().copied().take(HASH_BYTES).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some((digit(*high)? << 4) | digit(*low)?),
        _ => None,
    };
    text.as_bytes().chunks(2).map(pair).collect()
}
