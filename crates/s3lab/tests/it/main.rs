//! The laboratory as a real client sees it.

mod client;
mod faults;
mod listing;
mod objects;
