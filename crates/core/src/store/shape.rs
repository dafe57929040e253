//! What one must know of a collection to name its documents from outside: key, places, format.

use repot_json::patch::Pointer;
use repot_model::language::{DefaultValue, Field, FieldKind, Format, Place, Scalar};

use super::key::DocumentKey;
use super::layout::Layout;
use crate::error::Result;

const UUID_CHARACTERS: u32 = 36;

/// How the documents of a collection are named, and what they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// The columns of the key, in their order.
    pub key: Vec<KeyColumn>,
    /// The key follows from the place, by Repot's own rule (`auto`).
    pub makes_key: bool,
    /// The field that is the tenant.
    pub tenant: Option<String>,
    /// For each template: the names of its captures.
    pub places: Vec<Vec<String>>,
    /// What a document is.
    pub format: Format,
}

/// A column of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyColumn {
    /// Its name.
    pub name: String,
    /// Where the document holds it, as names from the outside in; empty: nowhere.
    pub path: Vec<String>,
    /// It is a UUID, or a text that can be one, so a new document can get one.
    pub takes_uuid: bool,
}

impl Layout {
    /// How the documents of a collection are named.
    ///
    /// # Errors
    /// `R0402` or `R0405` when the collection has no documents that can be reached.
    pub fn shape(&self, collection: &str) -> Result<Shape> {
        let (root, found) = self.collection(collection)?;
        let makes_key = self.plan.makes_key(root);
        let column = |name: &str| {
            let field = found.field(name);
            let takes_uuid = field.is_some_and(|field| match field.kind {
                FieldKind::Scalar(Scalar::Uuid | Scalar::Text(None)) => true,
                FieldKind::Scalar(Scalar::Text(Some(most))) => most >= UUID_CHARACTERS,
                _ => false,
            });
            KeyColumn { name: name.to_owned(), path: field.map(path).unwrap_or_default(), takes_uuid }
        };
        let captures = |template: &repot_model::place::Template| {
            template.captures().iter().map(|capture| capture.name.clone()).collect()
        };
        Ok(Shape {
            key: self.key_names(root).into_iter().map(column).collect(),
            makes_key,
            tenant: found.tenant.clone(),
            places: found.templates().iter().map(captures).collect(),
            format: self.plan.roots[root].format,
        })
    }

    /// Whether rows or documents of a collection are reached through a tenant only: it has tenants itself, or the documents
    /// that hold its rows do.
    #[must_use]
    pub fn is_tenants(&self, collection: &str) -> bool {
        let (mut open, mut seen) = (vec![collection], Vec::new());
        while let Some(name) = open.pop() {
            let Some(found) = self.model().collection(name).filter(|_| !seen.contains(&name)) else {
                continue;
            };
            if found.tenant.is_some() {
                return true;
            }
            seen.push(name);
            if let Place::In(places) = &found.place {
                open.extend(places.iter().map(|place| place.parent.as_str()));
            }
        }
        false
    }
}

impl Layout {
    /// The places in the documents of a collection where a write puts its time by itself (`now on write`).
    #[must_use]
    pub fn times_of_writes(&self, collection: &str) -> Vec<Pointer> {
        let Some(found) = self.model().collection(collection) else { return Vec::new() };
        let own = |field: &&Field| field.default == Some(DefaultValue::NowOnWrite);
        let paths = found.fields.iter().filter(own).map(path).filter(|path| !path.is_empty());
        paths.map(Pointer::from_parts).collect()
    }
}

/// Where a document holds a field: under its own name, unless the model says otherwise.
fn path(field: &Field) -> Vec<String> {
    match &field.from {
        _ if field.auto || matches!(field.kind, FieldKind::Body(_) | FieldKind::Position) => Vec::new(),
        Some(names) => names.clone(),
        None => vec![field.name.clone()],
    }
}

impl Shape {
    /// The document's key when these are its parts; `None`: another number of parts.
    #[must_use]
    pub fn key_of(&self, collection: &str, parts: &[&str]) -> Option<DocumentKey> {
        (parts.len() == self.key.len()).then(|| DocumentKey::of_parts(collection, parts))
    }
}
