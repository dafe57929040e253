//! What a store can say of its own state, for whoever watches over it.

use async_trait::async_trait;

use crate::error::Result;
use crate::records::Status;

/// The connections of a store at a moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PoolUsage {
    /// The most there can be.
    pub most: usize,
    /// Open, or being opened.
    pub open: usize,
    /// Of these, at work.
    pub in_use: usize,
    /// Calls that wait for one.
    pub waiting: usize,
    /// How long the first of these has waited, milliseconds.
    pub waited_ms: u64,
}

/// From this wait on it is no longer a short crowd, milliseconds.
const CROWDED_MS: u64 = 1_000;

impl PoolUsage {
    /// All are at work, and somebody has waited for one for a second or longer. That calls wait for a moment is how a
    /// pool is shared, with one writing connection more than anywhere.
    #[must_use]
    pub const fn is_exhausted(&self) -> bool {
        self.in_use >= self.most && self.waiting > 0 && self.waited_ms >= CROWDED_MS
    }
}

/// Figures of a database. What is not known, or would have taken too long to find out, is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures {
    /// The tables are of the model that the store was opened with.
    pub is_of_this_model: bool,
    /// Bytes of the database.
    pub size_bytes: Option<u64>,
    /// Tables of the model, each with its rows: counted where they are few, else as the database estimates them.
    pub rows: Vec<(String, u64)>,
    /// Transactions of the database that began more than [`LONG_TRANSACTION_S`] seconds ago, whoever began them, and the
    /// age of the oldest of them in seconds; `None` where transactions cannot be seen.
    pub long_transactions: Option<(u64, u64)>,
}

/// From this age on a transaction is a long one, seconds.
pub const LONG_TRANSACTION_S: u64 = 60;

/// What is recorded beside the documents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recorded {
    /// How many objects there are of each status.
    pub objects: Vec<(Status, u64)>,
    /// The values of ours that were asked for, in that order.
    pub values: Vec<Option<String>>,
}

/// A store that can be watched: its connections, and the database behind them.
#[async_trait]
pub trait Vitals: Send + Sync {
    /// The connections of each kind. Asks nobody.
    fn pools(&self) -> Vec<(&'static str, PoolUsage)>;

    /// Asks the database, which is at work for this for about `budget_ms` milliseconds at the most.
    ///
    /// # Errors
    /// When it is out of reach.
    async fn figures(&self, budget_ms: u32) -> Result<Figures>;

    /// Counts the objects, and reads values of ours by their names.
    ///
    /// # Errors
    /// When it is out of reach.
    async fn recorded(&self, values: &[&'static str]) -> Result<Recorded>;
}
