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

/// Of all 36 pairs of states exactly those that the model lists are changes that pass, whether the document is put
/// whole or in part; what is refused changes nothing and says what would be allowed.
pub async fn only_the_changes_of_the_state_machine_pass(subject: Subject) {
    let store = subject.store;
    if !can_look_back(&store) {
        let error = store.put(&job("a"), r#"{"id": "a"}"#).await.unwrap_err();
        return assert_eq!((error.kind(), error.code()), (Kind::Unsupported, "R0405"), "{error}");
    }
    for whole in [true, false] {
        let mut passed = Vec::new();
        for from in STATES {
            for to in STATES {
                let key = job(&format!("{from}-{to}-{whole}"));
                let text = |status: &str| format!(r#"{{"id": "{}", "status": "{status}"}}"#, key.text());
                let was = store.create(&key, text(from)).await.unwrap();
                let body = store.require(&key).await.unwrap().body;
                let done = if whole {
                    let text = String::from_utf8(body.to_vec()).unwrap();
                    let text = text.replace(&format!(r#""{from}""#), &format!(r#""{to}""#));
                    store.replace(&key, text, &was).await
                } else {
                    let value = format!("\"{to}\"").into();
                    store.change(&key, Change::Set { at: at("/status"), value }, Precondition::Any).await
                };
                match done {
                    Ok(_) if from == to => {}
                    Ok(_) => passed.push((from, to)),
                    Err(error) => {
                        assert_eq!((error.kind(), error.code()), (Kind::Conflict, "R0410"), "{error}");
                        assert!(error.message().contains(&format!("{from} -> {to}")), "{error}");
                        assert_eq!(error.problems()[0].pointer, "/status");
                        let read = store.require(&key).await.unwrap();
                        assert_eq!((read.etag, read.body), (was, body), "{from} -> {to}");
                        continue;
                    }
                }
                assert_eq!(part(&store, &key, "/status").await, Some(format!("\"{to}\"")));
            }
        }
        let (mut passed, mut allowed) = (passed, ALLOWED.to_vec());
        passed.sort_unstable();
        allowed.sort_unstable();
        assert_eq!(passed, allowed, "whole: {whole}");
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

/// A new document, and a new row in one, gets what the model says where it says nothing; its own values stay.
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
    let own = r#"{"id":"b","status":"paused","priority":0,"created_at":"2024-01-01T00:00:00Z","updated_at":"2024-01-01T00:00:00Z"}"#;
    store.put(&job("b"), own).await.unwrap();
    assert_eq!(store.require(&job("b")).await.unwrap().body, own);
    let change = Change::Append { list: at("/steps"), element: r#"{"id":"s"}"#.into() };
    store.change(&job("b"), change, Precondition::Any).await.unwrap();
    assert_eq!(part(&store, &job("b"), "/steps").await.unwrap(), r#"[{"id":"s","state":"open"}]"#);
    // what is there already is not filled in later
    let bare = r#"{"id":"b","steps":[{"id":"s"}],"updated_at":null,"status":"paused"}"#;
    let error = store.put(&job("b"), bare).await;
    assert!(error.is_ok(), "{error:?}");
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
