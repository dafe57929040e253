//! An S3 server for tests: one bucket in memory, signatures checked, conditional writes atomic, faults on demand.
//!
//! ```no_run
//! use repot_s3lab::{Fault, Op, S3Lab};
//!
//! let lab = S3Lab::start();
//! lab.put("a.json", "{}");
//! lab.fail(Op::Get, Fault::Status(503), 2);
//! // point the client under test at lab.endpoint(), lab.bucket(), lab.access_key(), lab.secret_key()
//! assert_eq!(lab.requests(), []);
//! ```

mod answer;
mod bucket;
mod fault;
mod gate;
mod lab;
mod listing;

pub use fault::{Condition, Fault, OVERTAKER, Op, Request};
pub use lab::S3Lab;
