//! More connections to a database, those that see one state of it, and those that had nothing to do for a while.

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

/// Two connections for reading that see one state of the database.
pub type ReaderPair = [Box<dyn Reader>; 2];

/// A database of which two connections can see one state.
pub trait Snapshots {
    /// Two connections for reading. Both see the state that the database has now, until each is refreshed or dropped, whoever
    /// writes meanwhile.
    ///
    /// # Errors
    /// When they cannot be opened; where somebody writes for longer than a lock is waited for.
    fn reader_pair(&self) -> Result<ReaderPair>;
}

/// A database that knows which transactions of stores are writing.
pub trait Writers {
    /// The transactions of stores that are writing now, each by a name that no later one has. Whoever is not among them has ended,
    /// or decides what it writes only after this call began. Where one writer has the database to itself, this waits for that one,
    /// and there are none.
    ///
    /// # Errors
    /// When the database is out of reach, or one writes for longer than a lock is waited for.
    fn writers(&mut self) -> Result<Vec<String>>;
}

/// A connection that can be asked to answer at once or not at all.
pub trait Prompt {
    /// `only`: from here on, and until this is taken back, each read answers at once or fails. It fails where it would wait for
    /// somebody, and where it turns out to be long; all reads until the next call count together. Such a read changed
    /// nothing, and is to be done again without this. [`crate::Reader::refresh`] works in any case.
    ///
    /// `false`: the connection cannot promise that, since somebody is at its other end; nothing changed.
    fn at_once(&mut self, only: bool) -> bool;
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
