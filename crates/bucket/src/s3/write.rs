//! One write, until it is known what became of it.
//!
//! A write whose answer was lost is looked up before anything is sent again. Each write carries a mark of its own
//! in the object's metadata, so that it is told from another's write of the same bytes.

use bytes::Bytes;
use md5::{Digest as _, Md5};
use repot_core::store::{ETag, Precondition};
use repot_core::{Clock, Error, Kind, Result, Retry};
use reqwest::header::{HeaderName, IF_MATCH, IF_NONE_MATCH};

use super::client::{Client, Head};
use super::failure::Failure;
use super::signing::Valid;

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Change {
    Put { bytes: Bytes, mark: String },
    Delete,
}

/// A write on its way.
#[derive(Debug)]
pub(crate) struct Write<'w> {
    pub client: &'w Client,
    /// The bucket, as users know it.
    pub shown: &'w str,
    pub key: &'w str,
    /// The object, as users know it.
    pub what: &'w str,
    pub when: &'w Precondition,
    /// Milliseconds since 1970.
    pub until_ms: Option<i64>,
    pub clock: &'w dyn Clock,
    pub change: Change,
}

/// What an answer that is no success says of the write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It did not happen, and may the next time.
    NotDone,
    /// The precondition did not hold.
    Unmet,
    /// It may have happened.
    Unknown,
    /// It did not happen and will not.
    Refused,
}

/// What is there now.
#[derive(Debug, PartialEq, Eq)]
enum Now {
    /// What the write makes.
    Done,
    /// What the write starts from.
    Before,
    Other,
}

impl Verdict {
    fn of(failure: &Failure, has_condition: bool) -> Self {
        match failure {
            Failure::Unreached(_) => Self::NotDone,
            Failure::Status { status: 412, .. } => Self::Unmet,
            Failure::Status { status: 404, code, .. } if has_condition && code != "NoSuchBucket" => {
                Self::Unmet
            }
            Failure::Status { status: 409, .. } => Self::NotDone,
            Failure::Status { code, .. } if matches!(code.as_str(), "BadDigest" | "IncompleteBody") => {
                Self::NotDone
            }
            failure if failure.passes() => Self::Unknown,
            _ => Self::Refused,
        }
    }
}

/// Did the server itself answer, so that nothing of the request is still on its way?
fn is_no(failure: &Failure) -> bool {
    matches!(failure, Failure::Status { status: 429 | 500 | 503, .. })
}

/// The header that makes a server look before it writes.
pub(crate) fn condition(when: &Precondition) -> Option<(HeaderName, String)> {
    match when {
        Precondition::Any => None,
        Precondition::Absent => Some((IF_NONE_MATCH, "*".to_owned())),
        Precondition::Matches(etag) => Some((IF_MATCH, format!("\"{etag}\""))),
    }
}

/// The `ETag` of what is there.
pub(crate) fn etag_of(head: Option<&Head>) -> Option<ETag> {
    head.and_then(|head| head.etag.as_deref()).map(ETag::new)
}

