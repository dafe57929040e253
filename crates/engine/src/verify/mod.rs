//! `verify`: both halves of the proof, from the database. The stored bytes of every object hash to what was read
//! from the source, and the rows in the tables are exactly those that the stored text gives.

mod listed;
mod rows;
mod sums;
mod sweep;
mod verifier;

pub use listed::ProvedObject;
pub(crate) use rows::{Changed, Finder, actual_rows, expected_rows, shown};
pub(crate) use sweep::{Again, Sweep, Swept};
pub use verifier::{CollectionProof, Difference, Proof, Scope, Verify};
