//! From statistics to drafts: nested records become columns, lists and maps of objects become collections of
//! their own, everything that is none of these a json column.

use std::collections::BTreeSet;

use repot_model::language::{FieldKind, Scalar, Step};

use crate::draft::{Column, Draft, Home, Merged, Source};
use crate::evidence;
use crate::kinds;
use crate::maps::{Use, recursive, similar, used_as};
use crate::naming::{Names, singular, snake};
use crate::shape::{Entries, Node, Sort};

/// Collections inside collections.
const DEPTH_MAX: usize = 6;
/// Columns one nested object may become.
const NESTED_WIDTH_MAX: usize = 40;
/// Columns of one collection.
pub(crate) const WIDTH_MAX: usize = 150;
/// Records inside records that become columns.
const PREFIX_MAX: usize = 4;
/// From this many names on, rare ones are left to the stored text.
const MANY_NAMES: usize = 60;
/// From this many names on, rare nested objects are, too.
const SOME_NAMES: usize = 12;
/// Collections inside the documents of one template.
const CHILDREN_MAX: usize = 60;

/// A list of objects met on the way.
#[derive(Debug)]
pub(crate) struct Sighting {
    pub(crate) base: String,
    parent: usize,
    node: Node,
    own: usize,
}

/// The drafts of all templates.
#[derive(Debug)]
pub(crate) struct Drafter<'m> {
    pub(crate) drafts: Vec<Draft>,
    pub(crate) names: Names,
    pub(crate) names_max: usize,
    pub(crate) sightings: Vec<Sighting>,
    /// Lists that are always empty.
    pub(crate) empties: Vec<Sighting>,
    pub(crate) merged: &'m Merged,
}

/// A place within a row, while its columns are made.
#[derive(Debug, Clone, Copy)]
struct Within<'p> {
    draft: usize,
    prefix: &'p [String],
    optional: bool,
    depth: usize,
}

