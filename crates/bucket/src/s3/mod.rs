//! An S3 bucket (AWS, Cloudflare R2, any compatible endpoint) as a source and as a place of objects.
//!
//! `object_store` signs the requests, but those with a deadline; listing and reading are our own, because its paths cannot name every key
//! (`a//b`, `/a`, `a/`), and one such key would end its whole listing or be read under another key's name.

mod client;
mod config;
mod failure;
mod listing;
mod objects;
mod page;
mod probe;
mod signing;
mod source;
mod write;

pub use config::S3Config;
pub use objects::S3Objects;
pub use source::S3Source;
