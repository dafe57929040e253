//! From templates to the collections their files are: documents, lists and maps of documents, bodies.

use std::collections::BTreeMap;

use repot_model::language::{Body, FieldKind, Scalar, Step};

use crate::body::{Reading, whole};
use crate::draft::{Column, Draft, Home, Merged, Source};
use crate::drafter::{Drafter, WIDTH_MAX, add_entry_keys, entry_name, width};
use crate::evidence::{counted, grouped, quoted_path};
use crate::gather::{Shape, Shapes};
use crate::look;
use crate::maps::{Use, used_as};
use crate::naming::{Names, plural, singular, snake};
use crate::paths::{Leaf, Part, PathTree, is_json_extension};
use crate::roots::Roots;
use crate::shape::{Entries, Node, Sort};

/// File names that say what a file is to its folder, not what it holds.
const GENERIC: [&str; 12] = [
    "index", "data", "document", "doc", "metadata", "meta", "manifest", "main", "info", "record", "item",
    "object",
];

/// What is known beside a template.
#[derive(Debug)]
struct Known {
    /// Folders whose names some documents repeat, and what the documents call them.
    folders: BTreeMap<Vec<Part>, String>,
    /// What the source's own name says it holds.
    source: Option<String>,
}

/// The last part of the source, if it says anything.
fn source_name(source: &str) -> Option<String> {
    let last = source.trim_end_matches('/').rsplit(['/', '\\']).next().unwrap_or(source);
    let name = snake(last);
    let says = last.starts_with(|c: char| c.is_ascii_alphabetic())
        && !NO_NAMES.contains(&name.as_str())
        && !look::is_data(&name);
    (says && !source.contains("://")).then_some(name)
}

fn known_folders(tree: &PathTree, shapes: &Shapes) -> BTreeMap<Vec<Part>, String> {
    let mut known = BTreeMap::new();
    for (template, shape) in tree.leaves.iter().zip(&shapes.of).filter(|(_, shape)| shape.documents > 0) {
        let places = template.parts.iter().enumerate().filter(|(_, part)| !matches!(part, Part::Literal(_)));
        for (at, (place, _)) in places.enumerate() {
            if place + 1 < template.parts.len()
                && let Some(field) = equal_field(shape, at)
                && let Some(parts) = template.parts.get(..=place)
            {
                let name = snake(field);
                let best = known.entry(parts.to_vec()).or_insert_with(|| name.clone());
                if name < *best {
                    *best = name;
                }
            }
        }
    }
    known.retain(|_, name| name != "id" && name != "name");
    known
}

/// Names of folders that say nothing of what is in them.
const NO_NAMES: [&str; 14] = [
    "data", "tmp", "temp", "files", "storage", "store", "db", "database", "json", "docs", "out", "bucket",
    "field", "src",
];
/// Lists that tell what holds them.
const TELLING: [(&str, &str); 4] = [
    ("messages", "conversations"),
    ("turns", "conversations"),
    ("utterances", "conversations"),
    ("line_items", "orders"),
];

/// All that was seen.
#[derive(Debug)]
pub(crate) struct All<'s> {
    pub(crate) tree: &'s PathTree,
    pub(crate) roots: &'s [Roots],
    pub(crate) shapes: Shapes,
    pub(crate) source: &'s str,
}

/// Makes all drafts; `readings` become bodies where documents turn out to have too little in common.
pub(crate) fn draft_all(seen: &All<'_>, readings: &mut [Reading], merged: &Merged) -> (Vec<Draft>, Merged) {
    let All { tree, roots, shapes, source } = seen;
    let mut drafter = Drafter {
        drafts: Vec::new(),
        names: Names::default(),
        names_max: 0,
        sightings: Vec::new(),
        empties: Vec::new(),
        merged,
    };
    let known = &Known { folders: known_folders(tree, shapes), source: source_name(source) };
    let mut order: Vec<usize> = (0..tree.leaves.len()).filter(|leaf| roots[*leaf].files > 0).collect();
    order.sort_by(|left, right| tree.leaves[*left].parts.cmp(&tree.leaves[*right].parts));
    for leaf in order {
        let (template, shape) = (&tree.leaves[leaf], &shapes.of[leaf]);
        readings[leaf] = match shapes.names_max[leaf] {
            Some(names_max) => settle(readings[leaf], &roots[leaf], shape, names_max),
            None => whole(&roots[leaf]),
        };
        drafter.names_max = shapes.names_max[leaf].unwrap_or_default();
        match readings[leaf] {
            Reading::Body(body) => body_draft(&mut drafter, leaf, template, (body, &roots[leaf]), known),
            Reading::List => {
                let steps = vec![Step::Each];
                inside(&mut drafter, (leaf, template, known), &shape.node, steps, &file_stem(template));
            }
            Reading::Lines => documents(&mut drafter, (leaf, template, known), shape, true),
            Reading::Objects => objects(&mut drafter, (leaf, template, known), shape),
        }
    }
    let merges = drafter.merges(&shapes.names_max);
    (drafter.drafts, merges)
}

