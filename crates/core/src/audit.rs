//! What stands in `repot_audit`: who changed what, as targets keep it.

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(i16)]
pub enum AuditKind {
    /// A document was written.
    Put = 0,
    /// A document was removed.
    Deleted = 1,
    /// Plain SQL changed a row.
    Row = 2,
    /// A write changed a state.
    State = 3,
    /// Plain SQL changed a state.
    StateBySql = 4,
    /// A deleted document came back.
    Restored = 5,
    /// A deleted document went for good.
    Purged = 6,
}

impl AuditKind {
    /// The kind that is stored as this number.
    #[must_use]
    pub const fn from_number(number: i64) -> Option<Self> {
        match number {
            0 => Some(Self::Put),
            1 => Some(Self::Deleted),
            2 => Some(Self::Row),
            3 => Some(Self::State),
            4 => Some(Self::StateBySql),
            5 => Some(Self::Restored),
            6 => Some(Self::Purged),
            _ => None,
        }
    }
}

/// A compressed text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedText {
    /// Bytes of the text.
    pub size: u64,
    /// As the engine packed it.
    pub bytes: Vec<u8>,
}

/// One entry of the record. Its number tells the order in which the changes of one document happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRecord {
    /// Given by the target; 0 for a new one.
    pub id: i64,
    /// Milliseconds since 1970, by the clock of whoever wrote it.
    pub at_ms: i64,
    /// What happened.
    pub kind: AuditKind,
    /// Who did it: as the unit of work says, or the database's user.
    pub actor: Option<String>,
    /// Collection of the document.
    pub collection: String,
    /// Its tenant.
    pub tenant: Option<String>,
    /// Its key as text; `None` when a row was left alone by a delete that cascaded.
    pub key: Option<String>,
    /// Version of the document after it.
    pub version: Option<i64>,
    /// `ETag` before; `None`: it was not there.
    pub etag_before: Option<String>,
    /// `ETag` after; `None`: it is not there.
    pub etag_after: Option<String>,
    /// Dictionary of the first of the two texts; 0: none.
    pub dictionary: i64,
    /// The text before.
    pub before: Option<PackedText>,
    /// The text after, packed against the one before where there is one.
    pub after: Option<PackedText>,
    /// Table of the row.
    pub table: Option<String>,
    /// The row among those of its table, for people.
    pub row: Option<String>,
    /// Column of the state.
    pub field: Option<String>,
    /// The row before as JSON, or the state before.
    pub was: Option<String>,
    /// The row after as JSON, or the state after.
    pub became: Option<String>,
    /// What differs between the texts as JSON, for people with SQL.
    pub changes: Option<String>,
}

/// What a batch does to the record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditBatch {
    /// Entries that come.
    pub records: Vec<AuditRecord>,
    /// Of these collections some of the entries from before this time go, milliseconds since 1970.
    pub until: Vec<(String, i64)>,
}

/// Which entries are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Of this collection.
    pub collection: String,
    /// Of this tenant.
    pub tenant: Option<String>,
    /// Of the document with this key.
    pub key: Option<String>,
    /// By this actor.
    pub actor: Option<String>,
    /// At this time or later, milliseconds since 1970.
    pub from_ms: Option<i64>,
    /// Before this time.
    pub until_ms: Option<i64>,
    /// With a number below this one.
    pub below: Option<i64>,
    /// With a number above this one; then the oldest come first, else the newest.
    pub above: Option<i64>,
}
