//! From an object back to what it holds: the keys by which its documents are known on every store.

use std::collections::BTreeSet;

use super::bucket::split;
use super::key::{DocumentKey, Scope};
use super::layout::Layout;

/// Whose an object is, as its path says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// No document's that is moved.
    Nobody,
    /// Of documents that cannot be reached one by one.
    Unnamed,
    /// Of this document alone.
    One(DocumentKey),
    /// Of several; its content says of which.
    Several,
}

impl Layout {
    /// Whose the object at a path is.
    #[must_use]
    pub fn whose(&self, path: &str) -> Whose {
        let mut whose = Whose::Nobody;
        for root in self.roots_at(path) {
            let name = &self.plan.roots[root].name;
            let own = match self.scope_at(path, name) {
                None => Whose::Unnamed,
                Some(_) if self.plan.roots[root].is_container() => Whose::Several,
                Some(scope) => self.identify(&scope, path).ok().flatten().map_or(Whose::Unnamed, Whose::One),
            };
            if !matches!(whose, Whose::Several) {
                whose = own;
            }
        }
        whose
    }

    /// The collections whose documents are in the object at a path.
    #[must_use]
    pub fn collections_at(&self, path: &str) -> Vec<String> {
        self.roots_at(path).into_iter().map(|root| self.plan.roots[root].name.clone()).collect()
    }

    /// The documents that stand in the file at a path with this content: those that can be named.
    #[must_use]
    pub fn keys_inside(&self, path: &str, bytes: &[u8]) -> BTreeSet<DocumentKey> {
        let documents = split(self, path, bytes).into_iter();
        let named = documents.filter_map(|found| {
            let id = found.key?;
            self.key_inside(path, &self.plan.roots[found.root].name, &id)
        });
        named.collect()
    }

    /// What names the document of this collection with this key text in the file at a path, which holds several.
    #[must_use]
    pub fn key_inside(&self, path: &str, collection: &str, id: &str) -> Option<DocumentKey> {
        let scope = self.scope_at(path, collection)?;
        self.identify_within(&scope, path, id).ok().flatten()
    }

    /// The scope of a collection's documents at a path; `None` where they are not reached one by one.
    fn scope_at(&self, path: &str, collection: &str) -> Option<Scope> {
        let scope = Scope { collection: collection.to_owned(), tenant: self.tenant_of(collection, path) };
        self.check_scope(&scope).is_ok().then_some(scope)
    }
}
