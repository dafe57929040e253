//! Two ways for values to be the same: written the same, and worth the same.

use crate::patch::members::{by_key, members};
use crate::patch::number::same_number;
use crate::scan::Kind;
use crate::value::Value;

/// Whether two values are written the same but for white space between their parts and escapes in their strings.
/// Setting the one to the other would change nothing.
#[must_use]
pub fn same_text(one: Value<'_>, other: Value<'_>) -> bool {
    let end = one.node().next - one.index();
    end == other.node().next - other.index()
        && (0..end).all(|step| {
            let (one, other) = (one.at(one.index() + step), other.at(other.index() + step));
            let ends = |value: Value<'_>| value.node().next - value.index();
            one.kind() == other.kind()
                && ends(one) == ends(other)
                && match one.kind() {
                    Kind::Number => one.raw() == other.raw(),
                    Kind::String | Kind::Key => one.content() == other.content(),
                    _ => true,
                }
        })
}

/// Whether two values are equal as RFC 6902 (4.6) has it: objects whatever the order of their keys, numbers by
/// their exact worth, strings by their characters.
#[must_use]
pub fn same_value(one: Value<'_>, other: Value<'_>) -> bool {
    let mut open = vec![(one.index(), other.index())];
    while let Some((at, with)) = open.pop() {
        let (one, other) = (one.at(at), other.at(with));
        if one.kind() != other.kind() {
            return false;
        }
        let same = match one.kind() {
            Kind::Null | Kind::False | Kind::True => true,
            Kind::Number => same_number(one.raw(), other.raw()),
            Kind::String | Kind::Key => one.content() == other.content(),
            Kind::Array => {
                open.extend(
                    one.elements().zip(other.elements()).map(|(one, other)| (one.index(), other.index())),
                );
                one.elements().count() == other.elements().count()
            }
            Kind::Object => same_keys(one, other, &mut open),
        };
        if !same {
            return false;
        }
    }
    true
}

/// Whether two objects have the same keys; their values are left in `open` to be compared.
fn same_keys(one: Value<'_>, other: Value<'_>, open: &mut Vec<(u32, u32)>) -> bool {
    let others = by_key(other);
    let ours = members(one);
    ours.len() == others.len()
        && ours.iter().all(|member| {
            let found = others.get(&member.content).and_then(|values| values.last());
            open.extend(found.map(|found| (member.value.index(), *found)));
            found.is_some()
        })
}
