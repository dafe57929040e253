//! The operations of a JSON Patch, read and checked before any of them is applied.

use crate::patch::error::{PatchError, PatchFault};
use crate::patch::pointer::Pointer;
use crate::scan::Kind;
use crate::value::Value;

/// One operation.
#[derive(Debug)]
pub(super) struct Operation<'t> {
    pub(super) path: Pointer,
    pub(super) action: Action<'t>,
}

/// What is done at the path.
#[derive(Debug)]
pub(super) enum Action<'t> {
    Add(Value<'t>),
    Remove,
    Replace(Value<'t>),
    Move(Pointer),
    Copy(Pointer),
    Test(Value<'t>),
}

/// Reads a patch. Members that RFC 6902 does not know are skipped, as it says.
pub(super) fn operations(patch: Value<'_>) -> Result<Vec<Operation<'_>>, PatchError> {
    if patch.kind() != Kind::Array {
        return Err(PatchError::InvalidPatch { operation: None, fault: PatchFault::NotAList });
    }
    let read = |(number, operation)| operation_of(operation).map_err(|error| error.in_operation(number));
    patch.elements().enumerate().map(read).collect()
}

fn operation_of(object: Value<'_>) -> Result<Operation<'_>, PatchError> {
    if object.kind() != Kind::Object {
        return Err(invalid(PatchFault::NotAnObject));
    }
    let name = string(object, "op")?;
    let path = pointer(object, "path")?;
    let action = match name.as_str() {
        "add" => Action::Add(member(object, "value")?),
        "remove" => Action::Remove,
        "replace" => Action::Replace(member(object, "value")?),
        "move" => Action::Move(pointer(object, "from")?),
        "copy" => Action::Copy(pointer(object, "from")?),
        "test" => Action::Test(member(object, "value")?),
        _ => return Err(invalid(PatchFault::UnknownOperation(name))),
    };
    Ok(Operation { path, action })
}

const fn invalid(fault: PatchFault) -> PatchError {
    PatchError::InvalidPatch { operation: None, fault }
}

fn member<'t>(object: Value<'t>, name: &'static str) -> Result<Value<'t>, PatchError> {
    let mut found = object.entries().filter(|(key, _)| key.as_str().is_some_and(|key| key == name));
    let (_, value) = found.next().ok_or_else(|| invalid(PatchFault::Missing(name)))?;
    if found.next().is_some() { Err(invalid(PatchFault::Twice(name))) } else { Ok(value) }
}

fn string(object: Value<'_>, name: &'static str) -> Result<String, PatchError> {
    let value = member(object, name)?;
    if value.kind() != Kind::String {
        return Err(invalid(PatchFault::NotAString(name)));
    }
    value.as_str().map(Into::into).ok_or_else(|| invalid(PatchFault::LoneSurrogate(name)))
}

fn pointer(object: Value<'_>, name: &'static str) -> Result<Pointer, PatchError> {
    Pointer::parse(&string(object, name)?)
        .map_err(|error| PatchError::InvalidPointer { operation: None, error })
}
