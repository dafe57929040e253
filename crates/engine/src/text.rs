//! Document texts, compressed: zstd level 1, with a dictionary trained per collection on its first documents.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use repot_core::{Error, Kind, Result};
use sha2::{Digest as _, Sha256};
use zstd::bulk::{Compressor, Decompressor};

const LEVEL: i32 = 1;
/// Bytes of documents a dictionary is trained on: more makes it little better and the start slower.
const SAMPLE_BYTES: usize = 512 << 10;
/// Documents on average above this size gain nothing from a dictionary.
const SAMPLE_AVERAGE_MAX: usize = 64 << 10;
const SAMPLES_MIN: usize = 32;
const DICTIONARY_BYTES: usize = 32 << 10;

/// Dictionaries by collection and by id, shared by all workers.
#[derive(Debug, Clone, Default)]
pub struct Dictionaries {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    by_collection: HashMap<String, Entry>,
    made: Vec<(i64, String, Vec<u8>)>,
    last: i64,
    /// Others write into the same database: an id must be one that nobody else gives, and nothing is compressed with a
    /// dictionary before it is stored.
    shared: bool,
}

#[derive(Debug)]
enum Entry {
    /// Samples are being gathered.
    Gathering { bytes: Vec<u8>, sizes: Vec<usize> },
    /// Decided: the id (0: none), and the dictionary.
    Ready(i64, Option<Arc<Vec<u8>>>),
}

impl Dictionaries {
    /// With those that are stored already.
    #[must_use]
    pub fn new(stored: Vec<(i64, String, Vec<u8>)>) -> Self {
        let mut inner = Inner::default();
        for (id, collection, bytes) in stored {
            inner.last = inner.last.max(id);
            inner.by_collection.insert(collection, Entry::Ready(id, Some(Arc::new(bytes))));
        }
        Self { inner: Arc::new(Mutex::new(inner)) }
    }

    /// With those that are stored already, where others store theirs too. A dictionary that is made is used after
    /// [`Dictionaries::publish`] only.
    #[must_use]
    pub fn shared(stored: Vec<(i64, String, Vec<u8>)>) -> Self {
        let dictionaries = Self::new(stored);
        dictionaries.inner.lock().unwrap_or_else(PoisonError::into_inner).shared = true;
        dictionaries
    }

    /// These are stored: from now on texts are compressed with them.
    pub fn publish(&self, stored: Vec<(i64, String, Vec<u8>)>) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        for (id, collection, bytes) in stored {
            inner.by_collection.insert(collection, Entry::Ready(id, Some(Arc::new(bytes))));
        }
    }

    /// The dictionary to compress a document of `collection` with: id 0 is none. `text` may become a sample.
    fn choose(&self, collection: &str, text: &[u8]) -> (i64, Option<Arc<Vec<u8>>>) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let inner = &mut *inner;
        if !inner.by_collection.contains_key(collection) {
            let gathering = Entry::Gathering { bytes: Vec::new(), sizes: Vec::new() };
            inner.by_collection.insert(collection.to_owned(), gathering);
        }
        let Some(entry) = inner.by_collection.get_mut(collection) else { return (0, None) };
        if let Entry::Gathering { bytes, sizes } = entry {
            bytes.extend_from_slice(text);
            sizes.push(text.len());
            if bytes.len() < SAMPLE_BYTES {
                return (0, None);
            }
            let useful = sizes.len() >= SAMPLES_MIN && bytes.len() / sizes.len() <= SAMPLE_AVERAGE_MAX;
            let trained =
                useful.then(|| zstd::dict::from_continuous(bytes, sizes, DICTIONARY_BYTES).ok()).flatten();
            *entry = match trained {
                Some(dictionary) if inner.shared => {
                    inner.made.push((content_id(&dictionary), collection.to_owned(), dictionary));
                    Entry::Ready(0, None)
                }
                Some(dictionary) => {
                    inner.last += 1;
                    inner.made.push((inner.last, collection.to_owned(), dictionary.clone()));
                    Entry::Ready(inner.last, Some(Arc::new(dictionary)))
                }
                None => Entry::Ready(0, None),
            };
        }
        match entry {
            Entry::Ready(id, dictionary) => (*id, dictionary.clone()),
            Entry::Gathering { .. } => (0, None),
        }
    }

    /// Dictionaries made since the last call; they must be stored before (or with) a text that uses them.
    #[must_use]
    pub fn take_made(&self) -> Vec<(i64, String, Vec<u8>)> {
        std::mem::take(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner).made)
    }
}

/// An id that only the same bytes have, whoever makes them; beyond the numbers that a copy gives.
fn content_id(dictionary: &[u8]) -> i64 {
    let hash = Sha256::digest(dictionary);
    hash.iter().take(7).fold(0, |id, byte| (id << 8) | i64::from(*byte)) | 1 << 56
}

/// Compresses texts; one for each thread.
pub struct Packer {
    dictionaries: Dictionaries,
    plain: Compressor<'static>,
    with: HashMap<i64, Compressor<'static>>,
}

impl std::fmt::Debug for Packer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Packer").field("dictionaries", &self.with.len()).finish_non_exhaustive()
    }
}

fn failed(error: std::io::Error) -> Error {
    Error::new(Kind::Internal, "R0901", "a text could not be compressed").cause(error)
}

