//! Documents as messages: each in one worker's hands, done once, and nothing lost.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use repot_core::store::{
    BucketStore, Claim, ClaimRequest, DocumentKey, Layout, LeaseToken, MemoryObjects, Precondition,
    QueueStats, Scope, Store as _, StoreExt as _, Trash as _, UnitOfWork, WorkQueue as _, Write,
};
use repot_core::{Clock, Kind};
use repot_engine::store::{RowStore, RowStoreOptions};
use repot_model::language::{Model, parse};
use repot_model::plan::Plan;

use crate::documents::{Database, block_on, copy_of};
use crate::scripted::Scripted;

pub(crate) const MODEL: &str = r#"
[repot]
source = "./data"

[jobs]
file        = "jobs/{id}.json"
queue       = { lease = "60s", tries = 3 }
soft_delete = "1d"

[jobs.fields]
id       = "text key"
priority = "int?"

[lines]
file  = "lines/{day}.jsonl"
queue = { lease = "60s", tries = 3 }

[lines.fields]
day = "text key"
id  = "int key"

[mails]
file   = "mails/{user}/{id}.json"
tenant = "user"
queue  = { lease = "60s", tries = 3 }

[mails.fields]
id   = "text key"
user = "text"

[results]
file = "results/{id}.json"

[results.fields]
id    = "text key"
count = "int?"
"#;

type Of<'m> = (Arc<Model>, Arc<Plan>, &'m str);

pub(crate) fn model_of(text: &str) -> Of<'_> {
    let model = parse(text, "repot.toml", &|_| None).unwrap();
    let plan = Plan::compile(&model).unwrap();
    (Arc::new(model), Arc::new(plan), text)
}

/// A clock that the test sets.
#[derive(Debug, Clone)]
pub(crate) struct Set(Arc<AtomicI64>);

impl Set {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicI64::new(1_700_000_000_000)))
    }

    fn go(&self, by_ms: i64) {
        self.0.fetch_add(by_ms, Ordering::SeqCst);
    }
}

