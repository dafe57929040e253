//! The sources and the sink over real directories, a test server and a server that lies.

#![expect(clippy::panic, reason = "helpers of tests fail by panicking")]

mod behind;
mod changing;
mod containers;
mod deadlines;
mod deadlines_s3;
mod documents;
mod export;
mod journal;
mod lab;
mod lies;
mod objects;
mod objects_model;
mod s3_objects;
mod s3_writes;
mod tree;
