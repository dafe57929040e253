//! How documents are named in the journal: by slot, then tenant, collection and key, so that what waits for one change,
//! tenant or document stands together.

use repot_core::Result;
use repot_core::store::{DocumentKey, Layout, Scope};
use xxhash_rust::xxh3::xxh3_128;

use super::leads::slot_of;
use crate::packed::{Packer, Unpacker};

/// Longer names are cut, and end with a hash of the whole.
const NAME_BYTES_MAX: usize = 800;
const FORM: u8 = 1;

fn escaped(part: &str) -> String {
    part.replace('%', "%25").replace('/', "%2F").replace('\0', "%00")
}

/// The one name that every part of a move uses for a document, however its caller named it: its key where the path follows
/// from that, else its place.
///
/// # Errors
/// `R0405` when a bucket could not find it by this name; as [`Layout::whereabouts`].
pub fn canonical(layout: &Layout, key: &DocumentKey) -> Result<DocumentKey> {
    if let Some(within) = layout.within(key)? {
        let by_key = key.beside(&within.id);
        if !layout.whereabouts(&by_key)?.elsewhere {
            return Ok(by_key);
        }
        // its file is known by its place only
        let path = layout.paths(key)?.into_iter().next().ok_or_else(|| layout.cannot_hold(key))?;
        let scope =
            Scope { collection: key.collection().to_owned(), tenant: key.tenant().map(str::to_owned) };
        return layout.identify_within(&scope, &path, &within.id)?.ok_or_else(|| layout.cannot_hold(key));
    }
    let paths = layout.paths(key)?;
    let scope = Scope { collection: key.collection().to_owned(), tenant: key.tenant().map(str::to_owned) };
    for path in paths {
        if let Some(own) = layout.identify(&scope, &path)? {
            return Ok(own);
        }
    }
    Ok(key.clone())
}

/// The same for a document as the new store names it, at a path where that is known; `None`: it is in no collection of the old store.
pub(super) fn named(layout: &Layout, key: &DocumentKey, path: Option<&str>) -> Option<DocumentKey> {
    if let Ok(key) = canonical(layout, key) {
        return Some(key);
    }
    let path = path?;
    let scope = Scope { collection: key.collection().to_owned(), tenant: key.tenant().map(str::to_owned) };
    let alone = layout.identify(&scope, path).ok()?;
    alone.or_else(|| layout.identify_within(&scope, path, key.text()).ok().flatten())
}

/// The name of a document's mark and claim; its intents begin with it.
pub(super) fn name(key: &DocumentKey) -> String {
    let kind = if key.place().is_some() { 'p' } else { 'k' };
    let text = escaped(key.text());
    let own = prefix(slot_of(key), key.tenant());
    let name = format!("{own}{}/{kind}{text}", escaped(key.collection()));
    if name.len() <= NAME_BYTES_MAX {
        return name;
    }
    let mut end = NAME_BYTES_MAX - 40;
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}~{:032x}", name.get(..end).unwrap_or_default(), xxh3_128(name.as_bytes()))
}

fn prefix(slot: u16, tenant: Option<&str>) -> String {
    let tenant = tenant.map_or_else(String::new, |tenant| format!("={}", escaped(tenant)));
    format!("{slot:03}/{tenant}/")
}

/// What the names of a tenant's documents begin with.
pub(super) fn of_tenant(tenant: &str) -> String {
    prefix(slot_of(&DocumentKey::new("", "").in_tenant(tenant)), Some(tenant))
}

/// A document, as a value that [`read_key`] reads.
pub(super) fn pack_key(key: &DocumentKey) -> Vec<u8> {
    let mut packer = Packer::new(FORM).bytes(key.collection().as_bytes());
    packer = packer.number(key.tenant().is_some().into()).bytes(key.tenant().unwrap_or_default().as_bytes());
    match key.place() {
        None => packer = packer.number(-1).bytes(key.text().as_bytes()),
        Some(place) => {
            packer = packer.number(place.len().try_into().unwrap_or(i64::MAX));
            for (name, value) in place {
                packer = packer.bytes(name.as_bytes()).bytes(value.as_bytes());
            }
        }
    }
    packer.finish()
}

pub(super) fn read_key(value: &[u8]) -> Result<DocumentKey> {
    let mut read = Unpacker::new("the name of a document", FORM, value)?;
    let collection = read.text()?;
    let tenant = (read.number()? != 0, read.text()?);
    let key = match read.number()? {
        -1 => DocumentKey::of_text(&collection, &read.text()?),
        count => {
            let mut place = Vec::new();
            for _ in 0..count {
                place.push((read.text()?, read.text()?));
            }
            let place: Vec<(&str, &str)> =
                place.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            DocumentKey::at(&collection, &place)
        }
    };
    Ok(if tenant.0 { key.in_tenant(&tenant.1) } else { key })
}

#[cfg(test)]
mod tests {
    use repot_core::store::DocumentKey;

    use super::{name, of_tenant, pack_key, read_key};

    #[test]
    fn names_are_of_one_document_and_stand_with_their_tenant() {
        let long = "x/".repeat(900);
        let keys = [
            DocumentKey::new("notes", "a"),
            DocumentKey::new("notes", "a").in_tenant(""),
            DocumentKey::new("notes", "a").in_tenant("u/1"),
            DocumentKey::at("notes", &[("id", "a")]),
            DocumentKey::at("notes", &[("id", "a"), ("n", "1/2")]).in_tenant("u%"),
            DocumentKey::new("notes", &long),
            DocumentKey::new("notes", &format!("{long}y")),
        ];
        for (at, key) in keys.iter().enumerate() {
            assert_eq!(read_key(&pack_key(key)).unwrap(), *key);
            assert!(name(key).len() <= 900, "{key}");
            assert_eq!(keys.iter().filter(|other| name(other) == name(key)).count(), 1, "{at}");
            if let Some(tenant) = key.tenant() {
                assert!(name(key).starts_with(&of_tenant(tenant)), "{key}");
            }
        }
    }
}