impl Write<'_> {
    /// Does it; gives the new `ETag` of a put.
    pub(crate) async fn run(&self) -> Result<Option<ETag>> {
        let condition = condition(self.when);
        let mut patience = self.client.patience();
        let (mut is_unsure, mut may_land, mut may_be_done) = (false, false, false);
        loop {
            let failure = match self.send(condition.as_ref()).await {
                Ok(etag) => return self.in_time(etag),
                // an attempt before it may have been taken while it was time
                Err(Failure::Late) => return Err(self.gave_up(&Failure::Late, may_be_done)),
                Err(failure) => failure,
            };
            let verdict = Verdict::of(&failure, condition.is_some());
            is_unsure |= verdict == Verdict::Unknown;
            may_land |= verdict == Verdict::Unknown && !is_no(&failure);
            // looked up: where a server said no, it did not happen; where it said nothing, it still may
            may_be_done = is_unsure && (may_land || *self.when == Precondition::Any);
            if verdict == Verdict::Refused || (verdict == Verdict::NotDone && !is_unsure) {
                if patience.again(&failure).await {
                    continue;
                }
                return Err(self.gave_up(&failure, is_unsure));
            }
            let (now, current) = match self.look().await {
                Ok(found) => found,
                Err(_) if is_unsure => return Err(self.lost(&failure)),
                Err(failure) => return Err(failure.of_object(self.shown, &self.what)),
            };
            match now {
                Now::Done if is_unsure => return self.in_time(current),
                Now::Other if is_unsure => return Err(self.lost(&failure)),
                Now::Done | Now::Other => return Err(self.when.failed(&self.what, current.as_ref())),
                // also after 412: it was another state for a moment
                Now::Before if patience.wait().await => {}
                Now::Before if verdict == Verdict::Unmet && !is_unsure => {
                    return Err(self.when.failed(&self.what, current.as_ref()));
                }
                Now::Before => {
                    return Err(self.gave_up(&failure, may_be_done));
                }
            }
        }
    }

    /// It is done, and was in time for sure. A server looks at the deadline when the head of a request has come, and a process that was
    /// paused then may send the body much later.
    fn in_time(&self, done: Option<ETag>) -> Result<Option<ETag>> {
        if self.until_ms.is_none_or(|until_ms| self.clock.now_ms() < until_ms) {
            return Ok(done);
        }
        let message = format!("{} in {} was written, perhaps after its deadline", self.what, self.shown);
        Err(Error::new(Kind::Unavailable, "R0102", message)
            .retry(Retry::Unknown)
            .hint("Read it again before writing; others may not have waited for this write."))
    }

    async fn send(&self, condition: Option<&(HeaderName, String)>) -> Result<Option<ETag>, Failure> {
        // anew for each attempt: less is left
        let valid = self.until_ms.map(|until_ms| Valid::until(until_ms, self.clock.now_ms())).transpose()?;
        match &self.change {
            Change::Put { bytes, mark } => {
                let etag = self.client.put(self.key, (bytes, mark), condition, valid).await?;
                Ok(Some(ETag::new(&etag)))
            }
            Change::Delete => match self.client.delete(self.key, condition, valid).await {
                // another removed it since it was looked for; S3 itself says 204 then
                Err(Failure::Status { status: 404, code, .. })
                    if condition.is_none() && code != "NoSuchBucket" =>
                {
                    Ok(None)
                }
                done => done.map(|()| None),
            },
        }
    }

    async fn look(&self) -> Result<(Now, Option<ETag>), Failure> {
        let head = self.client.head(self.key).await?;
        let current = etag_of(head.as_ref());
        let is_done = match (&self.change, &head) {
            (Change::Delete, head) => head.is_none(),
            (Change::Put { .. }, None) => false,
            (Change::Put { bytes, mark }, Some(head)) => self.is_ours(bytes, mark, head).await?,
        };
        let now = match (is_done, self.when) {
            (true, _) => Now::Done,
            (false, Precondition::Any) => Now::Before,
            (false, when) => match when.check(&self.what, current.as_ref()) {
                Ok(()) => Now::Before,
                Err(_) => Now::Other,
            },
        };
        Ok((now, current))
    }

    /// Is what is there what this write put there?
    async fn is_ours(&self, bytes: &Bytes, mark: &str, head: &Head) -> Result<bool, Failure> {
        if let Some(found) = &head.mark {
            return Ok(found == mark);
        }
        // a server that keeps no marks: the same bytes will do
        let length = bytes.len() as u64;
        if head.size.is_some_and(|size| size != length) {
            return Ok(false);
        }
        if let Some(md5) = &head.md5 {
            let ours = repot_core::hex(&Md5::digest(bytes));
            return Ok(ours == *md5);
        }
        match self.client.read(self.key, length).await {
            Ok((found, read)) => Ok(found == *bytes && read.etag == head.etag),
            Err(Failure::TooLarge(_)) => Ok(false),
            Err(Failure::Status { status: 404, code, .. }) if code != "NoSuchBucket" => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    /// Not done, as far as is known.
    fn gave_up(&self, failure: &Failure, may_be_done: bool) -> Error {
        if may_be_done {
            return self.lost(failure);
        }
        if matches!(failure, Failure::Status { status: 409, .. }) {
            let message = format!("others write {} all the time: {}", self.what, failure.says());
            return Error::new(Kind::Conflict, "R0401", message)
                .retry(Retry::Safe)
                .hint("Nothing was changed. Try again.");
        }
        failure.of_object(self.shown, &self.what)
    }

    fn lost(&self, failure: &Failure) -> Error {
        let message = format!(
            "the answer to a write of {} in {} was lost, and what is there does not tell whether it happened",
            self.what, self.shown
        );
        Error::new(Kind::Unavailable, "R0102", message)
            .detail(failure.says())
            .retry(Retry::Unknown)
            .hint("Read it again before writing: it may have been written, and changed by another since.")
    }
}
