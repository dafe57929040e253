//! The states of the documents that the rows of a page are of.

use std::collections::HashMap;

use repot_core::store::{DocumentKey, ETag, Layout, QueryItem, QueryPage};
use repot_core::{DocumentState, Result};
use repot_model::sql::query::Statement;

use super::resolve::Resolved;
use super::{PAGE_BYTES, rows};
use crate::store::desk::Desk;

/// A page of rows, each with the `ETag` of its document and when that was written last, as reading the document would give it in the state of the database
/// that the rows were read in. One statement says nearly all of them. Only a document that plain SQL changed since its
/// text was written is read itself, since its `ETag` is that of the text that its rows make.
pub(super) fn page(
    desk: &mut Desk<'_, '_>,
    layout: &Layout,
    (resolved, made): (&Resolved<'_>, &Statement),
) -> Result<QueryPage> {
    let collection = &resolved.query.scope.collection;
    if let Some((answer, states)) = desk.reader().ask_with_states(made, collection, PAGE_BYTES)? {
        let mut page = rows(desk.plan, (resolved, made), &answer)?;
        if tell(&mut page.items, states, &mut |_| Ok(None))? {
            return Ok(page);
        }
    }
    // in a state that is held, for the documents that are to be read
    let answer = desk.reader().ask(made, PAGE_BYTES)?;
    let mut page = rows(desk.plan, (resolved, made), &answer)?;
    let keys = page.items.iter().filter_map(|item| item.key.as_ref());
    let keys: Vec<String> = keys.map(|key| key.text().to_owned()).collect();
    if !keys.is_empty() {
        let states = desk.reader().states(collection, &keys)?;
        tell(&mut page.items, states, &mut |key| {
            let found = desk.document(layout, key)?.flatten();
            Ok(Some(found.map(|document| (document.etag, document.modified_ms))))
        })?;
    }
    Ok(page)
}

/// The `ETag` of a document, and when it was written last, milliseconds since 1970.
type Told = (ETag, Option<i64>);

/// Gives each row what is told of its document; those whose records do not say it from `read`. `false`: `read` does not know it either.
fn tell(
    items: &mut [QueryItem],
    states: Vec<DocumentState>,
    read: &mut dyn FnMut(&DocumentKey) -> Result<Option<Option<Told>>>,
) -> Result<bool> {
    // `None`: its record does not say all
    let mut told: HashMap<String, Option<Told>> = HashMap::with_capacity(states.len());
    for state in states {
        let known = (state.stamp == 0).then(|| (ETag::new(&state.etag), state.modified_ms));
        told.entry(state.key).and_modify(|several| *several = None).or_insert(known);
    }
    for item in items {
        let Some(key) = &item.key else { continue };
        let told = match told.remove(key.text()) {
            Some(Some(told)) => Some(told),
            Some(None) => match read(key)? {
                Some(found) => found,
                None => return Ok(false),
            },
            None => None,
        };
        if let Some((etag, modified_ms)) = told {
            (item.etag, item.modified_ms) = (Some(etag), modified_ms);
        }
    }
    Ok(true)
}
