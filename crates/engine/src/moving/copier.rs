//! Workers: they bring the copies of marked documents to what the leading store holds, and take up what those left that did
//! not live to do so themselves.

use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use repot_core::moving::{Lead, Marks as _};
use repot_core::store::{Document, DocumentKey, Precondition, UnitOfWork, Write, is_overtaken};
use repot_core::{Error, Kind, Result};

use super::intent::Intent;
use super::journal::{Journal, Mark, Stuck, done};
use super::member::{Moving, View, is_unreachable};

/// Marks looked at in one round.
const ROUND: usize = 256;
/// Documents copied at once.
const AT_ONCE: usize = 16;
/// How long a document that cannot be copied rests at first, and at most, milliseconds.
const REST_MS: i64 = 500;
const REST_MS_MAX: i64 = 60_000;
/// How long a write that may still happen is waited for at once, milliseconds.
const SETTLE_MS: u64 = 200;

/// What a round of copying did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Copied {
    /// Copies brought to what the leading store holds.
    pub copied: usize,
    /// Copies that were so already.
    pub same: usize,
    /// Documents that could not be copied as they are.
    pub stuck: usize,
    /// Marks left to others, or to the next round.
    pub left: usize,
}

/// What became of one mark.
enum Outcome {
    Copied,
    Same,
    Stuck,
    Left,
}

