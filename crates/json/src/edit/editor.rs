//! [`Editor`]: collects edits, sorts out which of them still count, and has them written.

use std::collections::{BTreeMap, HashMap};

use crate::edit::container::{Change, Insert, Writer};
use crate::edit::escapes::quote;
use crate::edit::style::Page;
use crate::scan::{Kind, Limits, Tree};
use crate::value::Value;

/// Collects edits against one scanned text and applies them at once.
///
/// Values are named by their node index ([`Value::index`]). Edits combine freely: an edit inside a value that is
/// removed or replaced is dropped, a removal outranks a replacement, a later replacement an earlier one.
#[derive(Debug)]
pub struct Editor<'t> {
    root: Value<'t>,
    edits: BTreeMap<u32, Edit>,
}

/// What happens to one value.
#[derive(Debug, Default)]
struct Edit {
    removed: bool,
    replaced: Option<String>,
    inserted: Vec<Insert>,
}

impl<'t> Editor<'t> {
    /// An editor of the document that `root` belongs to.
    #[must_use]
    pub fn new(root: Value<'t>) -> Self {
        Self { root: root.at(0), edits: BTreeMap::new() }
    }

    /// Replaces the value at node index `at` by `json`, a JSON text. Structures are laid out like the value
    /// they replace or in the document's style, strings get the document's escapes; a text equal to the old one
    /// changes nothing.
    ///
    /// # Panics
    /// When the node is a key. [`Editor::finish`] panics when `json` is no JSON.
    pub fn replace(&mut self, at: u32, json: &str) {
        assert!(self.kind(at) != Kind::Key, "only values are replaced");
        self.edit(at).replaced = Some(json.to_owned());
    }

    /// Sets the entry `key` of the object at `object` to `json`: appended after the last entry, in the style of
    /// its siblings. Where an entry with this key stays in the object, its value is replaced instead.
    ///
    /// # Panics
    /// When the node is no object. [`Editor::finish`] panics when `json` is no JSON.
    pub fn insert_entry(&mut self, object: u32, key: &str, json: &str) {
        self.insert_quoted(object, &quote(key), json);
    }

    /// Like [`Editor::insert_entry`], with the key as a JSON string in its quotes: so a key can have lone
    /// surrogates, and keeps the escapes it is written with.
    ///
    /// # Panics
    /// When the node is no object. [`Editor::finish`] panics when `key` is no JSON string or `json` no JSON.
    pub fn insert_quoted(&mut self, object: u32, key: &str, json: &str) {
        assert!(self.kind(object) == Kind::Object, "entries are inserted into objects");
        let insert = Insert { before: usize::MAX, key: Some(key.to_owned()), json: json.to_owned() };
        self.edit(object).inserted.push(insert);
    }

    /// Removes the entry whose value is at node index `value`, with its key and comma.
    ///
    /// # Panics
    /// When the node is a key or the whole document.
    pub fn remove_entry(&mut self, value: u32) {
        self.remove(value);
    }

    /// Inserts an element into the array at `array`, before its element number `before` as it stands in the
    /// text; a number beyond the last appends. Several at one place keep the order of their calls.
    ///
    /// # Panics
    /// When the node is no array. [`Editor::finish`] panics when `json` is no JSON.
    pub fn insert_element(&mut self, array: u32, before: usize, json: &str) {
        assert!(self.kind(array) == Kind::Array, "elements are inserted into arrays");
        self.edit(array).inserted.push(Insert { before, key: None, json: json.to_owned() });
    }

    /// Removes the element at node index `value`, with its comma.
    ///
    /// # Panics
    /// When the node is a key or the whole document.
    pub fn remove_element(&mut self, value: u32) {
        self.remove(value);
    }

    /// Whether no edit was given.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    /// The new text: valid JSON again, with the old bytes wherever no edit touched them.
    ///
    /// # Panics
    /// When an edit brought a text that is no JSON.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        if self.edits.is_empty() {
            return self.root.document().as_bytes().to_vec();
        }
        self.settle_keys();
        let page = Page::of(self.root);
        let mut writer = Writer::new(page);
        let mut changes: BTreeMap<u32, Change> = BTreeMap::new();
        let mut open: Vec<u32> = Vec::new();
        let mut at = 0;
        while let Some((&wanted, _)) = self.edits.first_key_value() {
            let next = page.node(at).next;
            if at < wanted {
                if next <= wanted {
                    at = next;
                } else {
                    open.push(at);
                    at += 1;
                }
                continue;
            }
            while open.pop_if(|container| page.node(*container).next <= at).is_some() {}
            let parent = open.last().copied();
            let Some((_, edit)) = self.edits.pop_first() else { break };
            if edit.removed || edit.replaced.is_some() {
                while self.edits.first_key_value().is_some_and(|(inner, _)| *inner < next) {
                    self.edits.pop_first();
                }
            }
            if edit.removed {
                if let Some(parent) = parent {
                    changes.entry(parent).or_default().removed.push(at);
                }
            } else if let Some(json) = edit.replaced {
                writer.replace(at, parent, &json);
            } else {
                let change = changes.entry(at).or_default();
                change.parent = parent;
                change.inserted = edit.inserted;
            }
        }
        for (at, change) in changes {
            writer.change(at, change);
        }
        writer.finish()
    }

    /// Turns insertions of keys that are there, or that are inserted twice, into replacements.
    fn settle_keys(&mut self) {
        let objects: Vec<u32> = self
            .edits
            .iter()
            .filter(|(at, edit)| self.kind(**at) == Kind::Object && !edit.inserted.is_empty())
            .map(|(at, _)| *at)
            .collect();
        for object in objects {
            let inserted = std::mem::take(&mut self.edit(object).inserted);
            let mut latest: HashMap<Vec<u8>, Insert> = HashMap::new();
            let mut order = Vec::new();
            for insert in inserted {
                let Some(key) = insert.key.as_deref().map(content) else { continue };
                if latest.insert(key.clone(), insert).is_none() {
                    order.push(key);
                }
            }
            let mut standing = Vec::new();
            for (key, value) in self.root.at(object).entries() {
                let removed = self.edits.get(&value.index()).is_some_and(|edit| edit.removed);
                if !removed && let Some(key) = key.content().filter(|key| latest.contains_key(key.as_ref())) {
                    standing.push((key.into_owned(), value.index()));
                }
            }
            // The last of several equal keys is the one that readers take.
            for (key, value) in standing.into_iter().rev() {
                if let Some(insert) = latest.remove(&key) {
                    self.replace(value, &insert.json);
                }
            }
            let rest = order.into_iter().filter_map(|key| latest.remove(&key));
            self.edit(object).inserted = rest.collect();
        }
    }

    fn remove(&mut self, value: u32) {
        assert!(value != 0 && self.kind(value) != Kind::Key, "only entries and elements are removed");
        self.edit(value).removed = true;
    }

    fn edit(&mut self, at: u32) -> &mut Edit {
        self.edits.entry(at).or_default()
    }

    fn kind(&self, at: u32) -> Kind {
        self.root.at(at).kind()
    }
}

/// What a key in its quotes says.
fn content(key: &str) -> Vec<u8> {
    let limits = Limits { depth_max: 0, nodes_max: 1 };
    let tree =
        Tree::parse(key.as_bytes(), limits).expect("the editor's callers hand it JSON strings as keys");
    let value = tree.root(key.as_bytes()).and_then(Value::content);
    value.expect("the editor's callers hand it strings as keys").into_owned()
}
