//! Facts beside the documents of a [`RowStore`]: noted with units of work, decided on while they are held.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use repot_core::store::{
    Fact, FactChange, FactDemand, FactEdit, FactStep, Ledger, Store as _, UnitOfWork, check_fact_name,
    check_facts,
};
use repot_core::{Ahead, Batch, Clock, Error, FactBatch, Kind, Reader, Result};

use super::jobs::Job;
use super::objects::{KEPT_OUT, OWN_KIND, kept_out};
use super::queue::Task;
use super::row_store::RowStore;
use super::writing::Scribe;

/// Facts removed by one transaction.
const PRUNED_AT_ONCE: usize = 1_000;
/// Bytes of values after which no further decision joins a transaction.
const DECIDED_BYTES: usize = 4 << 20;
/// Facts read at once.
const READ_AT_ONCE: usize = 1_000;

/// A fact to decide on.
#[derive(Debug)]
pub(super) struct FactTask {
    pub kind: String,
    pub name: String,
    pub edit: FactEdit,
}

/// How many expired facts went.
#[derive(Debug)]
pub(super) struct PrunedFacts {
    until_ms: i64,
    count: AtomicUsize,
}

impl PrunedFacts {
    pub(super) const fn until(until_ms: i64) -> Self {
        Self { until_ms, count: AtomicUsize::new(0) }
    }
}

/// About how many bytes these take.
pub(super) fn noted_bytes(facts: &[FactChange]) -> usize {
    facts.iter().filter_map(|fact| fact.to.as_ref()).map(|to| to.value.len()).sum()
}

/// Whether units of one transaction note the same fact, or one notes what another demands.
pub(super) fn noted_twice(facts: &FactBatch) -> bool {
    let mut names = HashSet::new();
    !facts.changes.iter().all(|fact| names.insert((&fact.kind, &fact.name)))
        || facts.demands.iter().any(|demand| names.contains(&(&demand.kind, &demand.name)))
}

/// Facts that units of one transaction demand, by kind and name, each read once.
#[derive(Default)]
pub(super) struct Demanded(HashMap<(String, String), Option<Fact>>);

impl Demanded {
    /// What a unit of work demands, if it holds in the state that it is decided in. The database looks once more when it writes.
    pub(super) fn by(&mut self, reader: &mut dyn Reader, work: &Job, now_ms: i64) -> Result<Vec<FactDemand>> {
        for demand in work.demands() {
            let there = match self.0.entry((demand.kind.clone(), demand.name.clone())) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(unknown) => unknown.insert(reader.fact(&demand.kind, &demand.name)?),
            };
            demand.check(there.as_ref(), now_ms)?;
        }
        Ok(work.demands().to_vec())
    }
}

/// What a unit of work notes, if its conditions hold in the state that it is decided in. The database checks them once
/// more when it writes.
pub(super) fn noted(reader: &mut dyn Reader, work: &Job, now_ms: i64) -> Result<Vec<FactChange>> {
    for change in work.facts().iter().filter(|change| change.when.must_hold()) {
        change.applies(reader.fact(&change.kind, &change.name)?.as_ref(), now_ms)?;
    }
    Ok(work.facts().to_vec())
}

impl Scribe<'_> {
    /// Holds facts, lets the callers' functions decide, and notes what they say: several facts in one transaction, where
    /// several are waited for. Who fails, fails alone.
    pub(super) fn decide_facts(&mut self, tasks: &[FactTask]) -> Vec<Result<()>> {
        let mut done: Vec<Option<Result<()>>> = tasks.iter().map(|_| None).collect();
        while done.iter().any(Option::is_none) {
            let mut names = HashSet::new();
            // what is decided on one fact is seen by the next decision on it
            let first = |at: &usize| names.insert((&tasks[*at].kind, &tasks[*at].name));
            let open = (0..tasks.len()).filter(|&at| done[at].is_none());
            let mut round: Vec<usize> = open.filter(first).collect();
            // in the order in which everybody holds them
            round.sort_by_key(|&at| (&tasks[at].kind, &tasks[at].name));
            let mut decided = Vec::new();
            let clock = Arc::clone(&self.clock);
            self.target.read_ahead(Ahead { meta: vec![KEPT_OUT.to_owned()], ..Ahead::default() });
            let noted = self.target.transact(self.plan, &[], &mut |reader| {
                let batch;
                (batch, decided) = decide_round(reader, &*clock, &round, tasks)?;
                Ok(batch)
            });
            match noted {
                Ok(_) => decided.into_iter().for_each(|(at, own)| done[at] = Some(own)),
                Err(error) => round.iter().for_each(|&at| done[at] = Some(Err(error.clone()))),
            }
        }
        done.into_iter().flatten().collect()
    }

    /// Takes away some of the facts that expired.
    pub(super) fn prune_facts(&mut self, pruned: &PrunedFacts) -> Result<()> {
        let until_ms = pruned.until_ms;
        let mut count = 0;
        self.target.transact(self.plan, &[], &mut |reader| {
            let gone = reader.expired_facts(until_ms, PRUNED_AT_ONCE)?;
            count = gone.len();
            let facts = FactBatch { now_ms: until_ms, gone, ..FactBatch::default() };
            Ok((!facts.is_empty()).then(|| Batch { facts, ..Batch::default() }))
        })?;
        pruned.count.store(count, Ordering::Relaxed);
        Ok(())
    }
}

