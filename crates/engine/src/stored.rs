//! Stored objects: their bytes put together again from documents and frame.

use std::collections::BTreeMap;

use repot_core::store::lay;
use repot_core::{Error, Kind, Reader, Result, StoredDocument, StoredObject};

use crate::frame;
use crate::prepare::{etag, sha256};
use crate::text::Unpacker;

/// A stored object with its documents, as read.
#[derive(Debug)]
pub(crate) struct Whole {
    pub object: StoredObject,
    pub documents: Vec<StoredDocument>,
}

/// A whole object put together.
#[derive(Debug)]
pub(crate) struct Assembled {
    /// The object's bytes.
    pub bytes: Vec<u8>,
    /// Where each document stands in them.
    pub spans: Vec<std::ops::Range<usize>>,
    /// Hash of the bytes without what is kept beside them; `None`: nothing is.
    pub without_kept: Option<Vec<u8>>,
}

impl Assembled {
    /// One document that is all of the object.
    pub(crate) fn alone(bytes: Vec<u8>) -> Self {
        Self { spans: std::iter::once(0..bytes.len()).collect(), bytes, without_kept: None }
    }
}

/// Reads the documents of `objects` and gives each object with its documents to `each`, in order.
pub(crate) fn each_whole(
    reader: &mut dyn Reader,
    objects: Vec<StoredObject>,
    each: &mut dyn FnMut(Whole) -> Result<()>,
) -> Result<()> {
    let ids: Vec<i64> = objects.iter().map(|object| object.id).collect();
    let mut documents: BTreeMap<i64, Vec<StoredDocument>> = BTreeMap::new();
    reader.documents(&ids, &mut |document| {
        documents.entry(document.object).or_default().push(document);
        Ok(())
    })?;
    for object in objects {
        let documents = documents.remove(&object.id).unwrap_or_default();
        each(Whole { object, documents })?;
    }
    Ok(())
}

/// Whether an object is what was recorded of it: by its hash, or, where single documents of it were written since, by
/// those of its frame and of each document.
pub(crate) fn is_as_recorded(whole: &Whole, assembled: &Assembled) -> bool {
    let record = &whole.object.record;
    if !frame::is_by_parts(&record.sha256) {
        return match &assembled.without_kept {
            Some(own) => *own == record.sha256,
            None => sha256(&assembled.bytes) == record.sha256,
        };
    }
    let text = |span: &std::ops::Range<usize>| assembled.bytes.get(span.clone()).unwrap_or_default();
    let mut documents = whole.documents.iter().zip(&assembled.spans);
    frame::hash_by_parts(record.frame.as_deref()) == record.sha256
        && assembled.bytes.len() as u64 == record.size
        && documents.all(|(document, span)| etag(&sha256(text(span))) == document.record.etag)
}

/// Puts an object's bytes together. Objects kept as pieces are not put together here.
pub(crate) fn assemble(whole: &Whole, unpacker: &mut Unpacker) -> Result<Assembled> {
    let record = &whole.object.record;
    let damaged = |what: &str| Error::new(Kind::Corrupt, "R0803", format!("{}: {what}", record.path));
    let mut text_of = |document: &StoredDocument| {
        let record = &document.record;
        let size = usize::try_from(record.size).map_err(|error| damaged("a size is wrong").cause(error))?;
        let text = unpacker.unpack(record.dictionary, &record.text, size)?;
        if document.kept.is_empty() {
            return Ok((text, None));
        }
        let own = sha256(&text);
        Ok((lay(text, document.kept.iter().map(Vec::as_slice))?, Some(own)))
    };
    let Some(frame) = record.frame.as_deref() else {
        let [document] = whole.documents.as_slice() else { return Err(damaged("documents are missing")) };
        let (text, without_kept) = text_of(document)?;
        return Ok(Assembled { without_kept, ..Assembled::alone(text) });
    };
    let gaps = frame::decode(frame)?;
    if gaps.len() != whole.documents.len() + 1 {
        return Err(damaged("documents are missing"));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(record.size).unwrap_or(0).min(64 << 20));
    let mut spans = Vec::with_capacity(whole.documents.len());
    let mut without_kept = None;
    for (gap, document) in gaps.iter().zip(&whole.documents) {
        let (text, own) = text_of(document)?;
        without_kept = own.or(without_kept);
        bytes.extend_from_slice(gap);
        spans.push(bytes.len()..bytes.len() + text.len());
        bytes.extend_from_slice(&text);
    }
    if let Some(last) = gaps.last() {
        bytes.extend_from_slice(last);
    }
    Ok(Assembled { bytes, spans, without_kept })
}
