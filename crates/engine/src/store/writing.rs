//! A thread that writes documents: each unit of work is one transaction that reads what is there, checks it, and
//! writes; on databases that one writer has to itself, several units share one.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use repot_core::change_log::ChangeRetention;
use repot_core::store::{
    DocumentKey, ETag, Edit, Layout, Proposal, Receipt, UnitOfWork, Whereabouts, Within, Write, Written,
};
use repot_core::{
    AuditBatch, AuditRecord, Batch, Clock, Error, Item, Kind, Mark, Object, Reader, Refusal, Result, Retry,
    Target, Trashed,
};
use repot_json::Limits;
use repot_model::plan::{Plan, StateChange};

use super::changes::STEPS_MOST;
use super::clerk::{Clerk, expired};
use super::desk::{Desk, Found, Sought, Tools};
use super::following::follow;
use super::jobs::Job;
use super::located::{Located, TRIES_MAX, too_often};
use super::row_store::LEADS;
use super::within::{Files, Inside};
use crate::copy::PROOF;
use crate::prepare::{Before, Preparer};
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
type Decided = Vec<Result<Unit>>;

/// What a unit of work comes to.
#[derive(Default)]
pub(super) struct Unit {
    pub receipt: Receipt,
    /// What is to be written.
    pub items: Vec<Item>,
    /// The marks of its documents.
    pub marks: Vec<Mark>,
    /// Paths of further documents that it writes.
    further: Vec<String>,
    /// Deleted documents to keep, by what took them.
    trash: Vec<Vec<Trashed>>,
    /// Kept ones that go or come back.
    pub untrash: Vec<i64>,
    /// What is put on record.
    pub audit: Vec<AuditRecord>,
}

/// What units of one transaction come to together.
#[derive(Default)]
struct Together {
    /// Paths that are written, and those of them that are not locked.
    written: BTreeSet<String>,
    further: Vec<String>,
    /// Two units come to write one document.
    clash: bool,
    /// Parts are changed without their texts.
    by_rows: bool,
}

