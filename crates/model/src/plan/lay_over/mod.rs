//! Rows to documents: a file's text is the template, the rows of the database are the truth. What differs is
//! written into the text in the file's own formatting; every other byte stays.

mod document;
mod family;
mod file;
mod growth;
mod order;
mod pairs;
mod places;
mod slots;
mod spell;
#[cfg(test)]
mod tests;

pub use file::LaidOver;
pub use spell::now_like;
pub(super) use spell::precision_us;
