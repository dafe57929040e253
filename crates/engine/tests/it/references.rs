//! References at work: what a delete through a store does to documents that refer to what goes.

use std::sync::Arc;

use repot_core::store::{Change, DocumentKey, Precondition, Store, StoreExt as _, UnitOfWork, Write};
use repot_core::{Error, Kind};
use repot_engine::verify::{self, Verify};
use repot_engine::{NoProgress, Options};
use repot_model::language::{Model, parse};
use repot_model::plan::Plan;

use crate::documents::{Database, block_on};

const MODEL: &str = r#"
[repot]
source = "./data"

[users]
file = "users/{id}.json"

[users.fields]
id   = "text key"
boss = "-> users?"

[posts]
file = "posts/{id}.json"

[posts.fields]
id         = "text key"
owner      = "-> users cascade"
editor     = "-> users? set null"
count      = "int?"
updated_at = "time? = now on write"

[comments]
in = "posts.comments[]"

[comments.fields]
id      = "int key auto"
post_id = "-> posts cascade auto"
order   = "position"
by      = "-> users cascade"
text    = "text"

[likes]
file = "likes/{id}.json"

[likes.fields]
id   = "text key"
post = "-> posts cascade"
user = "-> users"

[pins]
file   = "pins/{team}/{id}.json"
tenant = "team"

[pins.fields]
id   = "text key"
team = "text"
pin  = "-> pins? cascade"

[folders]
file = "folders/{name}/folder.json"

[folders.fields]
name = "text key"

[sheets]
file = "folders/{name}/sheets/{id}.json"

[sheets.fields]
name   = "text key"
id     = "text key"
folder = "-> folders cascade auto"

[labels]
file = "folders/{name}/labels/{id}.json"

[labels.fields]
name   = "text key"
id     = "text key"
folder = "-> folders? set null auto"
"#;

fn model() -> (Arc<Model>, Arc<Plan>, &'static str) {
    let model = parse(MODEL, "repot.toml", &|_| None).unwrap();
    let plan = Plan::compile(&model).unwrap();
    (Arc::new(model), Arc::new(plan), MODEL)
}

/// Rows and texts agree.
fn holds(database: &Database) {
    let (model, plan, _) = model();
    let options = Options::default();
    let verify = Verify { model: &model, plan: &plan, options: &options, progress: &NoProgress, seed: 7 };
    let proof = verify.run(database.target().as_ref(), verify::Scope::Everything).unwrap();
    assert!(proof.holds(), "{:?}", proof.differences);
}

fn key(path: &str) -> DocumentKey {
    let (collection, id) = path.split_once('/').unwrap();
    DocumentKey::new(collection, id)
}

async fn put(store: &Arc<dyn Store>, path: &str, text: &str) {
    store.put(&key(path), text.to_owned()).await.unwrap();
}

async fn user(store: &Arc<dyn Store>, id: &str) {
    put(store, &format!("users/{id}"), &format!(r#"{{"id": "{id}"}}"#)).await;
}

async fn text(store: &Arc<dyn Store>, path: &str) -> Option<String> {
    let found = store.get(&key(path)).await.unwrap();
    found.map(|document| String::from_utf8(document.body.to_vec()).unwrap())
}

async fn gone(store: &Arc<dyn Store>, path: &str) -> bool {
    store.delete(&key(path), Precondition::Any).await.unwrap()
}

async fn refused(store: &Arc<dyn Store>, path: &str) -> Error {
    let error = store.delete(&key(path), Precondition::Any).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Conflict, "R0417"), "{error}");
    error
}

fn delete(path: &str) -> Write {
    Write::Delete { key: key(path), when: Precondition::Any }
}

fn overwrite(path: &str, text: &str) -> Write {
    Write::Put { key: key(path), body: text.to_owned().into(), when: Precondition::Any }
}

