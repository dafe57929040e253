//! Which row of the database is which row of the document.

use std::collections::{HashMap, VecDeque};

use crate::plan::Plan;
use crate::row::Cell;

use super::family::{Family, Member, chosen, identity};

/// Rows of the document and of the database that are the same row.
#[derive(Debug)]
pub(super) struct Pairs {
    /// For each row of the database, that of the document.
    pub(super) of_actual: Vec<Option<usize>>,
    /// For each row of the document, that of the database.
    pub(super) of_expected: Vec<Option<usize>>,
}

impl Pairs {
    /// Pairs rows by what tells them apart. Rows that only their place in the list tells apart are paired by what
    /// they say first, so that a list that moved up keeps what no column knows beside each element.
    pub(super) fn new(plan: &Plan, expected: &Family<'_>, actual: &Family<'_>) -> Self {
        let mut pairs = Self {
            of_actual: vec![None; actual.members.len()],
            of_expected: vec![None; expected.members.len()],
        };
        if let (Some(one), Some(other)) = (expected.root, actual.root) {
            pairs.join(one, other);
        }
        pairs.by(expected, actual, plan, |member| Some(chosen(member, 0..member.cells.len())));
        pairs.by(expected, actual, plan, |member| {
            let table = &plan.tables[member.table];
            let position = table.position.filter(|_| table.key.is_empty())?;
            Some(chosen(member, (0..member.cells.len()).filter(|column| *column != position)))
        });
        pairs.by(expected, actual, plan, |member| Some(identity(plan, member)));
        pairs
    }

    fn join(&mut self, expected: usize, actual: usize) {
        self.of_expected[expected] = Some(actual);
        self.of_actual[actual] = Some(expected);
    }

    fn by(
        &mut self,
        expected: &Family<'_>,
        actual: &Family<'_>,
        plan: &Plan,
        key: impl Fn(&Member<'_>) -> Option<Vec<u8>>,
    ) {
        let mut open: HashMap<(usize, Vec<u8>), VecDeque<usize>> = HashMap::new();
        for (at, member) in expected.members.iter().enumerate() {
            if self.of_expected[at].is_none()
                && let Some(key) = key(member)
            {
                open.entry((member.table, key)).or_default().push_back(at);
            }
        }
        for at in in_order(plan, actual) {
            let member = &actual.members[at];
            if self.of_actual[at].is_none()
                && let Some(key) = key(member)
                && let Some(found) = open.get_mut(&(member.table, key)).and_then(VecDeque::pop_front)
            {
                self.join(found, at);
            }
        }
    }
}

/// Rows by their place in their lists, so that the order in which a database gives them decides nothing.
pub(super) fn in_order(plan: &Plan, family: &Family<'_>) -> Vec<usize> {
    let place = |at: &usize| {
        let member = &family.members[*at];
        let position = plan.tables[member.table].position.and_then(|column| match member.cells.get(column) {
            Some(Cell::Int(position)) => Some(*position),
            _ => None,
        });
        (position.unwrap_or(i64::MAX), chosen(member, 0..member.cells.len()))
    };
    let mut order: Vec<usize> = (0..family.members.len()).collect();
    order.sort_by_cached_key(place);
    order
}
