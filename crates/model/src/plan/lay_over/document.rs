//! One document: the changes of its rows become edits of its text.

use std::collections::HashMap;

use repot_json::{Kind, Limits, Tree, Value};

use super::family::{Family, Spot};
use super::growth::{Growth, Patch};
use super::pairs::{Pairs, in_order};
use super::slots::{Slot, slots};
use super::spell;
use crate::plan::{Plan, Root};
use crate::row::Cell;

/// The rows of one document and its text.
pub(super) struct Layer<'a> {
    pub(super) plan: &'a Plan,
    /// The text that was split.
    pub(super) text: Value<'a>,
    pub(super) expected: &'a Family<'a>,
    pub(super) actual: &'a Family<'a>,
    pub(super) pairs: Pairs,
    /// The element of each row of the document.
    nodes: &'a [u32],
    /// The row of the document that an element gave, by table and node.
    by_node: HashMap<(usize, u32), usize>,
    /// The row and slot that hold each row of the document.
    homes: HashMap<usize, (usize, usize)>,
    /// For each row of the database its number in the order of the lists.
    ranks: Vec<usize>,
    /// Where each row of the database came to stand.
    pub(super) spots: Vec<Spot>,
    /// What cannot be written.
    pub(super) notes: Vec<String>,
}

impl<'a> Layer<'a> {
    /// `nodes`: for each row of `expected` its element in `text`.
    pub(super) fn new(
        plan: &'a Plan,
        text: Value<'a>,
        nodes: &'a [u32],
        expected: &'a Family<'a>,
        actual: &'a Family<'a>,
    ) -> Self {
        let rows = expected.members.iter().zip(nodes).enumerate();
        let by_node = rows.map(|(at, (member, node))| ((member.table, *node), at)).collect();
        let mut ranks = vec![0; actual.members.len()];
        for (rank, row) in in_order(plan, actual).into_iter().enumerate() {
            ranks[row] = rank;
        }
        let mut layer = Self {
            plan,
            text,
            expected,
            actual,
            pairs: Pairs::new(plan, expected, actual),
            nodes,
            by_node,
            homes: HashMap::new(),
            ranks,
            spots: vec![Spot::Nowhere; actual.members.len()],
            notes: Vec::new(),
        };
        layer.find_homes();
        layer
    }

    fn find_homes(&mut self) {
        for (holder, member) in self.expected.members.iter().enumerate() {
            let element = self.text.at(self.nodes[holder]);
            for (number, slot) in slots(&self.plan.programs[member.table].shape).iter().enumerate() {
                let containers = slot.containers(self.plan, element);
                let inner = containers.iter().flat_map(|container| {
                    container.value.elements().chain(container.value.entries().map(|entry| entry.1))
                });
                for value in inner {
                    if let Some(row) = self.row_at(slot, value) {
                        self.homes.entry(row).or_insert((holder, number));
                    }
                }
            }
        }
    }

    /// A row's number in the order of the lists.
    pub(super) fn rank(&self, row: usize) -> usize {
        self.ranks[row]
    }

    /// The row stands in `container` as the document is.
    pub(super) fn stands_in(&self, row: usize, container: Value<'_>) -> bool {
        let node = self.pairs.of_actual[row].map(|row| self.nodes[row]);
        node.is_some_and(|node| (container.index()..container.node().next).contains(&node))
    }

    /// The row of the document that `value` gave as an element of `slot`.
    pub(super) fn row_at(&self, slot: &Slot<'_>, value: Value<'_>) -> Option<usize> {
        self.by_node.get(&(slot.child.table, value.index())).copied()
    }

    /// Writes everything that differs. `root` and `captures`: the collection and the columns that the path fills.
    pub(super) fn run(&mut self, root: &Root, captures: &[usize], patch: &mut Patch<'_>) {
        let (Some(actual), Some(expected)) = (self.actual.root, self.expected.root) else { return };
        self.spots[actual] = Spot::Unlisted;
        for column in 0..self.plan.programs[self.actual.members[actual].table].columns.len() {
            let by_path =
                captures.contains(&column) || root.path_references.iter().any(|path| path.column == column);
            if by_path && self.differs(expected, actual, column) {
                self.note(actual, column, "is decided by the file's path: writing it would move the file");
            }
        }
        if let Some((column, _)) = root.body {
            if self.differs(expected, actual, column) {
                let text = self.cell_text(actual, column, None);
                self.replace(actual, column, self.nodes[expected], text, patch);
            }
        } else {
            let fixed: Vec<usize> =
                captures.iter().copied().chain(root.path_references.iter().map(|path| path.column)).collect();
            self.apply(actual, expected, &fixed, patch);
        }
        for at in 0..self.spots.len() {
            if self.spots[at] == Spot::Nowhere {
                let name = self.actual.name(self.plan, at);
                self.notes.push(format!("{name}: no row of this document holds it, or no place in it"));
            }
        }
    }

