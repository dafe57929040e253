//! Random calls of several tenants with keys, cursors, `ETags` and bodies meant for one another's documents.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use repot_core::store::{
    Change, Cursor, DocumentKey, ETag, Precondition, Scope, Store, StoreExt as _, UnitOfWork, Write,
};
use repot_core::{Kind, Result};
use repot_json::edit::quote;
use repot_json::patch::Pointer;

use super::listing::all;
use super::random::Numbers;
use super::subject::Subject;

/// Calls of a run; ten times as many where `REPOT_FULL=1`.
const CALLS: usize = 500;
const SEED: u64 = 0x5eed_0000_0000_0002;

/// Names that begin with, escape to, normalise to or match one another.
const TENANTS: [&str; 9] = ["u1", "u10", "u1/u10", "U1", "é", "e\u{301}", "%", "u_", "x' or 'x' = 'x"];
/// Names that lead elsewhere where they are taken for a path, a pattern or SQL.
const IDS: [&str; 14] = [
    "k",
    "u10",
    "../u10/k",
    "u10/k",
    "u10%2Fk",
    "k.json",
    "..",
    "%",
    "k*",
    "\"k\"",
    "k' or true --",
    "é",
    "e\u{301}",
    "\u{1f600}",
];

/// A document of a tenant, as it was written.
#[derive(Debug, Clone)]
struct Held {
    body: Vec<u8>,
    etag: ETag,
}

/// Whose, and under which key.
type Name = (usize, DocumentKey);

struct World {
    store: Arc<dyn Store>,
    numbers: Numbers,
    held: BTreeMap<Name, Held>,
    /// The last cursors that anybody was given.
    cursors: Vec<Cursor>,
}

/// A word that only this tenant's documents hold.
fn secret(who: usize) -> String {
    format!("secret-of-{who}-")
}

/// What one tenant is told says nothing of any other.
fn assert_is_own(who: usize, told: &str, what: &str) {
    for other in (0..TENANTS.len()).filter(|&other| other != who) {
        assert!(!told.contains(&secret(other)), "{what}: tenant {who} was told of tenant {other}: {told}");
    }
}

impl World {
    fn key(&mut self, who: usize) -> DocumentKey {
        let id = IDS[self.numbers.below(IDS.len())];
        match self.numbers.below(10) {
            0 => DocumentKey::at("quotas", &[]),
            1..4 => DocumentKey::at("drawers", &[("slot", id)]),
            _ => DocumentKey::new("chats", id),
        }
        .in_tenant(TENANTS[who])
    }

