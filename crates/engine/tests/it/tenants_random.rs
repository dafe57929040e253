//! Random questions, listings, feeds, searches and restores of several tenants, aimed at each other's documents: nothing of
//! another tenant is ever shown, changed or brought back.

use std::collections::BTreeMap;

use repot_core::change_log::ChangeKind;
use repot_core::store::{
    Change, ChangeFeed as _, ChangePosition, ChangeScope, Cursor, DocumentKey, Filter, Op, Precondition,
    Query, QueryPage, QueryValue, Queryable as _, Scope, Store as _, StoreExt as _, Trash as _,
};
use repot_core::{Kind, Result};

use crate::numbers::Numbers;
use crate::query::{Asked, block_on};

const MODEL: &str = r#"
[repot]
source = "./data"

[voices]
file = "voices/{id}.json"

[voices.fields]
id   = "text key"
name = "text?"

[books]
file        = "books/{user}/{id}.json"
tenant      = "user"
search      = ["title"]
soft_delete = "1d"

[books.fields]
id    = "text key"
user  = "text"
title = "text?"
more  = "json?"
tags  = "[text]?"
next  = "-> books? set null"
voice = "-> voices? set null"

[parts]
in     = "books.parts[]"
search = ["name"]

[parts.fields]
id      = "int key auto"
book_id = "-> books cascade auto"
order   = "position"
name    = "text?"

[lines]
in = "parts.lines[]"

[lines.fields]
part_id = "-> parts cascade auto"
order   = "position"
word    = "text?"
"#;

/// Calls of a run; twenty times as many where `REPOT_FULL=1`.
const CALLS: usize = 250;
const TENANTS: [&str; 4] = ["u", "u%", "U", "u' or true --"];
const IDS: [&str; 12] =
    ["a", "b", "u", "u/a", "u%2Fa", "..", "%", "'", "\"", "' or true --", "\u{1f600}", "e\u{301}"];
/// What is asked for and compared with, besides the tenants and keys.
const VALUES: [&str; 8] = ["", "%", "_", "secret0", "secret1", "secret2", "secret3", "' or '1' = '1"];

