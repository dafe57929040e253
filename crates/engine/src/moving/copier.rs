//! Workers: they bring the copies of marked documents to what the leading store holds, and take up what those left that did
//! not live to do so themselves.

use std::sync::Arc;

use futures_util::future::join_all;
use futures_util::{StreamExt as _, stream};
use repot_core::moving::{Lead, Marks as _};
use repot_core::store::{Document, DocumentKey, Precondition, UnitOfWork, Write, is_overtaken};
use repot_core::{Error, Kind, Result};

use super::intent::Intent;
use super::journal::{Claimed, Journal, Mark, Stuck, done};
use super::member::{Moving, View, is_unreachable};

/// Marks looked at in one round.
const ROUND: usize = 256;
/// Documents of one transaction, and of one claim.
const TOGETHER: usize = 16;
/// So many times that at once.
const AT_ONCE: usize = 2;
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

impl Copied {
    const fn add(&mut self, more: Self) {
        self.copied += more.copied;
        self.same += more.same;
        self.stuck += more.stuck;
        self.left += more.left;
    }
}

/// What became of several, and what failed for no reason of its own.
#[derive(Default)]
struct Tally {
    all: Copied,
    failed: Option<Error>,
}

impl Tally {
    fn count(&mut self, done: Result<Copied>) {
        match done {
            Ok(done) => self.all.add(done),
            Err(error) => self.failed = Some(error),
        }
    }

    fn end(self) -> Result<Copied> {
        self.failed.map_or(Ok(self.all), Err)
    }
}

impl Moving {
    /// Copies some of the marked documents. Any number of workers in any number of processes may do so at once.
    ///
    /// # Errors
    /// When a store is out of reach; what was not copied stays marked.
    pub async fn copy_marked(self: &Arc<Self>) -> Result<Copied> {
        let mut marks = self.journal.marks(None, ROUND).await?;
        // workers begin at different places, so that they seldom want the same document
        let begin = format!("{:03}/", self.pacing.random() % 1_000);
        if marks.len() == ROUND {
            let from = self.journal.marks(Some(&begin), ROUND).await?;
            marks.truncate(ROUND - from.len());
            marks.retain(|mark| mark.name < begin);
            marks.splice(0..0, from);
        } else {
            let at = marks.partition_point(|mark| mark.name < begin);
            marks.rotate_left(at);
        }
        let some: Vec<Vec<Mark>> = marks.chunks(TOGETHER).map(<[Mark]>::to_vec).collect();
        let mut copying = stream::iter(some)
            .map(|marks| async move { self.copy_some(&marks).await })
            .buffer_unordered(AT_ONCE);
        let mut tally = Tally::default();
        while let Some(done) = copying.next().await {
            tally.count(done);
        }
        tally.end()
    }

    /// Brings the copies of some documents to what the store holds that leads. What the old store holds is read before it is asked who
    /// leads: where the old store does, that is the text; where the new one does, a copy written on condition of that never replaces
    /// what came after a change of the lead.
    async fn copy_some(&self, marks: &[Mark]) -> Result<Copied> {
        let until_ms = self.clock.now_ms() + self.options.claim_ms;
        // a mark that is there now stays until its claim is over, and so does the lead of its document
        let claimed = self.journal.claim_marked(marks, &self.id, until_ms + self.options.skew_ms).await?;
        let left = Copied { left: marks.len() - claimed.len(), ..Copied::default() };
        if claimed.is_empty() {
            return Ok(left);
        }
        let seen = join_all(claimed.iter().map(|claimed| self.sides.old.get(&claimed.mark.key))).await;
        let View::Goes(control, version) = self.ask().await? else {
            for Claimed { mark, version, .. } in &claimed {
                self.journal.release(&mark.name, *version).await?;
            }
            return Ok(Copied { left: marks.len(), ..Copied::default() });
        };
        let (mut into_new, mut into_old) = (Vec::new(), Vec::new());
        let mut tally = Tally { all: left, failed: None };
        for (claimed, seen) in claimed.into_iter().zip(seen) {
            let leads = control.leads.of(&claimed.mark.key);
            match seen {
                Ok(seen) if leads == Lead::Old => into_new.push((claimed, seen)),
                Ok(seen) => into_old.push((claimed, seen)),
                Err(error) => tally.count(self.without(&claimed, error).await),
            }
        }
        // the lead stays what it is until copies are written into the new store, or they are not
        tally.count(self.copy_into_new(into_new, version).await);
        let one_by_one = into_old.into_iter().map(|(claimed, seen)| async move {
            let copied = self.copy_into_old(&claimed, seen, until_ms).await;
            match copied {
                Err(error) => self.without(&claimed, error).await,
                copied => copied,
            }
        });
        join_all(one_by_one).await.into_iter().for_each(|copied| tally.count(copied));
        tally.end()
    }

