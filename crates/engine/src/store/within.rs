//! Documents that stand with others in one file, one by one: found by key, and written without the others. What stands
//! around them, the frame, changes only when one comes or goes.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use repot_core::store::{
    DocumentKey, DocumentMeta, ETag, Layout, Scope, Whereabouts, Within, Written, stuck,
};
use repot_core::{
    DocumentRecord, Error, FoundObject, Item, Kind, ListedDocument, Mark, ObjectRecord, Result, RowChanges,
    Status, StoredDocument, StoredObject,
};
use repot_model::plan::{Gaps, Standing};
use repot_model::row::RowBuffer;

use super::desk::{Desk, Found};
use super::finding::Sought;
use super::hand::Hand;
use super::writing::lost;
use crate::frame;
use crate::prepare::{etag, sha256};
use crate::stored::Whole;

impl Desk<'_, '_> {
    /// The document with this key, in whichever file it stands.
    pub(super) fn find_within(
        &mut self,
        layout: &Layout,
        key: &DocumentKey,
        within: &Within,
    ) -> Result<Sought> {
        // no database holds a NUL in a text
        if within.id.contains('\0') {
            return Ok(Sought::Nothing(0));
        }
        let Whereabouts { paths, elsewhere } = layout.whereabouts(key)?;
        let Some(mut found) = self.reader().stored_by_key(key.collection(), &within.id)? else {
            return self.unsettled(layout, key);
        };
        if found.stamp != 0 {
            // the text and the rows are to be of one state
            self.reader().hold()?;
            match self.reader().stored_by_key(key.collection(), &within.id)? {
                Some(again) => found = again,
                None => return self.unsettled(layout, key),
            }
        }
        let path = &found.object.record.path;
        let scope =
            Scope { collection: key.collection().to_owned(), tenant: key.tenant().map(str::to_owned) };
        if !(paths.contains(path) || (elsewhere && layout.belongs(&scope, path)?)) {
            return Ok(Sought::Nothing(0));
        }
        self.lay_within(found, within).map(|found| Sought::There(Box::new(found)))
    }

    fn lay_within(&mut self, found: FoundObject, within: &Within) -> Result<Found> {
        let FoundObject { object, document, stamp, .. } = found;
        let place = match &document {
            // only its rows know where it stands
            Some(document) if stamp != 0 => self.place(object.id, &document.record, within.root)?,
            _ => Place::default(),
        };
        let standing = place.standing(within);
        let whole = Whole { object, documents: document.into_iter().collect() };
        self.lay(whole, stamp, Some((within.root, standing)))
    }

    /// Where a document stands in its file, as far as its rows say it.
    pub(super) fn place(&mut self, object: i64, record: &DocumentRecord, root: usize) -> Result<Place> {
        if !self.plan.counts_inside(root) {
            return Ok(Place::default());
        }
        let rank = self.reader().rank(object, &record.collection, record.ordinal)?;
        Ok(Place { number: size(rank.before), own: size(rank.own) })
    }

    /// What a listing gives of these documents: those of the scope that are there.
    pub(super) fn listed_within(
        &mut self,
        layout: &Layout,
        scope: &Scope,
        listed: ListedDocument,
    ) -> Result<Option<DocumentMeta>> {
        let ListedDocument { path, key: id, size, stamp } = listed;
        let Some(key) = layout.identify_within(scope, &path, &id)? else { return Ok(None) };
        if stamp == 0 {
            return Ok(Some(DocumentMeta { key, size_bytes: size }));
        }
        let found = self.document(layout, &key)?.flatten();
        Ok(found.map(|document| DocumentMeta { key, size_bytes: document.body.len() as u64 }))
    }
}

fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// The number of a document in its file, and among those of its collection there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Place {
    number: usize,
    own: usize,
}

impl Place {
    pub(super) fn standing(self, within: &Within) -> Standing {
        Standing { position: i64::try_from(self.own).unwrap_or(i64::MAX), ..within.standing(self.number) }
    }
}

/// A document that a unit of work writes.
struct Edit {
    within: Within,
    collection: String,
    /// Its rows as they are; none of a new one.
    old: RowBuffer,
    /// The version that it has, and its `ETag`.
    was: Option<(i64, String)>,
    /// Its new text; `None`: it goes.
    text: Option<Bytes>,
}

