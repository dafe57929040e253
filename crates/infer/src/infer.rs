//! The whole way from a corpus to a model.

use std::collections::{BTreeMap, BTreeSet};

use repot_model::language::{Model, Step};

use crate::body::reading;
use crate::build;
use crate::corpus::{Corpus, Options};
use crate::draft::{Draft, Home, Merged};
use crate::evidence::{self, grouped, quoted_path};
use crate::gather::gather;
use crate::keys::{Scene, relate};
use crate::paths::PathTree;
use crate::refine::refine;
use crate::root_drafts::{All, draft_all};
use crate::roots::{Roots, survey};

/// How often templates are corrected by what the files hold.
const ROUNDS_MAX: usize = 4;

/// A model, and what it was made from.
#[derive(Debug, Clone)]
pub struct Inferred {
    /// Ready to be printed; evidence stands in its fields.
    pub model: Model,
    /// Comment lines for the head of the file.
    pub header: Vec<String>,
    /// Comment lines by collection.
    pub comments: BTreeMap<String, Vec<String>>,
    /// What was found, for people.
    pub found: Vec<Found>,
    /// What deserves a look.
    pub notices: Vec<String>,
    /// Files listed.
    pub objects: u64,
    /// Their sizes together.
    pub bytes: u64,
}

/// A collection that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its name.
    pub collection: String,
    /// Files, or rows.
    pub count: u64,
    /// `true`: the count is of files.
    pub files: bool,
    /// `{user_id}/{id}.json`, or `conversations.messages[]`.
    pub place: String,
}

/// Looks at everything and writes a model that covers it.
///
/// # Errors
/// What the corpus says when its listing or its contents cannot be walked.
pub fn infer<C: Corpus>(corpus: &C, options: &Options) -> Result<Inferred, C::Error> {
    let (tree, roots) = templates(corpus)?;
    let mut readings: Vec<_> = tree
        .leaves
        .iter()
        .zip(&roots)
        .map(|(leaf, roots)| reading(leaf.extension.as_deref(), roots))
        .collect();
    let shapes = gather(corpus, &tree, &readings, options)?;
    let seen = All { tree: &tree, roots: &roots, shapes, source: &options.source };
    let mut merged = Merged::new();
    let (mut drafts, merges) = draft_all(&seen, &mut readings, &merged);
    if !merges.is_empty() {
        merged = merges;
        drafts = draft_all(&seen, &mut readings, &merged).0;
    }
    drop(seen);
    place_columns(&mut drafts);
    relate(&Scene { corpus, tree: &tree, readings: &readings }, &mut drafts, options)?;
    sort_families(&mut drafts);
    let model = build::model(&drafts, &tree, &readings, options);
    Ok(report(model, &drafts, &tree, &roots))
}

/// Templates of the listing, corrected by the contents until nothing changes.
fn templates<C: Corpus>(corpus: &C) -> Result<(PathTree, Vec<Roots>), C::Error> {
    let mut forced = BTreeSet::new();
    let mut tree = PathTree::discover(corpus, &forced)?;
    let mut roots = survey(corpus, &tree)?;
    for _ in 0..ROUNDS_MAX {
        let before = forced.len();
        if !refine(&mut tree, &roots, &mut forced) {
            break;
        }
        if forced.len() > before {
            tree = PathTree::discover(corpus, &forced)?;
        }
        roots = survey(corpus, &tree)?;
    }
    Ok((tree, roots))
}

/// References to the rows that others lie in, and their places, once all places are known.
fn place_columns(drafts: &mut [Draft]) {
    let names: Vec<String> = drafts.iter().map(|draft| draft.name.clone()).collect();
    for draft in drafts {
        let Home::In(places) = &mut draft.home else { continue };
        // Outer collections were made first: they lead the list.
        places.sort_by_key(|place| place.0);
        let mut parents: Vec<String> = Vec::new();
        for (parent, _) in places.iter() {
            if !parents.contains(&names[*parent]) {
                parents.push(names[*parent].clone());
            }
        }
        let listed = places.iter().any(|(_, steps)| matches!(steps.last(), Some(Step::Each)));
        draft.add_place(&parents, listed);
    }
}