impl Drafter<'_> {
    /// Makes the columns of `draft` from its rows' statistics, and the collections inside them.
    pub(crate) fn fill(&mut self, draft: usize, node: &Node, depth: usize) {
        for (name, _) in node.named() {
            self.drafts[draft].names.reserve(&name.to_lowercase());
        }
        // Reserving keeps made-up columns off the documents' names; the documents' own columns may have them.
        let reserved = std::mem::take(&mut self.drafts[draft].names);
        let others = node.seen() - node.count(Sort::Object);
        self.fields(node, Within { draft, prefix: &[], optional: others > 0, depth });
        if others > 0 {
            self.itself(draft, node, others);
        }
        self.drafts[draft].names.absorb(reserved);
    }

    fn itself(&mut self, draft: usize, node: &Node, others: u64) {
        let alone = node.count(Sort::Object) == 0;
        let typed = kinds::scalar("value", node).filter(|_| alone);
        let draft = &mut self.drafts[draft];
        let name = draft.names.give(&["value".into(), "item".into(), "itself".into()]);
        let kind = typed.as_ref().map_or(FieldKind::Scalar(Scalar::Json), |typed| typed.kind.clone());
        let mut column = Column::new(name, Source::Itself, kind);
        column.optional = typed.is_none_or(|typed| typed.unfit) || node.count(Sort::Null) > 0;
        column.evidence.push(format!("{} of {}", evidence::grouped(others), evidence::grouped(node.seen())));
        column.evidence.push(evidence::sorts(node));
        draft.columns.push(column);
    }

    fn fields(&mut self, node: &Node, within: Within<'_>) {
        let objects = node.count(Sort::Object);
        let mut named: Vec<(&str, &Node)> = node.named().collect();
        named.sort_by(|left, right| left.1.first.cmp(&right.1.first).then(left.0.cmp(right.0)));
        let count = named.len();
        let mut left_out = 0;
        for (name, child) in named {
            if left_to_text(child, count, objects) {
                left_out += 1;
            } else {
                self.field(name, child, objects, within);
            }
        }
        if left_out > 0 {
            let at = if within.prefix.is_empty() {
                String::new()
            } else {
                format!(" in {}", within.prefix.join("."))
            };
            self.drafts[within.draft].comments.push(format!(
                "{} more names{at}, each in few of them: no columns, kept in the text",
                evidence::grouped(left_out)
            ));
        }
    }

    fn field(&mut self, name: &str, node: &Node, objects: u64, within: Within<'_>) {
        let mut path = within.prefix.to_vec();
        path.push(name.to_owned());
        let required = !within.optional && node.seen() >= objects && node.count(Sort::Null) == 0;
        if !node.deep && !recursive(name, node) {
            let inner = Within { prefix: &path, optional: !required, ..within };
            if node.only(&[Sort::Object]) && self.object(node, inner) {
                return;
            }
            if node.only(&[Sort::List]) && self.list(node, inner) {
                return;
            }
        }
        let typed = kinds::typed(name, node);
        let note = if recursive(name, node) { "holds itself again".to_owned() } else { typed.note };
        let draft = &mut self.drafts[within.draft];
        let column_name = draft.names.give(&[path.join("_")]);
        let mut column = Column::new(column_name, Source::Document(path), typed.kind);
        column.optional = !required || typed.unfit;
        column.evidence.push(evidence::presence(node, objects));
        column.evidence.push(note);
        draft.columns.push(column);
    }

    /// A nested object as columns, or a map as a collection. `false`: neither, a json column it is.
    fn object(&mut self, node: &Node, within: Within<'_>) -> bool {
        match used_as(node, self.names_max) {
            Use::Empty => false,
            Use::Record
                if within.prefix.len() > PREFIX_MAX || width(node, self.names_max) > NESTED_WIDTH_MAX =>
            {
                false
            }
            Use::Record => {
                self.fields(node, within);
                true
            }
            Use::Map => self.map(node, within, Vec::new()),
        }
    }

    fn map(&mut self, node: &Node, within: Within<'_>, outer: Vec<Step>) -> bool {
        let Some(last) = within.prefix.last() else { return false };
        let all = node.folded(self.names_max);
        let level = outer.len();
        let key = if level == 0 {
            entry_name(last, node)
        } else {
            format!("{}_{}", singular(&snake(last)), level + 1)
        };
        let mut steps = outer;
        steps.push(Step::Entry(key));
        let objects = all.count(Sort::Object);
        let lists = all.count(Sort::List);
        let items_objects = all.items.as_ref().map_or(0, |items| items.count(Sort::Object));
        if objects > 0 && all.only(&[Sort::Object]) && used_as(&all, self.names_max) == Use::Map {
            return level < 2 && self.map(&all, within, steps);
        }
        if objects + items_objects > 0 && (objects + lists) * 8 >= all.filled() {
            let mut rows = all.clone();
            let items = rows.items.take();
            let mut places = Vec::new();
            if lists < all.filled() {
                places.push(steps.clone());
            }
            if let Some(items) = items.filter(|_| items_objects > 0) {
                steps.push(Step::Each);
                places.push(steps);
                rows.forget_lists();
                rows.merge(*items, self.names_max);
            }
            return self.child(&rows, within, places);
        }
        let scalars = kinds::scalar("value", &all).is_some_and(|typed| !typed.unfit);
        scalars && all.count(Sort::Null) == 0 && names(node) >= 8 && self.child(&all, within, vec![steps])
    }

    fn list(&mut self, node: &Node, within: Within<'_>) -> bool {
        let Some(items) = node.items.as_deref() else { return self.always_empty(within) };
        let objects = items.count(Sort::Object);
        let fits = objects > 0 && objects * 2 >= items.seen() && used_as(items, self.names_max) != Use::Map;
        fits && self.child(items, within, vec![vec![Step::Each]])
    }

    /// A list without elements joins the collection of the lists with its name, where there is one.
    fn always_empty(&mut self, within: Within<'_>) -> bool {
        let Some(last) = within.prefix.last() else { return false };
        let base = snake(last);
        let leaf = self.drafts[within.draft].leaf;
        let known = self.merged.contains_key(&(leaf, base.clone()));
        let sighting = Sighting { base, parent: within.draft, node: Node::default(), own: within.draft };
        if known {
            return self.child(&Node::default(), within, vec![vec![Step::Each]]);
        }
        self.empties.push(sighting);
        false
    }

    /// A collection whose rows are at these places. `false` when there are too many or they lie too deep.
    fn child(&mut self, rows: &Node, within: Within<'_>, places: Vec<Vec<Step>>) -> bool {
        let parent = within.draft;
        let leaf = self.drafts[parent].leaf;
        let siblings = self.drafts.iter().filter(|draft| draft.leaf == leaf).count();
        let Some(last) = within.prefix.last() else { return false };
        if within.depth >= DEPTH_MAX || siblings >= CHILDREN_MAX || width(rows, self.names_max) > WIDTH_MAX {
            return false;
        }
        let base = snake(last);
        let only_list = matches!(places.as_slice(), [steps] if matches!(steps.as_slice(), [Step::Each]));
        let places: Vec<(usize, Vec<Step>)> =
            places.into_iter().map(|steps| (parent, named_steps(within.prefix, steps))).collect();
        let empty = rows.seen() == 0;
        let merged =
            self.merged.get(&(leaf, base.clone())).filter(|all| only_list && (empty || similar(all, rows)));
        if merged.is_some() && self.join(leaf, &base, &places) {
            return true;
        }
        let rows = merged.unwrap_or(rows);
        let parent_name = self.drafts[parent].name.clone();
        let own = format!("{}_{base}", singular(&parent_name));
        let longer = within
            .prefix
            .len()
            .checked_sub(2)
            .and_then(|from| within.prefix.get(from..))
            .map(|two| two.join("_"));
        let candidates: Vec<String> = std::iter::once(base.clone()).chain(longer).chain([own]).collect();
        let name = self.names.give(&candidates);
        let mut draft = Draft::new(name, leaf, Home::In(places), rows.seen());
        if merged.is_some() {
            draft.base = Some(base.clone());
        }
        self.drafts.push(draft);
        let id = self.drafts.len() - 1;
        if only_list {
            self.sightings.push(Sighting { base, parent, node: rows.clone(), own: id });
        }
        self.fill(id, rows, within.depth + 1);
        self.entry_keys(id);
        true
    }

    /// Adds a place to the collection that already holds lists of this name.
    fn join(&mut self, leaf: usize, base: &str, places: &[(usize, Vec<Step>)]) -> bool {
        let parent = places.first().map(|place| place.0);
        let found =
            self.drafts.iter_mut().find(|draft| draft.leaf == leaf && draft.base.as_deref() == Some(base));
        let Some(Draft { home: Home::In(all), .. }) = found else { return false };
        if all.iter().any(|place| Some(place.0) == parent) {
            return false;
        }
        all.extend_from_slice(places);
        true
    }

    /// Columns for the keys of maps on the way, named as the steps say.
    fn entry_keys(&mut self, id: usize) {
        let draft = &mut self.drafts[id];
        let Home::In(places) = &mut draft.home else { return };
        add_entry_keys(places.iter_mut().map(|(_, steps)| steps), &mut draft.names, &mut draft.columns);
    }

    /// The lists that are one collection, for the next round.
    pub(crate) fn merges(&self, names_max: &[Option<usize>]) -> Merged {
        let mut out = Merged::new();
        let keys: BTreeSet<(usize, &str)> =
            self.sightings.iter().map(|one| (self.drafts[one.own].leaf, one.base.as_str())).collect();
        for (leaf, base) in keys {
            let all: Vec<&Sighting> = self
                .sightings
                .iter()
                .filter(|one| one.base == base && self.drafts[one.own].leaf == leaf)
                .collect();
            let empties =
                self.empties.iter().filter(|one| one.base == base && self.drafts[one.parent].leaf == leaf);
            let parents: BTreeSet<usize> = all.iter().map(|one| one.parent).collect();
            let with_empty: BTreeSet<usize> =
                empties.map(|one| one.parent).chain(parents.iter().copied()).collect();
            let nested =
                with_empty.iter().any(|parent| all.iter().any(|other| self.lies_in(*parent, other.own)));
            if with_empty.len() < 2 || parents.len() != all.len() || nested {
                continue;
            }
            let mut whole = Node::default();
            for one in &all {
                whole.merge(one.node.clone(), names_max[leaf].unwrap_or_default());
            }
            if all.iter().all(|one| similar(&one.node, &whole)) {
                out.insert((leaf, base.to_owned()), whole);
            }
        }
        out
    }

    fn lies_in(&self, draft: usize, outer: usize) -> bool {
        draft == outer
            || match &self.drafts[draft].home {
                Home::In(places) => places.iter().any(|place| self.lies_in(place.0, outer)),
                Home::Files | Home::InFiles(_) => false,
            }
    }
}

