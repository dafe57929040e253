//! What databases keep of each change: the rows of the log, which documents a batch changes, and what is old enough to go.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use crate::records::DocumentRecord;
use crate::target::Item;

/// Name of the value of ours that says up to which position the log was pruned.
pub const PRUNED_TO: &str = "changes_pruned_to";

/// What happened to a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i16)]
pub enum ChangeKind {
    /// It was written.
    Put = 0,
    /// It was removed.
    Deleted = 1,
    /// Plain SQL changed its rows.
    Sql = 2,
    /// Plain SQL changed documents of the collection, and which ones is not known; the text of the key is `*`.
    Collection = 3,
}

impl ChangeKind {
    /// The kind that is stored as this number.
    #[must_use]
    pub const fn from_number(number: i64) -> Option<Self> {
        match number {
            0 => Some(Self::Put),
            1 => Some(Self::Deleted),
            2 => Some(Self::Sql),
            3 => Some(Self::Collection),
            _ => None,
        }
    }
}

/// A row of the change log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredChange {
    /// Place in the log, from 1.
    pub position: i64,
    /// Collection of the document.
    pub collection: String,
    /// Tenant, where plain SQL changed a document of a collection that has them.
    pub tenant: Option<String>,
    /// Key as text; `*` of plain SQL where it does not know. A document without a key has `PATH#ORDINAL`.
    pub key: String,
    /// Path of its object, as far as it is known.
    pub path: Option<String>,
    /// Plain SQL changed it, not a write of ours.
    pub by_sql: bool,
    /// What happened.
    pub kind: ChangeKind,
    /// When, milliseconds since 1970, by the writer's clock.
    pub at_ms: i64,
}

/// A part of the change log, and where the log stands, in one state of the database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredChanges {
    /// Up to this position nothing is kept any more; 0: all is.
    pub pruned_to: i64,
    /// The last position given.
    pub newest: i64,
    /// The first row that is kept: position and time in milliseconds since 1970.
    pub oldest: Option<(i64, i64)>,
    /// There are committed changes without a position; [`crate::Target::number_changes`] gives them one.
    pub unnumbered: bool,
    /// By position.
    pub rows: Vec<StoredChange>,
}

/// How much of the change log is kept: what is beyond either bound goes. The newest change always stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangeRetention {
    /// Changes.
    pub entries_max: u64,
    /// Age in milliseconds.
    pub age_max_ms: u64,
}

/// A million changes, of 30 days.
impl Default for ChangeRetention {
    fn default() -> Self {
        Self { entries_max: 1_000_000, age_max_ms: 30 * 24 * 60 * 60 * 1_000 }
    }
}

impl ChangeRetention {
    /// Whether a change goes: its position and time, and the newest position.
    #[must_use]
    pub fn drops(&self, (position, at_ms): (i64, i64), newest: i64, now_ms: i64) -> bool {
        let entries_max = i64::try_from(self.entries_max).unwrap_or(i64::MAX).max(1);
        let age_max_ms = i64::try_from(self.age_max_ms).unwrap_or(i64::MAX);
        position < newest
            && (newest.saturating_sub(position) >= entries_max || now_ms.saturating_sub(at_ms) > age_max_ms)
    }

    /// The last position that goes of the first rows of the log (position, time), which are in order; `None`: all stay.
    #[must_use]
    pub fn prunes_to(&self, rows: &[(i64, i64)], newest: i64, now_ms: i64) -> Option<i64> {
        rows.iter().take_while(|&&row| self.drops(row, newest, now_ms)).last().map(|&(position, _)| position)
    }
}

/// A document that an object of a batch held before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormerDocument {
    /// Path of the object.
    pub path: String,
    /// Place in it.
    pub ordinal: u32,
    /// Collection.
    pub collection: String,
    /// Key as text.
    pub key: Option<String>,
    /// `ETag` of its text.
    pub etag: String,
}

/// A change to log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change<'b> {
    /// Collection of the document.
    pub collection: &'b str,
    /// Its key as text.
    pub key: Cow<'b, str>,
    /// Path of its object.
    pub path: &'b str,
    /// [`ChangeKind::Put`] or [`ChangeKind::Deleted`].
    pub kind: ChangeKind,
}

/// What a batch changes, from what its objects held before: documents that are new, have another text or other rows, and
/// those that go. Each document once; `refused`: item and document have no key any more.
#[must_use]
pub fn changes_of<'b>(
    items: &'b [Item],
    former: &'b [FormerDocument],
    refused: &dyn Fn(usize, usize) -> bool,
) -> Vec<Change<'b>> {
    let mut before: HashMap<&str, Vec<&FormerDocument>> = HashMap::new();
    for document in former {
        before.entry(&document.path).or_default().push(document);
    }
    let (mut gone, mut put) = (Vec::new(), Vec::new());
    for (at, item) in items.iter().enumerate() {
        let path = item.object.path.as_str();
        let mut old: HashMap<(&str, Cow<'b, str>), &FormerDocument> = HashMap::new();
        for document in before.remove(path).unwrap_or_default() {
            let name = named(document.key.as_deref(), path, document.ordinal);
            old.insert((&document.collection, name), document);
        }
        let documents: &[DocumentRecord] = if item.removes { &[] } else { &item.documents };
        let alone = old.len() <= 1 && documents.len() == 1;
        // rows that plain SQL changed are set right, and the text is what it was
        let rows = alone && !(item.rows.is_empty() && item.changes == crate::RowChanges::default());
        for (number, document) in documents.iter().enumerate() {
            let key = document.key.as_deref().filter(|_| !refused(at, number));
            let name = (document.collection.as_str(), named(key, path, document.ordinal));
            let unnamed = |was: &FormerDocument| key.is_none() || was.key.is_none();
            let was = match old.remove(&name) {
                // it lost its key or got one, and is the only one of its object
                None if alone && old.values().all(|was| unnamed(was)) => {
                    old.drain().next().map(|(_, was)| was)
                }
                was => was,
            };
            if rows || was.is_none_or(|was| was.etag != document.etag) {
                put.push(Change { collection: name.0, key: name.1, path, kind: ChangeKind::Put });
            }
        }
        gone.extend(old.into_keys().map(|(collection, key)| Change {
            collection,
            key,
            path,
            kind: ChangeKind::Deleted,
        }));
    }
    // one that moves from an object to another is written, and no more
    if !gone.is_empty() {
        let there: HashSet<(&str, &str)> = put.iter().map(|put| (put.collection, &*put.key)).collect();
        gone.retain(|gone: &Change<'_>| !there.contains(&(gone.collection, &*gone.key)));
    }
    gone.sort_by(|one, other| (one.path, &one.key).cmp(&(other.path, &other.key)));
    gone.append(&mut put);
    gone
}

fn named<'k>(key: Option<&'k str>, path: &str, ordinal: u32) -> Cow<'k, str> {
    key.map_or_else(|| Cow::Owned(format!("{path}#{ordinal}")), Cow::Borrowed)
}