    fn note(&mut self, actual: usize, column: usize, what: &str) {
        let name = self.actual.name(self.plan, actual);
        let table = self.actual.members[actual].table;
        let column = &self.plan.programs[table].columns[column].name;
        self.notes.push(format!("{name}: {column} {what}"));
    }

    fn differs(&self, expected: usize, actual: usize, column: usize) -> bool {
        let (one, other) = (&self.expected.members[expected].cells, &self.actual.members[actual].cells);
        !spell::same(&one[column], other.get(column).unwrap_or(&Cell::Null))
    }

    /// Edits the element of the pair `actual`, `expected`. `fixed`: columns that stay whatever they say.
    fn apply(&mut self, actual: usize, expected: usize, fixed: &[usize], patch: &mut Patch<'_>) {
        let node = self.nodes[expected];
        let element = self.text.at(node);
        if element.kind() != Kind::Object && self.says_fields(actual) {
            let text = self.fresh(actual);
            patch.replace(node, &text);
            return;
        }
        let plan = self.plan;
        let program = &plan.programs[self.actual.members[actual].table];
        for (column, described) in program.columns.iter().enumerate() {
            if fixed.contains(&column) || !self.differs(expected, actual, column) {
                continue;
            }
            match &described.path {
                Some(names) => self.put(actual, column, (element, names), patch),
                None if self.is_structure(actual, column) => {}
                None => self.note(actual, column, "is not in the document"),
            }
        }
        for (number, slot) in slots(&program.shape).iter().enumerate() {
            let rows = self.rows_in(actual, number, slot);
            self.slot(slot, element, &rows, patch);
        }
    }

    /// The row has values that only an object can hold.
    fn says_fields(&self, actual: usize) -> bool {
        let member = &self.actual.members[actual];
        let columns = self.plan.programs[member.table].columns.iter().zip(&member.cells);
        columns.into_iter().any(|(column, cell)| {
            *cell != Cell::Null
                && column.default.as_ref() != Some(cell)
                && column.path.as_ref().is_some_and(|path| !path.is_empty())
        })
    }

