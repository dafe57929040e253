//! Facts beside documents, for stores that say they keep them: `repot_testkit::conformance_ledger!(sqlite, make())` makes one
//! test for each promise of [`Ledger`].

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use repot_core::store::{
    Change, DocumentKey, FACT_BYTES_MAX, Fact, FactChange, FactStep, FactValue, FactWhen, Ledger,
    LedgerExt as _, Pointer, Precondition, Store, StoreExt as _, UNIT_FACTS_MAX, UnitOfWork, Write,
};
use repot_core::{Clock as _, Error, Kind, Result};

use super::subject::{body, drive, note};
use crate::HandClock;

/// A store with facts under test, over [`super::layout`], empty at the beginning.
pub struct LedgerSubject {
    /// The store.
    pub store: Arc<dyn Store>,
    /// Another one over the same database, with the same clock.
    pub other: Arc<dyn Store>,
    /// The clock of both.
    pub clock: Arc<HandClock>,
    /// What must live as long as the stores.
    pub keep: Box<dyn Any + Send>,
}

impl fmt::Debug for LedgerSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.store)
    }
}

/// Runs one promise on a runtime of its own; without a subject (its server is missing, and that was printed) nothing.
///
/// # Panics
/// When the promise is broken.
pub fn run_ledger<F: Future<Output = ()>>(subject: Option<LedgerSubject>, promise: fn(LedgerSubject) -> F) {
    let Some(subject) = subject else { return };
    assert!(subject.store.capabilities().ledger);
    drive(promise(subject));
}

/// Makes one test for each promise of facts, in a module of this name.
#[macro_export]
macro_rules! conformance_ledger {
    ($name:ident, $make:expr) => {
        mod $name {
            $crate::conformance_ledger_tests! { $make;
                a_fact_is_noted_under_its_condition
                a_change_of_another_state_is_left_out
                facts_are_read_by_name
                a_version_is_of_one_state_only
                an_expired_fact_is_absent
                expired_facts_go_by_and_by
                facts_are_listed_by_kind_and_name
                improper_facts_are_refused
                facts_and_writes_happen_together
                a_write_that_fails_leaves_no_fact
                a_refused_fact_takes_back_a_change_of_a_part
                one_of_many_units_notes_a_fact
                decisions_of_many_count_exactly
                decisions_on_many_facts_stay_apart
                a_decision_that_fails_changes_nothing
                what_was_noted_is_there_for_others
                a_demand_that_does_not_hold_does_nothing
                a_demand_on_an_expired_fact_fails
                units_that_demand_one_fact_all_happen
                who_demands_in_vain_fails_alone
                a_change_comes_between_units_that_demand
                improper_demands_are_refused
                facts_are_counted
            }
        }
    };
}

/// One test for each name.
#[doc(hidden)]
#[macro_export]
macro_rules! conformance_ledger_tests {
    ($make:expr; $($promise:ident)*) => {
        $(
            #[test]
            fn $promise() {
                $crate::conformance::run_ledger(($make).into(), $crate::conformance::$promise);
            }
        )*
    };
}

pub(super) fn ledger(store: &Arc<dyn Store>) -> &dyn Ledger {
    store.ledger().expect("it says that it keeps facts")
}

pub(super) fn put(name: &str, value: &str) -> FactChange {
    FactChange::put("test", name, FactValue::lasting(value.to_owned()))
}

pub(super) async fn there(store: &Arc<dyn Store>, name: &str) -> Option<Fact> {
    ledger(store).fact("test", name).await.unwrap()
}

pub(super) async fn value(store: &Arc<dyn Store>, name: &str) -> Option<String> {
    there(store, name).await.map(|fact| String::from_utf8(fact.value.to_vec()).unwrap())
}

pub(super) fn fenced<T: fmt::Debug>(done: Result<T>) {
    let error = done.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Fenced, "R0401"), "{error}");
}

