//! Decides on units of work in one state of the database: what is there, whether it may be written, and what is.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use repot_core::store::{
    DocumentKey, ETag, Edit, FactChange, Layout, Proposal, Step, UnitOfWork, Whereabouts, Within, Write,
    Written, check_deadline,
};
use repot_core::{Error, Item, Kind, Mark, Object, Reader, Result, Trashed};
use repot_json::Limits;
use repot_model::plan::{Plan, StateChange};

use super::clerk::Clerk;
use super::desk::{Desk, Found};
use super::facts::{Demanded, noted};
use super::finding::Sought;
use super::following::follow;
use super::implied::Implied;
use super::jobs::Job;
use super::objects::{KEPT_OUT, kept_out};
use super::parts::{Open, Parts};
use super::within::{Files, Inside};
use super::writing::{Decided, Pen, Unit, lost};
use crate::moving::marking_along;
use crate::prepare::{Before, Preparer};
use crate::route::Routes;

/// What decides on writes, besides the state of the database.
pub(super) struct Decider<'a, 'p> {
    pub plan: &'p Plan,
    pub routes: &'p Routes<'p>,
    pub layout: &'a Layout,
    pub limits: Limits,
    pub now_ms: i64,
    pub document_bytes_max: u64,
    /// Documents that were settled for these units: what is not there by now never is.
    pub tried: &'a BTreeSet<(String, String)>,
    /// Parts may be changed without reading the text.
    pub by_rows: bool,
}

impl<'p> Decider<'_, 'p> {
    pub(super) fn decide(
        &self,
        pen: &mut Pen<'p>,
        reader: &mut dyn Reader,
        works: &[&Job],
    ) -> Result<Decision> {
        let tools = pen.tools(self.plan, self.routes, self.limits)?;
        let mut desk = Desk::new(self.plan, self.routes, self.limits, tools, reader);
        let mut hand = Hand {
            decider: self,
            desk: &mut desk,
            preparer: &mut pen.preparer,
            clerk: Clerk::default(),
            unsettled: Vec::new(),
            open: BTreeMap::new(),
            apart: false,
            is_copy: false,
        };
        let door =
            if works.iter().any(|work| work.is_direct()) { hand.desk.reader().meta(KEPT_OUT)? } else { None };
        let (mut acked, mut demanded) = (BTreeSet::new(), Demanded::default());
        let decided = works
            .iter()
            .map(|work| {
                hand.clerk = Clerk::new(work.actor(), self.now_ms);
                // first: a unit that ends here has changed no part of a document yet
                if let Some(value) = door.as_deref().filter(|_| work.is_direct()) {
                    return Err(kept_out(value));
                }
                check_deadline(work.until_ms(), self.now_ms)?;
                let demands = demanded.by(hand.desk.reader(), work, self.now_ms)?;
                let facts = noted(hand.desk.reader(), work, self.now_ms)?;
                let mut unit = match work {
                    Job::Unit { work, steps, is_copy } => {
                        hand.is_copy = *is_copy;
                        let done = hand.held(work, &acked)?;
                        let unit = hand.unit(work, steps.as_deref())?;
                        acked.extend(done.iter().cloned());
                        Unit { acked: done, ..unit }
                    }
                    Job::Restore { documents, .. } => hand.restore(documents)?,
                    Job::Tend(tend) => hand.tend(tend)?,
                    Job::Replace(replacing) => hand.replace(replacing)?,
                    Job::Purge { now_ms, most } => hand.purge(*now_ms, *most)?,
                };
                unit.audit = hand.clerk.leave();
                unit.facts.extend(facts);
                unit.demands = demands;
                Ok(unit)
            })
            .collect();
        let (parts, unsettled) = (hand.close_parts(), hand.unsettled);
        pen.tools = Some(desk.leave());
        Ok(Decision { decided, unsettled, parts })
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
    /// Documents whose parts are changed, by path.
    pub open: BTreeMap<String, Open<'p>>,
    /// The unit at hand is a copy: its texts are stored as they are.
    is_copy: bool,
    /// A unit needs a text that others of the same transaction change parts of.
    pub apart: bool,
}

/// What units of work come to.
pub(super) struct Decision {
    pub decided: Decided,
    /// Documents that are to be settled first: collection and key.
    pub unsettled: Vec<(String, String)>,
    pub parts: Parts,
}

impl Hand<'_, '_, '_> {
    fn unit(&mut self, work: &UnitOfWork, steps: Option<&[Vec<Step>]>) -> Result<Unit> {
        if self.decider.by_rows
            && let Some(steps) = steps
            && let Some(unit) = self.parts(&work.writes, steps)?
        {
            return Ok(unit);
        }
        let mut implied = Implied::new();
        loop {
            // what was put on record of an attempt that did not know all yet
            self.clerk.leave();
            if let Some(unit) = self.attempt(work, &mut implied)? {
                return Ok(unit);
            }
        }
    }

    /// The unit with what it implies about shared files; `None` when that is more than was known.
    fn attempt(&mut self, work: &UnitOfWork, implied: &mut Implied) -> Result<Option<Unit>> {
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
            let outcome = self.outcome(write, found.as_ref()).map_err(|error| error.in_write(at))?;
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
            // a document that is named by its place has its mark under its key
            let own = found.as_ref().and_then(Found::mark);
            let (written, item) = self.write(key, found, outcome)?;
            unit.receipt.written.push(written);
            if item.is_some() && !moved {
                unit.marks.push(own.unwrap_or_else(|| mark(key, stamp)));
            }
            items.extend(item.map(|item| (at, item)));
        }
        if self.unsettled.is_empty() {
            for (origin, one) in self.imply(implied, &work.writes, (&mut files, &mut unit))? {
                trash.entry(origin).or_default().push(one);
            }
        }
        if self.unsettled.is_empty() {
            let (shared, marks) = files.finish(self)?;
            items.extend(shared);
            unit.marks.extend(marks);
        }
        let Some(followers) = follow(self, &work.writes, (&items, implied))? else { return Ok(None) };
        unit.items = items.into_iter().map(|(_, item)| item).collect();
        for follower in followers {
            if let Some(one) = self.discard(&follower, &work.writes)? {
                trash.entry(follower.origin).or_default().push(one);
            }
            self.follower_on_record(&follower)?;
            unit.facts.extend(self.along(&follower.key, &follower.item.object.path));
            unit.marks.push(mark(&follower.key, follower.stamp));
            unit.further.push(follower.item.object.path.clone());
            unit.items.push(follower.item);
        }
        unit.trash = trash.into_values().collect();
        Ok(Some(unit))
    }

    /// Marks a document that the copy of another one changes: it is no copy of anything from then on.
    pub(super) fn along(&self, key: &DocumentKey, path: &str) -> Option<FactChange> {
        self.is_copy.then(|| marking_along(self.decider.layout, (key, path), self.decider.now_ms)).flatten()
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
                if self.is_copy {
                    (body.clone(), Vec::new())
                } else if layout.has_rules(key)? || layout.whereabouts(key)?.elsewhere {
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
