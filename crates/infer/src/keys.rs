//! Keys and references: which columns are different in every row, and which hold the keys of another
//! collection. Proven by all rows, within a bound of memory; beyond it nothing is claimed.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use repot_json::Tree;
use repot_model::language::{FieldKind, Scalar};

use crate::body::Reading;
use crate::corpus::{Corpus, Options};
use crate::draft::{Column, Draft, Home, Source};
use crate::evidence::{grouped, quoted_path};
use crate::gather::for_each_document;
use crate::naming::{plural, singular};
use crate::paths::PathTree;
use crate::rows::{Row, Walk};

/// Columns tried as the key of one collection.
const CANDIDATES_MAX: usize = 6;
/// Distinct values remembered of a column once one of them stood twice: only their number is of interest then.
const REPEATED_MAX: usize = 100_000;
/// Rows that are too few to say anything from their differing.
const FEW_ROWS: u64 = 10;
/// Collections tried as what a column refers to.
const TARGETS_MAX: usize = 4;

/// Values of one candidate.
#[derive(Debug, Default)]
struct Values {
    seen: HashSet<u64>,
    all: u64,
    missing: bool,
    too_many: bool,
}

type Sets = BTreeMap<(usize, usize), Values>;

/// Where documents are and how they are read.
#[derive(Debug)]
pub(crate) struct Scene<'s, C> {
    pub(crate) corpus: &'s C,
    pub(crate) tree: &'s PathTree,
    pub(crate) readings: &'s [Reading],
}

impl<C: Corpus> Scene<'_, C> {
    fn rows(&self, drafts: &[Draft], each: &mut dyn FnMut(usize, &Row<'_>)) -> Result<(), C::Error> {
        let walk = Walk::new(drafts);
        let mut json = Tree::default();
        self.corpus.contents(&mut |path, bytes| {
            let mut captures = Vec::new();
            let (Some(leaf), Ok(bytes)) = (self.tree.find(path, &mut captures), bytes) else { return };
            for_each_document(bytes, self.readings[leaf], &mut json, &mut |_, document| {
                walk.document((leaf, path, &captures), document, each);
            });
        })
    }
}

/// Gives every draft its key, and turns columns that hold keys into references.
pub(crate) fn relate<C: Corpus>(
    scene: &Scene<'_, C>,
    drafts: &mut [Draft],
    options: &Options,
) -> Result<(), C::Error> {
    let mut sets = Sets::new();
    for (at, draft) in drafts.iter().enumerate() {
        // Within one document ids may be unique although two documents would share them.
        if matches!(draft.home, Home::In(_)) && root_rows(drafts, at) < 2 {
            continue;
        }
        for column in candidates(draft) {
            sets.insert((at, column), Values::default());
        }
    }
    if !sets.is_empty() {
        scene.rows(drafts, &mut |at, row| {
            for ((_, column), values) in sets.range_mut((at, 0)..=(at, usize::MAX)) {
                values.take(row.hash(&drafts[at].columns[*column].source), options.key_values_max);
            }
        })?;
    }
    let parents: BTreeSet<usize> = drafts
        .iter()
        .filter_map(|draft| match &draft.home {
            Home::In(places) => Some(places.iter().map(|place| place.0).collect::<Vec<_>>()),
            Home::Files | Home::InFiles(_) => None,
        })
        .flatten()
        .collect();
    let mut chosen: BTreeMap<usize, HashSet<u64>> = BTreeMap::new();
    for (at, draft) in drafts.iter_mut().enumerate() {
        if let Some((column, values)) = choose(at, draft, &mut sets) {
            draft.columns[column].key = true;
            chosen.insert(at, values);
        } else {
            make_key(draft, scene.readings, parents.contains(&at));
        }
    }
    refer(scene, drafts, &chosen)
}

/// Rows of the collection whose documents these rows are in.
fn root_rows(drafts: &[Draft], at: usize) -> u64 {
    match &drafts[at].home {
        Home::In(places) => places.first().map_or(0, |place| root_rows(drafts, place.0)),
        Home::Files | Home::InFiles(_) => drafts[at].rows,
    }
}

impl Values {
    fn take(&mut self, hash: Option<u64>, most: usize) {
        if self.too_many {
            return;
        }
        match hash {
            None => self.missing = true,
            Some(hash) => {
                self.all += 1;
                self.seen.insert(hash);
                let different = self.seen.len();
                let repeated = different as u64 != self.all;
                if different > most || (repeated && different > REPEATED_MAX) {
                    self.too_many = true;
                    self.seen = HashSet::new();
                }
            }
        }
    }
}