impl Clock for Set {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

pub(crate) fn open(database: &Database, clock: &Set) -> RowStore {
    let options = RowStoreOptions { clock: Arc::new(clock.clone()), ..Database::options() };
    RowStore::open(database.target(), model_of(MODEL), options).unwrap()
}

pub(crate) fn job(id: &str) -> DocumentKey {
    DocumentKey::new("jobs", id)
}

pub(crate) fn jobs() -> Scope {
    Scope::of("jobs")
}

pub(crate) fn wants(scope: Scope, count: usize) -> ClaimRequest {
    ClaimRequest { scope, count, lease_ms: None, worker: "ann".to_owned(), facts: Vec::new() }
}

pub(crate) async fn claim(store: &RowStore, count: usize) -> Vec<Claim> {
    store.claim(&wants(jobs(), count)).await.unwrap()
}

pub(crate) async fn put(store: &RowStore, id: &str, priority: Option<i64>) {
    let body = match priority {
        Some(priority) => format!("{{\"id\": \"{id}\", \"priority\": {priority}}}"),
        None => format!("{{\"id\": \"{id}\"}}"),
    };
    store.put(&job(id), body).await.unwrap();
}

pub(crate) fn ids(claims: &[Claim]) -> Vec<String> {
    claims.iter().map(|claim| claim.document.key.text().to_owned()).collect()
}

pub(crate) async fn stats(store: &RowStore) -> [u64; 5] {
    let QueueStats { ready, leased, delayed, done, dead, .. } = store.stats(&jobs()).await.unwrap();
    [ready, leased, delayed, done, dead]
}

pub(crate) fn fenced(error: &repot_core::Error) {
    assert_eq!((error.kind(), error.code()), (Kind::Fenced, "R0501"), "{error}");
}

#[test]
fn every_document_is_a_message_however_it_came() {
    for database in Database::all() {
        let store = open(&database, &Set::new());
        block_on(async {
            put(&store, "a", None).await;
            database.sql("insert into jobs (id) values ('b'), ('c%d'), ('no/file')");
            for line in 1..4 {
                let key = DocumentKey::at("lines", &[("day", "monday"), ("id", &line.to_string())]);
                store.put(&key, format!("{{\"id\": {line}}}")).await.unwrap();
            }
            let claimed = claim(&store, 10).await;
            assert_eq!(ids(&claimed), ["a", "b", "c%25d"]);
            assert_eq!(claimed[0].document.body, "{\"id\": \"a\"}");
            assert_eq!(claimed[0].document.etag, store.require(&job("a")).await.unwrap().etag);
            let lines = store.claim(&wants(Scope::of("lines"), 10)).await.unwrap();
            assert_eq!(ids(&lines), ["monday/1", "monday/2", "monday/3"]);
            assert_eq!(lines[2].document.body, "{\"id\": 3}");
            // a row that makes no document is nothing to work on, and not lost
            let dead = store.dead(&jobs(), None, 9).await.unwrap().items;
            assert_eq!((dead.len(), dead[0].key.text()), (1, "no%2Ffile"));
            // a change of a document leaves its message as it is
            put(&store, "a", Some(9)).await;
            database.sql("update jobs set priority = 1 where id = 'b'");
            assert_eq!(claim(&store, 10).await, []);
            // a token is that of one message, and of no other
            for (key, token) in
                [(job("a"), &claimed[1].token), (job("a"), &lines[0].token), (job("none"), &claimed[0].token)]
            {
                fenced(&store.ack_and_delete(&key, token).await.unwrap_err());
            }
            let at = |id: &str| DocumentKey::at("lines", &[("day", "monday"), ("id", id)]);
            fenced(&store.ack_and_delete(&at("1"), &lines[1].token).await.unwrap_err());
            fenced(&store.ack_and_delete(&at("9"), &lines[1].token).await.unwrap_err());
            assert!(store.exists(&job("a")).await.unwrap() && store.exists(&at("1")).await.unwrap());
            store.ack_and_delete(&at("2"), &lines[1].token).await.unwrap();
            assert!(!store.exists(&at("2")).await.unwrap());
            // and the message goes with it
            store.ack_and_delete(&job("a"), &claimed[0].token).await.unwrap();
            assert_eq!(store.get(&job("a")).await.unwrap(), None);
            database.sql("delete from jobs where id = 'b'");
            fenced(&store.ack(&job("b"), &claimed[1].token).await.unwrap_err());
            assert_eq!(stats(&store).await, [0, 1, 0, 0, 1]);
            store.ack(&lines[0].document.key, &lines[0].token).await.unwrap();
        });
    }
}

/// A place is not what a message is known by, and yet a lease is of the very document that it names.
#[test]
fn a_lease_is_of_the_document_that_a_place_names() {
    for database in Database::all() {
        let store = open(&database, &Set::new());
        block_on(async {
            let at = |id: u8| DocumentKey::at("lines", &[("day", "monday"), ("id", &id.to_string())]);
            for id in 1..4 {
                store.put(&at(id), format!("{{\"id\": {id}}}")).await.unwrap();
            }
            let lines = Scope::of("lines");
            let claimed = store.claim(&wants(lines.clone(), 10)).await.unwrap();
            let token = |id: usize| &claimed[id - 1].token;
            // that of another document, or of none
            for key in [at(1), at(3), at(9)] {
                fenced(&store.ack(&key, token(2)).await.unwrap_err());
                fenced(&store.retry(&key, token(2), 0, "").await.unwrap_err());
                fenced(&store.extend(&key, token(2), None).await.unwrap_err());
                fenced(&store.fail(&key, token(2), "").await.unwrap_err());
            }
            assert_eq!(store.stats(&lines).await.unwrap().leased, 3, "nothing happened to any");
            store.extend(&at(2), token(2), None).await.unwrap();
            store.ack(&at(2), token(2)).await.unwrap();
            store.fail(&at(3), token(3), "broken").await.unwrap();
            store.retry(&at(1), token(1), 0, "later").await.unwrap();
            for (key, revived) in [(at(1), 0), (at(9), 0), (at(3), 1)] {
                assert_eq!(store.revive(&lines, Some(&key)).await.unwrap(), revived, "{key}");
            }
            let stats = store.stats(&lines).await.unwrap();
            assert_eq!((stats.ready, stats.done, stats.dead), (2, 1, 0));
        });
    }
}

#[test]
fn what_is_no_queue_is_refused() {
    let (model, plan, _) = model_of(MODEL);
    let layout = Layout::new(model, plan, repot_json::Limits::default()).unwrap();
    let bucket = BucketStore::new(Arc::new(MemoryObjects::new()), layout, 1 << 20);
    assert!(bucket.work_queue().is_none());
    let work = UnitOfWork::default().holding(LeaseToken::new("jobs", 1, 1), None);
    let error = block_on(bucket.apply(work)).unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Unsupported, "R0405"), "{error}");
    for database in Database::all() {
        let store = open(&database, &Set::new());
        block_on(async {
            let error = store.claim(&wants(Scope::of("results"), 1)).await.unwrap_err();
            assert_eq!((error.kind(), error.code()), (Kind::Unsupported, "R0502"), "{error}");
            let too_many = store.claim(&wants(jobs(), 1_001)).await.unwrap_err();
            assert_eq!(too_many.code(), "R0502", "{too_many}");
            let nothing = ClaimRequest { lease_ms: Some(0), ..wants(jobs(), 1) };
            assert_eq!(store.claim(&nothing).await.unwrap_err().code(), "R0502");
            assert_eq!(store.claim(&wants(Scope::of("mails"), 1)).await.unwrap_err().code(), "R0406");
            assert_eq!(store.claim(&wants(Scope::of("nothing"), 1)).await.unwrap_err().code(), "R0402");
        });
    }
}

