//! [`append`], [`set`] and [`remove`]: one change at one place.

use crate::patch::draft::{Draft, root, scan};
use crate::patch::error::{PatchError, Text};
use crate::patch::pointer::Pointer;
use crate::patch::spot::Spot;
use crate::scan::{Kind, Limits, Tree};

/// Adds `element` at the end of the list at `list`. Where an object has no such entry it gets one: a list with
/// this element.
///
/// # Errors
/// When a text is no JSON within the limits, something else than a list is there, or no object for a new one.
pub fn append(
    document: &[u8],
    list: &Pointer,
    element: &[u8],
    limits: Limits,
) -> Result<Vec<u8>, PatchError> {
    append_all(document, list, &[element], limits)
}

/// Adds all of `elements` at the end of the list at `list`, in their order, as [`append`] would one after the
/// other, but reads and writes the document once. Without elements nothing changes.
///
/// # Errors
/// As [`append`], when one of them cannot be added; then none is.
pub fn append_all(
    document: &[u8],
    list: &Pointer,
    elements: &[&[u8]],
    limits: Limits,
) -> Result<Vec<u8>, PatchError> {
    let bytes = elements.iter().map(|element| element.len()).sum();
    let mut draft = Draft::open(document, bytes, limits)?;
    let trees: Vec<Tree> =
        elements.iter().map(|element| scan(element, Text::Value, limits)).collect::<Result<_, _>>()?;
    let texts: Vec<&str> =
        trees.iter().zip(elements).map(|(tree, element)| root(tree, element).raw()).collect();
    if texts.is_empty() {
        return Ok(draft.finish());
    }
    draft.change(|root, editor| {
        let spot = Spot::find(root, list)?;
        match (spot, spot.value()) {
            (_, Some(value)) if value.kind() == Kind::Array => {
                for text in &texts {
                    editor.insert_element(value.index(), usize::MAX, text);
                }
            }
            (_, Some(_)) => return Err(PatchError::NotAList(list.clone().into())),
            (Spot::Entry { object, key, .. }, None) => {
                editor.insert_entry(object.index(), key, &format!("[{}]", texts.join(",")));
            }
            (_, None) => return Err(PatchError::NoSuchPlace(list.clone().into())),
        }
        Ok(())
    })?;
    Ok(draft.finish())
}

/// Sets what is at `at` to `value`: replaces the value that is there, else adds an entry to its object, or an
/// element where `at` ends with `-` or the number after the last one.
///
/// # Errors
/// When a text is no JSON within the limits, or there is no object or list for the value.
pub fn set(document: &[u8], at: &Pointer, value: &[u8], limits: Limits) -> Result<Vec<u8>, PatchError> {
    let mut draft = Draft::open(document, value.len(), limits)?;
    let tree = scan(value, Text::Value, limits)?;
    let value = root(&tree, value);
    draft.change(|root, editor| {
        Spot::find(root, at)?.set(value, editor);
        Ok(())
    })?;
    Ok(draft.finish())
}

/// Removes the entry or element at `at`; where its key stands twice, each of them.
///
/// # Errors
/// When the document is no JSON within the limits, nothing is there, or `at` is the whole document.
pub fn remove(document: &[u8], at: &Pointer, limits: Limits) -> Result<Vec<u8>, PatchError> {
    let mut draft = Draft::open(document, 0, limits)?;
    draft.change(|root, editor| Spot::find(root, at)?.remove(at, editor))?;
    Ok(draft.finish())
}
