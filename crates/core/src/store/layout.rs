//! Where the documents of a model lie among objects: from key to path, from path to key.

use std::sync::Arc;

use repot_json::Limits;
use repot_json::patch::Lists;
use repot_model::language::{Collection, Model};
use repot_model::place::{Router, Template};
use repot_model::plan::Plan;

use super::key::{DocumentKey, Scope};
use crate::error::{Error, Kind, Result};

/// The places of a model's documents.
#[derive(Debug, Clone)]
pub struct Layout {
    model: Arc<Model>,
    pub(super) plan: Arc<Plan>,
    pub(super) router: Router,
    limits: Limits,
    /// Texts are taken as they are.
    pub(super) is_verbatim: bool,
}

impl Layout {
    /// The places of `model`, which `plan` was compiled from.
    ///
    /// # Errors
    /// [`Kind::Invalid`], code `R0140`, when two templates claim one path.
    pub fn new(model: Arc<Model>, plan: Arc<Plan>, limits: Limits) -> Result<Self> {
        let lists = model
            .collections
            .iter()
            .enumerate()
            .filter(|(_, collection)| !collection.templates().is_empty())
            .map(|(at, collection)| (at, collection.templates().iter().collect()))
            .collect();
        let router = Router::new(lists).map_err(|overlap| {
            Error::new(Kind::Invalid, "R0140", overlap.to_string())
                .hint("Make one of the two templates more literal, or join the sections.")
        })?;
        Ok(Self { model, plan, router, limits, is_verbatim: false })
    }

    /// The same places without the rules of the model: for copies, whose texts were decided on elsewhere.
    #[must_use]
    pub fn verbatim(&self) -> Self {
        Self { is_verbatim: true, ..self.clone() }
    }

    /// The collections whose documents can be reached here, in the order of the model.
    #[must_use]
    pub fn collections(&self) -> Vec<String> {
        let reachable = |collection: &&Collection| self.collection(&collection.name).is_ok();
        self.model.collections.iter().filter(reachable).map(|collection| collection.name.clone()).collect()
    }

    pub(super) fn collection(&self, name: &str) -> Result<(usize, &Collection)> {
        let at = self.model.collections.iter().position(|collection| collection.name == name);
        let missing = || {
            Error::new(Kind::NotFound, "R0402", format!("there is no collection {name} with documents"))
                .hint("Check the name; repot.toml lists the collections.")
        };
        let at = at.ok_or_else(missing)?;
        let root = self.plan.roots.iter().position(|root| root.collection == at).ok_or_else(missing)?;
        let found = &self.plan.roots[root];
        let collection = &self.model.collections[at];
        if found.table.is_none() {
            let message = format!("documents of {name} stay in their files (move = false)");
            return Err(Error::new(Kind::Unsupported, "R0405", message)
                .hint("Read the files themselves, or let the model move them."));
        }
        if found.is_container()
            && let Some(why) = self.unreachable(root, collection)
        {
            let message = format!("documents of {name} stand several in one file, and {why}");
            return Err(Error::new(Kind::Unsupported, "R0427", message).hint(
                "Give the collection a key that stands in the documents; or query its rows in a database.",
            ));
        }
        Ok((root, collection))
    }

    /// Checks that a scope names a tenant exactly where the collection has one.
    ///
    /// # Errors
    /// `R0402`, `R0405` or `R0406`, as the contract of stores says.
    pub fn check_scope(&self, scope: &Scope) -> Result<()> {
        let (_, collection) = self.collection(&scope.collection)?;
        tenant_rule(collection, scope.tenant.as_deref())
    }

    /// What every path of a scope begins with.
    ///
    /// # Errors
    /// As [`Layout::check_scope`].
    pub fn prefix(&self, scope: &Scope) -> Result<String> {
        let (_, collection) = self.collection(&scope.collection)?;
        let prefixes = collection.templates().iter().map(|template| {
            let (Some(tenant), Some(first)) = (&scope.tenant, template.captures().first()) else {
                return template.prefix().to_owned();
            };
            let leads = collection.tenant.as_deref() == Some(first.name.as_str())
                && template.text().strip_prefix(template.prefix()).is_some_and(|rest| rest.starts_with('{'));
            if leads { format!("{}{tenant}", template.prefix()) } else { template.prefix().to_owned() }
        });
        Ok(prefixes.reduce(|one, other| common_start(&one, &other).to_owned()).unwrap_or_default())
    }

