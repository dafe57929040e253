//! Documents as files in a directory or as objects in an S3 bucket: sources to copy from, places where
//! documents live, and the sink that an export writes into; and what tells of changes in a directory.

mod beneath;
mod codes;
mod directory;
mod directory_objects;
mod path_rules;
mod s3;
pub mod sink;
mod walk;
mod watch;

pub use codes::CODES;
pub use directory::DirectorySource;
pub use directory_objects::DirectoryObjects;
pub use s3::{S3Config, S3Objects, S3Source};
pub use watch::DirectoryWatch;