impl Moving {
    /// Copies some of the marked documents. Any number of workers in any number of processes may do so at once.
    ///
    /// # Errors
    /// When a store is out of reach; what was not copied stays marked.
    pub async fn copy_marked(self: &Arc<Self>) -> Result<Copied> {
        // workers begin at different places, so that they seldom want the same document
        let begin = format!("{:03}/", self.pacing.random() % 1_000);
        let mut marks = self.journal.marks(Some(&begin), ROUND).await?;
        if marks.len() < ROUND {
            let before = self.journal.marks(None, ROUND - marks.len()).await?;
            marks.extend(before.into_iter().take_while(|mark| mark.name < begin));
        }
        let mut copying =
            stream::iter(marks).map(|mark| async move { self.copy(mark).await }).buffer_unordered(AT_ONCE);
        let (mut all, mut failed) = (Copied::default(), None);
        while let Some(done) = copying.next().await {
            match done {
                Ok(Outcome::Copied) => all.copied += 1,
                Ok(Outcome::Same) => all.same += 1,
                Ok(Outcome::Stuck) => all.stuck += 1,
                Ok(Outcome::Left) => all.left += 1,
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(all), Err)
    }

    async fn copy(&self, mark: Mark) -> Result<Outcome> {
        let now_ms = self.clock.now_ms();
        let stuck = self.journal.stuck_named(&mark.name).await?;
        if stuck.as_ref().is_some_and(|stuck| now_ms < stuck.again_ms) {
            return Ok(Outcome::Left);
        }
        let until_ms = now_ms + self.options.claim_ms;
        let claimed = self.journal.claim(&mark.name, &self.id, until_ms + self.options.skew_ms).await?;
        let Some(claim) = claimed else { return Ok(Outcome::Left) };
        // a mark that is there now stays until this claim is over, and so does the lead of its document
        let Some(mark) = self.journal.mark_named(&mark.name).await? else {
            self.journal.release(&mark, claim).await?;
            return Ok(Outcome::Left);
        };
        let work = UnitOfWork::default();
        let work = if stuck.is_some() { work.noting(Journal::unsticking(&mark)) } else { work };
        let copied = self.bring((&mark, claim), until_ms, work).await;
        match copied {
            Err(error) if !is_unreachable(&error) => {
                self.rest(&mark, claim, stuck, &error).await?;
                Ok(Outcome::Stuck)
            }
            copied => copied,
        }
    }

    /// Brings the copy to what the store holds that leads. What the old store holds is read before the lead: written on
    /// condition of that, a copy never replaces what came after a change of the lead.
    async fn bring(&self, (mark, claim): (&Mark, i64), until_ms: i64, work: UnitOfWork) -> Result<Outcome> {
        let old = self.sides.old.get(&mark.key).await?;
        let View::Goes(control, version) = self.ask().await? else {
            self.journal.release(mark, claim).await?;
            return Ok(Outcome::Left);
        };
        match control.leads.of(&mark.key) {
            // the lead stays what it is until this is written, or it is not written
            Lead::Old => self.copy_into_new((mark, claim), work.demanding(Journal::under(version))).await,
            Lead::New => self.copy_into_old((mark, claim), (old, until_ms), work).await,
        }
    }

    /// In one transaction: the claim is checked, the copy written, and the mark cleared if it is still the one that was
    /// claimed.
    async fn copy_into_new(&self, (mark, claim): (&Mark, i64), work: UnitOfWork) -> Result<Outcome> {
        let (text, copy) = (self.sides.old.get(&mark.key).await?, self.sides.new.get(&mark.key).await?);
        let write = difference(&mark.key, text.as_ref(), copy.as_ref(), Precondition::Any);
        let outcome = if write.is_some() { Outcome::Copied } else { Outcome::Same };
        let work = write.into_iter().fold(work, UnitOfWork::with);
        self.done((mark, claim), work).await.map(|done| if done { outcome } else { Outcome::Left })
    }

    /// The copy's `ETag` is read, then the lead; the copy is written on condition of that `ETag`, and before the claim ends.
    async fn copy_into_old(
        &self,
        (mark, claim): (&Mark, i64),
        (copy, until_ms): (Option<Document>, i64),
        work: UnitOfWork,
    ) -> Result<Outcome> {
        let text = self.sides.new.get(&mark.key).await?;
        let seen =
            copy.as_ref().map_or(Precondition::Absent, |copy| Precondition::Matches(copy.etag.clone()));
        let write = difference(&mark.key, text.as_ref(), copy.as_ref(), seen);
        let outcome = if write.is_some() { Outcome::Copied } else { Outcome::Same };
        if let Some(write) = write {
            let written =
                self.sides.into_old.copy_in(UnitOfWork::default().with(write).until(until_ms)).await;
            match written {
                // somebody wrote it meanwhile: the next round sees what
                Err(error) if is_overtaken(&error) || error.kind() == Kind::Fenced => {
                    self.journal.release(mark, claim).await?;
                    return Ok(Outcome::Left);
                }
                written => written?,
            };
        }
        self.done((mark, claim), work).await.map(|done| if done { outcome } else { Outcome::Left })
    }

    /// Ends the claim with the mark, or without it where the document was marked anew; `false`: the claim was over before.
    async fn done(&self, (mark, claim): (&Mark, i64), work: UnitOfWork) -> Result<bool> {
        for clears in [true, false] {
            let work = Journal::finishing((mark, claim), clears, work.clone());
            if done(self.sides.into_new.copy_in(work).await.map(drop))? {
                return Ok(true);
            }
        }
        // the claim is over, or the lead is to change
        self.journal.release(mark, claim).await?;
        Ok(false)
    }

    /// The document rests; it is tried again later, each time after a longer while.
    async fn rest(&self, mark: &Mark, claim: i64, before: Option<Stuck>, error: &Error) -> Result<()> {
        let tries = before.map_or(1, |before| before.tries + 1);
        let doubled = REST_MS
            .saturating_mul(1_i64.checked_shl(u32::try_from(tries).unwrap_or(30).min(30)).unwrap_or(1));
        let again_ms = self.clock.now_ms() + doubled.min(REST_MS_MAX);
        let stuck = Stuck { key: mark.key.clone(), why: error.to_string(), tries, again_ms };
        self.journal.stick(mark, &stuck).await?;
        self.journal.release(mark, claim).await
    }

    /// Takes up what was left by servers that did not live to take it back. Gives how many writes that was.
    ///
    /// # Errors
    /// When a store is out of reach.
    pub async fn mend(&self) -> Result<usize> {
        Ok(self.mend_intents().await? + self.mend_notes().await?)
    }

    /// Intents that ran out.
    pub(super) async fn mend_intents(&self) -> Result<usize> {
        let (mut mended, mut after) = (0, None);
        loop {
            let intents = self.journal.intents(after.as_deref(), 1_000).await?;
            let Some(last) = intents.last() else { return Ok(mended) };
            after = Some(last.name.clone());
            for intent in intents.iter().filter(|intent| self.is_over(intent.deadline_ms)) {
                if self.is_settled(&intent.key, intent.deadline_ms).await? {
                    let is_done = self.was_done(intent).await?;
                    mended += usize::from(self.journal.run_out(intent, is_done).await?);
                }
            }
        }
    }

    /// Whether a write that cannot happen any more was done; `None`: nobody asks, or nothing tells.
    async fn was_done(&self, intent: &Intent) -> Result<Option<bool>> {
        if intent.doubted.is_empty() {
            return Ok(None);
        }
        let Some(announced) = &intent.announced else { return Ok(intent.is_done(None)) };
        let bytes_max = self.sides.old.capabilities().document_bytes_max;
        match self.sides.beside.objects().get(&announced.path, bytes_max).await {
            Ok(there) => Ok(intent.is_done(there.as_ref())),
            Err(error) if is_unreachable(&error) => Err(error),
            // somebody put something there that is no document
            Err(_) => Ok(None),
        }
    }

    /// Notes beside the old store whose deadline is over.
    pub(super) async fn mend_notes(&self) -> Result<usize> {
        let mut mended = 0;
        for note in self.sides.beside.notes().await? {
            if self.is_over(note.deadline_ms) && self.is_settled(&note.key, note.deadline_ms).await? {
                self.journal.mark(std::slice::from_ref(&note.key)).await?;
                self.sides.beside.taken_up(&note).await?;
                self.wake.notify_one();
                mended += 1;
            }
        }
        Ok(mended)
    }

    /// Whether no write of a document with this deadline can happen any more. What cannot be said at once is asked again
    /// later: others are not to wait for it.
    async fn is_settled(&self, key: &DocumentKey, deadline_ms: i64) -> Result<bool> {
        for path in self.sides.layout.paths(key)? {
            let settled = tokio::select! {
                biased;
                settled = self.sides.beside.settle(&path, deadline_ms) => settled.is_ok(),
                () = self.pacing.pause(SETTLE_MS) => false,
            };
            if !settled {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(super) fn is_over(&self, deadline_ms: i64) -> bool {
        self.clock.now_ms() > deadline_ms + self.options.skew_ms
    }
}

/// The write that makes a copy what the leading store holds; `None`: it is so.
fn difference(
    key: &DocumentKey,
    text: Option<&Document>,
    copy: Option<&Document>,
    when: Precondition,
) -> Option<Write> {
    match (text, copy) {
        (Some(text), Some(copy)) if text.body == copy.body => None,
        (None, None) => None,
        (Some(text), _) => Some(Write::Put { key: key.clone(), body: text.body.clone(), when }),
        (None, Some(_)) => Some(Write::Delete { key: key.clone(), when }),
    }
}
