//! What a model means: whether names, references, places and settings fit together.

mod checker;
mod fields;
mod places;
mod references;
mod settings;

pub use checker::check;
pub(super) use checker::{Finding, findings};
