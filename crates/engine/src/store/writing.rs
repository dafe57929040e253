//! The one thread that writes documents: each unit of work is one transaction, checked against what is there.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use repot_core::store::{
    DocumentKey, ETag, Layout, Precondition, Proposal, Receipt, UnitOfWork, Write, Written,
};
use repot_core::{Batch, Clock, Error, Item, Kind, Object, Refusal, Result, Target};
use repot_model::plan::Plan;

use super::desk::{Desk, Found};
use super::row_store::LEADS;
use crate::copy::PROOF;
use crate::prepare::{Before, Preparer};
use crate::text::Dictionaries;

/// What the writing thread works with.
pub(super) struct Scribe<'p> {
    pub plan: &'p Plan,
    pub layout: &'p Layout,
    pub target: Box<dyn Target>,
    pub desk: Desk<'p>,
    pub preparer: Preparer<'p>,
    pub dictionaries: Dictionaries,
    pub clock: Arc<dyn Clock>,
    /// Bytes of the largest document.
    pub document_bytes_max: u64,
    /// It is on record that documents are written here.
    pub leads: bool,
}

impl Scribe<'_> {
    /// Applies a unit of work; the places of its keys were looked at before.
    pub(super) fn apply(&mut self, work: &UnitOfWork) -> Result<Receipt> {
        self.desk.refresh()?;
        let mut receipt = Receipt::default();
        let mut items = Vec::new();
        for write in &work.writes {
            let (written, item) = self.write(write)?;
            receipt.written.push(written);
            items.extend(item);
        }
        if items.is_empty() {
            return Ok(receipt);
        }
        if !self.leads {
            self.target.set_meta(LEADS, Some(&self.clock.now_ms().to_string()))?;
            self.leads = true;
        }
        if self.desk.meta(PROOF)?.is_some() {
            self.target.set_meta(PROOF, None)?;
        }
        let made = self.dictionaries.take_made();
        if !made.is_empty() {
            // by themselves: a unit of work that is refused must not take them back
            self.target.load(self.plan, Batch { dictionaries: made, ..Batch::default() })?;
        }
        let keys = BTreeMap::from_iter(
            work.writes.iter().filter_map(|write| Some((self.path(write.key()).ok()?, write.key().clone()))),
        );
        let report =
            self.target.load(self.plan, Batch { items, all_or_nothing: true, ..Batch::default() })?;
        match report.refused.first() {
            None => Ok(receipt),
            Some(refusal) => {
                let name = keys.get(&refusal.path).map_or(refusal.path.clone(), ToString::to_string);
                Err(refused(&name, refusal))
            }
        }
    }

    fn put(
        &mut self,
        key: &DocumentKey,
        body: &[u8],
        found: Option<Found>,
    ) -> Result<(Written, Option<Item>)> {
        let path = match &found {
            Some(found) => found.whole.object.record.path.clone(),
            None => self.path(key)?,
        };
        let object = Object {
            path,
            size: body.len() as u64,
            modified_ns: self.clock.now_ms().saturating_mul(1_000_000),
            etag: None,
        };
        let item = self.preparer.item(&object, body, found.map(before).as_ref())?;
        let etag = item.documents.first().map(|document| ETag::new(&document.etag));
        let etag = etag.ok_or_else(|| Error::new(Kind::Internal, "R0901", format!("{key} is lost")))?;
        Ok((Written::Put(etag), Some(item)))
    }

    fn path(&self, key: &DocumentKey) -> Result<String> {
        self.layout.paths(key)?.into_iter().next().ok_or_else(|| self.layout.cannot_hold(key))
    }

    /// The text to store, by the rules of the model.
    fn revise(&self, key: &DocumentKey, body: &Bytes, found: Option<&Found>) -> Result<Bytes> {
        let there = found.filter(|found| found.etag.is_some());
        self.layout.revise(Proposal {
            key,
            body,
            before: there.map(|found| found.assembled.bytes.as_slice()),
            document_bytes_max: self.document_bytes_max,
            now_ms: self.clock.now_ms(),
        })
    }

    fn write(&mut self, write: &Write) -> Result<(Written, Option<Item>)> {
        let found = self.desk.find(self.layout, write.key())?;
        let current = found.as_ref().and_then(|found| found.etag.as_ref());
        match write {
            Write::Put { key, body, when } => {
                when.check(key, current)?;
                if self.layout.has_rules(key)? {
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
                let body = change.apply(&there.assembled.bytes, self.layout.limits())?;
                let body = self.revise(key, &body.into(), found.as_ref())?;
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
