//! Facts that go with the documents from one database to another: API keys, requests with a key of their own, rate limits.

use std::collections::HashSet;

use repot_core::store::{Fact, FactChange, FactValue, FactWhen, Ledger, UNIT_FACTS_MAX, UnitOfWork};
use repot_core::{Kind, Result};

use super::member::Moving;
use crate::ledger::{API_KEY, IDEMPOTENCY, RATE_LIMIT};

/// Kinds of what is carried over, and of what remembers that it was.
const CARRIED: [(&str, &str); 3] = [
    (API_KEY, "move_carried_key"),
    (IDEMPOTENCY, "move_carried_request"),
    (RATE_LIMIT, "move_carried_limit"),
];
/// Facts read at once, also to see which were carried before.
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
                let Some(last) = facts.last().map(|fact| fact.name.clone()) else { break };
                let known = self.names(carried, after.as_deref(), &last).await?;
                let missing: Vec<Fact> =
                    facts.into_iter().filter(|fact| !known.contains(&fact.name)).collect();
                for some in missing.chunks(UNIT_FACTS_MAX / 2) {
                    self.carry(carried, some).await?;
                }
                after = Some(last);
            }
        }
        Ok(())
    }

    /// Names of the new store's facts of this kind after `after`, up to `last`.
    async fn names(&self, kind: &str, after: Option<&str>, last: &str) -> Result<HashSet<String>> {
        let mut names = HashSet::new();
        let mut after = after.map(str::to_owned);
        loop {
            let facts = self.journal.ledger()?.facts(kind, after.as_deref(), READ_AT_ONCE).await?;
            let Some(end) = facts.last() else { return Ok(names) };
            after = Some(end.name.clone());
            let over = end.name.as_str() >= last;
            names.extend(facts.into_iter().map(|fact| fact.name));
            if over {
                return Ok(names);
            }
        }
    }

    /// Carries these over, together where none of them is there.
    async fn carry(&self, carried: &str, facts: &[Fact]) -> Result<()> {
        let once =
            |fact: &Fact| FactChange::put(carried, &fact.name, FactValue::lasting("")).when(FactWhen::Absent);
        let both = |fact: &Fact| {
            let value = FactValue { value: fact.value.clone(), expires_ms: fact.expires_ms };
            [once(fact), FactChange::put(&fact.kind, &fact.name, value).when(FactWhen::Absent)]
        };
        if self.note_once(facts.iter().flat_map(both).collect()).await? {
            return Ok(());
        }
        for fact in facts {
            if !self.note_once(both(fact).into()).await? {
                // it was carried meanwhile, or a server that takes part made its own
                self.note_once(vec![once(fact)]).await?;
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
