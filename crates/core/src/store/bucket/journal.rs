//! Units of work over several objects, each of which can only be written by itself: written down first, then done,
//! then crossed out. What a crash leaves is done by the next who writes.
//!
//! INVARIANT: while a unit stands in the journal, none of its objects changes but by doing this unit. So every write
//! of a store with a journal goes through it, and a step whose object is no longer in its state before has been done.
//! The journal is one object and changes on condition of its state only, so one unit stands in it at a time.

use std::sync::Arc;

use futures_util::lock::Mutex;

use super::record::{Record, Step, Unit};
use super::shelf::Shelf;
use super::unit::{Decided, decide};
use crate::error::{Error, Kind, Result, Retry};
use crate::pacing::Pacing;
use crate::store::document::UnitOfWork;
use crate::store::etag::{ETag, Precondition};
use crate::store::objects::Objects;

/// Bytes of the documents of one unit of work.
pub(super) const UNIT_BYTES_MAX: usize = 64 << 20;
/// Documents in one unit of work.
pub(super) const UNIT_WRITES_MAX: usize = 100;
/// Bytes of the record: bodies, and for each document its path, state and lengths.
const RECORD_BYTES_MAX: u64 = (UNIT_BYTES_MAX + UNIT_WRITES_MAX * 16_384) as u64;
/// Bytes of an object that another program put where a document was; only to see whether it is ours.
const OBJECT_BYTES_MAX: u64 = 1 << 32;
/// Longest wait between two looks at another's unit, milliseconds.
const LOOK_MS: u64 = 100;
/// Times that a unit is begun anew because another process was faster.
const TRIES_MAX: usize = 1_000;

/// Where units of work over several documents are written down before they are done.
///
/// All who write to these documents, in any process, must use the same journal; a program that does not can change a
/// document in the midst of a unit of work, which is found and refused (`R0415`).
#[derive(Debug)]
pub struct Journal {
    objects: Arc<dyn Objects>,
    path: String,
    pacing: Arc<dyn Pacing>,
    patience_ms: u64,
    /// The state of the journal as we left it; one of ours writes at a time.
    turn: Mutex<Known>,
}

/// What becomes of a document that a program without the journal changed in the midst of a unit of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Recovery {
    /// Nothing is decided; the error `R0415` names the document.
    #[default]
    Refuse,
    /// It stays as that program left it; the rest of the unit is done.
    KeepForeign,
    /// It becomes what the unit says.
    Overwrite,
}

/// What we know of the journal.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// The record says that nothing is being done, in this state.
    idle: Option<ETag>,
    /// A unit of ours may still stand in it: nobody else does it.
    ours: Option<String>,
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Done {
    Put(ETag),
    Deleted,
}

/// Where doing a unit came to an end.
enum Halt {
    /// It stays in the journal.
    Stuck(Error),
    /// It cannot be done and was taken back.
    Undone(Error),
}

