//! The record of changes and the log of what changed, typed.

use repot::{
    ChangeKind, ChangePosition, Collection, Config, Entity, Error, Event, HistoryPage, HistoryQuery, Id,
    Moment, PerTenant, Repot, Scope, Shared, Stored,
};
use serde::{Deserialize, Serialize};

use crate::stores::{all, wait};

const MODEL: &str = r#"
[notes]
file        = "notes/{id}.json"
audit       = "1y"
soft_delete = "30d"
[notes.fields]
id    = "text key"
title = "text"

[chats]
file   = "chats/{user_id}/{id}.json"
tenant = "user_id"
audit  = "1y"
[chats.fields]
id      = "text key"
user_id = "text"
"#;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Note {
    id: String,
    title: String,
}

impl Entity for Note {
    const COLLECTION: &'static str = "notes";
    type Reach = Shared;
    fn id(&self) -> Id {
        (&self.id).into()
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Chat {
    id: String,
    user_id: String,
}

impl Entity for Chat {
    const COLLECTION: &'static str = "chats";
    type Reach = PerTenant;
    fn id(&self) -> Id {
        (&self.id).into()
    }
}

fn note(title: &str) -> Note {
    Note { id: "a".into(), title: title.into() }
}

fn actors(page: &HistoryPage) -> Vec<&str> {
    page.entries.iter().map(|entry| entry.actor.as_deref().unwrap_or("-")).collect()
}

/// Two writes by anna, a delete by ben, and cleo had it back.
async fn written(repot: &Repot) -> (Collection<Note>, Stored<Note>) {
    let notes = repot.acting_as("anna").collection::<Note>();
    let mut stored = notes.create(note("First")).await.unwrap();
    stored.title = "Second".into();
    let stored = notes.update(stored).await.unwrap();
    let mut unit = repot.unit();
    unit.by("ben").delete(&notes, "a");
    unit.commit().await.unwrap();
    repot.acting_as("cleo").store().trash().unwrap().restore(&notes.key("a")).await.unwrap();
    (notes, stored)
}

async fn who_and_what(notes: &Collection<Note>) {
    let page = notes.history("a", None, 3).await.unwrap();
    assert_eq!(actors(&page), ["cleo", "ben", "anna"]);
    assert!(matches!(page.entries[0].event, Event::Restored { .. }));
    let rest = notes.history("a", page.next, 3).await.unwrap();
    assert_eq!((actors(&rest), rest.next), (vec!["anna"], None));
    let by_anna = notes.audit(&notes.on_record().by("anna"), 9).await.unwrap();
    assert_eq!(by_anna.entries.len(), 2);
}

async fn as_it_was(notes: &Collection<Note>, stored: &Stored<Note>) {
    let entries = notes.history("a", None, 9).await.unwrap().entries;
    for (at, was) in [(0, Some("Second")), (1, None), (2, Some("Second")), (3, Some("First"))] {
        let read = notes.as_of("a", Moment::After(entries[at].id)).await.unwrap();
        assert_eq!(read, was.map(note), "{at}");
    }
    let text = notes.text_as_of("a", Moment::After(entries[2].id)).await.unwrap();
    assert_eq!(text.as_ref(), Some(stored.body()));
    let error = notes.as_of("a", Moment::Version(77)).await.unwrap_err();
    assert!(matches!(error, Error::NotFound(_)), "{error:?}");
}

async fn taken_back(notes: &Collection<Note>) {
    let second = notes.history("a", None, 9).await.unwrap().entries[2].id;
    let there = notes.require("a").await.unwrap();
    let back = notes.revert_unchanged(&there, second).await.unwrap().unwrap();
    assert_eq!(*back, note("First"));
    assert_eq!(actors(&notes.history("a", None, 1).await.unwrap()), ["anna"], "in the collection's name");
    let error = notes.revert_unchanged(&there, second).await.unwrap_err();
    assert!(matches!(error, Error::Conflict(_)), "{error:?}");
    let error = notes.revert("b", second).await.unwrap_err();
    assert!(matches!(error, Error::NotFound(_)), "{error:?}");
}

async fn followed(notes: &Collection<Note>, start: ChangePosition) {
    let changes = notes.changes(start, 99).await.unwrap();
    let kinds: Vec<ChangeKind> = changes.entries.iter().map(|change| change.kind).collect();
    let expected = [ChangeKind::Put, ChangeKind::Put, ChangeKind::Deleted, ChangeKind::Put, ChangeKind::Put];
    assert_eq!(kinds, expected);
    assert!(changes.entries.iter().all(|change| change.key == notes.key("a")));
    assert!(notes.changes(changes.next, 99).await.unwrap().entries.is_empty());
}

async fn tenants(repot: &Repot) {
    let chats = repot.tenant("u1").collection::<Chat>();
    let foreign = repot.tenant("u2").collection::<Chat>();
    chats.create(Chat { id: "c".into(), user_id: "u1".into() }).await.unwrap();
    let entry = chats.history("c", None, 9).await.unwrap().entries.remove(0);
    assert!(foreign.history("c", None, 9).await.unwrap().entries.is_empty());
    assert!(foreign.as_of("c", Moment::After(entry.id)).await.is_err());
    assert!(foreign.revert("c", entry.id).await.is_err());
    // a query of another's documents is one of one's own
    let wide = HistoryQuery::of(Scope::of("chats").in_tenant("u1"));
    assert!(foreign.audit(&wide, 9).await.unwrap().entries.is_empty());
    let error = foreign.audit(&HistoryQuery::of_document(&chats.key("c")), 9).await.unwrap_err();
    assert_eq!(error.code(), "R0406");
    assert!(chats.exists("c").await.unwrap());
}

async fn tenants_follow(repot: &Repot, start: ChangePosition) {
    let (one, other) = (repot.tenant("u1"), repot.tenant("u2"));
    let seen = |page: repot::Result<repot::ChangePage>| page.unwrap().entries.len();
    assert_eq!(seen(one.collection::<Chat>().changes(start, 9).await), 1);
    assert_eq!(seen(one.changes(start, 9).await), 1);
    assert_eq!(seen(repot.changes(start, 9).await), 1);
    assert_eq!(seen(other.collection::<Chat>().changes(start, 9).await), 0);
    assert_eq!(seen(other.changes(start, 9).await), 0);
}

#[test]
fn a_record_is_typed_and_each_has_its_own() {
    for made in all(MODEL) {
        wait(async {
            let repot = Repot::open(made.config).await.unwrap();
            if repot.capabilities().audit {
                let start = repot.position().await.unwrap();
                let (notes, stored) = written(&repot).await;
                who_and_what(&notes).await;
                as_it_was(&notes, &stored).await;
                taken_back(&notes).await;
                followed(&notes, start).await;
                let start = repot.position().await.unwrap();
                tenants(&repot).await;
                tenants_follow(&repot, start).await;
                return;
            }
            let notes = repot.collection::<Note>();
            notes.create(note("First")).await.unwrap();
            let said = [
                notes.history("a", None, 9).await.map(drop),
                notes.as_of("a", Moment::Version(1)).await.map(drop),
                notes.changes(ChangePosition::START, 9).await.map(drop),
                repot.changes(ChangePosition::START, 9).await.map(drop),
                repot.position().await.map(drop),
                repot.acting_as("anna").collection::<Note>().delete("a").await.map(drop),
            ];
            for error in said {
                assert!(matches!(error, Err(Error::Unsupported(_))), "{}: {error:?}", made.name);
            }
            assert!(notes.exists("a").await.unwrap());
        });
        drop(made.keep);
    }
}

#[test]
fn a_program_that_waits_has_the_same() {
    let folder = repot_testkit::TempTree::new();
    let url = format!("sqlite:///{}", folder.join("app.db").display());
    let repot = repot::blocking::Repot::open(Config::with_model_text(&url, MODEL)).unwrap();
    let start = repot.position().unwrap();
    let notes = repot.acting_as("anna").collection::<Note>();
    let mut stored = notes.create(note("First")).unwrap();
    stored.title = "Second".into();
    let stored = notes.update(stored).unwrap();
    let mut unit = repot.unit();
    unit.by("ben").create(&notes, &Note { id: "b".into(), title: "x".into() }).unwrap();
    unit.commit().unwrap();
    assert_eq!(actors(&notes.history("b", None, 9).unwrap()), ["ben"]);
    let page = notes.audit(&notes.on_record().by("anna"), 9).unwrap();
    assert_eq!(page.entries.len(), 2);
    assert_eq!(notes.as_of("a", Moment::Version(1)).unwrap(), Some(note("First")));
    let was = notes.text_as_of("a", Moment::Version(1)).unwrap().unwrap();
    assert_eq!(was, "{\n  \"id\": \"a\",\n  \"title\": \"First\"\n}");
    assert_eq!(notes.revert("a", page.entries[1].id).unwrap_err().code(), "R0401", "it was changed since");
    let back = notes.revert_unchanged(&stored, page.entries[0].id).unwrap().unwrap();
    assert_eq!(back.title, "First");
    assert_eq!(repot.changes(start, 9).unwrap().entries.len(), 4);
    assert_eq!(notes.changes(start, 9).unwrap().entries.len(), 4);
    assert_eq!(repot.tenant("u").changes(start, 9).unwrap().entries.len(), 0);
}
