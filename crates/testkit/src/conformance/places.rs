//! Documents whose path does not follow from their key: the key is made by Repot, or stands in the text only.

use std::sync::Arc;

use repot_core::Kind;
use repot_core::store::{
    Change, DocumentKey, Precondition, Scope, Store, StoreExt as _, UnitOfWork, Write, Written,
};

use super::listing::all;
use super::subject::{Subject, layout};

fn session(sender: &str, changes: bool) -> DocumentKey {
    if changes {
        DocumentKey::at("sessions", &[("session_type", "changes"), ("sender_id", sender)])
    } else {
        DocumentKey::at("sessions", &[("sender_id", sender)])
    }
}

fn slot(room: &str, slot: &str) -> DocumentKey {
    DocumentKey::at("shelves", &[("room", room), ("slot", slot)])
}

fn drawer(tenant: &str, slot: &str) -> DocumentKey {
    DocumentKey::at("drawers", &[("slot", slot)]).in_tenant(tenant)
}

/// The same document, named by its key.
fn by_key(place: &DocumentKey) -> DocumentKey {
    let id = layout().id_of(place).unwrap().expect("the key follows from the place");
    let key = DocumentKey::of_text(place.collection(), &id);
    place.tenant().map_or(key.clone(), |tenant| key.in_tenant(tenant))
}

