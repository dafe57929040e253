//! Reading one document as it is now: its stored text, with what its rows say laid over.

use std::sync::Arc;

use repot_core::store::{DocumentKey, ETag, Layout, Within, made_ms, millis};
use repot_core::{
    AuditFilter, AuditRecord, DocumentRecord, Error, FoundObject, Kind, Mark, Reader, Referred, Referrer,
    Result, Status, StoredDocument, StoredObject, TrashWanted, Trashed,
};
use repot_json::Limits;
use repot_model::plan::{LaidOver, Place, Plan, Splitter, Standing, key_cells, key_text};
use repot_model::row::{Cell, Cells, RowBuffer};

use super::recent::Recent;
use crate::prepare::{Before, etag, sha256};
use crate::route::{Route, Routes};
use crate::stored::{Assembled, Whole, assemble};
use crate::text::Unpacker;
use crate::verify::{Again, actual_rows, expected_rows};

/// Bytes of texts that are unpacked for one read that is done at once.
const BYTES_AT_ONCE: u64 = 512 << 10;

/// What unpacks texts, with the dictionaries that were met.
pub(super) struct Texts {
    unpacker: Unpacker,
    dictionaries: Vec<i64>,
    /// Those that were read of late, where it is only read.
    recent: Option<Arc<Recent>>,
}

impl Texts {
    pub(super) fn new(recent: Option<Arc<Recent>>) -> Result<Self> {
        Ok(Self { unpacker: Unpacker::new(&[])?, dictionaries: Vec::new(), recent })
    }
}

/// What a thread keeps from one reader to the next.
pub(super) struct Tools<'p> {
    again: Again<'p>,
    texts: Texts,
}

impl<'p> Tools<'p> {
    pub(super) fn new(plan: &'p Plan, routes: &'p Routes<'p>, limits: Limits) -> Result<Self> {
        Ok(Self::with(plan, routes, limits, Texts::new(None)?))
    }

    pub(super) fn with(plan: &'p Plan, routes: &'p Routes<'p>, limits: Limits, texts: Texts) -> Self {
        Self { again: Again::new(plan, routes, limits), texts }
    }

    /// What is of use beside another plan, and on another thread.
    pub(super) fn texts(self) -> Texts {
        self.texts
    }
}

/// What a thread that reads documents works with.
pub(super) struct Desk<'p, 'r> {
    pub plan: &'p Plan,
    pub routes: &'p Routes<'p>,
    pub limits: Limits,
    again: Again<'p>,
    texts: Texts,
    /// Bytes of texts that may still be unpacked; `None`: any.
    left: Option<u64>,
    /// There was something that would have taken too long.
    is_late: bool,
    reader: &'r mut dyn Reader,
}

/// An object that is there, with the document in it.
pub(super) struct Found {
    pub whole: Whole,
    /// The object's bytes, with what the rows say laid over; the stored ones when its row is gone.
    pub assembled: Assembled,
    /// `None`: its row was deleted with SQL, or made another document's, so the document is not there.
    pub etag: Option<ETag>,
    /// The document's rows, where they are not those of the stored text; none when the document is not there.
    pub rows: Option<RowBuffer>,
    /// Stamp of the document's mark; 0: none.
    pub stamp: i64,
    /// Plain SQL gave its row another place than the path.
    pub moved: bool,
    /// What of the rows the text cannot say.
    pub notes: Vec<String>,
}

impl Found {
    pub(super) fn document(&self) -> Option<&DocumentRecord> {
        self.whole.documents.first().map(|document| &document.record)
    }

    /// Its `ETag` and version, when changes are kept beside its text.
    pub(super) fn kept(&self) -> Option<(String, i64)> {
        let document = self.whole.documents.first().filter(|document| !document.kept.is_empty())?;
        Some((document.record.etag.clone(), document.record.version))
    }

    /// When it was written last, milliseconds since 1970; `None`: that is not known.
    pub(super) fn modified_ms(&self) -> Option<i64> {
        modified_ms(self.stamp, &self.whole.object, self.whole.documents.first())
    }

