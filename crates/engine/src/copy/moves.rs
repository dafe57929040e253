//! A row that one object of a batch deletes and another inserts (a file was renamed) is one row that stays: it
//! becomes an update, so that what refers to it is not disturbed.

use std::collections::{HashMap, HashSet};

use repot_core::Item;
use repot_model::plan::Plan;
use repot_model::row::RowBuffer;

use crate::prepare::identity;

/// Turns such pairs into updates.
pub(crate) fn join_moves(plan: &Plan, items: &mut [Item]) {
    let mut deleted: HashMap<(usize, Vec<u8>), usize> = HashMap::new();
    for (at, item) in items.iter().enumerate() {
        for (table, key) in item.changes.deletes.iter() {
            deleted.insert((table, key.to_vec()), at);
        }
    }
    if deleted.is_empty() {
        return;
    }
    let mut stays: HashSet<(usize, Vec<u8>)> = HashSet::new();
    for item in items.iter_mut() {
        let moves = |table: usize, cells: &[u8]| deleted.contains_key(&(table, identity(plan, table, cells)));
        if !item.rows.iter().any(|(table, cells)| moves(table, cells)) {
            continue;
        }
        let mut inserts = RowBuffer::new();
        for document in &mut item.documents {
            let start = inserts.len();
            for row in document.rows.clone() {
                let (table, cells) = item.rows.row(row);
                let target = if moves(table, cells) {
                    stays.insert((table, identity(plan, table, cells)));
                    &mut item.changes.updates
                } else {
                    &mut inserts
                };
                target.raw(cells);
                target.end_row(table);
            }
            document.rows = start..inserts.len();
        }
        item.rows = inserts;
    }
    let touched: HashSet<usize> = stays.iter().filter_map(|key| deleted.get(key).copied()).collect();
    for at in touched {
        let mut deletes = RowBuffer::new();
        for (table, key) in items[at].changes.deletes.iter() {
            if !stays.contains(&(table, key.to_vec())) {
                deletes.raw(key);
                deletes.end_row(table);
            }
        }
        items[at].changes.deletes = deletes;
    }
}
