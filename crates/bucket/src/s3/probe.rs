//! Tries out on a key of ours what a server really does: some accept conditions and ignore them.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use md5::{Digest as _, Md5};
use repot_core::store::{ETag, ObjectPowers, Precondition};
use repot_core::{Clock, SystemClock, hex};

use super::client::Client;
use super::failure::Failure;
use super::signing::{SKEW_MS, Valid};
use super::write::{condition, etag_of};

static COUNTER: AtomicU64 = AtomicU64::new(0);

/// 32 hex digits that nothing else has: of the clock, the process, a counter and chance.
pub(crate) fn unique() -> String {
    use std::hash::{BuildHasher as _, RandomState};
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    let seed = (SystemClock.now_ms(), std::process::id(), count);
    let chance = RandomState::new().hash_one(seed);
    hex(&Md5::digest(format!("{seed:?} {chance}")))
}

/// How a server took a request with a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taken {
    Done,
    /// The condition did not hold.
    Refused,
    /// It does not know the condition.
    Unknown,
}

fn taken<T>(answer: Result<T, Failure>) -> Result<Taken, Failure> {
    match answer {
        Ok(_) => Ok(Taken::Done),
        Err(Failure::Status { status: 412, .. }) => Ok(Taken::Refused),
        Err(Failure::Status { status: 405 | 501, .. }) => Ok(Taken::Unknown),
        Err(Failure::Status { status: 400, code, .. })
            if matches!(code.as_str(), "NotImplemented" | "InvalidArgument" | "InvalidRequest") =>
        {
            Ok(Taken::Unknown)
        }
        Err(failure) => Err(failure),
    }
}

/// Tries everything out under `prefix`, and leaves nothing there.
pub(crate) async fn try_out(
    client: &Client,
    prefix: &str,
    clock: &dyn Clock,
) -> Result<ObjectPowers, Failure> {
    let mut patience = client.patience();
    loop {
        // a key of its own for each trial: what a lost answer left under the old one tells nothing
        let trial = Trial { client, key: format!("{prefix}.repot-probe-{}", unique()), clock };
        let found = trial.run().await;
        let cleared = trial.clear().await;
        match found.and_then(|powers| cleared.map(|()| powers)) {
            Err(failure) if patience.again(&failure).await => {}
            done => return done,
        }
    }
}

struct Trial<'c> {
    client: &'c Client,
    key: String,
    clock: &'c dyn Clock,
}

impl Trial<'_> {
    async fn run(&self) -> Result<ObjectPowers, Failure> {
        let conditional_put = self.puts().await?;
        // whatever the server thinks of conditions, it must be able to do this
        self.put(b"last", &Precondition::Any).await?;
        let (read, head) = self.client.read(&self.key, 16).await?;
        if read != b"last" {
            return Err(Failure::Useless("what was written is not what is read".to_owned()));
        }
        let Some(etag) = etag_of(Some(&head)) else {
            return Err(Failure::Useless("the answer to a read names no ETag".to_owned()));
        };
        let conditional_delete = self.deletes(etag).await?;
        Ok(ObjectPowers {
            conditional_put,
            conditional_delete,
            deadlines: self.deadlines().await?,
            keys_per_tenant: true,
        })
    }

    async fn puts(&self) -> Result<bool, Failure> {
        if taken(self.put(b"one", &Precondition::Absent).await)? != Taken::Done {
            return Ok(false);
        }
        if taken(self.put(b"two", &Precondition::Absent).await)? != Taken::Refused {
            return Ok(false);
        }
        if taken(self.put(b"three", &stale()).await)? != Taken::Refused {
            return Ok(false);
        }
        // it must also have done what it said
        let (read, head) = self.client.read(&self.key, 16).await?;
        let Some(etag) = etag_of(Some(&head)).filter(|_| read == b"one") else { return Ok(false) };
        let again = Precondition::Matches(etag);
        Ok(taken(self.put(b"four", &again).await)? == Taken::Done
            && taken(self.put(b"five", &again).await)? == Taken::Refused)
    }

    async fn deletes(&self, etag: ETag) -> Result<bool, Failure> {
        if taken(self.delete(&stale()).await)? != Taken::Refused
            || self.client.head(&self.key).await?.is_none()
        {
            return Ok(false);
        }
        let done = taken(self.delete(&Precondition::Matches(etag)).await)? == Taken::Done;
        Ok(done && self.client.head(&self.key).await?.is_none())
    }

    /// Takes a request that is good for a moment, and refuses one whose time is over, by a clock that is like ours.
    async fn deadlines(&self) -> Result<bool, Failure> {
        let (now, skew) = (self.clock.now_ms().div_euclid(1_000), SKEW_MS / 1_000);
        // a clock that is ahead by more refuses this, one that is behind by more takes the other
        let good = Valid { from: now, seconds: skew };
        let over = Valid { from: now - skew - 1, seconds: 1 };
        if !self.is_taken(b"in time", good).await? || self.is_taken(b"too late", over).await? {
            return Ok(false);
        }
        let (read, _) = self.client.read(&self.key, 16).await?;
        Ok(read == b"in time")
    }

    async fn is_taken(&self, bytes: &'static [u8], valid: Valid) -> Result<bool, Failure> {
        let body = Bytes::from_static(bytes);
        match self.client.put(&self.key, (&body, "probe"), None, Some(valid)).await {
            Ok(_) => Ok(true),
            Err(Failure::Late | Failure::Status { status: 400 | 401 | 403 | 405 | 501, .. }) => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    async fn clear(&self) -> Result<(), Failure> {
        let mut patience = self.client.patience();
        loop {
            match self.delete(&Precondition::Any).await {
                Err(Failure::Status { status: 404, code, .. }) if code != "NoSuchBucket" => return Ok(()),
                Err(failure) if patience.again(&failure).await => {}
                done => return done,
            }
        }
    }

    async fn put(&self, bytes: &'static [u8], when: &Precondition) -> Result<String, Failure> {
        let body = Bytes::from_static(bytes);
        self.client.put(&self.key, (&body, "probe"), condition(when).as_ref(), None).await
    }

    async fn delete(&self, when: &Precondition) -> Result<(), Failure> {
        self.client.delete(&self.key, condition(when).as_ref(), None).await
    }
}

/// A state that never is: the MD5 of what is never written.
fn stale() -> Precondition {
    Precondition::Matches(ETag::new(&hex(&Md5::digest(b"never written"))))
}
