//! The objects view of a database: its documents as the files that an export writes, byte for byte, each read and written by its
//! path. A file is written in one transaction, whether it holds one document or many. What is put below `.repot/` is no document: it is
//! a fact beside them.

mod hints;
mod kept_out;
mod listing;
mod opening;
mod own;
mod replace;
mod row_objects;
mod settled;
mod source;
mod view;

pub use hints::RowHints;
pub(super) use kept_out::{Door, KEPT_OUT, kept_out};
pub use opening::open_source_database;
pub(super) use own::KIND as OWN_KIND;
pub(super) use replace::Replacing;
pub use row_objects::RowObjects;
pub use source::RowSource;

/// What is put below it is no document.
const OWN: &str = ".repot/";
