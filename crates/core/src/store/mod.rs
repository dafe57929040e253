//! How documents are read and written, the same on every store.

mod etag;
mod objects;

pub use etag::{ETag, Precondition};
pub use objects::{ObjectBody, ObjectMeta, ObjectPowers, Objects};