    /// A copy of it as what is there before a write.
    pub(super) fn as_before(&self) -> Before {
        let Assembled { bytes, spans, without_kept } = &self.assembled;
        let assembled =
            Assembled { bytes: bytes.clone(), spans: spans.clone(), without_kept: without_kept.clone() };
        let whole = Whole { object: self.whole.object.clone(), documents: self.whole.documents.clone() };
        Before { whole, assembled, rows: None }
    }

    /// Its mark.
    pub(super) fn mark(&self) -> Option<Mark> {
        let record = self.document()?;
        Some(Mark { collection: record.collection.clone(), key: record.key.clone()?, stamp: self.stamp })
    }
}

/// When an object with this document was written last, milliseconds since 1970; `None`: that is not known.
pub(super) fn modified_ms(
    stamp: i64,
    object: &StoredObject,
    document: Option<&StoredDocument>,
) -> Option<i64> {
    if stamp != 0 {
        return None;
    }
    match document.and_then(|document| document.kept.last()) {
        Some(change) => made_ms(change),
        None => millis(object.record.modified_ns),
    }
}

impl<'p, 'r> Desk<'p, 'r> {
    pub(super) fn new(
        plan: &'p Plan,
        routes: &'p Routes<'p>,
        limits: Limits,
        tools: Tools<'p>,
        reader: &'r mut dyn Reader,
    ) -> Self {
        let Tools { again, texts } = tools;
        Self { plan, routes, limits, again, texts, left: None, is_late: false, reader }
    }

    /// From here on what takes long here fails: large texts, and rows that differ from their text.
    pub(super) const fn hurry(&mut self) {
        self.left = Some(BYTES_AT_ONCE);
    }

    /// Whether something failed for that.
    pub(super) const fn is_late(&self) -> bool {
        self.is_late
    }