/// Any, absent, a version: what does not hold changes nothing.
pub async fn a_fact_is_noted_under_its_condition(subject: LedgerSubject) {
    let store = &subject.store;
    let facts = ledger(store);
    assert_eq!(there(store, "a").await, None);
    fenced(facts.note(put("a", "x").when(FactWhen::Version(1))).await);
    facts.note(FactChange::remove("test", "a")).await.unwrap();
    facts.note(put("a", "first").when(FactWhen::Absent)).await.unwrap();
    fenced(facts.note(put("a", "x").when(FactWhen::Absent)).await);
    let first = there(store, "a").await.unwrap();
    assert_eq!((&first.value[..], first.expires_ms), (&b"first"[..], None));
    facts.note(put("a", "second").when(FactWhen::Version(first.version))).await.unwrap();
    fenced(facts.note(put("a", "x").when(FactWhen::Version(first.version))).await);
    fenced(facts.note(FactChange::remove("test", "a").when(FactWhen::Version(first.version))).await);
    assert_eq!(value(store, "a").await.as_deref(), Some("second"));
    facts.note(put("a", "third")).await.unwrap();
    let third = there(store, "a").await.unwrap();
    facts.note(FactChange::remove("test", "a").when(FactWhen::Version(third.version))).await.unwrap();
    assert_eq!(there(store, "a").await, None);
}

/// What is to be changed only while it is still what it was is left alone where it is not, and all else happens.
pub async fn a_change_of_another_state_is_left_out(subject: LedgerSubject) {
    let store = &subject.store;
    for name in ["same", "goes", "other", "stays"] {
        ledger(store).note(put(name, "before")).await.unwrap();
    }
    let version = async |name: &str| FactWhen::Still(there(store, name).await.unwrap().version);
    let (same, goes) = (version("same").await, version("goes").await);
    let (other, stays) = (version("other").await, version("stays").await);
    for name in ["other", "stays"] {
        ledger(store).note(put(name, "meanwhile")).await.unwrap();
    }
    let remove = |name: &str, when| FactChange::remove("test", name).when(when);
    let unit = UnitOfWork::default()
        .with(write("a", Precondition::Absent))
        .noting(put("same", "after").when(same))
        .noting(remove("goes", goes))
        .noting(put("other", "after").when(other))
        .noting(remove("stays", stays))
        .noting(put("nothing", "after").when(same))
        .noting(put("plain", "after"));
    store.apply(unit).await.unwrap();
    assert!(store.exists(&note("a")).await.unwrap());
    let names = ["same", "goes", "other", "stays", "nothing", "plain"];
    let mut values = Vec::new();
    for name in names {
        values.push(value(store, name).await.unwrap_or_default());
    }
    assert_eq!(values, ["after", "", "meanwhile", "meanwhile", "", "after"]);
    // nor is one that expired still there
    subject.clock.turn(1);
    let expired = FactValue::until("x", subject.clock.now_ms() + 1);
    ledger(store).note(FactChange::put("test", "goes", expired)).await.unwrap();
    let goes = version("goes").await;
    subject.clock.turn(1);
    ledger(store).note(put("goes", "after").when(goes)).await.unwrap();
    assert_eq!(value(store, "goes").await, None);
}

/// Those that are there, whatever their kind.
pub async fn facts_are_read_by_name(subject: LedgerSubject) {
    let facts = ledger(&subject.store);
    let end = FactValue::until("x", subject.clock.now_ms() + 1);
    for (kind, name) in [("one", "a"), ("one", "b"), ("other", "a"), ("other", "c")] {
        facts.note(FactChange::put(kind, name, FactValue::lasting(format!("{kind} {name}")))).await.unwrap();
    }
    facts.note(FactChange::put("one", "over", end)).await.unwrap();
    subject.clock.turn(1);
    let wanted =
        [("one", "a"), ("other", "a"), ("other", "b"), ("one", "c"), ("other", "c"), ("one", "over")];
    let mut found = facts.named(&wanted).await.unwrap();
    found.sort_by_key(|fact| fact.value.clone());
    let found: Vec<&[u8]> = found.iter().map(|fact| &fact.value[..]).collect();
    assert_eq!(found, [&b"one a"[..], b"other a", b"other c"]);
    assert_eq!(facts.named(&[]).await.unwrap(), []);
    assert_eq!(facts.named(&[("one", "")]).await.unwrap_err().code(), "R0403");
}

