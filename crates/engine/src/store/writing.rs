//! A thread that writes documents: each unit of work is one transaction that reads what is there, checks it, and
//! writes; on databases that one writer has to itself, several units share one.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use repot_core::store::{
    DocumentKey, ETag, Edit, Layout, Precondition, Proposal, Receipt, UnitOfWork, Write, Written,
};
use repot_core::{
    AuditRecord, Batch, Clock, DocumentRecord, Error, Item, Kind, Object, Reader, Refusal, Result, Target,
};
use repot_json::Limits;
use repot_model::plan::Plan;

use super::clerk::{self, Clerk};
use super::desk::{Desk, Found, Tools};
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

/// What became of the units of one transaction: what is to be done, or why not.
type Decided = Vec<Result<Decision>>;

/// What a unit of work does.
#[derive(Default)]
struct Decision {
    receipt: Receipt,
    items: Vec<Item>,
    audit: Vec<AuditRecord>,
}

impl<'p> Scribe<'p> {
    /// Applies units of work that write different documents; the places of their keys were looked at before. Each is done
    /// whole or not at all, as if it were alone.
    pub(super) fn apply(&mut self, works: &[&UnitOfWork]) -> Vec<Result<Receipt>> {
        match self.together(works) {
            Ok(Some(receipts)) => receipts,
            // somebody is refused: who, is found one by one
            Ok(None) => works.iter().map(|work| self.alone(work)).collect(),
            Err(error) => works.iter().map(|_| Err(same(&error))).collect(),
        }
    }

    fn alone(&mut self, work: &UnitOfWork) -> Result<Receipt> {
        let receipts = self.together(&[work])?.unwrap_or_default();
        receipts.into_iter().next().unwrap_or_else(|| Err(lost("a unit of work")))
    }

    /// In one transaction; `None` when the database refuses a document and there are several units.
    fn together(&mut self, works: &[&UnitOfWork]) -> Result<Option<Vec<Result<Receipt>>>> {
        self.store_dictionaries()?;
        let mut locks = Vec::new();
        for write in works.iter().flat_map(|work| &work.writes) {
            locks.extend(self.layout.paths(write.key())?);
        }
        // no database holds one in a text
        locks.retain(|path| !path.contains('\0'));
        let mut decided: Decided = Vec::new();
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
        // nothing to write: a call to clear the record of what is too old
        let clears = works.iter().any(|work| work.writes.is_empty());
        let report = target.transact(plan, &locks, &mut |reader| {
            decided = decider.decide(pen, reader, works)?;
            let (mut items, mut audit) = (Vec::new(), Vec::new());
            for unit in decided.iter_mut().flatten() {
                items.append(&mut unit.items);
                audit.append(&mut unit.audit);
            }
            let audit_until = clerk::expired(plan, &audit, (clears, decider.now_ms));
            if items.is_empty() {
                let clears = Batch { audit_until, ..Batch::default() };
                return Ok((!clears.audit_until.is_empty()).then_some(clears));
            }
            let mut meta = Vec::new();
            if !*leads && reader.meta(LEADS)?.is_none() {
                meta.push((LEADS.to_owned(), Some(decider.now_ms.to_string())));
            }
            led = true;
            if reader.meta(PROOF)?.is_some() {
                meta.push((PROOF.to_owned(), None));
            }
            Ok(Some(Batch { items, meta, audit, audit_until, all_or_nothing: true, ..Batch::default() }))
        })?;
        let done: Vec<Result<Receipt>> =
            decided.into_iter().map(|unit| unit.map(|unit| unit.receipt)).collect();
        match (report.refused.first(), works) {
            (None, _) => {
                *leads = led;
                Ok(Some(done))
            }
            (Some(refusal), [work]) => Ok(Some(vec![Err(self.refused(work, refusal))])),
            (Some(_), _) => Ok(None),
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

    fn refused(&self, work: &UnitOfWork, refusal: &Refusal) -> Error {
        let keys = BTreeMap::from_iter(work.writes.iter().flat_map(|write| {
            let paths = self.layout.paths(write.key()).unwrap_or_default();
            paths.into_iter().map(move |path| (path, write.key()))
        }));
        let name = keys.get(&refusal.path).map_or(refusal.path.clone(), ToString::to_string);
        refused(&name, refusal)
    }
}

/// What decides on writes, besides the state of the database.
struct Decider<'a, 'p> {
    plan: &'p Plan,
    routes: &'p Routes<'p>,
    layout: &'a Layout,
    limits: Limits,
    now_ms: i64,
    document_bytes_max: u64,
}

impl<'p> Decider<'_, 'p> {
    fn decide(&self, pen: &mut Pen<'p>, reader: &mut dyn Reader, works: &[&UnitOfWork]) -> Result<Decided> {
        let tools = match pen.tools.take() {
            Some(tools) => tools,
            None => Tools::new(self.plan, self.routes, self.limits)?,
        };
        let mut desk = Desk::new(self.plan, self.routes, self.limits, tools, reader);
        let clerk = Clerk::default();
        let mut hand = Hand { decider: self, desk: &mut desk, preparer: &mut pen.preparer, clerk };
        let decided = works.iter().map(|work| hand.unit(work)).collect();
        pen.tools = Some(desk.leave());
        Ok(decided)
    }
}

/// Decides on writes in one state of the database.
struct Hand<'h, 'p, 'r> {
    decider: &'h Decider<'h, 'p>,
    desk: &'h mut Desk<'p, 'r>,
    preparer: &'h mut Preparer<'p>,
    /// What the unit of work at hand puts on record.
    clerk: Clerk,
}

