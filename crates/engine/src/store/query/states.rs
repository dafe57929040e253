//! The states of the documents that the rows of a page are of.

use std::collections::HashMap;

use repot_core::Result;
use repot_core::store::{ETag, Layout, QueryItem};

use crate::store::desk::Desk;

/// Gives each row the `ETag` of its document, as reading the document would, in the state of the database that the rows were
/// read in. One statement says nearly all of them. Only a document that plain SQL changed since its text was written is
/// read itself, since its `ETag` is that of the text that its rows make.
pub(super) fn tell(desk: &mut Desk<'_, '_>, layout: &Layout, items: &mut [QueryItem]) -> Result<()> {
    let keys = || items.iter().filter_map(|item| item.key.as_ref());
    let Some(collection) = keys().next().map(|key| key.collection().to_owned()) else { return Ok(()) };
    let texts: Vec<String> = keys().map(|key| key.text().to_owned()).collect();
    // `None`: its record does not say all
    let mut told: HashMap<String, Option<ETag>> = HashMap::with_capacity(texts.len());
    for state in desk.reader().states(&collection, &texts)? {
        let known = (state.stamp == 0).then(|| ETag::new(&state.etag));
        told.entry(state.key).and_modify(|several| *several = None).or_insert(known);
    }
    for item in items {
        let Some(key) = &item.key else { continue };
        item.etag = match told.remove(key.text()) {
            Some(Some(etag)) => Some(etag),
            Some(None) => desk.document(layout, key)?.flatten().map(|document| document.etag),
            None => None,
        };
    }
    Ok(())
}
