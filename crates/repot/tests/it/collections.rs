//! Typed collections, finders and units of work on every store.

use std::collections::HashMap;

use repot::{
    Change, Collection, Entity, Error, Filters, Id, PerTenant, Pointer, Repot, Shared, StoreExt as _, Stored,
};
use serde::{Deserialize, Serialize};

use crate::stores::{all, wait};

pub(crate) const MODEL: &str = r#"
[notes]
file = "notes/{id}.json"
[notes.fields]
id    = "text key"
title = "text(20)?"
count = "int? from numbers.count"
at    = "time?"

[marks]
in = "notes.marks[]"
[marks.fields]
id      = "int key auto"
note_id = "-> notes cascade auto"
order   = "position"
word    = "text"

[chats]
file   = "chats/{user_id}/{id}.json"
tenant = "user_id"
[chats.fields]
id      = "text key"
user_id = "text"

[pairs]
file = "pairs/{first}-{second}/pair.json"
[pairs.fields]
first  = "int key"
second = "text key"
"#;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Note {
    pub(crate) id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) title: Option<String>,
    #[serde(default)]
    numbers: HashMap<String, f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at: Option<String>,
    #[serde(default)]
    marks: Vec<Mark>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Mark {
    word: String,
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

/// Says wrongly that everybody shares the chats.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct OpenChat {
    id: String,
}

