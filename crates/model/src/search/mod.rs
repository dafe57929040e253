//! Full text search, the part that decides: what the words of a text are, and what a question asks for. It is decided
//! here and not by a database, so that the same texts give the same answers on each.

mod parts;
mod terms;
mod words;

pub use parts::{PART_BYTES_MAX, Part, parts};
pub use terms::{PREFIX_MAX, Problem, TERMS_MAX, Term, WORDS_MAX, terms};
pub use words::{VERSION, words};
