//! Walks documents as the drafts read them: every row of every collection, with its values.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use repot_json::{Kind, Value};
use repot_model::language::Step;

use crate::draft::{Draft, Home, Source};

/// A row while it is looked at.
#[derive(Debug)]
pub(crate) struct Row<'r> {
    /// The file it is in.
    pub(crate) path: &'r str,
    captures: &'r [&'r str],
    value: Value<'r>,
    entry_keys: &'r [String],
}

impl Row<'_> {
    /// Hash of the text or whole number this column would hold; `None` for null or anything else.
    pub(crate) fn hash(&self, source: &Source) -> Option<u64> {
        match source {
            Source::Capture(at) => self.captures.get(*at).map(|text| hash(text)),
            Source::EntryKey(at) => self.entry_keys.get(*at).map(|text| hash(text)),
            Source::Itself => scalar(self.value),
            Source::Document(names) => {
                scalar(names.iter().try_fold(self.value, |value, name| value.get(name))?)
            }
            Source::Position | Source::Parent | Source::Made | Source::Body => None,
        }
    }
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

fn scalar(value: Value<'_>) -> Option<u64> {
    match value.kind() {
        Kind::String => value.as_str().map(|text| hash(&text)),
        Kind::Number => Some(hash(value.raw())),
        _ => None,
    }
}

/// Who lies in whom.
#[derive(Debug)]
pub(crate) struct Walk<'d> {
    drafts: &'d [Draft],
    inside: Vec<Vec<(usize, &'d [Step])>>,
}

impl<'d> Walk<'d> {
    pub(crate) fn new(drafts: &'d [Draft]) -> Self {
        let mut inside = vec![Vec::new(); drafts.len()];
        for (at, draft) in drafts.iter().enumerate() {
            if let Home::In(places) = &draft.home {
                for (parent, steps) in places {
                    inside[*parent].push((at, steps.as_slice()));
                }
            }
        }
        Self { drafts, inside }
    }

    /// All rows in one document of a template.
    pub(crate) fn document(
        &self,
        (leaf, path, captures): (usize, &str, &[&str]),
        document: Value<'_>,
        each: &mut dyn FnMut(usize, &Row<'_>),
    ) {
        let row = Row { path, captures, value: document, entry_keys: &[] };
        for (at, draft) in
            self.drafts.iter().enumerate().filter(|(_, draft)| draft.leaf == leaf && !draft.body)
        {
            match &draft.home {
                Home::Files => self.row(at, &row, each),
                // The elements of a root list come one by one already.
                Home::InFiles(steps) if matches!(steps.as_slice(), [Step::Each]) => self.row(at, &row, each),
                Home::InFiles(steps) => self.descend((at, false), &row, steps, &mut Vec::new(), each),
                Home::In(_) => {}
            }
        }
    }

    fn row(&self, at: usize, row: &Row<'_>, each: &mut dyn FnMut(usize, &Row<'_>)) {
        each(at, row);
        for (child, steps) in &self.inside[at] {
            let two = matches!(&self.drafts[*child].home, Home::In(places) if places.len() > 1
                && matches!(steps.last(), Some(Step::Entry(_))));
            self.descend((*child, two), row, steps, &mut Vec::new(), each);
        }
    }

    fn descend(
        &self,
        (at, no_lists): (usize, bool),
        row: &Row<'_>,
        steps: &[Step],
        keys: &mut Vec<String>,
        each: &mut dyn FnMut(usize, &Row<'_>),
    ) {
        let Some((step, rest)) = steps.split_first() else {
            if !(no_lists && row.value.kind() == Kind::Array) {
                let row = Row { path: row.path, captures: row.captures, value: row.value, entry_keys: keys };
                self.row(at, &row, each);
            }
            return;
        };
        let to = |value| Row { path: row.path, captures: row.captures, value, entry_keys: &[] };
        match step {
            Step::Name(name) => {
                if let Some(value) = row.value.get(name) {
                    self.descend((at, no_lists), &to(value), rest, keys, each);
                }
            }
            Step::Each => {
                for value in row.value.elements() {
                    self.descend((at, no_lists), &to(value), rest, keys, each);
                }
            }
            Step::Entry(_) => {
                for (key, value) in row.value.entries() {
                    keys.push(key.as_str().map(std::borrow::Cow::into_owned).unwrap_or_default());
                    self.descend((at, no_lists), &to(value), rest, keys, each);
                    keys.pop();
                }
            }
        }
    }
}
