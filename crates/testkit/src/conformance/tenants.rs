//! Tenants.

use repot_core::Kind;
use repot_core::store::{DocumentKey, Precondition, Scope, StoreExt as _};

use super::listing::all;
use super::subject::{Subject, note};

fn chat(tenant: &str, id: &str) -> DocumentKey {
    DocumentKey::new("chats", id).in_tenant(tenant)
}

fn text(tenant: &str, id: &str, title: &str) -> String {
    format!(r#"{{"id": "{id}", "user_id": "{tenant}", "title": "{title}"}}"#)
}

/// Without a tenant there is no way into a collection that has one, and none with one into another.
pub async fn tenants_are_named_exactly_where_they_are(subject: Subject) {
    let store = subject.store;
    let without = DocumentKey::new("chats", "c");
    let needless = note("a").in_tenant("u1");
    for error in [
        store.get(&without).await.unwrap_err(),
        store.exists(&without).await.unwrap_err(),
        store.put(&without, text("u1", "c", "x")).await.unwrap_err(),
        store.delete(&without, Precondition::Any).await.unwrap_err(),
        store.list(&Scope::of("chats"), None, 1).await.unwrap_err(),
        store.get(&needless).await.unwrap_err(),
        store.list(&Scope::of("notes").in_tenant("u1"), None, 1).await.unwrap_err(),
    ] {
        assert_eq!((error.kind(), error.code()), (Kind::Invalid, "R0406"), "{error}");
    }
}

/// One tenant's documents are not there for another: not read, not listed, not deleted.
pub async fn a_tenant_sees_and_changes_its_own_only(subject: Subject) {
    let store = subject.store;
    // one's name begins like the other's
    for tenant in ["u1", "u10", "u"] {
        for id in ["x", "y"].map(|id| format!("{id}-{tenant}")) {
            store.put(&chat(tenant, &id), text(tenant, &id, "x")).await.unwrap();
        }
    }
    for tenant in ["u1", "u10", "u"] {
        let mut keys = all(&store, &Scope::of("chats").in_tenant(tenant), 1).await;
        keys.sort();
        assert_eq!(keys, ["x", "y"].map(|id| format!("{id}-{tenant}")));
    }
    for other in ["u1", "u"] {
        let foreign = chat(other, "x-u10");
        assert_eq!(store.get(&foreign).await.unwrap(), None);
        assert!(!store.exists(&foreign).await.unwrap());
        assert!(!store.delete(&foreign, Precondition::Any).await.unwrap());
    }
    assert_eq!(store.require(&chat("u10", "x-u10")).await.unwrap().body, text("u10", "x-u10", "x"));
}

/// Two tenants use one key as the capabilities say; in no case does the second take the first one's document.
pub async fn the_same_key_in_two_tenants(subject: Subject) {
    let store = subject.store;
    store.put(&chat("u1", "same"), text("u1", "same", "first")).await.unwrap();
    let second = store.put(&chat("u2", "same"), text("u2", "same", "second")).await;
    if store.capabilities().keys_per_tenant {
        second.unwrap();
        assert_eq!(store.require(&chat("u2", "same")).await.unwrap().body, text("u2", "same", "second"));
    } else {
        let error = second.unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Conflict, "R0203"), "{error}");
        assert_eq!(store.get(&chat("u2", "same")).await.unwrap(), None);
    }
    assert_eq!(store.require(&chat("u1", "same")).await.unwrap().body, text("u1", "same", "first"));
}

/// A tenant's name leads to nobody else's documents.
pub async fn a_hostile_tenant_finds_nothing(subject: Subject) {
    let store = subject.store;
    store.put(&chat("u10", "of-u10"), text("u10", "of-u10", "x")).await.unwrap();
    store.put(&chat("u10", "same"), text("u10", "same", "x")).await.unwrap();
    for tenant in ["", ".", "..", "u1/../u10", "u10/", "/u10", "u10/of-u10.json", "%", "*", "U10"] {
        let found = store.get(&chat(tenant, "same")).await.unwrap_or(None);
        assert_eq!(found, None, "{tenant}");
        let listed = store.list(&Scope::of("chats").in_tenant(tenant), None, 10).await;
        assert!(listed.is_ok_and(|page| page.items.is_empty()), "{tenant}");
    }
}

/// A document that says that it is another tenant's is refused.
pub async fn a_body_cannot_claim_another_tenant(subject: Subject) {
    let store = subject.store;
    let error = store.put(&chat("u1", "c"), text("u2", "c", "x")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid, "{error}");
    assert_eq!(store.get(&chat("u1", "c")).await.unwrap(), None);
    assert_eq!(store.get(&chat("u2", "c")).await.unwrap(), None);
}
