//! Repot's engine: copy, verify, export and query over any [`repot_core::Source`] and [`repot_core::Target`].
//! It neither prints nor reads the environment; leaves are handed in.

pub mod advice;
mod budget;
mod cache;
pub mod certificate;
pub mod copy;
mod entropy;
pub mod export;
mod frame;
pub mod ledger;
pub mod look;
pub mod moving;
mod options;
mod pacing;
mod packed;
mod prepare;
pub mod preview;
mod route;
mod spool;
pub mod store;
mod stored;
pub mod text;
pub mod verify;

pub use cache::MemoryCache;
pub use entropy::SystemEntropy;
pub use options::{NoProgress, Options, Progress, Tally};
pub use pacing::TokioPacing;
pub use route::{Routes, check_source};
