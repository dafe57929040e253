//! A thread that writes documents: each unit of work is one transaction that reads what is there, checks it, and
//! writes; on databases that one writer has to itself, several units share one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use repot_core::change_log::ChangeRetention;
use repot_core::store::{FactChange, FactDemand, Layout, Receipt};
use repot_core::{
    AuditBatch, AuditRecord, Batch, Clock, Error, HeldMessage, Item, Kind, Mark, Reader, Refusal, Result,
    Retry, Target, Trashed,
};
use repot_json::Limits;
use repot_model::plan::Plan;

use super::ahead::ahead;
use super::changes::STEPS_MOST;
use super::clerk::expired;
use super::desk::Tools;
use super::facts::noted_twice;
use super::hand::{Decider, Decision};
use super::jobs::Job;
use super::located::{Located, TRIES_MAX, too_often};
use super::parts::Parts;
use super::row_store::LEADS;
use crate::copy::PROOF;
use crate::prepare::Preparer;
use crate::route::Routes;
use crate::text::Dictionaries;

/// What a writing thread works with.
pub(super) struct Scribe<'p> {
    pub plan: &'p Plan,
    pub routes: &'p Routes<'p>,
    pub layout: &'p Layout,
    pub limits: Limits,
    pub target: Box<dyn Target>,
    pub dictionaries: Dictionaries,
    /// Time of day.
    pub clock: Arc<dyn Clock>,
    /// Bytes of the largest document.
    pub document_bytes_max: u64,
    /// It is on record that documents are written here.
    pub leads: bool,
    pub pen: Pen<'p>,
    /// Others may write beside it.
    pub beside: bool,
}

/// What is needed to decide on a write.
pub(super) struct Pen<'p> {
    pub tools: Option<Tools<'p>>,
    pub preparer: Preparer<'p>,
}

impl<'p> Pen<'p> {
    /// The tools of a desk, which are put back when it is left.
    pub(super) fn tools(
        &mut self,
        plan: &'p Plan,
        routes: &'p Routes<'p>,
        limits: Limits,
    ) -> Result<Tools<'p>> {
        self.tools.take().map_or_else(|| Tools::new(plan, routes, limits), Ok)
    }
}

/// What became of the units of one transaction, or why nothing did.
pub(super) type Decided = Vec<Result<Unit>>;

/// What a unit of work comes to.
#[derive(Default)]
pub(super) struct Unit {
    pub receipt: Receipt,
    /// What is to be written.
    pub items: Vec<Item>,
    /// The marks of its documents.
    pub marks: Vec<Mark>,
    /// Paths of further documents that it writes.
    pub further: Vec<String>,
    /// Deleted documents to keep, by what took them.
    pub trash: Vec<Vec<Trashed>>,
    /// Kept ones that go or come back.
    pub untrash: Vec<i64>,
    /// What is put on record.
    pub audit: Vec<AuditRecord>,
    /// What is noted beside the documents.
    pub facts: Vec<FactChange>,
    /// What must stay as it is beside the documents.
    pub demands: Vec<FactDemand>,
    /// Of `untrash`, those that come back.
    pub restored: Vec<i64>,
    /// Messages that are done with it.
    pub acked: Vec<HeldMessage>,
}

/// What units of one transaction come to together.
#[derive(Default)]
struct Together {
    /// Paths that are written, and those of them that are not locked.
    written: BTreeSet<String>,
    further: Vec<String>,
    /// Two units come to write one document, and not only parts of it.
    clash: bool,
    /// Parts are changed without their texts.
    by_rows: bool,
}

impl Together {
    fn of(decided: &mut Decided, parts: Parts, locks: &[String]) -> (Batch, Self) {
        let Parts { items, marks, apart } = parts;
        let mut batch = Batch { items, marks, all_or_nothing: true, ..Batch::default() };
        let mut all = Self { clash: apart, ..Self::default() };
        for unit in decided.iter_mut().flatten() {
            batch.items.append(&mut unit.items);
            batch.marks.append(&mut unit.marks);
            batch.trash.append(&mut unit.trash);
            batch.untrash.append(&mut unit.untrash);
            batch.restored.append(&mut unit.restored);
            batch.acked.append(&mut unit.acked);
            batch.audit.records.append(&mut unit.audit);
            batch.facts.changes.append(&mut unit.facts);
            batch.facts.demands.append(&mut unit.demands);
            all.further.append(&mut unit.further);
        }
        all.clash |= noted_twice(&batch.facts);
        all.further.retain(|path| !locks.contains(path));
        for item in &batch.items {
            all.by_rows |= item.kept.is_some();
            all.clash |= !all.written.insert(item.object.path.clone());
        }
        (batch, all)
    }
}

/// How often units wait for rows of plain SQL to become documents.
pub(super) const SETTLED_MOST: usize = 3;

