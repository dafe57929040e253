//! The words of a live move (docs/protocol.md): who leads, and how far a change of the lead is.

/// The store whose answer counts for a document: its primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lead {
    /// Where the documents come from: files or a bucket.
    Old,
    /// Where they go: a database.
    New,
}

impl Lead {
    /// The other one, which is the copy.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Old => Self::New,
            Self::New => Self::Old,
        }
    }
}

/// How far a change of the lead is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// No change is on its way.
    Open,
    /// Every server must come to know that a change is near, and ask for each read who leads until it is over.
    Announced,
    /// No write begins; what was written is brought to the other store.
    Draining,
}