#[test]
fn a_delete_takes_along_sets_null_and_cuts_out() {
    for database in Database::all() {
        let store = database.open_as(model());
        block_on(async {
            for id in ["a", "b"] {
                user(&store, id).await;
            }
            put(&store, "posts/1", r#"{"id": "1", "owner": "a", "updated_at": null}"#).await;
            let two = "{ \"id\": \"2\",\n  \"owner\":\"b\", \"editor\" : \"a\",\n  \"odd\": 1.50, \"updated_at\": \"2020-01-01T00:00:00Z\",\n  \"comments\": [ {\"by\": \"b\", \"text\": \"x\"},\n    {\"by\": \"a\", \"text\": \"y\"}, {\"by\": \"b\", \"text\": \"z\"} ] }";
            put(&store, "posts/2", two).await;
            put(&store, "likes/l", r#"{"id": "l", "post": "1", "user": "b"}"#).await;
            let before = store.require(&key("posts/2")).await.unwrap().etag;
            assert!(gone(&store, "users/a").await);
            assert_eq!(text(&store, "posts/1").await, None);
            assert_eq!(text(&store, "likes/l").await, None, "two steps away");
            let now = "{ \"id\": \"2\",\n  \"owner\":\"b\", \"editor\" : null,\n  \"odd\": 1.50, \"updated_at\": \"2023-11-14T22:13:20Z\",\n  \"comments\": [ {\"by\": \"b\", \"text\": \"x\"},\n    {\"by\": \"b\", \"text\": \"z\"} ] }";
            assert_eq!(text(&store, "posts/2").await.unwrap(), now);
            assert_ne!(store.require(&key("posts/2")).await.unwrap().etag, before);
            assert!(!gone(&store, "users/a").await);
        });
        drop(store);
        holds(&database);
    }
}

#[test]
fn who_refers_and_may_not_follow_holds_it_back() {
    for database in Database::all() {
        let store = database.open_as(model());
        block_on(async {
            user(&store, "a").await;
            for id in ["b", "c", "d", "e", "f"] {
                put(&store, &format!("users/{id}"), &format!(r#"{{"id": "{id}", "boss": "a"}}"#)).await;
            }
            put(&store, "posts/1", r#"{"id": "1", "owner": "a"}"#).await;
            let error = refused(&store, "users/a").await;
            let said = "users/a: users a cannot go: users/b (users.boss) refers to it, users/c (users.boss) refers to it, users/d (users.boss) refers to it, 2 more documents refer to it";
            assert_eq!(error.message(), said);
            // nothing happened, not even what could have
            assert!(text(&store, "posts/1").await.is_some());
            // one that refers to itself holds nothing back
            put(&store, "users/s", r#"{"id": "s", "boss": "s"}"#).await;
            assert!(gone(&store, "users/s").await);
            // the like refers to a user that goes, and goes itself with the post
            user(&store, "x").await;
            put(&store, "posts/2", r#"{"id": "2", "owner": "x"}"#).await;
            put(&store, "likes/l", r#"{"id": "l", "post": "2", "user": "x"}"#).await;
            assert!(gone(&store, "users/x").await);
            assert_eq!(text(&store, "likes/l").await, None);
            // a like of another's post holds back
            user(&store, "x").await;
            put(&store, "likes/l", r#"{"id": "l", "post": "1", "user": "x"}"#).await;
            refused(&store, "users/x").await;
        });
        drop(store);
        holds(&database);
    }
}

#[test]
fn a_unit_is_looked_at_as_a_whole() {
    for database in Database::all() {
        let store = database.open_as(model());
        block_on(async {
            for id in ["a", "b"] {
                user(&store, id).await;
            }
            put(&store, "users/c", r#"{"id": "c", "boss": "a"}"#).await;
            put(&store, "posts/1", r#"{"id": "1", "owner": "a"}"#).await;
            // what refers is written by the same unit, and refers still
            let work = UnitOfWork::default()
                .with(delete("users/a"))
                .with(delete("users/c"))
                .with(overwrite("posts/1", r#"{"id": "1", "owner": "a", "count": 1}"#));
            let error = store.apply(work).await.unwrap_err();
            assert_eq!((error.kind(), error.code()), (Kind::Conflict, "R0417"), "{error}");
            assert!(text(&store, "users/c").await.is_some());
            // it refers to another now; who holds back goes too
            let work = UnitOfWork::default()
                .with(overwrite("posts/1", r#"{"id": "1", "owner": "b"}"#))
                .with(delete("users/a"))
                .with(delete("users/c"));
            store.apply(work).await.unwrap();
            assert!(text(&store, "posts/1").await.unwrap().starts_with(r#"{"id": "1", "owner": "b", "#));
            assert_eq!(text(&store, "users/a").await, None);
            // a new one that refers to what goes is refused, and the unit with it
            let work = UnitOfWork::default()
                .with(delete("users/b"))
                .with(overwrite("posts/9", r#"{"id": "9", "owner": "b"}"#));
            let error = store.apply(work).await.unwrap_err();
            assert_eq!((error.kind(), error.code()), (Kind::Conflict, "R0305"), "{error}");
            assert!(text(&store, "users/b").await.is_some());
        });
        drop(store);
        holds(&database);
    }
}

#[test]
fn places_decide_references_too() {
    for database in Database::all() {
        let store = database.open_as(model());
        block_on(async {
            let sheet = DocumentKey::of_parts("sheets", &["f", "s"]);
            let label = DocumentKey::of_parts("labels", &["f", "l"]);
            put(&store, "folders/f", r#"{"name": "f"}"#).await;
            store.put(&sheet, r#"{"name": "f", "id": "s"}"#).await.unwrap();
            store.put(&label, r#"{"name": "f", "id": "l"}"#).await.unwrap();
            // no text of the label's could say that it refers to nothing
            let error = refused(&store, "folders/f").await;
            assert!(error.message().contains("by its place"), "{error}");
            assert!(store.exists(&sheet).await.unwrap());
            assert!(store.delete(&label, Precondition::Any).await.unwrap());
            assert!(gone(&store, "folders/f").await);
            assert!(!store.exists(&sheet).await.unwrap());
        });
        drop(store);
        holds(&database);
    }
}

#[test]
fn no_tenant_changes_anothers_documents() {
    let pin = |team: &str, id: &str| DocumentKey::new("pins", id).in_tenant(team);
    for database in Database::all() {
        let store = database.open_as(model());
        block_on(async {
            let put = async |team: &str, id: &str, to: &str| {
                let body = format!(r#"{{"id": "{id}", "team": "{team}", "pin": {to}}}"#);
                store.put(&pin(team, id), body).await.unwrap();
            };
            put("red", "r", "null").await;
            put("red", "q", "\"r\"").await;
            put("blue", "b-secret", "\"r\"").await;
            let error = store.delete(&pin("red", "r"), Precondition::Any).await.unwrap_err();
            assert_eq!((error.kind(), error.code()), (Kind::Conflict, "R0417"), "{error}");
            assert!(!format!("{error:?}").contains("secret"), "{error:?}");
            assert!(store.get(&pin("red", "q")).await.unwrap().is_some());
            assert!(store.delete(&pin("blue", "b-secret"), Precondition::Any).await.unwrap());
            assert!(store.delete(&pin("red", "r"), Precondition::Any).await.unwrap());
            assert!(store.get(&pin("red", "q")).await.unwrap().is_none());
        });
        drop(store);
        holds(&database);
    }
}

/// A document loses its reference while another writer counts in it: neither is lost.
#[test]
fn a_reference_set_to_null_and_a_change_at_once() {
    const ROUNDS: usize = 15;
    for database in Database::all() {
        let stores = [(); 2].map(|()| database.open_as(model()));
        block_on(async {
            user(&stores[0], "o").await;
            for round in 0..ROUNDS {
                user(&stores[0], "e").await;
                let post = format!("posts/{round}");
                let body = format!(r#"{{"id": "{round}", "owner": "o", "editor": "e", "count": 0}}"#);
                put(&stores[0], &post, &body).await;
                let (one, other, own) = (Arc::clone(&stores[0]), Arc::clone(&stores[1]), key(&post));
                let deleting =
                    tokio::spawn(async move { one.delete(&key("users/e"), Precondition::Any).await });
                let counting = tokio::spawn(async move {
                    let change = Change::Merge(r#"{"count": 1}"#.into());
                    other.change(&own, change, Precondition::Any).await
                });
                assert!(deleting.await.unwrap().unwrap());
                counting.await.unwrap().unwrap();
                let now = text(&stores[1], &post).await.unwrap();
                assert!(now.contains(r#""editor": null, "count": 1"#), "{now}");
            }
        });
        drop(stores);
        holds(&database);
    }
}

/// Deletes that take the same documents along, others that come to refer meanwhile: all end, and nothing dangles.
#[test]
fn deletes_that_overlap_all_end() {
    const OWNERS: usize = 12;
    for database in Database::all() {
        let stores = [(); 2].map(|()| database.open_as(model()));
        block_on(async {
            for at in 0..OWNERS {
                user(&stores[0], &at.to_string()).await;
            }
            for at in 0..OWNERS {
                let (one, two) = (at, (at + 1) % OWNERS);
                let body = format!(
                    r#"{{"id": "{at}", "owner": "{one}", "editor": "{two}", "comments": [{{"by": "{two}", "text": "t"}}]}}"#
                );
                put(&stores[0], &format!("posts/{at}"), &body).await;
            }
            let mut tasks = Vec::new();
            for at in 0..OWNERS {
                let store = Arc::clone(&stores[at % 2]);
                tasks.push(tokio::spawn(async move {
                    if at % 3 == 0 {
                        let body = format!(r#"{{"id": "n{at}", "owner": "{at}"}}"#);
                        match store.put(&key(&format!("posts/n{at}")), body).await {
                            Ok(_) => {}
                            Err(error) => assert_eq!(error.code(), "R0305", "{error}"),
                        }
                    }
                    assert!(store.delete(&key(&format!("users/{at}")), Precondition::Any).await.unwrap());
                }));
            }
            for task in tasks {
                task.await.unwrap();
            }
            for at in 0..OWNERS {
                assert_eq!(text(&stores[0], &format!("posts/{at}")).await, None);
                assert_eq!(text(&stores[0], &format!("posts/n{at}")).await, None);
            }
        });
        drop(stores);
        holds(&database);
    }
}

#[test]
fn more_than_a_unit_may_change_is_refused() {
    // the bound is the same everywhere; one database is enough for so many documents
    let database = Database::sqlite();
    let store = database.open_as(model());
    block_on(async {
        user(&store, "a").await;
        let post =
            |at: usize| overwrite(&format!("posts/{at}"), &format!(r#"{{"id": "{at}", "owner": "a"}}"#));
        store
            .apply(UnitOfWork { writes: (0..1_000).map(post).collect(), ..UnitOfWork::default() })
            .await
            .unwrap();
        store.apply(UnitOfWork { writes: vec![post(1_000)], ..UnitOfWork::default() }).await.unwrap();
        let error = store.delete(&key("users/a"), Precondition::Any).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Unsupported, "R0405"), "{error}");
        assert!(gone(&store, "posts/7").await);
        assert!(gone(&store, "users/a").await);
        assert_eq!(text(&store, "posts/1000").await, None);
    });
    drop(store);
    holds(&database);
}
