//! What must be done by a place that keeps whole objects by path (a directory, an S3 bucket, memory), so that
//! documents can live in it.

use std::fmt::{Debug, Display};

use async_trait::async_trait;
use bytes::Bytes;

use super::barrier::Barrier;
use super::etag::{ETag, Precondition};
use crate::error::Result;

/// An object with its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectBody {
    /// All of one state, never a mixture.
    pub bytes: Bytes,
    /// Of that state.
    pub etag: ETag,
    /// Modification time, nanoseconds since 1970; 0 where there is none.
    pub modified_ns: i64,
}

impl ObjectBody {
    /// Modification time, milliseconds since 1970.
    #[must_use]
    pub fn modified_ms(&self) -> Option<i64> {
        millis(self.modified_ns)
    }
}

/// Milliseconds of a modification time in nanoseconds; 0 is none.
#[must_use]
pub fn millis(modified_ns: i64) -> Option<i64> {
    (modified_ns != 0).then(|| modified_ns.div_euclid(1_000_000))
}

/// An object without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectMeta {
    /// Its path, as text ([`crate::path_text`]).
    pub path: String,
    /// Size in bytes.
    pub size_bytes: u64,
    /// Modification time, nanoseconds since 1970; 0 where there is none.
    pub modified_ns: i64,
    /// Its `ETag`, where the listing gives one without reading the object.
    pub etag: Option<ETag>,
}

/// What such a place can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectPowers {
    /// [`Precondition::Absent`] and [`Precondition::Matches`] are enforced on `put`, also between processes.
    pub conditional_put: bool,
    /// [`Precondition::Matches`] is enforced on `delete`, also between processes.
    pub conditional_delete: bool,
    /// What comes after its deadline is refused. Without, a write with a deadline is [`crate::Kind::Unsupported`], code `R0405`.
    pub deadlines: bool,
    /// Documents of two tenants may have one key, because each is told by its path; not where the place is a database, whose tables
    /// know the key alone.
    pub keys_per_tenant: bool,
}

/// Whole objects by path. May be called from many tasks at once.
///
/// Contract: what `put` acknowledged survives a crash of every process; a reader sees the old object or the new
/// one, never a mixture and never nothing in between. A failed precondition is [`crate::Kind::Conflict`] (made by
/// [`Precondition::failed`]) and changes nothing. A path that cannot be kept faithfully (`..`, empty parts, too
/// long, a name that a case-folding file system would confuse with another) is [`crate::Kind::Invalid`], code
/// `R0403`, and changes nothing; `get` and `head` of such a path find nothing. When the outcome of a write is
/// unknown, it is found out by reading again, or the error says so ([`crate::Retry::Unknown`]). Dropping a
/// future leaves a write done or not done, never half.
///
/// A write with a deadline (`until_ms`, milliseconds since 1970) never begins to change anything from then on, also when the process
/// was paused just before, or the request was held up on its way: it is [`crate::Kind::Fenced`], code `R0452`. Where it was sent and
/// nobody knows what became of it, its error says so. What is past the point of no return at the deadline may still appear;
/// [`Objects::settle`] tells when that too is over.
#[async_trait]
pub trait Objects: Debug + Display + Send + Sync + 'static {
    /// What it can do; known after [`Objects::probe`] where that has to be tried out.
    fn powers(&self) -> ObjectPowers;

    /// Can it be reached, read and written? Tries out what it says it can.
    ///
    /// # Errors
    /// When it is out of reach or refuses us.
    async fn probe(&self) -> Result<()>;

    /// The object at `path`; `None` when there is none.
    ///
    /// # Errors
    /// [`crate::Kind::Unsupported`], code `R0213`, when it is larger than `bytes_max`; nothing was read then. Else
    /// when it cannot be read.
    async fn get(&self, path: &str, bytes_max: u64) -> Result<Option<ObjectBody>>;

    /// Whether there is an object, without reading more of it than its `ETag` needs.
    ///
    /// # Errors
    /// When it cannot be found out.
    async fn head(&self, path: &str) -> Result<Option<ObjectMeta>>;

    /// Writes a whole object, atomically, before its deadline if it has one. Gives its new `ETag`.
    ///
    /// # Errors
    /// As the contract says.
    async fn put(&self, path: &str, bytes: Bytes, when: &Precondition, until_ms: Option<i64>)
    -> Result<ETag>;

    /// The same behind a barrier, for which a place that has much to get ready first may wait meanwhile. It keeps nobody else from
    /// writing for as long as that takes.
    ///
    /// # Errors
    /// As the contract says, and that of the barrier; nothing was changed then.
    async fn put_behind(
        &self,
        barrier: &Barrier,
        path: &str,
        bytes: Bytes,
        when: &Precondition,
        until_ms: Option<i64>,
    ) -> Result<ETag> {
        barrier.passed().await?;
        self.put(path, bytes, when, until_ms).await
    }

    /// Removes an object, before the deadline if there is one; gives whether one was there. [`Precondition::Absent`] makes no sense here and is
    /// [`crate::Kind::Invalid`].
    ///
    /// # Errors
    /// As the contract says.
    async fn delete(&self, path: &str, when: &Precondition, until_ms: Option<i64>) -> Result<bool>;

    /// Comes back once no write of `path` with a deadline up to this one can happen any more: what is read afterwards has
    /// all of them that ever will have happened. Waits for the time and for who is writing just then, both for a bounded time.
    ///
    /// # Errors
    /// [`crate::Kind::Unavailable`], code `R0453`, when that cannot be said yet.
    async fn settle(&self, path: &str, until_ms: i64) -> Result<()>;

    /// At most `most` objects whose path begins with `prefix` and comes strictly after `after`, in byte order of
    /// the path. Fewer than `most` means that there are no more.
    ///
    /// # Errors
    /// When it cannot be listed.
    async fn list(&self, prefix: &str, after: Option<&str>, most: usize) -> Result<Vec<ObjectMeta>>;
}
