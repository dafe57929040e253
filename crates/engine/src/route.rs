//! From a path to the collections whose documents the object holds.

use std::sync::Arc;

use repot_core::{Error, Kind, Result};
use repot_model::language::{Collection, Model, Place as ModelPlace};
use repot_model::place::Router;
use repot_model::plan::Plan;

/// Where an object belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route<'p> {
    /// It is split as these: (index in [`Plan::roots`], template), with what the captures matched.
    Documents { places: Vec<(usize, usize)>, values: Vec<&'p str> },
    /// It stays where it is; the collection's name.
    Stays(String),
    /// No template matches.
    Unmatched,
}

/// Checks that what the model says of its source can be read.
///
/// # Errors
/// `R0150` when it reads tables of SQLite files.
pub fn check_source(model: &Model) -> Result<()> {
    let table = |one: &&Collection| one.moves && matches!(one.place, ModelPlace::SqliteTable { .. });
    let Some(found) = model.collections.iter().find(table) else { return Ok(()) };
    let message = format!("{} reads tables of SQLite files, which this version does not do yet", found.name);
    Err(Error::new(Kind::Unsupported, "R0150", message)
        .hint("Serve a fresh database with this model, leave the section out, or say `move = false`."))
}

/// Routes paths for one plan.
#[derive(Debug)]
pub struct Routes<'p> {
    plan: &'p Plan,
    router: Arc<Router>,
}

impl<'p> Routes<'p> {
    /// Prepares the templates of a model.
    ///
    /// # Errors
    /// [`Kind::Invalid`] when two templates claim one path.
    pub fn new(model: &Model, plan: &'p Plan) -> Result<Self> {
        let lists: Vec<_> = model
            .collections
            .iter()
            .enumerate()
            .map(|(at, collection)| (at, collection.templates().iter().collect::<Vec<_>>()))
            .filter(|(_, templates)| !templates.is_empty())
            .collect();
        let router = Router::new(lists).map_err(|overlap| {
            Error::new(Kind::Invalid, "R0140", overlap.to_string())
                .hint("Make one of the two templates more literal, or join the sections.")
        })?;
        Ok(Self { plan, router: Arc::new(router) })
    }

    /// The same templates for a plan that is held elsewhere: of the same model.
    pub(crate) const fn with(plan: &'p Plan, router: Arc<Router>) -> Self {
        Self { plan, router }
    }

    /// The templates.
    pub(crate) fn router(&self) -> Arc<Router> {
        Arc::clone(&self.router)
    }

    pub(crate) fn find<'t>(&self, path: &'t str) -> Route<'t> {
        let Some(found) = self.router.route(path) else { return Route::Unmatched };
        let mut places = Vec::new();
        let mut stays = None;
        for (collection, template) in found.collections.iter().zip(found.templates.iter()) {
            let Some(root) = self.plan.roots.iter().position(|root| root.collection == *collection) else {
                continue;
            };
            if self.plan.roots[root].table.is_some() {
                places.push((root, *template));
            } else {
                stays = Some(self.plan.roots[root].name.clone());
            }
        }
        match stays {
            _ if !places.is_empty() => Route::Documents { places, values: found.values },
            Some(name) => Route::Stays(name),
            None => Route::Unmatched,
        }
    }
}
