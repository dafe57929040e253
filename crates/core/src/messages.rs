//! Messages of work queues as targets keep them in `repot_queue`; see [`crate::store::WorkQueue`].

use crate::facts::FactBatch;

/// What a target does with the messages of one collection and tenant, in one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueStep {
    /// Collection.
    pub collection: String,
    /// Tenant; empty where the collection has none.
    pub tenant: String,
    /// Now, milliseconds since 1970. Leases that ran out by now are over before anything else happens.
    pub now_ms: i64,
    /// After so many attempts a message is a dead letter.
    pub tries_max: u32,
    /// What.
    pub verb: QueueVerb,
    /// Where there is this value of ours, it is not done: [`QueueAnswer::refused_by`].
    pub unless: Option<&'static str>,
    /// Noted in the same transaction, if it claims or changes a message. Where a condition does not hold, nothing of the
    /// transaction is done, so such a step has one to itself.
    pub facts: FactBatch,
}

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueueVerb {
    /// Gives ready messages to a worker.
    Claim {
        /// How many at most.
        count: usize,
        /// For how long, milliseconds.
        lease_ms: i64,
        /// To whom.
        worker: String,
    },
    /// The holder of a message says what becomes of it.
    Settle {
        /// Which one.
        held: HeldMessage,
        /// What becomes of it.
        outcome: Outcome,
    },
    /// Lists dead letters in the order of their numbers.
    Dead {
        /// After this number.
        after: i64,
        /// How many at most.
        most: usize,
    },
    /// Makes dead letters ready again, as if they were new.
    Revive {
        /// Only the one with this key.
        key: Option<String>,
    },
    /// Counts.
    Stats,
}

/// A message that somebody says to hold.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct HeldMessage {
    /// Collection.
    pub collection: String,
    /// Tenant; empty where the collection has none.
    pub tenant: String,
    /// The document's key, where it is said.
    pub key: Option<String>,
    /// Number of the message.
    pub message: i64,
    /// Number of the claim.
    pub fence: i64,
}

/// What becomes of a message that is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is done.
    Done,
    /// It is tried again later, or a dead letter when it was tried often enough.
    Later {
        /// How much later, milliseconds.
        delay_ms: i64,
        /// Why.
        reason: String,
    },
    /// It is held for so long from now on, milliseconds.
    Longer(i64),
    /// It is a dead letter.
    Dead(String),
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMessage {
    /// Our number for it; never given out twice.
    pub id: i64,
    /// Key of its document.
    pub key: String,
    /// Number of the last claim; each one is higher.
    pub fence: i64,
    /// How often it was claimed.
    pub tries: u32,
    /// Higher ones come first.
    pub priority: i64,
    /// Why it was given up.
    pub reason: Option<String>,
    /// Since when it is as it is, milliseconds since 1970.
    pub since_ms: i64,
}

impl QueueAnswer {
    /// Whether the step did anything; of a list of dead letters it says nothing.
    #[must_use]
    pub fn has_effect(&self) -> bool {
        self.changed > 0 || !self.messages.is_empty()
    }
}

/// How many messages there are of each state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueCounts {
    /// May be claimed.
    pub ready: u64,
    /// Somebody holds them.
    pub leased: u64,
    /// To be tried later.
    pub delayed: u64,
    /// Acknowledged.
    pub done: u64,
    /// Given up.
    pub dead: u64,
    /// Since when the oldest ready one is ready, milliseconds since 1970.
    pub ready_since_ms: Option<i64>,
}

impl QueueCounts {
    /// Adds what a target counted: a state by its number, how many, and since when the oldest is in it.
    pub fn add(&mut self, state: i64, count: i64, since_ms: i64) {
        let count = u64::try_from(count).unwrap_or_default();
        match state {
            0 => {
                self.ready = count;
                self.ready_since_ms = Some(since_ms);
            }
            1 => self.leased = count,
            2 => self.delayed = count,
            3 => self.done = count,
            _ => self.dead = count,
        }
    }
}

/// What became of a step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueueAnswer {
    /// Messages that were claimed (in the order of the queue) or listed.
    pub messages: Vec<StoredMessage>,
    /// How many messages it changed; 0 for one that is not held any more.
    pub changed: u64,
    /// What was counted.
    pub counts: QueueCounts,
    /// The value because of which nothing was done: that of [`QueueStep::unless`].
    pub refused_by: Option<String>,
}
