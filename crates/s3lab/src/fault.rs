//! What a test can make go wrong, and what it can learn about the requests that came.

use std::time::Duration;

/// A kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    /// A page of the listing.
    List,
    /// The body of an object, whole or in part.
    Get,
    /// The headers of an object.
    Head,
    /// A new body.
    Put,
    /// A removal.
    Delete,
    /// A copy inside the bucket.
    Copy,
}

/// What the other writer of [`Fault::Overtaken`] puts.
pub const OVERTAKER: &[u8] = b"by another writer";

/// A condition that a server may accept and ignore.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Condition {
    /// `If-None-Match` of [`Op::Put`].
    PutIfNoneMatch,
    /// `If-Match` of [`Op::Put`].
    PutIfMatch,
    /// `If-Match` of [`Op::Delete`].
    DeleteIfMatch,
    /// The time of a request that is signed in its address; its signature is not looked at then.
    Expiry,
}

/// What happens to a request instead of, or beside, what it asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Answered with this HTTP status; nothing else happens.
    Status(u16),
    /// Carried out, then answered with status 500, as if the answer had been lost.
    AckLoss,
    /// Carried out, then the connection ends without an answer. For [`Op::Put`] and [`Op::Delete`].
    Hangup,
    /// Carried out, then another writer puts [`OVERTAKER`] there, then status 500. For [`Op::Put`] and [`Op::Delete`].
    Overtaken,
    /// The body promises its length, but the connection ends after this many bytes. For [`Op::Get`].
    Truncate(usize),
    /// The first byte of the body is another one. For [`Op::Get`] and, before it is checked, [`Op::Put`].
    Flip,
    /// Carried out after this time.
    Delay(Duration),
}

/// A request that came, with a right signature, also if it was made to fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What it asked for.
    pub op: Op,
    /// The key, or the prefix of a listing.
    pub key: String,
}

/// A fault that waits for its requests.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) op: Op,
    pub(crate) fault: Fault,
    pub(crate) left: usize,
}