    /// In one transaction: the claims are checked, the copies written, and those of the marks cleared that are still the ones that
    /// were claimed. Where that cannot be, each document is copied by itself.
    async fn copy_into_new(&self, seen: Vec<(Claimed, Option<Document>)>, version: i64) -> Result<Copied> {
        let copies = join_all(seen.iter().map(|(claimed, _)| self.sides.new.get(&claimed.mark.key))).await;
        let (mut copying, mut tally) = (Vec::<(Claimed, Option<Write>)>::new(), Tally::default());
        for ((claimed, text), copy) in seen.into_iter().zip(copies) {
            match copy {
                Ok(copy) => {
                    let write =
                        difference(&claimed.mark.key, text.as_ref(), copy.as_ref(), Precondition::Any);
                    copying.push((claimed, write));
                }
                Err(error) => tally.count(self.without(&claimed, error).await),
            }
        }
        let work = || UnitOfWork::default().demanding(Journal::under(version));
        if copying.len() > 1 {
            let together =
                copying.iter().filter_map(|(_, write)| write.clone()).fold(work(), UnitOfWork::with);
            let together = Journal::finishing(copying.iter().map(|(claimed, _)| claimed), together);
            match self.sides.into_new.copy_in(together).await {
                Ok(_) => {
                    copying.iter().for_each(|(_, write)| tally.all.add(outcome(write.as_ref())));
                    copying.clear();
                }
                // what only failed may fail for one of them alone, and is not to keep the others back
                Err(error) if is_unreachable(&error) && error.kind() != Kind::Failed => return Err(error),
                Err(_) => {}
            }
        }
        for (claimed, write) in copying {
            let outcome = outcome(write.as_ref());
            let done = self.done(&claimed, write.into_iter().fold(work(), UnitOfWork::with), outcome).await;
            tally.count(match done {
                Err(error) => self.without(&claimed, error).await,
                done => done,
            });
        }
        tally.end()
    }

    /// The copy is written on condition of what was seen before it was asked who leads, and before the claim ends.
    async fn copy_into_old(
        &self,
        claimed: &Claimed,
        copy: Option<Document>,
        until_ms: i64,
    ) -> Result<Copied> {
        let key = &claimed.mark.key;
        let text = self.sides.new.get(key).await?;
        let seen =
            copy.as_ref().map_or(Precondition::Absent, |copy| Precondition::Matches(copy.etag.clone()));
        let write = difference(key, text.as_ref(), copy.as_ref(), seen);
        let outcome = outcome(write.as_ref());
        if let Some(write) = write {
            let written =
                self.sides.into_old.copy_in(UnitOfWork::default().with(write).until(until_ms)).await;
            match written {
                // somebody wrote it meanwhile: the next round sees what
                Err(error) if is_overtaken(&error) || error.kind() == Kind::Fenced => {
                    self.journal.release(&claimed.mark.name, claimed.version).await?;
                    return Ok(LEFT);
                }
                written => written?,
            };
        }
        self.done(claimed, UnitOfWork::default(), outcome).await
    }

    /// Ends the claim, with the mark where the document was not marked anew.
    async fn done(&self, claimed: &Claimed, work: UnitOfWork, outcome: Copied) -> Result<Copied> {
        let work = Journal::finishing([claimed], work);
        if done(self.sides.into_new.copy_in(work).await.map(drop))? {
            return Ok(outcome);
        }
        // the claim is over, or the lead is to change
        self.journal.release(&claimed.mark.name, claimed.version).await?;
        Ok(LEFT)
    }

    /// The document rests, where the error is its own; it is tried again later, each time after a longer while.
    async fn without(&self, claimed: &Claimed, error: Error) -> Result<Copied> {
        if is_unreachable(&error) {
            return Err(error);
        }
        let Claimed { mark, stuck, .. } = claimed;
        let tries = stuck.as_ref().map_or(1, |before| before.tries + 1);
        let doubled = REST_MS
            .saturating_mul(1_i64.checked_shl(u32::try_from(tries).unwrap_or(30).min(30)).unwrap_or(1));
        let again_ms = self.clock.now_ms() + doubled.min(REST_MS_MAX);
        let stuck = Stuck { key: mark.key.clone(), why: error.to_string(), tries, again_ms };
        self.journal.stick(claimed, &stuck).await?;
        Ok(Copied { stuck: 1, ..Copied::default() })
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

/// One mark that is left to others, or to the next round.
const LEFT: Copied = Copied { copied: 0, same: 0, stuck: 0, left: 1 };

fn outcome(write: Option<&Write>) -> Copied {
    match write {
        Some(_) => Copied { copied: 1, ..Copied::default() },
        None => Copied { same: 1, ..Copied::default() },
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
