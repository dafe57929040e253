//! A thread that writes documents: each unit of work is one transaction that reads what is there, checks it, and
//! writes; on databases that one writer has to itself, several units share one.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use repot_core::store::{
    DocumentKey, ETag, Edit, Layout, Precondition, Proposal, Receipt, UnitOfWork, Write, Written,
};
use repot_core::{Batch, Clock, Error, Item, Kind, Object, Reader, Refusal, Result, Retry, Target, Trashed};
use repot_json::Limits;
use repot_model::plan::Plan;

use super::desk::{Desk, Found, Tools};
use super::following::follow;
use super::jobs::Job;
use super::row_store::LEADS;
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

/// What became of the units of one transaction, or why nothing did.
type Decided = Vec<Result<Unit>>;

/// What a unit of work comes to.
#[derive(Default)]
pub(super) struct Unit {
    pub receipt: Receipt,
    /// What is to be written.
    pub items: Vec<Item>,
    /// Paths of further documents that it writes.
    further: Vec<String>,
    /// Deleted documents to keep, by what took them.
    trash: Vec<Vec<Trashed>>,
    /// Kept ones that go or come back.
    pub untrash: Vec<i64>,
}

/// How a transaction ended.
enum Ended {
    Done(Vec<Result<Receipt>>),
    /// The database refuses somebody, or two units come to write one document.
    OneByOne,
    /// It has to be made again: with locks on these too, or because somebody came to refer to what goes.
    Again(Vec<String>),
}

/// Times a transaction is made again because of documents that refer to what goes.
const FOLLOWED_MAX: usize = 50;

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

    fn alone(&mut self, work: &Job) -> Result<Receipt> {
        let receipts = self.together(&[work])?.unwrap_or_default();
        receipts.into_iter().next().unwrap_or_else(|| Err(lost("a unit of work")))
    }

    /// In one transaction; `None` when the database refuses a document and there are several units.
    fn together(&mut self, works: &[&Job]) -> Result<Option<Vec<Result<Receipt>>>> {
        self.store_dictionaries()?;
        let mut locks = Vec::new();
        for work in works {
            locks.extend(work.paths(self.layout)?.into_iter().map(|(path, _)| path));
        }
        for _ in 0..FOLLOWED_MAX {
            match self.once(works, &locks)? {
                Ended::Done(done) => return Ok(Some(done)),
                Ended::OneByOne => return Ok(None),
                Ended::Again(further) => locks.extend(further),
            }
        }
        let message = format!("others came to refer to what goes {FOLLOWED_MAX} times meanwhile");
        Err(Error::new(Kind::Unavailable, "R0411", message)
            .retry(Retry::Safe)
            .hint("Send it again; if that goes on, let fewer write the same documents at once."))
    }

    fn once(&mut self, works: &[&Job], locks: &[String]) -> Result<Ended> {
        let mut decided: Decided = Vec::new();
        let (mut further, mut clash) = (Vec::new(), false);
        let mut written: BTreeSet<String> = BTreeSet::new();
        let Self { plan, routes, layout, limits, target, clock, document_bytes_max, leads, pen, .. } = self;
        let decider = Decider {
            plan,
            routes,
            layout,
            limits: *limits,
            now_ms: clock.now_ms(),
            document_bytes_max: *document_bytes_max,
        };
        let mut led = *leads;
        let report = target.transact(plan, locks, &mut |reader| {
            decided = decider.decide(pen, reader, works)?;
            (further, clash) = (Vec::new(), false);
            written.clear();
            let (mut items, mut trash, mut untrash) = (Vec::new(), Vec::new(), Vec::new());
            for unit in decided.iter_mut().flatten() {
                items.append(&mut unit.items);
                further.append(&mut unit.further);
                trash.append(&mut unit.trash);
                untrash.append(&mut unit.untrash);
            }
            further.retain(|path| !locks.contains(path));
            for item in &items {
                clash |= !written.insert(item.object.path.clone());
            }
            if (items.is_empty() && untrash.is_empty()) || clash || !further.is_empty() {
                return Ok(None);
            }
            let mut meta = Vec::new();
            if !*leads && reader.meta(LEADS)?.is_none() {
                meta.push((LEADS.to_owned(), Some(decider.now_ms.to_string())));
            }
            led = true;
            if reader.meta(PROOF)?.is_some() {
                meta.push((PROOF.to_owned(), None));
            }
            Ok(Some(Batch { items, meta, trash, untrash, all_or_nothing: true, ..Batch::default() }))
        })?;
        if clash {
            return Ok(Ended::OneByOne);
        }
        if !further.is_empty() {
            return Ok(Ended::Again(further));
        }
        let done: Vec<Result<Receipt>> =
            decided.into_iter().map(|unit| unit.map(|unit| unit.receipt)).collect();
        match (report.refused.first(), works) {
            (None, _) => {
                *leads = led;
                Ok(Ended::Done(done))
            }
            // it came to refer to what goes after we looked
            (Some(refusal), [_]) if refusal.code == "R0305" && !written.contains(&refusal.path) => {
                Ok(Ended::Again(Vec::new()))
            }
            (Some(refusal), [work]) => Ok(Ended::Done(vec![Err(self.refused(work, refusal))])),
            (Some(_), _) => Ok(Ended::OneByOne),
        }
    }

    /// Stores dictionaries that were made, by themselves: a transaction that is taken back must not take them along.
    fn store_dictionaries(&mut self) -> Result<()> {
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
        let keys = BTreeMap::from_iter(work.paths(self.layout).unwrap_or_default());
        let name = keys.get(&refusal.path).map_or(refusal.path.clone(), ToString::to_string);
        refused(&name, refusal)
    }
}

