//! Stores over stores.

mod counts;
mod reconcile;
mod remembered;

pub use counts::ConflictCounts;
pub use reconcile::{Backoff, Reconcile, Strategy};
