//! Facts that go with the documents from one database to another: API keys, requests with a key of their own, rate limits.

use repot_core::store::{FactChange, FactValue, FactWhen, Ledger, UnitOfWork};
use repot_core::{Kind, Result};

use super::member::Moving;
use crate::ledger::{API_KEY, IDEMPOTENCY, RATE_LIMIT};

/// Kinds of what is carried over, and of what remembers that it was.
const CARRIED: [(&str, &str); 3] = [
    (API_KEY, "move_carried_key"),
    (IDEMPOTENCY, "move_carried_request"),
    (RATE_LIMIT, "move_carried_limit"),
];
/// Facts read at once.
const READ_AT_ONCE: usize = 500;

/// Kinds of the facts that remember what was carried over.
pub(super) fn kinds() -> impl Iterator<Item = &'static str> {
    CARRIED.into_iter().map(|(_, carried)| carried)
}

impl Moving {
    /// Carries over what the old store's ledger has and the new one's never had. What was changed or taken back since in the
    /// new one, such as a key, stays as it is there.
    pub(super) async fn carry_over(&self, from: &dyn Ledger) -> Result<()> {
        for (kind, carried) in CARRIED {
            let mut after = None;
            loop {
                let facts = from.facts(kind, after.as_deref(), READ_AT_ONCE).await?;
                let Some(last) = facts.last() else { break };
                after = Some(last.name.clone());
                for fact in facts {
                    let once =
                        FactChange::put(carried, &fact.name, FactValue::lasting("")).when(FactWhen::Absent);
                    let value = FactValue { value: fact.value, expires_ms: fact.expires_ms };
                    let own = FactChange::put(kind, &fact.name, value).when(FactWhen::Absent);
                    if !self.note_once(vec![once.clone(), own]).await? {
                        // it was carried before, or a server that takes part made its own
                        self.note_once(vec![once]).await?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Notes these; `false`: one of them is there.
    async fn note_once(&self, facts: Vec<FactChange>) -> Result<bool> {
        match self.journal.apply(UnitOfWork { facts, ..UnitOfWork::default() }).await {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == Kind::Fenced => Ok(false),
            Err(error) => Err(error),
        }
    }
}
