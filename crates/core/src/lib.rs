//! Repot's contract: errors and their catalogue, the clock, what a source gives ([`Source`]) and what a target
//! does ([`Target`]), and how documents are read and written on every store ([`store`]). No I/O of its own, no
//! runtime, no C.

mod ahead;
mod audit;
mod cache;
pub mod catalogue;
pub mod change_log;
mod clock;
pub mod combinator;
mod connections;
mod echo;
mod entropy;
mod error;
mod facts;
mod found;
mod hex;
mod messages;
pub mod moving;
mod pacing;
pub mod path_text;
mod records;
mod referrers;
mod row_security;
mod sink;
mod source;
pub mod store;
mod target;
mod trashed;

pub use ahead::Ahead;
pub use audit::{AuditBatch, AuditFilter, AuditKind, AuditRecord, PackedText};
pub use cache::{
    CACHE_KEY_MAX, CACHE_LIFE_MAX_MS, CACHE_NAMESPACE_MAX, Cache, CacheName, CacheSpace, CacheUsage,
    CacheValue,
};
pub use clock::{Clock, FixedClock, SystemClock};
pub use connections::{Connections, Idling, Missing, Prompt, ReaderPair, Snapshots, Writers};
pub use echo::{Echo, is_echo_wanted, truth, without_values};
pub use entropy::Entropy;
pub use error::{Error, Kind, Problem, Result, Retry};
pub use facts::{FactBatch, FactReader};
pub use found::{DocumentState, FoundObject, ListedDocument, Mark, Member, Rank, StateReader};
pub use hex::hex;
pub use messages::{HeldMessage, Outcome, QueueAnswer, QueueCounts, QueueStep, QueueVerb, StoredMessage};
pub use pacing::Pacing;
pub use records::{DocumentRecord, KeptChange, ObjectRecord, Outline, Piece, Status};
pub use referrers::{Referred, Referrer};
pub use row_security::{RowSecurity, TenantGuard};
pub use sink::{Pieces, Sink};
pub use source::{Listed, Object, Read, ReadError, Source, SourceHealth};
pub use target::{
    Answer, Batch, Decide, Health, Item, LoadReport, Loading, LockHolder, QueryResult, Reader, Refusal,
    RowChanges, State, StoredDocument, StoredObject, Target, Violation,
};
pub use trashed::{TrashName, TrashWanted, Trashed};
