//! Documents as messages that workers claim: collections with `queue`.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use super::contract::Store;
use super::document::{Cursor, Document, UnitOfWork};
use super::key::{DocumentKey, Scope};
use super::ledger::FactChange;
use crate::error::{Error, Kind, Result};
use crate::messages::HeldMessage;

/// What a worker shows to prove that it holds a message. Each claim of a message has a higher one than those before, and
/// the older ones are worth nothing from then on.
///
/// As text it is `COLLECTION.MESSAGE.CLAIM`; treat it as opaque.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseToken {
    collection: Arc<str>,
    message: i64,
    fence: i64,
}

impl LeaseToken {
    /// The token of one claim of one message.
    #[must_use]
    pub fn new(collection: &str, message: i64, fence: i64) -> Self {
        Self { collection: collection.into(), message, fence }
    }

    /// Reads what [`LeaseToken`]'s `Display` writes; `None`: it is no token.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (rest, fence) = text.rsplit_once('.')?;
        let (collection, message) = rest.rsplit_once('.')?;
        let number = |text: &str| text.parse().ok().filter(|number| *number >= 0);
        Some(Self::new(collection, number(message)?, number(fence)?)).filter(|_| !collection.is_empty())
    }

    /// The collection of the message.
    #[must_use]
    pub fn collection(&self) -> &str {
        &self.collection
    }

    /// The message, as a target looks it up: exactly of this tenant, and with this key where one is given.
    #[must_use]
    pub fn held(&self, tenant: Option<&str>, key: Option<&str>) -> HeldMessage {
        HeldMessage {
            collection: self.collection.to_string(),
            tenant: tenant.unwrap_or_default().to_owned(),
            key: key.map(str::to_owned),
            message: self.message,
            fence: self.fence,
        }
    }
}

impl fmt::Display for LeaseToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.collection, self.message, self.fence)
    }
}

/// What a unit of work demands of a message: that the worker still holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// What proves it.
    pub token: LeaseToken,
    /// The tenant of the message, where its collection has tenants. It must be that of the caller.
    pub tenant: Option<String>,
    /// The message is done with the unit of work, in the same transaction.
    pub acks: bool,
    /// The document whose message it must be; `None`: any message of the collection.
    pub own: Option<DocumentKey>,
}

impl UnitOfWork {
    /// Happens only while the worker holds this message; else it is [`Kind::Fenced`], code `R0501`, and nothing is written.
    #[must_use]
    pub fn holding(mut self, token: LeaseToken, tenant: Option<&str>) -> Self {
        self.holding.push(Holding { token, tenant: tenant.map(str::to_owned), acks: false, own: None });
        self
    }

    /// The same, and the message is done in the same transaction: its effect happens exactly once.
    #[must_use]
    pub fn acking(mut self, token: LeaseToken, tenant: Option<&str>) -> Self {
        self.holding.push(Holding { token, tenant: tenant.map(str::to_owned), acks: true, own: None });
        self
    }

    /// The same for the message that this document is; with the token of another one it is [`Kind::Fenced`], code `R0501`, too.
    #[must_use]
    pub fn acking_own(mut self, token: LeaseToken, key: &DocumentKey) -> Self {
        let tenant = key.tenant().map(str::to_owned);
        self.holding.push(Holding { token, tenant, acks: true, own: Some(key.clone()) });
        self
    }
}

/// What a worker wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimRequest {
    /// Messages of this collection, and of this tenant where it has tenants.
    pub scope: Scope,
    /// How many at most; not more than [`CLAIMED_MOST`].
    pub count: usize,
    /// For how long, milliseconds; `None`: as the model says. Not more than [`LEASE_MAX_MS`].
    pub lease_ms: Option<u64>,
    /// Who it is; shown with messages that it does not finish.
    pub worker: String,
    /// Noted in the transaction that claims, if it claims any.
    pub facts: Vec<FactChange>,
}

/// Messages of one claim, at most.
pub const CLAIMED_MOST: usize = 1_000;
/// The longest lease and the longest delay: 30 days, in milliseconds.
pub const LEASE_MAX_MS: u64 = 30 * 24 * 3_600 * 1_000;
/// Bytes of a reason or a worker's name that are kept.
pub const REASON_BYTES_MAX: usize = 4_096;

