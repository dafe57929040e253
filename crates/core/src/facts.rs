//! Facts as databases keep them: what a batch notes, and reading them, also so that they stay as they were read.

use crate::error::Result;
use crate::store::{Fact, FactChange, FactDemand};

/// What a transaction does with facts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FactBatch {
    /// The time by which facts have expired, milliseconds since 1970.
    pub now_ms: i64,
    /// Facts to note; all of their conditions hold, or nothing of the batch is done.
    pub changes: Vec<FactChange>,
    /// Facts that stay in their states until the transaction has committed, or nothing of the batch is done; none of them is
    /// among `changes`.
    pub demands: Vec<FactDemand>,
    /// Expired facts that go: kind, name, version. One that has another version by now stays.
    pub gone: Vec<(String, String, i64)>,
}

impl FactBatch {
    /// Whether there is nothing to write; what is demanded for something else to be written is not looked at.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.gone.is_empty()
    }

    /// The changes in the order in which every writer makes them, so that no two wait for each other.
    #[must_use]
    pub fn in_order(&self) -> Vec<&FactChange> {
        let mut changes: Vec<&FactChange> = self.changes.iter().collect();
        changes.sort_by(|one, other| (&one.kind, &one.name).cmp(&(&other.kind, &other.name)));
        changes
    }

    /// The demands in the same order, each fact once for each state.
    #[must_use]
    pub fn demands_in_order(&self) -> Vec<&FactDemand> {
        let mut demands: Vec<&FactDemand> = self.demands.iter().collect();
        demands.sort_by_key(|demand| (&demand.kind, &demand.name, demand.version));
        demands.dedup();
        demands
    }
}

/// A connection that reads facts. Expired ones are given too.
pub trait FactReader {
    /// The fact of this kind and name.
    ///
    /// # Errors
    /// When it cannot be read.
    fn fact(&mut self, kind: &str, name: &str) -> Result<Option<Fact>>;

    /// The facts of these kinds and names that are there, in no order.
    ///
    /// # Errors
    /// When they cannot be read.
    fn named(&mut self, names: &[(String, String)]) -> Result<Vec<Fact>>;

    /// As [`FactReader::fact`]; from here to the end of the transaction nobody else changes it, also where nothing is there. Only within
    /// [`crate::Target::transact`], and only where a transaction is about facts and nothing else; of several in
    /// order of kind and name.
    ///
    /// # Errors
    /// When it cannot be read.
    fn hold_fact(&mut self, kind: &str, name: &str) -> Result<Option<Fact>>;

    /// At most `most` facts of a kind after this name that have not expired, in byte order of the name.
    ///
    /// # Errors
    /// When they cannot be read.
    fn facts(&mut self, kind: &str, after: &str, most: usize, now_ms: i64) -> Result<Vec<Fact>>;

    /// How many facts of a kind have not expired.
    ///
    /// # Errors
    /// When they cannot be counted.
    fn count_facts(&mut self, kind: &str, now_ms: i64) -> Result<u64>;

    /// At most `most` facts that have expired: kind, name, version.
    ///
    /// # Errors
    /// When they cannot be read.
    fn expired_facts(&mut self, now_ms: i64, most: usize) -> Result<Vec<(String, String, i64)>>;
}
