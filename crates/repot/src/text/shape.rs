//! Which lists of a document have elements with a key, by the model: such elements are the same by their key,
//! wherever they stand.

use std::collections::BTreeMap;

use repot_model::language::{Collection, Field, FieldKind, Model, Place, Step};

/// Deepest nesting of collections followed.
const DEPTH_MAX: usize = 32;

/// What the model says of a value.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shape {
    names: BTreeMap<String, Self>,
    entries: Option<Box<Self>>,
    each: Option<Box<Element>>,
}

/// What it says of the elements of a list.
#[derive(Debug, Clone, Default)]
pub(crate) struct Element {
    /// Ways from the element to the parts of its key; none: its place is all that it is known by.
    pub(super) key: Vec<Vec<String>>,
    pub(super) shape: Shape,
}

impl Shape {
    /// The documents of a collection.
    pub(crate) fn of(model: &Model, collection: &str) -> Self {
        let mut shape = Self::default();
        grow(model, collection, &mut shape, 0);
        shape
    }

    /// Of the entry with this key.
    pub(super) fn entry(&self, key: &[u8]) -> Option<&Self> {
        let named = std::str::from_utf8(key).ok().and_then(|key| self.names.get(key));
        named.or(self.entries.as_deref())
    }

    /// Of the elements, where it is a list.
    pub(super) fn element(&self) -> Option<&Element> {
        self.each.as_deref()
    }
}

fn grow(model: &Model, parent: &str, shape: &mut Shape, depth: usize) {
    if depth == DEPTH_MAX {
        return;
    }
    for child in &model.collections {
        let Place::In(places) = &child.place else { continue };
        for place in places.iter().filter(|place| place.parent == parent) {
            let mut at = &mut *shape;
            for step in &place.steps {
                at = match step {
                    Step::Name(name) => at.names.entry(name.clone()).or_default(),
                    Step::Entry(_) => at.entries.get_or_insert_default(),
                    Step::Each => {
                        let element = at.each.get_or_insert_default();
                        element.key = key(child);
                        &mut element.shape
                    }
                };
            }
            grow(model, &child.name, at, depth + 1);
        }
    }
}

/// The parts of the key, where all of them stand in the element.
fn key(collection: &Collection) -> Vec<Vec<String>> {
    let parts = collection.fields.iter().filter(|field| field.key);
    let stands = |field: &Field| !field.auto && field.kind != FieldKind::Position;
    let way = |field: &Field| field.from.clone().unwrap_or_else(|| vec![field.name.clone()]);
    let own: Option<Vec<_>> = parts.map(|field| stands(field).then(|| way(field))).collect();
    own.unwrap_or_default()
}
