//! [`Spot`]: what a pointer names in one state of a document, value or not, and the edits that are made there.

use crate::edit::Editor;
use crate::patch::equal::same_text;
use crate::patch::error::PatchError;
use crate::patch::pointer::{Pointer, follow, number};
use crate::scan::Kind;
use crate::value::Value;

/// Where a pointer leads.
#[derive(Debug, Clone, Copy)]
pub(super) enum Spot<'t, 'p> {
    /// The whole document.
    Whole(Value<'t>),
    /// An entry of an object, which need not be there.
    Entry { object: Value<'t>, key: &'p str, value: Option<Value<'t>> },
    /// An element of a list, or with no value the place after the last one.
    Element { list: Value<'t>, number: usize, value: Option<Value<'t>> },
}

impl<'t, 'p> Spot<'t, 'p> {
    /// Follows `pointer`.
    pub(super) fn find(root: Value<'t>, pointer: &'p Pointer) -> Result<Self, PatchError> {
        let place = || pointer.clone().into();
        let Some((last, path)) = pointer.parts().split_last() else { return Ok(Self::Whole(root)) };
        let holder = follow(root, path).ok_or_else(|| PatchError::NoSuchPlace(place()))?;
        match holder.kind() {
            Kind::Object => Ok(Self::Entry { object: holder, key: last, value: holder.get(last) }),
            Kind::Array => {
                let count = holder.elements().count();
                let number = if last == "-" { Some(count) } else { number(last) };
                let number = number.ok_or_else(|| PatchError::NotANumber(place()))?;
                if number > count {
                    return Err(PatchError::NoSuchPlace(place()));
                }
                Ok(Self::Element { list: holder, number, value: holder.elements().nth(number) })
            }
            _ => Err(PatchError::NotAContainer(place())),
        }
    }

    /// The value that is there.
    pub(super) const fn value(self) -> Option<Value<'t>> {
        match self {
            Self::Whole(value) => Some(value),
            Self::Entry { value, .. } | Self::Element { value, .. } => value,
        }
    }

    /// Puts `fresh` in the place of the value that is there, or adds it.
    pub(super) fn set(self, fresh: Value<'_>, editor: &mut Editor<'_>) {
        match (self, self.value()) {
            (_, Some(value)) => put(editor, value, fresh),
            (Self::Entry { object, key, .. }, None) => editor.insert_entry(object.index(), key, fresh.raw()),
            (Self::Element { list, number, .. }, None) => {
                editor.insert_element(list.index(), number, fresh.raw());
            }
            (Self::Whole(_), None) => {}
        }
    }

    /// Like [`Spot::set`], but elements move on for a new one, as `add` has it.
    pub(super) fn add(self, fresh: Value<'_>, editor: &mut Editor<'_>) {
        match self {
            Self::Element { list, number, .. } => editor.insert_element(list.index(), number, fresh.raw()),
            Self::Whole(_) | Self::Entry { .. } => self.set(fresh, editor),
        }
    }

    /// Removes what is there, with every older entry of the same key.
    pub(super) fn remove(self, pointer: &Pointer, editor: &mut Editor<'_>) -> Result<(), PatchError> {
        match self {
            Self::Whole(_) => return Err(PatchError::WholeDocument(pointer.clone().into())),
            Self::Entry { value: None, .. } | Self::Element { value: None, .. } => {
                return Err(PatchError::NoSuchPlace(pointer.clone().into()));
            }
            Self::Element { value: Some(value), .. } => editor.remove_element(value.index()),
            Self::Entry { object, key, .. } => {
                let same = object.entries().filter(|(name, _)| name.as_str().is_some_and(|name| name == key));
                same.for_each(|(_, value)| editor.remove_entry(value.index()));
            }
        }
        Ok(())
    }
}

/// Replaces a value, unless it is there already.
pub(super) fn put(editor: &mut Editor<'_>, value: Value<'_>, fresh: Value<'_>) {
    if !same_text(value, fresh) {
        editor.replace(value.index(), fresh.raw());
    }
}
