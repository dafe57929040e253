//! Changes of a JSON text that keep what they do not touch: JSON Pointer (RFC 6901), JSON Merge Patch (RFC 7396),
//! JSON Patch (RFC 6902), the ones that stores need most ([`set`], [`append`], [`remove`]), and [`merge3()`] for two
//! changes of one text.
//!
//! Every byte outside of what changes stays; new values come out in the document's own formatting (see
//! [`edit`](crate::edit)). Numbers are never read, so `1.10` and `1e400` arrive as they are written. A value that
//! is set to the same text changes nothing, not even its white space.
//!
//! Where an object has a key twice, the last entry counts, as in [`Value::get`](crate::Value::get). Setting the
//! key changes that one and leaves the others; removing it removes all of them, or an older one would come to light.
//!
//! Each function does all or nothing, and refuses what would make a text beyond the given
//! [`Limits`](crate::Limits). Depth costs heap, never stack.

mod apply;
mod change;
mod differences;
mod draft;
mod equal;
mod error;
mod lists;
mod members;
mod merge;
mod merge3;
mod number;
mod operation;
mod pointer;
mod spot;
mod way;

pub use apply::apply;
pub use change::{append, append_all, remove, set};
pub use differences::{Difference, differences};
pub use equal::{same_text, same_value};
pub use error::{PatchError, PatchFault, Place, Text};
pub use lists::{Lists, Part};
pub use merge::merge;
pub use merge3::{Merged, merge3};
pub use pointer::{Pointer, PointerError, PointerFault, resolve};
pub use way::{Found, WayStep, find};