#[test]
fn higher_priorities_come_first_then_older_messages() {
    for database in Database::all() {
        let store = open(&database, &Set::new());
        block_on(async {
            for (id, priority) in
                [("a", None), ("b", Some(5)), ("c", Some(-1)), ("d", Some(5)), ("e", Some(0))]
            {
                put(&store, id, priority).await;
            }
            database.sql("insert into jobs (id, priority) values ('f', 7)");
            put(&store, "c", Some(6)).await;
            assert_eq!(ids(&claim(&store, 2).await), ["f", "c"]);
            database.sql("update jobs set priority = 4 where id = 'e'");
            assert_eq!(ids(&claim(&store, 9).await), ["b", "d", "e", "a"]);
        });
    }
}

#[test]
fn a_lease_that_ran_out_is_worth_nothing_once_another_has_the_message() {
    for database in Database::all() {
        let clock = Set::new();
        // two processes
        let (store, other) = (open(&database, &clock), open(&database, &clock));
        let result = DocumentKey::new("results", "r");
        let put = |body: &str| Write::Put {
            key: result.clone(),
            body: body.to_owned().into(),
            when: Precondition::Any,
        };
        block_on(async {
            self::put(&store, "a", None).await;
            let paused = claim(&store, 1).await.remove(0);
            assert_eq!((paused.tries, paused.lease_until_ms), (1, clock.now_ms() + 60_000));
            clock.go(59_999);
            assert_eq!(claim(&other, 1).await, []);
            assert_eq!(
                store.extend(&job("a"), &paused.token, Some(1_000)).await.unwrap(),
                clock.now_ms() + 1_000
            );
            clock.go(999);
            assert_eq!(claim(&other, 1).await, []);
            clock.go(1);
            let second = claim(&other, 1).await.remove(0);
            assert!(second.token > paused.token, "{} after {}", second.token, paused.token);
            assert_eq!(second.tries, 2);
            // the paused worker wakes up
            let (key, token) = (job("a"), paused.token.clone());
            fenced(&store.ack(&key, &token).await.unwrap_err());
            fenced(&store.retry(&key, &token, 0, "").await.unwrap_err());
            fenced(&store.extend(&key, &token, None).await.unwrap_err());
            fenced(&store.fail(&key, &token, "").await.unwrap_err());
            fenced(&store.ack_and_delete(&key, &token).await.unwrap_err());
            let work = UnitOfWork::default().with(put("{\"id\": \"r\", \"count\": 1}"));
            fenced(&store.apply(work.clone().holding(token.clone(), None)).await.unwrap_err());
            fenced(&store.apply(work.acking(token, None)).await.unwrap_err());
            fenced(&store.apply(UnitOfWork::default().holding(paused.token, None)).await.unwrap_err());
            assert_eq!(store.get(&result).await.unwrap(), None);
            // the one who holds it writes, and is done in the same transaction, once
            let work = UnitOfWork::default().with(put("{\"id\": \"r\", \"count\": 2}"));
            other.apply(work.clone().holding(second.token.clone(), None)).await.unwrap();
            let work = UnitOfWork::default().with(put("{\"id\": \"r\", \"count\": 3}"));
            other.apply(work.acking(second.token.clone(), None)).await.unwrap();
            let work = UnitOfWork::default().with(put("{\"id\": \"r\", \"count\": 4}"));
            fenced(&other.apply(work.acking(second.token, None)).await.unwrap_err());
            assert_eq!(store.require(&result).await.unwrap().body, "{\"id\": \"r\", \"count\": 3}");
            clock.go(1_000_000);
            assert_eq!(claim(&store, 1).await, []);
            assert_eq!(stats(&store).await, [0, 0, 0, 1, 0]);
        });
    }
}

