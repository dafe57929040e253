//! [`find`]: a place of a document named as people name it: entries by key, rows of a list by theirs.

use super::lists::{Lists, Step as Taken};
use super::pointer::Pointer;
use crate::scan::Kind;
use crate::value::Value;

/// A step of such a way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WayStep {
    /// The entry with this key; in a list of rows that have a key, the row with this one.
    Name(String),
    /// The element of a list at this place, from 0.
    Place(usize),
}

/// Where a way leads.
#[derive(Debug, Clone)]
pub struct Found<'t> {
    /// The same place as a JSON Pointer, in this very state of the document.
    pub pointer: Pointer,
    /// What is there; `None`: an entry that its object does not have.
    pub value: Option<Value<'t>>,
}

/// Follows a way. `None`: it ends before its last step, or at an element that is not there.
#[must_use]
pub fn find<'t>(root: Value<'t>, way: &[WayStep], lists: &Lists) -> Option<Found<'t>> {
    let (mut parts, mut taken) = (Vec::with_capacity(way.len()), Vec::with_capacity(way.len()));
    let mut at = Some(root);
    for step in way {
        let here = at?;
        let (part, next) = match (here.kind(), step) {
            (Kind::Object, WayStep::Name(name)) => {
                taken.push(Taken::Entry(name.clone()));
                (name.clone(), here.get(name))
            }
            (Kind::Array, step) => {
                let place = match step {
                    WayStep::Place(place) => *place,
                    WayStep::Name(key) => row(here, key, lists.key(&taken)?)?,
                };
                taken.push(Taken::Element(place));
                (place.to_string(), Some(here.elements().nth(place)?))
            }
            _ => return None,
        };
        parts.push(part);
        at = next;
    }
    Some(Found { pointer: Pointer::from_parts(parts), value: at })
}

/// The place of the row whose one key value is this text; the last, where several have it.
fn row(list: Value<'_>, key: &str, names: &[Vec<String>]) -> Option<usize> {
    let [names] = names else { return None };
    let is = |row: Value<'_>| {
        let value = names.iter().try_fold(row, |value, name| value.get(name))?;
        match value.kind() {
            Kind::String => Some(value.as_str()? == key),
            Kind::Number => Some(value.raw() == key),
            _ => None,
        }
    };
    list.elements().enumerate().filter(|(_, row)| is(*row) == Some(true)).last().map(|(place, _)| place)
}

#[cfg(test)]
mod tests {
    use super::super::lists::{Lists, Part};
    use super::{WayStep, find};
    use crate::Limits;
    use crate::Tree;

    #[test]
    fn ways_lead_to_entries_and_rows() {
        let text = br#"{"cast": [{"id": "mara", "voice": "low"}, {"id": 7}], "tags": ["a"], "title": "x"}"#;
        let lists = Lists::default().with(vec![Part::Name("cast".into())], vec![vec!["id".into()]]);
        let tree = Tree::parse(text, Limits::default()).unwrap();
        let root = tree.root(text).unwrap();
        let look = |way: &str| {
            let step = |part: &str| match part.strip_prefix('@') {
                Some(place) => WayStep::Place(place.parse().unwrap()),
                None => WayStep::Name(part.to_owned()),
            };
            let way: Vec<WayStep> = way.split('/').map(step).collect();
            let found = find(root, &way, &lists)?;
            Some((found.pointer.to_string(), found.value.map(|value| value.raw().to_owned())))
        };
        let is = |way: &str, pointer: &str, value: Option<&str>| {
            assert_eq!(look(way), Some((pointer.to_owned(), value.map(str::to_owned))), "{way}");
        };
        is("title", "/title", Some("\"x\""));
        is("cast/mara/voice", "/cast/0/voice", Some("\"low\""));
        is("cast/7/id", "/cast/1/id", Some("7"));
        is("cast/@0/id", "/cast/0/id", Some("\"mara\""));
        is("cast/mara/new", "/cast/0/new", None);
        is("tags/@0", "/tags/0", Some("\"a\""));
        for way in ["cast/nobody", "cast/@9", "tags/a", "title/x", "none/x", "@0"] {
            assert_eq!(look(way), None, "{way}");
        }
    }
}
