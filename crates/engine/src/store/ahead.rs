//! What units of work are likely to read, as far as their keys say it.

use repot_core::Ahead;
use repot_core::store::{DocumentKey, Layout, Whereabouts};
use repot_model::plan::{Plan, RowsWanted, key_cells};

use super::jobs::Job;
use super::objects::KEPT_OUT;
use super::row_store::LEADS;
use crate::copy::PROOF;

/// What deciding on these units reads first. `by_rows`: parts may be changed without reading the text.
pub(super) fn ahead((plan, layout): (&Plan, &Layout), works: &[&Job], by_rows: bool) -> Ahead {
    let hurries = works.len() > 1;
    let meta = [PROOF, LEADS, KEPT_OUT].map(str::to_owned).into();
    let mut ahead = Ahead { hurries, meta, ..Ahead::default() };
    for work in works {
        ahead.facts.extend(work.demands().iter().map(|demand| (demand.kind.clone(), demand.name.clone())));
        let conditional = work.facts().iter().filter(|change| change.when.must_hold());
        ahead.facts.extend(conditional.map(|change| (change.kind.clone(), change.name.clone())));
        let Job::Unit { work, steps, .. } = work else { continue };
        for key in work.writes.iter().map(repot_core::store::Write::key) {
            let Some(paths) = paths(layout, key) else { continue };
            if by_rows && steps.is_some() {
                ahead.outlines.extend(paths);
                ahead.rows.extend(root_row(plan, key));
            } else {
                ahead.stored.extend(paths);
                ahead.stamps.push((key.collection().to_owned(), key.text().to_owned()));
            }
        }
    }
    // several units may change parts of one document
    ahead.outlines.dedup();
    ahead.rows.dedup();
    // all of them may demand one fact
    ahead.facts.sort_unstable();
    ahead.facts.dedup();
    ahead
}

/// Where the document is, when its key says that and it has a file of its own.
fn paths(layout: &Layout, key: &DocumentKey) -> Option<Vec<String>> {
    let Whereabouts { paths, elsewhere } = layout.whereabouts(key).ok()?;
    // no database holds a NUL in a text
    let plain = !key.text().contains('\0') && paths.iter().all(|path| !path.contains('\0'));
    (plain && !elsewhere && key.place().is_none() && !layout.is_shared(key.collection())).then_some(paths)
}

fn root_row(plan: &Plan, key: &DocumentKey) -> Option<RowsWanted> {
    let table = plan.table(key.collection())?;
    let columns = plan.tables[table].key.clone();
    let cells = key_cells(&plan.tables[table], key.id()?)?;
    (!columns.is_empty()).then_some(RowsWanted { table, columns, cells, last: false })
}
