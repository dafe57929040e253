//! What a transaction is likely to read.

use repot_model::plan::RowsWanted;

/// What a transaction is likely to read: see [`crate::Target::read_ahead`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ahead {
    /// Paths that [`crate::Reader::outline`] is asked for.
    pub outlines: Vec<String>,
    /// Paths that [`crate::Reader::stored`] is asked for.
    pub stored: Vec<String>,
    /// Documents, by collection and key, that [`crate::Reader::stamp`] is asked for.
    pub stamps: Vec<(String, String)>,
    /// What [`crate::Reader::held_rows`] is asked for.
    pub rows: Vec<RowsWanted>,
    /// What [`crate::Reader::meta`] is asked for.
    pub meta: Vec<String>,
    /// What [`crate::FactReader::fact`] is asked for: kind and name.
    pub facts: Vec<(String, String)>,
    /// Others that have what it locks are waited for only briefly; then it fails with `R0114`.
    pub hurries: bool,
}
