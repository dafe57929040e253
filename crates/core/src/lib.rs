//! Repot's contract: errors and their catalogue, the clock, what a source gives ([`Source`]) and what a target
//! does ([`Target`]), and how documents are read and written on every store ([`store`]). No I/O of its own, no
//! runtime, no C.

pub mod catalogue;
pub mod change_log;
mod clock;
pub mod combinator;
mod connections;
mod echo;
mod error;
mod pacing;
pub mod path_text;
mod referrers;
mod sink;
mod source;
pub mod store;
mod target;
mod trashed;

pub use clock::{Clock, FixedClock, SystemClock};
pub use connections::{Connections, Idling};
pub use echo::{Echo, is_echo_wanted, without_values};
pub use error::{Error, Kind, Problem, Result, Retry};
pub use pacing::Pacing;
pub use referrers::{Referred, Referrer};
pub use sink::{Pieces, Sink};
pub use source::{Listed, Object, Read, ReadError, Source, SourceHealth};
pub use target::{
    Answer, Batch, Decide, DocumentRecord, FoundObject, Health, Item, LoadReport, Loading, LockHolder, Mark,
    ObjectRecord, Piece, QueryResult, Reader, Refusal, RowChanges, State, Status, StoredDocument,
    StoredObject, Target, Violation,
};
pub use trashed::{TrashWanted, Trashed};