impl Together {
    fn of(decided: &mut Decided, locks: &[String]) -> (Batch, Self) {
        let mut batch = Batch { all_or_nothing: true, ..Batch::default() };
        let mut all = Self::default();
        for unit in decided.iter_mut().flatten() {
            batch.items.append(&mut unit.items);
            batch.marks.append(&mut unit.marks);
            batch.trash.append(&mut unit.trash);
            batch.untrash.append(&mut unit.untrash);
            batch.audit.records.append(&mut unit.audit);
            all.further.append(&mut unit.further);
        }
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
    /// whole or not at all, as if it were alone.
    pub(super) fn apply(&mut self, works: &[&Job]) -> Vec<Result<Receipt>> {
        match self.together(works) {
            Ok(Some(receipts)) => receipts,
            // somebody is refused: who, is found one by one
            Ok(None) => works.iter().map(|work| self.alone(work)).collect(),
            Err(error) => works.iter().map(|_| Err(same(&error))).collect(),
        }
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
        let decider = Decider {
            plan: self.plan,
            routes: self.routes,
            layout: self.layout,
            limits: self.limits,
            now_ms: self.clock.now_ms(),
            document_bytes_max: self.document_bytes_max,
            tried,
            by_rows,
        };
        let (pen, leads) = (&mut self.pen, self.leads);
        let mut led = leads;
        let report = self.target.transact(self.plan, locks, &mut |reader| {
            moved = !located.stays(decider.layout, reader)?;
            if moved {
                return Ok(None);
            }
            (decided, unsettled) = decider.decide(pen, reader, works)?;
            let batch;
            (batch, all) = Together::of(&mut decided, locks);
            // what settles a document was logged when plain SQL did it
            let tends = matches!(works, [Job::Tend(_)]);
            let nothing = batch.items.is_empty() && batch.untrash.is_empty();
            let nothing = nothing && (!tends || batch.marks.is_empty());
            if nothing || !unsettled.is_empty() || all.clash || !all.further.is_empty() {
                return Ok(None);
            }
            let meta = lead(reader, leads, decider.now_ms)?;
            led = true;
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

/// What decides on writes, besides the state of the database.
pub(super) struct Decider<'a, 'p> {
    pub plan: &'p Plan,
    routes: &'p Routes<'p>,
    pub layout: &'a Layout,
    pub limits: Limits,
    pub now_ms: i64,
    pub document_bytes_max: u64,
    /// Documents that were settled for these units: what is not there by now never is.
    tried: &'a BTreeSet<(String, String)>,
    /// Parts may be changed without reading the text.
    by_rows: bool,
}

impl<'p> Decider<'_, 'p> {
    fn decide(
        &self,
        pen: &mut Pen<'p>,
        reader: &mut dyn Reader,
        works: &[&Job],
    ) -> Result<(Decided, Vec<(String, String)>)> {
        let tools = pen.tools(self.plan, self.routes, self.limits)?;
        let mut desk = Desk::new(self.plan, self.routes, self.limits, tools, reader);
        let (clerk, unsettled) = (Clerk::default(), Vec::new());
        let mut hand = Hand { decider: self, desk: &mut desk, preparer: &mut pen.preparer, clerk, unsettled };
        let decided = works
            .iter()
            .map(|work| {
                hand.clerk = Clerk::new(work.actor(), self.now_ms);
                let mut unit = match work {
                    Job::Unit(work) => hand.unit(work)?,
                    Job::Restore { documents, .. } => hand.restore(documents)?,
                    Job::Tend(tend) => hand.tend(tend)?,
                    Job::Purge { now_ms, most } => hand.purge(*now_ms, *most)?,
                };
                unit.audit = hand.clerk.leave();
                Ok(unit)
            })
            .collect();
        let unsettled = hand.unsettled;
        pen.tools = Some(desk.leave());
        Ok((decided, unsettled))
    }
}

/// What a write makes of its document.
pub(super) enum Outcome {
    /// It stays as it is.
    Same(Written),
    /// It is this text, with these changes of states.
    Put(Bytes, Vec<StateChange>),
    /// It goes.
    Gone,
}

/// Decides on writes in one state of the database.
pub(super) struct Hand<'h, 'p, 'r> {
    pub decider: &'h Decider<'h, 'p>,
    pub desk: &'h mut Desk<'p, 'r>,
    pub preparer: &'h mut Preparer<'p>,
    /// What the unit at hand puts on record.
    pub clerk: Clerk,
    /// Documents that are to be settled first: collection and key.
    unsettled: Vec<(String, String)>,
}

impl Hand<'_, '_, '_> {
    fn unit(&mut self, work: &UnitOfWork) -> Result<Unit> {
        if self.decider.by_rows
            && let Some(unit) = self.parts(&work.writes)?
        {
            return Ok(unit);
        }
        let mut unit = Unit::default();
        let (mut items, mut trash) = (Vec::new(), BTreeMap::<usize, Vec<Trashed>>::new());
        let mut files = Files::default();
        for (at, write) in work.writes.iter().enumerate() {
            let key = write.key();
            let (found, stamp) = match self.desk.find(self.decider.layout, key)? {
                Sought::There(found) => {
                    let stamp = found.stamp;
                    (Some(*found), stamp)
                }
                Sought::Nothing(stamp) => (None, stamp),
                Sought::Unsettled => {
                    self.unsettled.push((key.collection().to_owned(), key.text().to_owned()));
                    continue;
                }
            };
            let moved = found.as_ref().is_some_and(|found| found.moved);
            let outcome = self.outcome(write, found.as_ref())?;
            if let Some(one) = self.discarded(key, &outcome, found.as_ref())? {
                trash.insert(at, vec![one]);
            }
            if let Some(within) = self.decider.layout.within(key)? {
                let id = within.id.clone();
                let written = self.share((at, key), (within, found), outcome, &mut files)?;
                if !matches!(written, (_, false)) {
                    unit.marks.push(Mark { collection: key.collection().to_owned(), key: id, stamp });
                }
                unit.receipt.written.push(written.0);
                continue;
            }
            let (written, item) = self.write(key, found, outcome)?;
            unit.receipt.written.push(written);
            if item.is_some() && !moved {
                unit.marks.push(mark(key, stamp));
            }
            items.extend(item.map(|item| (at, item)));
        }
        if self.unsettled.is_empty() {
            let (shared, marks) = files.finish(self)?;
            items.extend(shared);
            unit.marks.extend(marks);
        }
        let followers = follow(self, &work.writes, &items)?;
        unit.items = items.into_iter().map(|(_, item)| item).collect();
        for follower in followers {
            if let Some(one) = self.discard(&follower, &work.writes)? {
                trash.entry(follower.origin).or_default().push(one);
            }
            self.follower_on_record(&follower)?;
            unit.marks.push(mark(&follower.key, follower.stamp));
            unit.further.push(follower.item.object.path.clone());
            unit.items.push(follower.item);
        }
        unit.trash = trash.into_values().collect();
        Ok(unit)
    }

    /// Has the document settled before anything is written; `false` when that was tried before.
    pub(super) fn settle_first(&mut self, collection: &str, key: &str) -> bool {
        let document = (collection.to_owned(), key.to_owned());
        let fresh = !self.decider.tried.contains(&document);
        if fresh {
            self.unsettled.push(document);
        }
        fresh
    }

    /// The text to store, by the rules of the model, and the states that it changes.
    fn revise(
        &self,
        key: &DocumentKey,
        body: &Bytes,
        found: Option<&Found>,
    ) -> Result<(Bytes, Vec<StateChange>)> {
        let there = found.filter(|found| found.etag.is_some());
        self.decider.layout.revise_states(Proposal {
            key,
            path: &self.path(key, found)?,
            body,
            before: there.map(|found| found.assembled.bytes.as_slice()),
            document_bytes_max: self.decider.document_bytes_max,
            now_ms: self.decider.now_ms,
        })
    }

    /// What becomes of the document.
    fn outcome(&self, write: &Write, found: Option<&Found>) -> Result<Outcome> {
        let layout = self.decider.layout;
        let there = found.filter(|found| found.etag.is_some());
        let current = there.and_then(|found| found.etag.as_ref());
        let (key, when) = (write.key(), write.when());
        when.check(key, current)?;
        let body = match write {
            Write::Put { body, .. } => {
                if layout.has_rules(key)? || layout.whereabouts(key)?.elsewhere {
                    self.revise(key, body, found)?
                } else {
                    (body.clone(), Vec::new())
                }
            }
            Write::Patch { change, .. } => {
                let there = there.ok_or_else(|| {
                    Error::new(Kind::NotFound, "R0402", format!("{key} is not there"))
                        .hint("Check the key; `list` shows what is there.")
                })?;
                let body = change.apply(&there.assembled.bytes, layout.limits())?;
                self.revise(key, &body.into(), found)?
            }
            Write::Update { edit, .. } => {
                let text = there.map(|found| found.assembled.bytes.as_slice());
                let body = edited(key, edit, text)?.filter(|body| text != Some(body.as_ref()));
                let Some(body) = body else {
                    return Ok(Outcome::Same(
                        current.map_or(Written::Missing, |etag| Written::Put(etag.clone())),
                    ));
                };
                self.revise(key, &body, found)?
            }
            Write::Delete { .. } if found.is_some() => return Ok(Outcome::Gone),
            Write::Delete { .. } => return Ok(Outcome::Same(Written::Missing)),
        };
        Ok(Outcome::Put(body.0, body.1))
    }

    /// What is kept of a document that goes.
    fn discarded(
        &mut self,
        key: &DocumentKey,
        outcome: &Outcome,
        found: Option<&Found>,
    ) -> Result<Option<Trashed>> {
        match (outcome, found) {
            (Outcome::Gone, Some(found)) => self.trashed(key, found),
            _ => Ok(None),
        }
    }

    /// Writes a document that stands with others in one file; gives whether anything is written.
    fn share(
        &mut self,
        (origin, key): (usize, &DocumentKey),
        (within, found): (Within, Option<Found>),
        outcome: Outcome,
        files: &mut Files,
    ) -> Result<(Written, bool)> {
        let text = match outcome {
            Outcome::Same(written) => return Ok((written, false)),
            Outcome::Put(text, states) => {
                self.shared_on_record(key, found.as_ref(), (Some(&text), states))?;
                Some(text)
            }
            Outcome::Gone => {
                self.shared_on_record(key, found.as_ref(), (None, Vec::new()))?;
                None
            }
        };
        let path = self.path(key, found.as_ref())?;
        let written = files.write(self, Inside { origin, key, within, found, old: None, path }, text)?;
        Ok((written, true))
    }

    fn write(
        &mut self,
        key: &DocumentKey,
        found: Option<Found>,
        outcome: Outcome,
    ) -> Result<(Written, Option<Item>)> {
        match (outcome, found) {
            (Outcome::Same(written), _) => Ok((written, None)),
            (Outcome::Put(body, states), found) => self.put(key, (body, states), found),
            (Outcome::Gone, Some(found)) => {
                let etag = found.etag.clone();
                let before = before(found);
                self.on_record(key, Vec::new(), (etag.as_ref().map(|etag| (etag, &before)), None))?;
                let written = if etag.is_some() { Written::Deleted } else { Written::Missing };
                Ok((written, Some(self.preparer.removal(&before))))
            }
            (Outcome::Gone, None) => Ok((Written::Missing, None)),
        }
    }

    /// Where the document is, or a new one goes.
    fn path(&self, key: &DocumentKey, found: Option<&Found>) -> Result<String> {
        if let Some(found) = found {
            return Ok(found.whole.object.record.path.clone());
        }
        let layout = self.decider.layout;
        let Whereabouts { paths, elsewhere } = layout.whereabouts(key)?;
        match paths.into_iter().next() {
            Some(path) => Ok(path),
            None if elsewhere => Err(layout.unplaced(key)?),
            None => Err(layout.cannot_hold(key)),
        }
    }

    fn put(
        &mut self,
        key: &DocumentKey,
        (body, states): (Bytes, Vec<StateChange>),
        found: Option<Found>,
    ) -> Result<(Written, Option<Item>)> {
        let path = self.path(key, found.as_ref())?;
        let modified_ns = self.decider.now_ms.saturating_mul(1_000_000);
        let object = Object { path, size: body.len() as u64, modified_ns, etag: None };
        let was = found.as_ref().and_then(|found| found.etag.clone());
        let before = found.map(before);
        let item = self.preparer.item(&object, &body, before.as_ref())?;
        let document = item.documents.first().ok_or_else(|| lost(&key.to_string()))?;
        self.on_record(key, states, (was.as_ref().zip(before.as_ref()), Some((&body, document))))?;
        Ok((Written::Put(ETag::new(&document.etag)), Some(item)))
    }
}

/// What the caller's function makes of the text. Its panic is its own: the thread goes on with others' writes.
fn edited(key: &DocumentKey, edit: &Edit, text: Option<&[u8]>) -> Result<Option<Bytes>> {
    catch_unwind(AssertUnwindSafe(|| edit.apply(text))).unwrap_or_else(|_| {
        Err(Error::new(Kind::Internal, "R0901", format!("the update of {key} panicked"))
            .hint("Mend the function given to `update`; nothing was changed."))
    })
}

/// The mark of a document, as it was found.
pub(super) fn mark(key: &DocumentKey, stamp: i64) -> Mark {
    Mark { collection: key.collection().to_owned(), key: key.text().to_owned(), stamp }
}

fn lost(what: &str) -> Error {
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

/// What the rows are now. A document whose row was deleted with SQL has none.
pub(super) fn before(found: Found) -> Before {
    let Found { mut whole, assembled, etag, rows, .. } = found;
    if etag.is_none() {
        for document in &mut whole.documents {
            document.record.reason = Some((String::new(), String::new()));
        }
    }
    Before { whole, assembled, rows }
}

fn refused(name: &str, refusal: &Refusal) -> Error {
    let hint = match refusal.code {
        "R0203" => "Use another value, or change the document that has it first.",
        "R0305" => "Write the document that it refers to first, or remove the reference.",
        _ => "Mend the value that the reason names.",
    };
    Error::new(Kind::Conflict, refusal.code, format!("{name}: {}", refusal.reason)).hint(hint)
}
