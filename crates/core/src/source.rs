//! What a source gives: a listing in byte order, and the bytes of an object with the state they were read in.

use std::fmt::{Debug, Display};
use std::io;

use crate::error::Result;

/// An object as listed: a file or an S3 object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Relative path with `/`, as text ([`crate::path_text`]).
    pub path: String,
    /// Size in bytes.
    pub size: u64,
    /// Modification time, nanoseconds since 1970; 0 where there is none.
    pub modified_ns: i64,
    /// The store's own `ETag`, where it has one.
    pub etag: Option<String>,
}

impl Object {
    /// True when `other` is, as far as a listing tells, the same state of the object: same `ETag`, or where there
    /// are none, same size and modification time.
    #[must_use]
    pub fn same_state(&self, size: u64, modified_ns: i64, etag: Option<&str>) -> bool {
        match (self.etag.as_deref(), etag) {
            (Some(mine), Some(other)) => mine == other,
            _ => self.size == size && self.modified_ns == modified_ns,
        }
    }
}

/// One entry of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listed {
    /// Something that can be read.
    Object(Object),
    /// Something that is there and cannot be taken: a symbolic link, a socket, an unreadable directory.
    Skipped {
        /// Its path.
        path: String,
        /// Why: lower case, no full stop.
        reason: String,
        /// It is a folder (the path ends with `/`) that could not be read: what was in it before may be there
        /// all the same, and must not be taken for gone.
        hides: bool,
    },
}

impl Listed {
    /// Its path.
    #[must_use]
    pub fn path(&self) -> &str {
        match self {
            Self::Object(object) => &object.path,
            Self::Skipped { path, .. } => path,
        }
    }
}

/// What reading an object gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// The whole content: all of one state of the object, never a mixture.
    pub bytes: Vec<u8>,
    /// The state that was read (it may be newer than the one listed).
    pub object: Object,
}

/// Why an object was not read.
#[derive(Debug)]
pub enum ReadError {
    /// It is no longer there.
    Gone,
    /// It is larger than the caller allowed; nothing was read.
    TooLarge {
        /// Its size now.
        size: u64,
    },
    /// It changed during each of several readings.
    Changing,
    /// It cannot be read (permission, I/O error): lower case, no full stop.
    Unreadable(String),
    /// The whole source is out of reach.
    Source(crate::Error),
}

/// What `check` reports of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceHealth {
    /// Such as `./data readable` or `s3://bucket/prefix at https://... readable`.
    pub message: String,
    /// Warnings: full sentences.
    pub warnings: Vec<String>,
}

/// Where documents come from. Never written to.
pub trait Source: Debug + Display + Send + Sync {
    /// Can it be listed and read?
    ///
    /// # Errors
    /// When it is out of reach or refuses us.
    fn check(&self) -> Result<SourceHealth>;

    /// Everything in it, in byte order of the path, each path once.
    ///
    /// # Errors
    /// When listing cannot begin; each item can fail too, and nothing follows a failed one.
    fn list(&self) -> Result<Box<dyn Iterator<Item = Result<Listed>> + Send + '_>>;

    /// Reads an object of at most `bytes_max` bytes, again if it changes meanwhile, a bounded number of times.
    /// May be called from several threads at once.
    ///
    /// # Errors
    /// Why it was not read.
    fn read(&self, path: &str, bytes_max: u64) -> Result<Read, ReadError>;

    /// Reads an object of any size in pieces of at most `piece_bytes`, in order; ends with the state that was
    /// read when all pieces are of one state, else with an error (the caller drops what it got).
    ///
    /// # Errors
    /// Why it was not read; also an error that `each` gave.
    fn read_pieces(
        &self,
        path: &str,
        piece_bytes: usize,
        each: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<Object, ReadError>;
}
