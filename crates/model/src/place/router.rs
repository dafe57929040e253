//! From a path to the collections it belongs to: the most literal template that matches wins.

use std::collections::BTreeMap;
use std::fmt;

use super::Template;
use super::overlap::both_match_some_path;

/// Finds the collections of a path.
#[derive(Debug, Clone)]
pub struct Router {
    /// Most literal first.
    entries: Vec<Entry>,
    /// Templates without captures, by path: nothing is more literal.
    exact: BTreeMap<String, usize>,
}

#[derive(Debug, Clone)]
struct Entry {
    template: Template,
    collections: Vec<usize>,
    templates: Vec<usize>,
}

/// Where a path belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route<'r, 'p> {
    /// The collections whose template matched: several when one file holds the documents of several.
    pub collections: &'r [usize],
    /// For each of them, which of its templates.
    pub templates: &'r [usize],
    /// The values of the template's captures, in their order.
    pub values: Vec<&'p str>,
}

/// Two templates that are equally literal and match a common path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlap {
    /// The collection and text of one.
    pub one: (usize, String),
    /// And of the other.
    pub other: (usize, String),
}

impl fmt::Display for Overlap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` and `{}` can match the same path and neither is more literal",
            self.one.1, self.other.1
        )
    }
}

impl std::error::Error for Overlap {}

impl Router {
    /// Sorts the templates of collections. The same text in several collections is one template of all of them.
    ///
    /// # Errors
    /// Two different templates, equally literal, match a common path.
    pub fn new(lists: Vec<(usize, Vec<&Template>)>) -> Result<Self, Overlap> {
        let (router, mut overlaps) = Self::build(lists, true);
        if overlaps.is_empty() { Ok(router) } else { Err(overlaps.swap_remove(0)) }
    }

    /// Every pair of templates that [`Router::new`] refuses.
    #[must_use]
    pub fn overlaps(lists: Vec<(usize, Vec<&Template>)>) -> Vec<Overlap> {
        Self::build(lists, false).1
    }

    fn build(lists: Vec<(usize, Vec<&Template>)>, first_only: bool) -> (Self, Vec<Overlap>) {
        let mut entries: Vec<Entry> = Vec::new();
        let mut by_text: BTreeMap<&str, usize> = BTreeMap::new();
        for (collection, templates) in lists {
            for (index, template) in templates.into_iter().enumerate() {
                let at = *by_text.entry(template.text()).or_insert_with(|| {
                    entries.push(Entry {
                        template: template.clone(),
                        collections: Vec::new(),
                        templates: Vec::new(),
                    });
                    entries.len() - 1
                });
                entries[at].collections.push(collection);
                entries[at].templates.push(index);
            }
        }
        entries.sort_by(|one, other| one.template.specificity(&other.template));
        let overlaps = Self::ties(&entries, first_only);
        let without_captures = |entry: &Entry| entry.template.captures().is_empty();
        let exact = entries
            .iter()
            .enumerate()
            .filter(|(_, entry)| without_captures(entry))
            .filter_map(|(at, entry)| Some((entry.template.render(&[])?, at)))
            .collect();
        (Self { entries, exact }, overlaps)
    }

    fn ties(entries: &[Entry], first_only: bool) -> Vec<Overlap> {
        let mut found = Vec::new();
        for (at, one) in entries.iter().enumerate() {
            let equals = entries
                .iter()
                .skip(at + 1)
                .take_while(|other| one.template.specificity(&other.template).is_eq());
            for other in equals.filter(|other| both_match_some_path(&one.template, &other.template)) {
                let name = |entry: &Entry| {
                    (entry.collections.first().copied().unwrap_or_default(), entry.template.text().to_owned())
                };
                found.push(Overlap { one: name(one), other: name(other) });
                if first_only {
                    return found;
                }
            }
        }
        found
    }

    /// Where a path belongs; `None` when no template matches.
    #[must_use]
    pub fn route<'p>(&self, path: &'p str) -> Option<Route<'_, 'p>> {
        if let Some(entry) = self.exact.get(path).and_then(|&at| self.entries.get(at)) {
            return Some(Route {
                collections: &entry.collections,
                templates: &entry.templates,
                values: Vec::new(),
            });
        }
        self.entries.iter().filter(|entry| !entry.template.captures().is_empty()).find_map(|entry| {
            let values = entry.template.matches(path)?;
            Some(Route { collections: &entry.collections, templates: &entry.templates, values })
        })
    }
}