/// A fact that went and came back is not what somebody read before.
pub async fn a_version_is_of_one_state_only(subject: LedgerSubject) {
    let facts = ledger(&subject.store);
    let mut versions = Vec::new();
    for at in 0..5 {
        facts.note(put("a", "same")).await.unwrap();
        let first = there(&subject.store, "a").await.unwrap().version;
        facts.note(put("a", "same")).await.unwrap();
        versions.extend([first, there(&subject.store, "a").await.unwrap().version]);
        if at % 2 == 0 {
            facts.note(FactChange::remove("test", "a")).await.unwrap();
        }
    }
    let old = versions[0];
    assert!(versions.is_sorted(), "{versions:?}");
    versions.dedup();
    assert_eq!(versions.len(), 10);
    fenced(facts.note(put("a", "x").when(FactWhen::Version(old))).await);
}

/// From its time on a fact is not read, not listed, no condition finds it, and a new one may take its place.
pub async fn an_expired_fact_is_absent(subject: LedgerSubject) {
    let (store, clock) = (&subject.store, &subject.clock);
    let facts = ledger(store);
    let until = |value: &str, expires_ms| {
        FactChange::put("test", "a", FactValue::until(value.to_owned(), expires_ms))
    };
    let end = clock.now_ms() + 1_000;
    facts.note(until("first", end)).await.unwrap();
    clock.turn(999);
    let first = there(store, "a").await.unwrap();
    assert_eq!(first.expires_ms, Some(end));
    fenced(facts.note(put("a", "x").when(FactWhen::Absent)).await);
    clock.turn(1);
    assert_eq!(there(store, "a").await, None);
    assert_eq!(facts.facts("test", None, 10).await.unwrap(), []);
    fenced(facts.note(put("a", "x").when(FactWhen::Version(first.version))).await);
    fenced(facts.note(FactChange::remove("test", "a").when(FactWhen::Version(first.version))).await);
    let seen = facts.decide("test", "a", |there| Ok((FactStep::Keep, there.cloned()))).await.unwrap();
    assert_eq!(seen, None);
    facts.note(until("second", end + 1_000).when(FactWhen::Absent)).await.unwrap();
    assert_eq!(value(store, "a").await.as_deref(), Some("second"));
    // a clock that is set back brings nothing back that was replaced
    clock.turn(-500);
    assert_eq!(value(store, "a").await.as_deref(), Some("second"));
}

/// What expired goes, a bounded part at a time; what lasts or was renewed stays.
pub async fn expired_facts_go_by_and_by(subject: LedgerSubject) {
    let facts = ledger(&subject.store);
    let now_ms = subject.clock.now_ms();
    let fact =
        |at: usize, expires_ms| FactChange::put("old", &at.to_string(), FactValue::until("x", expires_ms));
    for start in (0..1_100).step_by(UNIT_FACTS_MAX) {
        let unit = (start..start + UNIT_FACTS_MAX)
            .fold(UnitOfWork::default(), |unit, at| unit.noting(fact(at, now_ms)));
        subject.store.apply(unit).await.unwrap();
    }
    facts.note(fact(5, now_ms + 1)).await.unwrap();
    facts.note(put("lasting", "x")).await.unwrap();
    assert_eq!(facts.prune_facts(now_ms - 1).await.unwrap(), 0);
    let mut gone = Vec::new();
    while gone.last() != Some(&0) {
        gone.push(facts.prune_facts(now_ms).await.unwrap());
    }
    // the store may have begun by itself
    assert!(gone.iter().sum::<usize>() <= 1_099 && gone.iter().all(|&count| count <= 1_000), "{gone:?}");
    let left = facts.facts("old", None, 10).await.unwrap();
    assert_eq!(left.iter().map(|fact| fact.name.as_str()).collect::<Vec<_>>(), ["5"]);
    assert!(there(&subject.store, "lasting").await.is_some());
}