fn key_kind(column: &Column) -> Option<Scalar> {
    match column.kind {
        FieldKind::Scalar(kind @ (Scalar::Text(None) | Scalar::Int | Scalar::Uuid)) => Some(kind),
        _ => None,
    }
}

/// Columns that may be the key, best first.
fn candidates(draft: &Draft) -> Vec<usize> {
    let one = singular(&draft.name);
    let root = !matches!(draft.home, Home::In(_));
    let files = matches!(draft.home, Home::Files);
    let last_capture =
        draft.columns.iter().filter_map(|column| column.capture.or(column.source.capture())).max();
    let mut found: Vec<(u8, usize)> = Vec::new();
    for (at, column) in draft.columns.iter().enumerate() {
        let fits = !column.optional && !draft.body && key_kind(column).is_some();
        let in_last = column.capture.is_some() && column.capture == last_capture;
        let name = column.name.as_str();
        let rank = match &column.source {
            Source::Document(_) if name == "id" => 0,
            Source::Document(_) if name == format!("{one}_id") => 1,
            Source::Document(_) if matches!(name, "_id" | "uuid" | "guid" | "uid") => 2,
            Source::Document(_) if in_last => 3,
            Source::EntryKey(_) => 4,
            // Chance makes few rows differ in anything; a path that tells files apart is the better key.
            Source::Document(path)
                if root
                    && path.len() == 1
                    && draft.rows >= FEW_ROWS
                    && !(files && last_capture.is_some()) =>
            {
                if name.ends_with("_id") || matches!(name, "slug" | "key" | "code") { 5 } else { continue }
            }
            _ => continue,
        };
        if fits {
            found.push((rank, at));
        }
    }
    found.sort_unstable();
    found.into_iter().take(CANDIDATES_MAX).map(|(_, at)| at).collect()
}

fn choose(at: usize, draft: &mut Draft, sets: &mut Sets) -> Option<(usize, HashSet<u64>)> {
    let mut chosen = None;
    for column in candidates(draft) {
        let Some(values) = sets.remove(&(at, column)) else { continue };
        let different = values.seen.len() as u64;
        let unique = different == values.all && !values.missing && different > 0;
        let evidence = &mut draft.columns[column].evidence;
        if values.too_many {
            evidence.push("too many to tell, or some twice".to_owned());
        } else if unique {
            evidence.push("all different".to_owned());
            if chosen.is_none() {
                chosen = Some((column, values.seen));
            }
        } else {
            evidence.push(format!("{} different", grouped(different)));
        }
    }
    chosen
}

/// A key from the path where that is one, else one that Repot makes.
fn make_key(draft: &mut Draft, readings: &[Reading], has_children: bool) {
    let single = matches!(draft.home, Home::Files) && readings[draft.leaf] != Reading::Lines;
    let captures: Vec<usize> = draft
        .columns
        .iter()
        .enumerate()
        .filter(|(_, column)| column.capture.is_some() || matches!(column.source, Source::Capture(_)))
        .map(|(at, _)| at)
        .collect();
    if single && (captures.len() == 1 || (captures.len() > 1 && !has_children)) {
        for at in captures {
            draft.columns[at].key = true;
        }
        return;
    }
    let one = singular(&draft.name);
    let name = draft.names.give(&["id".into(), format!("{one}_key"), "row_id".into()]);
    let kind = match (single, captures.len()) {
        (true, 0) => Scalar::Text(None),
        (true, _) => {
            draft.unique.push(captures.iter().map(|at| draft.columns[*at].name.clone()).collect());
            Scalar::Uuid
        }
        (false, _) => Scalar::Int,
    };
    let mut column = Column::new(name, Source::Made, FieldKind::Scalar(kind));
    column.key = true;
    column.evidence.push("made by Repot, not part of the document".to_owned());
    draft.columns.insert(0, column);
}

/// How a column's values fare as keys of another collection.
#[derive(Debug, Default)]
struct Resolved {
    all: u64,
    found: u64,
    first_dangling: Option<String>,
}

