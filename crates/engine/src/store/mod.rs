//! Documents in a database: the store over a [`repot_core::Target`]. Rows are the truth: what SQL changed in them is
//! laid over the text when the document is read.

mod clerk;
mod desk;
mod history;
mod queue;
mod row_store;
mod writing;

pub use row_store::{LEADS, RowStore, RowStoreOptions};
