//! The change feed: one reader of the store's log for each process, and the listeners that it feeds.
//!
//! The reader keeps the newest changes in memory, within bounds, while somebody listens. A listener has a position of its
//! own and takes what is behind it; one that is further back than what is in memory reads the log itself until it is
//! there. So a slow listener costs its own reads, and nobody waits for it. Positions are those of the log, the same for all
//! processes over one database, so a listener goes on anywhere.

mod entry;
mod hub;
mod listener;
mod parameters;
mod teller;
mod wanted;

pub(crate) use entry::{Entry, text_of};
pub(crate) use hub::Feed;
pub(crate) use listener::Listener;
pub(crate) use parameters::Parameters;
pub(crate) use teller::{Teller, Told};
pub(crate) use wanted::Wanted;
