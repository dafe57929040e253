//! The entries of an object that count: of equal keys the last.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::value::Value;

/// One entry.
#[derive(Debug)]
pub(super) struct Member<'t> {
    pub(super) content: Cow<'t, [u8]>,
    pub(super) key: Value<'t>,
    pub(super) value: Value<'t>,
}

/// The entries that count, each key at its first place.
pub(super) fn members(object: Value<'_>) -> Vec<Member<'_>> {
    let mut out: Vec<Member<'_>> = Vec::new();
    let mut places: HashMap<Cow<'_, [u8]>, usize> = HashMap::new();
    for (key, value) in object.entries() {
        let content = key.content().unwrap_or_default();
        match places.get(&content) {
            Some(&place) => out[place] = Member { content, key, value },
            None => {
                places.insert(content.clone(), out.len());
                out.push(Member { content, key, value });
            }
        }
    }
    out
}

/// The node indexes of the values under each key of `object`.
pub(super) fn by_key(object: Value<'_>) -> HashMap<Cow<'_, [u8]>, Vec<u32>> {
    let mut out: HashMap<Cow<'_, [u8]>, Vec<u32>> = HashMap::new();
    for (key, value) in object.entries() {
        out.entry(key.content().unwrap_or_default()).or_default().push(value.index());
    }
    out
}
