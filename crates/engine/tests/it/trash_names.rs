//! Deleted documents by either of their names: what was deleted by its place comes back by its key, and the other way
//! round; and what comes back into a shared file is on record.

use repot_core::store::{
    DocumentKey, Event, History as _, HistoryQuery, Layout, Moment, Precondition, Store as _, StoreExt as _,
    Trash as _,
};

use crate::documents::{Database, OwnModel, block_on, proved};

const MODEL: &str = r#"
[repot]
source = "./data"

[sessions]
file        = "sessions/{user_id}/{sender_id}/metadata.json"
tenant      = "user_id"
soft_delete = "30d"
audit       = "1y"

[sessions.fields]
id        = "uuid key auto"
user_id   = "text"
sender_id = "text"

[papers]
file        = "papers/{shelf}.json"
soft_delete = "30d"
audit       = "1y"

[papers.fields]
id    = "text key"
shelf = "text"

[events]
file        = "events/{day}.jsonl"
soft_delete = "30d"
audit       = "1y"

[events.fields]
id  = "text key"
day = "text"

[cards]
file        = "boards/{board}.json"
in          = "cards[]"
soft_delete = "30d"
audit       = "1y"

[cards.fields]
board = "text key"
id    = "text key"
order = "position"
"#;

fn model() -> OwnModel<'static> {
    repot_testkit::compiled(MODEL)
}

/// A document by its place and by its key, and its text.
struct Named {
    place: DocumentKey,
    text: &'static str,
    key: DocumentKey,
}

fn named() -> Vec<Named> {
    let paper = DocumentKey::at("papers", &[("shelf", "a")]);
    let event = DocumentKey::at("events", &[("day", "2025-01-31"), ("id", "e1")]);
    let card = DocumentKey::at("cards", &[("board", "b1"), ("id", "c1")]);
    let session = DocumentKey::at("sessions", &[("sender_id", "s1")]).in_tenant("u1");
    let (model, plan, _) = model();
    let layout = Layout::new(model, plan, repot_json::Limits::default()).unwrap();
    let made = DocumentKey::of_text("sessions", &layout.id_of(&session).unwrap().unwrap()).in_tenant("u1");
    vec![
        Named { place: session, text: r#"{ "sender_id":"s1",  "user_id":"u1" }"#, key: made },
        Named { place: paper, text: r#"{ "id":"p/1" }"#, key: DocumentKey::new("papers", "p/1") },
        Named { place: event, text: r#"{ "id":"e1" }"#, key: DocumentKey::new("events", "e1") },
        Named { place: card, text: r#"{ "id":"c1" }"#, key: DocumentKey::of_parts("cards", &["b1", "c1"]) },
    ]
}

/// Deleted by either name, it is known and comes back under both, once.
#[test]
fn what_is_deleted_by_one_name_comes_back_by_the_other() {
    for database in Database::all() {
        let store = database.try_open_as(model()).unwrap();
        block_on(async {
            for Named { place, text, key } in &named() {
                store.put(place, *text).await.unwrap();
                let there = store.require(place).await.unwrap();
                for (gone, back) in [(place, key), (key, place), (place, place), (key, key)] {
                    assert!(store.delete(gone, Precondition::Any).await.unwrap(), "{gone}");
                    for name in [place, key] {
                        let known = store.deleted_at(name).await.unwrap();
                        assert_eq!(known.map(|one| one.key).as_ref(), Some(key), "{gone} as {name}");
                    }
                    assert_eq!(
                        store.restore(back).await.unwrap(),
                        std::slice::from_ref(key),
                        "{gone} as {back}"
                    );
                    for name in [place, key] {
                        assert!(store.deleted_at(name).await.unwrap().is_none(), "{name}");
                        let error = store.restore(name).await.unwrap_err();
                        assert_eq!(error.code(), "R0418", "{error}");
                        let again = store.require(name).await.unwrap();
                        assert_eq!((&again.body, &again.etag), (&there.body, &there.etag));
                    }
                }
            }
        });
        drop(store);
        proved(&database, model());
    }
}

/// A place is that of one file: the same key deleted from another one is not what is meant.
#[test]
fn a_place_means_its_own_file() {
    for database in Database::all() {
        let store = database.try_open_as(model()).unwrap();
        let at = |day: &str| DocumentKey::at("events", &[("day", day), ("id", "e1")]);
        block_on(async {
            for day in ["monday", "tuesday"] {
                store.put(&at(day), format!(r#"{{"id":"e1","n":"{day}"}}"#)).await.unwrap();
                assert!(store.delete(&at(day), Precondition::Any).await.unwrap());
            }
            assert!(store.deleted_at(&at("wednesday")).await.unwrap().is_none());
            assert_eq!(store.restore(&at("wednesday")).await.unwrap_err().code(), "R0418");
            store.restore(&at("monday")).await.unwrap();
            assert!(store.get(&at("tuesday")).await.unwrap().is_none());
            assert_eq!(store.require(&at("monday")).await.unwrap().body, r#"{"id":"e1","n":"monday"}"#);
            // by its key it would be there twice
            let error = store.restore(&DocumentKey::new("events", "e1")).await.unwrap_err();
            assert_eq!(error.code(), "R0401", "{error}");
        });
    }
}

/// Who brought it back is on record, for documents with a file of their own and for those that share one.
#[test]
fn what_comes_back_is_on_record() {
    for database in Database::all() {
        let store = database.try_open_as(model()).unwrap();
        block_on(async {
            for Named { place, text, key } in named() {
                store.put(&place, text).await.unwrap();
                let etag = store.require(&place).await.unwrap().etag;
                assert!(store.delete(&place, Precondition::Any).await.unwrap());
                store.restore_as(&place, Some("mara")).await.unwrap();
                let query = HistoryQuery::of_document(&key);
                let page = store.history(&query, 9).await.unwrap();
                let last = page.entries.first().unwrap();
                let wanted = Event::Restored { version: 1, etag: etag.clone() };
                assert_eq!((&last.event, last.actor.as_deref()), (&wanted, Some("mara")), "{key}");
                assert_eq!(page.entries.len(), 3, "{key}: put, deleted, came back");
                let text_now = store.text_at(&key, Moment::After(last.id)).await.unwrap();
                assert_eq!(text_now.as_deref(), Some(text.as_bytes()), "{key}");
            }
        });
    }
}