/// What fails in the unit of work leaves the message in the worker's hands.
#[test]
fn a_unit_that_fails_acknowledges_nothing() {
    for database in Database::all() {
        let store = open(&database, &Set::new());
        block_on(async {
            put(&store, "a", None).await;
            let claimed = claim(&store, 1).await.remove(0);
            let key = DocumentKey::new("results", "r");
            let write =
                Write::Put { key: key.clone(), body: "{\"id\": \"r\"}".into(), when: Precondition::Absent };
            store.put(&key, "{\"id\": \"r\", \"count\": 1}").await.unwrap();
            let work = UnitOfWork::default().with(write).acking(claimed.token.clone(), None);
            assert_eq!(store.apply(work).await.unwrap_err().code(), "R0401");
            assert_eq!(stats(&store).await, [0, 1, 0, 0, 0]);
            // acknowledging alone needs no write
            store.apply(UnitOfWork::default().acking(claimed.token, None)).await.unwrap();
            assert_eq!(stats(&store).await, [0, 0, 0, 1, 0]);
        });
    }
}

#[test]
fn a_message_is_dead_after_exactly_its_tries() {
    for database in Database::all() {
        let clock = Set::new();
        let store = open(&database, &clock);
        block_on(async {
            for id in ["late", "slow", "wrong"] {
                put(&store, id, None).await;
            }
            for tries in 1..4 {
                let claimed = claim(&store, 9).await;
                assert_eq!(
                    ids(&claimed),
                    if tries == 1 { vec!["late", "slow", "wrong"] } else { vec!["late", "slow"] }
                );
                for one in &claimed {
                    assert_eq!(one.tries, tries);
                    match one.document.key.text() {
                        "late" => store.retry(&job("late"), &one.token, 5_000, "not yet").await.unwrap(),
                        "wrong" => store.fail(&job("wrong"), &one.token, "no such\0 thing").await.unwrap(),
                        _ => {}
                    }
                }
                if tries < 3 {
                    assert_eq!(stats(&store).await, [0, 1, 1, 0, 1]);
                    clock.go(4_999);
                    assert_eq!(claim(&store, 9).await, []);
                    clock.go(55_001);
                }
            }
            assert_eq!(stats(&store).await, [0, 1, 0, 0, 2]);
            clock.go(60_000);
            assert_eq!(claim(&store, 9).await, []);
            let first = store.dead(&jobs(), None, 2).await.unwrap();
            let rest = store.dead(&jobs(), first.next.as_ref(), 2).await.unwrap();
            assert_eq!((first.items.len(), rest.items.len(), rest.next), (2, 1, None));
            let said: Vec<(String, u32, String)> = first
                .items
                .into_iter()
                .chain(rest.items)
                .map(|letter| (letter.key.to_string(), letter.tries, letter.reason))
                .collect();
            let letter = |key: &str, tries, reason: &str| (key.to_owned(), tries, reason.to_owned());
            assert_eq!(
                said,
                [
                    letter("jobs/late", 3, "not yet"),
                    letter("jobs/slow", 3, "the lease of ann ran out"),
                    letter("jobs/wrong", 1, "no such\u{fffd} thing"),
                ]
            );
            assert_eq!(store.revive(&jobs(), Some(&job("none"))).await.unwrap(), 0);
            assert_eq!(store.revive(&jobs(), Some(&job("slow"))).await.unwrap(), 1);
            let again = claim(&store, 9).await;
            assert_eq!((ids(&again), again[0].tries), (vec!["slow".to_owned()], 1));
            assert_eq!(store.revive(&jobs(), None).await.unwrap(), 2);
            assert_eq!(stats(&store).await, [2, 1, 0, 0, 0]);
        });
    }
}