/// A file that a unit of work changes.
struct OpenFile {
    origin: usize,
    object: StoredObject,
    is_new: bool,
    /// What stands around the documents, once that is needed.
    gaps: Option<Gaps>,
    size: u64,
    /// The highest ordinal.
    last: Option<u32>,
    /// By ordinal.
    edits: BTreeMap<u32, Edit>,
    /// The order of new documents among the others: number in the file, and ordinal for the time being.
    all: Option<Vec<StoredDocument>>,
}

/// What is to be written, each with the number of the write that led to it; and the marks of documents that it brings along.
pub(super) type Finished = (Vec<(usize, Item)>, Vec<Mark>);

/// Files with several documents that one unit of work changes.
#[derive(Default)]
pub(super) struct Files(BTreeMap<String, OpenFile>);

/// A document that is written, with what is there.
pub(super) struct Inside<'a> {
    pub origin: usize,
    pub key: &'a DocumentKey,
    pub within: Within,
    pub found: Option<Found>,
    /// Rows that are there without a document.
    pub old: Option<RowBuffer>,
    /// Where a new one goes.
    pub path: String,
}

impl Files {
    /// Writes a document, or takes it out (`None`).
    pub(super) fn write(
        &mut self,
        hand: &mut Hand<'_, '_, '_>,
        inside: Inside<'_>,
        text: Option<Bytes>,
    ) -> Result<Written> {
        let Inside { origin, key, within, found, old, path } = inside;
        let written = match &text {
            Some(text) => Written::Put(ETag::new(&etag(&sha256(text)))),
            None => match &found {
                Some(found) if found.etag.is_some() => Written::Deleted,
                _ => Written::Missing,
            },
        };
        let collection = key.collection().to_owned();
        let file = self.open(hand, (&path, &collection, origin), found.as_ref())?;
        match (found, text) {
            (Some(found), text) => file.replace(hand, (within, collection), found, text)?,
            (None, Some(text)) => file.insert(hand, (within, collection), text, old.unwrap_or_default())?,
            (None, None) => {}
        }
        let bytes_max = hand.decider.document_bytes_max;
        if file.size > bytes_max {
            let message = format!("{path}, where {key} stands, would have {} bytes", file.size);
            return Err(Error::new(Kind::Unsupported, "R0213", message)
                .hint("Raise the bound with --document-max, or spread the documents over more files."));
        }
        Ok(written)
    }

    fn open(
        &mut self,
        hand: &mut Hand<'_, '_, '_>,
        (path, collection, origin): (&str, &str, usize),
        found: Option<&Found>,
    ) -> Result<&mut OpenFile> {
        if !self.0.contains_key(path) {
            let object = match found {
                Some(found) => Some(found.whole.object.clone()),
                None => hand.desk.reader().object(path)?,
            };
            let file = match object {
                Some(object) => OpenFile::there(hand, object, (collection, origin))?,
                None => OpenFile::new(path, (collection, origin), hand.decider.now_ms),
            };
            self.0.insert(path.to_owned(), file);
        }
        self.0.get_mut(path).ok_or_else(|| lost(path))
    }

    /// What is to be written, each with the number of the write that led to it; and the marks of further documents.
    pub(super) fn finish(self, hand: &mut Hand<'_, '_, '_>) -> Result<Finished> {
        let (mut items, mut marks) = (Vec::new(), Vec::new());
        for file in self.0.into_values().filter(|file| !file.edits.is_empty()) {
            items.push((file.origin, file.finish(hand, &mut marks)?));
        }
        Ok((items, marks))
    }
}

impl OpenFile {
    fn new(path: &str, (collection, origin): (&str, usize), now_ms: i64) -> Self {
        let record = ObjectRecord {
            path: path.to_owned(),
            size: 0,
            modified_ns: now_ms.saturating_mul(1_000_000),
            etag: None,
            sha256: Vec::new(),
            collection: Some(collection.to_owned()),
            status: Status::Moved,
            reason: None,
            frame: None,
        };
        let object = StoredObject { id: 0, record };
        Self {
            origin,
            object,
            is_new: true,
            gaps: None,
            size: 0,
            last: None,
            edits: BTreeMap::new(),
            all: None,
        }
    }

