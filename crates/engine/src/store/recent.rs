//! Texts of documents that were read of late, so that one which did not change since is neither sent, unpacked nor put together again.
//!
//! Each read still asks the database, which says what the document's `ETag` is now: equal `ETag`s have equal bytes
//! ([`repot_core::store::ETag`]), so nothing that is given from here is older than that answer, whoever wrote meanwhile. A database that
//! is a server leaves the text out of its answer where it is the known one ([`repot_core::StateReader::stored_unless`]).

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use quick_cache::sync::{Cache as Shelf, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};
use repot_core::store::{Document, DocumentKey, ETag, Layout};
use repot_core::{Error, FoundObject, Kind, Result, Status, StoredDocument, StoredObject};

use super::desk::{Desk, Found, modified_ms};
use super::finding::Sought;

/// Bytes of texts that a server usually keeps.
pub const RECENT_BYTES: usize = 16 << 20;
/// Bytes that the bookkeeping of one text takes, about.
const ENTRY_BYTES: u64 = 160;
/// A text of a usual document, from which the number of texts is guessed.
const TEXT_BYTES_USUAL: usize = 8 << 10;
/// Parts that are locked by themselves.
const SHARDS: usize = 4;
/// A text takes no more of its part than this share.
const SHARE: usize = 8;

/// A document's text, as it was with this `ETag`.
#[derive(Debug, Clone)]
struct Text {
    etag: ETag,
    body: Bytes,
}

/// Weighs paths and texts by their bytes.
#[derive(Debug, Clone)]
struct Size;

impl Weighter<String, Text> for Size {
    fn weight(&self, path: &String, text: &Text) -> u64 {
        ENTRY_BYTES + (path.len() + text.etag.as_str().len() + text.body.len()) as u64
    }
}

/// Texts by the paths of their objects, bounded by their bytes: what is asked for seldom goes first. One comes in when it is read for the
/// second time in a while, so that much more than there is room for is not carried in and out.
pub(super) struct Recent {
    shelf: Shelf<String, Text, Size>,
    /// What was read once: a part of the hash of its path, at the place that the rest of it names.
    once: Vec<AtomicU32>,
    hashes: RandomState,
    text_bytes_max: usize,
}

impl Recent {
    /// At most `bytes_max` bytes of texts and what belongs to them. `None`: there is no room for any.
    ///
    /// # Errors
    /// `R0901` when it cannot be made.
    pub(super) fn new(bytes_max: usize) -> Result<Option<Arc<Self>>> {
        let text_bytes_max = bytes_max / SHARDS / SHARE;
        if text_bytes_max == 0 {
            return Ok(None);
        }
        let texts = (bytes_max / TEXT_BYTES_USUAL).max(SHARDS);
        let options = OptionsBuilder::new()
            .shards(SHARDS)
            .weight_capacity(bytes_max as u64)
            .estimated_items_capacity(texts)
            .build()
            .map_err(|error| {
                Error::new(Kind::Internal, "R0901", "recent texts cannot be kept").cause(error)
            })?;
        let shelf =
            Shelf::with_options(options, Size, DefaultHashBuilder::default(), DefaultLifecycle::default());
        let once = (0..texts).map(|_| AtomicU32::new(0)).collect();
        Ok(Some(Arc::new(Self { shelf, once, hashes: RandomState::new(), text_bytes_max })))
    }

    /// Whether it was read before, and is among what was noted of that; it is from here on.
    fn is_again(&self, path: &str) -> bool {
        let hash = self.hashes.hash_one(path);
        let rest = u32::try_from(hash >> 32).unwrap_or_default();
        let place = usize::try_from(hash % self.once.len() as u64).ok();
        let noted = place.and_then(|place| self.once.get(place));
        noted.is_some_and(|noted| noted.swap(rest, Ordering::Relaxed) == rest)
    }

    fn put(&self, path: &str, etag: &ETag, body: &Bytes) {
        if body.len() <= self.text_bytes_max && self.is_again(path) {
            self.shelf.insert(path.to_owned(), Text { etag: etag.clone(), body: body.clone() });
        }
    }
}

/// Whether it is one document, whose text says all that there is.
fn is_plain(stamp: i64, object: &StoredObject, document: Option<&StoredDocument>) -> bool {
    stamp == 0
        && object.record.status == Status::Moved
        && object.record.frame.is_none()
        && document.is_some_and(|document| document.record.reason.is_none())
}

/// What a look at a path gives.
enum Look {
    /// The text is a known one.
    Same(Text, Option<i64>),
    /// As [`Desk::at`].
    Found(Option<Box<Found>>),
}

impl Desk<'_, '_> {
    /// The document with this key as it is now; `None`: not settled.
    pub(super) fn document(
        &mut self,
        layout: &Layout,
        key: &DocumentKey,
    ) -> Result<Option<Option<Document>>> {
        let sought = match layout.within(key)? {
            Some(within) => self.find_within(layout, key, &within)?,
            None => match self.paths(layout, key)?.as_slice() {
                [path] => match self.look(path)? {
                    Look::Same(Text { etag, body }, modified_ms) => {
                        return Ok(Some(Some(Document { key: key.clone(), etag, body, modified_ms })));
                    }
                    Look::Found(Some(found)) => Sought::There(found),
                    Look::Found(None) => self.unsettled(layout, key)?,
                },
                paths => self.find_at(layout, key, paths)?,
            },
        };
        Ok(match sought {
            Sought::There(found) => {
                let modified_ms = found.modified_ms();
                let object = &found.whole.object;
                let is_plain = is_plain(found.stamp, object, found.whole.documents.first());
                // what is kept takes the room that it is weighed by
                let mut bytes = found.assembled.bytes;
                bytes.shrink_to_fit();
                let body = Bytes::from(bytes);
                if let (Some(recent), Some(etag), true) = (self.recent(), &found.etag, is_plain) {
                    recent.put(&object.record.path, etag, &body);
                }
                Some(found.etag.map(|etag| Document { key: key.clone(), etag, body, modified_ms }))
            }
            Sought::Nothing(_) => Some(None),
            Sought::Unsettled => None,
        })
    }

    /// What is at this path now, with the text that is known of it where that is still its text.
    fn look(&mut self, path: &str) -> Result<Look> {
        let Some(recent) = self.recent() else { return self.found_at(path) };
        let Some(known) = recent.shelf.get(path) else { return self.found_at(path) };
        let found = self.reader().stored_unless(path, known.etag.as_str())?;
        let Some(found) = found else { return Ok(Look::Found(None)) };
        let FoundObject { object, document, stamp, .. } = &found;
        let (stamp, document) = (*stamp, document.as_ref());
        let is_same = document.is_some_and(|now| now.record.etag == known.etag.as_str());
        if is_same && is_plain(stamp, object, document) {
            return Ok(Look::Same(known, modified_ms(stamp, object, document)));
        }
        match found.is_known && stamp == 0 {
            // it was known when the database was asked, and is not any more
            true => self.found_at(path),
            false => Ok(Look::Found(self.taken(path, found)?.map(Box::new))),
        }
    }

    fn found_at(&mut self, path: &str) -> Result<Look> {
        Ok(Look::Found(self.at(path)?.map(Box::new)))
    }
}