    /// The document as `who` would write it; now and then it says that it is another's.
    fn body(&mut self, who: usize, key: &DocumentKey, at: usize) -> String {
        let says = if self.numbers.below(8) == 0 { self.numbers.below(TENANTS.len()) } else { who };
        let user = quote(TENANTS[says]);
        match key.collection() {
            "quotas" => format!(r#"{{"used": {at}, "user_id": {user}, "x": "{}"}}"#, secret(who)),
            // numbers that differ, since they are the database's own key
            "drawers" => format!(r#"{{"id": {at}, "user_id": {user}, "x": "{}{at}"}}"#, secret(who)),
            _ => {
                let id = quote(&key.parts().concat());
                format!(r#"{{"id": {id}, "user_id": {user}, "title": "{}{at}", "list": []}}"#, secret(who))
            }
        }
    }

    /// Any condition; also the state of another tenant's document under the same key.
    fn when(&mut self, who: usize, key: &DocumentKey) -> Precondition {
        let other = self.numbers.below(TENANTS.len());
        let theirs = (other, key.clone().in_tenant(TENANTS[other]));
        match self.numbers.below(4) {
            0 => self
                .held
                .get(&(who, key.clone()))
                .map_or(Precondition::Any, |own| Precondition::Matches(own.etag.clone())),
            1 => self
                .held
                .get(&theirs)
                .map_or(Precondition::Any, |one| Precondition::Matches(one.etag.clone())),
            _ => Precondition::Any,
        }
    }

    fn change(&mut self, who: usize, at: usize) -> Change {
        let other = quote(TENANTS[self.numbers.below(TENANTS.len())]);
        let user = Pointer::parse("/user_id").unwrap();
        let mark = format!(r#""{}{at}""#, secret(who));
        match self.numbers.below(7) {
            0 => Change::Set { at: user, value: other.into() },
            1 => Change::Remove { at: user },
            2 => Change::Merge(format!(r#"{{"user_id": {other}}}"#).into()),
            3 => Change::Patch(
                format!(r#"[{{"op": "replace", "path": "/user_id", "value": {other}}}]"#).into(),
            ),
            4 => Change::Patch(r#"[{"op": "copy", "from": "/user_id", "path": "/id"}]"#.into()),
            5 => Change::Append { list: Pointer::parse("/list").unwrap(), element: mark.into() },
            _ => Change::Merge(format!(r#"{{"x": {mark}}}"#).into()),
        }
    }

    /// What a call gave, if it was no error; an error says nothing of others.
    fn told<T>(&self, who: usize, key: &DocumentKey, said: Result<T>) -> Option<T> {
        let error = match said {
            Ok(value) => return Some(value),
            Err(error) => error,
        };
        assert_ne!(error.kind(), Kind::Internal, "{key}: {error}");
        let all = format!("{error} {error:?}");
        assert_is_own(who, &all, &key.to_string());
        for ((other, _), held) in self.held.iter().filter(|((other, _), _)| *other != who) {
            // a store in memory counts its states; a short number stands for nothing
            let counted = held.etag.as_str().len() < 8;
            assert!(
                counted || !all.contains(held.etag.as_str()),
                "{key}: the state of one of tenant {other}: {all}"
            );
        }
        None
    }

    /// After a write that was acknowledged.
    async fn wrote(&mut self, who: usize, key: &DocumentKey) {
        let read = self.store.require(key).await.unwrap();
        let text = String::from_utf8(read.body.to_vec()).unwrap();
        assert_is_own(who, &text, &key.to_string());
        let says = format!("\"user_id\": {}", quote(TENANTS[who]));
        assert!(!text.contains("user_id") || text.contains(&says), "{key} says that it is another's: {text}");
        self.held.insert((who, key.clone()), Held { body: text.into(), etag: read.etag });
    }

    async fn call(&mut self, at: usize) {
        let who = self.numbers.below(TENANTS.len());
        let key = self.key(who);
        let when = self.when(who, &key);
        let store = Arc::clone(&self.store);
        match self.numbers.below(12) {
            0..4 => {
                let body = self.body(who, &key, at);
                let put = store.put_when(&key, body, when).await;
                if self.told(who, &key, put).is_some() {
                    self.wrote(who, &key).await;
                }
            }
            4 => {
                let deleted = store.delete(&key, when).await;
                if let Some(deleted) = self.told(who, &key, deleted) {
                    assert_eq!(deleted, self.held.remove(&(who, key.clone())).is_some(), "{key}");
                }
            }
            5..7 => {
                let change = self.change(who, at);
                let changed = store.change(&key, change, when).await;
                if self.told(who, &key, changed).is_some() {
                    self.wrote(who, &key).await;
                }
            }
            7 => self.update(who, &key, at).await,
            8 => self.unit(who, &key, at).await,
            9 => self.listing(who, key.collection()).await,
            10 => {
                let part = store.get_part(&key, ["/title", "/x", "/user_id"][self.numbers.below(3)]).await;
                if let Some(Some(part)) = self.told(who, &key, part) {
                    assert_is_own(who, &String::from_utf8_lossy(&part), &key.to_string());
                }
            }
            _ => self.by_number(who).await,
        }
        self.look(who, &key).await;
        let other = self.another(who);
        self.look(other, &key).await;
    }

    /// Another tenant, by chance.
    fn another(&mut self, who: usize) -> usize {
        (who + 1 + self.numbers.below(TENANTS.len() - 1)) % TENANTS.len()
    }

    async fn update(&mut self, who: usize, key: &DocumentKey, at: usize) {
        let (body, expected) = (self.body(who, key, at), self.held.get(&(who, key.clone())).cloned());
        let own = key.clone();
        let updated = self.store.update(key, move |text| {
            assert_eq!(text, expected.as_ref().map(|held| held.body.as_slice()), "{own}");
            Ok(body.clone().into())
        });
        let updated = updated.await;
        if self.told(who, key, updated).is_some() {
            self.wrote(who, key).await;
        }
    }

    /// One document of each of two tenants in one unit: either is its own tenant's, and the condition of either counts.
    async fn unit(&mut self, who: usize, key: &DocumentKey, at: usize) {
        let other = self.another(who);
        let second = self.key(other);
        let put =
            |key: &DocumentKey, body: String, when| Write::Put { key: key.clone(), body: body.into(), when };
        let (one, two) = (self.body(who, key, at), self.body(other, &second, at + CALLS * 100));
        let when = self.when(who, key);
        let work = UnitOfWork::default().with(put(key, one, when)).with(put(&second, two, Precondition::Any));
        // which of the two an error is about is not said to a tenant: units over tenants are for whoever may see both
        if self.store.apply(work).await.is_ok() {
            self.wrote(who, key).await;
            self.wrote(other, &second).await;
        }
        self.look(other, &second).await;
    }

    /// Goes on from any cursor that anybody was given.
    async fn listing(&mut self, who: usize, collection: &str) {
        let from = self.numbers.below(self.cursors.len() + 1);
        let after = self.cursors.get(from).cloned();
        let scope = Scope::of(collection).in_tenant(TENANTS[who]);
        let page = self.store.list(&scope, after.as_ref(), 1 + self.numbers.below(3)).await;
        let at = DocumentKey::new(collection, "*").in_tenant(TENANTS[who]);
        let Some(page) = self.told(who, &at, page) else { return };
        for item in page.items {
            assert!(
                self.held.contains_key(&(who, item.key.clone())),
                "listed for {}: {}",
                TENANTS[who],
                item.key
            );
        }
        self.cursors.extend(page.next);
        let keep = self.cursors.len().saturating_sub(20);
        self.cursors.drain(..keep);
    }

    /// A database finds a drawer by its number: a tenant its own.
    async fn by_number(&mut self, who: usize) {
        let drawers: Vec<(usize, String)> = self
            .held
            .iter()
            .filter(|((_, key), _)| key.collection() == "drawers")
            .map(|((of, _), held)| (*of, String::from_utf8_lossy(&held.body).into_owned()))
            .collect();
        if drawers.is_empty() {
            return;
        }
        let (of, text) = &drawers[self.numbers.below(drawers.len())];
        let number: String =
            text.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
        let key = DocumentKey::new("drawers", &number).in_tenant(TENANTS[who]);
        let read = self.store.get(&key).await;
        if let Some(read) = self.told(who, &key, read) {
            assert_eq!(read.map(|read| read.body), (*of == who).then(|| text.clone().into()), "{key}");
        }
        if *of != who {
            let gone = self.store.delete(&key, Precondition::Any).await;
            assert!(!self.told(who, &key, gone).unwrap_or(false), "{key}");
            let changed =
                self.store.change(&key, Change::Merge(r#"{"x": 1}"#.into()), Precondition::Any).await;
            assert!(self.told(who, &key, changed).is_none(), "{key}");
        }
    }

    /// What the key names in a tenant is what that tenant wrote.
    async fn look(&self, who: usize, key: &DocumentKey) {
        let key = key.clone().in_tenant(TENANTS[who]);
        let expected = self.held.get(&(who, key.clone())).map(|held| held.body.clone());
        let read = self.store.get(&key).await;
        let read = self.told(who, &key, read).flatten().map(|read| read.body.to_vec());
        assert_eq!(read, expected, "{key}");
    }

    /// Everything, as its tenant sees it.
    async fn look_at_all(&self) {
        for (who, tenant) in TENANTS.iter().enumerate() {
            for collection in ["chats", "drawers", "quotas"] {
                let mut listed = all(&self.store, &Scope::of(collection).in_tenant(tenant), 7).await;
                listed.sort();
                let own = self.held.keys().filter(|(of, key)| *of == who && key.collection() == collection);
                let mut keys: Vec<String> = own.clone().map(|(_, key)| key.text().to_owned()).collect();
                keys.sort();
                assert_eq!(listed, keys, "{collection} of {tenant}");
                for (_, key) in own {
                    self.look(who, key).await;
                }
            }
        }
    }
}

/// Whatever tenants call with each other's keys, cursors and `ETags`, each reads what it wrote, and is told of nothing else.
pub async fn random_calls_never_meet_another_tenant(subject: Subject) {
    let full = crate::full();
    let mut world =
        World { store: subject.store, numbers: Numbers(SEED), held: BTreeMap::new(), cursors: Vec::new() };
    for at in 0..CALLS * if full { 10 } else { 1 } {
        world.call(at).await;
        if at % 100 == 0 {
            world.look_at_all().await;
        }
    }
    let holders: BTreeSet<usize> = world.held.keys().map(|(who, _)| *who).collect();
    assert!(world.held.len() > 20 && holders.len() > 4, "it was mostly refused: {:?}", world.held);
    world.look_at_all().await;
}
