//! Reading one document as it is now: its stored text, with what its rows say laid over.

use repot_core::store::{DocumentKey, ETag, Layout};
use repot_core::{
    AuditFilter, AuditRecord, DocumentRecord, Error, Kind, Reader, Result, Status, StoredObject,
};
use repot_json::Limits;
use repot_model::plan::{Place, Plan, Splitter};
use repot_model::row::RowBuffer;

use crate::prepare::{etag, sha256};
use crate::route::{Route, Routes};
use crate::stored::{Assembled, Whole, assemble, each_whole};
use crate::text::Unpacker;
use crate::verify::{Again, actual_rows, expected_rows};

/// What a thread keeps from one reader to the next.
pub(super) struct Tools<'p> {
    again: Again<'p>,
    unpacker: Unpacker,
    dictionaries: Vec<i64>,
}

impl<'p> Tools<'p> {
    pub(super) fn new(plan: &'p Plan, routes: &'p Routes<'p>, limits: Limits) -> Result<Self> {
        Ok(Self {
            again: Again::new(plan, routes, limits),
            unpacker: Unpacker::new(&[])?,
            dictionaries: Vec::new(),
        })
    }
}

/// What a thread that reads documents works with.
pub(super) struct Desk<'p, 'r> {
    pub plan: &'p Plan,
    pub routes: &'p Routes<'p>,
    pub limits: Limits,
    again: Again<'p>,
    unpacker: Unpacker,
    dictionaries: Vec<i64>,
    reader: &'r mut dyn Reader,
}

/// An object that is there, with the document in it.
pub(super) struct Found {
    pub whole: Whole,
    /// The object's bytes, with what the rows say laid over; the stored ones when its row is gone.
    pub assembled: Assembled,
    /// `None`: its row was deleted with SQL, so the document is not there.
    pub etag: Option<ETag>,
}

impl Found {
    fn document(&self) -> Option<&DocumentRecord> {
        self.whole.documents.first().map(|document| &document.record)
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
        let Tools { again, unpacker, dictionaries } = tools;
        Self { plan, routes, limits, again, unpacker, dictionaries, reader }
    }

    /// What the next desk goes on with.
    pub(super) fn leave(self) -> Tools<'p> {
        Tools { again: self.again, unpacker: self.unpacker, dictionaries: self.dictionaries }
    }

    /// From here on the database is seen as it is now.
    pub(super) fn refresh(&mut self) -> Result<()> {
        self.reader.refresh()
    }

    /// The next objects of a listing.
    pub(super) fn objects(&mut self, after: Option<&str>, most: usize) -> Result<Vec<StoredObject>> {
        self.reader.objects(after, most, false)
    }

    /// The document with this key.
    pub(super) fn find(&mut self, layout: &Layout, key: &DocumentKey) -> Result<Option<Found>> {
        for path in layout.paths(key)? {
            if let Some(found) = self.at(&path)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Whether there is a document with this key; its text is not read.
    pub(super) fn exists(&mut self, layout: &Layout, key: &DocumentKey) -> Result<bool> {
        for path in layout.paths(key)? {
            // no database holds a NUL in a text
            if !path.contains('\0') && self.reader.exists(self.plan, &path)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The document in the object at `path`.
    pub(super) fn at(&mut self, path: &str) -> Result<Option<Found>> {
        if path.contains('\0') {
            // no database holds one in a text
            return Ok(None);
        }
        let Some(object) = self.reader.object(path)? else { return Ok(None) };
        if !matches!(object.record.status, Status::Moved | Status::SetAside) {
            return Ok(None);
        }
        if object.record.reason.as_ref().is_some_and(|reason| reason.0 == "R0213") {
            let size = object.record.size;
            return Err(Error::new(Kind::Unsupported, "R0213", format!("{path} has {size} bytes"))
                .hint("Export it, or copy with a larger --document-max."));
        }
        let mut whole = None;
        each_whole(self.reader, vec![object], &mut |found| {
            whole = Some(found);
            Ok(())
        })?;
        whole.map(|whole| self.lay(whole)).transpose()
    }

    fn lay(&mut self, whole: Whole) -> Result<Found> {
        self.learn(whole.documents.iter().map(|document| document.record.dictionary))?;
        let assembled = assemble(&whole, &mut self.unpacker)?;
        let mut found = Found { whole, assembled, etag: None };
        let Some(record) = found.document() else { return Ok(found) };
        let stored = ETag::new(&record.etag);
        if record.reason.is_some() {
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
        let places: Vec<Place<'_>> =
            places.iter().map(|&(root, template)| Place { root, template, values: &values }).collect();
        let laid = Splitter::new(self.plan, self.limits)
            .lay_over(&places, path, &found.assembled.bytes, &[Some(actual)])
            .map_err(|misfit| Error::new(Kind::Corrupt, misfit.code, format!("{path}: {}", misfit.reason)))?;
        if !laid.deleted {
            // in rows that differ in their order alone the text stays as it was
            let same = laid.bytes == found.assembled.bytes;
            found.etag = Some(if same { stored } else { ETag::new(&etag(&sha256(&laid.bytes))) });
            found.assembled =
                Assembled { spans: std::iter::once(0..laid.bytes.len()).collect(), bytes: laid.bytes };
        }
        Ok(found)
    }

    /// A text that was packed as documents are.
    pub(super) fn unpack(&mut self, dictionary: i64, packed: &[u8], size: u64) -> Result<Vec<u8>> {
        self.learn(std::iter::once(dictionary))?;
        self.unpacker.unpack(dictionary, packed, usize::try_from(size).unwrap_or(usize::MAX))
    }

    /// Entries of the record of changes.
    pub(super) fn audit(&mut self, filter: &AuditFilter, most: usize) -> Result<Vec<AuditRecord>> {
        self.reader.audit(filter, most)
    }

    /// Reads dictionaries that were made since.
    fn learn(&mut self, mut used: impl Iterator<Item = i64>) -> Result<()> {
        if used.all(|id| id == 0 || self.dictionaries.contains(&id)) {
            return Ok(());
        }
        let stored = self.reader.dictionaries()?;
        self.dictionaries = stored.iter().map(|(id, _, _)| *id).collect();
        self.unpacker = Unpacker::new(&stored)?;
        Ok(())
    }
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
