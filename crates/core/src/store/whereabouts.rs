//! From what names a document, its key or its place, to its path, and back.

use repot_model::language::Collection;
use repot_model::place::{Capture, Template};

use super::key::{DocumentKey, Scope};
use super::layout::{Layout, tenant_rule};
use crate::error::{Error, Kind, Result};

/// Where a document can be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whereabouts {
    /// The paths that follow from what it is named by; a new document goes to the first.
    pub paths: Vec<String>,
    /// It can also be at paths that do not follow from its key: an index of keys finds it.
    pub elsewhere: bool,
}

impl Layout {
    /// The paths at which the document with this key can be; a new one goes to the first. Empty when no path can be
    /// read back as this key.
    ///
    /// # Errors
    /// As [`Layout::whereabouts`]; `R0405` when no path follows from the key.
    pub fn paths(&self, key: &DocumentKey) -> Result<Vec<String>> {
        let Whereabouts { paths, elsewhere } = self.whereabouts(key)?;
        if paths.is_empty() && elsewhere {
            let message = format!("the path of {key} does not follow from its key");
            let hint = format!(
                "Name it by its place ({}); a database finds every document by its key.",
                self.place_names(key)?
            );
            return Err(Error::new(Kind::Unsupported, "R0405", message).hint(hint));
        }
        Ok(paths)
    }

    /// Where the document with this key, or at this place, can be.
    ///
    /// # Errors
    /// As [`Layout::check_scope`]; `R0403` when the collection has no such places; `R0406` when the place is another
    /// tenant's.
    pub fn whereabouts(&self, key: &DocumentKey) -> Result<Whereabouts> {
        let (root, collection) = self.collection(key.collection())?;
        tenant_rule(collection, key.tenant())?;
        let mut found = match key.place() {
            Some(place) => self.at_place(key, place, collection)?,
            None => self.by_id(key, root, collection),
        };
        found.paths.retain(|path| self.leads_to(path, root));
        if let Some(id) = key.id()
            && self.plan.makes_key(root)
        {
            found.paths.retain(|path| self.plan.made_key(root, path).as_deref() == Some(id));
        }
        Ok(found)
    }

    fn by_id(&self, key: &DocumentKey, root: usize, collection: &Collection) -> Whereabouts {
        let names = self.key_names(root);
        let made = self.plan.makes_key(root);
        let shared = self.plan.roots[root].is_container();
        let parts = key.parts();
        let mut found = Whereabouts { paths: Vec::new(), elsewhere: false };
        if parts.len() != names.len() {
            return found;
        }
        for template in collection.templates() {
            let value = |capture: &Capture| {
                let part = names.iter().position(|name| !made && *name == capture.name);
                let tenant = || key.tenant().filter(|_| leads(collection, capture));
                part.map(|part| parts[part].as_str()).or_else(tenant)
            };
            let values: Option<Vec<&str>> = template.captures().iter().map(value).collect();
            match values {
                Some(values) if made || shared || names.iter().all(|name| has(template, name)) => {
                    found.paths.extend(template.render(&values));
                }
                _ => found.elsewhere = true,
            }
        }
        found
    }

