//! Deleted documents that are kept for a while (`soft_delete`), as targets keep them in `repot_trash`.

/// A deleted document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trashed {
    /// Our number for it; 0 when it is about to be kept.
    pub id: i64,
    /// The number of the document whose delete took this one along; its own for that document.
    pub unit: i64,
    /// Collection.
    pub collection: String,
    /// Tenant, where the collection has one.
    pub tenant: Option<String>,
    /// Key as text.
    pub key: String,
    /// Path of its object.
    pub path: String,
    /// Dictionary the text is compressed with; 0: none.
    pub dictionary: i64,
    /// Size of the text before compression.
    pub size: u64,
    /// The compressed text; empty unless it was asked for ([`TrashWanted::Unit`]).
    pub text: Vec<u8>,
    /// When it was deleted, milliseconds since 1970.
    pub deleted_ms: i64,
    /// When it may go for good, milliseconds since 1970.
    pub purge_ms: i64,
}

/// What a deleted document is named by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrashName<'a> {
    /// Its key as text.
    Key(&'a str),
    /// The path of its object.
    Path(&'a str),
    /// Its key, and the path of the object where it stood with others.
    Inside {
        /// Key as text.
        key: &'a str,
        /// Path of its object.
        path: &'a str,
    },
}

/// Which deleted documents are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrashWanted<'a> {
    /// The one with this name that was deleted last and may not go yet.
    Last {
        /// Collection.
        collection: &'a str,
        /// Tenant; exactly this one, or none.
        tenant: Option<&'a str>,
        /// Its key, its path, or both.
        name: TrashName<'a>,
        /// Now, milliseconds since 1970.
        now_ms: i64,
    },
    /// Those that may not go yet, in the order in which they were deleted.
    Page {
        /// Collection.
        collection: &'a str,
        /// Tenant; exactly this one, or none.
        tenant: Option<&'a str>,
        /// After this number.
        after: i64,
        /// How many at most.
        most: usize,
        /// Now, milliseconds since 1970.
        now_ms: i64,
    },
    /// All that one delete took, with their texts.
    Unit(i64),
    /// Those that may go by now, oldest first.
    Due {
        /// Now, milliseconds since 1970.
        now_ms: i64,
        /// How many at most.
        most: usize,
    },
}
