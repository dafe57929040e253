//! [`apply()`]: JSON Patch (RFC 6902).

use crate::patch::draft::{Draft, root, scan};
use crate::patch::equal::same_value;
use crate::patch::error::{PatchError, Text};
use crate::patch::operation::{Action, Operation, operations};
use crate::patch::pointer::{Pointer, resolve};
use crate::patch::spot::{Spot, put};
use crate::scan::Limits;
use crate::value::Value;

/// Applies the operations of `patch` to `document`, one after the other; if one fails, none is applied.
///
/// `test` compares by value: objects whatever the order of their keys, numbers by their exact decimal worth,
/// strings by their characters. A known member that stands twice in an operation is refused. Each operation that
/// changes something reads the whole document again, so the time is the number of operations times its size.
///
/// # Errors
/// When a text is no JSON within the limits, the patch is none, or an operation fails; with its number.
pub fn apply(document: &[u8], patch: &[u8], limits: Limits) -> Result<Vec<u8>, PatchError> {
    let mut draft = Draft::open(document, patch.len(), limits)?;
    let tree = scan(patch, Text::Patch, limits)?;
    for (number, operation) in operations(root(&tree, patch))?.iter().enumerate() {
        run(&mut draft, operation, limits).map_err(|error| error.in_operation(number))?;
    }
    Ok(draft.finish())
}

fn run(draft: &mut Draft<'_>, operation: &Operation<'_>, limits: Limits) -> Result<(), PatchError> {
    let Operation { path, action } = operation;
    match action {
        Action::Add(value) => draft.change(|root, editor| {
            Spot::find(root, path)?.add(*value, editor);
            Ok(())
        }),
        Action::Remove => draft.change(|root, editor| Spot::find(root, path)?.remove(path, editor)),
        Action::Replace(value) => draft.change(|root, editor| {
            put(editor, existing(root, path)?, *value);
            Ok(())
        }),
        Action::Test(value) => {
            if same_value(existing(draft.root(), path)?, *value) {
                Ok(())
            } else {
                Err(PatchError::TestFailed(path.clone().into()))
            }
        }
        Action::Copy(from) => draft.change(|root, editor| {
            let value = existing(root, from)?;
            Spot::find(root, path)?.add(value, editor);
            Ok(())
        }),
        Action::Move(from) => relocate(draft, from, path, limits),
    }
}

/// The value that must be there.
fn existing<'t>(root: Value<'t>, pointer: &Pointer) -> Result<Value<'t>, PatchError> {
    resolve(root, pointer).map_or_else(
        // The reason, if there is a better one than that nothing is there.
        || Spot::find(root, pointer).and(Err(PatchError::NoSuchPlace(pointer.clone().into()))),
        Ok,
    )
}

/// Moves a value: to the same as a removal and an addition after it.
fn relocate(draft: &mut Draft<'_>, from: &Pointer, path: &Pointer, limits: Limits) -> Result<(), PatchError> {
    let value = existing(draft.root(), from)?;
    if from == path {
        return Ok(());
    }
    if path.parts().starts_with(from.parts()) {
        return Err(PatchError::IntoItself(path.clone().into()));
    }
    let holder = |pointer: &Pointer| pointer.parts().split_last().map(|(_, holder)| holder.to_vec());
    if holder(from) == holder(path) {
        // In one go: a container that is emptied in between would forget its formatting.
        return draft.change(|root, editor| {
            let source = Spot::find(root, from)?;
            let target = Spot::find(root, path)?;
            let value = existing(root, from)?;
            source.remove(from, editor)?;
            match (source, target) {
                (Spot::Element { number: old, .. }, Spot::Element { list, number, .. }) => {
                    editor.insert_element(list.index(), before(list, old, number, path)?, value.raw());
                }
                _ => target.add(value, editor),
            }
            Ok(())
        });
    }
    let text = value.raw().to_owned();
    let tree = scan(text.as_bytes(), Text::Value, limits)?;
    let value = root(&tree, text.as_bytes());
    draft.change(|root, editor| Spot::find(root, from)?.remove(from, editor))?;
    draft.change(|root, editor| {
        Spot::find(root, path)?.add(value, editor);
        Ok(())
    })
}

/// Before which element of `list` one goes that shall have the number `new` once element number `old` has gone.
fn before(list: Value<'_>, old: usize, new: usize, path: &Pointer) -> Result<usize, PatchError> {
    let count = list.elements().count();
    let last = path.parts().last().is_some_and(|part| part == "-");
    if new >= count && !last {
        return Err(PatchError::NoSuchPlace(path.clone().into()));
    }
    Ok(if new > old && !last { new + 1 } else { new })
}