/// Makes a column for each map on the way; the steps get the columns' names.
pub(crate) fn add_entry_keys<'s>(
    places: impl Iterator<Item = &'s mut Vec<Step>>,
    names: &mut Names,
    columns: &mut Vec<Column>,
) {
    let mut given: Vec<String> = Vec::new();
    for steps in places {
        let mut number = 0;
        for step in steps {
            let Step::Entry(name) = step else { continue };
            if number == given.len() {
                let new = names.give(&[name.clone(), format!("{name}_key"), format!("{name}_map_key")]);
                let mut column =
                    Column::new(new.clone(), Source::EntryKey(number), FieldKind::Scalar(Scalar::Text(None)));
                column.evidence.push("key of the map".to_owned());
                columns.insert(number, column);
                given.push(new);
            }
            name.clone_from(&given[number]);
            number += 1;
        }
    }
}

/// A name for the keys of a map.
pub(crate) fn entry_name(map: &str, node: &Node) -> String {
    let map = snake(map);
    let one = singular(&map);
    if node.data_keys * 2 >= node.keys {
        format!("{one}_id")
    } else if one == map {
        format!("{one}_key")
    } else {
        one
    }
}

fn named_steps(prefix: &[String], steps: Vec<Step>) -> Vec<Step> {
    prefix.iter().cloned().map(Step::Name).chain(steps).collect()
}

fn names(node: &Node) -> usize {
    match &node.entries {
        Entries::Named(named) => named.len(),
        Entries::Folded(_) => usize::MAX,
    }
}

/// Rare names among many get no column: most rows would be null there.
fn left_to_text(child: &Node, names: usize, objects: u64) -> bool {
    let rare = |of_twenty: u64| objects >= 20 && child.seen() * 20 < objects * of_twenty;
    (rare(1) && names > MANY_NAMES) || (rare(4) && names > SOME_NAMES && child.only(&[Sort::Object]))
}

/// Columns an object would become.
pub(crate) fn width(node: &Node, names_max: usize) -> usize {
    if matches!(node.entries, Entries::Folded(_)) && node.count(Sort::Object) > 0 {
        return usize::MAX / 2;
    }
    let (count, objects) = (names(node), node.count(Sort::Object));
    node.named()
        .filter(|(_, child)| !left_to_text(child, count, objects))
        .map(|(name, child)| {
            let record = child.only(&[Sort::Object])
                && !recursive(name, child)
                && used_as(child, names_max) == Use::Record;
            let inner = if record { width(child, names_max) } else { 1 };
            if inner > NESTED_WIDTH_MAX { 1 } else { inner }
        })
        .sum()
}