    fn at_place(
        &self,
        key: &DocumentKey,
        place: &[(String, String)],
        collection: &Collection,
    ) -> Result<Whereabouts> {
        let given = |name: &str| place.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str());
        if let Some(field) = &collection.tenant
            && let Some(named) = given(field)
            && Some(named) != key.tenant()
        {
            return Err(Error::new(Kind::Invalid, "R0406", format!("{key} is the place of another tenant"))
                .hint("Leave the tenant out of the place, or name the same one."));
        }
        let (root, _) = self.collection(key.collection())?;
        let shared = self.plan.roots[root].is_container();
        let names = if shared { self.key_names(root) } else { Vec::new() };
        let own = |name: &str| collection.tenant.as_deref() == Some(name) && key.tenant().is_some();
        let named = names.iter().all(|name| own(name) || given(name).is_some());
        for template in collection.templates().iter().filter(|_| named) {
            let value = |capture: &Capture| {
                given(&capture.name).or_else(|| key.tenant().filter(|_| leads(collection, capture)))
            };
            let values: Option<Vec<&str>> = template.captures().iter().map(value).collect();
            if let Some(values) = values
                && place.iter().all(|(name, _)| has(template, name) || names.contains(&name.as_str()))
            {
                let paths = template.render(&values).into_iter().collect();
                return Ok(Whereabouts { paths, elsewhere: false });
            }
        }
        Err(Error::new(
            Kind::Invalid,
            "R0403",
            format!("{} has no place with just the fields of {key}", collection.name),
        )
        .hint(format!("Give a value for each of: {}.", self.place_names(key)?)))
    }

    /// The error of a write of a new document whose place does not follow from its key.
    ///
    /// # Errors
    /// As [`Layout::check_scope`].
    pub fn unplaced(&self, key: &DocumentKey) -> Result<Error> {
        let message = format!("{key} is not there, and where a new one goes does not follow from its key");
        let hint = format!("Name it by its place: {}.", self.place_names(key)?);
        Ok(Error::new(Kind::Invalid, "R0403", message).hint(hint))
    }

    /// The fields of the collection's places, for people.
    fn place_names(&self, key: &DocumentKey) -> Result<String> {
        let (root, collection) = self.collection(key.collection())?;
        let inside = if self.plan.roots[root].is_container() { self.key_names(root) } else { Vec::new() };
        let names = |template: &Template| {
            let free = template.captures().iter().filter(|capture| !leads(collection, capture));
            let mut names: Vec<&str> = free.map(|capture| capture.name.as_str()).collect();
            for name in &inside {
                if !names.contains(name) && collection.tenant.as_deref() != Some(*name) {
                    names.push(name);
                }
            }
            if names.is_empty() { "nothing but the tenant".to_owned() } else { names.join(", ") }
        };
        Ok(collection.templates().iter().map(names).collect::<Vec<_>>().join("; or "))
    }

    /// What names the only document at a path of this scope on every store: its key where the path follows from it, else
    /// its place. `None` when the path is of no document of the scope, or of several.
    ///
    /// # Errors
    /// As [`Layout::check_scope`].
    pub fn identify(&self, scope: &Scope, path: &str) -> Result<Option<DocumentKey>> {
        let (root, collection) = self.collection(&scope.collection)?;
        if self.plan.roots[root].is_container() {
            return Ok(None);
        }
        let Some(route) = self.router.route(path) else { return Ok(None) };
        if route.collections != [self.plan.roots[root].collection] {
            return Ok(None);
        }
        let Some(template) = route.templates.first().and_then(|&at| collection.templates().get(at)) else {
            return Ok(None);
        };
        let value = |name: &str| {
            let at = template.captures().iter().position(|capture| capture.name == name)?;
            route.values.get(at).copied()
        };
        let key = if self.is_found_by_id(root, collection) {
            let parts: Option<Vec<&str>> = self.key_names(root).into_iter().map(value).collect();
            let Some(parts) = parts else { return Ok(None) };
            DocumentKey::of_parts(&collection.name, &parts)
        } else {
            let captures = template.captures().iter().zip(&route.values);
            let free = captures.filter(|(capture, _)| !leads(collection, capture));
            let place: Vec<(&str, &str)> =
                free.map(|(capture, value)| (capture.name.as_str(), *value)).collect();
            DocumentKey::at(&collection.name, &place)
        };
        Ok(match &scope.tenant {
            None => Some(key),
            Some(tenant) => {
                let own = collection.tenant.as_deref().and_then(value) == Some(tenant.as_str());
                own.then(|| key.in_tenant(tenant))
            }
        })
    }

    /// The path follows from the key, for all documents of the collection.
    pub(super) fn is_found_by_id(&self, root: usize, collection: &Collection) -> bool {
        let names = self.key_names(root);
        let known = |capture: &Capture| names.contains(&capture.name.as_str()) || leads(collection, capture);
        collection.templates().iter().all(|template| {
            let shared = self.plan.roots[root].is_container();
            template.captures().iter().all(known) && (shared || names.iter().all(|name| has(template, name)))
        })
    }

    /// The key, as text, of the document that is named so: known without reading it, unless the key stands in its text
    /// only.
    ///
    /// # Errors
    /// As [`Layout::whereabouts`].
    pub fn id_of(&self, key: &DocumentKey) -> Result<Option<String>> {
        if let Some(id) = key.id() {
            return Ok(Some(id.to_owned()));
        }
        if let Some(within) = self.within(key)? {
            return Ok(Some(within.id));
        }
        let (root, collection) = self.collection(key.collection())?;
        let Some(path) = self.whereabouts(key)?.paths.into_iter().next() else { return Ok(None) };
        if self.plan.makes_key(root) {
            return Ok(self.plan.made_key(root, &path));
        }
        let route = self.router.route(&path);
        let Some((route, template)) = route.and_then(|route| {
            let template = collection.templates().get(*route.templates.first()?)?;
            Some((route, template))
        }) else {
            return Ok(None);
        };
        let value = |name: &str| {
            let at = template.captures().iter().position(|capture| capture.name == name)?;
            route.values.get(at).copied()
        };
        let parts: Option<Vec<&str>> = self.key_names(root).into_iter().map(value).collect();
        Ok(parts.map(|parts| DocumentKey::of_parts(&collection.name, &parts).text().to_owned()))
    }
}

fn has(template: &Template, name: &str) -> bool {
    template.captures().iter().any(|capture| capture.name == name)
}

/// Whether this capture is the tenant.
fn leads(collection: &Collection, capture: &Capture) -> bool {
    collection.tenant.as_deref() == Some(capture.name.as_str())
}