impl Journal {
    /// A journal in the object `path` of `objects`, which is no document's. Another process's unit is done by us when
    /// it made no progress for `patience_ms` milliseconds: longer than that process may be held up in one request.
    #[must_use]
    pub fn new(objects: Arc<dyn Objects>, path: &str, pacing: Arc<dyn Pacing>, patience_ms: u64) -> Self {
        Self { objects, path: path.to_owned(), pacing, patience_ms, turn: Mutex::default() }
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Refuses a place that cannot say whether the journal is as we left it.
    pub(super) fn demand_conditions(&self, documents: &dyn Objects) -> Result<()> {
        let powers = documents.powers();
        if self.objects.powers().conditional_put && powers.conditional_put && powers.conditional_delete {
            return Ok(());
        }
        let message = "a recovery journal needs conditions on writes and removals";
        Err(Error::new(Kind::Unsupported, "R0405", message)
            .hint("Use a bucket with conditional writes and deletes, or a database."))
    }

    /// Does what a crash left undone; gives whether there was something.
    pub(super) async fn recover(&self, documents: &dyn Objects, how: Recovery) -> Result<bool> {
        let mut known = self.turn.lock().await;
        self.settle(documents, how, &mut known).await
    }

    /// Does a unit of work: decides what it is from the documents as they are, again when they changed meanwhile. Gives
    /// what became of each step, with the number of its write.
    pub(super) async fn run(&self, shelf: &Shelf, work: &UnitOfWork) -> Result<Vec<(usize, Done)>> {
        let documents = &*shelf.objects;
        let mut known = self.turn.lock().await;
        for _ in 0..TRIES_MAX {
            if known.idle.is_none() || known.ours.is_some() {
                self.settle(documents, Recovery::Refuse, &mut known).await?;
            }
            let Decided { writes, steps, same } = decide(shelf, work).await?;
            if steps.is_empty() {
                return Ok(same);
            }
            let unit = Unit { id: self.id(), steps };
            // whoever is dropped from here on leaves a unit of ours
            let idle = known.idle.take();
            known.ours = Some(unit.id.clone());
            let when = idle.map_or(Precondition::Absent, Precondition::Matches);
            let etag = match self.write(&Record::Unit(unit.clone()), &when).await {
                Ok(etag) => etag,
                Err(error) if error.kind() == Kind::Conflict => {
                    known.ours = None;
                    continue;
                }
                Err(error) => return Err(error.detail("the recovery journal could not be written")),
            };
            return match self.carry_out(documents, &unit, &etag, Recovery::Refuse).await {
                Ok(done) => {
                    self.cross_out(&unit.id, &etag, &mut known).await;
                    Ok(writes.into_iter().zip(done).chain(same).collect())
                }
                Err(Halt::Undone(error) | Halt::Stuck(error)) => Err(error),
            };
        }
        Err(Error::new(Kind::Unavailable, "R0415", "others use the recovery journal all the time")
            .retry(Retry::Safe)
            .hint("Nothing was changed. Try again."))
    }

    /// Sees to it that nothing stands in the journal; gives whether something did.
    async fn settle(&self, documents: &dyn Objects, how: Recovery, known: &mut Known) -> Result<bool> {
        let (mut waited_ms, mut found) = (0, false);
        let mut waits_for: Option<ETag> = None;
        loop {
            let Some(object) = self.objects.get(&self.path, RECORD_BYTES_MAX).await? else {
                (known.idle, known.ours) = (None, None);
                // it is made here, so that from now on there is a state to begin from
                match self.write(&Record::Idle(self.id()), &Precondition::Absent).await {
                    Ok(etag) => known.idle = Some(etag),
                    Err(error) if error.kind() == Kind::Conflict => continue,
                    Err(error) => return Err(error),
                }
                return Ok(found);
            };
            let unit = match Record::decode(&object.bytes)? {
                Record::Idle(_) => {
                    (known.idle, known.ours) = (Some(object.etag), None);
                    return Ok(found);
                }
                Record::Unit(unit) => unit,
            };
            if waits_for.as_ref() != Some(&object.etag) {
                (waits_for, waited_ms) = (Some(object.etag.clone()), 0);
            }
            if known.ours.as_ref() != Some(&unit.id) && waited_ms < self.patience_ms {
                let longest = LOOK_MS.min(self.patience_ms - waited_ms).max(1);
                let ms = 1 + self.pacing.random() % longest;
                self.pacing.pause(ms).await;
                waited_ms += ms;
                continue;
            }
            found = true;
            match self.carry_out(documents, &unit, &object.etag, how).await {
                Ok(_) => self.cross_out(&unit.id, &object.etag, known).await,
                // who wanted it was told, or is gone and was told nothing
                Err(Halt::Undone(_)) => {}
                Err(Halt::Stuck(error)) => return Err(error),
            }
        }
    }

    /// Does each step that is not done. Any number of processes may do so at once.
    async fn carry_out(
        &self,
        documents: &dyn Objects,
        unit: &Unit,
        state: &ETag,
        how: Recovery,
    ) -> Result<Vec<Done>, Halt> {
        let mut done = Vec::with_capacity(unit.steps.len());
        for (number, step) in unit.steps.iter().enumerate() {
            match self.step(documents, unit, step, how).await {
                Ok(ended) => done.push(ended),
                Err(error) if error.kind() == Kind::Invalid && step.before.is_none() => {
                    self.take_back(documents, &unit.steps[..number], &done, state).await?;
                    return Err(Halt::Undone(error));
                }
                Err(error) if error.code() == "R0415" => return Err(Halt::Stuck(error)),
                Err(error) => return Err(Halt::Stuck(unfinished(&step.path, error))),
            }
        }
        Ok(done)
    }

    async fn step(&self, documents: &dyn Objects, unit: &Unit, step: &Step, how: Recovery) -> Result<Done> {
        let mut when = step.before.clone().map_or(Precondition::Absent, Precondition::Matches);
        loop {
            let tried = match &step.after {
                Some(body) => documents.put(&step.path, body.clone(), &when, None).await.map(Done::Put),
                None => documents.delete(&step.path, &when, None).await.map(|_| Done::Deleted),
            };
            let conflict = match tried {
                Err(error) if error.kind() == Kind::Conflict => error,
                tried => return tried,
            };
            let bytes_max = step.after.as_ref().map_or(0, |body| body.len() as u64);
            let there = match documents.get(&step.path, bytes_max).await {
                Ok(there) => there,
                // longer than it should be
                Err(error) if error.code() == "R0213" => documents.get(&step.path, OBJECT_BYTES_MAX).await?,
                Err(error) => return Err(error),
            };
            match (&step.after, &there) {
                (None, None) => return Ok(Done::Deleted),
                (Some(body), Some(object)) if object.bytes == *body => {
                    return Ok(Done::Put(object.etag.clone()));
                }
                _ => {}
            }
            if !self.holds(unit).await? {
                // another did the whole unit, and this object has changed again since: no state is the one we made
                return Ok(step
                    .after
                    .as_ref()
                    .map_or(Done::Deleted, |_| Done::Put(ETag::new(&format!("superseded-{}", self.id())))));
            }
            match how {
                Recovery::Refuse => return Err(foreign(&step.path, conflict)),
                Recovery::KeepForeign => {
                    return Ok(there.map_or(Done::Deleted, |object| Done::Put(object.etag)));
                }
                Recovery::Overwrite => {
                    when = there.map_or(Precondition::Absent, |object| Precondition::Matches(object.etag));
                }
            }
        }
    }

    /// Does this unit still stand in the journal?
    async fn holds(&self, unit: &Unit) -> Result<bool> {
        let found = self.objects.get(&self.path, RECORD_BYTES_MAX).await?;
        let record = found.map(|object| Record::decode(&object.bytes)).transpose()?;
        Ok(matches!(record, Some(Record::Unit(there)) if there.id == unit.id))
    }

    /// Removes the new objects of a unit that cannot be done: another unit takes its place in the journal, so that this
    /// too is done to its end.
    async fn take_back(
        &self,
        documents: &dyn Objects,
        steps: &[Step],
        done: &[Done],
        state: &ETag,
    ) -> Result<(), Halt> {
        let stuck = |error| Halt::Stuck(unfinished(&self.path, error));
        let back = steps.iter().zip(done).rev().filter_map(|(step, done)| match done {
            Done::Put(etag) => {
                Some(Step { path: step.path.clone(), before: Some(etag.clone()), after: None })
            }
            Done::Deleted => None,
        });
        let unit = Unit { id: self.id(), steps: back.collect() };
        let written = self.write(&Record::Unit(unit.clone()), &Precondition::Matches(state.clone())).await;
        let state = match written {
            Ok(state) => state,
            // another does the same
            Err(error) if error.kind() == Kind::Conflict => return Ok(()),
            Err(error) => return Err(stuck(error)),
        };
        for step in &unit.steps {
            self.step(documents, &unit, step, Recovery::Refuse).await.map_err(stuck)?;
        }
        let mut known = Known::default();
        self.cross_out(&unit.id, &state, &mut known).await;
        Ok(())
    }

    /// The unit is done. Where that cannot be written down, it is found done by the next who looks.
    async fn cross_out(&self, id: &str, state: &ETag, known: &mut Known) {
        known.idle = None;
        known.ours = Some(id.to_owned());
        if let Ok(idle) =
            self.write(&Record::Idle(id.to_owned()), &Precondition::Matches(state.clone())).await
        {
            (known.idle, known.ours) = (Some(idle), None);
        }
    }

    async fn write(&self, record: &Record, when: &Precondition) -> Result<ETag> {
        self.objects.put(&self.path, record.encode(), when, None).await
    }

    /// What no other unit is named.
    fn id(&self) -> String {
        format!("{:016x}{:016x}", self.pacing.random(), self.pacing.random())
    }
}

fn unfinished(path: &str, error: Error) -> Error {
    Error::new(
        Kind::Unavailable,
        "R0415",
        format!("the unit of work is decided, but {path} is not written yet"),
    )
    .detail(error.to_string())
    .cause(error)
    .retry(Retry::Unknown)
    .hint("It is in the recovery journal: the next write or probe finishes it.")
}

fn foreign(path: &str, error: Error) -> Error {
    let message = format!(
        "{path} was changed in the midst of a unit of work by a program that does not use the journal"
    );
    Error::new(Kind::Conflict, "R0415", message).cause(error).retry(Retry::Unknown).hint(
        "Look at it and say which state shall stay: BucketStore::recover with KeepForeign or Overwrite.",
    )
}