struct World<'a> {
    asked: &'a Asked,
    numbers: Numbers,
    /// By key: a key is one tenant's in a database.
    held: BTreeMap<&'static str, (usize, String)>,
    /// What was deleted under a tenant's key, the last one last.
    trash: BTreeMap<(usize, &'static str), Vec<String>>,
    /// Queries, each with a cursor that was given for it, and trash listings.
    asked_before: Vec<(usize, Query)>,
    trash_cursors: Vec<Cursor>,
    /// Questions that were answered, and what was shown.
    answered: usize,
    shown: usize,
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

fn key(who: usize, id: &str) -> DocumentKey {
    DocumentKey::new("books", id).in_tenant(TENANTS[who])
}

/// Each text of a tenant's holds its own secret.
fn assert_is_own(who: usize, told: &str) {
    for other in (0..TENANTS.len()).filter(|&other| other != who) {
        assert!(!told.contains(&format!("secret{other}")), "tenant {who} was told of {other}: {told}");
    }
}

impl World<'_> {
    fn own(&self, who: usize) -> impl Iterator<Item = (&&'static str, &String)> {
        self.held.iter().filter(move |(_, (of, _))| *of == who).map(|(id, (_, body))| (id, body))
    }

    fn in_trash(&self, who: usize, id: &'static str) -> bool {
        self.trash.get(&(who, id)).is_some_and(|kept| !kept.is_empty())
    }

    fn value(&mut self) -> &'static str {
        match self.numbers.below(3) {
            0 => self.numbers.of(&TENANTS),
            1 => self.numbers.of(&IDS),
            _ => self.numbers.of(&VALUES),
        }
    }

    fn body(&mut self, who: usize, id: &str, at: usize) -> String {
        let next = match self.numbers.below(3) {
            0 => quoted(self.numbers.of(&IDS)),
            _ => "null".to_owned(),
        };
        let part = format!(r#"{{"name":"part secret{who}","lines":[{{"word":"secret{who}"}}]}}"#);
        let parts = vec![part; self.numbers.below(3)].join(",");
        format!(
            r#"{{"id":{},"user":{},"title":"the secret{who} {at}","more":{{"k":"secret{who}"}},"tags":["secret{who}"],"next":{next},"voice":"v","parts":[{parts}]}}"#,
            quoted(id),
            quoted(TENANTS[who]),
        )
    }

    fn filter(&mut self, collection: &str, depth: usize) -> Filter {
        let value = self.value();
        let field = match collection {
            "books" => self.numbers.of(&[
                "id",
                "user",
                "title",
                "more.k",
                "tags",
                "next",
                "parts.name",
                "parts.lines.word",
            ]),
            "parts" => self.numbers.of(&["book_id", "name", "lines.word"]),
            _ => "word",
        };
        let op = self.numbers.of(&[Op::Eq, Op::Ne, Op::Gt, Op::Gte, Op::Lt, Op::Lte]);
        let list = if collection == "books" { "parts" } else { "lines" };
        match self.numbers.below(if depth > 2 { 5 } else { 9 }) {
            0 => Filter::is(field, op, value),
            1 => Filter::In {
                field: field.to_owned(),
                values: [value, self.value()].map(QueryValue::from).into(),
            },
            2 => Filter::Like {
                field: field.to_owned(),
                pattern: self.numbers.of(&["%", "%secret%", "_%", "u%"]).to_owned(),
            },
            3 => Filter::Null { field: field.to_owned() },
            4 if collection != "lines" => Filter::count(list, op, 1),
            5 if collection != "lines" => {
                Filter::search(self.numbers.of(&["secret0", "secret1", "secret2", "sec*", "the", "part"]))
            }
            6 => Filter::Not(Box::new(self.filter(collection, depth + 1))),
            7 => Filter::Any(vec![self.filter(collection, depth + 1), self.filter(collection, depth + 1)]),
            8 => Filter::All(vec![self.filter(collection, depth + 1), self.filter(collection, depth + 1)]),
            _ => Filter::All(Vec::new()),
        }
    }

    fn query(&mut self, who: usize) -> Query {
        let collection = self.numbers.of(&["books", "parts", "lines"]);
        let mut query = Query::of(Scope::of(collection).in_tenant(TENANTS[who]));
        if self.numbers.below(4) > 0 {
            query = query.filter(self.filter(collection, 0));
        }
        query.limit = self.numbers.of(&[1, 2, 50]);
        match (collection, self.numbers.below(4)) {
            ("books", 0) => query.full(),
            ("books", 1) => query.expand("next").expand("voice").sort("-title"),
            ("books", 2) => query.sort("next, -user"),
            ("parts", 0 | 1) => query.expand("book_id"),
            ("lines", 0 | 1) => query.expand("part_id"),
            _ => query,
        }
    }

    /// What was said to a tenant, if it was no error; an error says nothing of others.
    fn told<T>(who: usize, said: Result<T>) -> Option<T> {
        match said {
            Ok(value) => Some(value),
            Err(error) => {
                assert_ne!(error.kind(), Kind::Internal, "{error}");
                assert_is_own(who, &format!("{error} {error:?}"));
                None
            }
        }
    }

    fn check(&self, who: usize, query: &Query, page: &QueryPage) {
        for item in &page.items {
            assert_is_own(who, &String::from_utf8_lossy(&item.body));
            if let Some(key) = &item.key {
                let held = self.held.get(key.parts()[0].as_str());
                assert_eq!(
                    (key.tenant(), held.map(|held| held.0)),
                    (Some(TENANTS[who]), Some(who)),
                    "{query:?}"
                );
            }
        }
    }

    async fn ask(&mut self, who: usize) {
        let mut query = self.query(who);
        if !self.asked_before.is_empty() && self.numbers.below(3) == 0 {
            // somebody's question again, or their cursor with one's own
            let (of, before) = self.asked_before[self.numbers.below(self.asked_before.len())].clone();
            match self.numbers.below(3) {
                0 => query.after = before.after,
                1 => {
                    query =
                        Query { scope: Scope::of(&before.scope.collection).in_tenant(TENANTS[who]), ..before }
                }
                _ => query = before,
            }
            if of == who {
                query.scope.tenant = Some(TENANTS[who].to_owned());
            }
        }
        let who = TENANTS.iter().position(|tenant| query.scope.tenant.as_deref() == Some(tenant)).unwrap();
        let Some(page) = Self::told(who, self.asked.store.query(&query).await) else { return };
        self.check(who, &query, &page);
        self.answered += 1;
        self.shown += page.items.len();
        if query.filter == Filter::All(Vec::new())
            && query.after.is_none()
            && query.scope.collection == "books"
        {
            assert_eq!(page.items.len(), self.own(who).count().min(query.limit), "{query:?}");
        }
        if let Some(next) = page.next {
            self.asked_before.push((who, query.after(next)));
            let keep = self.asked_before.len().saturating_sub(10);
            self.asked_before.drain(..keep);
        }
    }

    async fn write(&mut self, who: usize, id: &'static str, at: usize) {
        let (store, key) = (&self.asked.store, key(who, id));
        match self.numbers.below(8) {
            0..5 => {
                let body = self.body(who, id, at);
                if Self::told(who, store.put(&key, body.clone()).await).is_some() {
                    let before = self.held.insert(id, (who, body));
                    assert!(before.is_none_or(|(of, _)| of == who), "{key} was another's");
                }
            }
            5 => {
                let deleted = Self::told(who, store.delete(&key, Precondition::Any).await);
                let own = self.held.get(id).is_some_and(|(of, _)| *of == who);
                assert!(deleted.is_none_or(|deleted| deleted == own), "{key}");
                if deleted == Some(true) {
                    let (_, body) = self.held.remove(id).unwrap();
                    self.trash.entry((who, id)).or_default().push(body);
                    let (was, null) = (format!(r#""next":{},"#, quoted(id)), r#""next":null,"#);
                    for (_, body) in self.held.values_mut() {
                        *body = body.replace(&was, null);
                    }
                }
            }
            6 => {
                let change = Change::Merge(
                    format!(r#"{{"title":"secret{who} {at}","user":{}}}"#, quoted(TENANTS[who])).into(),
                );
                if Self::told(who, store.change(&key, change, Precondition::Any).await).is_some() {
                    let held = self.held.get_mut(id).unwrap();
                    assert_eq!(held.0, who, "{key}");
                    held.1 = String::from_utf8(store.require(&key).await.unwrap().body.to_vec()).unwrap();
                }
            }
            _ => {
                let restored = store.restore(&key).await;
                if let Some(keys) = Self::told(who, restored) {
                    assert_eq!(keys, [key]);
                    let kept = self.trash.get_mut(&(who, id)).and_then(Vec::pop);
                    let body = kept.expect("only what the tenant itself deleted comes back");
                    assert!(self.held.insert(id, (who, body)).is_none());
                }
            }
        }
    }

    /// The list of what was deleted, from any cursor that anybody was given.
    async fn deleted(&mut self, who: usize) {
        let from = self.numbers.below(self.trash_cursors.len() + 1);
        let after = self.trash_cursors.get(from).cloned();
        let scope = Scope::of("books").in_tenant(TENANTS[who]);
        let page = self.asked.store.deleted(&scope, after.as_ref(), 2).await;
        let Some(page) = Self::told(who, page) else { return };
        for item in page.items {
            assert_eq!(item.key.tenant(), Some(TENANTS[who]));
            let id = *IDS.iter().find(|id| **id == item.key.parts()[0]).unwrap();
            assert!(self.in_trash(who, id), "{}", item.key);
        }
        self.trash_cursors.extend(page.next);
        let id = self.numbers.of(&IDS);
        let known = self.asked.store.deleted_at(&key(who, id)).await.unwrap();
        assert_eq!(known.is_some(), self.in_trash(who, id), "{id}");
    }

    /// From any position, also one that stands within another's changes.
    async fn feed(&mut self, who: usize) {
        let own = TENANTS[who].to_owned();
        let scope = match self.numbers.below(2) {
            0 => ChangeScope::Tenant(own),
            _ => ChangeScope::Documents(Scope::of("books").in_tenant(&own)),
        };
        let end = self.asked.store.position().await.unwrap().number();
        let from = ChangePosition::new(self.numbers.below(usize::try_from(end).unwrap() + 1) as u64);
        let page = self.asked.store.changes(&scope, from, 20).await.unwrap();
        for entry in page.entries {
            let theirs = entry.kind == ChangeKind::Collection && entry.key.text() == "*";
            assert!(theirs || entry.key.tenant() == Some(TENANTS[who]), "{}", entry.key);
        }
    }

    /// Everything, as its tenant reads it.
    async fn look(&self) {
        for (who, tenant) in TENANTS.iter().enumerate() {
            for id in IDS {
                let expected = self.held.get(id).filter(|(of, _)| *of == who).map(|(_, body)| body.clone());
                let read = self.asked.store.get(&key(who, id)).await.unwrap();
                let read = read.map(|read| String::from_utf8(read.body.to_vec()).unwrap());
                assert_eq!(read, expected, "{id} of {tenant}");
            }
            let listed =
                self.asked.store.list(&Scope::of("books").in_tenant(tenant), None, 50).await.unwrap();
            assert_eq!(listed.items.len(), self.own(who).count());
            for (collection, each) in [("parts", "part secret"), ("lines", "\"word\"")] {
                let query = Query::of(Scope::of(collection).in_tenant(tenant));
                let found = self.asked.store.query(&query).await.unwrap().items.len();
                let expected: usize = self.own(who).map(|(_, body)| body.matches(each).count()).sum();
                assert_eq!(found, expected, "{collection} of {tenant}");
            }
        }
    }
}

#[test]
fn nothing_of_another_tenant_is_shown_or_changed() {
    let seed = 0x5eed_0000_0000_0003;
    let full = repot_testkit::full();
    let calls = CALLS * if full { 20 } else { 1 };
    for asked in Asked::all(MODEL) {
        println!("{} seed {seed:x}", asked.name);
        let (held, trash) = (BTreeMap::new(), BTreeMap::new());
        let (asked_before, trash_cursors) = (Vec::new(), Vec::new());
        let mut world = World {
            asked: &asked,
            numbers: Numbers(seed),
            held,
            trash,
            asked_before,
            trash_cursors,
            answered: 0,
            shown: 0,
        };
        block_on(async {
            asked.put(&DocumentKey::new("voices", "v"), r#"{"id":"v","name":"everybody's"}"#).await;
            for at in 0..calls {
                let (who, id) = (world.numbers.below(TENANTS.len()), world.numbers.of(&IDS));
                match world.numbers.below(8) {
                    0..3 => world.write(who, id, at).await,
                    3..6 => world.ask(who).await,
                    6 => world.deleted(who).await,
                    _ => world.feed(who).await,
                }
                if at % 50 == 49 {
                    world.look().await;
                }
            }
        });
        let holders = (0..TENANTS.len()).filter(|&who| world.own(who).count() > 0).count();
        assert!(holders > 2, "it was mostly refused: {:?}", world.held);
        // three of eight calls ask; what is refused or empty shows nothing of others either
        let (answered, shown) = (world.answered, world.shown);
        assert!(
            answered > calls / 8 && shown > calls / 8,
            "{answered} of {calls} were answered, with {shown}"
        );
    }
}
