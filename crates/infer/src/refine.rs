//! Templates corrected by what the files hold: files of one shape become one template, folders of one shape
//! become one capture, and odd files get a template of their own.

use std::collections::{BTreeMap, BTreeSet};

use crate::body::{Reading, reading};
use crate::look;
use crate::paths::{Look, Part, PathTree, is_json_extension};
use crate::roots::{ODD_MAX, Roots};

/// What a root is, when nearly all files of a template agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Object,
    List,
    Lines,
    Other,
}

fn form(roots: &Roots) -> Form {
    let forms = [
        (roots.objects.count, Form::Object),
        (roots.lists.count, Form::List),
        (roots.lines.count, Form::Lines),
        (roots.scalars.count + roots.invalid.count, Form::Other),
    ];
    forms.into_iter().rev().max_by_key(|(count, _)| *count).map_or(Form::Other, |(_, form)| form)
}

/// Whether two templates' documents look like the same thing.
fn similar(left: &Roots, right: &Roots) -> bool {
    let (Some(a), Some(b)) = (&left.names, &right.names) else { return false };
    let common = a.keys().filter(|name| b.contains_key(*name)).count();
    let alike = (common >= 2 || a.len() == b.len()) && common * 10 >= (a.len() + b.len() - common) * 7;
    form(left) == form(right) && form(left) != Form::Other && common > 0 && alike
}

/// Corrects the tree once. `true`: it changed, the contents must be surveyed again; folders that turned out
/// to be data are added to `forced`, and then the listing must be read again, too.
pub(crate) fn refine(tree: &mut PathTree, roots: &[Roots], forced: &mut BTreeSet<Vec<Part>>) -> bool {
    let before = forced.len();
    for dir in &tree.dirs {
        let mut kinds = dir.literal_dirs.values().map(|&child| whole(tree, roots, child));
        let Some(Some(first)) = kinds.next() else { continue };
        if dir.literal_dirs.len() >= 2 && kinds.all(|kind| kind.is_some_and(|kind| similar(&first, &kind))) {
            forced.insert(dir.parts.clone());
        }
    }
    if forced.len() > before {
        return true;
    }
    let mut changed = false;
    for at in 0..tree.dirs.len() {
        changed |= merge_files(tree, roots, at);
    }
    changed || single_out(tree, roots)
}

/// What all files of a folder without folders hold, taken together; `None` if there is nothing to compare.
fn whole(tree: &PathTree, roots: &[Roots], at: usize) -> Option<Roots> {
    let dir = &tree.dirs[at];
    if !dir.literal_dirs.is_empty() || dir.literal_files.len() + dir.by_extension.len() != 1 {
        return None;
    }
    let (_, &leaf) = dir.literal_files.iter().chain(&dir.by_extension).next()?;
    let roots = roots.get(leaf)?;
    (roots.names.as_ref()?.len() >= 3).then(|| roots.clone())
}

/// Files with names of their own that hold the same become one template.
fn merge_files(tree: &mut PathTree, roots: &[Roots], at: usize) -> bool {
    let mut of: BTreeMap<String, Vec<(String, usize)>> = BTreeMap::new();
    for (name, &leaf) in &tree.dirs[at].literal_files {
        if let Some(extension) = look::split_name(name).1 {
            of.entry(extension.to_owned()).or_default().push((name.clone(), leaf));
        }
    }
    let mut changed = false;
    for (extension, files) in of {
        let all = tree.dirs[at].by_extension.get(&extension).and_then(|leaf| roots.get(*leaf));
        let is_body = |roots: Option<&Roots>| {
            roots.is_some_and(|roots| matches!(reading(Some(&extension), roots), Reading::Body(_)))
        };
        let own = |leaf: usize| roots.get(leaf);
        let bodies = || files.iter().filter(|(_, leaf)| is_body(own(*leaf))).collect::<Vec<_>>();
        let mut together: Vec<&(String, usize)> = match all {
            Some(all) if is_body(Some(all)) => bodies(),
            Some(all) => {
                files.iter().filter(|(_, leaf)| own(*leaf).is_some_and(|own| similar(own, all))).collect()
            }
            None if is_json_extension(&extension) => largest(&files, roots),
            None => files.iter().collect(),
        };
        if all.is_none() && together.len() < 2 {
            together = bodies();
        }
        if together.is_empty() || (all.is_none() && together.len() < 2) {
            continue;
        }
        let merged = all.is_some();
        for (name, _) in &together {
            tree.dirs[at].literal_files.remove(name);
        }
        if !merged {
            tree.file_capture(at, &extension, Look::default());
        }
        changed = true;
    }
    changed
}

/// The largest set of files similar to one of them.
fn largest<'f>(files: &'f [(String, usize)], roots: &[Roots]) -> Vec<&'f (String, usize)> {
    let mut best = Vec::new();
    for (_, one) in files {
        let Some(one) = roots.get(*one) else { continue };
        let like: Vec<_> = files
            .iter()
            .filter(|(_, other)| roots.get(*other).is_some_and(|other| similar(one, other)))
            .collect();
        if like.len() > best.len() {
            best = like;
        }
    }
    best
}

/// Gives the few files that are not of their template's form a template each.
fn single_out(tree: &mut PathTree, roots: &[Roots]) -> bool {
    let mut changed = false;
    for at in 0..roots.len() {
        let roots = &roots[at];
        let form = form(roots);
        if form == Form::Other || (form == Form::List && roots.list_others > 0) {
            continue;
        }
        let total = roots.valid() + roots.lines.count;
        for (few, own) in [
            (&roots.objects, Form::Object),
            (&roots.lists, Form::List),
            (&roots.scalars, Form::Other),
            (&roots.lines, Form::Lines),
        ] {
            if own != form && few.count > 0 && few.count <= ODD_MAX as u64 && few.count * 5 <= total {
                for path in &few.paths {
                    changed |= tree.odd_file(path);
                }
            }
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_what_most_files_are() {
        let mut roots = Roots::default();
        roots.objects.count = 9;
        roots.lists.count = 1;
        assert_eq!(form(&roots), Form::Object);
        roots.invalid.count = 20;
        assert_eq!(form(&roots), Form::Other);
    }
}
