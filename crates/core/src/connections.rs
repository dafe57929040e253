//! More connections to a database, those that see one state of it, and those that had nothing to do for a while.

use std::fmt::Debug;

use futures_util::future::BoxFuture;

use crate::error::Result;
use crate::target::{Reader, Target};

/// Opens more connections to one database, from any thread.
pub trait Connections: Debug + Send + Sync {
    /// A connection for reading. It sees a consistent state from its first read to its drop.
    ///
    /// With [`Connections::can_fetch`] it lives in the tokio runtime with several threads that this is called in, if any.
    ///
    /// # Errors
    /// When it cannot be opened.
    fn reader(&self) -> Result<Box<dyn Reader>>;

    /// Whether the readers of a database that is a server can fetch answers ([`Missing::Answer`]); they do so while they live in a
    /// runtime of several threads.
    fn can_fetch(&self) -> bool;

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

/// A connection that can be read where a read is asked for, without a thread that waits for it.
pub trait Prompt {
    /// `only`: from here on, and until this is taken back, each read answers at once or fails. It fails where it would wait for
    /// somebody, and where it turns out to be long; all reads until the next call count together. Such a read changed
    /// nothing; [`Prompt::missing`] says whether and when it is to be done again. [`crate::Reader::refresh`] works in any case.
    ///
    /// `false`: the connection cannot do that, or not now; nothing changed.
    fn at_once(&mut self, only: bool) -> bool;

    /// What a read that failed since [`Prompt::at_once`] was in want of.
    fn missing(&mut self) -> Missing<'_>;
}

/// What a read that had to answer at once was in want of.
#[expect(missing_debug_implementations, reason = "a future has nothing to show")]
pub enum Missing<'r> {
    /// Nothing: that it failed is its answer.
    Nothing,
    /// Time, or what only a connection without that demand does.
    Time,
    /// An answer from afar. When this has brought it, the same reads in the same order find it, and go on to the next that is
    /// missing. It may be dropped at any moment. With an error there is none, and the read is to be done without the demand.
    Answer(BoxFuture<'r, Result<()>>),
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
