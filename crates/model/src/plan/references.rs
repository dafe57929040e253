//! What follows from references between collections: the order of tables, the type of a referring column,
//! references that a path decides.

use super::program::{PathReference, column_kind};
use super::{ColumnKind, Table};
use crate::language::{Collection, Field, FieldKind, Model, Place};
use crate::place::Template;

/// Collections that have rows, parents and referred ones first where there is no cycle; otherwise in the order
/// of the model.
pub(crate) fn table_order(model: &Model) -> Vec<usize> {
    let mut order = Vec::new();
    let mut state = vec![0_u8; model.collections.len()];
    for at in 0..model.collections.len() {
        visit(model, at, &mut state, &mut order);
    }
    order
}

fn visit(model: &Model, at: usize, state: &mut [u8], order: &mut Vec<usize>) {
    if state[at] != 0 || !has_rows(&model.collections[at]) {
        return;
    }
    state[at] = 1;
    let collection = &model.collections[at];
    let parents = match &collection.place {
        Place::In(places) => places.iter().map(|place| place.parent.as_str()).collect(),
        _ => Vec::new(),
    };
    let referred = collection.fields.iter().filter_map(|field| match &field.kind {
        FieldKind::Ref(targets) => Some(targets.iter().map(String::as_str)),
        _ => None,
    });
    for name in parents.into_iter().chain(referred.flatten()) {
        if let Some(other) = model.collections.iter().position(|other| other.name == name) {
            visit(model, other, state, order);
        }
    }
    order.push(at);
}

/// Is it a table of ours?
pub(crate) const fn has_rows(collection: &Collection) -> bool {
    collection.moves && !matches!(collection.place, Place::View { .. })
}

/// The one key field of a collection that can be referred to.
pub(crate) fn single_key(collection: &Collection) -> Option<&Field> {
    let mut keys = collection.fields.iter().filter(|field| field.key);
    let first = keys.next()?;
    keys.next().is_none().then_some(first)
}

/// The column type of a field that refers to `targets`: that of their keys, or text where those differ.
pub(crate) fn referring_kind(model: &Model, targets: &[String], depth: usize) -> Option<ColumnKind> {
    let mut kinds = targets.iter().map(|target| {
        let key = single_key(model.collection(target)?)?;
        match &key.kind {
            FieldKind::Scalar(scalar) => Some(column_kind(*scalar)),
            FieldKind::Enum(_) => Some(ColumnKind::Text(None)),
            FieldKind::Ref(further) if depth < 16 => referring_kind(model, further, depth + 1),
            _ => None,
        }
    });
    let first = kinds.next()??;
    let mut alike = true;
    for kind in kinds {
        alike &= kind? == first;
    }
    Some(if alike { first } else { ColumnKind::Text(None) })
}

/// How the path decides the reference in `column`; `None` when it does not.
pub(crate) fn path_reference(model: &Model, target: &str, column: usize) -> Option<PathReference> {
    let collection = model.collection(target)?;
    let key = single_key(collection)?;
    let mut templates: Vec<Template> = collection.templates().to_vec();
    templates.sort_by_key(|template| std::cmp::Reverse(template.captures().len()));
    let captured =
        templates.iter().any(|template| template.captures().iter().any(|capture| capture.name == key.name));
    (key.auto || captured).then(|| PathReference {
        column,
        target_name: target.to_owned(),
        templates,
        key_capture: (!key.auto).then(|| key.name.clone()),
    })
}

/// A name of at most 63 bytes that no other of `taken` has; what is cut off goes into a short hash.
pub(crate) fn unique_name(wanted: &str, taken: &mut Vec<String>) -> String {
    const MOST: usize = 63;
    let hash = xxhash_rust::xxh3::xxh3_64(wanted.as_bytes());
    let mut name = wanted.to_owned();
    let mut round = 0_u64;
    while name.len() > MOST || taken.iter().any(|other| other.eq_ignore_ascii_case(&name)) {
        let suffix = format!("_{:08x}", (hash.wrapping_add(round)) & 0xffff_ffff);
        let cut = wanted.char_indices().map(|(at, _)| at).take_while(|&at| at <= MOST - suffix.len()).last();
        name = format!("{}{suffix}", wanted.get(..cut.unwrap_or(0)).unwrap_or_default());
        round += 1;
    }
    taken.push(name.clone());
    name
}

/// Indexes that lead with each reference, so that joins and deletes need no scan.
pub(crate) fn covered(table: &Table, column: usize) -> bool {
    table.key.first() == Some(&column)
        || table
            .unique
            .iter()
            .chain(&table.indexes)
            .any(|index| index.columns.first().is_some_and(|first| first.0 == column))
}
