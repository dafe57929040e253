//! A thread that writes documents: each unit of work is one transaction that reads what is there, checks it, and
//! writes; on databases that one writer has to itself, several units share one.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use repot_core::change_log::ChangeRetention;
use repot_core::store::{
    DocumentKey, ETag, Edit, Layout, Precondition, Proposal, Receipt, UnitOfWork, Whereabouts, Write, Written,
};
use repot_core::{Batch, Clock, Error, Item, Kind, Mark, Object, Reader, Refusal, Result, Retry, Target};
use repot_json::Limits;
use repot_model::plan::Plan;

use super::changes::STEPS_MOST;
use super::desk::{Desk, Found, Sought, Tools};
use super::located::{Located, TRIES_MAX, too_often};
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

/// What became of the units of one transaction: the receipt and what is to be written, or why not.
type Decided = Vec<Result<(Receipt, Draft)>>;

/// What a unit of work is to write.
#[derive(Default)]
struct Draft {
    items: Vec<Item>,
    /// The marks of its documents.
    marks: Vec<Mark>,
}

/// How often units wait for rows of plain SQL to become documents.
pub(super) const SETTLED_MOST: usize = 3;

/// How a transaction ended.
enum Attempt {
    Done(Vec<Result<Receipt>>),
    /// Each unit must have its own.
    Apart,
    /// A document is no longer where it was looked up; nothing was written.
    Moved,
    /// Plain SQL made these documents, which must be settled first; nothing was written.
    Unsettled(Vec<(String, String)>),
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

