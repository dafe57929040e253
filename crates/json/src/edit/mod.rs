//! Edits that keep a document's own formatting: values are replaced, entries and elements inserted and removed,
//! and every byte that belongs to none of them stays. Positions are node indexes of the scanned text; new
//! values are given as JSON text and come out in the document's indentation, separators and escapes.

mod container;
mod editor;
mod escapes;
mod layout;
mod style;

pub use editor::Editor;
pub use escapes::{quote, quote_into};
