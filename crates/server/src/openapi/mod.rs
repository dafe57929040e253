//! The `OpenAPI` 3.1 document of a model's routes: made from the model alone, so it is the same for every store.
//!
//! Places where the document says less than the server takes have `x-repot-loose`: what the model calls a list of rows can
//! be anything in a document, and is kept; a client that types its documents wants to know of the list only.

mod admin;
mod bodies;
mod cache;
mod counters;
mod document;
mod listing;
mod messages;
mod operations;
mod page;
mod parts;
mod record;
mod responses;
mod schemas;
mod service;
mod subject;

pub use document::document;
pub(crate) use page::page;
