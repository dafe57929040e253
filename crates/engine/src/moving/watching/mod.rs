//! What a process sees of a move that it serves: calls of both stores, reads that are compared, and the limits of all that.

mod figures;
mod limits;
mod times;
mod watch;
mod window;

pub use figures::{Compared, Figures};
pub use limits::{Before, Limits};
pub use times::Times;
pub(super) use watch::{Behind, FirstLook, Sampled, Watch};
pub use window::{Act, Watched};
