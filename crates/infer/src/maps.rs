//! Is an object a record (its keys are names somebody chose) or a map (its keys are data)?

use std::collections::BTreeSet;

use crate::look;
use crate::shape::{Entries, Node, Sort};

/// What the objects at one place are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// Keys are names.
    Record,
    /// Keys are data.
    Map,
    /// Neither can be said: always empty.
    Empty,
}

/// Decides by the keys, by how they differ from object to object, and by whether the values are alike.
pub(crate) fn used_as(node: &Node, names_max: usize) -> Use {
    let named = match &node.entries {
        Entries::Folded(_) => return Use::Map,
        Entries::Named(named) if named.is_empty() => return Use::Empty,
        Entries::Named(named) => named,
    };
    let objects = node.count(Sort::Object);
    let count = named.len() as u64;
    let dense = node.keys * 10 >= objects * count * 8;
    let sparse = node.keys * 100 < objects * count * 35;
    let data = named.keys().filter(|key| look::is_data(key)).count() as u64;
    let odd = named.keys().filter(|key| look::is_data_key(key)).count() as u64;
    let all = node.folded(names_max);
    let holds_objects = all.count(Sort::Object) * 2 >= all.filled() && all.count(Sort::Object) > 0;
    let locales = named.keys().all(|key| look::is_locale(key))
        && named.keys().filter(|key| key.contains(['-', '_'])).count() as u64 * 2 >= count
        && count >= 6;
    let by_keys = locales || data * 10 >= count * 8 || (holds_objects && odd * 10 >= count * 8);
    let certain = locales || named.keys().all(|key| look::is_certain_id(key));
    if by_keys && alike(&all) && (certain || ((!dense || objects <= 2) && count >= 2)) {
        return Use::Map;
    }
    let core = objects >= 5 && node.named().any(|(_, child)| child.seen() * 10 >= objects * 8);
    let thin = node.keys * 5 < objects * count;
    let free = !core && objects > 1 && ((count >= 12 && sparse) || (count >= 6 && thin)) && alike(&all);
    if free || (count >= 6 && same_objects(node, &all)) { Use::Map } else { Use::Record }
}

/// Whether values have one sort and, when they are objects, something in common.
fn alike(all: &Node) -> bool {
    if all.only(&[Sort::Text]) || all.only(&[Sort::Bool]) || all.only(&[Sort::Int, Sort::Float]) {
        return true;
    }
    let objects = all.count(Sort::Object);
    if all.count(Sort::List) + objects < all.filled().div_ceil(2) {
        return false;
    }
    if objects == 0 {
        return true;
    }
    let names = all.named().count() as u64;
    names == 0
        || all.keys * 10 >= objects * names * 4
        || all.named().any(|(_, node)| node.seen() * 10 >= objects * 9)
}

/// Whether nearly every entry that holds objects (or lists of them) holds the same kind of them.
fn same_objects(node: &Node, all: &Node) -> bool {
    let mut objects = all.clone();
    if let Some(items) = objects.items.take() {
        objects.merge(*items, usize::MAX);
    }
    let count = objects.count(Sort::Object);
    let core: BTreeSet<&str> =
        objects.named().filter(|(_, child)| child.seen() * 10 >= count * 8).map(|(name, _)| name).collect();
    let (mut alike, mut others, mut without, mut total) = (0_usize, 0_usize, 0_usize, 0_usize);
    for (_, entry) in node.named() {
        total += 1;
        let names = names_of(entry);
        if names.is_empty() {
            without += 1;
        } else if core.is_subset(&names) {
            alike += 1;
        } else {
            others += 1;
        }
    }
    let needed = if total >= 10 { 1 } else { 2 };
    core.len() >= needed && alike >= 4 && alike >= others * 3 && without <= alike * 2
}

/// Names of the objects at this place and of the objects in its lists.
pub(crate) fn names_of(node: &Node) -> BTreeSet<&str> {
    let items = node.items.iter().flat_map(|items| items.named());
    node.named().chain(items).map(|(name, _)| name).collect()
}

/// Whether two places hold objects of the same kind: half of all names are in both.
pub(crate) fn similar(left: &Node, right: &Node) -> bool {
    let (left, right) = (names_of(left), names_of(right));
    let common = left.intersection(&right).count();
    let inside = common == left.len() || common == right.len();
    common > 0 && (inside || common * 2 >= left.union(&right).count())
}

/// Whether the objects at `node`, reached by `name`, hold the same kind of objects under `name` again.
pub(crate) fn recursive(name: &str, node: &Node) -> bool {
    let items = node.items.iter().flat_map(|items| items.named());
    node.named().chain(items).any(|(inner, below)| inner == name && similar(node, below))
}
