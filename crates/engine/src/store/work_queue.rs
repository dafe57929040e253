//! Documents as messages that workers claim. The state of messages stands in `repot_queue`, which triggers fill; here are
//! their steps, and units of work that demand a lease.

use std::collections::BTreeSet;

use async_trait::async_trait;
use repot_core::store::{
    CLAIMED_MOST, Claim, ClaimRequest, Cursor, DeadLetter, DeadPage, Document, DocumentKey, FactChange,
    LEASE_MAX_MS, Layout, LeaseToken, QueueStats, REASON_BYTES_MAX, Scope, Store as _, UnitOfWork, Verdict,
    WorkQueue, check_facts, lease_lost,
};
use repot_core::{
    Error, FactBatch, HeldMessage, Kind, Outcome, QueueAnswer, QueueStep, QueueVerb, Result, StoredMessage,
    Target,
};
use repot_model::plan::QueueRules;
use tokio::sync::oneshot;

use super::desk::Desk;
use super::finding::Sought;
use super::hand::Hand;
use super::objects::{KEPT_OUT, kept_out};
use super::queue::Task;
use super::row_store::RowStore;
use super::writing::same;

/// Why a message without a document is given up.
const NO_DOCUMENT: &str = "its rows make no document of the model";

/// Steps that wait for one transaction, and who waits for them.
#[derive(Default)]
pub(super) struct Steps {
    steps: Vec<QueueStep>,
    answers: Vec<oneshot::Sender<Result<QueueAnswer>>>,
}

impl Steps {
    pub(super) fn push(&mut self, step: QueueStep, answer: oneshot::Sender<Result<QueueAnswer>>) {
        self.steps.push(step);
        self.answers.push(answer);
    }

    /// Does all of them, in one transaction as far as none may refuse the others, and tells who waits.
    pub(super) fn run(self, target: &mut dyn Target) {
        let mut together = Self::default();
        for (step, answer) in self.steps.into_iter().zip(self.answers) {
            if step.facts.is_empty() {
                together.push(step, answer);
            } else {
                Self { steps: vec![step], answers: vec![answer] }.at_once(target);
            }
        }
        if !together.steps.is_empty() {
            together.at_once(target);
        }
    }

    fn at_once(self, target: &mut dyn Target) {
        let done = target.queue(&self.steps);
        let mut done = done.map(Vec::into_iter);
        for answer in self.answers {
            let own = match &mut done {
                Ok(answers) => match answers.next().unwrap_or_default() {
                    QueueAnswer { refused_by: Some(value), .. } => Err(kept_out(&value)),
                    answer => Ok(answer),
                },
                Err(error) => Err(same(error)),
            };
            // nobody waits any more when the future was dropped
            let _dropped = answer.send(own);
        }
    }
}

impl Hand<'_, '_, '_> {
    /// Checks that all messages are held that a unit of work demands; gives those that are done with it. `acked`: those
    /// that other units of the transaction are done with.
    pub(super) fn held(
        &mut self,
        work: &UnitOfWork,
        acked: &BTreeSet<HeldMessage>,
    ) -> Result<Vec<HeldMessage>> {
        let mut done = Vec::new();
        for holding in &work.holding {
            let held = holding.token.held(holding.tenant.as_deref(), None);
            self.decider.layout.check_scope(&Scope {
                collection: held.collection.clone(),
                tenant: holding.tenant.clone(),
            })?;
            let key = match &holding.own {
                None => None,
                Some(own) => {
                    let key = message_key(self.desk, self.decider.layout, own)?;
                    Some(key.ok_or_else(|| lease_lost(&holding.token))?)
                }
            };
            let is_own = holding.own.as_ref().is_none_or(|own| own.collection() == held.collection);
            let named = HeldMessage { key, ..held.clone() };
            if !is_own || acked.contains(&held) || !self.desk.reader().holds(&named)? {
                return Err(lease_lost(&holding.token));
            }
            if holding.acks && !done.contains(&held) {
                done.push(held);
            }
        }
        Ok(done)
    }
}

/// The key that the message of a document has; `None` when a place names a document that is not there.
fn message_key(desk: &mut Desk<'_, '_>, layout: &Layout, own: &DocumentKey) -> Result<Option<String>> {
    if let Some(id) = own.id() {
        return Ok(Some(id.to_owned()));
    }
    Ok(match desk.find(layout, own)? {
        Sought::There(found) => found.document().and_then(|document| document.key.clone()),
        Sought::Nothing(_) | Sought::Unsettled => None,
    })
}