    pub(super) fn key_names(&self, root: usize) -> Vec<&str> {
        let Some(table) = self.plan.roots[root].table else { return Vec::new() };
        let table = &self.plan.tables[table];
        table.key.iter().map(|&column| table.columns[column].name.as_str()).collect()
    }

    pub(super) fn leads_to(&self, path: &str, root: usize) -> bool {
        let wanted = self.plan.roots[root].collection;
        let shared = self.plan.roots[root].is_container();
        self.router.route(path).is_some_and(|route| {
            route.collections == [wanted] || (shared && route.collections.contains(&wanted))
        })
    }

    /// The template of the collection that a path is of, and the values of its captures.
    pub(super) fn captures<'p>(
        &self,
        collection: &'p Collection,
        path: &'p str,
    ) -> Option<(&'p Template, Vec<&'p str>)> {
        let route = self.router.route(path)?;
        let own = self.model.collections.iter().position(|other| other.name == collection.name)?;
        let at = route.collections.iter().position(|&other| other == own)?;
        Some((collection.templates().get(*route.templates.get(at)?)?, route.values))
    }

    /// The lists of rows in the documents of a collection, for merging.
    ///
    /// # Errors
    /// As [`Layout::check_scope`], without the tenant.
    pub fn lists(&self, collection: &str) -> Result<Lists> {
        let (root, _) = self.collection(collection)?;
        Ok(self.plan.lists(root))
    }

    /// The field that tells the tenants of a collection apart.
    #[must_use]
    pub fn tenant_field(&self, collection: &str) -> Option<&str> {
        self.model.collection(collection)?.tenant.as_deref()
    }

    /// How long what is deleted from a collection can be had back, seconds; `None`: not at all.
    #[must_use]
    pub fn soft_delete(&self, collection: &str) -> Option<u64> {
        self.model.collection(collection)?.soft_delete.as_ref().map(|life| life.value)
    }

    /// Whether the model says what is at this path.
    #[must_use]
    pub fn is_claimed(&self, path: &str) -> bool {
        self.router.route(path).is_some_and(|route| !route.collections.is_empty())
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The compiled model.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The key of the only document at a path, with its tenant where the collection has one; `None` when the path does not
    /// tell it.
    #[must_use]
    pub fn key_at(&self, path: &str) -> Option<DocumentKey> {
        let route = self.router.route(path)?;
        let &[at] = route.collections else { return None };
        let name = &self.model.collections.get(at)?.name;
        let (root, collection) = self.collection(name).ok()?;
        if self.plan.roots[root].is_container() {
            return None;
        }
        let template = collection.templates().get(*route.templates.first()?)?;
        let value = |name: &str| {
            let at = template.captures().iter().position(|capture| capture.name == name)?;
            route.values.get(at).copied()
        };
        let names = self.key_names(root);
        let parts: Vec<&str> = names.iter().filter_map(|name| value(name)).collect();
        if parts.is_empty() || parts.len() != names.len() {
            return None;
        }
        let key = DocumentKey::of_parts(name, &parts);
        match &collection.tenant {
            None => Some(key),
            Some(tenant) => value(tenant).map(|tenant| key.in_tenant(tenant)),
        }
    }

    /// Whether a collection of the model has tenants.
    #[must_use]
    pub fn has_tenants(&self, collection: &str) -> bool {
        self.model.collections.iter().any(|found| found.name == collection && found.tenant.is_some())
    }

    /// Bounds of one JSON text.
    #[must_use]
    pub const fn limits(&self) -> Limits {
        self.limits
    }

    /// The error of a write under a key that no path can hold.
    #[must_use]
    pub fn cannot_hold(&self, key: &DocumentKey) -> Error {
        Error::new(Kind::Invalid, "R0403", format!("no path can be read back as {key}"))
            .hint("Use a key that can be part of a path: not empty, not `.` or `..`, without `/`.")
    }
}

pub(super) fn tenant_rule(collection: &Collection, tenant: Option<&str>) -> Result<()> {
    let message = match (&collection.tenant, tenant) {
        (Some(field), None) => format!("{} is reached through its {field} only", collection.name),
        (None, Some(_)) => format!("{} has no tenants", collection.name),
        _ => return Ok(()),
    };
    Err(Error::new(Kind::Invalid, "R0406", message)
        .hint("Give a tenant exactly where the collection says `tenant = ...`."))
}

fn common_start<'t>(one: &'t str, other: &str) -> &'t str {
    let same = one.chars().zip(other.chars()).take_while(|(left, right)| left == right);
    let bytes = same.map(|(left, _)| left.len_utf8()).sum();
    one.get(..bytes).unwrap_or_default()
}
