//! More connections to a database, and connections that had nothing to do for a while.

use std::fmt::Debug;

use crate::error::Result;
use crate::target::{Reader, Target};

/// Opens more connections to one database, from any thread.
pub trait Connections: Debug + Send + Sync {
    /// A connection for reading. It sees a consistent state from its first read to its drop.
    ///
    /// # Errors
    /// When it cannot be opened.
    fn reader(&self) -> Result<Box<dyn Reader>>;

    /// How many may write at once; 1 where one writer has the database to itself.
    fn writers_max(&self) -> usize;

    /// Another writing connection under the same shared lock.
    ///
    /// # Errors
    /// When it cannot be opened, or there can be no other.
    fn writer(&self) -> Result<Box<dyn Target>>;
}

/// A connection that can idle.
pub trait Idling {
    /// Makes sure that the connection works after it had nothing to do: tries it, and opens another in its place where it
    /// does not answer. Not to be called within a transaction.
    ///
    /// # Errors
    /// When no other can be opened.
    fn wake(&mut self) -> Result<()>;
}
