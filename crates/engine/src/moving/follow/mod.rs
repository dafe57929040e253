//! Following a store of objects that others still write: what changed in it is marked, so that workers bring the copies up
//! to date.
//!
//! The truth is the listing, read from time to time; hints of a watcher only make it faster. What a listing says of an
//! object is compared with what was seen of it before, and what differs is marked *first* and noted as seen *after
//! that*. A crash between the two marks once more. Writes through Repot to that store are seen like those of others:
//! that costs one more comparison, and changes nothing.

mod follower;
mod known;
mod looking;
mod pages;
mod sight;
mod status;

pub use follower::{FollowOptions, Followed, Follower};
pub use known::Known;
pub use looking::Scanned;
pub use sight::{ObjectState, Sight};
pub use status::FollowStatus;
