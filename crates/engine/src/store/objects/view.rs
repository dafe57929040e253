//! One object as it is now: the bytes that an export writes, and the `ETag` that goes with them.

use repot_core::store::{ETag, Layout, ObjectMeta};
use repot_core::{Error, Kind, Member, ObjectRecord, Result, Status, StoredObject};
use repot_model::plan::{Place, Splitter};
use repot_model::row::RowBuffer;
use sha2::{Digest as _, Sha256};

use crate::frame;
use crate::prepare::{etag, sha256};
use crate::route::Route;
use crate::store::desk::Desk;
use crate::store::finding::Sought;
use crate::stored::{Whole, is_as_recorded};
use crate::text::Unpacker;
use crate::verify::{Again, actual_rows, expected_rows};

/// New rows of plain SQL that are looked at for one object.
const NEW_AT_ONCE: usize = 256;

/// An object as it is now.
pub(super) struct View {
    pub bytes: Vec<u8>,
    pub etag: ETag,
    pub modified_ns: i64,
}

impl View {
    pub(super) fn meta(&self, path: String) -> ObjectMeta {
        ObjectMeta {
            path,
            size_bytes: self.bytes.len() as u64,
            modified_ns: self.modified_ns,
            etag: Some(self.etag.clone()),
        }
    }
}

/// What is found at a path.
pub(super) enum Look {
    There(Box<View>),
    Nothing,
    /// Plain SQL changed or made these documents: they are to become texts first.
    Unsettled(Vec<(String, String)>),
}

/// Whether the database has the bytes of this object; of others only the store has them that they were copied from.
pub(super) fn is_held(record: &ObjectRecord) -> bool {
    let has_bytes = record.status == Status::Moved || !record.sha256.is_empty();
    has_bytes && matches!(record.status, Status::Moved | Status::SetAside)
}

/// It is too large for a document, and kept in pieces.
pub(super) fn is_in_pieces(record: &ObjectRecord) -> bool {
    record.reason.as_ref().is_some_and(|reason| reason.0 == "R0213")
}

/// The `ETag` of an object with this record and these documents, whose rows are those of their texts: that of the document that is
/// all of it, else one made from what stands around the documents and the `ETag` of each. It is the same for the same parts, however
/// the frame is written down.
pub(super) fn etag_of<'m>(record: &ObjectRecord, mut members: impl Iterator<Item = &'m str>) -> Result<ETag> {
    let Some(frame) = &record.frame else {
        return Ok(match members.next() {
            Some(only) => ETag::new(only),
            None => ETag::new(&etag(&record.sha256)),
        });
    };
    let mut hash = Sha256::new();
    for gap in frame::decode(frame)? {
        hash.update((gap.len() as u64).to_le_bytes());
        hash.update(gap);
        if let Some(member) = members.next() {
            hash.update((member.len() as u64).to_le_bytes());
            hash.update(member);
        }
    }
    Ok(ETag::new(&format!("f{}", etag(&hash.finalize()))))
}

/// The `ETag` of bytes that no record says.
pub(super) fn etag_of_bytes(bytes: &[u8]) -> ETag {
    ETag::new(&format!("b{}", etag(&sha256(bytes))))
}

fn too_large(path: &str, size: u64, bytes_max: u64) -> Error {
    Error::new(Kind::Unsupported, "R0213", format!("{path} has {size} bytes, {bytes_max} are the most"))
}

impl Desk<'_, '_> {
    /// The object at a path. `settles`: what plain SQL did to its documents can become texts first.
    pub(super) fn object_at(
        &mut self,
        (layout, path): (&Layout, &str),
        bytes_max: u64,
        settles: bool,
    ) -> Result<Look> {
        if path.contains('\0') {
            // no database holds one in a text
            return Ok(Look::Nothing);
        }
        self.reader().hold()?;
        if settles {
            let new = self.new_at(layout, path)?;
            if !new.is_empty() {
                return Ok(Look::Unsettled(new));
            }
        }
        let Some(object) = self.reader().object(path)? else {
            let new = if settles { self.made_at(layout, path)? } else { None };
            return Ok(new.map_or(Look::Nothing, |new| Look::Unsettled(vec![new])));
        };
        if !is_held(&object.record) {
            return Ok(Look::Nothing);
        }
        if object.record.size > bytes_max {
            return Err(too_large(path, object.record.size, bytes_max));
        }
        let members = self.reader().members(&[object.id])?;
        let marked: Vec<(String, String)> = members
            .iter()
            .filter(|member| member.stamp != 0)
            .filter_map(|member| Some((member.collection.clone(), member.key.clone()?)))
            .collect();
        if settles && !marked.is_empty() {
            return Ok(Look::Unsettled(marked));
        }
        let found = self.viewed(layout, object, &members)?;
        if let Some(view) = &found
            && view.bytes.len() as u64 > bytes_max
        {
            return Err(too_large(path, view.bytes.len() as u64, bytes_max));
        }
        Ok(found.map_or(Look::Nothing, |view| Look::There(Box::new(view))))
    }

