//! Rows that refer to other rows, as a store asks for them before those go.

/// Values of one reference that are looked for.
#[derive(Debug, Clone, Copy)]
pub struct Referred<'a> {
    /// Index of the table whose rows refer.
    pub table: usize,
    /// Its referring column.
    pub column: usize,
    /// Encoded cells, one a value, none of them null.
    pub values: &'a [Vec<u8>],
    /// Rows to give at most.
    pub most: usize,
}

/// A row that refers to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Referrer {
    /// Collection and key text of the document that holds the row; `None` when no chain of parents leads to one.
    pub document: Option<(String, String)>,
    /// The row's encoded identity cells.
    pub row: Vec<u8>,
    /// The encoded cell by which it refers.
    pub value: Vec<u8>,
}
