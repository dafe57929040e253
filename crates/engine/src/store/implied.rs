//! Documents in shared files that change because of what a unit of work deletes: they go, or refer to nothing any more. They
//! are written with the unit's own documents of these files, so what is found while references are followed is kept, and
//! the unit is decided on again with it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use repot_core::Mark;
use repot_core::Result;
use repot_core::store::{DocumentKey, Layout, Proposal, Within, Write};
use repot_model::plan::{Plan, StateChange};
use repot_model::row::{Cell, Cells, RowBuffer};

use super::desk::Found;
use super::finding::Sought;
use super::following::{RowId, holds};
use super::hand::Hand;
use super::within::{Files, Inside};
use super::writing::Unit;
use crate::prepare::identity;

/// References of a document that are set to null, and rows of it that go.
#[derive(Debug, Clone, Default)]
pub(super) struct Cuts {
    pub nulls: BTreeSet<(RowId, usize)>,
    pub rows: BTreeSet<RowId>,
}

/// What becomes of a document.
#[derive(Debug, Default)]
pub(super) struct Effect {
    /// The write that it follows from, by its place in the unit.
    pub origin: usize,
    pub cuts: Cuts,
    /// It goes, and so do these rows.
    pub removed: Option<RowBuffer>,
}

/// By collection and key text.
pub(super) type Implied = BTreeMap<(String, String), Effect>;

impl Cuts {
    pub(super) fn is_empty(&self) -> bool {
        self.nulls.is_empty() && self.rows.is_empty()
    }

    pub(super) fn contains(&self, row: &RowId, column: usize) -> bool {
        self.rows.contains(row) || self.nulls.contains(&(row.clone(), column))
    }

    /// These rows with some references set to null, and without some rows and what these hold.
    pub(super) fn made(&self, plan: &Plan, rows: &RowBuffer) -> RowBuffer {
        let mut out = RowBuffer::new();
        let mut without: Vec<(usize, &[u8])> = Vec::new();
        for (table, row) in rows.iter() {
            let id = (table, identity(plan, table, row));
            let held = without.iter().any(|&(above, holder)| holds(plan, (above, holder), (table, row)));
            if held || self.rows.contains(&id) {
                without.push((table, row));
                continue;
            }
            for (column, cell) in Cells::new(row).enumerate() {
                let null = self.nulls.contains(&(id.clone(), column));
                out.cell(if null { &Cell::Null } else { &cell });
            }
            out.end_row(table);
        }
        out
    }
}

/// A document of a shared file by its key, in the tenant that the file says.
pub(super) fn shared_key(layout: &Layout, (collection, id): (&str, &str), path: &str) -> DocumentKey {
    let tenant = layout.tenant_of(collection, path);
    DocumentKey::of_record((collection, tenant.as_deref()), id)
}

impl Hand<'_, '_, '_> {
    /// Writes what is implied so far.
    pub(super) fn imply(
        &mut self,
        implied: &Implied,
        writes: &[Write],
        (files, unit): (&mut Files, &mut Unit),
    ) -> Result<Vec<(usize, repot_core::Trashed)>> {
        let (layout, mut trash) = (self.decider.layout, Vec::new());
        for ((collection, id), effect) in implied {
            let Some(path) = self.desk.path_of(collection, id)? else { continue };
            let key = shared_key(layout, (collection, id), &path);
            let Some(within) = layout.within(&key)? else { continue };
            let Sought::There(found) = self.desk.find_within(layout, &key, &within)? else { continue };
            if found.etag.is_none() {
                // its row is that of no document in this file
                self.settle_first(collection, id);
                continue;
            }
            let (mut text, mut states) = (None, Vec::new());
            if effect.removed.is_none() {
                let Some(changed) = self.cut(&key, &within, (&found, &effect.cuts))? else { continue };
                (text, states) = (Some(changed.0), changed.1);
            } else if let Some(life) = self.life((effect.origin, key.collection()), writes) {
                let text = &found.assembled.bytes;
                trash.push((effect.origin, self.kept(&key, &path, text, life)?));
            }
            self.shared_on_record(&key, Some(&found), (text.as_ref(), states))?;
            unit.marks.push(Mark { collection: collection.clone(), key: id.clone(), stamp: found.stamp });
            unit.facts.extend(self.along(&key, &path));
            unit.further.push(path.clone());
            let found = Some(*found);
            let inside = Inside { origin: effect.origin, key: &key, within, found, old: None, path };
            files.write(self, inside, text)?;
        }
        Ok(trash)
    }

    /// The document without the references that go; `None` when its text cannot say so.
    fn cut(
        &mut self,
        key: &DocumentKey,
        within: &Within,
        (found, cuts): (&Found, &Cuts),
    ) -> Result<Option<(Bytes, Vec<StateChange>)>> {
        let decider = self.decider;
        let laid = self.desk.with_rows_within(found, within, &|rows| cuts.made(decider.plan, rows))?;
        if !laid.notes.is_empty() || laid.deleted {
            return Ok(None);
        }
        let body = Bytes::from(laid.bytes);
        if !decider.layout.has_rules(key)? {
            return Ok(Some((body, Vec::new())));
        }
        let revised = decider.layout.revise_states(Proposal {
            key,
            path: &found.whole.object.record.path,
            body: &body,
            before: Some(&found.assembled.bytes),
            document_bytes_max: decider.document_bytes_max,
            now_ms: decider.now_ms,
        })?;
        Ok(Some(revised))
    }
}