impl RowStore {
    fn queue_of(&self, scope: &Scope) -> Result<QueueRules> {
        self.layout().check_scope(scope)?;
        self.plan().queue(&scope.collection).ok_or_else(|| {
            Error::new(Kind::Unsupported, "R0502", format!("{} is not a queue", scope.collection))
                .hint("Give the collection `queue = { lease = \"60s\", tries = 5 }` in the model.")
        })
    }

    async fn step(&self, scope: &Scope, rules: QueueRules, verb: QueueVerb) -> Result<QueueAnswer> {
        self.step_noting(scope, (rules, verb), Vec::new()).await
    }

    async fn step_noting(
        &self,
        scope: &Scope,
        (rules, verb): (QueueRules, QueueVerb),
        facts: Vec<FactChange>,
    ) -> Result<QueueAnswer> {
        check_facts(&facts)?;
        let now_ms = self.now_ms();
        let step = QueueStep {
            collection: scope.collection.clone(),
            tenant: scope.tenant.clone().unwrap_or_default(),
            now_ms,
            tries_max: rules.tries,
            // who is kept out may look, and claims and settles nothing
            unless: (!matches!(verb, QueueVerb::Stats | QueueVerb::Dead { .. })).then_some(KEPT_OUT),
            verb,
            facts: FactBatch { now_ms, changes: facts, ..FactBatch::default() },
        };
        let (answer, answered) = oneshot::channel();
        self.write(Task::Messages(step, answer)).await?;
        answered.await.map_err(|_closed| super::writing::lost("a step of a queue"))?
    }

    /// The key of a document's message, which a place does not say; `None` when the document is not there.
    async fn message_key(&self, key: &DocumentKey) -> Result<Option<String>> {
        if let Some(id) = key.id() {
            return Ok(Some(id.to_owned()));
        }
        let key = key.clone();
        self.read(move |desk, layout| message_key(desk, layout, &key)).await
    }

    /// The documents of messages; `None` where there is none.
    async fn documents_of(&self, keys: Vec<DocumentKey>) -> Result<Vec<Option<Document>>> {
        let asked = keys.clone();
        let found = self
            .read(move |desk, layout| {
                asked.iter().map(|key| desk.document(layout, key)).collect::<Result<Vec<_>>>()
            })
            .await?;
        let mut documents = Vec::with_capacity(keys.len());
        for (key, found) in keys.iter().zip(found) {
            documents.push(match found {
                Some(Some(document)) => Some(document),
                // rows of plain SQL, of which no writer has made a document yet, or nothing
                _ => self.get(key).await?,
            });
        }
        Ok(documents)
    }
}

fn key_of(scope: &Scope, key: &str) -> DocumentKey {
    let named = DocumentKey::of_text(&scope.collection, key);
    match &scope.tenant {
        Some(tenant) => named.in_tenant(tenant),
        None => named,
    }
}

/// A time that somebody gave, within bounds, milliseconds.
fn bounded(what: &str, wanted_ms: u64) -> Result<i64> {
    i64::try_from(wanted_ms).ok().filter(|_| wanted_ms <= LEASE_MAX_MS).ok_or_else(|| {
        Error::new(Kind::Invalid, "R0502", format!("{what} of {wanted_ms} ms is more than {LEASE_MAX_MS}"))
            .hint("30 days are the most.")
    })
}

fn lease(rules: QueueRules, wanted_ms: Option<u64>) -> Result<i64> {
    match wanted_ms {
        None => Ok(rules.lease_ms),
        Some(0) => Err(Error::new(Kind::Invalid, "R0502", "a lease of 0 ms holds nothing")
            .hint("Leave it out to hold messages as long as the model says.")),
        Some(wanted_ms) => bounded("a lease", wanted_ms),
    }
}