    /// A column that says where the row belongs rather than what it is; the tree of rows takes care of it.
    fn is_structure(&self, actual: usize, column: usize) -> bool {
        let number = self.actual.members[actual].table;
        let table = &self.plan.tables[number];
        let link =
            |parent: &crate::plan::Parent| parent.column == column || parent.type_column == Some(column);
        let program = &self.plan.programs[number];
        let of_map = |slot: &Slot<'_>| {
            slot.child.table == number
                && (slot.key_column() == Some(column) || slot.key_columns().contains(&column))
        };
        table.position == Some(column)
            || program.auto_key == Some(column)
            || table.parents.iter().any(link)
            || table
                .parents
                .iter()
                .any(|parent| slots(&self.plan.programs[parent.table].shape).iter().any(of_map))
    }

    /// Writes one column into the element.
    fn put(&mut self, actual: usize, column: usize, at: (Value<'_>, &[String]), patch: &mut Patch<'_>) {
        let (element, names) = at;
        let mut here = element;
        for (depth, name) in names.iter().enumerate() {
            if let Some(inner) = here.get(name) {
                here = inner;
                continue;
            }
            if self.actual.members[actual].cells[column] == Cell::Null {
                self.replace(actual, column, u32::MAX, self.cell_text(actual, column, None), patch);
            } else if !matches!(here.kind(), Kind::Object | Kind::Null) {
                self.note(actual, column, "has no place: another value stands where its object would");
            } else if let Some(text) = self.cell_text(actual, column, None) {
                patch.grow(here.index(), names.get(depth..).unwrap_or_default(), text);
            } else {
                self.note(actual, column, "holds a value that the model does not allow there");
            }
            return;
        }
        let text = self.cell_text(actual, column, Some(here));
        self.replace(actual, column, here.index(), text, patch);
    }

    /// Replaces a value by `text`; a node of `u32::MAX` is a null where nothing stands.
    fn replace(
        &mut self,
        actual: usize,
        column: usize,
        node: u32,
        text: Option<String>,
        patch: &mut Patch<'_>,
    ) {
        match text {
            None if self.actual.members[actual].cells[column] == Cell::Null => {
                self.note(
                    actual,
                    column,
                    "is null, which the document cannot say: the model requires it or has a default",
                );
            }
            None => self.note(actual, column, "holds a value that the model does not allow there"),
            Some(_) if node == u32::MAX => {}
            Some(text) => patch.replace(node, &text),
        }
    }

    /// The text of a cell; `None` when the document cannot say it.
    pub(super) fn cell_text(&self, actual: usize, column: usize, old: Option<Value<'_>>) -> Option<String> {
        let member = &self.actual.members[actual];
        let described = &self.plan.programs[member.table].columns[column];
        match member.cells.get(column)? {
            Cell::Null if described.required || described.default.is_some() => None,
            Cell::Null => Some("null".to_owned()),
            cell => spell::fitting(cell, old, described),
        }
    }

    /// The rows that belong into slot number `number` of `holder`, in the order of their lists.
    fn rows_in(&self, holder: usize, number: usize, slot: &Slot<'_>) -> Vec<usize> {
        let member = &self.actual.members[holder];
        let all = slots(&self.plan.programs[member.table].shape);
        let expected = self.pairs.of_actual[holder];
        let fits = |row: usize| {
            let home = self.pairs.of_actual[row].and_then(|row| self.homes.get(&row));
            if let Some(&(stands_in, home)) = home
                && expected == Some(stands_in)
            {
                return home == number;
            }
            self.choose(row, &all) == Some(number)
        };
        let mut rows: Vec<usize> = member.children.clone();
        rows.retain(|&row| self.actual.members[row].table == slot.child.table && fits(row));
        rows.sort_by_key(|&row| self.ranks[row]);
        rows
    }

    /// The slot for a row that has none yet: a list for one with a position, a map for one with a key.
    fn choose(&self, row: usize, all: &[Slot<'_>]) -> Option<usize> {
        let member = &self.actual.members[row];
        let filled = |column: Option<usize>| {
            column.and_then(|column| member.cells.get(column)).is_some_and(|cell| *cell != Cell::Null)
        };
        let own = |slot: &Slot<'_>| slot.child.table == member.table;
        let fits = |slot: &Slot<'_>| {
            own(slot)
                && slot.key_columns().into_iter().all(|column| filled(Some(column)))
                && (slot.is_list() || filled(slot.key_column()))
        };
        let listed = filled(self.plan.tables[member.table].position);
        let best = all.iter().position(|slot| fits(slot) && slot.is_list() == listed);
        best.or_else(|| all.iter().position(fits)).or_else(|| all.iter().position(own))
    }

    /// The text of a row's element: as it stands with its changes, or new.
    pub(super) fn element(&mut self, actual: usize) -> String {
        let Some(expected) = self.pairs.of_actual[actual] else { return self.fresh(actual) };
        let node = self.nodes[expected];
        let raw = self.text.at(node).raw();
        let limits = Limits { depth_max: usize::MAX, nodes_max: usize::MAX };
        let tree = Tree::parse(raw.as_bytes(), limits).expect("a value of a scanned text is JSON");
        let root = tree.root(raw.as_bytes()).expect("the scan succeeded");
        let mut patch = Patch::new(root, node);
        self.apply(actual, expected, &[], &mut patch);
        String::from_utf8(patch.finish()).unwrap_or_else(|_| raw.to_owned())
    }

    /// Applies the changes of a row that stays where it is.
    pub(super) fn keep(&mut self, actual: usize, patch: &mut Patch<'_>) {
        if let Some(expected) = self.pairs.of_actual[actual] {
            self.apply(actual, expected, &[], patch);
        }
    }

    /// The element of a row that is not in the document yet.
    pub(super) fn fresh(&mut self, actual: usize) -> String {
        let plan = self.plan;
        let program = &plan.programs[self.actual.members[actual].table];
        let mut growth = Growth::new();
        let whole = program
            .whole
            .iter()
            .copied()
            .find(|&column| self.actual.members[actual].cells[column] != Cell::Null);
        if whole.is_none() && !program.whole.is_empty() && program.shape.is_empty() {
            return "null".to_owned();
        }
        for (column, described) in program.columns.iter().enumerate() {
            let Some(names) = &described.path else { continue };
            let skipped = if names.is_empty() {
                whole != Some(column)
            } else {
                whole.is_some() && program.shape.is_empty()
            };
            if skipped || self.actual.members[actual].cells[column] == Cell::Null {
                continue;
            }
            match self.cell_text(actual, column, None) {
                Some(text) => growth.set(names, text),
                None => self.note(actual, column, "holds a value that the model does not allow there"),
            }
        }
        for (number, slot) in slots(&program.shape).iter().enumerate() {
            let rows = self.rows_in(actual, number, slot);
            for (names, text) in self.fresh_containers(slot, &rows) {
                growth.set(&names, text);
            }
        }
        growth.text()
    }
}
