//! How often writers get in each other's way.

/// Conflicts of the writes of one collection, since the store was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ConflictCounts {
    /// Writes with a precondition on the state that is there.
    pub writes: u64,
    /// Of these, those that met another state, however often.
    pub conflicts: u64,
    /// Of these, those that were done all the same, as the strategy has it.
    pub settled: u64,
}

impl ConflictCounts {
    /// Conflicts of each thousand writes, rounded down; 0 where nothing was written.
    #[must_use]
    pub fn per_thousand(&self) -> u64 {
        self.conflicts.saturating_mul(1_000).checked_div(self.writes).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::ConflictCounts;

    #[test]
    fn a_rate_needs_writes() {
        let counts = |writes, conflicts| ConflictCounts { writes, conflicts, settled: 0 }.per_thousand();
        assert_eq!([counts(0, 0), counts(3, 1), counts(4, 4)], [0, 333, 1_000]);
    }
}
