//! What is recorded of objects and documents.

use std::ops::Range;

/// What became of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(i16)]
pub enum Status {
    /// Its documents are rows (a container may hold single documents that are set aside).
    Moved = 0,
    /// It is kept whole, with a reason, and has no rows.
    SetAside = 1,
    /// No place matches it; its bytes stay at the source.
    Unmatched = 2,
    /// Its collection says `move = false`; its bytes stay at the source.
    Stays = 3,
}

impl Status {
    /// The status that is stored as this number.
    #[must_use]
    pub const fn from_number(number: i64) -> Option<Self> {
        match number {
            0 => Some(Self::Moved),
            1 => Some(Self::SetAside),
            2 => Some(Self::Unmatched),
            3 => Some(Self::Stays),
            _ => None,
        }
    }
}

/// An object as recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectRecord {
    /// Path, unique.
    pub path: String,
    /// Size in bytes.
    pub size: u64,
    /// Modification time of the state that was read, ns.
    pub modified_ns: i64,
    /// ETag of the state that was read.
    pub etag: Option<String>,
    /// SHA-256 of the bytes read; empty when nothing was read.
    pub sha256: Vec<u8>,
    /// Collection (the first one for a file that holds several).
    pub collection: Option<String>,
    /// What became of it.
    pub status: Status,
    /// Code and reason when set aside, unmatched for a reason, ...
    pub reason: Option<(String, String)>,
    /// For an object that holds many documents: what stands around them, encoded by the engine.
    pub frame: Option<Vec<u8>>,
}

/// A document as recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentRecord {
    /// Place in its object, from 0.
    pub ordinal: u32,
    /// Collection.
    pub collection: String,
    /// Key as text; `None` when it is set aside.
    pub key: Option<String>,
    /// Opaque strong ETag of the text.
    pub etag: String,
    /// Raises by one with each change.
    pub version: i64,
    /// Dictionary the text is compressed with; 0: none.
    pub dictionary: i64,
    /// Size of the text before compression.
    pub size: u64,
    /// The compressed text.
    pub text: Vec<u8>,
    /// Code and reason when this document is set aside (it has no rows then).
    pub reason: Option<(String, String)>,
    /// Its rows among [`crate::Item::rows`].
    pub rows: Range<usize>,
    /// Its rows do not say how long its lists are, so that no change of it may be kept beside its text.
    pub skips: bool,
}

/// A change that is kept beside the text of the only document of its object, whose record says the `ETag` after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptChange {
    /// From 1, without gaps.
    pub seq: i64,
    /// The change.
    pub change: Vec<u8>,
    /// What it and those before it come to.
    pub standing: Vec<u8>,
    /// For each row that the item updates, the columns that change; the others are not written.
    pub columns: Vec<Vec<usize>>,
}

/// What has to be known of a document to change a part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// Its object.
    pub object: i64,
    /// It is the only document of its object, and is not set aside.
    pub is_whole: bool,
    /// Collection.
    pub collection: String,
    /// Key as text.
    pub key: Option<String>,
    /// `ETag` of its text with the changes that are kept beside it.
    pub etag: String,
    /// Size of the text without them, bytes.
    pub size: u64,
    /// Stamp of its mark.
    pub stamp: i64,
    /// [`KeptChange::seq`] of the last change; 0: there is none.
    pub seq: i64,
    /// [`KeptChange::standing`] of the last change.
    pub standing: Vec<u8>,
    /// [`DocumentRecord::skips`].
    pub skips: bool,
    /// Its text, packed, with its dictionary: of one beside which nothing is kept, of at most [`Outline::TEXT_BYTES_MAX`].
    pub text: Option<(i64, Vec<u8>)>,
}

impl Outline {
    /// Bytes of a text that an outline has along: so few that to read them costs less than to ask once more.
    pub const TEXT_BYTES_MAX: u64 = 64 << 10;
}

/// A piece of an object too large for one document, compressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// From 0.
    pub number: u32,
    /// Compressed bytes.
    pub bytes: Vec<u8>,
}