#[test]
fn tenants_have_queues_of_their_own() {
    for database in Database::all() {
        let store = open(&database, &Set::new());
        let mail = |id: &str, user: &str| DocumentKey::new("mails", id).in_tenant(user);
        let of = |user: &str| Scope::of("mails").in_tenant(user);
        block_on(async {
            for (id, user) in [("1", "u"), ("2", "v"), ("3", "u")] {
                let body = format!("{{\"id\": \"{id}\", \"user\": \"{user}\"}}");
                store.put(&mail(id, user), body).await.unwrap();
            }
            let own = store.claim(&wants(of("v"), 9)).await.unwrap();
            assert_eq!(
                own.iter().map(|claim| claim.document.key.clone()).collect::<Vec<_>>(),
                [mail("2", "v")]
            );
            let token = &own[0].token;
            // another tenant can do nothing with the token, whatever it calls the document
            fenced(&store.ack(&mail("2", "u"), token).await.unwrap_err());
            fenced(&store.fail(&mail("1", "u"), token, "").await.unwrap_err());
            let work = UnitOfWork::default().acking(token.clone(), Some("u"));
            fenced(&store.apply(work).await.unwrap_err());
            assert_eq!(
                store.apply(UnitOfWork::default().acking(token.clone(), None)).await.unwrap_err().code(),
                "R0406"
            );
            assert_eq!(store.stats(&of("u")).await.unwrap().ready, 2);
            assert_eq!(store.stats(&of("v")).await.unwrap().leased, 1);
            assert_eq!(store.dead(&of("u"), None, 9).await.unwrap().items, []);
            store.fail(&mail("2", "v"), token, "no").await.unwrap();
            assert_eq!(store.dead(&of("u"), None, 9).await.unwrap().items, []);
            assert_eq!(store.revive(&of("u"), None).await.unwrap(), 0);
            assert_eq!(store.revive(&of("v"), None).await.unwrap(), 1);
        });
    }
}

/// Leases last longer for as much, and nobody has what another one has.
#[test]
fn a_clock_that_steps_back_makes_no_second_holder() {
    for database in Database::all() {
        let clock = Set::new();
        let store = open(&database, &clock);
        block_on(async {
            put(&store, "a", None).await;
            put(&store, "b", None).await;
            let held = claim(&store, 1).await.remove(0);
            let later = claim(&store, 1).await.remove(0);
            store.retry(&job("b"), &later.token, 1_000, "").await.unwrap();
            clock.go(-3_600_000);
            assert_eq!(claim(&store, 9).await, []);
            put(&store, "c", None).await;
            assert_eq!(ids(&claim(&store, 9).await), ["c"]);
            assert!(store.extend(&job("a"), &held.token, None).await.unwrap() < held.lease_until_ms);
            clock.go(60_000);
            assert_eq!(ids(&claim(&store, 9).await), ["a", "c"]);
            clock.go(3_541_000);
            assert_eq!(ids(&claim(&store, 9).await), ["a", "b", "c"]);
        });
    }
}

#[test]
fn a_document_that_comes_back_is_the_message_it_was() {
    for database in Database::all() {
        let clock = Set::new();
        let store = open(&database, &clock);
        block_on(async {
            for id in ["done", "held", "new", "ready", "gone"] {
                put(&store, id, None).await;
            }
            let mut held = BTreeMap::new();
            for one in claim(&store, 2).await {
                held.insert(one.document.key.text().to_owned(), one.token);
            }
            store.ack(&job("done"), &held["done"]).await.unwrap();
            for id in ["done", "held", "ready", "gone"] {
                assert!(store.delete(&job(id), Precondition::Any).await.unwrap());
            }
            assert_eq!(stats(&store).await, [1, 0, 0, 0, 0]);
            fenced(&store.ack(&job("held"), &held["held"]).await.unwrap_err());
            // a new document of the same key is a new message, and makes room again
            put(&store, "done", None).await;
            assert_eq!(stats(&store).await, [2, 0, 0, 0, 0]);
            database.sql("delete from jobs where id = 'done'");
            for id in ["done", "held", "ready"] {
                store.restore(&job(id)).await.unwrap();
            }
            assert_eq!(stats(&store).await, [2, 1, 0, 1, 0]);
            store.ack(&job("held"), &held["held"]).await.unwrap();
            clock.go(86_400_001);
            assert_eq!(store.purge(clock.now_ms(), 10).await.unwrap(), 1);
            assert_eq!(ids(&claim(&store, 9).await).into_iter().collect::<BTreeSet<_>>().len(), 2);
            assert_eq!(counted(&database, "select count(*) from repot_queue where trash <> 0"), 0);
        });
    }
}

