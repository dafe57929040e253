//! How far a follower is.

/// How far a follower is, since it was made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FollowStatus {
    /// When the last whole scan ended, milliseconds since 1970; `None`: none has yet. What others changed before it began
    /// is marked.
    pub scanned_ms: Option<i64>,
    /// How long that scan took, milliseconds.
    pub scan_took_ms: i64,
    /// Objects that it listed.
    pub listed: u64,
    /// Changed objects that it found and passed over, because their documents cannot be named one by one.
    pub unnamed: u64,
    /// Marks made, by scans and hints.
    pub marked: u64,
    /// Hints taken up.
    pub hints: u64,
    /// Changes are told by a watcher, from everywhere in the store; else some are found by scans only.
    pub watching: bool,
    /// The last that went wrong and has not gone right since, for people.
    pub last_error: Option<String>,
}
