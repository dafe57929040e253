//! Listings.

use std::collections::BTreeSet;
use std::sync::Arc;

use repot_core::store::{Precondition, Scope, Store, StoreExt as _};

use super::subject::{Subject, body, note};

/// The keys of all pages of this size.
pub(super) async fn all(store: &Arc<dyn Store>, scope: &Scope, most: usize) -> Vec<String> {
    let (mut keys, mut after) = (Vec::new(), None);
    loop {
        let page = store.list(scope, after.as_ref(), most).await.unwrap();
        assert!(page.items.len() <= most);
        assert!(page.items.len() == most || page.next.is_none(), "a short page is the last");
        keys.extend(page.items.into_iter().map(|item| item.key.text().to_owned()));
        after = page.next;
        if after.is_none() {
            return keys;
        }
    }
}

/// Whatever the size of a page, each document is in the listing once, with its size, in one order.
pub async fn pages_hold_everything_once(subject: Subject) {
    let store = subject.store;
    assert_eq!(all(&store, &Scope::of("notes"), 3).await, Vec::<String>::new());
    for at in 0..20 {
        let id = format!("n{}", at * 7 % 20);
        store.put(&note(&id), body(&id, "x")).await.unwrap();
    }
    let whole = all(&store, &Scope::of("notes"), 100).await;
    assert_eq!(whole.iter().collect::<BTreeSet<_>>().len(), 20);
    for most in [1, 2, 3, 19, 20, 21] {
        assert_eq!(all(&store, &Scope::of("notes"), most).await, whole, "{most}");
    }
    let page = store.list(&Scope::of("notes"), None, 1).await.unwrap();
    let size = store.require(&page.items[0].key).await.unwrap().body.len();
    assert_eq!(page.items[0].size_bytes, size as u64);
}

/// What is there all the time is listed once, while others come and go between the pages.
pub async fn a_listing_goes_on_when_documents_vanish(subject: Subject) {
    let store = subject.store;
    for at in 0..30 {
        let id = format!("n{at:02}");
        store.put(&note(&id), body(&id, "x")).await.unwrap();
    }
    let (mut seen, mut after) = (Vec::new(), None);
    for round in 0.. {
        let page = store.list(&Scope::of("notes"), after.as_ref(), 4).await.unwrap();
        // the last one of the page goes, and one comes behind it
        if let Some(last) = page.items.last() {
            store.delete(&last.key, Precondition::Any).await.unwrap();
            let id = format!("{}-{round}", last.key.text());
            store.put(&note(&id), body(&id, "new")).await.unwrap();
        }
        seen.extend(page.items.into_iter().map(|item| item.key.text().to_owned()));
        after = page.next;
        if after.is_none() {
            break;
        }
        assert!(round < 60, "the listing does not end");
    }
    for at in 0..30 {
        let id = format!("n{at:02}");
        assert_eq!(seen.iter().filter(|seen| **seen == id).count(), 1, "{id}");
    }
}

/// Other collections and what only lies near are not listed.
pub async fn a_listing_stays_in_its_collection(subject: Subject) {
    let store = subject.store;
    store.put(&note("a"), body("a", "x")).await.unwrap();
    store.put(&repot_core::store::DocumentKey::new("pages", "a"), "text").await.unwrap();
    assert_eq!(all(&store, &Scope::of("notes"), 10).await, ["a"]);
    assert_eq!(all(&store, &Scope::of("pages"), 10).await, ["a"]);
    assert_eq!(all(&store, &Scope::of("pairs"), 10).await, Vec::<String>::new());
}
