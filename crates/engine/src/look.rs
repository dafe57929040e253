//! `init`: a source as the corpus that inference walks.

use repot_core::{Error, Listed, ReadError, Result, Source};
use repot_infer::Corpus;

/// A source to infer a model from.
#[derive(Debug)]
pub struct SourceCorpus<'a> {
    source: &'a dyn Source,
    document_bytes_max: u64,
}

impl<'a> SourceCorpus<'a> {
    /// Objects above `document_bytes_max` are listed, not read.
    #[must_use]
    pub const fn new(source: &'a dyn Source, document_bytes_max: u64) -> Self {
        Self { source, document_bytes_max }
    }
}

impl Corpus for SourceCorpus<'_> {
    type Error = Error;

    fn paths(&self, each: &mut dyn FnMut(&str, u64)) -> Result<()> {
        for entry in self.source.list()? {
            if let Listed::Object(object) = entry? {
                each(&object.path, object.size);
            }
        }
        Ok(())
    }

    fn contents(&self, each: &mut dyn FnMut(&str, Result<&[u8], &str>)) -> Result<()> {
        for entry in self.source.list()? {
            let Listed::Object(object) = entry? else { continue };
            match self.source.read(&object.path, self.document_bytes_max) {
                Ok(read) => each(&object.path, Ok(&read.bytes)),
                Err(ReadError::Source(error)) => return Err(error),
                Err(ReadError::Gone) => {}
                Err(ReadError::TooLarge { .. }) => each(&object.path, Err("too large to be a document")),
                Err(ReadError::Changing) => each(&object.path, Err("kept changing while it was read")),
                Err(ReadError::Unreadable(reason)) => each(&object.path, Err(&reason)),
            }
        }
        Ok(())
    }
}