impl Entity for OpenChat {
    const COLLECTION: &'static str = "chats";
    type Reach = Shared;
    fn id(&self) -> Id {
        (&self.id).into()
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Pair {
    first: i64,
    second: String,
}

impl Entity for Pair {
    const COLLECTION: &'static str = "pairs";
    type Reach = Shared;
    fn id(&self) -> Id {
        (self.first, &self.second).into()
    }
}

pub(crate) fn note(id: &str) -> Note {
    Note { id: id.to_owned(), ..Note::default() }
}

fn on_every_store<F: Future<Output = ()>>(test: fn(&'static str, Repot) -> F) {
    for made in all(MODEL) {
        let (name, keep) = (made.name, made.keep);
        wait(async {
            let repot = Repot::open(made.config).await.unwrap();
            test(name, repot).await;
        });
        drop(keep);
    }
}

fn titled(mut stored: Stored<Note>, title: &str) -> Stored<Note> {
    stored.title = Some(title.to_owned());
    stored
}

#[test]
fn an_update_leaves_every_other_byte_alone() {
    on_every_store(|name, repot| async move {
        let notes: Collection<Note> = repot.collection();
        let key = notes.key("a");
        let text = "{\n\t\"id\" : \"\\u0061\", \"odd\":[1.50,1e2 ],\n  \"numbers\":{\"count\": 1.0},\"marks\":[ {\"word\":\"x\",\"own\":null} ],\r\n\"title\":\"old\" }";
        repot.store().put(&key, text).await.unwrap();
        let stored = notes.require("a").await.unwrap();
        assert_eq!(stored.body(), text.as_bytes(), "{name}");

        let same = notes.update(stored.clone()).await.unwrap();
        assert_eq!((same.etag(), same.body()), (stored.etag(), stored.body()), "{name}");

        let updated = notes.update(titled(same, "new")).await.unwrap();
        assert_eq!(updated.body(), text.replace("old", "new").as_bytes(), "{name}");
        let read = notes.require("a").await.unwrap();
        assert_eq!((read.body(), read.etag()), (updated.body(), updated.etag()), "{name}");

        let mut more = read;
        more.marks.push(Mark { word: "y".to_owned() });
        let more = notes.update(more).await.unwrap();
        let text = String::from_utf8(more.body().to_vec()).unwrap();
        assert!(text.contains(r#"{"word":"x","own":null}"#) && text.contains("1e2 ]"), "{name}: {text}");
        assert_eq!(notes.require("a").await.unwrap().marks.len(), 2, "{name}");
    });
}

#[test]
fn of_two_that_update_one_wins() {
    on_every_store(|name, repot| async move {
        let notes: Collection<Note> = repot.collection();
        let first = notes.create(note("a")).await.unwrap();
        let second = notes.require("a").await.unwrap();
        assert!(matches!(notes.create(note("a")).await, Err(Error::Duplicate(_))), "{name}");
        notes.update(titled(first, "one")).await.unwrap();
        let lost = notes.update(titled(second.clone(), "two")).await.unwrap_err();
        assert!(matches!(lost, Error::Conflict(_)), "{name}: {lost}");
        assert!(notes.delete_unchanged(&second).await.is_err(), "{name}");
        let now = notes.require("a").await.unwrap();
        assert_eq!(now.title.as_deref(), Some("one"), "{name}");
        notes.delete_unchanged(&now).await.unwrap();
        let gone = notes.update(titled(now, "two")).await.unwrap_err();
        assert!(matches!(gone, Error::NotFound(_)), "{name}: {gone}");
        assert!(matches!(notes.require("a").await, Err(Error::NotFound(_))), "{name}");
    });
}

#[test]
fn edits_of_many_lose_nothing() {
    on_every_store(|name, repot| async move {
        let notes: Collection<Note> = repot.collection();
        notes.create(note("a")).await.unwrap();
        let editing: Vec<_> = (0..8)
            .map(|_| {
                let notes = notes.clone();
                tokio::spawn(async move {
                    let count = |note: &mut Note| {
                        *note.numbers.entry("count".to_owned()).or_default() += 1.0;
                        Ok::<_, Error>(())
                    };
                    notes.edit("a", count).await.unwrap();
                    notes.append("a", "/marks", &Mark { word: "m".to_owned() }).await.unwrap();
                })
            })
            .collect();
        for edited in editing {
            edited.await.unwrap();
        }
        let read = notes.require("a").await.unwrap();
        assert_eq!((read.numbers.get("count"), read.marks.len()), (Some(&8.0), 8), "{name}");
    });
}

#[test]
fn what_the_model_refuses_is_a_validation() {
    on_every_store(|name, repot| async move {
        let notes: Collection<Note> = repot.collection();
        let long = Note { title: Some("x".repeat(21)), ..note("a") };
        assert!(matches!(notes.create(long).await, Err(Error::Validation(_))), "{name}");
        assert!(matches!(notes.create(note("")).await, Err(Error::Validation(_))), "{name}");
        notes.create(note("a")).await.unwrap();
        let mut other = notes.require("a").await.unwrap();
        other.id = "b".to_owned();
        let error = notes.update(other).await.unwrap_err();
        assert_eq!(error.code(), "R0403", "{name}: {error}");
        let number = Change::Set { at: Pointer::parse("/title").unwrap(), value: "7".into() };
        assert!(matches!(notes.change("a", number).await, Err(Error::Validation(_))), "{name}");
        // a document that the model allows, but not the type
        repot.store().put(&notes.key("c"), r#"{"id": "c", "marks": null}"#).await.unwrap();
        let error = notes.get("c").await.unwrap_err();
        assert!(
            matches!(error, Error::Validation(_)) && error.to_string().contains("notes/c"),
            "{name}: {error}"
        );
    });
}

#[test]
fn tenants_reach_their_own_only() {
    on_every_store(|name, repot| async move {
        let chats = |user: &str| repot.tenant(user).collection::<Chat>();
        let chat = |user: &str| Chat { id: "c".to_owned(), user_id: user.to_owned() };
        chats("u1").create(chat("u1")).await.unwrap();
        assert!(chats("u2").get("c").await.unwrap().is_none(), "{name}");
        assert!(!chats("u2").exists("c").await.unwrap(), "{name}");
        assert!(!chats("u2").delete("c").await.unwrap(), "{name}");
        assert!(chats("u2").find(&Filters::all(), 10, 0).await.unwrap().is_empty(), "{name}");
        assert!(matches!(chats("u2").create(chat("u1")).await, Err(Error::Validation(_))), "{name}");
        assert_eq!(chats("u1").find(&Filters::all(), 10, 0).await.unwrap().len(), 1, "{name}");
        assert_eq!(chats("u1").count(&Filters::all()).await.unwrap(), 1, "{name}");
        assert_eq!(chats("u2").count(&Filters::all()).await.unwrap(), 0, "{name}");
        let open: Collection<OpenChat> = repot.collection();
        assert_eq!(open.get("c").await.unwrap_err().code(), "R0406", "{name}");
        assert_eq!(open.list(None, 1).await.unwrap_err().code(), "R0406", "{name}");
        assert_eq!(open.find(&Filters::all(), 1, 0).await.unwrap_err().code(), "R0406", "{name}");
    });
}

#[test]
fn keys_of_several_parts() {
    on_every_store(|name, repot| async move {
        let pairs: Collection<Pair> = repot.collection();
        let pair = Pair { first: -7, second: "x".to_owned() };
        pairs.create(pair.clone()).await.unwrap();
        assert_eq!(pairs.require((-7, "x")).await.unwrap().into_inner(), pair, "{name}");
        assert!(pairs.get((7, "x")).await.unwrap().is_none(), "{name}");
    });
}

#[test]
fn finds() {
    on_every_store(|name, repot| async move {
        let notes: Collection<Note> = repot.collection();
        let times = ["2024-01-01T00:30:00+01:00", "2024-01-01T00:00:00Z", "2023-12-31T23:45:00Z"];
        for number in 0..6_u32 {
            let numbers = [("count".to_owned(), f64::from(number % 3))].into_iter().collect();
            let at = times.get(number as usize).map(|time| (*time).to_owned());
            notes.create(Note { numbers, at, ..note(&format!("n{number}")) }).await.unwrap();
        }
        let ids = async |filters: Filters, limit, offset| {
            let found = notes.find(&filters, limit, offset).await.unwrap();
            found.iter().map(|note| note.id.clone()).collect::<Vec<_>>().join(" ")
        };
        let all = Filters::all;
        for (filters, wanted) in [
            (all(), 6),
            (all().eq("count", 1), 2),
            (all().eq("numbers.count", 1.0), 2),
            (all().gt("count", 0).lte("id", "n2").descending("count"), 2),
            (all().eq("id", "none"), 0),
        ] {
            assert_eq!(notes.count(&filters).await.unwrap(), wanted, "{name} {filters:?}");
        }
        assert_eq!(ids(all(), 2, 3).await, "n3 n4", "{name}");
        assert_eq!(ids(all().eq("count", 1), 9, 0).await, "n1 n4", "{name}");
        assert_eq!(ids(all().eq("numbers.count", 1.0), 9, 0).await, "n1 n4", "{name}");
        assert_eq!(ids(all().one_of("count", [0, 2]).ne("id", "n0"), 9, 0).await, "n2 n3 n5", "{name}");
        assert_eq!(ids(all().gt("count", 0).lte("id", "n2"), 9, 0).await, "n1 n2", "{name}");
        assert_eq!(ids(all().descending("count").descending("id"), 3, 1).await, "n2 n4 n1", "{name}");
        // by instant, not by text; nothing is lowest, and neither less nor more than anything
        assert_eq!(ids(all().gt("at", "1970-01-01").ascending("at"), 9, 0).await, "n0 n2 n1", "{name}");
        assert_eq!(ids(all().ascending("at").ascending("id"), 4, 0).await, "n3 n4 n5 n0", "{name}");
        assert_eq!(ids(all().eq("title", repot::Operand::Null), 1, 5).await, "n5", "{name}");

        let first = notes.list(None, 4).await.unwrap();
        let rest = notes.list(first.next.as_ref(), 4).await.unwrap();
        assert_eq!((first.items.len(), rest.items.len(), rest.next), (4, 2, None), "{name}");
    });
}

#[test]
fn units_of_work_are_all_or_nothing() {
    on_every_store(|name, repot| async move {
        let notes: Collection<Note> = repot.collection();
        let stored = notes.create(note("a")).await.unwrap();
        let mut unit = repot.unit();
        unit.update(&notes, &titled(stored.clone(), "one")).unwrap();
        unit.create(&notes, &note("b")).unwrap();
        unit.delete(&notes, "c");
        let done = unit.commit().await;
        if repot.capabilities().atomic_writes_max < 3 {
            assert!(matches!(done, Err(Error::Unsupported(_))), "{name}: {done:?}");
            assert!(!notes.exists("b").await.unwrap(), "{name}");
            return;
        }
        let states = done.unwrap();
        assert_eq!(states.iter().map(Option::is_some).collect::<Vec<_>>(), [true, true, false], "{name}");
        assert_eq!(notes.require("a").await.unwrap().title.as_deref(), Some("one"), "{name}");

        // `stored` is of the state before
        let mut unit = repot.unit();
        unit.create(&notes, &note("d")).unwrap();
        unit.update(&notes, &titled(stored, "two")).unwrap();
        assert!(matches!(unit.commit().await, Err(Error::Conflict(_))), "{name}");
        assert!(!notes.exists("d").await.unwrap(), "{name}");
        let mut unit = repot.unit();
        unit.create(&notes, &note("d")).unwrap();
        unit.create(&notes, &note("a")).unwrap();
        assert!(matches!(unit.commit().await, Err(Error::Duplicate(_))), "{name}");
        assert!(!notes.exists("d").await.unwrap(), "{name}");
    });
}
