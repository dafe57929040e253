//! Documents that stand several in one file: JSON Lines, lists, maps.

use std::sync::Arc;

use repot_core::Kind;
use repot_core::store::{
    Change, DocumentKey, Precondition, Scope, Store, StoreExt as _, UnitOfWork, Write, Written,
};

use super::listing::all;
use super::subject::Subject;

fn event(day: &str, id: &str) -> DocumentKey {
    DocumentKey::at("events", &[("day", day), ("id", id)])
}

fn card(board: &str, id: &str) -> DocumentKey {
    DocumentKey::of_parts("cards", &[board, id])
}

fn setting(name: &str) -> DocumentKey {
    DocumentKey::new("settings", name)
}

fn entry(tenant: &str, id: &str) -> DocumentKey {
    DocumentKey::new("entries", id).in_tenant(tenant)
}

/// A text of this document; the key of a map does not stand in it.
fn text(key: &DocumentKey, count: usize) -> String {
    let id = match key.place() {
        Some(place) => place.iter().find(|(name, _)| name == "id").map(|(_, value)| value.clone()),
        None => key.parts().pop(),
    };
    match key.collection() {
        "settings" => format!("{{ \"count\":{count}, \"tags\":[\"a\",\"b\"] }}"),
        _ => format!("{{ \"id\":{}, \"count\":{count} }}", repot_json::edit::quote(&id.unwrap_or_default())),
    }
}

/// One of each kind of file, with a neighbour in the same file.
fn pairs() -> [(DocumentKey, DocumentKey); 4] {
    [
        (event("d1", "e/1"), event("d1", "e2")),
        (card("b1", "c1"), card("b1", "c2")),
        (setting("a \"b\""), setting("c")),
        (entry("t1", "x"), entry("t1", "y")),
    ]
}

fn scope(key: &DocumentKey) -> Scope {
    let scope = Scope::of(key.collection());
    key.tenant().map_or(scope.clone(), |tenant| scope.in_tenant(tenant))
}

fn counted(count: usize) -> Change {
    Change::Merge(format!(r#"{{"count": {count}}}"#).into())
}

/// Every call, on a document that has a neighbour; which stays as it was.
pub async fn documents_of_a_shared_file_are_read_and_written(subject: Subject) {
    let store = subject.store;
    for (key, neighbour) in pairs() {
        is_not_there(&store, &key).await;
        let other = store.create(&neighbour, text(&neighbour, 0)).await.unwrap();
        is_created_and_replaced(&store, &key).await;
        is_changed(&store, &key).await;
        are_listed(&store, &key, &neighbour).await;
        let read = store.require(&neighbour).await.unwrap();
        assert_eq!((read.etag, &read.body[..]), (other, text(&neighbour, 0).as_bytes()), "{key}");
        assert!(store.delete(&key, Precondition::Any).await.unwrap());
        assert!(!store.exists(&key).await.unwrap() && store.exists(&neighbour).await.unwrap(), "{key}");
    }
}

async fn is_not_there(store: &Arc<dyn Store>, key: &DocumentKey) {
    assert!(store.collections().contains(&key.collection().to_owned()));
    assert_eq!((store.get(key).await.unwrap(), store.exists(key).await.unwrap()), (None, false), "{key}");
    assert_eq!(store.require(key).await.unwrap_err().code(), "R0402", "{key}");
    assert!(!store.delete(key, Precondition::Any).await.unwrap(), "{key}");
}

async fn is_created_and_replaced(store: &Arc<dyn Store>, key: &DocumentKey) {
    let etag = store.create(key, text(key, 1)).await.unwrap();
    let error = store.create(key, text(key, 1)).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Conflict, "R0401"), "{key}");
    let read = store.require(key).await.unwrap();
    assert_eq!((&read.key, &read.etag, &read.body[..]), (key, &etag, text(key, 1).as_bytes()));
    assert_eq!(store.get_part(key, "/count").await.unwrap().unwrap(), "1");
    store.replace(key, text(key, 2), &etag).await.unwrap();
    assert_eq!(store.replace(key, text(key, 9), &etag).await.unwrap_err().code(), "R0401", "{key}");
}

