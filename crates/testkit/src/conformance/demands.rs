//! Units of work that demand facts, for the suite of [`super::ledger()`].

use std::sync::Arc;

use repot_core::store::{
    Change, FactChange, FactDemand, FactValue, FactWhen, Pointer, Precondition, Store, StoreExt as _,
    UNIT_FACTS_MAX, UnitOfWork, Write,
};
use repot_core::{Clock as _, Kind};

use super::ledger::{LedgerSubject, fenced, ledger, put, there, value, write};
use super::subject::note;

/// The fact as it is, noted with this value.
async fn noted(store: &Arc<dyn Store>, name: &str) -> FactDemand {
    ledger(store).note(put(name, "1")).await.unwrap();
    FactDemand::of(&there(store, name).await.unwrap())
}

fn writing(id: &str) -> UnitOfWork {
    UnitOfWork::default().with(write(id, Precondition::Any))
}

/// Where it holds everything is done and the fact stays as it is; where it does not, nothing is. A demand may stand alone.
pub async fn a_demand_that_does_not_hold_does_nothing(subject: LedgerSubject) {
    let (store, facts) = (&subject.store, ledger(&subject.store));
    let first = noted(store, "lead").await;
    let unit = |id: &str| writing(id).noting(put(id, "x"));
    store.apply(unit("a").demanding(first.clone())).await.unwrap();
    store.require(&note("a")).await.unwrap();
    assert_eq!(there(store, "lead").await.unwrap().version, first.version);
    facts.note(put("lead", "1")).await.unwrap();
    let second = FactDemand::of(&there(store, "lead").await.unwrap());
    let absent = FactDemand { name: "absent".to_owned(), ..second.clone() };
    let other = FactDemand { kind: "other".to_owned(), ..second.clone() };
    for wrong in [first, absent, other] {
        for around in [
            unit("b"),
            // one of several is enough
            unit("b").demanding(noted(store, "right").await),
            UnitOfWork::default(),
            UnitOfWork::default().noting(put("b", "x")),
        ] {
            fenced(store.apply(around.demanding(wrong.clone())).await);
        }
    }
    assert_eq!((store.get(&note("b")).await.unwrap(), there(store, "b").await), (None, None));
    store.apply(UnitOfWork::default().demanding(second.clone())).await.unwrap();
    facts.note(FactChange::remove("test", "lead")).await.unwrap();
    fenced(store.apply(unit("b").demanding(second)).await);
}

/// By the store's clock, as for everything else that is asked of a fact.
pub async fn a_demand_on_an_expired_fact_fails(subject: LedgerSubject) {
    let (store, clock) = (&subject.store, &subject.clock);
    let until = FactValue::until("x", clock.now_ms() + 1_000);
    ledger(store).note(FactChange::put("test", "lease", until)).await.unwrap();
    let demand = FactDemand::of(&there(store, "lease").await.unwrap());
    clock.turn(999);
    store.apply(writing("a").demanding(demand.clone())).await.unwrap();
    clock.turn(1);
    fenced(store.apply(writing("b").demanding(demand)).await);
    assert!(!store.exists(&note("b")).await.unwrap());
}

