//! A live move: documents change store while an app reads and writes them. docs/protocol.md is the specification,
//! `crates/protocol` the model of it that is explored; the names are the same in all three.
//!
//! [`Moving`] is one process's part in a move: what it knows of the leads, its writes on their way, its share of the copying.
//! [`MovingStore`] is the store that an app gets meanwhile.

mod beside;
mod carried;
mod change;
mod clean_up;
mod codes;
mod control;
mod copier;
mod difference;
mod follow;
mod gathered;
mod guard;
mod intent;
mod journal;
mod leads;
mod member;
mod names;
mod origin;
mod read;
mod running;
mod shadow;
mod status;
mod store;
mod tail;
mod trouble;
mod watching;
mod write;

pub use beside::Beside;
pub use change::Progress as ChangeProgress;
pub use clean_up::{
    About, CleanUp, Cleared, Fate, Left, LeftSource, Receipt, ReceiptDraft, Removed, Written,
};
pub use codes::CODES;
pub use control::{Control, Fence};
pub use copier::Copied;
pub use difference::{Cause, Difference, Ignored, Side};
pub use follow::{FollowOptions, FollowStatus, Followed, Follower, Known, ObjectState, Scanned, Sight};
pub use guard::{Guard, Stopped, Terms};
pub(crate) use journal::marking_along;
pub use journal::{Event, Journal, Stuck};
pub use leads::{Leads, SLOTS, Share, slot_of};
pub use member::{Moving, MovingOptions, Sides};
pub use names::canonical;
pub use origin::comes_from_database;
pub use running::Running;
pub use status::{MoveSeen, MoveStatus, Stage, percent};
pub use store::MovingStore;
pub use trouble::{Loop, Trouble};
pub use watching::{Act, Before, Compared, Figures, Limits, Times, Watched};