/// Collections in the order of their places, each followed by what lies in it; the indexes follow along.
fn sort_families(drafts: &mut Vec<Draft>) {
    fn family(at: usize, drafts: &[Draft], order: &mut Vec<usize>) {
        order.push(at);
        for (child, draft) in drafts.iter().enumerate() {
            if let Home::In(places) = &draft.home
                && places.first().is_some_and(|place| place.0 == at)
            {
                family(child, drafts, order);
            }
        }
    }
    let mut order = Vec::with_capacity(drafts.len());
    for (at, draft) in drafts.iter().enumerate() {
        if !matches!(draft.home, Home::In(_)) {
            family(at, drafts, &mut order);
        }
    }
    let mut sorted: Vec<Draft> = order.iter().filter_map(|at| drafts.get(*at).cloned()).collect();
    for draft in &mut sorted {
        if let Home::In(places) = &mut draft.home {
            for (parent, _) in places {
                *parent = order.iter().position(|at| at == parent).unwrap_or(*parent);
            }
        }
    }
    *drafts = sorted;
}

fn report(model: Model, drafts: &[Draft], tree: &PathTree, roots: &[Roots]) -> Inferred {
    let mut found = Vec::new();
    let mut comments = BTreeMap::new();
    for draft in drafts {
        let template = build::template_text(draft, &tree.leaves[draft.leaf]);
        let (files, count, place) = match &draft.home {
            Home::Files => (true, roots[draft.leaf].files, template),
            Home::InFiles(steps) => (false, draft.rows, format!("{template} in {}", steps_text(steps))),
            Home::In(places) => {
                let mut texts = places.iter().map(|(parent, steps)| {
                    let steps = steps_text(steps);
                    let dot = if steps.starts_with(['[', '{']) { "" } else { "." };
                    format!("{}{dot}{steps}", drafts[*parent].name)
                });
                let first = texts.next().unwrap_or_default();
                let more =
                    if places.len() > 1 { format!(" (in {} places)", places.len()) } else { String::new() };
                (false, draft.rows, first + &more)
            }
        };
        let mut lines = vec![evidence::counted(count, if files { "file" } else { "row" })];
        lines.extend(draft.comments.iter().cloned());
        comments.insert(draft.name.clone(), lines);
        found.push(Found { collection: draft.name.clone(), count, files, place });
    }
    let header = vec![
        format!(
            "Written by `repot init` after looking at all of {} files ({} bytes).",
            grouped(tree.files),
            grouped(tree.bytes)
        ),
        "Every guess carries its evidence as a comment. Edit freely: this file is yours.".to_owned(),
    ];
    let notices = notices(drafts, tree, roots);
    Inferred { model, header, comments, found, notices, objects: tree.files, bytes: tree.bytes }
}

fn steps_text(steps: &[Step]) -> String {
    let mut out = String::new();
    for step in steps {
        match step {
            Step::Name(name) => {
                if !out.is_empty() {
                    out.push('.');
                }
                out.push_str(name);
            }
            Step::Each => out.push_str("[]"),
            Step::Entry(field) => out.push_str(&format!("{{{field}}}")),
        }
    }
    out
}

fn notices(drafts: &[Draft], tree: &PathTree, roots: &[Roots]) -> Vec<String> {
    let mut out = Vec::new();
    let mut told = BTreeSet::new();
    for draft in drafts {
        let roots = &roots[draft.leaf];
        if !told.insert(draft.leaf) {
            continue;
        }
        let place = build::template_text(draft, &tree.leaves[draft.leaf]);
        for (few, what) in
            [(&roots.unreadable, "could not be read"), (&roots.invalid, "cannot be read as JSON")]
        {
            let relevant = few.count > 0 && !(draft.body && what == "cannot be read as JSON");
            if let Some(path) = few.paths.first().filter(|_| relevant) {
                out.push(format!(
                    "{}: {} of {} files at {place} {what} and will be set aside; first {}",
                    draft.name,
                    grouped(few.count),
                    grouped(roots.files),
                    quoted_path(path)
                ));
            }
        }
    }
    out
}
