//! The old store after the end of a move: what was proved when it ended (the receipt), until when it is kept, and its removal,
//! which is asked for and never done by itself. docs/rollout.md says what is proved and what is not.
//!
//! The receipt stands beside the old store, in files that `sha256sum -c` reads; the database has its hash. Nothing is removed
//! that is not in both.

mod left;
mod lines;
mod receipt;
mod removal;

pub use left::{Left, LeftSource};
pub(super) use left::{in_use, without};
pub use receipt::{About, Receipt, ReceiptDraft, Written};
pub use removal::{CleanUp, Cleared, Fate, Removed};
