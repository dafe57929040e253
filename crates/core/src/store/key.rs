//! Which document is meant.

use std::fmt;
use std::sync::Arc;

/// The identity of a document: collection, tenant where the collection has one, and key or place.
///
/// A document whose key is made by Repot, or stands in its text only, has two names: that key, which a database
/// finds, and its place, which every store finds and which says where a new document goes. The two are not equal as
/// values.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocumentKey {
    collection: Arc<str>,
    tenant: Option<Arc<str>>,
    id: Arc<str>,
    /// Values of the captures of one template, by name, where `id` is the text of these.
    place: Option<Arc<[(String, String)]>>,
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
        let parts: Vec<String> = parts.iter().map(|part| escaped(part)).collect();
        Self::of_text(collection, &parts.join("/"))
    }

    /// The document with this key text ([`repot_model::plan::key_text`]).
    #[must_use]
    pub fn of_text(collection: &str, text: &str) -> Self {
        Self { collection: collection.into(), tenant: None, id: text.into(), place: None }
    }

    /// The document that is recorded so: collection, tenant where it has one, and key text.
    #[must_use]
    pub fn of_record((collection, tenant): (&str, Option<&str>), text: &str) -> Self {
        Self { tenant: tenant.map(Into::into), ..Self::of_text(collection, text) }
    }

    /// The document at a place: a value for each capture of one of the collection's templates, in any order. The
    /// tenant need not be among them.
    #[must_use]
    pub fn at(collection: &str, place: &[(&str, &str)]) -> Self {
        let mut place: Vec<(String, String)> =
            place.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        place.sort_unstable();
        let text: Vec<String> =
            place.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
        Self { place: Some(place.into()), ..Self::of_text(collection, &text.join("/")) }
    }

    /// The document of the same collection and tenant with this key text.
    #[must_use]
    pub fn beside(&self, text: &str) -> Self {
        Self { id: text.into(), place: None, ..self.clone() }
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

    /// The key as text: its parts joined by `/`, with `%` and `/` inside a part escaped. Of a document that is named by
    /// its place: the place, as `name=value` joined by `/`.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.id
    }

    /// The key as text; `None` when the document is named by its place.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.place.is_none().then_some(&*self.id)
    }

    /// The place, by names of captures in byte order; `None` when the document is named by its key.
    #[must_use]
    pub fn place(&self) -> Option<&[(String, String)]> {
        self.place.as_deref()
    }

    /// The parts of the key, unescaped; none when the document is named by its place.
    #[must_use]
    pub fn parts(&self) -> Vec<String> {
        let Some(id) = self.id() else { return Vec::new() };
        id.split('/').map(|part| part.replace("%2F", "/").replace("%25", "%")).collect()
    }
}

fn escaped(part: &str) -> String {
    part.replace('%', "%25").replace('/', "%2F")
}

impl fmt::Display for DocumentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.collection, self.text())?;
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
        let place = DocumentKey::at("a", &[("y", "1/2"), ("x", "z")]);
        assert_eq!(place, DocumentKey::at("a", &[("x", "z"), ("y", "1/2")]));
        assert_eq!((place.to_string().as_str(), place.id(), place.parts().len()), ("a/x=z/y=1%2F2", None, 0));
    }
}