    /// Documents that plain SQL made and that may stand with others in the object at this path.
    fn new_at(&mut self, layout: &Layout, path: &str) -> Result<Vec<(String, String)>> {
        let mut new = Vec::new();
        for collection in layout.collections_at(path).iter().filter(|name| layout.is_shared(name)) {
            let marks = self.reader().marks((collection, ""), Some(collection), NEW_AT_ONCE)?;
            new.extend(marks.into_iter().map(|mark| (mark.collection, mark.key)));
        }
        Ok(new)
    }

    /// The document that plain SQL made and that is to be all of the object at this path.
    fn made_at(&mut self, layout: &Layout, path: &str) -> Result<Option<(String, String)>> {
        let Some(key) = layout.key_at(path) else { return Ok(None) };
        let is_new = matches!(self.find(layout, &key)?, Sought::Unsettled);
        Ok(is_new.then(|| (key.collection().to_owned(), key.text().to_owned())))
    }

    /// An object with what its rows say laid over; `None`: its only document has no row any more.
    pub(super) fn viewed(
        &mut self,
        layout: &Layout,
        object: StoredObject,
        members: &[Member],
    ) -> Result<Option<View>> {
        let (path, modified_ns) = (object.record.path.clone(), object.record.modified_ns);
        if is_in_pieces(&object.record) {
            return self.in_pieces(&object).map(Some);
        }
        let is_marked = members.iter().any(|member| member.stamp != 0);
        if is_marked && object.record.frame.is_none() && !self.shares(layout, &path) {
            let found = self.at(&path)?;
            return Ok(found.and_then(|found| {
                let (bytes, etag) = (found.assembled.bytes, found.etag?);
                Some(View { bytes, etag, modified_ns })
            }));
        }
        let whole = self.whole(object)?;
        let assembled = self.assemble(&whole)?;
        if !is_as_recorded(&whole, &assembled) {
            let message = format!("{path}: its bytes are not those that were recorded");
            return Err(Error::new(Kind::Corrupt, "R0803", message)
                .hint("repot verify names what differs; restore the database from a backup."));
        }
        if is_marked {
            let bytes = self.laid_over(&whole, &assembled.bytes)?.0;
            return Ok(bytes.map(|bytes| View { etag: etag_of_bytes(&bytes), bytes, modified_ns }));
        }
        let etag = etag_of(&whole.object.record, members.iter().map(|member| member.etag.as_str()))?;
        Ok(Some(View { bytes: assembled.bytes, etag, modified_ns }))
    }

    pub(super) fn shares(&self, layout: &Layout, path: &str) -> bool {
        layout.roots_at(path).iter().any(|&root| self.plan.roots[root].is_container())
    }

    /// An object with its documents.
    pub(super) fn whole(&mut self, object: StoredObject) -> Result<Whole> {
        let mut documents = Vec::new();
        self.reader().documents(&[object.id], &mut |document| {
            documents.push(document);
            Ok(())
        })?;
        Ok(Whole { object, documents })
    }

    /// A file with several documents, with their rows laid over, and those rows; no bytes where nothing of it is there any more.
    pub(super) fn laid_over(&mut self, whole: &Whole, bytes: &[u8]) -> Result<(Option<Vec<u8>>, RowBuffer)> {
        let (path, mut rows) = (&whole.object.record.path, RowBuffer::new());
        let mut again = Again::new(self.plan, self.routes, self.limits);
        let (found, all) = again.split(path, bytes);
        let mut actual: Vec<Option<RowBuffer>> = Vec::with_capacity(found.len());
        for (document, stored) in found.iter().zip(&whole.documents) {
            if stored.record.reason.is_some() {
                actual.push(None);
                continue;
            }
            let expected = expected_rows(all, document.rows.clone());
            let plan = self.plan;
            let own = actual_rows(self.reader(), plan, &expected)?;
            for (table, cells) in own.iter() {
                rows.raw(cells);
                rows.end_row(table);
            }
            actual.push(Some(own));
        }
        let Route::Documents { places, values } = self.routes.find(path) else { return Ok((None, rows)) };
        let places: Vec<Place<'_>> =
            places.iter().map(|&(root, template)| Place { root, template, values: &values }).collect();
        let laid = Splitter::new(self.plan, self.limits)
            .lay_over(&places, path, bytes, &actual)
            .map_err(|misfit| Error::new(Kind::Corrupt, misfit.code, format!("{path}: {}", misfit.reason)))?;
        Ok(((!laid.deleted).then_some(laid.bytes), rows))
    }

    fn in_pieces(&mut self, object: &StoredObject) -> Result<View> {
        let record = &object.record;
        let (mut bytes, mut unpacker) = (Vec::new(), Unpacker::new(&[])?);
        self.reader().pieces(&record.path, &mut |piece| {
            bytes.extend(unpacker.unpack_piece(&piece.bytes)?);
            Ok(())
        })?;
        let etag = etag_of(record, std::iter::empty())?;
        Ok(View { bytes, etag, modified_ns: record.modified_ns })
    }
}