/// Many at the same time, of two stores: what each demands of one fact keeps none of the others from it.
pub async fn units_that_demand_one_fact_all_happen(subject: LedgerSubject) {
    let demand = noted(&subject.store, "lead").await;
    let tasks: Vec<_> = (0..64)
        .map(|at| {
            let store = Arc::clone(if at % 2 == 0 { &subject.store } else { &subject.other });
            let name = format!("n{at}");
            let unit = writing(&name).noting(put(&name, "x")).demanding(demand.clone());
            tokio::spawn(async move { store.apply(unit).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    for at in 0..64 {
        assert!(subject.store.exists(&note(&format!("n{at}"))).await.unwrap(), "{at}");
    }
}

/// Units of many callers, some of which demand a state that is gone: each of those fails alone, also where they change parts
/// of one document together.
pub async fn who_demands_in_vain_fails_alone(subject: LedgerSubject) {
    let store = &subject.store;
    let (stale, right) = (noted(store, "lead").await, noted(store, "lead").await);
    store.put(&note("a"), r#"{"id": "a", "marks": []}"#).await.unwrap();
    let tasks: Vec<_> = (0..48)
        .map(|at| {
            let change = Change::Append {
                list: Pointer::parse("/marks").unwrap(),
                element: format!(r#"{{"word": "{at}"}}"#).into(),
            };
            let append = Write::Patch { key: note("a"), change, when: Precondition::Any };
            let unit = match at % 4 {
                0 => UnitOfWork::default().with(append),
                1 => UnitOfWork::default().with(append).demanding(right.clone()),
                2 => UnitOfWork::default().with(append).demanding(stale.clone()),
                _ => writing(&format!("n{at}")).demanding(stale.clone()),
            };
            let store = Arc::clone(store);
            tokio::spawn(async move { store.apply(unit).await })
        })
        .collect();
    for (at, task) in tasks.into_iter().enumerate() {
        match task.await.unwrap() {
            Ok(_) => assert!(at % 4 < 2, "{at}"),
            refused => {
                fenced(refused);
                assert!(at % 4 >= 2, "{at}");
            }
        }
    }
    let read = store.require(&note("a")).await.unwrap().body;
    let text = std::str::from_utf8(&read).unwrap();
    for at in 0..48 {
        assert_eq!(text.contains(&format!("\"{at}\"")), at % 4 < 2, "{at}: {text}");
        assert!(!store.exists(&note(&format!("n{at}"))).await.unwrap(), "{at}");
    }
}

/// Writers who demand a fact, and one who changes it meanwhile: everybody is done before the change or refused, nobody is let in
/// behind it, and it gets its turn.
pub async fn a_change_comes_between_units_that_demand(subject: LedgerSubject) {
    for round in 0..4 {
        let demand = noted(&subject.store, "lead").await;
        let writers: Vec<_> = (0..16)
            .map(|writer| {
                let store = Arc::clone(if writer % 2 == 0 { &subject.store } else { &subject.other });
                let demand = demand.clone();
                tokio::spawn(async move {
                    let mut done = Vec::new();
                    // until somebody changes it
                    loop {
                        let id = format!("r{round}w{writer}n{}", done.len());
                        match store.apply(writing(&id).demanding(demand.clone())).await {
                            Ok(_) => done.push(id),
                            refused => {
                                fenced(refused);
                                return (done, id);
                            }
                        }
                    }
                })
            })
            .collect();
        let change = put("lead", "2").when(FactWhen::Version(demand.version));
        let unit = UnitOfWork::default().with(write("change", Precondition::Any)).noting(change);
        subject.other.apply(unit).await.unwrap();
        for store in [&subject.store, &subject.other] {
            fenced(store.apply(writing("late").demanding(demand.clone())).await);
        }
        for writer in writers {
            let (done, refused) = writer.await.unwrap();
            for id in done {
                assert!(subject.other.exists(&note(&id)).await.unwrap(), "{id}");
            }
            assert!(!subject.other.exists(&note(&refused)).await.unwrap(), "{refused}");
        }
    }
    assert_eq!(value(&subject.store, "lead").await.as_deref(), Some("2"));
    assert!(!subject.store.exists(&note("late")).await.unwrap());
}

/// What cannot be demanded is refused before anything happens.
pub async fn improper_demands_are_refused(subject: LedgerSubject) {
    let store = &subject.store;
    let right = noted(store, "lead").await;
    let named = |name: &str| FactDemand { name: name.to_owned(), ..right.clone() };
    let many = (0..UNIT_FACTS_MAX).fold(writing("a"), |unit, at| unit.demanding(named(&at.to_string())));
    for unit in [
        many.noting(put("one more", "x")),
        writing("a").demanding(right.clone()).demanding(right.clone()),
        writing("a").demanding(right.clone()).noting(put("lead", "2")),
        writing("a").demanding(named("")),
        writing("a").demanding(named("nul\0")),
        writing("a").demanding(named(&"n".repeat(1_001))),
    ] {
        let error = store.apply(unit).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Invalid, "R0403"), "{error}");
    }
    assert!(!store.exists(&note("a")).await.unwrap());
}

/// Of the kind that is asked for, without those that have expired.
pub async fn facts_are_counted(subject: LedgerSubject) {
    let (facts, now_ms) = (ledger(&subject.store), subject.clock.now_ms());
    assert_eq!(facts.count_facts("test").await.unwrap(), 0);
    for at in 0..5 {
        facts.note(put(&at.to_string(), "x")).await.unwrap();
        facts.note(FactChange::put("test2", &at.to_string(), FactValue::lasting("x"))).await.unwrap();
        let until = FactValue::until("x", now_ms + at);
        facts.note(FactChange::put("test", &format!("until {at}"), until)).await.unwrap();
    }
    assert_eq!(facts.count_facts("test").await.unwrap(), 9, "one has expired");
    subject.clock.turn(2);
    assert_eq!(facts.count_facts("test").await.unwrap(), 7);
    facts.note(FactChange::remove("test", "1")).await.unwrap();
    assert_eq!(facts.count_facts("test").await.unwrap(), 6);
    assert_eq!(facts.count_facts("").await.unwrap_err().code(), "R0403");
}
