//! Rows in one neutral encoding, the same for every store: what `split` writes, what leaves load, and what
//! leaves give back when a table is scanned. Two rows are equal exactly when their bytes are.

use std::borrow::Cow;

/// One value of a row, borrowed.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell<'a> {
    /// SQL null.
    Null,
    /// 64-bit integer.
    Int(i64),
    /// Finite double, never -0.0.
    Float(f64),
    /// Boolean.
    Bool(bool),
    /// Text without NUL.
    Text(Cow<'a, str>),
    /// Microseconds since 1970-01-01T00:00:00Z.
    Time(i64),
    /// Days since 1970-01-01.
    Date(i32),
    /// UUID bytes in the order they are written.
    Uuid([u8; 16]),
    /// A JSON value's own text.
    Json(Cow<'a, str>),
    /// Bytes.
    Bytes(Cow<'a, [u8]>),
    /// Decimal in plain notation: optional `-`, digits without leading zeros, optional fraction without trailing
    /// zeros; `0` for zero.
    Decimal(Cow<'a, str>),
    /// A list: count, then cells (`Null`, `Int`, `Float`, `Bool` or `Text`) in this same encoding.
    List(Cow<'a, [u8]>),
}

const NULL: u8 = 0;
const INT: u8 = 1;
const FLOAT: u8 = 2;
const BOOL: u8 = 3;
const TEXT: u8 = 4;
const TIME: u8 = 5;
const DATE: u8 = 6;
const UUID: u8 = 7;
const JSON: u8 = 8;
const BYTES: u8 = 9;
const DECIMAL: u8 = 10;
const LIST: u8 = 11;

impl Cell<'_> {
    /// Appends this cell's encoding.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.push(NULL),
            Self::Int(value) => fixed(out, INT, &value.to_le_bytes()),
            Self::Float(value) => fixed(out, FLOAT, &value.to_bits().to_le_bytes()),
            Self::Bool(value) => fixed(out, BOOL, &[u8::from(*value)]),
            Self::Time(value) => fixed(out, TIME, &value.to_le_bytes()),
            Self::Date(value) => fixed(out, DATE, &value.to_le_bytes()),
            Self::Uuid(value) => fixed(out, UUID, value),
            Self::Text(value) => sized(out, TEXT, value.as_bytes()),
            Self::Json(value) => sized(out, JSON, value.as_bytes()),
            Self::Bytes(value) => sized(out, BYTES, value),
            Self::Decimal(value) => sized(out, DECIMAL, value.as_bytes()),
            Self::List(value) => sized(out, LIST, value),
        }
    }
}

fn fixed(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    out.push(tag);
    out.extend_from_slice(bytes);
}

fn sized(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    out.push(tag);
    let length = u32::try_from(bytes.len()).expect("a cell comes from a text below 4 GiB");
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(bytes);
}

/// Encoded cells, read one after the other.
#[derive(Debug, Clone, Copy)]
pub struct Cells<'a> {
    bytes: &'a [u8],
}

impl<'a> Cells<'a> {
    /// Reads cells from `bytes`, which [`Cell::encode`] wrote.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// The elements of a [`Cell::List`] payload.
    #[must_use]
    pub const fn list(payload: &'a [u8]) -> Self {
        Self { bytes: payload }
    }

    /// The encoding of the next cell, without decoding it.
    pub fn next_raw(&mut self) -> Option<&'a [u8]> {
        let before = self.bytes;
        let size = match *self.take(1)?.first()? {
            INT | FLOAT | TIME => 8,
            BOOL => 1,
            DATE => 4,
            UUID => 16,
            TEXT | JSON | BYTES | DECIMAL | LIST => u32::from_le_bytes(self.array()?) as usize,
            _ => 0,
        };
        self.take(size)?;
        before.get(..before.len() - self.bytes.len())
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.bytes.split_at_checked(count)?;
        self.bytes = tail;
        Some(head)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn sized(&mut self) -> Option<&'a [u8]> {
        let length = u32::from_le_bytes(self.array()?);
        self.take(length as usize)
    }

    fn text(&mut self) -> Option<Cow<'a, str>> {
        std::str::from_utf8(self.sized()?).ok().map(Cow::Borrowed)
    }
}

impl<'a> Iterator for Cells<'a> {
    type Item = Cell<'a>;

    fn next(&mut self) -> Option<Cell<'a>> {
        let tag = *self.take(1)?.first()?;
        Some(match tag {
            INT => Cell::Int(i64::from_le_bytes(self.array()?)),
            FLOAT => Cell::Float(f64::from_bits(u64::from_le_bytes(self.array()?))),
            BOOL => Cell::Bool(self.array::<1>()? == [1]),
            TEXT => Cell::Text(self.text()?),
            TIME => Cell::Time(i64::from_le_bytes(self.array()?)),
            DATE => Cell::Date(i32::from_le_bytes(self.array()?)),
            UUID => Cell::Uuid(self.array()?),
            JSON => Cell::Json(self.text()?),
            BYTES => Cell::Bytes(Cow::Borrowed(self.sized()?)),
            DECIMAL => Cell::Decimal(self.text()?),
            LIST => Cell::List(Cow::Borrowed(self.sized()?)),
            _ => Cell::Null,
        })
    }
}

/// Rows of any tables, one after the other, in one allocation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RowBuffer {
    bytes: Vec<u8>,
    /// (table, one past the row's last byte)
    rows: Vec<(u32, usize)>,
}

impl RowBuffer {
    /// Nothing in it, nothing allocated.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), rows: Vec::new() }
    }

    /// Appends an encoded cell to the row being written.
    #[inline]
    pub fn cell(&mut self, cell: &Cell<'_>) {
        cell.encode(&mut self.bytes);
    }

    /// Appends cells that are already encoded to the row being written.
    pub fn raw(&mut self, cells: &[u8]) {
        self.bytes.extend_from_slice(cells);
    }

    /// Ends the row being written; it belongs to `table` (index in the plan).
    pub fn end_row(&mut self, table: usize) {
        let table = u32::try_from(table).expect("a model has fewer than 2^32 tables");
        self.rows.push((table, self.bytes.len()));
    }

    /// Drops the row being written, or everything after row `rows`.
    pub fn truncate(&mut self, rows: usize) {
        self.rows.truncate(rows);
        self.bytes.truncate(self.rows.last().map_or(0, |row| row.1));
    }

    /// Number of rows.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.rows.len()
    }

    /// No rows.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Bytes held.
    #[must_use]
    pub const fn size_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Row number `index`: its table and its encoded cells.
    #[must_use]
    pub fn row(&self, index: usize) -> (usize, &[u8]) {
        let start = if index == 0 { 0 } else { self.rows[index - 1].1 };
        let (table, end) = self.rows[index];
        (table as usize, &self.bytes[start..end])
    }

    /// All rows in order: table and encoded cells.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &[u8])> + '_ {
        (0..self.len()).map(|index| self.row(index))
    }

    /// Forgets the rows, keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.rows.clear();
    }
}
