//! Moving live: the parts that bring documents from one store to another while both are in use (docs/protocol.md).

mod follow;

pub use follow::{FollowOptions, FollowStatus, Followed, Follower, Known, ObjectState, Scanned, Sight};
