//! What is done for files with several documents besides the callers' writes: a document that plain SQL changed gets the
//! text that it is read with, and a file of which single documents were written gets a hash of the whole again.

use bytes::Bytes;
use repot_core::store::{DocumentKey, Within};
use repot_core::{Item, Kind, Mark, Result, RowChanges, StoredObject};
use repot_model::plan::{Place as SplitPlace, Splitter, Standing};
use repot_model::row::RowBuffer;

use super::desk::Desk;
use super::finding::Sought;
use super::hand::Hand;
use super::jobs::Job;
use super::within::{Files, Inside};
use super::writing::{Scribe, Unit};
use crate::frame;
use crate::prepare::sha256;
use crate::route::Route;
use crate::stored::{Whole, is_as_recorded};

/// Objects looked at in one transaction.
const LOOKED_AT_ONCE: usize = 1_024;
/// The formatting of a document that SQL made: one line.
const LIKE: &[u8] = b"{\"like\": {}}";

/// Something to do for a file with several documents.
#[derive(Debug)]
pub(super) struct Tend {
    pub key: DocumentKey,
    pub path: String,
    pub what: Chore,
}

/// What it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chore {
    /// Plain SQL changed this document.
    Settle,
    /// The whole file gets its hash.
    Seal,
}

impl Scribe<'_> {
    /// Settles a document that stands, or shall stand, with others in one file. What cannot be said there stays as it is.
    pub(super) fn settle_within(&mut self, collection: &str, key: &str) -> Result<()> {
        let (layout, mut path) = (self.layout, None);
        self.target.transact(self.plan, &[], &mut |reader| {
            path = reader.find_document(collection, key)?.map(|object| object.record.path);
            Ok(None)
        })?;
        let named = DocumentKey::of_text(collection, key);
        // one that SQL made goes where its key leads
        let path = path.or_else(|| layout.paths(&named).ok().and_then(|paths| paths.into_iter().next()));
        let Some(path) = path else { return Ok(()) };
        let tenant = layout.tenant_of(collection, &path);
        let named = DocumentKey::of_record((collection, tenant.as_deref()), key);
        self.tend(Tend { key: named, path, what: Chore::Settle })
    }

    /// Gives all files of which single documents were written a hash of the whole.
    pub(super) fn seal(&mut self) -> Result<()> {
        let mut after: Option<String> = None;
        loop {
            let mut page = Vec::new();
            self.target.transact(self.plan, &[], &mut |reader| {
                page = reader.objects(after.as_deref(), LOOKED_AT_ONCE, false)?;
                Ok(None)
            })?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.record.path.clone());
            for object in page.into_iter().filter(|object| frame::is_by_parts(&object.record.sha256)) {
                let collection = object.record.collection.unwrap_or_default();
                let key = DocumentKey::of_text(&collection, "");
                self.tend(Tend { key, path: object.record.path, what: Chore::Seal })?;
            }
        }
    }

    fn tend(&mut self, tend: Tend) -> Result<()> {
        match self.alone(&Job::Tend(tend)) {
            // what the model or the database refuses stays as it is
            Err(error) if matches!(error.kind(), Kind::Invalid | Kind::Conflict | Kind::Unsupported) => {
                Ok(())
            }
            done => done.map(drop),
        }
    }
}

impl Hand<'_, '_, '_> {
    pub(super) fn tend(&mut self, tend: &Tend) -> Result<Unit> {
        match tend.what {
            Chore::Settle => self.settle_within(tend),
            Chore::Seal => self.seal(&tend.path),
        }
    }

    fn settle_within(&mut self, tend: &Tend) -> Result<Unit> {
        let (layout, mut unit) = (self.decider.layout, Unit::default());
        let (collection, Some(id)) = (tend.key.collection(), tend.key.id()) else { return Ok(unit) };
        let Some(within) = layout.within(&tend.key)? else { return Ok(unit) };
        let stamp = self.desk.stamp(collection, id)?;
        if stamp == 0 {
            return Ok(unit);
        }
        let mut files = Files::default();
        match self.desk.find_within(layout, &tend.key, &within)? {
            Sought::There(found) => {
                let elsewhere = found.whole.object.record.path != tend.path || found.moved;
                if elsewhere || !found.notes.is_empty() {
                    return Ok(unit);
                }
                let text = found.etag.is_some().then(|| Bytes::from(found.assembled.bytes.clone()));
                // otherwise the rows say what the text says
                if text.is_none() || found.rows.is_some() {
                    let path = tend.path.clone();
                    let inside =
                        Inside { origin: 0, key: &tend.key, within, found: Some(*found), old: None, path };
                    files.write(self, inside, text)?;
                }
            }
            Sought::Nothing(_) => {}
            Sought::Unsettled => {
                let rows = self.desk.rows(collection, id)?;
                let Some(text) = self.desk.compose_within(&tend.path, &within, &rows) else {
                    return Ok(unit);
                };
                let (path, old) = (tend.path.clone(), Some(rows));
                let inside = Inside { origin: 0, key: &tend.key, within, found: None, old, path };
                files.write(self, inside, Some(text.into()))?;
            }
        }
        let (items, marks) = files.finish(self)?;
        unit.items = items.into_iter().map(|(_, item)| item).collect();
        unit.marks = marks;
        unit.marks.push(Mark { collection: collection.to_owned(), key: id.to_owned(), stamp });
        Ok(unit)
    }

    fn seal(&mut self, path: &str) -> Result<Unit> {
        let mut unit = Unit::default();
        let Some(object) = self.desk.reader().object(path)? else { return Ok(unit) };
        if !frame::is_by_parts(&object.record.sha256) {
            return Ok(unit);
        }
        let mut documents = Vec::new();
        self.desk.reader().documents(&[object.id], &mut |document| {
            documents.push(document);
            Ok(())
        })?;
        let whole = Whole { object, documents };
        let assembled = self.desk.assemble(&whole)?;
        if !is_as_recorded(&whole, &assembled) {
            // the proof is to find it so
            return Ok(unit);
        }
        let StoredObject { record, .. } = whole.object;
        let record = repot_core::ObjectRecord { sha256: sha256(&assembled.bytes), frame: None, ..record };
        unit.items.push(Item {
            object: record,
            documents: Vec::new(),
            rows: RowBuffer::new(),
            changes: RowChanges::default(),
            replaces: true,
            removes: false,
            keeps_pieces: false,
            touched: Some(Vec::new()),
            kept: None,
        });
        Ok(unit)
    }
}

impl Desk<'_, '_> {
    /// The text of a document that only has rows, for a file with others; `None` when no document can say what they say.
    fn compose_within(&self, path: &str, within: &Within, rows: &RowBuffer) -> Option<Vec<u8>> {
        let Route::Documents { places, values } = self.routes.find(path) else { return None };
        let &(root, template) = places.iter().find(|(root, _)| *root == within.root)?;
        let place = SplitPlace { root, template, values: &values };
        let mut splitter = Splitter::new(self.plan, self.limits);
        splitter.stand(Some(Standing { keys: within.keys.clone(), ..Standing::default() }));
        let laid = splitter.compose(&place, path, rows, Some(LIKE));
        laid.ok().filter(|laid| laid.notes.is_empty() && !laid.deleted).map(|laid| laid.bytes)
    }
}