    /// In one transaction; `None` when each unit must have its own: the database refuses a document, or two units write
    /// the same one.
    fn together(&mut self, works: &[&UnitOfWork]) -> Result<Option<Vec<Result<Receipt>>>> {
        let mut settled = 0;
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
            let Some(locks) = located.paths(self.layout, works)? else { return Ok(None) };
            match self.attempt(works, &located, &locks)? {
                Attempt::Done(receipts) => return Ok(Some(receipts)),
                Attempt::Apart => return Ok(None),
                Attempt::Moved => {}
                Attempt::Unsettled(keys) if settled < SETTLED_MOST => {
                    settled += 1;
                    self.settle(&keys)?;
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

    fn attempt(&mut self, works: &[&UnitOfWork], located: &Located, locks: &[String]) -> Result<Attempt> {
        let (mut decided, mut moved): (Decided, bool) = (Vec::new(), false);
        let mut unsettled = Vec::new();
        let decider = Decider {
            plan: self.plan,
            routes: self.routes,
            layout: self.layout,
            limits: self.limits,
            now_ms: self.clock.now_ms(),
            document_bytes_max: self.document_bytes_max,
        };
        let (pen, leads) = (&mut self.pen, self.leads);
        let mut led = leads;
        let report = self.target.transact(self.plan, locks, &mut |reader| {
            moved = !located.stays(decider.layout, reader)?;
            if moved {
                return Ok(None);
            }
            (decided, unsettled) = decider.decide(pen, reader, works)?;
            let mut draft = Draft::default();
            for unit in decided.iter_mut().flatten() {
                draft.items.append(&mut unit.1.items);
                draft.marks.append(&mut unit.1.marks);
            }
            if draft.items.is_empty() || !unsettled.is_empty() {
                return Ok(None);
            }
            let meta = lead(reader, leads, decider.now_ms)?;
            led = true;
            let Draft { items, marks } = draft;
            Ok(Some(Batch {
                items,
                meta,
                marks,
                all_or_nothing: true,
                at_ms: Some(decider.now_ms),
                ..Batch::default()
            }))
        })?;
        if moved {
            return Ok(Attempt::Moved);
        }
        if !unsettled.is_empty() {
            return Ok(Attempt::Unsettled(unsettled));
        }
        let done: Vec<Result<Receipt>> =
            decided.into_iter().map(|unit| unit.map(|(receipt, _)| receipt)).collect();
        Ok(match (report.refused.first(), works) {
            (None, _) => {
                self.leads = led;
                Attempt::Done(done)
            }
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

    fn refused(&self, work: &UnitOfWork, refusal: &Refusal) -> Error {
        let keys = BTreeMap::from_iter(work.writes.iter().flat_map(|write| {
            let paths = self.layout.whereabouts(write.key()).map(|found| found.paths).unwrap_or_default();
            paths.into_iter().map(move |path| (path, write.key()))
        }));
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
struct Decider<'a, 'p> {
    plan: &'p Plan,
    routes: &'p Routes<'p>,
    layout: &'a Layout,
    limits: Limits,
    now_ms: i64,
    document_bytes_max: u64,
}

impl<'p> Decider<'_, 'p> {
    fn decide(
        &self,
        pen: &mut Pen<'p>,
        reader: &mut dyn Reader,
        works: &[&UnitOfWork],
    ) -> Result<(Decided, Vec<(String, String)>)> {
        let tools = match pen.tools.take() {
            Some(tools) => tools,
            None => Tools::new(self.plan, self.routes, self.limits)?,
        };
        let mut desk = Desk::new(self.plan, self.routes, self.limits, tools, reader);
        let unsettled = Vec::new();
        let mut hand = Hand { decider: self, desk: &mut desk, preparer: &mut pen.preparer, unsettled };
        let decided = works.iter().map(|work| hand.unit(work)).collect();
        let unsettled = hand.unsettled;
        pen.tools = Some(desk.leave());
        Ok((decided, unsettled))
    }
}

/// Decides on writes in one state of the database.
struct Hand<'h, 'p, 'r> {
    decider: &'h Decider<'h, 'p>,
    desk: &'h mut Desk<'p, 'r>,
    preparer: &'h mut Preparer<'p>,
    /// Documents that are to be settled first: collection and key.
    unsettled: Vec<(String, String)>,
}

impl Hand<'_, '_, '_> {
    fn unit(&mut self, work: &UnitOfWork) -> Result<(Receipt, Draft)> {
        let mut receipt = Receipt::default();
        let mut draft = Draft::default();
        for write in &work.writes {
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
            let (written, item) = self.write(write, found)?;
            receipt.written.push(written);
            if item.is_some() && !moved {
                let (collection, key) = (key.collection().to_owned(), key.text().to_owned());
                draft.marks.push(Mark { collection, key, stamp });
            }
            draft.items.extend(item);
        }
        Ok((receipt, draft))
    }

    /// The text to store, by the rules of the model.
    fn revise(&self, key: &DocumentKey, body: &Bytes, found: Option<&Found>) -> Result<Bytes> {
        let there = found.filter(|found| found.etag.is_some());
        self.decider.layout.revise(Proposal {
            key,
            path: &self.path(key, found)?,
            body,
            before: there.map(|found| found.assembled.bytes.as_slice()),
            document_bytes_max: self.decider.document_bytes_max,
            now_ms: self.decider.now_ms,
        })
    }

    fn write(&mut self, write: &Write, found: Option<Found>) -> Result<(Written, Option<Item>)> {
        let layout = self.decider.layout;
        let current = found.as_ref().and_then(|found| found.etag.as_ref());
        match write {
            Write::Put { key, body, when } => {
                when.check(key, current)?;
                if layout.has_rules(key)? || layout.whereabouts(key)?.elsewhere {
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
                        let written = if found.etag.is_some() { Written::Deleted } else { Written::Missing };
                        Ok((written, Some(self.preparer.removal(&before(found)))))
                    }
                    None if *when == Precondition::Any => Ok((Written::Missing, None)),
                    None => Err(when.failed(key, None)),
                }
            }
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
        body: &[u8],
        found: Option<Found>,
    ) -> Result<(Written, Option<Item>)> {
        let path = self.path(key, found.as_ref())?;
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
