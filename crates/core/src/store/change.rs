//! Changes of a part of a document; every byte outside of the part stays.

use bytes::Bytes;
use repot_json::Limits;
use repot_json::patch::{self, PatchError, Pointer};

use crate::error::{Error, Kind, Result};

/// A change of a document's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The value at `at` is this JSON text from now on; its holder must be there.
    Set {
        /// Where.
        at: Pointer,
        /// JSON text.
        value: Bytes,
    },
    /// The entry or element at `at` is gone.
    Remove {
        /// Where.
        at: Pointer,
    },
    /// This JSON text is the last element of the list from now on; a list that is not there is made.
    Append {
        /// Where the list is.
        list: Pointer,
        /// JSON text.
        element: Bytes,
    },
    /// A JSON Merge Patch (RFC 7396).
    Merge(Bytes),
    /// A JSON Patch (RFC 6902); all of its operations or none.
    Patch(Bytes),
}

impl Change {
    /// The document's text after the change.
    ///
    /// # Errors
    /// [`Kind::Conflict`], code `R0408`, when a `test` operation fails; [`Kind::Invalid`], code `R0407`, when the change
    /// cannot be made, with the place.
    pub fn apply(&self, document: &[u8], limits: Limits) -> Result<Vec<u8>> {
        let changed = match self {
            Self::Set { at, value } => patch::set(document, at, value, limits),
            Self::Remove { at } => patch::remove(document, at, limits),
            Self::Append { list, element } => patch::append(document, list, element, limits),
            Self::Merge(patch) => patch::merge(document, patch, limits),
            Self::Patch(patch) => patch::apply(document, patch, limits),
        };
        changed.map_err(|error| {
            let message = format!("the change cannot be made: {error}");
            let made = if matches!(error, PatchError::TestFailed(_)) {
                Error::new(Kind::Conflict, "R0408", message)
                    .hint("Read the document again and decide on what is there now.")
            } else {
                Error::new(Kind::Invalid, "R0407", message).hint("Mend the change at the place named.")
            };
            made.cause(error)
        })
    }
}
