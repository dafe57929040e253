//! Edits of one text: what is replaced and removed goes to the editor at once, what is new is gathered, so
//! that several new fields of one missing object make one object.

use std::collections::BTreeMap;

use repot_json::edit::{Editor, quote};
use repot_json::{Kind, Value};

/// A value that is new in the document.
#[derive(Debug)]
pub(super) enum Growth {
    /// JSON text.
    Text(String),
    /// An object in the making.
    Object(Vec<(String, Self)>),
}

impl Growth {
    pub(super) const fn new() -> Self {
        Self::Object(Vec::new())
    }

    /// Sets the value at the end of `names`.
    pub(super) fn set(&mut self, names: &[String], json: String) {
        let Some((name, rest)) = names.split_first() else {
            *self = Self::Text(json);
            return;
        };
        // a value that is there whole says what stands inside it; the check afterwards tells when it does not
        let Self::Object(entries) = self else { return };
        let at = entries.iter().position(|entry| entry.0 == *name).unwrap_or_else(|| {
            entries.push((name.clone(), Self::new()));
            entries.len() - 1
        });
        entries[at].1.set(rest, json);
    }

    pub(super) fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Object(entries) => {
                let entries: Vec<String> =
                    entries.iter().map(|(name, value)| format!("{}:{}", quote(name), value.text())).collect();
                format!("{{{}}}", entries.join(","))
            }
        }
    }
}

/// Edits of one text. Nodes are named as in the document that was split; `base` is the node this text is.
#[derive(Debug)]
pub(super) struct Patch<'t> {
    root: Value<'t>,
    editor: Editor<'t>,
    base: u32,
    grown: BTreeMap<u32, Growth>,
}

impl<'t> Patch<'t> {
    pub(super) fn new(root: Value<'t>, base: u32) -> Self {
        Self { root, editor: Editor::new(root), base, grown: BTreeMap::new() }
    }

    pub(super) fn replace(&mut self, node: u32, json: &str) {
        self.editor.replace(node - self.base, json);
    }

    pub(super) fn remove(&mut self, node: u32) {
        self.editor.remove_element(node - self.base);
    }

    pub(super) fn insert_element(&mut self, list: u32, before: usize, json: &str) {
        self.editor.insert_element(list - self.base, before, json);
    }

    /// Adds what `names` lead to from the object at `node`; a null there becomes an object.
    pub(super) fn grow(&mut self, node: u32, names: &[String], json: String) {
        self.grown.entry(node - self.base).or_insert_with(Growth::new).set(names, json);
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        for (node, growth) in std::mem::take(&mut self.grown) {
            match growth {
                Growth::Object(entries) if self.root.at(node).kind() == Kind::Object => {
                    for (name, value) in entries {
                        self.editor.insert_entry(node, &name, &value.text());
                    }
                }
                whole => self.editor.replace(node, &whole.text()),
            }
        }
        self.editor.finish()
    }
}
