//! [`Draft`]: a document between two changes, always scanned.

use std::borrow::Cow;

use crate::edit::Editor;
use crate::patch::error::{PatchError, Text};
use crate::scan::{Limits, Tree};
use crate::value::Value;

/// How much longer than document and patch together an outcome may be: room for indentation and copies, and a
/// bound for patches that copy the document into itself again and again.
const GROWTH_BYTES_MAX: usize = 64 << 20;

/// A document that is being changed.
#[derive(Debug)]
pub(super) struct Draft<'d> {
    text: Cow<'d, [u8]>,
    tree: Tree,
    limits: Limits,
    bytes_max: usize,
}

impl<'d> Draft<'d> {
    /// Scans `document`, to which no more than `patch_bytes` will be added on purpose.
    pub(super) fn open(document: &'d [u8], patch_bytes: usize, limits: Limits) -> Result<Self, PatchError> {
        let tree = scan(document, Text::Document, limits)?;
        let bytes_max = document.len().saturating_add(patch_bytes).saturating_add(GROWTH_BYTES_MAX);
        Ok(Self { text: Cow::Borrowed(document), tree, limits, bytes_max })
    }

    /// The document as changed so far.
    pub(super) fn root(&self) -> Value<'_> {
        root(&self.tree, &self.text)
    }

    /// Applies the edits that `edit` gives.
    pub(super) fn change<E>(&mut self, edit: E) -> Result<(), PatchError>
    where
        E: FnOnce(Value<'_>, &mut Editor<'_>) -> Result<(), PatchError>,
    {
        let mut editor = Editor::new(self.root());
        edit(self.root(), &mut editor)?;
        if editor.is_empty() {
            return Ok(());
        }
        let text = editor.finish();
        if text.len() > self.bytes_max {
            return Err(PatchError::TooLong { operation: None });
        }
        self.tree.scan(&text, self.limits).map_err(|error| PatchError::NotJson {
            text: Text::Outcome,
            operation: None,
            error,
        })?;
        self.text = Cow::Owned(text);
        Ok(())
    }

    /// The document's new text.
    pub(super) fn finish(self) -> Vec<u8> {
        self.text.into_owned()
    }
}

/// Scans one of the texts of a call.
pub(super) fn scan(bytes: &[u8], text: Text, limits: Limits) -> Result<Tree, PatchError> {
    Tree::parse(bytes, limits).map_err(|error| PatchError::NotJson { text, operation: None, error })
}

/// The root of a text that was scanned.
pub(super) fn root<'t>(tree: &'t Tree, text: &'t [u8]) -> Value<'t> {
    tree.root(text).expect("a text that was scanned is UTF-8 and has a value")
}
