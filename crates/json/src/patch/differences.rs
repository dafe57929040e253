//! [`differences()`]: what differs between two texts, by place.

use std::collections::{HashMap, HashSet};

use crate::patch::equal::same_text;
use crate::patch::members::members;
use crate::patch::pointer::Pointer;
use crate::scan::Kind;
use crate::value::Value;

/// Something that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference<'t> {
    /// Where: in the new text, or in the old one for what is no more.
    pub at: Pointer,
    /// The JSON text that stood there; `None`: nothing did.
    pub old: Option<&'t str>,
    /// The JSON text that stands there now; `None`: nothing does.
    pub new: Option<&'t str>,
}

/// What differs between two documents, in their order, to the innermost values; white space between values is no
/// difference. Objects are compared by key. Of two lists the equal elements at both ends are left aside; what is
/// between them is compared one by one where both have as many, else the old ones went and the new ones came.
///
/// More than `most`: one difference, of the whole.
#[must_use]
pub fn differences<'t>(old: Value<'t>, new: Value<'t>, most: usize) -> Vec<Difference<'t>> {
    let mut found = Vec::new();
    let whole = (old.raw(), new.raw());
    let mut open: Open<'t> = vec![(Vec::new(), Some(old), Some(new))];
    while let Some((at, one, other)) = open.pop() {
        let start = open.len();
        match (one, other) {
            (Some(one), Some(other)) if same_text(one, other) => continue,
            (Some(one), Some(other)) if one.kind() == Kind::Object && other.kind() == Kind::Object => {
                entries(&at, (one, other), &mut open);
            }
            (Some(one), Some(other)) if one.kind() == Kind::Array && other.kind() == Kind::Array => {
                elements(&at, (one, other), &mut open);
            }
            _ => {
                let (old, new) = (one.map(Value::raw), other.map(Value::raw));
                found.push(Difference { at: Pointer::from_parts(at), old, new });
                if found.len() > most {
                    let at = Pointer::default();
                    return vec![Difference { at, old: Some(whole.0), new: Some(whole.1) }];
                }
            }
        }
        // taken from the end: the first comes next
        open[start..].reverse();
    }
    found
}

/// Places that are still to be compared.
type Open<'t> = Vec<(Vec<String>, Option<Value<'t>>, Option<Value<'t>>)>;

fn inside(at: &[String], part: String) -> Vec<String> {
    at.iter().cloned().chain([part]).collect()
}

fn entries<'t>(at: &[String], (old, new): (Value<'t>, Value<'t>), open: &mut Open<'t>) {
    let (before, after) = (members(old), members(new));
    let there: HashMap<&[u8], Value<'t>> =
        after.iter().map(|member| (member.content.as_ref(), member.value)).collect();
    let known: HashSet<&[u8]> = before.iter().map(|member| member.content.as_ref()).collect();
    let name = |content: &[u8]| String::from_utf8_lossy(content).into_owned();
    for member in &before {
        let now = there.get(member.content.as_ref()).copied();
        open.push((inside(at, name(&member.content)), Some(member.value), now));
    }
    for member in after.iter().filter(|one| !known.contains(one.content.as_ref())) {
        open.push((inside(at, name(&member.content)), None, Some(member.value)));
    }
}

fn elements<'t>(at: &[String], (old, new): (Value<'t>, Value<'t>), open: &mut Open<'t>) {
    let (before, after): (Vec<_>, Vec<_>) = (old.elements().collect(), new.elements().collect());
    let equal = |(one, other): &(&Value<'t>, &Value<'t>)| same_text(**one, **other);
    let start = before.iter().zip(&after).take_while(equal).count();
    let shorter = before.len().min(after.len()) - start;
    let end = before.iter().rev().zip(after.iter().rev()).take(shorter).take_while(equal).count();
    let (gone, come) = (start..before.len() - end, start..after.len() - end);
    if gone.len() == come.len() {
        open.extend(
            gone.map(|place| (inside(at, place.to_string()), Some(before[place]), Some(after[place]))),
        );
        return;
    }
    open.extend(gone.map(|place| (inside(at, place.to_string()), Some(before[place]), None)));
    open.extend(come.map(|place| (inside(at, place.to_string()), None, Some(after[place]))));
}

#[cfg(test)]
mod tests {
    use super::differences;
    use crate::{Limits, Tree};

    fn shown(old: &str, new: &str, most: usize) -> Vec<String> {
        let (one, other) = (
            Tree::parse(old.as_bytes(), Limits::default()).unwrap(),
            Tree::parse(new.as_bytes(), Limits::default()).unwrap(),
        );
        let found = differences(one.root(old.as_bytes()).unwrap(), other.root(new.as_bytes()).unwrap(), most);
        found
            .iter()
            .map(|one| format!("{} {} {}", one.at, one.old.unwrap_or("-"), one.new.unwrap_or("-")))
            .collect()
    }

    #[test]
    fn values_by_their_places() {
        let old = r#"{"a": 1, "b": {"c": [1, 2, 3], "d/e": "x"}, "gone": true}"#;
        let new = r#"{"b": {"c": [0, 1, 2, 3], "d/e": null}, "a":1, "new": []}"#;
        assert_eq!(shown(old, new, 9), ["/b/c/0 - 0", "/b/d~1e \"x\" null", "/gone true -", "/new - []"]);
        assert_eq!(shown(old, new, 3), [format!(" {old} {new}")]);
        assert_eq!(shown("[1, 2, 3]", "[1,3]", 9), ["/1 2 -"]);
        assert_eq!(shown(r#"[{"a": 1}, {"a": 2}]"#, r#"[{"a": 1}, {"a": 3}]"#, 9), ["/1/a 2 3"]);
        assert_eq!(shown("[]", "{}", 9), [" [] {}"]);
        assert!(shown(r#"{"a": [1, 2]}"#, r#"{ "a":[1,2] }"#, 9).is_empty());
        assert_eq!(shown("[1, 1]", "[1, 1, 1]", 9), ["/2 - 1"]);
    }
}
