//! Where rows stand inside the element that holds them: the lists and maps of one place.

use std::borrow::Cow;

use repot_json::{Kind, Value};

use crate::plan::program::{Child, ColumnProgram, Op, Shape};
use crate::plan::{Plan, convert};
use crate::row::Cell;

use super::spell;

/// A place in which an element holds rows: names, then the child's own steps.
#[derive(Debug)]
pub(super) struct Slot<'p> {
    pub(super) names: Vec<String>,
    pub(super) child: &'p Child,
}

/// All places of elements of this shape.
pub(super) fn slots(shape: &Shape) -> Vec<Slot<'_>> {
    fn collect<'p>(shape: &'p Shape, names: &mut Vec<String>, out: &mut Vec<Slot<'p>>) {
        out.extend(shape.children.iter().map(|child| Slot { names: names.clone(), child }));
        for entry in &shape.entries {
            names.push(entry.name.clone());
            collect(&entry.inner, names, out);
            names.pop();
        }
    }
    let mut out = Vec::new();
    collect(shape, &mut Vec::new(), &mut out);
    out
}

/// A list or map that holds elements.
#[derive(Debug, Clone)]
pub(super) struct Container<'t> {
    /// What the maps on the way to it say.
    pub(super) keys: Vec<Cell<'t>>,
    pub(super) value: Value<'t>,
}

impl<'p> Slot<'p> {
    /// The step over elements, and those to the list or map they stand in.
    pub(super) fn way(&self) -> (&'p [Op], &'p Op) {
        let (last, head) = self.child.ops.split_last().expect("a place of rows ends with a step over them");
        (head, last)
    }

    pub(super) fn is_list(&self) -> bool {
        matches!(self.way().1, Op::Each)
    }

    /// The column that the map's key fills, when it is a map.
    pub(super) fn key_column(&self) -> Option<usize> {
        match self.way().1 {
            Op::Entry(column) => Some(*column),
            Op::Name(_) | Op::Each => None,
        }
    }

    /// Columns that the keys on the way to the list or map fill.
    pub(super) fn key_columns(&self) -> Vec<usize> {
        let column = |op: &Op| match op {
            Op::Entry(column) => Some(*column),
            Op::Name(_) | Op::Each => None,
        };
        self.way().0.iter().filter_map(column).collect()
    }

    /// The lists or maps in `element`.
    pub(super) fn containers<'t>(&self, plan: &Plan, element: Value<'t>) -> Vec<Container<'t>> {
        let mut here = element;
        for name in &self.names {
            let Some(inner) = here.get(name) else { return Vec::new() };
            here = inner;
        }
        let mut found = vec![Container { keys: Vec::new(), value: here }];
        for op in self.way().0 {
            found = found.iter().flat_map(|container| self.step(plan, op, container)).collect();
        }
        let kind = if self.is_list() { Kind::Array } else { Kind::Object };
        found.retain(|container| container.value.kind() == kind);
        found
    }

    fn step<'t>(&self, plan: &Plan, op: &Op, from: &Container<'t>) -> Vec<Container<'t>> {
        match op {
            Op::Name(name) => {
                let inner = from.value.get(name);
                inner.into_iter().map(|value| Container { keys: from.keys.clone(), value }).collect()
            }
            Op::Entry(column) => entries(from.value)
                .into_iter()
                .map(|(key, value)| {
                    let mut keys = from.keys.clone();
                    keys.push(word(key, &plan.programs[self.child.table].columns[*column]));
                    Container { keys, value }
                })
                .collect(),
            Op::Each => Vec::new(),
        }
    }

    /// The names from the element to the list or map with these keys; `None` when a key is no name.
    pub(super) fn path(&self, keys: &[Cell<'_>]) -> Option<Vec<String>> {
        let mut keys = keys.iter();
        let mut names = self.names.clone();
        for op in self.way().0 {
            match op {
                Op::Name(name) => names.push(name.clone()),
                Op::Entry(_) => names.push(spell::key(keys.next()?)?),
                Op::Each => return None,
            }
        }
        Some(names)
    }
}

/// The cell of a map's key; null when no column can say it.
pub(super) fn word<'t>(key: Value<'t>, column: &ColumnProgram) -> Cell<'t> {
    key.as_str().and_then(|word| convert::word(word, column).ok()).unwrap_or(Cell::Null)
}

/// A key as a name; what no text can say is told apart by its spelling.
pub(super) fn name(key: Value<'_>) -> Cow<'_, str> {
    key.as_str().unwrap_or(Cow::Borrowed(key.raw()))
}

/// An object's entries; of those with one key only the last, which is what readers take.
pub(super) fn entries(value: Value<'_>) -> Vec<(Value<'_>, Value<'_>)> {
    crate::plan::walker::distinct(value)
}
