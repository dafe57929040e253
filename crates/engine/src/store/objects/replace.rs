//! An object with any number of documents becomes other bytes, or goes, in one transaction: split as a copy splits it, and of its
//! rows only those are written that differ.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use repot_core::store::{DocumentKey, ETag, Precondition, Written};
use repot_core::{Error, Item, Kind, Mark, Member, Object, Result, StoredDocument, StoredObject};

use super::view::{etag_of, etag_of_bytes, is_held, is_in_pieces};
use crate::prepare::Before;
use crate::store::desk::Found;
use crate::store::hand::{Hand, before};
use crate::store::writing::Unit;
use crate::stored::{Assembled, Whole};

/// An object that is to be written whole.
#[derive(Debug)]
pub(in crate::store) struct Replacing {
    /// Any document of its collection: for the queue.
    pub key: DocumentKey,
    pub path: String,
    /// `None`: it goes.
    pub body: Option<Bytes>,
    /// What must hold.
    pub when: Precondition,
    pub until_ms: Option<i64>,
}

/// What is there before.
struct There {
    before: Before,
    etag: Option<ETag>,
    members: Vec<Member>,
}

impl Hand<'_, '_, '_> {
    pub(in crate::store) fn replace(&mut self, replacing: &Replacing) -> Result<Unit> {
        let Replacing { path, body, when, .. } = replacing;
        let object = self.desk.reader().object(path)?;
        let is_recorded = object.is_some();
        let there = match object.filter(|object| is_held(&object.record)) {
            None => None,
            Some(object) => match self.there(object)? {
                Some(there) => Some(there),
                // once its documents are settled
                None => return Ok(Unit::default()),
            },
        };
        let etag = there.as_ref().and_then(|there| there.etag.clone());
        when.check(path, etag.as_ref())?;
        let mut unit = Unit::default();
        let (item, written) = match (body, &there) {
            (None, None) => {
                unit.receipt.written.push(Written::Missing);
                return Ok(unit);
            }
            (None, Some(there)) => (self.preparer.removal(&there.before), Written::Deleted),
            (Some(body), _) => {
                if let (Some(there), Some(etag)) = (&there, &etag)
                    && there.before.rows.is_none()
                    && there.before.assembled.bytes == *body
                {
                    unit.receipt.written.push(Written::Put(etag.clone()));
                    return Ok(unit);
                }
                let before = there.as_ref().map(|there| &there.before);
                let item = self.becomes((path, body), before, is_recorded)?;
                let etag =
                    etag_of(&item.object, item.documents.iter().map(|document| document.etag.as_str()))?;
                (item, Written::Put(etag))
            }
        };
        let written = if etag.is_none() && written == Written::Deleted { Written::Missing } else { written };
        self.objects_on_record((path, body.as_ref()), there.as_ref(), &item)?;
        unit.marks = marks(there.as_ref(), &item);
        unit.receipt.written.push(written);
        unit.items.push(item);
        Ok(unit)
    }

    /// The object with its documents and rows; `None`: its documents are to be settled first.
    fn there(&mut self, object: StoredObject) -> Result<Option<There>> {
        let members = self.desk.reader().members(&[object.id])?;
        let mut waits = false;
        for member in members.iter().filter(|member| member.stamp != 0) {
            if let Some(key) = &member.key {
                waits |= self.settle_first(&member.collection, key);
            }
        }
        if waits {
            return Ok(None);
        }
        if is_in_pieces(&object.record) {
            let etag = Some(etag_of(&object.record, std::iter::empty())?);
            let assembled = Assembled { bytes: Vec::new(), spans: Vec::new(), without_kept: None };
            let whole = Whole { object, documents: Vec::new() };
            return Ok(Some(There { before: Before { whole, assembled, rows: None }, etag, members }));
        }
        let is_marked = members.iter().any(|member| member.stamp != 0);
        if is_marked
            && !self.desk.shares(self.decider.layout, &object.record.path)
            && let Some(found) = self.desk.at(&object.record.path)?
        {
            let etag = found.etag.clone();
            return Ok(Some(There { before: before(found), etag, members }));
        }
        let whole = self.desk.whole(object)?;
        let assembled = self.desk.assemble(&whole)?;
        let (mut rows, mut etag) = (None, None);
        if is_marked {
            // no document of the model says what SQL did
            let (bytes, actual) = self.desk.laid_over(&whole, &assembled.bytes)?;
            etag = bytes.map(|bytes| etag_of_bytes(&bytes));
            rows = Some(actual);
        } else {
            let of_members = members.iter().map(|member| member.etag.as_str());
            etag.replace(etag_of(&whole.object.record, of_members)?);
        }
        Ok(Some(There { before: Before { whole, assembled, rows }, etag, members }))
    }

    /// The object as these bytes.
    fn becomes(
        &mut self,
        (path, body): (&str, &Bytes),
        before: Option<&Before>,
        is_recorded: bool,
    ) -> Result<Item> {
        let (size, most) = (body.len() as u64, self.decider.document_bytes_max);
        if size > most {
            let message = format!("{path} would have {size} bytes, {most} are the most");
            return Err(
                Error::new(Kind::Unsupported, "R0213", message).hint("Raise the bound with --document-max.")
            );
        }
        let modified_ns = self.decider.now_ms.saturating_mul(1_000_000);
        let object = Object { path: path.to_owned(), size, modified_ns, etag: None };
        let mut item = self.preparer.item(&object, body, before)?;
        item.replaces = is_recorded;
        let was_aside = |etag: &str| {
            let documents = before.map_or(&[][..], |before| before.whole.documents.as_slice());
            documents.iter().any(|own| own.record.reason.is_some() && own.record.etag == etag)
        };
        for document in &item.documents {
            if let Some((_, why)) = &document.reason
                && !was_aside(&document.etag)
            {
                return Err(
                    Error::new(Kind::Invalid, "R0404", format!("{path}: {why}")).hint("Mend the document.")
                );
            }
        }
        Ok(item)
    }

    /// Puts on record which documents became others, came or went, where the model says so.
    fn objects_on_record(
        &mut self,
        (path, body): (&str, Option<&Bytes>),
        there: Option<&There>,
        item: &Item,
    ) -> Result<()> {
        let layout = self.decider.layout;
        let audits = |name: &String| layout.audit(name).is_ok_and(|audit| audit.is_some());
        if !layout.collections_at(path).iter().any(audits) {
            return Ok(());
        }
        let mut turns: BTreeMap<(String, String), (Option<Found>, Option<Bytes>)> = BTreeMap::new();
        if let Some(There { before, .. }) = there {
            for (document, span) in before.whole.documents.iter().zip(&before.assembled.spans) {
                let text = before.assembled.bytes.get(span.clone()).unwrap_or_default();
                if let Some(key) = &document.record.key {
                    let name = (document.record.collection.clone(), key.clone());
                    turns.entry(name).or_default().0 = Some(found(&before.whole.object, document, text));
                }
            }
        }
        if let Some(body) = body {
            let mut again =
                crate::verify::Again::new(self.decider.plan, self.decider.routes, self.decider.limits);
            let (split, _) = again.split(path, body);
            for (document, split) in item.documents.iter().zip(split) {
                if let Some(key) = &document.key {
                    let name = (document.collection.clone(), key.clone());
                    turns.entry(name).or_default().1 = Some(body.slice(split.span.clone()));
                }
            }
        }
        for ((collection, key), (was, text)) in turns {
            let Some(named) = layout.key_inside(path, &collection, &key) else { continue };
            let same = was.as_ref().map(|was| was.assembled.bytes.as_slice()) == text.as_deref();
            if !same && audits(&collection) {
                self.shared_on_record(&named, was.as_ref(), (text.as_ref(), Vec::new()))?;
            }
        }
        Ok(())
    }
}

