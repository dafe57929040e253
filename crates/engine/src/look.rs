//! `init`: a source as the corpus that inference walks. Inference walks it several times; the source is asked
//! once. What it said is kept packed until then, so that a bucket is not paid for again, and every walk sees
//! one state of it.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use repot_core::{Error, Kind, Listed, ReadError, Result, Source};
use repot_infer::Corpus;

use crate::spool::{Record, Spool, Spooled};

/// The body is the content, or what inference needs of it.
const CONTENT: u8 = 0;
/// The body is the reason why there is no content.
const REASON: u8 = 1;

/// A source to infer a model from.
#[derive(Debug)]
pub struct SourceCorpus<'a> {
    source: &'a dyn Source,
    document_bytes_max: u64,
    temporary: PathBuf,
    /// Path and size (as 8 bytes) of every object, once it was listed.
    listing: RefCell<Option<Spooled>>,
    /// What every object holds, once it was read.
    contents: RefCell<Option<Spooled>>,
}

impl<'a> SourceCorpus<'a> {
    /// Objects above `document_bytes_max` are listed, not read. What is read is kept in memory as long as it is
    /// little, then in a file in `temporary` that has no name and takes at most the space of the objects that hold
    /// JSON.
    #[must_use]
    pub fn new(source: &'a dyn Source, document_bytes_max: u64, temporary: &Path) -> Self {
        Self {
            source,
            document_bytes_max,
            temporary: temporary.to_owned(),
            listing: RefCell::default(),
            contents: RefCell::default(),
        }
    }

    fn list(&self, each: &mut dyn FnMut(&str, u64)) -> Result<Spooled> {
        let mut spool = Spool::new(&self.temporary)?;
        for entry in self.source.list()? {
            if let Listed::Object(object) = entry? {
                each(&object.path, object.size);
                spool.push(&Record { tag: CONTENT, path: &object.path, body: &object.size.to_le_bytes() })?;
            }
        }
        spool.finish()
    }

    #[expect(clippy::type_complexity, reason = "what inference hands in")]
    fn read(&self, each: &mut dyn FnMut(&str, Result<&[u8], &str>)) -> Result<Spooled> {
        let mut spool = Spool::new(&self.temporary)?;
        let mut keep = |path: &str, content: Result<&[u8], &str>| {
            each(path, content);
            let (tag, body) = match content {
                Ok(bytes) => (CONTENT, repot_infer::essence(bytes)),
                Err(reason) => (REASON, reason.as_bytes()),
            };
            spool.push(&Record { tag, path, body })
        };
        self.listed(&mut |path, _| match self.source.read(path, self.document_bytes_max) {
            Ok(read) => keep(path, Ok(&read.bytes)),
            Err(ReadError::Source(error)) => Err(error),
            Err(ReadError::Gone) => Ok(()),
            Err(ReadError::TooLarge { .. }) => keep(path, Err("too large to be a document")),
            Err(ReadError::Changing) => keep(path, Err("kept changing while it was read")),
            Err(ReadError::Unreadable(reason)) => keep(path, Err(&reason)),
        })?;
        spool.finish()
    }

    /// The listing, taken now if it was not before.
    fn listed(&self, each: &mut dyn FnMut(&str, u64) -> Result<()>) -> Result<()> {
        let mut listing = self.listing.borrow_mut();
        let listing = match &mut *listing {
            Some(listing) => listing,
            none => none.insert(self.list(&mut |_, _| {})?),
        };
        listing.each(&mut |record| {
            let size = record.body.first_chunk().ok_or_else(|| strange(record.path))?;
            each(record.path, u64::from_le_bytes(*size))
        })
    }
}

impl Corpus for SourceCorpus<'_> {
    type Error = Error;

    fn paths(&self, each: &mut dyn FnMut(&str, u64)) -> Result<()> {
        if self.listing.borrow().is_none() {
            let listing = self.list(each)?;
            self.listing.replace(Some(listing));
            return Ok(());
        }
        self.listed(&mut |path, size| {
            each(path, size);
            Ok(())
        })
    }

    fn contents(&self, each: &mut dyn FnMut(&str, Result<&[u8], &str>)) -> Result<()> {
        let mut contents = self.contents.borrow_mut();
        let Some(spooled) = &mut *contents else {
            *contents = Some(self.read(each)?);
            return Ok(());
        };
        spooled.each(&mut |Record { tag, path, body }| {
            match (tag, std::str::from_utf8(body)) {
                (CONTENT, _) => each(path, Ok(body)),
                (REASON, Ok(reason)) => each(path, Err(reason)),
                _ => return Err(strange(path)),
            }
            Ok(())
        })
    }
}

fn strange(path: &str) -> Error {
    Error::new(Kind::Internal, "R0901", format!("what was kept of {path} is not what was read"))
}