    fn there(
        hand: &mut Hand<'_, '_, '_>,
        mut object: StoredObject,
        (collection, origin): (&str, usize),
    ) -> Result<Self> {
        let record = &mut object.record;
        let reason = record.reason.take();
        let lines = hand.decider.plan.roots.iter().any(|root| root.name == collection && root.is_lines());
        match (record.status, &reason) {
            (Status::Moved, _) => {}
            (_, Some((code, _))) if code == "R0213" => {
                let message = format!("{} has {} bytes", record.path, record.size);
                return Err(Error::new(Kind::Unsupported, "R0213", message)
                    .hint("Export it, or copy with a larger --document-max."));
            }
            // a single line that does not fit the model
            (Status::SetAside, _) if lines => record.status = Status::Moved,
            (_, reason) => {
                let why = reason.as_ref().map_or("it is not in the database", |(_, why)| why.as_str());
                return Err(stuck(&record.path, why));
            }
        }
        record.modified_ns = hand.decider.now_ms.saturating_mul(1_000_000);
        record.etag = None;
        let last = hand.desk.reader().rank(object.id, collection, 0)?.last;
        let (size, edits) = (object.record.size, BTreeMap::new());
        Ok(Self { origin, object, is_new: false, gaps: None, size, last, edits, all: None })
    }

    fn path(&self) -> String {
        self.object.record.path.clone()
    }

    /// What stands around the documents.
    fn gaps(&mut self, hand: &mut Hand<'_, '_, '_>) -> Result<Gaps> {
        if let Some(gaps) = self.gaps.take() {
            return Ok(gaps);
        }
        let frame = match self.object.record.frame.take() {
            Some(frame) => Some(frame),
            None => hand.desk.reader().object(&self.path())?.and_then(|object| object.record.frame),
        };
        match frame {
            Some(frame) => Ok(frame::decode(&frame)?.into_iter().map(<[u8]>::to_vec).collect()),
            // a document that is the whole file
            None => Ok(vec![Vec::new(), Vec::new()]),
        }
    }

    fn resize(&mut self, from: usize, to: usize) {
        self.size = (self.size + to as u64).saturating_sub(from as u64);
    }

    /// A document that is there gets another text, or goes.
    fn replace(
        &mut self,
        hand: &mut Hand<'_, '_, '_>,
        (within, collection): (Within, String),
        found: Found,
        text: Option<Bytes>,
    ) -> Result<()> {
        let Some(document) = found.whole.documents.first() else { return Err(lost(&self.path())) };
        let record = &document.record;
        let (ordinal, was) = (record.ordinal, Some((record.version, record.etag.clone())));
        let stored_bytes = size(record.size);
        let old = match found.rows {
            Some(rows) => rows,
            None => {
                let place = hand.desk.place(self.object.id, record, within.root)?;
                let standing = place.standing(&within);
                hand.preparer.split_one(&self.path(), (within.root, standing), &found.assembled.bytes).1
            }
        };
        self.resize(stored_bytes, text.as_ref().map_or(0, Bytes::len));
        if text.is_none() {
            let gaps = self.gaps(hand)?;
            let number = match self.all.as_ref() {
                Some(all) => all.iter().position(|one| one.record.ordinal == ordinal),
                None => {
                    let before = hand.desk.reader().rank(self.object.id, &collection, ordinal)?.before;
                    let gone = self.edits.range(..ordinal).filter(|(_, edit)| edit.text.is_none()).count();
                    Some(size(before).saturating_sub(gone))
                }
            };
            let number = number.ok_or_else(|| lost(&self.path()))?;
            let roots = hand.decider.layout.roots_at(&self.path());
            if roots.iter().any(|&root| hand.decider.plan.counts_inside(root)) && number + 2 < gaps.len() {
                self.take_all(hand)?;
            }
            let borrowed: Vec<Cow<'_, [u8]>> = gaps.iter().map(|gap| Cow::Borrowed(gap.as_slice())).collect();
            let left = hand.decider.plan.leave(&roots, &borrowed, number, hand.decider.layout.limits());
            let left = left.map_err(|why| stuck(&self.path(), why))?;
            self.resize(gaps.iter().map(Vec::len).sum(), left.iter().map(Vec::len).sum());
            self.gaps = Some(left);
            if let Some(all) = &mut self.all {
                all.retain(|one| one.record.ordinal != ordinal);
            }
        }
        self.edits.insert(ordinal, Edit { within, collection, old, was, text });
        Ok(())
    }