    /// What the next desk goes on with.
    pub(super) fn leave(self) -> Tools<'p> {
        Tools { again: self.again, texts: self.texts }
    }

    /// From here on the database is seen as it is now.
    pub(super) fn refresh(&mut self) -> Result<()> {
        self.reader.refresh()
    }

    /// The next objects of a listing.
    pub(super) fn objects(&mut self, after: Option<&str>, most: usize) -> Result<Vec<StoredObject>> {
        self.reader.objects(after, most, false)
    }

    /// Texts that were read of late, where those are kept.
    pub(super) fn recent(&self) -> Option<Arc<Recent>> {
        self.texts.recent.clone()
    }

    /// The connection.
    pub(super) fn reader(&mut self) -> &mut dyn Reader {
        self.reader
    }

    /// These documents are read next, in the state of the database that is held.
    pub(super) fn expect(&mut self, layout: &Layout, keys: &[DocumentKey]) -> Result<()> {
        let mut paths = Vec::with_capacity(keys.len());
        for key in keys {
            if layout.within(key)?.is_none() {
                paths.extend(layout.whereabouts(key)?.paths);
            }
        }
        paths.retain(|path| !path.contains('\0'));
        self.reader.expect(paths)
    }

    /// The rows of the document with this key, found from its root row.
    pub(super) fn rows(&mut self, collection: &str, key: &str) -> Result<RowBuffer> {
        let cells = self
            .plan
            .table(collection)
            .and_then(|table| key_cells(&self.plan.tables[table], key).map(|cells| (table, cells)));
        match cells {
            Some((table, cells)) => self.reader.document_rows(self.plan, table, &cells),
            None => Ok(RowBuffer::new()),
        }
    }

    /// The document's key with its tenant, as the root row says; `None` without one.
    pub(super) fn identity(&self, collection: &str, key: &str, rows: &RowBuffer) -> Option<DocumentKey> {
        let table = self.plan.table(collection)?;
        let (_, root) = rows.iter().find(|row| row.0 == table)?;
        let identity = DocumentKey::of_text(collection, key);
        let Some(column) = self.plan.tables[table].tenant else { return Some(identity) };
        let mut cell = Vec::new();
        Cells::new(root).nth(column)?.encode(&mut cell);
        Some(identity.in_tenant(&tenant_text(&cell)))
    }

    /// The object that holds the document with this collection and key.
    pub(super) fn record(&mut self, collection: &str, key: &str) -> Result<Option<StoredObject>> {
        self.reader.find_document(collection, key)
    }

    /// The stamp of a document's mark.
    pub(super) fn stamp(&mut self, collection: &str, key: &str) -> Result<i64> {
        self.reader.stamp(collection, key)
    }

    /// Marks after this one; of one collection only those of documents that are not settled.
    pub(super) fn marks(&mut self, after: (&str, &str), new: Option<&str>, most: usize) -> Result<Vec<Mark>> {
        self.reader.marks(after, new, most)
    }

    /// Paths after this one of objects beside whose texts changes are kept.
    pub(super) fn kept(&mut self, after: &str, most: usize) -> Result<Vec<String>> {
        self.reader.kept(after, most)
    }

    /// Whether something is recorded at this path.
    pub(super) fn is_taken(&mut self, path: &str) -> Result<bool> {
        Ok(self.reader.object(path)?.is_some())
    }

    /// The document in the object at `path`.
    pub(super) fn at(&mut self, path: &str) -> Result<Option<Found>> {
        if path.contains('\0') {
            // no database holds one in a text
            return Ok(None);
        }
        match self.reader.stored(path)? {
            Some(found) => self.taken(path, found),
            None => Ok(None),
        }
    }

    /// The document in this object, which was found at `path`.
    pub(super) fn taken(&mut self, path: &str, mut found: FoundObject) -> Result<Option<Found>> {
        if found.stamp != 0 {
            // the text and the rows are to be of one state
            self.reader.hold()?;
            match self.reader.stored(path)? {
                Some(again) => found = again,
                None => return Ok(None),
            }
        }
        let FoundObject { object, document, stamp, .. } = found;
        if !matches!(object.record.status, Status::Moved | Status::SetAside) {
            return Ok(None);
        }
        if object.record.reason.as_ref().is_some_and(|reason| reason.0 == "R0213") {
            let size = object.record.size;
            return Err(Error::new(Kind::Unsupported, "R0213", format!("{path} has {size} bytes"))
                .hint("Export it, or copy with a larger --document-max."));
        }
        if object.record.frame.is_some() {
            // several documents in one file are not read one by one
            return Ok(None);
        }
        self.lay(Whole { object, documents: document.into_iter().collect() }, stamp, None).map(Some)
    }

    /// The document of this object as it is now; with `standing` it stands so with others in it.
    pub(super) fn lay(
        &mut self,
        whole: Whole,
        stamp: i64,
        standing: Option<(usize, Standing)>,
    ) -> Result<Found> {
        self.again.stand(standing.clone());
        let found = self.laid(whole, stamp, standing);
        self.again.stand(None);
        found
    }

    fn laid(&mut self, whole: Whole, stamp: i64, standing: Option<(usize, Standing)>) -> Result<Found> {
        self.learn(&whole)?;
        self.take_time(whole.documents.iter().map(|document| document.record.size).sum(), stamp)?;
        let assembled = assemble(&whole, &mut self.texts.unpacker)?;
        let (rows, notes) = (None, Vec::new());
        let mut found = Found { whole, assembled, etag: None, rows, stamp, moved: false, notes };
        let Some(record) = found.document() else { return Ok(found) };
        let stored = ETag::new(&record.etag);
        if record.reason.is_some() || stamp == 0 {
            found.etag = Some(stored);
            return Ok(found);
        }
        let path = &found.whole.object.record.path;
        let (split, rows) = self.again.split(path, &found.assembled.bytes);
        let Some(document) = split.first() else { return Ok(found) };
        let expected = expected_rows(rows, document.rows.clone());
        let actual = actual_rows(self.reader, self.plan, &expected)?;
        if same_rows(&expected, &actual) {
            found.etag = Some(stored);
            return Ok(found);
        }
        let Route::Documents { places, values } = self.routes.find(path) else { return Ok(found) };
        let only = standing.as_ref().map(|(root, _)| *root);
        let places: Vec<Place<'_>> = places
            .iter()
            .filter(|(root, _)| only.is_none_or(|only| only == *root))
            .map(|&(root, template)| Place { root, template, values: &values })
            .collect();
        if places.first().is_some_and(|place| self.is_elsewhere(place, &expected, &actual)) {
            found.moved = true;
            found.rows = Some(RowBuffer::new());
            return Ok(found);
        }
        let mut splitter = Splitter::new(self.plan, self.limits);
        splitter.stand(standing.map(|(_, standing)| standing));
        let laid = splitter
            .lay_over(&places, path, &found.assembled.bytes, &[Some(actual.clone())])
            .map_err(|misfit| Error::new(Kind::Corrupt, misfit.code, format!("{path}: {}", misfit.reason)))?;
        found.rows = Some(actual);
        if !laid.deleted {
            // in rows that differ in their order alone the text stays as it was
            let same = laid.bytes == found.assembled.bytes;
            found.etag = Some(if same { stored } else { ETag::new(&etag(&sha256(&laid.bytes))) });
            found.notes = laid.notes;
            found.assembled = Assembled::alone(laid.bytes);
        }
        Ok(found)
    }

    /// An error where there is no time for a text of this size, or for what a mark asks for.
    fn take_time(&mut self, size: u64, stamp: i64) -> Result<()> {
        let Some(left) = &mut self.left else { return Ok(()) };
        match left.checked_sub(size).filter(|_| stamp == 0) {
            Some(rest) => *left = rest,
            None => {
                self.is_late = true;
                return Err(Error::new(Kind::Internal, "R0901", "this cannot be read at once"));
            }
        }
        Ok(())
    }

    /// The root row says other values for what the path says.
    fn is_elsewhere(&self, place: &Place<'_>, expected: &RowBuffer, actual: &RowBuffer) -> bool {
        let root = &self.plan.roots[place.root];
        let row = |rows: &RowBuffer| {
            let found = rows.iter().find(|row| Some(row.0) == root.table);
            found.map(|row| row.1.to_vec())
        };
        let (Some(expected), Some(actual)) = (row(expected), row(actual)) else { return false };
        let differs = |column| Cells::new(&expected).nth(column) != Cells::new(&actual).nth(column);
        root.captured(place.template).any(differs)
    }

    /// The text of a document at `path` that only has rows, over `text` where it has one from another place, else in the
    /// formatting of `like`. `None` when no document can say what the rows say.
    pub(super) fn compose(
        &self,
        path: &str,
        rows: &RowBuffer,
        (text, like): (Option<&[u8]>, Option<&[u8]>),
    ) -> Option<Vec<u8>> {
        let Route::Documents { places, values } = self.routes.find(path) else { return None };
        let &[(root, template)] = places.as_slice() else { return None };
        let place = Place { root, template, values: &values };
        let mut splitter = Splitter::new(self.plan, self.limits);
        let laid = match text {
            Some(text) => splitter.lay_over(std::slice::from_ref(&place), path, text, &[Some(rows.clone())]),
            None => splitter.compose(&place, path, rows, like),
        };
        laid.ok().filter(|laid| laid.notes.is_empty() && !laid.deleted).map(|laid| laid.bytes)
    }

    /// An object's bytes put together.
    pub(super) fn assemble(&mut self, whole: &Whole) -> Result<Assembled> {
        self.learn(whole)?;
        assemble(whole, &mut self.texts.unpacker)
    }

    /// Rows that refer to one of these values.
    pub(super) fn referrers(&mut self, referred: &Referred<'_>) -> Result<Vec<Referrer>> {
        self.reader.referrers(self.plan, referred)
    }

    /// Deleted documents that are kept.
    pub(super) fn trash(&mut self, wanted: &TrashWanted<'_>) -> Result<Vec<Trashed>> {
        self.reader.trash(wanted)
    }

    /// The text of a deleted document.
    pub(super) fn unpack(&mut self, kept: &Trashed) -> Result<Vec<u8>> {
        self.unpack_text(kept.dictionary, &kept.text, kept.size)
    }

    /// A text that was packed as documents are.
    pub(super) fn unpack_text(&mut self, dictionary: i64, packed: &[u8], size: u64) -> Result<Vec<u8>> {
        self.know(dictionary)?;
        self.texts.unpacker.unpack(dictionary, packed, usize::try_from(size).unwrap_or_default())
    }

    /// Entries of the record of changes.
    pub(super) fn audit(&mut self, filter: &AuditFilter, most: usize) -> Result<Vec<AuditRecord>> {
        self.reader.audit(filter, most)
    }

    /// The path of the object that holds the document with this key text.
    pub(super) fn path_of(&mut self, collection: &str, key: &str) -> Result<Option<String>> {
        Ok(self.reader.find_document(collection, key)?.map(|object| object.record.path))
    }

    /// The cell of the root row's column, for a text at this path.
    pub(super) fn root_cell(&mut self, path: &str, bytes: &[u8], column: &str) -> Option<Vec<u8>> {
        let (_, rows) = self.again.split(path, bytes);
        let (table, row) = rows.iter().next()?;
        let at = self.plan.tables[table].columns.iter().position(|own| own.name == column)?;
        let cell = Cells::new(row).nth(at).filter(|cell| *cell != Cell::Null)?;
        let mut encoded = Vec::new();
        cell.encode(&mut encoded);
        Some(encoded)
    }

    /// The text at this path with other rows than it has.
    pub(super) fn with_rows(
        &mut self,
        path: &str,
        bytes: &[u8],
        edit: &dyn Fn(&RowBuffer) -> RowBuffer,
    ) -> Result<LaidOver> {
        self.edited((path, bytes), None, edit)
    }

    /// The same for a document that stands with others in its file.
    pub(super) fn with_rows_within(
        &mut self,
        found: &Found,
        within: &Within,
        edit: &dyn Fn(&RowBuffer) -> RowBuffer,
    ) -> Result<LaidOver> {
        let object = &found.whole.object;
        let standing = match found.document() {
            Some(record) => self.place(object.id, record, within.root)?.standing(within),
            None => within.standing(0),
        };
        let document = (object.record.path.as_str(), found.assembled.bytes.as_slice());
        self.again.stand(Some((within.root, standing.clone())));
        let laid = self.edited(document, Some((within.root, standing)), edit);
        self.again.stand(None);
        laid
    }

    fn edited(
        &mut self,
        (path, bytes): (&str, &[u8]),
        standing: Option<(usize, Standing)>,
        edit: &dyn Fn(&RowBuffer) -> RowBuffer,
    ) -> Result<LaidOver> {
        let rows = edit(self.again.split(path, bytes).1);
        let only = standing.as_ref().map(|(root, _)| *root);
        let Route::Documents { places, values } = self.routes.find(path) else {
            return Err(Error::new(Kind::Internal, "R0901", format!("{path} is of no collection")));
        };
        let places: Vec<Place<'_>> = places
            .iter()
            .filter(|(root, _)| only.is_none_or(|only| only == *root))
            .map(|&(root, template)| Place { root, template, values: &values })
            .collect();
        let mut splitter = Splitter::new(self.plan, self.limits);
        splitter.stand(standing.map(|(_, standing)| standing));
        splitter
            .lay_over(&places, path, bytes, &[Some(rows)])
            .map_err(|misfit| Error::new(Kind::Corrupt, misfit.code, format!("{path}: {}", misfit.reason)))
    }

    /// Reads dictionaries that were made since.
    fn learn(&mut self, whole: &Whole) -> Result<()> {
        whole.documents.iter().try_for_each(|document| self.know(document.record.dictionary))
    }

    fn know(&mut self, dictionary: i64) -> Result<()> {
        if dictionary == 0 || self.texts.dictionaries.contains(&dictionary) {
            return Ok(());
        }
        let stored = self.reader.dictionaries()?;
        self.texts.dictionaries = stored.iter().map(|(id, _, _)| *id).collect();
        self.texts.unpacker = Unpacker::new(&stored)?;
        Ok(())
    }
}

/// A tenant's name, from the cell of a root row: as a part of a path it stands without escapes.
pub(super) fn tenant_text(cell: &[u8]) -> String {
    key_text(cell).replace("%2F", "/").replace("%25", "%")
}

/// The same rows, in whatever order.
fn same_rows(one: &RowBuffer, other: &RowBuffer) -> bool {
    let sorted = |rows: &RowBuffer| {
        let mut all: Vec<(usize, Vec<u8>)> = rows.iter().map(|(table, row)| (table, row.to_vec())).collect();
        all.sort_unstable();
        all
    };
    one.len() == other.len() && sorted(one) == sorted(other)
}