/// How a transaction ended.
enum Attempt {
    Done(Vec<Result<Receipt>>),
    /// Each unit must have its own.
    Apart,
    /// The database refuses a change of a part; why, a change of the text tells.
    ByText,
    /// A document is no longer where it was looked up; nothing was written.
    Moved,
    /// Plain SQL made these documents, which must be settled first; nothing was written.
    Unsettled(Vec<(String, String)>),
    /// It has to be made again: with locks on these too, or because somebody came to refer to what goes.
    Again(Vec<String>),
}

impl<'p> Scribe<'p> {
    /// Applies units of work that write different documents; the places of their keys were looked at before. Each is done
    /// whole or not at all, as if it were alone. `None`: one of several is kept waiting by others, and nothing was done.
    pub(super) fn apply(&mut self, works: &[&Job]) -> Option<Vec<Result<Receipt>>> {
        Some(match self.together(works) {
            Ok(Some(receipts)) => receipts,
            Err(error) if self.beside && works.len() > 1 && is_kept_waiting(&error) => return None,
            // somebody is refused: who, is found one by one
            Ok(None) => works.iter().map(|work| self.alone(work)).collect(),
            // one of them met what it cannot do, and the others may
            Err(error) if self.beside && works.len() > 1 && is_of_one(&error) => {
                works.iter().map(|work| self.alone(work)).collect()
            }
            Err(error) => works.iter().map(|_| Err(same(&error))).collect(),
        })
    }

    pub(super) fn alone(&mut self, work: &Job) -> Result<Receipt> {
        let receipts = self.together(&[work])?.unwrap_or_default();
        receipts.into_iter().next().unwrap_or_else(|| Err(lost("a unit of work")))
    }

    /// In one transaction; `None` when each unit must have its own: the database refuses a document, or two units write
    /// the same one.
    fn together(&mut self, works: &[&Job]) -> Result<Option<Vec<Result<Receipt>>>> {
        let mut settled = 0;
        let (mut tried, mut further) = (BTreeSet::new(), Vec::<String>::new());
        let mut by_rows = true;
        for _ in 0..TRIES_MAX {
            self.store_dictionaries()?;
            let mut located = Located::of(self.layout, works)?;
            if !located.is_empty() {
                let layout = self.layout;
                self.target.transact(self.plan, &[], &mut |reader| {
                    located.look_up(layout, reader)?;
                    Ok(None)
                })?;
            }
            let Some(mut locks) = located.paths(self.layout, works)? else { return Ok(None) };
            further.retain(|path| !locks.contains(path));
            locks.extend(further.iter().cloned());
            match self.attempt(works, (&located, &tried, by_rows), &locks)? {
                Attempt::ByText => by_rows = false,
                Attempt::Done(receipts) => return Ok(Some(receipts)),
                Attempt::Apart => return Ok(None),
                Attempt::Moved => {}
                Attempt::Again(more) => further = [locks, more].concat(),
                Attempt::Unsettled(keys) if settled < SETTLED_MOST => {
                    settled += 1;
                    self.settle(&keys)?;
                    tried.extend(keys);
                }
                Attempt::Unsettled(_) => {
                    let message = format!("plain SQL made a document {SETTLED_MOST} times meanwhile");
                    return Err(Error::new(Kind::Unavailable, "R0411", message)
                        .retry(Retry::Safe)
                        .hint("Send it again."));
                }
            }
        }
        Err(too_often())
    }

    fn attempt(
        &mut self,
        works: &[&Job],
        (located, tried, by_rows): (&Located, &BTreeSet<(String, String)>, bool),
        locks: &[String],
    ) -> Result<Attempt> {
        let (mut decided, mut moved): (Decided, bool) = (Vec::new(), false);
        let (mut unsettled, mut all) = (Vec::new(), Together::default());
        let mut decider = Decider {
            plan: self.plan,
            routes: self.routes,
            layout: self.layout,
            limits: self.limits,
            now_ms: self.clock.now_ms(),
            document_bytes_max: self.document_bytes_max,
            tried,
            by_rows,
        };
        let (pen, leads, clock) = (&mut self.pen, self.leads, Arc::clone(&self.clock));
        let mut led = leads;
        self.target.read_ahead(ahead((self.plan, self.layout), works, by_rows));
        let report = self.target.transact(self.plan, locks, &mut |reader| {
            moved = !located.stays(decider.layout, reader)?;
            if moved {
                return Ok(None);
            }
            // anew: others may have been waited for
            decider.now_ms = clock.now_ms();
            let parts;
            Decision { decided, unsettled, parts } = decider.decide(pen, reader, works)?;
            let mut batch;
            (batch, all) = Together::of(&mut decided, parts, locks);
            // what settles a document was logged when plain SQL did it
            let tends = matches!(works, [Job::Tend(_)]);
            let writes = !batch.items.is_empty() || !batch.untrash.is_empty();
            let nothing = !writes && batch.acked.is_empty() && (!tends || batch.marks.is_empty());
            let notes = !batch.facts.is_empty();
            if (nothing && !notes) || !unsettled.is_empty() || all.clash || !all.further.is_empty() {
                return Ok(None);
            }
            // neither facts nor messages alone make the files follow
            led = leads || writes || tends;
            let meta = if writes || tends { lead(reader, leads, decider.now_ms)? } else { Vec::new() };
            batch.facts.now_ms = decider.now_ms;
            let mut batch = Batch { meta, at_ms: (!tends).then_some(decider.now_ms), ..batch };
            batch.audit.until = expired(decider.plan, Some(&batch.audit.records), decider.now_ms);
            Ok(Some(batch))
        })?;
        if moved {
            return Ok(Attempt::Moved);
        }
        if !unsettled.is_empty() {
            return Ok(Attempt::Unsettled(unsettled));
        }
        if all.clash {
            return Ok(Attempt::Apart);
        }
        if !all.further.is_empty() {
            return Ok(Attempt::Again(all.further));
        }
        let done: Vec<Result<Receipt>> =
            decided.into_iter().map(|unit| unit.map(|unit| unit.receipt)).collect();
        Ok(match (report.refused.first(), works) {
            (None, _) => {
                self.leads = led;
                Attempt::Done(done)
            }
            // it came to refer to what goes after we looked
            (Some(refusal), [_]) if refusal.code == "R0305" && !all.written.contains(&refusal.path) => {
                Attempt::Again(Vec::new())
            }
            (Some(_), [_]) if all.by_rows => Attempt::ByText,
            (Some(refusal), [work]) => Attempt::Done(vec![Err(self.refused(work, refusal))]),
            (Some(_), _) => Attempt::Apart,
        })
    }

