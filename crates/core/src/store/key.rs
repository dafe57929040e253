//! Which document is meant.

use std::fmt;
use std::sync::Arc;

/// The identity of a document: collection, tenant where the collection has one, and key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocumentKey {
    collection: Arc<str>,
    tenant: Option<Arc<str>>,
    id: Arc<str>,
}

impl DocumentKey {
    /// The document of `collection` whose key is this one value.
    #[must_use]
    pub fn new(collection: &str, id: &str) -> Self {
        Self::of_parts(collection, &[id])
    }

    /// The document whose key has several columns, in the order of the model.
    #[must_use]
    pub fn of_parts(collection: &str, parts: &[&str]) -> Self {
        let parts: Vec<String> =
            parts.iter().map(|part| part.replace('%', "%25").replace('/', "%2F")).collect();
        Self { collection: collection.into(), tenant: None, id: parts.join("/").into() }
    }

    /// The document with this key text ([`repot_model::plan::key_text`]).
    #[must_use]
    pub fn of_text(collection: &str, text: &str) -> Self {
        Self { collection: collection.into(), tenant: None, id: text.into() }
    }

    /// The same key, within this tenant.
    #[must_use]
    pub fn in_tenant(mut self, tenant: &str) -> Self {
        self.tenant = Some(tenant.into());
        self
    }

    /// The collection.
    #[must_use]
    pub fn collection(&self) -> &str {
        &self.collection
    }

    /// The tenant.
    #[must_use]
    pub fn tenant(&self) -> Option<&str> {
        self.tenant.as_deref()
    }

    /// The key as text: its parts joined by `/`, with `%` and `/` inside a part escaped.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.id
    }

    /// The parts of the key, unescaped.
    #[must_use]
    pub fn parts(&self) -> Vec<String> {
        self.id.split('/').map(|part| part.replace("%2F", "/").replace("%25", "%")).collect()
    }
}

impl fmt::Display for DocumentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.collection, self.id)?;
        self.tenant.as_ref().map_or(Ok(()), |tenant| write!(f, " of {tenant}"))
    }
}

/// Documents that are listed together: a collection, or one tenant's part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The collection.
    pub collection: String,
    /// The tenant, where the collection has one.
    pub tenant: Option<String>,
}

impl Scope {
    /// All of a collection.
    #[must_use]
    pub fn of(collection: &str) -> Self {
        Self { collection: collection.to_owned(), tenant: None }
    }

    /// One tenant's part of it.
    #[must_use]
    pub fn in_tenant(mut self, tenant: &str) -> Self {
        self.tenant = Some(tenant.to_owned());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::DocumentKey;

    #[test]
    fn no_two_keys_have_one_text() {
        let keys = [
            DocumentKey::of_parts("a", &["x", "y"]),
            DocumentKey::new("a", "x/y"),
            DocumentKey::new("a", "x%2Fy"),
            DocumentKey::new("a", "x%252Fy"),
        ];
        for (at, key) in keys.iter().enumerate() {
            assert_eq!(keys.iter().filter(|other| other.text() == key.text()).count(), 1, "{at}");
        }
        assert_eq!(keys[0].parts(), ["x", "y"]);
        assert_eq!(keys[1].parts(), ["x/y"]);
        assert_eq!(keys[2].parts(), ["x%2Fy"]);
        assert_eq!(keys[3].parts(), ["x%252Fy"]);
        assert_eq!(keys[0].clone().in_tenant("t").to_string(), "a/x/y of t");
    }
}