impl Packer {
    /// A packer that shares `dictionaries`.
    ///
    /// # Errors
    /// When zstd cannot be set up.
    pub fn new(dictionaries: Dictionaries) -> Result<Self> {
        Ok(Self { dictionaries, plain: Compressor::new(LEVEL).map_err(failed)?, with: HashMap::new() })
    }

    /// Compresses a document's text: the dictionary's id (0: none) and the bytes.
    ///
    /// # Errors
    /// When zstd fails.
    pub fn pack(&mut self, collection: &str, text: &[u8]) -> Result<(i64, Vec<u8>)> {
        let (id, dictionary) = self.dictionaries.choose(collection, text);
        let Some(dictionary) = dictionary else { return Ok((0, self.pack_plain(text)?)) };
        let compressor = match self.with.entry(id) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert(Compressor::with_dictionary(LEVEL, &dictionary).map_err(failed)?)
            }
        };
        Ok((id, compressor.compress(text).map_err(failed)?))
    }

    /// Compresses without a dictionary.
    ///
    /// # Errors
    /// When zstd fails.
    pub fn pack_plain(&mut self, text: &[u8]) -> Result<Vec<u8>> {
        self.plain.compress(text).map_err(failed)
    }
}

/// Bytes of an object's piece before compression, at the most.
pub(crate) const PIECE_BYTES: usize = 4 << 20;

/// Decompresses texts; one for each thread.
pub struct Unpacker {
    plain: Decompressor<'static>,
    with: HashMap<i64, Decompressor<'static>>,
}

impl std::fmt::Debug for Unpacker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unpacker").field("dictionaries", &self.with.len()).finish_non_exhaustive()
    }
}

impl Unpacker {
    /// With the stored dictionaries.
    ///
    /// # Errors
    /// When zstd cannot be set up.
    pub fn new(stored: &[(i64, String, Vec<u8>)]) -> Result<Self> {
        let mut with = HashMap::new();
        for (id, _, bytes) in stored {
            with.insert(*id, Decompressor::with_dictionary(bytes).map_err(failed)?);
        }
        Ok(Self { plain: Decompressor::new().map_err(failed)?, with })
    }

    /// A piece of an object that is kept in pieces.
    ///
    /// # Errors
    /// [`Kind::Corrupt`] when the bytes are damaged.
    pub fn unpack_piece(&mut self, packed: &[u8]) -> Result<Vec<u8>> {
        self.plain.decompress(packed, PIECE_BYTES).map_err(|error| {
            Error::new(Kind::Corrupt, "R0803", "a stored piece is damaged: it does not unpack").cause(error)
        })
    }

    /// The text that was packed; `size` is its size.
    ///
    /// # Errors
    /// [`Kind::Corrupt`] when the bytes are damaged or the dictionary is missing.
    pub fn unpack(&mut self, dictionary: i64, packed: &[u8], size: usize) -> Result<Vec<u8>> {
        let corrupt =
            |what: &str| Error::new(Kind::Corrupt, "R0803", format!("a stored text is damaged: {what}"));
        let decompressor = match dictionary {
            0 => &mut self.plain,
            id => self.with.get_mut(&id).ok_or_else(|| corrupt("its dictionary is missing"))?,
        };
        let text = decompressor
            .decompress(packed, size)
            .map_err(|error| corrupt("it does not unpack").cause(error))?;
        if text.len() == size { Ok(text) } else { Err(corrupt("its size differs")) }
    }
}

#[cfg(test)]
mod tests {
    use super::{Dictionaries, Packer, Unpacker};

    #[test]
    fn texts_come_back_with_and_without_dictionary() {
        let dictionaries = Dictionaries::new(Vec::new());
        let mut packer = Packer::new(dictionaries.clone()).unwrap();
        let texts: Vec<String> = (0..2_000)
            .map(|n| format!(r#"{{"id":"{n}","role":"user","content":"message number {n} with words that repeat {}"}}"#, "x y z ".repeat(n % 90)))
            .collect();
        let packed: Vec<_> = texts.iter().map(|text| packer.pack("c", text.as_bytes()).unwrap()).collect();
        let made = dictionaries.take_made();
        assert_eq!(made.len(), 1, "a dictionary was trained");
        assert!(packed.iter().any(|(id, _)| *id == 1) && packed.iter().any(|(id, _)| *id == 0));
        let mut unpacker = Unpacker::new(&made).unwrap();
        for (text, (id, bytes)) in texts.iter().zip(&packed) {
            assert_eq!(unpacker.unpack(*id, bytes, text.len()).unwrap(), text.as_bytes());
        }
        let shared = Dictionaries::shared(Vec::new());
        let mut packer = Packer::new(shared.clone()).unwrap();
        let pack = |packer: &mut Packer, text: &String| packer.pack("c", text.as_bytes()).unwrap();
        assert!(texts.iter().all(|text| pack(&mut packer, text).0 == 0), "none is stored yet");
        let stored = shared.take_made();
        shared.publish(stored.clone());
        let (id, bytes) = pack(&mut packer, &texts[0]);
        assert_eq!(id, stored[0].0);
        let mut later = Unpacker::new(&stored).unwrap();
        assert_eq!(later.unpack(id, &bytes, texts[0].len()).unwrap(), texts[0].as_bytes());
        let (id, bytes) = &packed[1_999];
        assert!(unpacker.unpack(*id, &bytes[..bytes.len() / 2], texts[1_999].len()).is_err());
        assert!(Unpacker::new(&[]).unwrap().unpack(*id, bytes, texts[1_999].len()).is_err());
    }
}
