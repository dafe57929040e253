//! The lists and maps of a document: which elements come, go, move and stay.

use std::collections::{HashMap, HashSet};

use repot_json::edit::quote;
use repot_json::{Kind, Value};

use super::document::Layer;
use super::family::Spot;
use super::growth::Patch;
use super::order::staying;
use super::slots::{Container, Slot, entries, name, word};
use super::spell;
use crate::row::Cell;

/// An element of a list as it will be.
struct Item {
    /// Its place; at equal places what stands there already comes first.
    position: i64,
    is_new: bool,
    /// Its number in the list as it is.
    number: Option<usize>,
    /// Its row, unless it is an element that gives none.
    row: Option<usize>,
}

impl Layer<'_> {
    /// Brings what stands in `element` at `slot` to `rows`.
    pub(super) fn slot(
        &mut self,
        slot: &Slot<'_>,
        element: Value<'_>,
        rows: &[usize],
        patch: &mut Patch<'_>,
    ) {
        let containers = slot.containers(self.plan, element);
        let mut groups: Vec<Vec<usize>> = vec![Vec::new(); containers.len()];
        let mut rest = Vec::new();
        for &row in rows {
            let keys = self.keys(slot, row);
            let fits = |container: &Container<'_>| container.keys == keys;
            // keys that no column can say are equal as cells: a row stays in the one it is in
            let own = containers.iter().position(|at| fits(at) && self.stands_in(row, at.value));
            match own.or_else(|| containers.iter().position(fits)) {
                Some(at) => groups[at].push(row),
                None => rest.push(row),
            }
        }
        for (container, rows) in containers.iter().zip(&groups) {
            if slot.is_list() {
                self.list(slot, container, rows, patch);
            } else {
                self.map(slot, container, rows, patch);
            }
        }
        for (names, text) in self.fresh_containers(slot, &rest) {
            let mut here = element;
            let mut depth = 0;
            while let Some(inner) = names.get(depth).and_then(|name| here.get(name)) {
                here = inner;
                depth += 1;
            }
            let open = if depth < names.len() { here.kind() == Kind::Object } else { false };
            if open || here.kind() == Kind::Null {
                patch.grow(here.index(), names.get(depth..).unwrap_or_default(), text);
            } else {
                for &row in &rest {
                    self.spots[row] = Spot::Nowhere;
                }
            }
        }
    }

    fn keys(&self, slot: &Slot<'_>, row: usize) -> Vec<Cell<'_>> {
        slot.key_columns().iter().map(|&column| self.actual.members[row].cells[column].clone()).collect()
    }

    /// New lists or maps for `rows`: the names that lead to each, and its text.
    pub(super) fn fresh_containers(&mut self, slot: &Slot<'_>, rows: &[usize]) -> Vec<(Vec<String>, String)> {
        let mut groups: Vec<(Vec<String>, Vec<usize>)> = Vec::new();
        for &row in rows {
            let Some(path) = slot.path(&self.keys(slot, row)) else { continue };
            match groups.iter_mut().find(|group| group.0 == path) {
                Some(group) => group.1.push(row),
                None => groups.push((path, vec![row])),
            }
        }
        groups.into_iter().map(|(path, rows)| (path, self.fresh_container(slot, &rows))).collect()
    }

    fn fresh_container(&mut self, slot: &Slot<'_>, rows: &[usize]) -> String {
        let Some(column) = slot.key_column() else {
            let mut elements = Vec::new();
            for (number, &row) in rows.iter().enumerate() {
                self.spots[row] = Spot::At(i64::try_from(number).unwrap_or(i64::MAX));
                elements.push(self.element(row));
            }
            return format!("[{}]", elements.join(","));
        };
        let mut entries: Vec<(String, String)> = Vec::new();
        for &row in rows {
            let Some(key) = spell::key(&self.actual.members[row].cells[column]) else { continue };
            if entries.iter().all(|entry| entry.0 != key) {
                self.spots[row] = Spot::Unlisted;
                entries.push((key, self.element(row)));
            }
        }
        let entries: Vec<String> =
            entries.iter().map(|(key, text)| format!("{}:{text}", quote(key))).collect();
        format!("{{{}}}", entries.join(","))
    }

    fn list(&mut self, slot: &Slot<'_>, list: &Container<'_>, rows: &[usize], patch: &mut Patch<'_>) {
        let elements: Vec<Value<'_>> = list.value.elements().collect();
        let mut numbers = HashMap::new();
        let here: HashSet<usize> = rows.iter().copied().collect();
        let mut items = Vec::new();
        for (number, element) in elements.iter().enumerate() {
            match self.row_at(slot, *element).map(|row| self.pairs.of_expected[row]) {
                None => items.push(Item {
                    position: place(number),
                    is_new: false,
                    number: Some(number),
                    row: None,
                }),
                Some(Some(row)) if here.contains(&row) => {
                    numbers.insert(row, number);
                }
                Some(_) => patch.remove(element.index()),
            }
        }
        let position = self.plan.tables[slot.child.table].position;
        for &row in rows {
            let number = numbers.get(&row).copied();
            let position = match position.map(|column| &self.actual.members[row].cells[column]) {
                Some(Cell::Int(position)) => *position,
                None => number.map_or(i64::MAX, place),
                Some(_) => i64::MAX,
            };
            items.push(Item { position, is_new: number.is_none(), number, row: Some(row) });
        }
        // stable: rows come in the order of their lists
        items.sort_by_key(|item| (item.position, item.is_new, item.number));
        let stays = staying(&items.iter().map(|item| item.number).collect::<Vec<_>>());
        let mut before = vec![usize::MAX; items.len()];
        let mut next = usize::MAX;
        for (at, item) in items.iter().enumerate().rev() {
            before[at] = next;
            if let (true, Some(number)) = (stays[at], item.number) {
                next = number;
            }
        }
        for (at, item) in items.iter().enumerate() {
            if let Some(row) = item.row {
                self.spots[row] = Spot::At(place(at));
            }
            match (item.row, item.number) {
                (Some(row), Some(_)) if stays[at] => self.keep(row, patch),
                (None, Some(_)) if stays[at] => {}
                (row, number) => {
                    let standing = number.map(|number| elements[number]);
                    let text = match (row, standing) {
                        (Some(row), _) => self.element(row),
                        (None, Some(element)) => element.raw().to_owned(),
                        (None, None) => continue,
                    };
                    if let Some(element) = standing {
                        patch.remove(element.index());
                    }
                    patch.insert_element(list.value.index(), before[at], &text);
                }
            }
        }
    }

    fn map(&mut self, slot: &Slot<'_>, map: &Container<'_>, rows: &[usize], patch: &mut Patch<'_>) {
        let Some(column) = slot.key_column() else { return };
        let described = &self.plan.programs[slot.child.table].columns[column];
        let here: HashSet<usize> = rows.iter().copied().collect();
        // of two rows with one key the second has no place
        let mut open: HashMap<Vec<u8>, usize> = HashMap::new();
        for &row in rows {
            open.entry(self.key_bytes(row, column)).or_insert(row);
        }
        for (key, value) in entries(map.value) {
            let word = word(key, described);
            let mut cell = Vec::new();
            word.encode(&mut cell);
            let wanted = if word == Cell::Null { None } else { open.remove(&cell) };
            let own = self.row_at(slot, value).map(|row| self.pairs.of_expected[row]);
            // its own row first: keys that no column can say are equal as cells
            let stays =
                own.flatten().filter(|row| here.contains(row) && self.key_bytes(*row, column) == cell);
            if let Some(row) = stays {
                self.spots[row] = Spot::Unlisted;
                self.keep(row, patch);
            } else if let Some(row) = wanted {
                self.spots[row] = Spot::Unlisted;
                let text = self.element(row);
                patch.replace(value.index(), &text);
            } else if own.is_some() {
                remove_entry(map.value, key, patch);
            }
        }
        let mut open: Vec<usize> =
            open.into_values().filter(|&row| self.spots[row] == Spot::Nowhere).collect();
        open.sort_unstable_by_key(|&row| self.rank(row));
        for row in open {
            if let Some(key) = spell::key(&self.actual.members[row].cells[column]) {
                self.spots[row] = Spot::Unlisted;
                let text = self.element(row);
                patch.grow(map.value.index(), &[key], text);
            }
        }
    }

    fn key_bytes(&self, row: usize, column: usize) -> Vec<u8> {
        let mut out = Vec::new();
        self.actual.members[row].cells[column].encode(&mut out);
        out
    }
}

fn place(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Removes the entries with this key: an earlier one of the same name would come to light otherwise.
pub(super) fn remove_entry(map: Value<'_>, key: Value<'_>, patch: &mut Patch<'_>) {
    for (other, value) in map.entries() {
        if name(other) == name(key) {
            patch.remove(value.index());
        }
    }
}