/// A message in a worker's hands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The document, as it was read after it was claimed.
    pub document: Document,
    /// Proves that the message is held.
    pub token: LeaseToken,
    /// The number of this attempt, from 1.
    pub tries: u32,
    /// Until when others cannot claim it, milliseconds since 1970.
    pub lease_until_ms: i64,
}

/// What the holder of a message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is done.
    Ack,
    /// It is to be tried again.
    Retry {
        /// After so many milliseconds.
        delay_ms: u64,
        /// Why.
        reason: String,
    },
    /// It is held for so many milliseconds from now on; `None`: as long as the model says.
    Extend(Option<u64>),
    /// It is given up; why.
    Fail(String),
}

/// A message that was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its document.
    pub key: DocumentKey,
    /// How often it was tried.
    pub tries: u32,
    /// Why it was given up, or why the last attempt failed.
    pub reason: String,
    /// Since when, milliseconds since 1970.
    pub since_ms: i64,
}

/// A part of the list of dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadPage {
    /// In the order in which the messages came.
    pub items: Vec<DeadLetter>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<Cursor>,
}

/// How many messages there are of each state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueStats {
    /// May be claimed now.
    pub ready: u64,
    /// In a worker's hands.
    pub leased: u64,
    /// To be tried later.
    pub delayed: u64,
    /// Acknowledged.
    pub done: u64,
    /// Given up.
    pub dead: u64,
    /// For how long the oldest ready message has been waiting, milliseconds.
    pub oldest_ready_ms: Option<u64>,
}

/// A store whose collections with `queue` are work queues ([`super::Capabilities::queues`]).
///
/// Every document of such a collection is a message once, however it came: written, copied, or inserted with plain SQL; it
/// goes with its document. A message is ready, leased, delayed, done or dead. What it is stands beside the documents, so
/// a claim changes no document.
///
/// - A message is in one worker's hands at a time. Among ready ones the higher `priority` comes first (a field `int` of that
///   name, where the model has one; nothing counts as 0), then the older.
/// - A lease that ran out makes the message ready; whoever claims it gets a higher token. The older token is worth nothing
///   from that claim on: everything done with it is [`Kind::Fenced`], code `R0501`. Until then its holder may
///   still finish, so a clock that is wrong never makes two holders.
/// - An attempt counts when it is claimed. After as many as the model says the message is a dead letter.
/// - Deleted documents that can be had back are not claimed, and come back as they were.
/// - Every method refuses a collection without `queue` with `R0502`, and tenants as [`Store::list`] does.
///
/// Time is that of the store's clock.
#[async_trait]
pub trait WorkQueue: Store {
    /// Takes ready messages, in the order of the queue; none when none is ready. When the future is dropped, messages may be
    /// held until their lease runs out.
    ///
    /// # Errors
    /// `R0502`, also for a lease or a count out of bounds; as [`Store::get`]. [`Kind::Fenced`], code `R0401`, when a condition of
    /// its facts does not hold; then nothing is claimed.
    async fn claim(&self, wanted: &ClaimRequest) -> Result<Vec<Claim>>;

    /// The message is done, and is not claimed again. To delete its document in the same transaction use
    /// [`super::StoreExt::ack_and_delete`]; to write, [`UnitOfWork::acking`].
    ///
    /// # Errors
    /// `R0501` when it is not held any more, `R0502`; as [`Store::apply`].
    async fn ack(&self, key: &DocumentKey, token: &LeaseToken) -> Result<()> {
        self.settle_message(key, token, Verdict::Ack, Vec::new()).await.map(drop)
    }

    /// What the holder says, and what `facts` note, in one transaction. Gives until when it is held from now on, milliseconds
    /// since 1970: after all but [`Verdict::Extend`] that is now.
    ///
    /// # Errors
    /// As [`WorkQueue::ack`]; [`Kind::Fenced`], code `R0401`, when a condition of the facts does not hold, and nothing is done.
    async fn settle_message(
        &self,
        key: &DocumentKey,
        token: &LeaseToken,
        verdict: Verdict,
        facts: Vec<FactChange>,
    ) -> Result<i64>;

