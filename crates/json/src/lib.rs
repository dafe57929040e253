//! Lossless JSON text: an iterative scanner that yields spans into the bytes ([`Tree`]), edits that replace,
//! insert and remove values in a document's own formatting ([`edit`]), and JSON Pointer, JSON Merge Patch and
//! JSON Patch on top of them ([`patch`]). No value is ever turned into a number or a string unless a caller asks
//! for it, so nothing of a document can be lost here.

pub mod edit;
pub mod patch;
mod scan;
mod value;

pub use scan::{Fault, Kind, Limits, Node, SyntaxError, Tree};
pub use value::{Elements, Entries, Value};