impl Hand<'_, '_, '_> {
    fn unit(&mut self, work: &UnitOfWork) -> Result<Decision> {
        self.clerk = Clerk::new(work.actor.as_deref(), self.decider.now_ms);
        let mut decision = Decision::default();
        for write in &work.writes {
            let (written, item) = self.write(write)?;
            decision.receipt.written.push(written);
            decision.items.extend(item);
        }
        decision.audit = self.clerk.leave();
        Ok(decision)
    }

    /// The text to store, by the rules of the model.
    fn revise(&mut self, key: &DocumentKey, body: &Bytes, found: Option<&Found>) -> Result<Bytes> {
        let there = found.filter(|found| found.etag.is_some());
        let (text, states) = self.decider.layout.revise_states(Proposal {
            key,
            body,
            before: there.map(|found| found.assembled.bytes.as_slice()),
            document_bytes_max: self.decider.document_bytes_max,
            now_ms: self.decider.now_ms,
        })?;
        self.clerk.states(key, states);
        Ok(text)
    }

    /// Puts the change of a document on record, where the model says so.
    fn on_record(
        &mut self,
        key: &DocumentKey,
        was: Option<(&ETag, &Before)>,
        becomes: Option<(&[u8], &DocumentRecord)>,
    ) -> Result<()> {
        if self.decider.layout.audit(key.collection())?.is_none() {
            return Ok(());
        }
        self.clerk.wrote(self.preparer, self.decider.limits, key, (was, becomes))
    }

    fn write(&mut self, write: &Write) -> Result<(Written, Option<Item>)> {
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
                        let etag = found.etag.clone();
                        let before = before(found);
                        self.on_record(key, etag.as_ref().map(|etag| (etag, &before)), None)?;
                        let written = if etag.is_some() { Written::Deleted } else { Written::Missing };
                        Ok((written, Some(self.preparer.removal(&before))))
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
        let was = found.as_ref().and_then(|found| found.etag.clone());
        let before = found.map(before);
        let item = self.preparer.item(&object, body, before.as_ref())?;
        let document = item.documents.first().ok_or_else(|| lost(&key.to_string()))?;
        self.on_record(key, was.as_ref().zip(before.as_ref()), Some((body, document)))?;
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
fn before(found: Found) -> Before {
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
