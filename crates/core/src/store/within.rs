//! Documents that stand with others in one file: how they are named, and what may stand there.

use repot_model::language::Collection;
use repot_model::plan::Standing;
use sha2::{Digest as _, Sha256};

use super::etag::ETag;
use super::key::{DocumentKey, Scope};
use super::layout::Layout;
use crate::error::{Error, Kind, Result};
use crate::hex;

/// The strong `ETag` of a document's own text: equal only for equal texts.
#[must_use]
pub fn text_etag(text: &[u8]) -> ETag {
    ETag::new(&hex(&Sha256::digest(text)[..16]))
}

/// A document that stands with others in one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Within {
    /// Index of its collection among the plan's roots.
    pub root: usize,
    /// Its key as text.
    pub id: String,
    /// The keys of the maps on the way to it, from the outermost.
    pub keys: Vec<String>,
}

impl Within {
    /// As the document with this number, in the file and in its list.
    #[must_use]
    pub fn standing(&self, ordinal: usize) -> Standing {
        Standing { ordinal, position: i64::try_from(ordinal).unwrap_or(i64::MAX), keys: self.keys.clone() }
    }
}

impl Layout {
    /// Whether the documents of this collection stand several in one file.
    #[must_use]
    pub fn is_shared(&self, collection: &str) -> bool {
        self.collection(collection).is_ok_and(|(root, _)| self.plan.roots[root].is_container())
    }

    /// Whether the documents of this collection are lines.
    #[must_use]
    pub fn is_lines(&self, collection: &str) -> bool {
        self.collection(collection).is_ok_and(|(root, _)| self.plan.roots[root].is_lines())
    }

    /// What tells a document apart from the others in its file; `None` where each has a file of its own.
    ///
    /// # Errors
    /// As [`Layout::whereabouts`].
    pub fn within(&self, key: &DocumentKey) -> Result<Option<Within>> {
        let (root, collection) = self.collection(key.collection())?;
        if !self.plan.roots[root].is_container() {
            return Ok(None);
        }
        let id = match (key.id(), key.place()) {
            (Some(id), _) => id.to_owned(),
            (None, place) => {
                self.whereabouts(key)?;
                let given = |name: &str| {
                    let place = place.unwrap_or_default().iter().find(|(own, _)| own == name);
                    let tenant = || key.tenant().filter(|_| collection.tenant.as_deref() == Some(name));
                    place.map(|(_, value)| value.as_str()).or_else(tenant)
                };
                let parts: Option<Vec<&str>> = self.key_names(root).into_iter().map(given).collect();
                DocumentKey::of_parts(&collection.name, &parts.unwrap_or_default()).text().to_owned()
            }
        };
        Ok(Some(self.within_as(root, id)))
    }

    /// The same for the document with this key text, of a collection whose documents share files.
    #[must_use]
    pub fn within_as(&self, root: usize, id: String) -> Within {
        let parts = DocumentKey::of_text("", &id).parts();
        let key = self.plan.roots[root].table.map_or(&[][..], |table| &self.plan.tables[table].key);
        let part = |column| {
            let at = key.iter().position(|&own| own == column)?;
            parts.get(at).cloned()
        };
        let keys = self.plan.roots[root].entries().map(|column| part(column).unwrap_or_default()).collect();
        Within { root, id, keys }
    }

    /// The roots whose documents stand in the file at this path.
    #[must_use]
    pub fn roots_at(&self, path: &str) -> Vec<usize> {
        let route = self.router.route(path);
        let root = |at: &usize| self.plan.roots.iter().position(|root| root.collection == *at);
        let with_table = |root: &usize| self.plan.roots[*root].table.is_some();
        route.into_iter().flat_map(|route| route.collections).filter_map(root).filter(with_table).collect()
    }

