//! What inference looks at, and how it is told to.

/// What is looked at. It may be walked several times, and the order of a walk must not matter. A walk may give
/// [`crate::essence()`] of a file's bytes in their place.
pub trait Corpus {
    /// Why a walk failed as a whole.
    type Error;

    /// Calls `each` with the path and size of every file.
    ///
    /// # Errors
    /// When the listing cannot be had; nothing is inferred then.
    fn paths(&self, each: &mut dyn FnMut(&str, u64)) -> Result<(), Self::Error>;

    /// Calls `each` with the path and bytes of every file, or the reason why its bytes cannot be had.
    ///
    /// # Errors
    /// When the walk as a whole cannot go on; a single file's failure is given to `each` instead.
    #[expect(clippy::type_complexity, reason = "an alias would hide what an implementation must write")]
    fn contents(&self, each: &mut dyn FnMut(&str, Result<&[u8], &str>)) -> Result<(), Self::Error>;
}

/// How to infer.
#[derive(Debug, Clone)]
pub struct Options {
    /// What `[repot] source` shall say.
    pub source: String,
    /// Most distinct values remembered for one key candidate (8 bytes and some each). Where a collection
    /// has more, no natural key is claimed.
    pub key_values_max: usize,
    /// Most memory for statistics, in places of documents (some hundred bytes each).
    pub places_max: usize,
}

impl Options {
    /// The defaults, for this source.
    #[must_use]
    pub fn new(source: impl Into<String>) -> Self {
        Self { source: source.into(), key_values_max: 2_000_000, places_max: 20_000 }
    }
}