    fn insert(
        &mut self,
        hand: &mut Hand<'_, '_, '_>,
        (within, collection): (Within, String),
        text: Bytes,
        old: RowBuffer,
    ) -> Result<()> {
        let plan = hand.decider.plan;
        let ordinal = self.last.map_or(0, |last| last + 1);
        if self.is_new && self.gaps.is_none() {
            let gaps = plan.first_inside(within.root, &within.keys);
            self.resize(0, gaps.iter().map(Vec::len).sum());
            self.gaps = Some(gaps);
        } else {
            let gaps = self.gaps(hand)?;
            let borrowed: Vec<Cow<'_, [u8]>> = gaps.iter().map(|gap| Cow::Borrowed(gap.as_slice())).collect();
            let roots = hand.decider.layout.roots_at(&self.path());
            let limits = hand.decider.layout.limits();
            let entered = plan.enter((within.root, &roots), &borrowed, &within.keys, limits);
            let (number, entered) = entered.map_err(|why| stuck(&self.path(), why))?;
            self.resize(gaps.iter().map(Vec::len).sum(), entered.iter().map(Vec::len).sum());
            let ends = number + 1 == gaps.len();
            self.gaps = Some(entered);
            if !ends {
                self.take_all(hand)?;
            }
            if let Some(all) = &mut self.all {
                let record = blank(ordinal, &collection, &within.id);
                all.insert(
                    number.min(all.len()),
                    StoredDocument { object: self.object.id, record, kept: Vec::new() },
                );
            }
        }
        self.resize(0, text.len());
        self.last = Some(ordinal);
        let text = Some(text);
        self.edits.insert(ordinal, Edit { within, collection, old, was: None, text });
        Ok(())
    }

    /// From here on all documents of the file are written: others get other numbers in it.
    fn take_all(&mut self, hand: &mut Hand<'_, '_, '_>) -> Result<()> {
        if self.all.is_some() {
            return Ok(());
        }
        let mut all = Vec::new();
        if !self.is_new {
            hand.desk.reader().documents(&[self.object.id], &mut |document| {
                all.push(document);
                Ok(())
            })?;
        }
        all.retain(|one| self.edits.get(&one.record.ordinal).is_none_or(|edit| edit.text.is_some()));
        let new = self.edits.iter().filter(|(_, edit)| edit.was.is_none());
        for (&ordinal, edit) in new {
            let record = blank(ordinal, &edit.collection, &edit.within.id);
            all.push(StoredDocument { object: self.object.id, record, kept: Vec::new() });
        }
        self.all = Some(all);
        Ok(())
    }

    fn finish(mut self, hand: &mut Hand<'_, '_, '_>, marks: &mut Vec<Mark>) -> Result<Item> {
        let mut record = self.object.record.clone();
        record.size = self.size;
        if self.gaps.is_none() && !frame::is_by_parts(&record.sha256) {
            self.gaps = Some(self.gaps(hand)?);
        }
        record.frame = self.gaps.as_deref().map(frame::encode_gaps);
        if record.frame.is_some() {
            record.sha256 = frame::hash_by_parts(record.frame.as_deref());
        }
        let mut item = Item {
            object: record,
            documents: Vec::new(),
            rows: RowBuffer::new(),
            changes: RowChanges::default(),
            replaces: !self.is_new,
            removes: false,
            keeps_pieces: false,
            touched: None,
            kept: None,
        };
        match self.all.take() {
            Some(all) => self.rewrite(hand, all, (&mut item, marks))?,
            None => self.touch(hand, &mut item)?,
        }
        Ok(item)
    }

    /// Only the documents that are written.
    fn touch(self, hand: &mut Hand<'_, '_, '_>, item: &mut Item) -> Result<()> {
        let path = self.path();
        item.touched = (!self.is_new).then(|| self.edits.keys().copied().collect());
        let mut new: BTreeMap<String, Place> = BTreeMap::new();
        // of those that go only the last can be among them, where rows say where they stand
        let gone = self.edits.values().filter(|edit| edit.text.is_none());
        let gone: Vec<String> = gone.map(|edit| edit.collection.clone()).collect();
        for (ordinal, edit) in self.edits {
            let counts = hand.decider.plan.counts_inside(edit.within.root);
            let place = match (&edit.text, counts) {
                (None, _) | (_, false) => Place::default(),
                _ if self.is_new => Place::default(),
                _ => {
                    let rank = hand.desk.reader().rank(self.object.id, &edit.collection, ordinal)?;
                    Place { number: size(rank.before), own: size(rank.own) }
                }
            };
            // further new ones of this unit come one after the other
            let place = if counts && edit.was.is_none() {
                let own = new.entry(edit.collection.clone()).or_default();
                let own_gone = gone.iter().filter(|one| **one == edit.collection).count();
                let at = Place {
                    number: (place.number + own.number).saturating_sub(gone.len()),
                    own: (place.own + own.own).saturating_sub(own_gone),
                };
                new.values_mut().for_each(|place| place.number += 1);
                if let Some(own) = new.get_mut(&edit.collection) {
                    own.own += 1;
                }
                at
            } else {
                place
            };
            edit.load(hand, (&path, ordinal), place, item)?;
        }
        Ok(())
    }

