//! Do two JSON values say the same?

use std::borrow::Cow;
use std::collections::HashMap;

use repot_json::{Kind, Value};

/// An object's entries by key; of equal keys the last.
pub(super) fn entries(object: Value<'_>) -> HashMap<Cow<'_, [u8]>, Value<'_>> {
    object.entries().filter_map(|(key, value)| Some((key.content()?, value))).collect()
}

/// The same value: entries in any order, strings however they are escaped, numbers by their text.
pub(super) fn same(one: Value<'_>, other: Value<'_>) -> bool {
    if one.kind() != other.kind() {
        return false;
    }
    if one.raw() == other.raw() {
        return true;
    }
    match one.kind() {
        Kind::Object => {
            let (left, right) = (entries(one), entries(other));
            left.len() == right.len()
                && left.iter().all(|(key, value)| right.get(key).is_some_and(|beside| same(*value, *beside)))
        }
        Kind::Array => {
            let (mut left, mut right) = (one.elements(), other.elements());
            loop {
                match (left.next(), right.next()) {
                    (None, None) => return true,
                    (Some(value), Some(beside)) if same(value, beside) => {}
                    _ => return false,
                }
            }
        }
        Kind::String => one.content() == other.content(),
        _ => false,
    }
}