/// What the callers of these tasks decided.
type DecidedFacts = Vec<(usize, Result<()>)>;

/// Decides on facts, as many as fit into one transaction; at least one.
fn decide_round(
    reader: &mut dyn Reader,
    clock: &dyn Clock,
    round: &[usize],
    tasks: &[FactTask],
) -> Result<(Option<Batch>, DecidedFacts)> {
    let (mut facts, mut decided, mut bytes) = (FactBatch::default(), Vec::new(), 0);
    let door = reader.meta(KEPT_OUT)?;
    for &at in round {
        let FactTask { kind, name, edit } = &tasks[at];
        if let Some(value) = door.as_deref().filter(|_| kind != OWN_KIND) {
            decided.push((at, Err(kept_out(value))));
            continue;
        }
        let held = reader.hold_fact(kind, name)?;
        // now, not when the waiting for others began
        facts.now_ms = clock.now_ms();
        let there = held.filter(|fact| fact.is_there(facts.now_ms));
        let change = decide(&tasks[at], edit, there.as_ref()).and_then(|step| {
            let change = match step {
                FactStep::Keep => None,
                FactStep::Put(value) => Some(FactChange::put(kind, name, value)),
                FactStep::Remove => Some(FactChange::remove(kind, name)),
            };
            check_facts(change.as_slice()).map(|()| change)
        });
        match change {
            Ok(change) => {
                bytes += noted_bytes(change.as_slice());
                facts.changes.extend(change);
                decided.push((at, Ok(())));
            }
            Err(error) => decided.push((at, Err(error))),
        }
        if bytes >= DECIDED_BYTES {
            break;
        }
    }
    let batch = (!facts.is_empty()).then(|| Batch { facts, all_or_nothing: true, ..Batch::default() });
    Ok((batch, decided))
}

/// What the caller's function decides. Its panic is its own: the thread goes on with others' work.
fn decide(task: &FactTask, edit: &FactEdit, there: Option<&Fact>) -> Result<FactStep> {
    catch_unwind(AssertUnwindSafe(|| edit.decide(there))).unwrap_or_else(|_| {
        let message = format!("the decision on the fact {} {} panicked", task.kind, task.name);
        Err(Error::new(Kind::Internal, "R0901", message)
            .hint("Mend the function given to `update_fact`; nothing was changed."))
    })
}

#[async_trait]
impl Ledger for RowStore {
    async fn fact(&self, kind: &str, name: &str) -> Result<Option<Fact>> {
        check_fact_name(kind, name)?;
        let (kind, name, now_ms) = (kind.to_owned(), name.to_owned(), self.now_ms());
        let found = self.read_short(move |desk, _| desk.reader().fact(&kind, &name)).await?;
        Ok(found.filter(|fact| fact.is_there(now_ms)))
    }

    async fn named(&self, names: &[(&str, &str)]) -> Result<Vec<Fact>> {
        names.iter().try_for_each(|(kind, name)| check_fact_name(kind, name))?;
        let owned = |(kind, name): &(&str, &str)| ((*kind).to_owned(), (*name).to_owned());
        let (names, now_ms) = (names.iter().map(owned).collect::<Vec<_>>(), self.now_ms());
        let mut found = self.read_short(move |desk, _| desk.reader().named(&names)).await?;
        found.retain(|fact| fact.is_there(now_ms));
        Ok(found)
    }

    async fn facts(&self, kind: &str, after: Option<&str>, most: usize) -> Result<Vec<Fact>> {
        check_fact_name(kind, after.unwrap_or("-"))?;
        let (kind, after) = (kind.to_owned(), after.unwrap_or_default().to_owned());
        let (most, now_ms) = (most.min(READ_AT_ONCE), self.now_ms());
        self.read(move |desk, _| desk.reader().facts(&kind, &after, most, now_ms)).await
    }

    async fn count_facts(&self, kind: &str) -> Result<u64> {
        check_fact_name(kind, "-")?;
        let (kind, now_ms) = (kind.to_owned(), self.now_ms());
        self.read(move |desk, _| desk.reader().count_facts(&kind, now_ms)).await
    }

    async fn note(&self, change: FactChange) -> Result<()> {
        self.apply(UnitOfWork::default().noting(change)).await.map(drop)
    }

    async fn update_fact(&self, kind: &str, name: &str, edit: FactEdit) -> Result<()> {
        check_fact_name(kind, name)?;
        let task = FactTask { kind: kind.to_owned(), name: name.to_owned(), edit };
        let done = self.write(Task::Fact(task)).await.map(drop);
        if self.pruning.wrote(1) {
            self.prune();
        }
        done
    }

    async fn prune_facts(&self, now_ms: i64) -> Result<usize> {
        let pruned = Arc::new(PrunedFacts::until(now_ms));
        self.write(Task::PruneFacts(Arc::clone(&pruned))).await?;
        Ok(pruned.count.load(Ordering::Relaxed))
    }
}