/// What decides on writes, besides the state of the database.
pub(super) struct Decider<'a, 'p> {
    pub plan: &'p Plan,
    routes: &'p Routes<'p>,
    pub layout: &'a Layout,
    limits: Limits,
    pub now_ms: i64,
    pub document_bytes_max: u64,
}

impl<'p> Decider<'_, 'p> {
    fn decide(&self, pen: &mut Pen<'p>, reader: &mut dyn Reader, works: &[&Job]) -> Result<Decided> {
        let tools = match pen.tools.take() {
            Some(tools) => tools,
            None => Tools::new(self.plan, self.routes, self.limits)?,
        };
        let mut desk = Desk::new(self.plan, self.routes, self.limits, tools, reader);
        let mut hand = Hand { decider: self, desk: &mut desk, preparer: &mut pen.preparer };
        let decided = works
            .iter()
            .map(|work| match work {
                Job::Unit(work) => hand.unit(work),
                Job::Restore(restored) => hand.restore(restored),
                Job::Purge { now_ms, most } => hand.purge(*now_ms, *most),
            })
            .collect();
        pen.tools = Some(desk.leave());
        Ok(decided)
    }
}

/// Decides on writes in one state of the database.
pub(super) struct Hand<'h, 'p, 'r> {
    pub decider: &'h Decider<'h, 'p>,
    pub desk: &'h mut Desk<'p, 'r>,
    pub preparer: &'h mut Preparer<'p>,
}