/// A body where the documents have nothing in common that columns could hold.
fn settle(reading: Reading, roots: &Roots, shape: &Shape, names_max: usize) -> Reading {
    if matches!(reading, Reading::Body(_)) {
        return reading;
    }
    let node = &shape.node;
    let objects = node.count(Sort::Object);
    let used = used_as(node, names_max);
    let map = used == Use::Map;
    let common = node.named().any(|(_, child)| child.seen() * 2 >= objects);
    let fits = if map && reading == Reading::Objects {
        map_rows(node, names_max).is_some()
    } else {
        !map && (common || objects < 3)
            && (width(node, names_max) <= WIDTH_MAX || collections(node, names_max, shape).is_some())
    };
    if fits { reading } else { whole(roots) }
}

/// The rows of a map of objects.
fn map_rows(node: &Node, names_max: usize) -> Option<Node> {
    let all = node.folded(names_max);
    let plain =
        all.seen() > 0 && all.count(Sort::Object) == all.seen() && used_as(&all, names_max) == Use::Record;
    (plain && width(&all, names_max) <= WIDTH_MAX).then_some(all)
}

/// The lists and maps a single file consists of, if it consists of nothing else.
fn collections<'n>(node: &'n Node, names_max: usize, shape: &Shape) -> Option<Vec<(&'n str, &'n Node)>> {
    let all: Vec<_> = node.named().collect();
    let fit = |node: &Node| {
        let items = node.items.as_ref();
        let list = node.count(Sort::List) == node.seen()
            && items.is_some_and(|items| {
                items.count(Sort::Object) == items.seen() && used_as(items, names_max) == Use::Record
            });
        let map = node.count(Sort::Object) == node.seen()
            && used_as(node, names_max) == Use::Map
            && map_rows(node, names_max).is_some();
        list || map
    };
    let whole = shape.documents == 1 && !all.is_empty() && matches!(node.entries, Entries::Named(_));
    (whole && all.iter().all(|(_, node)| fit(node))).then_some(all)
}

fn objects(drafter: &mut Drafter<'_>, (leaf, template, known): (usize, &Leaf, &Known), shape: &Shape) {
    let node = &shape.node;
    let names_max = drafter.names_max;
    if used_as(node, names_max) == Use::Map {
        if let Some(rows) = map_rows(node, names_max) {
            let stem = file_stem(template);
            let steps = vec![Step::Entry(entry_name(&stem, node))];
            inside(drafter, (leaf, template, known), &rows, steps, &stem);
        }
        return;
    }
    let literal = template.looks.is_empty();
    let Some(parts) = collections(node, names_max, shape).filter(|_| literal) else {
        return documents(drafter, (leaf, template, known), shape, false);
    };
    let mut parts = parts;
    parts.sort_by(|left, right| left.1.first.cmp(&right.1.first));
    for (name, part) in parts {
        let mut steps = vec![Step::Name(name.to_owned())];
        if let Some(items) = part.items.as_ref().filter(|_| part.count(Sort::List) > 0) {
            steps.push(Step::Each);
            inside(drafter, (leaf, template, known), items, steps, name);
        } else if let Some(rows) = map_rows(part, names_max) {
            steps.push(Step::Entry(entry_name(name, part)));
            inside(drafter, (leaf, template, known), &rows, steps, name);
        }
    }
}