/// A number that SQL counts.
fn counted(database: &Database, sql: &str) -> i64 {
    match database {
        Database::Sqlite(folder) => {
            let connection = rusqlite::Connection::open(Database::file(folder)).unwrap();
            connection.query_row(sql, (), |row| row.get(0)).unwrap()
        }
        Database::Postgres(..) => database.ask(sql).trim().parse().unwrap(),
    }
}

/// A database that an older version made: its documents are messages once a store opened it.
#[test]
fn an_older_database_gets_its_messages() {
    const WITHOUT: &str = "queue       = { lease = \"60s\", tries = 3 }\n";
    let older = MODEL.replace(WITHOUT, "");
    assert_ne!(older, MODEL);
    for database in Database::all() {
        let before = database.open_as(model_of(&older));
        block_on(async {
            for id in ["b", "a"] {
                before.put(&job(id), format!("{{\"id\": \"{id}\"}}")).await.unwrap();
            }
        });
        drop(before);
        match database {
            Database::Sqlite(_) => {
                database.sql("drop trigger repot_queue_lines_insert; drop table repot_queue");
            }
            Database::Postgres(..) => {
                database.sql("drop trigger repot_queue_lines_insert on lines; drop table repot_queue");
            }
        }
        let store = open(&database, &Set::new());
        block_on(async {
            let first = claim(&store, 1).await;
            assert_eq!(ids(&first), ["b"]);
            store.ack(&job("b"), &first[0].token).await.unwrap();
        });
        drop(store);
        // what the triggers did not see meanwhile
        drop(database.open_as(model_of(&older)));
        database.sql("delete from jobs where id = 'a'");
        database.sql("insert into jobs (id) values ('c')");
        let store = open(&database, &Set::new());
        block_on(async {
            assert_eq!(stats(&store).await, [1, 0, 0, 1, 0]);
            assert_eq!(ids(&claim(&store, 9).await), ["c"]);
        });
        assert_eq!(counted(&database, "select count(*) from repot_queue"), 2);
    }
}

/// Files that are copied again, also with documents that the database refuses, so that all rows of a batch are put in
/// anew: messages stay as they were.
#[test]
fn a_copy_leaves_messages_as_they_are() {
    for database in Database::all() {
        let model = MODEL.replace("[jobs.fields]", "unique = [\"name\"]\n\n[jobs.fields]\nname = \"text?\"");
        let model = || model_of(&model);
        let files = Scripted::default();
        for id in ["a", "b", "c"] {
            files.put(&format!("jobs/{id}.json"), format!("{{\"id\": \"{id}\"}}"));
        }
        copy_of(&database, &files, model()).unwrap();
        let options = Database::options;
        let store = RowStore::open(database.target(), model(), options()).unwrap();
        let claimed = block_on(claim(&store, 2));
        assert_eq!(ids(&claimed), ["a", "b"]);
        block_on(store.ack(&job("a"), &claimed[0].token)).unwrap();
        drop(store);
        files.put("jobs/a.json", "{\"id\": \"a\", \"name\": \"x\"}");
        files.put("jobs/b.json", "{\"id\": \"b\", \"name\": \"y\"}");
        files.put("jobs/d.json", "{\"id\": \"d\", \"name\": \"x\"}");
        files.remove("jobs/c.json");
        copy_of(&database, &files, model()).unwrap();
        assert_eq!(counted(&database, "select count(*) from jobs"), 2);
        let store = RowStore::open(database.target(), model(), options()).unwrap();
        block_on(async {
            assert_eq!(stats(&store).await, [0, 1, 0, 1, 0]);
            store.ack(&job("b"), &claimed[1].token).await.unwrap();
        });
        assert_eq!(counted(&database, "select count(*) from repot_queue"), 2);
    }
}