    /// What names the document with this key text in the shared file at a path of this scope; `None` when the path is of no file of
    /// the scope.
    ///
    /// # Errors
    /// As [`Layout::check_scope`].
    pub fn identify_within(&self, scope: &Scope, path: &str, id: &str) -> Result<Option<DocumentKey>> {
        let (root, collection) = self.collection(&scope.collection)?;
        if !self.belongs(scope, path)? {
            return Ok(None);
        }
        let named = DocumentKey::of_text(&collection.name, id);
        let key = if self.is_found_by_id(root, collection) {
            named
        } else {
            let Some((template, values)) = self.captures(collection, path) else { return Ok(None) };
            let parts = named.parts();
            let tenant = collection.tenant.as_deref();
            let captured = template.captures().iter().map(|capture| capture.name.as_str()).zip(values);
            let mut place: Vec<(&str, &str)> = captured.filter(|(name, _)| tenant != Some(*name)).collect();
            for (name, part) in self.key_names(root).into_iter().zip(&parts) {
                if tenant != Some(name) && !place.iter().any(|(known, _)| *known == name) {
                    place.push((name, part));
                }
            }
            DocumentKey::at(&collection.name, &place)
        };
        Ok(Some(match &scope.tenant {
            Some(tenant) => key.in_tenant(tenant),
            None => key,
        }))
    }

    /// Whether a path is that of documents of this scope.
    ///
    /// # Errors
    /// As [`Layout::check_scope`].
    pub fn belongs(&self, scope: &Scope, path: &str) -> Result<bool> {
        let (root, collection) = self.collection(&scope.collection)?;
        if !self.leads_to(path, root) {
            return Ok(false);
        }
        Ok(match &scope.tenant {
            None => true,
            Some(tenant) => self.tenant_at(collection, path).as_deref() == Some(tenant.as_str()),
        })
    }

    /// The tenant whose documents are at a path, where the path says it.
    #[must_use]
    pub fn tenant_of(&self, collection: &str, path: &str) -> Option<String> {
        let (_, collection) = self.collection(collection).ok()?;
        self.tenant_at(collection, path)
    }

    fn tenant_at(&self, collection: &Collection, path: &str) -> Option<String> {
        let (template, values) = self.captures(collection, path)?;
        let field = collection.tenant.as_deref()?;
        let at = template.captures().iter().position(|capture| capture.name == field)?;
        values.get(at).map(|value| (*value).to_owned())
    }

    /// Checks that this text can stand in the file among others and be read back as it is.
    ///
    /// # Errors
    /// [`Kind::Invalid`], code `R0426`.
    pub fn fits_inside(&self, key: &DocumentKey, body: &[u8]) -> Result<()> {
        let (root, _) = self.collection(key.collection())?;
        let shape = &self.plan.roots[root];
        let why = if !shape.is_container() {
            return Ok(());
        } else if body.trim_ascii().len() != body.len() {
            "white space stands around it"
        } else if shape.is_lines() && body.contains(&b'\n') {
            "it has line breaks, and is a line of its file"
        } else {
            return Ok(());
        };
        let message = format!("{key} stands with others in one file, and {why}");
        Err(Error::new(Kind::Invalid, "R0426", message)
            .hint("Write it without white space around it; in JSON Lines also without line breaks."))
    }

    /// Why documents of this root, which stand several in one file, cannot be reached one by one.
    pub(super) fn unreachable(&self, root: usize, collection: &Collection) -> Option<&'static str> {
        let holds = |name: &str| {
            let captures = |template: &repot_model::place::Template| {
                template.captures().iter().any(|capture| capture.name == name)
            };
            collection.templates().iter().all(captures)
        };
        if collection.tenant.as_deref().is_some_and(|tenant| !holds(tenant)) {
            return Some("their tenant is no part of their file's place");
        }
        self.plan.unnamed_inside(root)
    }
}

/// The error of a file that cannot be read or written as one with several documents.
#[must_use]
pub fn stuck(path: &str, why: &str) -> Error {
    Error::new(Kind::Invalid, "R0426", format!("{path} cannot take or give single documents: {why}"))
        .hint("Look at the file and mend it; `repot plan` says what the model finds in it.")
}