fn documents(
    drafter: &mut Drafter<'_>,
    (leaf, template, known): (usize, &Leaf, &Known),
    shape: &Shape,
    lines: bool,
) {
    let hint = template
        .looks
        .len()
        .checked_sub(1)
        .and_then(|last| equal_field(shape, last))
        .and_then(|field| snake(field).strip_suffix("_id").map(plural));
    let telling = TELLING.iter().find(|(list, _)| {
        shape.node.named().any(|(name, child)| snake(name) == *list && child.items.is_some())
    });
    let otherwise = telling.map(|(_, name)| (*name).to_owned()).or_else(|| known.source.clone());
    let otherwise = otherwise.unwrap_or_else(|| "documents".to_owned());
    let name = drafter.names.give(&collection_names(template, hint.as_deref(), &otherwise));
    let draft = Draft::new(name, leaf, Home::Files, shape.documents);
    drafter.drafts.push(draft);
    let id = drafter.drafts.len() - 1;
    drafter.fill(id, &shape.node, 0);
    let draft = &mut drafter.drafts[id];
    if lines {
        draft.add_place(&[], true);
    } else {
        for at in 0..template.looks.len() {
            in_document_too(draft, shape, at);
        }
    }
    captures(draft, template, known);
}

fn inside(
    drafter: &mut Drafter<'_>,
    (leaf, template, known): (usize, &Leaf, &Known),
    rows: &Node,
    steps: Vec<Step>,
    base: &str,
) {
    let base = snake(base);
    let mut candidates = vec![base.clone()];
    candidates
        .extend(collection_names(template, None, &base).into_iter().map(|name| format!("{name}_{base}")));
    let name = drafter.names.give(&candidates);
    let list = matches!(steps.last(), Some(Step::Each));
    drafter.drafts.push(Draft::new(name, leaf, Home::InFiles(steps), rows.seen()));
    let id = drafter.drafts.len() - 1;
    drafter.fill(id, rows, 0);
    let draft = &mut drafter.drafts[id];
    if let Home::InFiles(steps) = &mut draft.home {
        add_entry_keys(std::iter::once(steps), &mut draft.names, &mut draft.columns);
    }
    draft.add_place(&[], list);
    captures(draft, template, known);
}

fn body_draft(
    drafter: &mut Drafter<'_>,
    leaf: usize,
    template: &Leaf,
    (body, roots): (Body, &Roots),
    known: &Known,
) {
    let name = drafter.names.give(&collection_names(template, None, "files"));
    let files = roots.files;
    let mut draft = Draft::new(name, leaf, Home::Files, files);
    draft.body = true;
    let json = template.extension.as_deref().is_some_and(is_json_extension);
    if let Some(path) = roots.invalid.paths.first().filter(|_| json) {
        let (bad, path) = (grouped(roots.invalid.count), quoted_path(path));
        draft
            .comments
            .push(format!("{bad} of {} are no JSON, first {path}: each is kept whole", grouped(files)));
    } else if json && body == Body::Json {
        draft.comments.push("documents with too little in common for columns: each is kept whole".to_owned());
    }
    captures(&mut draft, template, known);
    let name = draft.names.give(&["content".into(), "body".into()]);
    let mut column = Column::new(name, Source::Body, FieldKind::Body(body));
    column.evidence.push(counted(files, "file"));
    draft.columns.push(column);
    drafter.drafts.push(draft);
}

/// The field of all documents that says the same as this capture.
fn equal_field(shape: &Shape, capture: usize) -> Option<&str> {
    let mut fields: Vec<&str> = shape
        .equal
        .iter()
        .filter(|((at, _), count)| *at == capture && **count == shape.documents)
        .map(|((_, field), _)| &**field)
        .collect();
    fields.sort_by_key(|field| {
        let name = snake(field);
        (name != "id", !name.ends_with("_id"), name)
    });
    fields.first().copied()
}

fn in_document_too(draft: &mut Draft, shape: &Shape, capture: usize) {
    let Some(field) = equal_field(shape, capture) else { return };
    let source = Source::Document(vec![field.to_owned()]);
    if let Some(column) = draft.columns.iter_mut().find(|column| column.source == source)
        && column.capture.is_none()
        && !column.optional
    {
        if !matches!(column.kind, FieldKind::Scalar(Scalar::Int | Scalar::Uuid)) {
            column.kind = FieldKind::Scalar(Scalar::Text(None));
        }
        column.capture = Some(capture);
        column.evidence.push("also in the path".to_owned());
    }
}

