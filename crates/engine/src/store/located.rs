//! Where the documents of units of work are. Most paths follow from the keys; the others are looked up before the
//! transaction that locks them, and again within it.

use std::collections::{BTreeMap, HashSet};

use repot_core::store::{DocumentKey, Layout, Scope, Whereabouts};
use repot_core::{Error, Kind, Reader, Result, Retry};

use super::jobs::Job;

/// Times that units of work are tried whose documents others move meanwhile.
pub(super) const TRIES_MAX: usize = 50;

/// Keys whose paths an index knows, and those paths.
#[derive(Debug, Default)]
pub(super) struct Located(BTreeMap<DocumentKey, Option<String>>);

impl Located {
    /// The keys of these units whose paths must be looked up; not yet looked up.
    pub(super) fn of(layout: &Layout, works: &[&Job]) -> Result<Self> {
        let mut keys = BTreeMap::new();
        for work in works.iter().filter(|work| matches!(work, Job::Unit { .. })) {
            for key in work.keys() {
                if layout.whereabouts(key)?.elsewhere {
                    keys.insert(key.clone(), None);
                }
            }
        }
        Ok(Self(keys))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Looks all of them up.
    pub(super) fn look_up(&mut self, layout: &Layout, reader: &mut dyn Reader) -> Result<()> {
        for (key, path) in &mut self.0 {
            *path = look_up(layout, reader, key)?;
        }
        Ok(())
    }

    /// Whether all of them are where they were.
    pub(super) fn stays(&self, layout: &Layout, reader: &mut dyn Reader) -> Result<bool> {
        for (key, path) in &self.0 {
            if look_up(layout, reader, key)? != *path {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The paths of all documents of the units; `None` when several units write one, named in two ways.
    pub(super) fn paths(&self, layout: &Layout, works: &[&Job]) -> Result<Option<Vec<String>>> {
        let mut seen = HashSet::new();
        // files with several documents: which unit writes there, and which documents
        let mut shared: BTreeMap<String, usize> = BTreeMap::new();
        let mut inside = HashSet::new();
        // documents of which units change parts: several may
        let mut parts = HashSet::new();
        let places = works.iter().map(|work| work.paths(layout)).collect::<Result<Vec<_>>>()?;
        let numbered = places
            .into_iter()
            .enumerate()
            .flat_map(|(unit, all)| all.into_iter().map(move |one| (unit, one)));
        for (unit, (key, mut paths)) in numbered {
            if works.get(unit).is_some_and(|work| work.part().is_some()) && !parts.insert(key) {
                continue;
            }
            paths.extend(self.0.get(key).cloned().flatten());
            // no database holds one in a text
            paths.retain(|path| !path.contains('\0'));
            let tends = matches!(works.get(unit), Some(Job::Tend(_) | Job::Replace(_)));
            let within = if tends { None } else { layout.within(key)? };
            if let Some(within) = within {
                let mut others = paths.iter().map(|path| *shared.entry(path.clone()).or_insert(unit));
                if others.any(|other| other != unit) {
                    return Ok(None);
                }
                if paths.into_iter().all(|path| inside.insert((path, within.root, within.id.clone()))) {
                    continue;
                }
            } else if paths.into_iter().all(|path| seen.insert(path)) {
                continue;
            }
            if works.len() > 1 {
                return Ok(None);
            }
            let message = format!("{key} is written twice in one unit of work");
            return Err(Error::new(Kind::Invalid, "R0405", message).hint("Join the two writes."));
        }
        Ok(Some(seen.into_iter().chain(shared.into_keys()).collect()))
    }
}

/// The path of the document with this key, which does not follow from it, as the index of keys has it.
pub(super) fn look_up(layout: &Layout, reader: &mut dyn Reader, key: &DocumentKey) -> Result<Option<String>> {
    // no database holds a NUL in a text
    let Some(id) = key.id().filter(|id| !id.contains('\0')) else { return Ok(None) };
    let Some(object) = reader.find_document(key.collection(), id)? else { return Ok(None) };
    let scope = Scope { collection: key.collection().to_owned(), tenant: key.tenant().map(str::to_owned) };
    let path = object.record.path;
    // one that the key leads to is found there; and the index knows nothing of tenants
    let Whereabouts { paths, .. } = layout.whereabouts(key)?;
    let own = layout.belongs(&scope, &path)? && !paths.contains(&path);
    Ok(own.then_some(path))
}

/// The error of units of work whose documents others move all the time.
pub(super) fn too_often() -> Error {
    let message = format!(
        "others moved the same documents, or came to refer to what goes, {TRIES_MAX} times meanwhile"
    );
    Error::new(Kind::Unavailable, "R0411", message)
        .retry(Retry::Safe)
        .hint("Send it again; if that goes on, let fewer write the same documents at once.")
}