/// The beginning of a text that is kept.
fn cut(text: &str) -> String {
    let mut end = text.len().min(REASON_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    // no text of PostgreSQL can hold a NUL
    text.get(..end).unwrap_or_default().replace('\0', "\u{fffd}")
}

#[async_trait]
impl WorkQueue for RowStore {
    async fn claim(&self, wanted: &ClaimRequest) -> Result<Vec<Claim>> {
        let rules = self.queue_of(&wanted.scope)?;
        if wanted.count > CLAIMED_MOST {
            let message = format!("{} messages in one claim, {CLAIMED_MOST} are the most", wanted.count);
            return Err(Error::new(Kind::Invalid, "R0502", message).hint("Claim again for more."));
        }
        let lease_ms = lease(rules, wanted.lease_ms)?;
        let now_ms = self.now_ms();
        let verb = QueueVerb::Claim { count: wanted.count, lease_ms, worker: cut(&wanted.worker) };
        let facts = wanted.facts.clone();
        let claimed = self.step_noting(&wanted.scope, (rules, verb), facts).await?.messages;
        let keys = claimed.iter().map(|message| key_of(&wanted.scope, &message.key)).collect();
        let documents = self.documents_of(keys).await?;
        let mut claims = Vec::with_capacity(claimed.len());
        for (message, document) in claimed.into_iter().zip(documents) {
            let token = LeaseToken::new(&wanted.scope.collection, message.id, message.fence);
            let Some(document) = document else {
                let held = token.held(wanted.scope.tenant.as_deref(), None);
                let verb = QueueVerb::Settle { held, outcome: Outcome::Dead(NO_DOCUMENT.to_owned()) };
                // nothing is changed where the document was deleted meanwhile, and its message with it
                self.step(&wanted.scope, rules, verb).await?;
                continue;
            };
            let lease_until_ms = now_ms.saturating_add(lease_ms);
            claims.push(Claim { document, token, tries: message.tries, lease_until_ms });
        }
        Ok(claims)
    }

    async fn settle_message(
        &self,
        key: &DocumentKey,
        token: &LeaseToken,
        verdict: Verdict,
        facts: Vec<FactChange>,
    ) -> Result<i64> {
        let scope =
            Scope { collection: key.collection().to_owned(), tenant: key.tenant().map(str::to_owned) };
        let rules = self.queue_of(&scope)?;
        let outcome = match verdict {
            Verdict::Ack => Outcome::Done,
            Verdict::Retry { delay_ms, reason } => {
                Outcome::Later { delay_ms: bounded("a delay", delay_ms)?, reason: cut(&reason) }
            }
            Verdict::Extend(lease_ms) => Outcome::Longer(lease(rules, lease_ms)?),
            Verdict::Fail(reason) => Outcome::Dead(cut(&reason)),
        };
        if token.collection() != key.collection() {
            return Err(lease_lost(token));
        }
        let now_ms = self.now_ms();
        let until_ms = match outcome {
            Outcome::Longer(lease_ms) => now_ms.saturating_add(lease_ms),
            _ => now_ms,
        };
        // looked up before: who gave the document another key meanwhile has made another message of it
        let Some(own) = self.message_key(key).await? else { return Err(lease_lost(token)) };
        let held = token.held(key.tenant(), Some(&own));
        let verb = QueueVerb::Settle { held, outcome };
        let answer = self.step_noting(&scope, (rules, verb), facts).await?;
        if answer.changed == 0 { Err(lease_lost(token)) } else { Ok(until_ms) }
    }

    async fn dead(&self, scope: &Scope, after: Option<&Cursor>, most: usize) -> Result<DeadPage> {
        let rules = self.queue_of(scope)?;
        // a mark that is none of ours goes on after everything
        let after = after.map_or(0, |cursor| cursor.as_str().parse().unwrap_or(i64::MAX));
        let found = self.step(scope, rules, QueueVerb::Dead { after, most }).await?.messages;
        let next = found.last().filter(|_| found.len() >= most).map(|last| Cursor::new(last.id.to_string()));
        let letter = |message: StoredMessage| DeadLetter {
            key: key_of(scope, &message.key),
            tries: message.tries,
            reason: message.reason.unwrap_or_default(),
            since_ms: message.since_ms,
        };
        Ok(DeadPage { items: found.into_iter().map(letter).collect(), next })
    }

    async fn revive_noting(
        &self,
        scope: &Scope,
        key: Option<&DocumentKey>,
        facts: Vec<FactChange>,
    ) -> Result<u64> {
        let rules = self.queue_of(scope)?;
        let key = match key {
            None => None,
            Some(key) => match self.message_key(key).await? {
                None => return Ok(0),
                own => own,
            },
        };
        Ok(self.step_noting(scope, (rules, QueueVerb::Revive { key }), facts).await?.changed)
    }

    async fn stats(&self, scope: &Scope) -> Result<QueueStats> {
        let rules = self.queue_of(scope)?;
        let counts = self.step(scope, rules, QueueVerb::Stats).await?.counts;
        let now_ms = self.now_ms();
        let age = |since_ms: i64| u64::try_from(now_ms.saturating_sub(since_ms)).unwrap_or(0);
        Ok(QueueStats {
            ready: counts.ready,
            leased: counts.leased,
            delayed: counts.delayed,
            done: counts.done,
            dead: counts.dead,
            oldest_ready_ms: counts.ready_since_ms.map(age),
        })
    }
}