/// Columns for the captures that no field of the documents repeats, before all others.
fn captures(draft: &mut Draft, template: &Leaf, known: &Known) {
    let mut columns = Vec::new();
    let places = template.parts.iter().enumerate().filter(|(_, part)| !matches!(part, Part::Literal(_)));
    for (at, (place, part)) in places.enumerate() {
        if draft.columns.iter().any(|column| column.capture == Some(at)) {
            continue;
        }
        let name = draft.names.give(&capture_names(template, place, part, at, known));
        let mut column = Column::new(name, Source::Capture(at), FieldKind::Scalar(Scalar::Text(None)));
        column.evidence.push("from the path".to_owned());
        columns.push(column);
    }
    columns.append(&mut draft.columns);
    draft.columns = columns;
}

fn capture_names(template: &Leaf, place: usize, part: &Part, at: usize, known: &Known) -> Vec<String> {
    let look = template.looks.get(at).copied().unwrap_or_default();
    let file = place + 1 == template.parts.len();
    let all = |count: u64| look.names > 0 && count == look.names;
    let same = template.parts.get(..=place).and_then(|parts| known.folders.get(parts)).filter(|_| !file);
    let mut names: Vec<String> = same.into_iter().cloned().collect();
    if matches!(part, Part::Rest) {
        names.push("path".into());
    } else if all(look.dates) {
        names.push("date".into());
    } else if all(look.years) {
        names.push("year".into());
    } else if all(look.locales) && look.names > 2 {
        names.push("locale".into());
    } else if file {
        names.push(if look.ids * 10 >= look.names * 8 && look.names > 0 { "id" } else { "name" }.into());
    } else if let Some(Part::Literal(before)) =
        place.checked_sub(1).and_then(|before| template.parts.get(before))
    {
        let one = singular(&snake(before));
        names.push(if look.ids * 2 >= look.names && look.names > 0 { format!("{one}_id") } else { one });
    }
    names.push(if file { "file_name" } else { "folder" }.into());
    names
}

/// Names a template suggests for its collection, best first.
fn collection_names(template: &Leaf, hint: Option<&str>, otherwise: &str) -> Vec<String> {
    let literals: Vec<&str> = template
        .parts
        .iter()
        .take(template.parts.len().saturating_sub(1))
        .filter_map(|part| match part {
            Part::Literal(name) => Some(name.as_str()),
            Part::Capture(_) | Part::Rest => None,
        })
        .collect();
    let folder = literals.last().map(|name| snake(name));
    let mut names = Vec::new();
    if let Some(Part::Literal(_)) = template.parts.last() {
        let stem = snake(&file_stem(template));
        let of_folder = folder.as_ref().filter(|folder| {
            !template.looks.is_empty()
                && (GENERIC.contains(&stem.as_str()) || singular(folder) == stem || **folder == stem)
        });
        names.extend(of_folder.cloned());
        names.extend(beside_capture(template).map(|outer| format!("{}_{stem}", singular(&snake(outer)))));
        names.push(stem.clone());
        names.extend(folder.map(|folder| format!("{}_{stem}", singular(&folder))));
    } else {
        names.extend(folder.clone());
        names.extend(folder.is_none().then(|| hint.unwrap_or(otherwise).to_owned()));
        names.extend(
            literals
                .iter()
                .rev()
                .nth(1)
                .map(|outer| format!("{}_{}", snake(outer), folder.clone().unwrap_or_default())),
        );
        names.extend(template.extension.as_ref().map(|extension| {
            format!("{}_{}", folder.as_deref().unwrap_or("files"), extension.to_ascii_lowercase())
        }));
    }
    names
}

/// The folder whose folders are data and hold this very file: `batches` in `batches/{batch_id}/input.jsonl`.
fn beside_capture(template: &Leaf) -> Option<&str> {
    match template.parts.as_slice() {
        [.., Part::Literal(outer), Part::Capture(_), Part::Literal(_)] => Some(outer),
        _ => None,
    }
}

/// The name of the file, or of its folder where the file's name is data.
fn file_stem(template: &Leaf) -> String {
    let name = template.parts.iter().rev().find_map(|part| match part {
        Part::Literal(name) => Some(look::split_name(name).0),
        Part::Capture(_) | Part::Rest => None,
    });
    name.unwrap_or("documents").to_owned()
}
