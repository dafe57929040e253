//! [`Lists`]: which lists of a document are rows, and how a row is known again.

use std::borrow::Cow;

use crate::scan::Kind;
use crate::value::Value;

/// A step on the way to a list.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Part {
    /// Into the entry with this key.
    Name(String),
    /// Into each entry of a map.
    Entry,
    /// Into each element of a list.
    Each,
}

/// The lists of a document whose elements are rows. Every other list is one value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lists(Vec<Rows>);

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rows {
    at: Vec<Part>,
    key: Vec<Vec<String>>,
}

/// A step that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Entry(String),
    Element(usize),
}

impl Lists {
    /// The elements of the lists at `at` are rows. `key` names the values that tell them apart within one list, each
    /// by the names that lead to it; without any, rows are known by their place only.
    #[must_use]
    pub fn with(mut self, at: Vec<Part>, key: Vec<Vec<String>>) -> Self {
        self.0.push(Rows { at, key });
        self
    }

    /// What tells the rows of the list at `path` apart; `None` where the list is one value.
    pub(super) fn key(&self, path: &[Step]) -> Option<&[Vec<String>]> {
        let fits = |(part, step): (&Part, &Step)| match (part, step) {
            (Part::Name(name), Step::Entry(key)) => name == key,
            (Part::Entry, Step::Entry(_)) | (Part::Each, Step::Element(_)) => true,
            _ => false,
        };
        let found =
            self.0.iter().find(|rows| rows.at.len() == path.len() && rows.at.iter().zip(path).all(fits))?;
        Some(&found.key)
    }
}

/// What tells `row` apart; `None` where it has no such values.
pub(super) fn identity(row: Value<'_>, key: &[Vec<String>]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    for names in key {
        let value = names.iter().try_fold(row, |value, name| value.get(name))?;
        let (mark, bytes) = match value.kind() {
            Kind::String => (b's', value.content()?),
            Kind::Number => (b'n', Cow::Borrowed(value.raw().as_bytes())),
            Kind::True | Kind::False => (b'b', Cow::Borrowed(value.raw().as_bytes())),
            _ => return None,
        };
        out.push(mark);
        out.extend((bytes.len() as u64).to_be_bytes());
        out.extend_from_slice(&bytes);
    }
    (!key.is_empty()).then_some(out)
}
