//! What whoever runs a server wants to know: figures, a line for each request, whether all is well.

mod cache_figures;
mod figures;
mod line;
mod metered;
mod move_figures;
mod ready;
mod snapshot;
mod watch;

pub use line::{Log, RequestLine};
pub use snapshot::{Room, RoomOf};

pub(crate) use cache_figures::CacheOutcome;
pub(crate) use figures::{Figures, outcome};
pub(crate) use metered::Metered;
pub(crate) use ready::{checks, reached};
pub(crate) use snapshot::Snapshot;
pub(crate) use watch::{GONE, Route, Told, watch};