    /// The message is to be tried again after `delay_ms`; a dead letter when it was tried often enough.
    ///
    /// # Errors
    /// As [`WorkQueue::ack`].
    async fn retry(&self, key: &DocumentKey, token: &LeaseToken, delay_ms: u64, reason: &str) -> Result<()> {
        let verdict = Verdict::Retry { delay_ms, reason: reason.to_owned() };
        self.settle_message(key, token, verdict, Vec::new()).await.map(drop)
    }

    /// The message is held for `lease_ms` from now on; `None`: as long as the model says. Gives until when, milliseconds
    /// since 1970.
    ///
    /// # Errors
    /// As [`WorkQueue::ack`].
    async fn extend(&self, key: &DocumentKey, token: &LeaseToken, lease_ms: Option<u64>) -> Result<i64> {
        self.settle_message(key, token, Verdict::Extend(lease_ms), Vec::new()).await
    }

    /// The message is given up at once: it is a dead letter.
    ///
    /// # Errors
    /// As [`WorkQueue::ack`].
    async fn fail(&self, key: &DocumentKey, token: &LeaseToken, reason: &str) -> Result<()> {
        self.settle_message(key, token, Verdict::Fail(reason.to_owned()), Vec::new()).await.map(drop)
    }

    /// Dead letters of this scope, at most `most` after the cursor.
    ///
    /// # Errors
    /// `R0502`; as [`Store::list`].
    async fn dead(&self, scope: &Scope, after: Option<&Cursor>, most: usize) -> Result<DeadPage>;

    /// Makes a dead letter of this scope ready as if it were new, or all of them (`None`); gives how many.
    ///
    /// # Errors
    /// As [`WorkQueue::dead`].
    async fn revive(&self, scope: &Scope, key: Option<&DocumentKey>) -> Result<u64> {
        self.revive_noting(scope, key, Vec::new()).await
    }

    /// [`WorkQueue::revive`], and what `facts` note, in one transaction, if it makes any ready.
    ///
    /// # Errors
    /// As [`WorkQueue::dead`]; [`Kind::Fenced`], code `R0401`, when a condition of the facts does not hold.
    async fn revive_noting(
        &self,
        scope: &Scope,
        key: Option<&DocumentKey>,
        facts: Vec<FactChange>,
    ) -> Result<u64>;

    /// How many messages there are. Reads all of the scope's messages.
    ///
    /// # Errors
    /// As [`WorkQueue::dead`].
    async fn stats(&self, scope: &Scope) -> Result<QueueStats>;
}

/// The error of a worker that does not hold its message any more.
#[must_use]
pub fn lease_lost(token: &LeaseToken) -> Error {
    Error::new(Kind::Fenced, "R0501", format!("the lease {token} is not held any more"))
        .hint("Stop working on this message: somebody else has it, or it is done, given up or deleted.")
}

/// Refuses units of work that demand a lease, for stores without queues.
pub(super) fn refuse_holding(work: &UnitOfWork) -> Result<()> {
    match work.holding.first() {
        None => Ok(()),
        Some(Holding { token, .. }) => {
            let message = format!("this store has no work queues, so nobody holds {token}");
            Err(Error::new(Kind::Unsupported, "R0405", message).hint("Keep the documents in a database."))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::LeaseToken;

    #[test]
    fn a_token_is_read_as_it_is_written() {
        let token = LeaseToken::new("jobs", 12, 3);
        assert_eq!(token.to_string(), "jobs.12.3");
        assert_eq!(LeaseToken::parse("jobs.12.3"), Some(token.clone()));
        assert!(LeaseToken::new("jobs", 12, 4) > token);
        for wrong in ["", "jobs", "jobs.1", ".1.2", "jobs.1.-2", "jobs.x.2", "jobs.1.2 "] {
            assert_eq!(LeaseToken::parse(wrong), None, "{wrong}");
        }
    }
}