    /// Gives committed changes their positions in the log.
    pub(super) fn number_changes(&mut self) -> Result<()> {
        self.target.number_changes()
    }

    /// Takes away what the log need not keep, a bounded part of it.
    pub(super) fn prune_changes(&mut self, keep: ChangeRetention) -> Result<()> {
        for _ in 0..STEPS_MOST {
            if !self.target.prune_changes(keep, self.clock.now_ms())? {
                break;
            }
        }
        Ok(())
    }

    /// Takes from the record what is older than the model keeps it, a bounded part of it.
    pub(super) fn prune_history(&mut self) -> Result<()> {
        let until = expired(self.plan, None, self.clock.now_ms());
        if until.is_empty() {
            return Ok(());
        }
        let audit = AuditBatch { until, ..AuditBatch::default() };
        let batch = Batch { audit, ..Batch::default() };
        self.target.transact(self.plan, &[], &mut |_| Ok(Some(batch.clone()))).map(drop)
    }

    /// Stores dictionaries that were made, by themselves: a transaction that is taken back must not take them along.
    pub(super) fn store_dictionaries(&mut self) -> Result<()> {
        let made = self.dictionaries.take_made();
        if made.is_empty() {
            return Ok(());
        }
        let batch = Batch { dictionaries: made.clone(), ..Batch::default() };
        self.target.transact(self.plan, &[], &mut |_| Ok(Some(batch.clone())))?;
        self.dictionaries.publish(made);
        Ok(())
    }

    fn refused(&self, work: &Job, refusal: &Refusal) -> Error {
        let places = work.paths(self.layout).unwrap_or_default().into_iter();
        let keys = BTreeMap::from_iter(
            places.flat_map(|(key, paths)| paths.into_iter().map(move |path| (path, key))),
        );
        let name = keys.get(&refusal.path).map_or(refusal.path.clone(), ToString::to_string);
        refused(&name, refusal)
    }
}

/// The values of ours that the first write of documents sets: the files do not lead any more, and no proof holds.
pub(super) fn lead(
    reader: &mut dyn Reader,
    known: bool,
    now_ms: i64,
) -> Result<Vec<(String, Option<String>)>> {
    let mut meta = Vec::new();
    if !known && reader.meta(LEADS)?.is_none() {
        meta.push((LEADS.to_owned(), Some(now_ms.to_string())));
    }
    if reader.meta(PROOF)?.is_some() {
        meta.push((PROOF.to_owned(), None));
    }
    Ok(meta)
}

/// Others have what it wants to lock.
fn is_kept_waiting(error: &Error) -> bool {
    matches!(error.code(), "R0114" | "R0411")
}

/// Whether an error of several units, of which nothing was written, may be that of one of them: the database can be reached.
fn is_of_one(error: &Error) -> bool {
    error.may_retry() != Retry::Unknown
        && error.kind() != Kind::TargetUnavailable
        && error.kind() != Kind::Locked
}

pub(super) fn lost(what: &str) -> Error {
    Error::new(Kind::Internal, "R0901", format!("{what} is lost"))
}

/// The same error for another caller.
pub(super) fn same(error: &Error) -> Error {
    let same = Error::new(error.kind(), error.code(), error.message()).retry(error.may_retry());
    match error.next_step() {
        Some(hint) => same.hint(hint),
        None => same,
    }
}

fn refused(name: &str, refusal: &Refusal) -> Error {
    let hint = match refusal.code {
        "R0203" => "Use another value, or change the document that has it first.",
        "R0305" => "Write the document that it refers to first, or remove the reference.",
        _ => "Mend the value that the reason names.",
    };
    Error::new(Kind::Conflict, refusal.code, format!("{name}: {}", refusal.reason)).hint(hint)
}
