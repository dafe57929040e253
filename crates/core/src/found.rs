//! What a database's reader finds of documents, besides their records.

use repot_model::sql::query::Statement;

use crate::error::Result;
use crate::target::{Answer, StoredDocument, StoredObject};

/// What plain SQL did to the rows of a document since its text was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Collection of the document.
    pub collection: String,
    /// The document's key as text; `*`: any document of the collection.
    pub key: String,
    /// Grows with each change; 0: there is no mark.
    pub stamp: i64,
}

/// An object as [`crate::Reader::stored`] finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundObject {
    /// The object, with its frame.
    pub object: StoredObject,
    /// Its first document.
    pub document: Option<StoredDocument>,
    /// Stamp of the document's mark; 0: its rows are those of its text.
    pub stamp: i64,
    /// The reader knows the document's text by its `ETag`: text and kept changes are left out, but for the time of the last of those.
    pub is_known: bool,
}

/// A document in a listing of those that share files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedDocument {
    /// Path of its object.
    pub path: String,
    /// Its key as text.
    pub key: String,
    /// Size of its text in bytes.
    pub size: u64,
    /// Stamp of its mark; 0: its rows are those of its text.
    pub stamp: i64,
}

/// Where a document stands among those of its object.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rank {
    /// Documents of the object before it.
    pub before: u64,
    /// Those of them that are of its collection.
    pub own: u64,
    /// The highest ordinal of the object; `None`: it holds no documents.
    pub last: Option<u32>,
}

/// What the records of a database say of a document's state; its text is not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentState {
    /// The document's key as text.
    pub key: String,
    /// Its `ETag`, with what is kept beside its text.
    pub etag: String,
    /// Stamp of its mark; 0: its rows are those of its text, and the `ETag` is that of both.
    pub stamp: i64,
    /// When it was written last by Repot, or what its file said when it was copied, milliseconds since 1970; `None`: that is not known.
    pub modified_ms: Option<i64>,
}

/// What the records say of a document among those of its object; its text is not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The object.
    pub object: i64,
    /// The document's place in it, from 0.
    pub ordinal: u32,
    /// Collection.
    pub collection: String,
    /// Key as text; `None` when it is set aside.
    pub key: Option<String>,
    /// Its `ETag`, with what is kept beside its text.
    pub etag: String,
    /// Stamp of its mark; 0: its rows are those of its text.
    pub stamp: i64,
    /// Changes are kept beside its text.
    pub is_kept: bool,
}

/// A connection that reads states.
pub trait StateReader {
    /// The documents of these objects, by object and ordinal.
    ///
    /// # Errors
    /// When they cannot be read.
    fn members(&mut self, objects: &[i64]) -> Result<Vec<Member>>;

    /// The states of the documents of a collection with these keys, in any order, by one statement. A key that no document
    /// has is left out; one that several have, of which one is set aside, comes several times.
    ///
    /// # Errors
    /// When they cannot be read.
    fn states(&mut self, collection: &str, keys: &[String]) -> Result<Vec<DocumentState>>;

    /// As [`Reader::stored`], for who knows the text with the `ETag` `known`: where the document still has it, the text may be left out
    /// ([`FoundObject::is_known`]).
    ///
    /// # Errors
    /// When it cannot be read.
    ///
    /// [`Reader::stored`]: crate::Reader::stored
    fn stored_unless(&mut self, path: &str, known: &str) -> Result<Option<FoundObject>>;

    /// [`Reader::stored`] is asked for these paths next, while one state is held; what has to wait for a server reads them at once. Each
    /// answer is given once, and only a small text is there already.
    ///
    /// # Errors
    /// When they cannot be read.
    ///
    /// [`Reader::stored`]: crate::Reader::stored
    fn expect(&mut self, _paths: Vec<String>) -> Result<()> {
        Ok(())
    }

    /// The rows of a statement that leaves their keys, and the states of their documents, of one state of the database, which
    /// is not held afterwards; both with one journey to the server. `None` where that cannot be: a state is held, the
    /// statement leaves no keys, or the leaf saves nothing by it.
    ///
    /// # Errors
    /// As [`Reader::ask`].
    ///
    /// [`Reader::ask`]: crate::Reader::ask
    fn ask_with_states(
        &mut self,
        _statement: &Statement,
        _collection: &str,
        _bytes_max: usize,
    ) -> Result<Option<(Answer, Vec<DocumentState>)>> {
        Ok(None)
    }
}