fn refer<C: Corpus>(
    scene: &Scene<'_, C>,
    drafts: &mut [Draft],
    keys: &BTreeMap<usize, HashSet<u64>>,
) -> Result<(), C::Error> {
    let mut trials: BTreeMap<(usize, usize, usize), Resolved> = BTreeMap::new();
    for (at, draft) in drafts.iter().enumerate().filter(|(_, draft)| !draft.body) {
        for (place, column) in draft.columns.iter().enumerate() {
            for target in targets(drafts, at, column, keys) {
                trials.insert((at, place, target), Resolved::default());
            }
        }
    }
    if trials.is_empty() {
        return Ok(());
    }
    scene.rows(drafts, &mut |at, row| {
        for ((_, column, target), trial) in trials.range_mut((at, 0, 0)..=(at, usize::MAX, usize::MAX)) {
            let Some(hash) = row.hash(&drafts[at].columns[*column].source) else { continue };
            trial.all += 1;
            if keys.get(target).is_some_and(|keys| keys.contains(&hash)) {
                trial.found += 1;
            } else if trial.first_dangling.as_deref().is_none_or(|first| row.path < first) {
                trial.first_dangling = Some(row.path.to_owned());
            }
        }
    })?;
    for ((at, place, target), trial) in trials {
        settle(drafts, (at, place, target), &trial);
    }
    Ok(())
}

fn settle(drafts: &mut [Draft], (at, place, target): (usize, usize, usize), trial: &Resolved) {
    let name = drafts[target].name.clone();
    let whole = trial.all > 0 && trial.found == trial.all && !refers(drafts, target, at);
    let column = &mut drafts[at].columns[place];
    if matches!(column.kind, FieldKind::Ref(_)) || trial.found * 2 < trial.all || trial.all == 0 {
        return;
    }
    if whole {
        column.kind = FieldKind::Ref(vec![name.clone()]);
        column.evidence.push(format!("all found in {name}"));
    } else if let Some(path) = &trial.first_dangling {
        let (found, all) = (grouped(trial.found), grouped(trial.all));
        column
            .evidence
            .push(format!("{found} of {all} found in {name}; first dangling in {}", quoted_path(path)));
    }
}

/// Whether `from` needs rows of `to` first (other than its own).
fn refers(drafts: &[Draft], from: usize, to: usize) -> bool {
    let mut open = vec![from];
    let mut done = BTreeSet::new();
    while let Some(at) = open.pop() {
        if at == to && from != to {
            return true;
        }
        if !done.insert(at) {
            continue;
        }
        if let Home::In(places) = &drafts[at].home {
            open.extend(places.iter().map(|place| place.0));
        }
        for column in &drafts[at].columns {
            if let FieldKind::Ref(names) = &column.kind {
                open.extend(
                    drafts
                        .iter()
                        .enumerate()
                        .filter(|(_, draft)| names.contains(&draft.name))
                        .map(|(at, _)| at),
                );
            }
        }
    }
    false
}

/// Collections a column's name speaks of, with keys of its kind.
fn targets(drafts: &[Draft], at: usize, column: &Column, keys: &BTreeMap<usize, HashSet<u64>>) -> Vec<usize> {
    let own = match &column.source {
        Source::Document(path) => path.last().map(|last| crate::naming::snake(last)),
        Source::Capture(_) => Some(column.name.clone()),
        _ => None,
    };
    // A key in the document names the row itself; that another collection has the same ones may be chance.
    let own = own.filter(|_| !column.key || matches!(column.source, Source::Capture(_)));
    let (Some(name), Some(kind)) = (own, key_kind(column)) else { return Vec::new() };
    let stem = name.strip_suffix("_id").unwrap_or(&name);
    let fits = |target: usize| {
        let draft = &drafts[target];
        let Some(key) = draft.single_key() else { return false };
        let named = draft.name == stem || draft.name == plural(stem) || singular(&draft.name) == stem;
        let parent = target == at && stem == "parent";
        key_kind(key) == Some(kind) && draft.rows > 1 && (named || parent) && !(target == at && column.key)
    };
    keys.keys().copied().filter(|target| fits(*target)).take(TARGETS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(hashes: impl Iterator<Item = u64>, most: usize) -> Values {
        let mut values = Values::default();
        hashes.for_each(|hash| values.take(Some(hash), most));
        values
    }

    #[test]
    fn memory_is_given_back_in_any_order() {
        let distinct = REPEATED_MAX as u64 + 5;
        let early = values(std::iter::once(1).chain(0..distinct), usize::MAX);
        let late = values((0..distinct).chain(std::iter::once(1)), usize::MAX);
        assert!(early.too_many && late.too_many);
        assert_eq!((early.seen.len(), late.seen.len()), (0, 0));
        let unique = values(0..distinct, usize::MAX);
        assert!(!unique.too_many && unique.seen.len() as u64 == distinct);
        assert!(values(0..distinct, 10).too_many);
    }
}
