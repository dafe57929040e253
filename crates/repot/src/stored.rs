//! A typed value with the document it was read from.

use std::ops::{Deref, DerefMut};

use bytes::Bytes;
use repot_core::store::{Document, DocumentKey, ETag};
use repot_core::{Error as Cause, Kind};
use repot_json::Limits;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Result;
use crate::text::{Shape, changed, says};

/// A value of a collection with the very document it stands for. Changing the value changes nothing yet;
/// [`crate::Collection::update`] writes the fields that differ.
#[derive(Debug, Clone)]
pub struct Stored<T> {
    pub(crate) value: T,
    pub(crate) document: Document,
    /// It was written, but could not be read again: the store may have filled fields that are not in here.
    pub(crate) stale: bool,
}

impl<T> Stored<T> {
    /// The value alone.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.value
    }

    /// Which document it is.
    #[must_use]
    pub const fn key(&self) -> &DocumentKey {
        &self.document.key
    }

    /// The state that was read or written.
    #[must_use]
    pub const fn etag(&self) -> &ETag {
        &self.document.etag
    }

    /// The document's exact text in that state.
    #[must_use]
    pub const fn body(&self) -> &Bytes {
        &self.document.body
    }
}

impl<T> Deref for Stored<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Stored<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T: DeserializeOwned> Stored<T> {
    /// Reads the type from the document.
    pub(crate) fn read(document: Document) -> Result<Self> {
        Ok(Self { value: read(&document.key, &document.body)?, document, stale: false })
    }
}

/// The value that a text says.
pub(crate) fn read<T: DeserializeOwned>(key: &DocumentKey, body: &[u8]) -> Result<T> {
    serde_json::from_slice(body).map_err(|error| {
        Cause::new(
            Kind::Invalid,
            "R0404",
            format!("{key} cannot be read as {}: {error}", std::any::type_name::<T>()),
        )
        .hint("Let the type allow what stands there, such as a missing field, or mend the document.")
        .cause(error)
        .into()
    })
}

/// The JSON text of a value, on one line.
pub(crate) fn write<T: Serialize>(key: &DocumentKey, value: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| unwritable(key, &error.to_string()).cause(error).into())
}

fn unwritable(key: &DocumentKey, reason: &str) -> Cause {
    Cause::new(Kind::Invalid, "R0404", format!("the value for {key} has no JSON text: {reason}"))
        .hint("Give it a value that JSON can say.")
}

/// The text of a document after its typed value became `value`; `None` when it says that already.
///
/// What is read back from the new text is `value` again, or it is refused: a type that reads a field under another
/// name than it writes it (`alias`) cannot be changed without saying things twice.
pub(crate) fn rewritten<T: Serialize + DeserializeOwned>(
    document: &Document,
    value: &T,
    shape: &Shape,
    limits: Limits,
) -> Result<Option<Vec<u8>>> {
    let key = &document.key;
    let before = write(key, &read::<T>(key, &document.body)?)?;
    let after = write(key, value)?;
    let text = changed(&document.body, (&before, &after), shape, limits)
        .map_err(|error| unwritable(key, &error.to_string()).cause(error))?;
    let Some(text) = text else { return Ok(None) };
    let back = read::<T>(key, &text).and_then(|value| write(key, &value));
    if back.is_ok_and(|back| says(&back, &after, limits)) {
        return Ok(Some(text));
    }
    let name = std::any::type_name::<T>();
    let message = format!(
        "the text of {key} cannot be changed to this value: {name} reads it otherwise than it writes it"
    );
    Err(Cause::new(Kind::Invalid, "R0404", message)
        .hint("Let the type write what it reads (no `alias`, no value without JSON, no HashSet), or use `change`.")
        .into())
}