async fn is_changed(store: &Arc<dyn Store>, key: &DocumentKey) {
    let etag = store.require(key).await.unwrap().etag;
    let next = store.change(key, counted(3), Precondition::Matches(etag)).await.unwrap();
    assert_eq!(store.require(key).await.unwrap().body, text(key, 3), "{key}");
    let same = store.update(key, |text| Ok(text.unwrap_or_default().to_vec().into())).await.unwrap();
    assert_eq!(same, next);
    store.put(key, text(key, 4)).await.unwrap();
    assert_eq!(store.delete(key, Precondition::Matches(next)).await.unwrap_err().code(), "R0401");
}

async fn are_listed(store: &Arc<dyn Store>, key: &DocumentKey, neighbour: &DocumentKey) {
    let mut listed = all(store, &scope(key), 1).await;
    listed.sort();
    let mut names = [key.text().to_owned(), neighbour.text().to_owned()];
    names.sort();
    assert_eq!(listed, names);
    let sizes = store.list(&scope(key), None, 10).await.unwrap().items;
    let size = sizes.iter().find(|item| item.key == *key).map(|item| item.size_bytes);
    assert_eq!(size, Some(text(key, 4).len() as u64), "{key}");
}

/// A precondition is of the document alone, whatever becomes of the others in its file.
pub async fn writers_of_a_shared_file_do_not_conflict(subject: Subject) {
    let store = subject.store;
    for (key, neighbour) in pairs() {
        let etag = store.create(&key, text(&key, 1)).await.unwrap();
        let other = store.create(&neighbour, text(&neighbour, 1)).await.unwrap();
        let etag = store.replace(&key, text(&key, 2), &etag).await.unwrap();
        store.replace(&neighbour, text(&neighbour, 2), &other).await.unwrap();
        assert!(store.delete(&neighbour, Precondition::Any).await.unwrap());
        let again = store.replace(&key, text(&key, 1), &etag).await.unwrap();
        assert_eq!(store.require(&key).await.unwrap().etag, again);
        // texts alone make it
        assert_eq!(store.put(&key, text(&key, 2)).await.unwrap(), etag);
    }
}

/// Several documents of one file are one write of that file, so every store does them together.
pub async fn a_unit_of_work_in_a_shared_file_is_all_or_nothing(subject: Subject) {
    let store = subject.store;
    for (key, neighbour) in pairs() {
        let put = |key: &DocumentKey, count, when| Write::Put {
            key: key.clone(),
            body: text(key, count).into(),
            when,
        };
        let both = vec![put(&key, 1, Precondition::Absent), put(&neighbour, 1, Precondition::Absent)];
        let done = store.apply(UnitOfWork { writes: both, ..UnitOfWork::default() }).await.unwrap();
        assert!(matches!(done.written[..], [Written::Put(_), Written::Put(_)]), "{done:?}");
        let writes = vec![put(&key, 7, Precondition::Any), put(&neighbour, 7, Precondition::Absent)];
        assert_eq!(
            store.apply(UnitOfWork { writes, ..UnitOfWork::default() }).await.unwrap_err().code(),
            "R0401",
            "{key}"
        );
        assert_eq!(store.require(&key).await.unwrap().body, text(&key, 1));
        let twice = vec![put(&key, 7, Precondition::Any), put(&key, 8, Precondition::Any)];
        let error = store.apply(UnitOfWork { writes: twice, ..UnitOfWork::default() }).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Invalid, "R0405"), "{error}");
        let writes = vec![
            Write::Delete { key: key.clone(), when: Precondition::Any },
            Write::Patch { key: neighbour.clone(), change: counted(5), when: Precondition::Any },
        ];
        let done = store.apply(UnitOfWork { writes, ..UnitOfWork::default() }).await.unwrap();
        assert!(matches!(done.written[..], [Written::Deleted, Written::Put(_)]), "{done:?}");
        assert_eq!(store.get(&key).await.unwrap(), None);
        assert_eq!(store.require(&neighbour).await.unwrap().body, text(&neighbour, 5));
    }
}

