//! Rules of the model: state machines, defaults, times of writes, all problems at once, required `ETags`.

use std::sync::Arc;

use repot_core::Kind;
use repot_core::store::{Change, DocumentKey, ETag, Pointer, Precondition, Store, StoreExt as _};
use repot_model::plan::time::parse_time;

use super::subject::Subject;

/// The words of a job's status.
pub const STATES: [&str; 6] = ["queued", "running", "paused", "completed", "failed", "cancelled"];

/// The changes of a job's status that the suite's model allows.
pub const ALLOWED: [(&str, &str); 9] = [
    ("queued", "running"),
    ("queued", "cancelled"),
    ("running", "completed"),
    ("running", "failed"),
    ("running", "paused"),
    ("failed", "queued"),
    ("failed", "cancelled"),
    ("paused", "running"),
    ("paused", "cancelled"),
];

fn job(id: &str) -> DocumentKey {
    DocumentKey::new("jobs", id)
}

fn ledger(id: &str) -> DocumentKey {
    DocumentKey::new("ledgers", id)
}

fn at(pointer: &str) -> Pointer {
    Pointer::parse(pointer).unwrap()
}

/// Changes of parts, and rules that look back, need conditional writes.
fn can_look_back(store: &Arc<dyn Store>) -> bool {
    store.capabilities().conditional_put
}

async fn part(store: &Arc<dyn Store>, key: &DocumentKey, pointer: &str) -> Option<String> {
    let part = store.get_part(key, pointer).await.unwrap()?;
    Some(String::from_utf8(part.to_vec()).unwrap())
}