impl Hand<'_, '_, '_> {
    fn unit(&mut self, work: &UnitOfWork) -> Result<Unit> {
        let mut unit = Unit::default();
        let (mut items, mut trash) = (Vec::new(), BTreeMap::<usize, Vec<Trashed>>::new());
        for (at, write) in work.writes.iter().enumerate() {
            let (written, item) = self.write(write, &mut |one| drop(trash.insert(at, vec![one])))?;
            unit.receipt.written.push(written);
            items.extend(item.map(|item| (at, item)));
        }
        let followers = follow(self, &work.writes, &items)?;
        unit.items = items.into_iter().map(|(_, item)| item).collect();
        for follower in followers {
            if let Some(one) = self.discard(&follower, &work.writes)? {
                trash.entry(follower.origin).or_default().push(one);
            }
            unit.further.push(follower.item.object.path.clone());
            unit.items.push(follower.item);
        }
        unit.trash = trash.into_values().collect();
        Ok(unit)
    }

    /// The text to store, by the rules of the model.
    fn revise(&self, key: &DocumentKey, body: &Bytes, found: Option<&Found>) -> Result<Bytes> {
        let there = found.filter(|found| found.etag.is_some());
        self.decider.layout.revise(Proposal {
            key,
            body,
            before: there.map(|found| found.assembled.bytes.as_slice()),
            document_bytes_max: self.decider.document_bytes_max,
            now_ms: self.decider.now_ms,
        })
    }

    fn write(&mut self, write: &Write, keep: &mut dyn FnMut(Trashed)) -> Result<(Written, Option<Item>)> {
        let layout = self.decider.layout;
        let found = self.desk.find(layout, write.key())?;
        let current = found.as_ref().and_then(|found| found.etag.as_ref());
        match write {
            Write::Put { key, body, when } => {
                when.check(key, current)?;
                if layout.has_rules(key)? {
                    let body = self.revise(key, body, found.as_ref())?;
                    return self.put(key, &body, found);
                }
                self.put(key, body, found)
            }
            Write::Patch { key, change, when } => {
                when.check(key, current)?;
                let there = found.as_ref().filter(|found| found.etag.is_some());
                let there = there.ok_or_else(|| {
                    Error::new(Kind::NotFound, "R0402", format!("{key} is not there"))
                        .hint("Check the key; `list` shows what is there.")
                })?;
                let body = change.apply(&there.assembled.bytes, layout.limits())?;
                let body = self.revise(key, &body.into(), found.as_ref())?;
                self.put(key, &body, found)
            }
            Write::Update { key, edit, when } => {
                when.check(key, current)?;
                let there = found.as_ref().filter(|found| found.etag.is_some());
                let text = there.map(|found| found.assembled.bytes.as_slice());
                let body = edited(key, edit, text)?.filter(|body| text != Some(body.as_ref()));
                let Some(body) = body else {
                    let written = current.map_or(Written::Missing, |etag| Written::Put(etag.clone()));
                    return Ok((written, None));
                };
                let body = self.revise(key, &body, found.as_ref())?;
                self.put(key, &body, found)
            }
            Write::Delete { key, when } => {
                when.check(key, current)?;
                match found {
                    Some(found) => {
                        if let Some(one) = self.trashed(key, &found)? {
                            keep(one);
                        }
                        let written = if found.etag.is_some() { Written::Deleted } else { Written::Missing };
                        Ok((written, Some(self.preparer.removal(&before(found)))))
                    }
                    None if *when == Precondition::Any => Ok((Written::Missing, None)),
                    None => Err(when.failed(key, None)),
                }
            }
        }
    }

    fn put(
        &mut self,
        key: &DocumentKey,
        body: &[u8],
        found: Option<Found>,
    ) -> Result<(Written, Option<Item>)> {
        let layout = self.decider.layout;
        let path = match &found {
            Some(found) => found.whole.object.record.path.clone(),
            None => layout.paths(key)?.into_iter().next().ok_or_else(|| layout.cannot_hold(key))?,
        };
        let modified_ns = self.decider.now_ms.saturating_mul(1_000_000);
        let object = Object { path, size: body.len() as u64, modified_ns, etag: None };
        let item = self.preparer.item(&object, body, found.map(before).as_ref())?;
        let etag = item.documents.first().map(|document| ETag::new(&document.etag));
        let etag = etag.ok_or_else(|| lost(&key.to_string()))?;
        Ok((Written::Put(etag), Some(item)))
    }
}

/// What the caller's function makes of the text. Its panic is its own: the thread goes on with others' writes.
fn edited(key: &DocumentKey, edit: &Edit, text: Option<&[u8]>) -> Result<Option<Bytes>> {
    catch_unwind(AssertUnwindSafe(|| edit.apply(text))).unwrap_or_else(|_| {
        Err(Error::new(Kind::Internal, "R0901", format!("the update of {key} panicked"))
            .hint("Mend the function given to `update`; nothing was changed."))
    })
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
    let Found { mut whole, assembled, etag } = found;
    if etag.is_none() {
        for document in &mut whole.documents {
            document.record.reason = Some((String::new(), String::new()));
        }
    }
    Before { whole, assembled }
}

fn refused(name: &str, refusal: &Refusal) -> Error {
    let hint = match refusal.code {
        "R0203" => "Use another value, or change the document that has it first.",
        "R0305" => "Write the document that it refers to first, or remove the reference.",
        _ => "Mend the value that the reason names.",
    };
    Error::new(Kind::Conflict, refusal.code, format!("{name}: {}", refusal.reason)).hint(hint)
}