/// What would not be read back as it is, and what is another document.
pub async fn what_cannot_stand_in_a_shared_file_is_refused(subject: Subject) {
    let store = subject.store;
    let key = event("d1", "e1");
    for body in ["{\"id\":\n\"e1\"}", " {\"id\":\"e1\"}", "{\"id\":\"e1\"}\n"] {
        let error = store.put(&key, body).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Invalid, "R0426"), "{error}");
    }
    // in a list it may have several lines
    store.put(&card("b1", "c1"), "{\n  \"id\": \"c1\"\n}").await.unwrap();
    for (key, body) in [
        (&key, r#"{"id":"e2"}"#),
        (&key, r#"{"id":"e1","day":"d2"}"#),
        (&key, r#"{"id":"e1","count":"x"}"#),
        (&key, "[]"),
        (&card("b1", "c2"), r#"{"id":"c1"}"#),
        (&setting("a"), r#"{"count":{}}"#),
    ] {
        let error = store.put(key, body).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Invalid, "R0404"), "{body}: {error}");
        assert!(!store.exists(key).await.unwrap(), "{key}");
    }
    let error = store.get(&DocumentKey::at("events", &[("day", "d1")])).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Invalid, "R0403"), "{error}");
    is_named_by_its_place(&store, &key).await;
}

/// The file does not follow from the key; a database finds it all the same.
async fn is_named_by_its_place(store: &Arc<dyn Store>, key: &DocumentKey) {
    store.put(key, text(key, 1)).await.unwrap();
    let id = DocumentKey::new("events", "e1");
    if !store.capabilities().found_by_key {
        let error = store.get(&id).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Unsupported, "R0405"), "{error}");
        assert!(error.next_step().is_some_and(|hint| hint.contains("day, id")), "{error}");
        return;
    }
    is_found_by_its_key(store, key, &id).await;
}

async fn is_found_by_its_key(store: &Arc<dyn Store>, key: &DocumentKey, id: &DocumentKey) {
    assert_eq!(store.require(id).await.unwrap().body, text(key, 1));
    store.change(id, counted(2), Precondition::Any).await.unwrap();
    assert_eq!(store.require(key).await.unwrap().body, text(key, 2));
    assert_eq!(store.get(&event("d2", "e1")).await.unwrap(), None);
    // the key is the whole collection's
    let error = store.create(&event("d2", "e1"), text(key, 1)).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Conflict, "R0203"), "{error}");
    let unplaced = store.put(&DocumentKey::new("events", "new"), r#"{"id":"new"}"#).await.unwrap_err();
    assert_eq!((unplaced.kind(), unplaced.code()), (Kind::Invalid, "R0403"), "{unplaced}");
    // from one file to another
    let writes = vec![
        Write::Delete { key: key.clone(), when: Precondition::Any },
        Write::Put { key: event("d2", "e1"), body: text(key, 3).into(), when: Precondition::Absent },
    ];
    store.apply(UnitOfWork { writes, ..UnitOfWork::default() }).await.unwrap();
    assert_eq!(store.require(id).await.unwrap().body, text(key, 3));
    assert_eq!(store.get(key).await.unwrap(), None);
    assert!(store.delete(id, Precondition::Any).await.unwrap());
}