/// One of the documents before, by itself.
fn found(object: &StoredObject, document: &StoredDocument, text: &[u8]) -> Found {
    Found {
        whole: Whole { object: object.clone(), documents: vec![document.clone()] },
        assembled: Assembled::alone(text.to_vec()),
        etag: Some(ETag::new(&document.record.etag)),
        rows: None,
        stamp: 0,
        moved: false,
        notes: Vec::new(),
    }
}

/// The marks of the documents that come, go or change: plain SQL must not have changed them meanwhile.
fn marks(there: Option<&There>, item: &Item) -> Vec<Mark> {
    let members = there.map_or(&[][..], |there| there.members.as_slice());
    let after: BTreeMap<(&str, &str), &str> = item
        .documents
        .iter()
        .filter_map(|document| {
            Some(((document.collection.as_str(), document.key.as_deref()?), document.etag.as_str()))
        })
        .collect();
    let mut marks = BTreeMap::new();
    for member in members {
        let Some(key) = &member.key else { continue };
        let stays = after.get(&(member.collection.as_str(), key.as_str())) == Some(&member.etag.as_str());
        if !stays || member.stamp != 0 {
            marks.insert((member.collection.clone(), key.clone()), member.stamp);
        }
    }
    let known: BTreeSet<(&str, &str)> = members
        .iter()
        .filter_map(|member| Some((member.collection.as_str(), member.key.as_deref()?)))
        .collect();
    for name in after.keys().filter(|name| !known.contains(*name)) {
        marks.insert((name.0.to_owned(), name.1.to_owned()), 0);
    }
    marks.into_iter().map(|((collection, key), stamp)| Mark { collection, key, stamp }).collect()
}