/// Byte order, page by page, no other kind.
pub async fn facts_are_listed_by_kind_and_name(subject: LedgerSubject) {
    let facts = ledger(&subject.store);
    let mut names = ["b", "a", "B", "ä", "a b", "ab", "z\u{1F600}", "%", "_", "'", "\"; drop table notes"];
    for name in names {
        facts.note(put(name, name)).await.unwrap();
        facts.note(FactChange::put("tes", name, FactValue::lasting("other"))).await.unwrap();
    }
    names.sort_unstable();
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let page = facts.facts("test", after.as_deref(), 2).await.unwrap();
        assert!(page.iter().all(|fact| fact.kind == "test" && fact.value == fact.name.as_bytes()));
        listed.extend(page.iter().map(|fact| fact.name.clone()));
        if page.len() < 2 {
            break;
        }
        after = page.into_iter().last().map(|fact| fact.name);
    }
    assert_eq!(listed, names);
}

/// What cannot be held is refused before anything happens.
pub async fn improper_facts_are_refused(subject: LedgerSubject) {
    let facts = ledger(&subject.store);
    let large = |bytes: usize| FactChange::put("test", "large", FactValue::lasting(vec![7; bytes]));
    let many =
        (0..=UNIT_FACTS_MAX).fold(UnitOfWork::default(), |unit, at| unit.noting(put(&at.to_string(), "x")));
    let twice = UnitOfWork::default().noting(put("a", "x")).noting(FactChange::remove("test", "a"));
    for done in [
        facts.note(put("", "x")).await,
        facts.note(FactChange::put("", "a", FactValue::lasting("x"))).await,
        facts.note(put("nul\0", "x")).await,
        facts.note(put(&"n".repeat(1_001), "x")).await,
        facts.note(FactChange::remove("test", "a").when(FactWhen::Absent)).await,
        facts.note(large(FACT_BYTES_MAX + 1)).await,
        subject.store.apply(many).await.map(drop),
        subject.store.apply(twice).await.map(drop),
        facts.fact("test", "").await.map(drop),
        facts.decide("", "a", |_| Ok((FactStep::Keep, ()))).await,
    ] {
        let error = done.unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Invalid, "R0403"), "{error}");
    }
    assert_eq!(facts.facts("test", None, 10).await.unwrap(), []);
    facts.note(large(FACT_BYTES_MAX)).await.unwrap();
    assert_eq!(there(&subject.store, "large").await.unwrap().value.len(), FACT_BYTES_MAX);
}

pub(super) fn write(id: &str, when: Precondition) -> Write {
    Write::Put { key: note(id), body: body(id, "x").into(), when }
}

/// A unit of work does its writes and notes its facts, or neither; either may be missing.
pub async fn facts_and_writes_happen_together(subject: LedgerSubject) {
    let store = &subject.store;
    let both = UnitOfWork::default()
        .with(write("a", Precondition::Absent))
        .noting(put("a", "1").when(FactWhen::Absent))
        .noting(put("b", "1"));
    assert_eq!(store.apply(both).await.unwrap().written.len(), 1);
    assert_eq!((value(store, "a").await, value(store, "b").await), (Some("1".into()), Some("1".into())));
    let unit = UnitOfWork::default()
        .with(write("c", Precondition::Any))
        .with(Write::Delete { key: note("a"), when: Precondition::Any })
        .noting(put("b", "2"))
        .noting(put("a", "2").when(FactWhen::Absent));
    fenced(store.apply(unit).await);
    assert!(store.exists(&note("a")).await.unwrap() && !store.exists(&note("c")).await.unwrap());
    assert_eq!(value(store, "b").await.as_deref(), Some("1"));
    // a write that leaves all as it is, and none at all
    let unit = UnitOfWork::default().with(write("a", Precondition::Any)).noting(put("c", "3"));
    store.apply(unit).await.unwrap();
    store.apply(UnitOfWork::default().noting(put("d", "3"))).await.unwrap();
    assert_eq!((value(store, "c").await, value(store, "d").await), (Some("3".into()), Some("3".into())));
}