    /// All documents, each with its number in the file.
    fn rewrite(
        mut self,
        hand: &mut Hand<'_, '_, '_>,
        all: Vec<StoredDocument>,
        (item, marks): (&mut Item, &mut Vec<Mark>),
    ) -> Result<()> {
        let path = self.path();
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for (number, document) in all.into_iter().enumerate() {
            let mut record = document.record;
            let own = counts.entry(record.collection.clone()).or_default();
            let place = Place { number, own: *own };
            *own += 1;
            let ordinal = u32::try_from(number).unwrap_or(u32::MAX);
            if let Some(edit) = self.edits.remove(&record.ordinal) {
                edit.load(hand, (&path, ordinal), place, item)?;
                continue;
            }
            let shifted = self.shifted(hand, &record, marks)?;
            match shifted {
                Some(edit) => edit.load(hand, (&path, ordinal), place, item)?,
                None => {
                    record.ordinal = ordinal;
                    record.rows = item.rows.len()..item.rows.len();
                    item.documents.push(record);
                }
            }
        }
        // those that go
        for edit in std::mem::take(&mut self.edits).into_values() {
            edit.load(hand, (&path, 0), Place::default(), item)?;
        }
        Ok(())
    }

    /// A document that stays as it is, but for its number in the file, which its rows say.
    fn shifted(
        &self,
        hand: &mut Hand<'_, '_, '_>,
        record: &DocumentRecord,
        marks: &mut Vec<Mark>,
    ) -> Result<Option<Edit>> {
        let plan = hand.decider.plan;
        let root = plan.roots.iter().position(|root| root.name == record.collection);
        let (Some(root), Some(id)) = (root.filter(|&root| plan.counts_inside(root)), &record.key) else {
            return Ok(None);
        };
        let within = hand.decider.layout.within_as(root, id.clone());
        let Some(found) = hand.desk.reader().stored_by_key(&record.collection, id)? else { return Ok(None) };
        let stamp = found.stamp;
        let place = hand.desk.place(self.object.id, record, root)?;
        let found = hand.desk.lay_within(found, &within)?;
        if stamp != 0 {
            marks.push(Mark { collection: record.collection.clone(), key: id.clone(), stamp });
        }
        let bytes = Bytes::from(found.assembled.bytes);
        let old = match found.rows {
            Some(rows) => rows,
            None => hand.preparer.split_one(&self.path(), (root, place.standing(&within)), &bytes).1,
        };
        let was = Some((record.version, record.etag.clone()));
        let collection = record.collection.clone();
        Ok(Some(Edit { within, collection, old, was, text: Some(bytes) }))
    }
}

/// A record of a document whose text comes later.
fn blank(ordinal: u32, collection: &str, id: &str) -> DocumentRecord {
    DocumentRecord {
        ordinal,
        collection: collection.to_owned(),
        key: Some(id.to_owned()),
        etag: String::new(),
        version: 0,
        dictionary: 0,
        size: 0,
        text: Vec::new(),
        reason: None,
        rows: 0..0,
        skips: false,
    }
}

impl Edit {
    /// Brings it into the file's item, at this ordinal and place.
    fn load(
        self,
        hand: &mut Hand<'_, '_, '_>,
        (path, ordinal): (&str, u32),
        place: Place,
        item: &mut Item,
    ) -> Result<()> {
        let Some(text) = self.text else {
            hand.preparer.among(item, &self.old, None);
            return Ok(());
        };
        let standing = place.standing(&self.within);
        let (split, rows) = hand.preparer.split_one(path, (self.within.root, standing), &text);
        let misfit = split.as_ref().and_then(|split| split.misfit.as_ref());
        if let Some(misfit) = misfit {
            let message = format!("{}/{}: {}", self.collection, self.within.id, misfit.reason);
            return Err(Error::new(Kind::Invalid, "R0404", message).hint("Mend the document."));
        }
        let (dictionary, packed) = hand.preparer.packed(&self.collection, &text)?;
        let etag = etag(&sha256(&text));
        let version = self.was.map_or(1, |(version, was)| version + i64::from(was != etag));
        let record = DocumentRecord {
            etag,
            version,
            dictionary,
            size: text.len() as u64,
            text: packed,
            ..blank(ordinal, &self.collection, &self.within.id)
        };
        hand.preparer.among(item, &self.old, Some((record, &rows)));
        Ok(())
    }
}