/// One tenant's file is out of reach for the others.
pub async fn a_shared_file_is_of_its_tenant(subject: Subject) {
    let store = subject.store;
    store.put(&entry("t1", "a"), text(&entry("t1", "a"), 1)).await.unwrap();
    store.put(&entry("t2", "b"), text(&entry("t2", "b"), 2)).await.unwrap();
    for (tenant, own, foreign) in [("t1", "a", "b"), ("t2", "b", "a")] {
        let scope = Scope::of("entries").in_tenant(tenant);
        assert_eq!(all(&store, &scope, 1).await, [own]);
        assert!(store.exists(&entry(tenant, own)).await.unwrap());
        assert_eq!(store.get(&entry(tenant, foreign)).await.unwrap(), None);
        assert!(!store.delete(&entry(tenant, foreign), Precondition::Any).await.unwrap());
        let error = store.change(&entry(tenant, foreign), counted(1), Precondition::Any).await.unwrap_err();
        assert_eq!(error.code(), "R0402", "{error}");
        let claimed = format!(r#"{{"id":"n","user_id":"not {tenant}"}}"#);
        assert_eq!(store.put(&entry(tenant, "n"), claimed).await.unwrap_err().code(), "R0404");
    }
    assert_eq!(store.get(&DocumentKey::new("entries", "a")).await.unwrap_err().code(), "R0406");
    assert_eq!(store.list(&Scope::of("entries"), None, 1).await.unwrap_err().code(), "R0406");
}

/// Whatever the size of a page, and whatever goes meanwhile.
pub async fn pages_of_shared_files_hold_everything_once(subject: Subject) {
    let store = subject.store;
    let keys: Vec<DocumentKey> =
        (0..7).map(|at| card(if at % 2 == 0 { "b1" } else { "b2" }, &format!("c{}", 9 - at))).collect();
    for key in &keys {
        store.put(key, text(key, 1)).await.unwrap();
    }
    let mut wanted: Vec<String> = keys.iter().map(|key| key.text().to_owned()).collect();
    wanted.sort();
    for most in [1, 2, 3, 7, 100] {
        assert_eq!(all(&store, &Scope::of("cards"), most).await, wanted, "{most}");
    }
    let first = store.list(&Scope::of("cards"), None, 2).await.unwrap();
    for key in [&card("b1", "c3"), &card("b1", "c5")] {
        assert!(store.delete(key, Precondition::Any).await.unwrap());
    }
    store.put(&card("b1", "c1"), text(&card("b1", "c1"), 1)).await.unwrap();
    let rest = store.list(&Scope::of("cards"), first.next.as_ref(), 100).await.unwrap();
    let rest: Vec<&str> = rest.items.iter().map(|item| item.key.text()).collect();
    assert_eq!(rest, ["b1/c7", "b1/c9", "b2/c4", "b2/c6", "b2/c8"]);
}

/// A file that holds no document any more is there, and takes others.
pub async fn a_shared_file_that_was_emptied_is_filled_again(subject: Subject) {
    let store = subject.store;
    for (key, neighbour) in pairs() {
        for round in 0..2 {
            store.create(&key, text(&key, round)).await.unwrap();
            store.create(&neighbour, text(&neighbour, round)).await.unwrap();
            // the first goes first: what stands after it stays
            assert!(store.delete(&key, Precondition::Any).await.unwrap());
            assert_eq!(store.require(&neighbour).await.unwrap().body, text(&neighbour, round));
            assert!(store.delete(&neighbour, Precondition::Any).await.unwrap());
            assert_eq!(all(&store, &scope(&key), 5).await, Vec::<String>::new());
        }
    }
}

/// Each makes, changes and deletes documents of its own, all in one file of each kind.
pub async fn many_writers_of_a_shared_file_lose_nothing(subject: Subject) {
    const WRITERS: usize = 6;
    const EACH: usize = 4;
    let make: [fn(&str) -> DocumentKey; 3] = [|id| event("d1", id), |id| card("b1", id), setting];
    let store = subject.store;
    for make in make {
        let writers = (0..WRITERS).map(|writer| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for at in 0..EACH {
                    let key = make(&format!("{writer}-{at}"));
                    store.create(&key, text(&key, 0)).await.unwrap();
                    store.change(&key, counted(writer * 10 + at), Precondition::Any).await.unwrap();
                    if at % 2 == 1 {
                        assert!(
                            store
                                .delete(&make(&format!("{writer}-{}", at - 1)), Precondition::Any)
                                .await
                                .unwrap()
                        );
                    }
                }
            })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.unwrap();
        }
        for writer in 0..WRITERS {
            for at in 0..EACH {
                let key = make(&format!("{writer}-{at}"));
                let found = store.get(&key).await.unwrap().map(|document| document.body);
                let wanted = (at % 2 == 1).then(|| text(&key, writer * 10 + at));
                assert_eq!(found, wanted.map(Into::into), "{key}");
            }
        }
        let listed = all(&store, &Scope::of(make("x").collection()), 5).await;
        assert_eq!(listed.len(), WRITERS * EACH / 2);
    }
}