/// A precondition that does not hold, a document that the database refuses: nothing is noted.
pub async fn a_write_that_fails_leaves_no_fact(subject: LedgerSubject) {
    let store = &subject.store;
    ledger(store).note(put("a", "1")).await.unwrap();
    let noting = |unit: UnitOfWork| unit.noting(put("a", "2")).noting(put("b", "2").when(FactWhen::Absent));
    store.apply(UnitOfWork::default().with(write("a", Precondition::Absent))).await.unwrap();
    let unit =
        UnitOfWork::default().with(write("c", Precondition::Any)).with(write("a", Precondition::Absent));
    assert_eq!(store.apply(noting(unit)).await.unwrap_err().code(), "R0401");
    let chat = |tenant: &str| Write::Put {
        key: DocumentKey::new("chats", "same").in_tenant(tenant),
        body: format!(r#"{{"id": "same", "user_id": "{tenant}"}}"#).into(),
        when: Precondition::Any,
    };
    store.apply(UnitOfWork::default().with(chat("u1"))).await.unwrap();
    let refused = store.apply(noting(UnitOfWork::default().with(chat("u2")))).await;
    assert_eq!(refused.unwrap_err().code(), "R0203");
    assert_eq!((value(store, "a").await.as_deref(), value(store, "b").await), (Some("1"), None));
}

/// Also where many changes of one document are made together.
pub async fn a_refused_fact_takes_back_a_change_of_a_part(subject: LedgerSubject) {
    let store = &subject.store;
    store.put(&note("a"), r#"{"id": "a", "marks": []}"#).await.unwrap();
    let append = |at: usize| {
        let change = Change::Append {
            list: Pointer::parse("/marks").unwrap(),
            element: format!(r#"{{"word": "{at}"}}"#).into(),
        };
        Write::Patch { key: note("a"), change, when: Precondition::Any }
    };
    let tasks: Vec<_> = (0..32)
        .map(|at| {
            let store = Arc::clone(store);
            let unit = UnitOfWork::default().with(append(at));
            // of each four, three note the same fact, which must not be there, and one notes none
            let unit = if at % 4 == 0 {
                unit
            } else {
                unit.noting(put(&(at / 4).to_string(), "x").when(FactWhen::Absent))
            };
            tokio::spawn(async move { store.apply(unit).await.is_ok() })
        })
        .collect();
    let mut done = Vec::new();
    for task in tasks {
        done.push(task.await.unwrap());
    }
    let read = store.require(&note("a")).await.unwrap().body;
    let text = std::str::from_utf8(&read).unwrap();
    for (at, &was_done) in done.iter().enumerate() {
        assert_eq!(text.contains(&format!("\"{at}\"")), was_done, "{at}: {text}");
    }
    for four in done.chunks(4) {
        assert_eq!((four[0], four.iter().filter(|&&done| done).count()), (true, 2), "{done:?}");
    }
}

/// Of many units that note a fact where there is none, one is done, with its write; the others leave nothing.
pub async fn one_of_many_units_notes_a_fact(subject: LedgerSubject) {
    let tasks: Vec<_> = (0..64)
        .map(|at| {
            let store = Arc::clone(if at % 2 == 0 { &subject.store } else { &subject.other });
            let unit = UnitOfWork::default()
                .with(write(&format!("n{at}"), Precondition::Any))
                .noting(put("once", &at.to_string()).when(FactWhen::Absent));
            tokio::spawn(async move { store.apply(unit).await })
        })
        .collect();
    let mut winners = Vec::new();
    for (at, task) in tasks.into_iter().enumerate() {
        match task.await.unwrap() {
            Ok(_) => winners.push(at),
            refused => fenced(refused),
        }
    }
    let [winner] = winners.as_slice() else { panic!("{winners:?} were done") };
    assert_eq!(value(&subject.store, "once").await, Some(winner.to_string()));
    for at in 0..64 {
        assert_eq!(subject.store.exists(&note(&format!("n{at}"))).await.unwrap(), at == *winner, "{at}");
    }
}

fn add(there: Option<&Fact>) -> Result<(FactStep, usize)> {
    let count: usize = there.map_or(0, |fact| std::str::from_utf8(&fact.value).unwrap().parse().unwrap());
    Ok((FactStep::Put(FactValue::lasting((count + 1).to_string())), count + 1))
}

/// 64 callers of two stores count on one fact that is not there at first: each number is given once.
pub async fn decisions_of_many_count_exactly(subject: LedgerSubject) {
    const TIMES: usize = 4;
    let tasks: Vec<_> = (0..64)
        .map(|at| {
            let store = Arc::clone(if at % 2 == 0 { &subject.store } else { &subject.other });
            tokio::spawn(async move {
                let mut given = Vec::new();
                for _ in 0..TIMES {
                    given.push(ledger(&store).decide("test", "count", add).await.unwrap());
                }
                given
            })
        })
        .collect();
    let mut given = Vec::new();
    for task in tasks {
        given.extend(task.await.unwrap());
    }
    given.sort_unstable();
    assert_eq!(given, (1..=64 * TIMES).collect::<Vec<_>>());
    assert_eq!(value(&subject.other, "count").await, Some((64 * TIMES).to_string()));
}

/// Many decide on several facts at once: each fails or counts by itself.
pub async fn decisions_on_many_facts_stay_apart(subject: LedgerSubject) {
    let tasks: Vec<_> = (0..128)
        .map(|at| {
            let store = Arc::clone(if at % 2 == 0 { &subject.store } else { &subject.other });
            tokio::spawn(async move {
                let fail = || Error::new(Kind::Refused, "R0408", "the caller's own");
                let edit = move |there: Option<&Fact>| if at % 5 == 0 { Err(fail()) } else { add(there) };
                ledger(&store).decide("test", &(at % 7).to_string(), edit).await
            })
        })
        .collect();
    let mut given = vec![Vec::new(); 7];
    for (at, task) in tasks.into_iter().enumerate() {
        match task.await.unwrap() {
            Ok(number) => given[at % 7].push(number),
            Err(error) => assert_eq!((at % 5, error.code()), (0, "R0408")),
        }
    }
    for (name, mut given) in given.into_iter().enumerate() {
        given.sort_unstable();
        let count = (0..128).filter(|at| at % 7 == name && at % 5 != 0).count();
        assert_eq!(given, (1..=count).collect::<Vec<_>>());
        assert_eq!(value(&subject.store, &name.to_string()).await, Some(count.to_string()));
    }
}

/// An error, a panic, a value that cannot be held, a decision to leave it: the fact stays, and others go on.
pub async fn a_decision_that_fails_changes_nothing(subject: LedgerSubject) {
    let facts = ledger(&subject.store);
    for name in ["there", "absent"] {
        if name == "there" {
            facts.note(put(name, "1")).await.unwrap();
        }
        let before = there(&subject.store, name).await;
        let own = facts
            .decide::<(), _>("test", name, |_| Err(Error::new(Kind::Refused, "R0408", "the caller's own")))
            .await;
        let large = || FactStep::Put(FactValue::lasting(vec![0; FACT_BYTES_MAX + 1]));
        let large = facts.decide("test", name, move |_| Ok((large(), ()))).await;
        let panicked = facts.decide::<(), _>("test", name, |_| panic!("on purpose")).await;
        let codes = [own, large, panicked].map(|done| done.unwrap_err().code());
        assert_eq!(codes, ["R0408", "R0403", "R0901"]);
        facts.decide("test", name, |_| Ok((FactStep::Keep, ()))).await.unwrap();
        assert_eq!(there(&subject.store, name).await, before);
        assert_eq!(facts.facts("test", None, 10).await.unwrap().len(), 1);
        facts.decide("test", name, |_| Ok((FactStep::Remove, ()))).await.unwrap();
        assert_eq!(there(&subject.store, name).await, None);
        facts.note(put("there", "1")).await.unwrap();
    }
}

/// What one store noted the other reads, decides on, and is bound by.
pub async fn what_was_noted_is_there_for_others(subject: LedgerSubject) {
    let (one, other) = (&subject.store, &subject.other);
    ledger(one).note(put("a", "1").when(FactWhen::Absent)).await.unwrap();
    fenced(ledger(other).note(put("a", "2").when(FactWhen::Absent)).await);
    let read = there(other, "a").await.unwrap();
    assert_eq!(ledger(other).decide("test", "a", add).await.unwrap(), 2);
    fenced(ledger(one).note(put("a", "9").when(FactWhen::Version(read.version))).await);
    assert_eq!(value(one, "a").await.as_deref(), Some("2"));
    let unit =
        UnitOfWork::default().with(write("a", Precondition::Any)).noting(FactChange::remove("test", "a"));
    one.apply(unit).await.unwrap();
    assert_eq!(there(other, "a").await, None);
}
