//! [`merge()`]: JSON Merge Patch (RFC 7396).

use crate::edit::Editor;
use crate::patch::draft::{Draft, root, scan};
use crate::patch::error::{PatchError, Text};
use crate::patch::members::{Member, by_key, members};
use crate::patch::spot::put;
use crate::scan::{Kind, Limits};
use crate::value::Value;

/// Merges `patch` into `document`: `null` removes an entry, an object is merged into the object that is there,
/// everything else replaces. New entries come after the old ones, in the order of the patch.
///
/// # Errors
/// When document, patch or outcome is no JSON within the limits.
pub fn merge(document: &[u8], patch: &[u8], limits: Limits) -> Result<Vec<u8>, PatchError> {
    let mut draft = Draft::open(document, patch.len(), limits)?;
    let tree = scan(patch, Text::Patch, limits)?;
    let patch = root(&tree, patch);
    draft.change(|document, editor| {
        if patch.kind() != Kind::Object {
            put(editor, document, patch);
        } else if document.kind() != Kind::Object {
            editor.replace(document.index(), &without_nulls(patch));
        } else {
            merge_objects(document, patch, editor);
        }
        Ok(())
    })?;
    Ok(draft.finish())
}

fn merge_objects(document: Value<'_>, patch: Value<'_>, editor: &mut Editor<'_>) {
    let mut open = vec![(document.index(), patch.index())];
    while let Some((object, with)) = open.pop() {
        let entries = by_key(document.at(object));
        for Member { content, key, value } in members(patch.at(with)) {
            let standing = entries.get(&content).map_or([].as_slice(), Vec::as_slice);
            let last = standing.last().map(|&last| document.at(last));
            match (value.kind(), last) {
                (Kind::Null, _) => standing.iter().for_each(|&old| editor.remove_entry(old)),
                (Kind::Object, Some(last)) if last.kind() == Kind::Object => {
                    open.push((last.index(), value.index()));
                }
                (Kind::Object, Some(last)) => editor.replace(last.index(), &without_nulls(value)),
                (Kind::Object, None) => editor.insert_quoted(object, key.raw(), &without_nulls(value)),
                (_, Some(last)) => put(editor, last, value),
                (_, None) => editor.insert_quoted(object, key.raw(), value.raw()),
            }
        }
    }
}

/// What an object of a patch makes of nothing: its text without the entries that are `null`, and of equal keys
/// only the last.
fn without_nulls(patch: Value<'_>) -> String {
    let mut out = String::with_capacity(patch.raw().len());
    let mut open = Vec::new();
    let mut next = Some(patch);
    loop {
        if let Some(object) = next.take() {
            out.push('{');
            let entries = members(object);
            open.push((entries.into_iter().filter(|member| member.value.kind() != Kind::Null), ""));
        }
        let Some((entries, comma)) = open.last_mut() else { return out };
        if let Some(Member { key, value, .. }) = entries.next() {
            out.push_str(std::mem::replace(comma, ","));
            out.push_str(key.raw());
            out.push(':');
            if value.kind() == Kind::Object {
                next = Some(value);
            } else {
                out.push_str(value.raw());
            }
        } else {
            out.push('}');
            open.pop();
        }
    }
}
