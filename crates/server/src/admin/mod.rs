//! What only those who run the server ask: its state, long work in the background, requests that were slow, keys.

mod jobs;
mod keys;
mod operator;
mod slow;
pub(crate) mod wanted;

pub use keys::{KeyWanted, key_json, key_made};
pub use operator::{Operator, Own, Question, Task, Work};

pub(crate) use jobs::Jobs;
pub(crate) use slow::Slow;
