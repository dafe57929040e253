//! Stores over stores.

mod acting;
mod counts;
mod reconcile;
mod remembered;

pub use acting::Acting;
pub use counts::ConflictCounts;
pub use reconcile::{Backoff, Reconcile, Strategy};