/// Changes the state of a fresh job, putting it whole or in part. What is refused says so and changes nothing.
async fn passes(store: &Arc<dyn Store>, (from, to): (&str, &str), whole: bool) -> bool {
    let key = job(&format!("{from}-{to}-{whole}"));
    let text = format!(r#"{{"id": "{}", "status": "{from}"}}"#, key.text());
    let was = store.create(&key, text).await.unwrap();
    let body = store.require(&key).await.unwrap().body;
    let done = if whole {
        let text = String::from_utf8(body.to_vec()).unwrap();
        let text = text.replace(&format!(r#""{from}""#), &format!(r#""{to}""#));
        store.replace(&key, text, &was).await
    } else {
        let value = format!("\"{to}\"").into();
        store.change(&key, Change::Set { at: at("/status"), value }, Precondition::Any).await
    };
    let Err(error) = done else {
        assert_eq!(part(store, &key, "/status").await, Some(format!("\"{to}\"")));
        return true;
    };
    assert_eq!((error.kind(), error.code()), (Kind::Conflict, "R0410"), "{error}");
    assert!(error.message().contains(&format!("{from} -> {to}")), "{error}");
    assert_eq!(error.problems()[0].pointer, "/status");
    let read = store.require(&key).await.unwrap();
    assert_eq!((read.etag, read.body), (was, body), "{from} -> {to}");
    false
}

/// Of all 36 pairs of states exactly those that the model lists are changes that pass, whether the document is put
/// whole or in part.
pub async fn only_the_changes_of_the_state_machine_pass(subject: Subject) {
    let store = subject.store;
    if !can_look_back(&store) {
        let error = store.put(&job("a"), r#"{"id": "a"}"#).await.unwrap_err();
        return assert_eq!((error.kind(), error.code()), (Kind::Unsupported, "R0405"), "{error}");
    }
    let mut allowed = ALLOWED.to_vec();
    allowed.sort_unstable();
    for whole in [true, false] {
        let mut passed = Vec::new();
        for pair in STATES.iter().flat_map(|from| STATES.iter().map(move |to| (*from, *to))) {
            let passes = passes(&store, pair, whole).await;
            // a state that stays is no change
            assert!(passes || pair.0 != pair.1, "{pair:?}");
            passed.extend(Some(pair).filter(|pair| passes && pair.0 != pair.1));
        }
        passed.sort_unstable();
        assert_eq!(passed, allowed, "whole: {whole}");
    }
}

/// Writers who say no precondition are held to the state that is there when they write, not to one that they, or the
/// store for them, read before: of two changes that exclude each other one kind alone succeeds.
pub async fn states_hold_among_many_writers(subject: Subject) {
    let store = subject.store;
    if !can_look_back(&store) {
        return;
    }
    for round in 0..8 {
        let id = format!("j{round}");
        let text = move |status: &str, by: usize| {
            format!(r#"{{"id": "j{round}", "status": "{status}", "by": {by}}}"#)
        };
        store.create(&job(&id), text("queued", 0)).await.unwrap();
        let tasks: Vec<_> = (0..8)
            .map(|at| {
                let (store, key) = (Arc::clone(&store), job(&id));
                let status = ["running", "cancelled"][at % 2];
                tokio::spawn(async move { (status, store.put(&key, text(status, at)).await) })
            })
            .collect();
        let mut passed = Vec::new();
        for task in tasks {
            match task.await.unwrap() {
                (status, Ok(_)) => passed.push(status),
                (_, Err(error)) => assert_eq!(error.code(), "R0410", "{error}"),
            }
        }
        assert_eq!(passed.len(), 4, "{passed:?}");
        let ends = part(&store, &job(&id), "/status").await.unwrap();
        assert!(passed.iter().all(|status| ends == format!("\"{status}\"")), "{passed:?}, {ends}");
    }
}

/// Rows inside of a document are held to their state machine by their key, wherever they stand in the list.
pub async fn rows_inside_documents_have_states_too(subject: Subject) {
    let store = subject.store;
    if !can_look_back(&store) {
        return;
    }
    let text = |steps: &[(&str, &str)]| {
        let steps: Vec<String> =
            steps.iter().map(|(id, state)| format!(r#"{{"id": "{id}", "state": "{state}"}}"#)).collect();
        format!(r#"{{"id": "j", "steps": [{}]}}"#, steps.join(", "))
    };
    store.put(&job("j"), text(&[("a", "open"), ("b", "done")])).await.unwrap();
    // another order, and a new one that begins where it likes
    store.put(&job("j"), text(&[("b", "done"), ("c", "done"), ("a", "done")])).await.unwrap();
    let error = store.put(&job("j"), text(&[("a", "open"), ("b", "open"), ("c", "done")])).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Conflict, "R0410"), "{error}");
    let pointers: Vec<&str> = error.problems().iter().map(|problem| problem.pointer.as_str()).collect();
    assert_eq!(pointers, ["/steps/0/state", "/steps/1/state"]);
    // what is taken out and comes back is new
    store.put(&job("j"), text(&[("a", "done")])).await.unwrap();
    store.put(&job("j"), text(&[("a", "done"), ("b", "open")])).await.unwrap();
}

/// A new document gets what the model says where it says nothing, in its own formatting.
pub async fn what_a_new_document_lacks_is_filled_in(subject: Subject) {
    let store = subject.store;
    if !can_look_back(&store) {
        return;
    }
    let etag = store.create(&job("a"), "{\n  \"id\": \"a\",\n  \"odd\": 1.10\n}\n").await.unwrap();
    let read = store.require(&job("a")).await.unwrap();
    assert_eq!(read.etag, etag);
    let text = String::from_utf8(read.body.to_vec()).unwrap();
    let begin = "{\n  \"id\": \"a\",\n  \"odd\": 1.10,\n  \"status\": \"queued\",\n  \"priority\": 5,\n  \"created_at\": \"";
    assert!(text.starts_with(begin) && text.ends_with("\"\n}\n"), "{text}");
    for field in ["/created_at", "/updated_at"] {
        let time = part(&store, &job("a"), field).await.unwrap();
        assert!(parse_time(time.trim_matches('"')).is_some() && time.ends_with("Z\""), "{time}");
    }
}

/// Values of its own stay, and what was there already is not filled in later; a new row in it is.
pub async fn what_is_there_already_is_not_filled_in(subject: Subject) {
    let store = subject.store;
    if !can_look_back(&store) {
        return;
    }
    let own = r#"{"id":"b","status":"paused","priority":0,"created_at":"2024-01-01T00:00:00Z","updated_at":"2024-01-01T00:00:00Z"}"#;
    store.put(&job("b"), own).await.unwrap();
    assert_eq!(store.require(&job("b")).await.unwrap().body, own);
    let change = Change::Append { list: at("/steps"), element: r#"{"id":"s"}"#.into() };
    store.change(&job("b"), change, Precondition::Any).await.unwrap();
    assert_eq!(part(&store, &job("b"), "/steps").await.unwrap(), r#"[{"id":"s","state":"open"}]"#);
    let bare = r#"{"id":"b","steps":[{"id":"s"}],"updated_at":null,"status":"paused"}"#;
    store.put(&job("b"), bare).await.unwrap();
    assert_eq!(part(&store, &job("b"), "/priority").await, None);
    assert_eq!(part(&store, &job("b"), "/steps/0/state").await, None);
}

/// `now on write` is set by each write that changes the document, in the spelling that is there; not by one that
/// changes nothing, and not where the write sets the field itself.
pub async fn times_of_writes_follow_each_change(subject: Subject) {
    let store = subject.store;
    if !can_look_back(&store) {
        return;
    }
    let text = |priority: u32, updated: &str| {
        format!(
            "{{\"id\": \"a\", \"status\": \"queued\", \"priority\": {priority}, \"created_at\": \"2020-01-01T00:00:00Z\", \"updated_at\": \"{updated}\"}}"
        )
    };
    let old = "2020-01-01 00:00:00.000000+01:00";
    store.put(&job("a"), text(1, old)).await.unwrap();
    store.put(&job("a"), text(1, old)).await.unwrap();
    assert_eq!(store.require(&job("a")).await.unwrap().body, text(1, old), "nothing changed");
    store.put(&job("a"), text(2, old)).await.unwrap();
    let now = part(&store, &job("a"), "/updated_at").await.unwrap();
    let now = now.trim_matches('"');
    assert!(now > old && now.len() == old.len() && now.ends_with("+01:00"), "{now}");
    assert_eq!(store.require(&job("a")).await.unwrap().body, text(2, now), "nothing else changed");
    let own = "2030-05-05 00:00:00.000000+01:00";
    store.put(&job("a"), text(3, own)).await.unwrap();
    assert_eq!(store.require(&job("a")).await.unwrap().body, text(3, own), "the write sets it");
}

/// Everything that is wrong with a document is said at once, each with its place and code.
pub async fn all_problems_are_named_at_once(subject: Subject) {
    let store = subject.store;
    let text =
        "{\n  \"id\": \"a\",\n  \"name\": \"too long\",\n  \"kind\": \"up\",\n  \"ä\": {},\n  \"more\": 1\n}";
    let error = store.create(&ledger("a"), text).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Invalid, "R0404"), "{error}");
    let found: Vec<(&str, &str, usize, usize)> = error
        .problems()
        .iter()
        .map(|problem| (problem.code, problem.pointer.as_str(), problem.line, problem.column))
        .collect();
    assert_eq!(
        found,
        [
            ("R0312", "/total", 1, 1),
            ("R0311", "/name", 3, 11),
            ("R0313", "/kind", 4, 11),
            ("R0315", "/ä", 5, 8),
            ("R0315", "/more", 6, 11),
        ]
    );
    assert_eq!(error.details().len(), 5);
    assert_eq!(store.get(&ledger("a")).await.unwrap(), None);
}

/// Where the model demands it, each write says what it expects to find.
pub async fn a_required_etag_is_demanded(subject: Subject) {
    let store = subject.store;
    let text = |total: u32| format!(r#"{{"id": "a", "total": {total}}}"#);
    let refused = |done: repot_core::Result<()>| {
        let error = done.unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Invalid, "R0416"), "{error}");
    };
    refused(store.put(&ledger("a"), text(1)).await.map(drop));
    assert_eq!(store.get(&ledger("a")).await.unwrap(), None);
    if !can_look_back(&store) || !store.capabilities().conditional_delete {
        return;
    }
    let etag: ETag = store.create(&ledger("a"), text(1)).await.unwrap();
    let set = Change::Set { at: at("/total"), value: "2".into() };
    refused(store.put(&ledger("a"), text(2)).await.map(drop));
    refused(store.change(&ledger("a"), set.clone(), Precondition::Any).await.map(drop));
    refused(store.delete(&ledger("a"), Precondition::Any).await.map(drop));
    assert_eq!(store.require(&ledger("a")).await.unwrap().body, text(1));
    let etag = store.replace(&ledger("a"), text(2), &etag).await.unwrap();
    let etag = store
        .change(
            &ledger("a"),
            Change::Set { at: at("/total"), value: "3".into() },
            Precondition::Matches(etag),
        )
        .await
        .unwrap();
    assert!(store.delete(&ledger("a"), Precondition::Matches(etag)).await.unwrap());
}
