//! From a typed value to a document's text: the text that is there with what differs, or a new one.

mod align;
mod merge;
mod same;
mod shape;

pub(crate) use merge::{changed, says};
pub(crate) use shape::Shape;