/// Every call takes the place of a document, and the listing gives it.
pub async fn a_document_is_reached_by_its_place(subject: Subject) {
    let store = subject.store;
    for key in [session("s/1", false), slot("r", "x/y")] {
        assert_eq!(store.get(&key).await.unwrap(), None, "{key}");
        assert_eq!(store.put(&key, r#"{"id": 7}"#).await.unwrap_err().code(), "R0403", "{key}");
    }
    let keys =
        [session("s1", false), session("s1", true), session("s2", false), slot("r", "a"), slot("r", "b")];
    for (at, key) in keys.iter().enumerate() {
        // what the path says is not filled in
        let kind = if at % 2 == 0 { r#""session_type": "upload", "# } else { "" };
        is_written_at(&store, key, |count| format!("{{{kind}\"id\": {at}, \"count\": {count} }}\n")).await;
    }
    let names = |from: &[DocumentKey]| {
        let mut names: Vec<String> = from.iter().map(|key| key.text().to_owned()).collect();
        names.sort();
        names
    };
    for (name, part) in [("sessions", &keys[..3]), ("shelves", &keys[3..])] {
        let mut listed = all(&store, &Scope::of(name), 2).await;
        listed.sort();
        assert_eq!(listed, names(part));
    }
    go_one_by_one(&store, &Scope::of("sessions"), &keys).await;
}

/// What is listed can be deleted, once.
async fn go_one_by_one(store: &Arc<dyn Store>, scope: &Scope, keys: &[DocumentKey]) {
    for item in store.list(scope, None, 10).await.unwrap().items {
        assert!(keys.contains(&item.key) && store.exists(&item.key).await.unwrap(), "{}", item.key);
        assert!(store.delete(&item.key, Precondition::Any).await.unwrap());
        assert!(!store.delete(&item.key, Precondition::Any).await.unwrap());
    }
    assert_eq!(all(store, scope, 2).await, Vec::<String>::new());
}

async fn is_written_at(store: &Arc<dyn Store>, key: &DocumentKey, text: impl Fn(u8) -> String) {
    assert!(!store.exists(key).await.unwrap(), "{key}");
    let etag = store.create(key, text(1)).await.unwrap();
    assert_eq!(store.create(key, text(1)).await.unwrap_err().code(), "R0401", "{key}");
    let read = store.require(key).await.unwrap();
    assert_eq!((&read.key, &read.etag, &read.body[..]), (key, &etag, text(1).as_bytes()));
    let etag = store.change(key, counted(2), Precondition::Matches(etag)).await.unwrap();
    assert_eq!(store.require(key).await.unwrap().body, text(2), "{key}");
    store.replace(key, text(2), &etag).await.unwrap();
    store.update(key, |text| Ok(text.unwrap_or_default().to_vec().into())).await.unwrap();
}

fn counted(count: u8) -> Change {
    Change::Merge(format!(r#"{{"count": {count}}}"#).into())
}

/// A place has exactly the captures of a template.
pub async fn a_place_that_there_is_not_is_refused(subject: Subject) {
    let store = subject.store;
    for place in [&[][..], &[("sender", "s1")], &[("sender_id", "s1"), ("status", "new")]] {
        let error = store.get(&DocumentKey::at("sessions", place)).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Invalid, "R0403"), "{place:?}");
        assert!(error.next_step().is_some_and(|hint| hint.contains("sender_id, session_type")), "{error}");
    }
    let key = DocumentKey::at("sessions", &[("sender_id", "s1"), ("session_type", "upload")]);
    assert_eq!(store.put(&key, "{}").await.unwrap_err().code(), "R0403");
    // what the place says and what the text says must agree
    let error = store.put(&session("s1", false), r#"{"sender_id": "s2"}"#).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Invalid, "R0404"), "{error}");
    // a place of documents with an own key is one too
    store.create(&DocumentKey::new("notes", "a"), r#"{"id": "a"}"#).await.unwrap();
    assert!(store.exists(&DocumentKey::at("notes", &[("id", "a")])).await.unwrap());
}

/// A key that Repot made, or that stands in the text, is found, or refused with what to do.
pub async fn a_key_that_is_no_place_is_found_or_refused(subject: Subject) {
    let store = subject.store;
    let place = session("s1", true);
    store.create(&place, r#"{"count": 1}"#).await.unwrap();
    store.create(&slot("r", "a"), r#"{"id": 41, "count": 1}"#).await.unwrap();
    store.create(&slot("r", "b"), r#"{"id": 42, "count": 1}"#).await.unwrap();
    assert_eq!(layout().id_of(&slot("r", "a")).unwrap(), None);
    for (key, place) in [(by_key(&place), place), (DocumentKey::new("shelves", "42"), slot("r", "b"))] {
        if store.capabilities().found_by_key {
            is_found_by_both(&store, &key, &place).await;
            continue;
        }
        for error in [store.get(&key).await.unwrap_err(), store.put(&key, "{}").await.unwrap_err()] {
            assert_eq!((error.kind(), error.code()), (Kind::Unsupported, "R0405"), "{error}");
            assert!(error.next_step().is_some_and(|hint| hint.contains("place")), "{error}");
        }
    }
    assert!(store.exists(&slot("r", "a")).await.unwrap());
    if store.capabilities().found_by_key {
        // a key of the text is a key: there is one of each
        let error = store.create(&slot("q", "z"), r#"{"id": 41}"#).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Conflict, "R0203"), "{error}");
        let error = store.put(&DocumentKey::new("shelves", "41"), r#"{"id": 40}"#).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Invalid, "R0404"), "{error}");
    }
}

async fn is_found_by_both(store: &Arc<dyn Store>, key: &DocumentKey, place: &DocumentKey) {
    let read = store.require(key).await.unwrap();
    assert_eq!((&read.key, store.require(place).await.unwrap().body), (key, read.body.clone()));
    assert!(store.exists(key).await.unwrap());
    let etag = store.change(key, counted(2), Precondition::Matches(read.etag)).await.unwrap();
    let body = store.require(place).await.unwrap().body;
    assert!(String::from_utf8_lossy(&body).contains("\"count\": 2"));
    store.replace(key, body.clone(), &etag).await.unwrap();
    assert_eq!(store.put(key, "[]").await.unwrap_err().code(), "R0404");
    let (put, delete) = (
        Write::Put { key: place.clone(), body, when: Precondition::Any },
        Write::Delete { key: key.clone(), when: Precondition::Any },
    );
    // one document, whatever it is called
    let error =
        store.apply(UnitOfWork { writes: vec![put, delete], ..UnitOfWork::default() }).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Invalid, "R0405"), "{error}");
    is_gone_by_both(store, key, place).await;
}

async fn is_gone_by_both(store: &Arc<dyn Store>, key: &DocumentKey, place: &DocumentKey) {
    assert!(store.delete(key, Precondition::Any).await.unwrap());
    assert!(!store.exists(key).await.unwrap() && !store.exists(place).await.unwrap());
    assert_eq!(store.get(key).await.unwrap(), None);
    // where a new one goes, nobody said
    let error = store.put(key, r#"{"id": 42}"#).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Invalid, "R0403"), "{error}");
    assert!(error.next_step().is_some_and(|hint| hint.contains("place")), "{error}");
}

/// A place and a made key are of one tenant; where the tenant alone is the place, both lead there on every store.
pub async fn places_of_a_tenant_are_its_own(subject: Subject) {
    let store = subject.store;
    let quota = |tenant: &str| DocumentKey::at("quotas", &[]).in_tenant(tenant);
    for (at, tenant) in ["u1", "u2"].into_iter().enumerate() {
        store.create(&quota(tenant), r#"{"used": 1}"#).await.unwrap();
        assert!(store.exists(&by_key(&quota(tenant))).await.unwrap());
        store.create(&drawer(tenant, "top"), format!(r#"{{"id": {at}}}"#)).await.unwrap();
        let listed = store.list(&Scope::of("quotas").in_tenant(tenant), None, 5).await.unwrap();
        assert_eq!(listed.items.into_iter().map(|item| item.key).collect::<Vec<_>>(), [quota(tenant)]);
    }
    is_named_with_its_tenant(&store).await;
    is_out_of_reach(&store, &DocumentKey::of_text("quotas", by_key(&quota("u1")).text()).in_tenant("u2"))
        .await;
    if store.capabilities().found_by_key {
        is_out_of_reach(&store, &DocumentKey::new("drawers", "0").in_tenant("u2")).await;
        assert!(store.exists(&DocumentKey::new("drawers", "0").in_tenant("u1")).await.unwrap());
    }
    assert!(store.exists(&quota("u1")).await.unwrap());
}

/// The tenant may be among the fields of the place, and only that tenant.
async fn is_named_with_its_tenant(store: &Arc<dyn Store>) {
    let named = DocumentKey::at("quotas", &[("user_id", "u1")]);
    assert!(store.exists(&named.clone().in_tenant("u1")).await.unwrap());
    for foreign in [named.clone().in_tenant("u2"), named] {
        assert_eq!(store.get(&foreign).await.unwrap_err().code(), "R0406");
        assert_eq!(store.put(&foreign, "{}").await.unwrap_err().code(), "R0406");
    }
}

async fn is_out_of_reach(store: &Arc<dyn Store>, foreign: &DocumentKey) {
    assert_eq!(store.get(foreign).await.unwrap(), None);
    assert!(!store.exists(foreign).await.unwrap());
    assert!(!store.delete(foreign, Precondition::Any).await.unwrap());
    let error = store.put(foreign, r#"{"id": 0, "used": 9}"#).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Invalid, "R0403"), "{error}");
}

/// Changes by place and by key, all at once, on one document that moves meanwhile: none is lost.
pub async fn one_document_with_two_names_loses_nothing(subject: Subject) {
    const WRITERS: usize = 6;
    const EACH: usize = 15;
    let store = subject.store;
    if !store.capabilities().found_by_key || store.capabilities().atomic_writes_max < 2 {
        return;
    }
    let key = DocumentKey::new("shelves", "1");
    store.create(&slot("r", "0"), r#"{"id": 1, "list": []}"#).await.unwrap();
    let writers = (0..WRITERS).map(|writer| {
        let (store, key) = (Arc::clone(&store), key.clone());
        tokio::spawn(async move {
            let mut done = 0;
            while done < EACH {
                // every other one by the place where it was when it was looked for
                let mut key = key.clone();
                if writer % 2 == 0 {
                    let page = store.list(&Scope::of("shelves"), None, 1).await.unwrap();
                    let Some(first) = page.items.into_iter().next() else { continue };
                    key = first.key;
                }
                match store.append(&key, "/list", "1").await {
                    Ok(_) => done += 1,
                    Err(error) if error.code() == "R0402" => {}
                    Err(error) => panic!("{error:?}"),
                }
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    for at in 0..EACH {
        let (from, to) = (slot("r", &at.to_string()), slot("r", &(at + 1).to_string()));
        while !moved(&store, &from, &to).await {}
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let body = store.require(&key).await.unwrap().body;
    assert_eq!(body.iter().filter(|&&byte| byte == b',').count(), WRITERS * EACH, "{body:?}");
    assert_eq!(store.require(&slot("r", &EACH.to_string())).await.unwrap().body, body);
}

/// In one unit of work, if nobody changed it meanwhile.
async fn moved(store: &Arc<dyn Store>, from: &DocumentKey, to: &DocumentKey) -> bool {
    let read = store.require(from).await.unwrap();
    let delete = Write::Delete { key: from.clone(), when: Precondition::Matches(read.etag) };
    let put = Write::Put { key: to.clone(), body: read.body, when: Precondition::Absent };
    match store.apply(UnitOfWork { writes: vec![delete, put], ..UnitOfWork::default() }).await {
        Ok(receipt) => matches!(receipt.written[..], [Written::Deleted, Written::Put(_)]),
        Err(error) if error.code() == "R0401" => false,
        Err(error) => panic!("{error:?}"),
    }
}
