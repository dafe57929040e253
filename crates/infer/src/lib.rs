//! From documents to a model: looks at everything a source holds and writes the model a person would have
//! written, with its evidence beside each guess. A full scan, never a sample; the same model for any order
//! of the files. No I/O of its own: a [`Corpus`] hands in the listing and the contents.

mod body;
mod build;
mod corpus;
mod draft;
mod drafter;
mod essence;
mod evidence;
mod gather;
mod infer;
mod keys;
mod kinds;
mod look;
mod maps;
mod naming;
mod paths;
mod refine;
mod root_drafts;
mod roots;
mod rows;
mod shape;

pub use corpus::{Corpus, Options};
pub use essence::essence;
pub use infer::{Found, Inferred, infer};
