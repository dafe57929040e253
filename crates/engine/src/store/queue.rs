//! The threads that write: what waits for them, and how much of it goes into one transaction.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use repot_core::store::{DocumentKey, Layout, Receipt};
use repot_core::{Error, QueueAnswer, QueueStep, Result, Target};
use repot_model::language::Model;
use repot_model::plan::Plan;
use tokio::sync::oneshot;

use super::answer::Answer;
use super::desk::Tools;
use super::facts::{FactTask, PrunedFacts};
use super::jobs::Job;
use super::objects::Door;
use super::pool::{Seat, Waits};
use super::row_store::RowStoreOptions;
use super::work_queue::Steps;
use super::writing::{Pen, Scribe, same};
use crate::prepare::Preparer;
use crate::route::Routes;
use crate::text::Dictionaries;

/// Units of work in one transaction, where one writer has the database to itself.
pub(super) const TOGETHER: usize = 128;
/// The same where several may write: few enough that those who wait for a document of one do not wait for long.
pub(super) const TOGETHER_BESIDE: usize = 32;
/// Bytes of texts after which no further unit joins a transaction.
const TOGETHER_BYTES: usize = 4 << 20;

/// Changes of parts of one document in one transaction.
const PARTS_TOGETHER: usize = 1_024;

/// What a writing thread is asked for, and who waits for it.
pub(super) type Writing = (Task, Answer<Receipt>);

impl Waits for Writing {
    /// Who writes does so on its own thread.
    type Tool = ();

    fn fail(self, error: Error) {
        self.1.send(Err(error));
    }
}

/// What a writing thread is asked for.
pub(super) enum Task {
    /// Something to do in one transaction, alone or with others.
    Work(Job),
    /// The same, alone: together with others it was kept waiting.
    Alone(Job),
    /// To settle these documents, each by collection and key; the receipt is empty.
    Settle(Vec<(String, String)>),
    /// To write the texts at these paths with what is kept beside them; the receipt is empty.
    Fold(Vec<String>),
    /// To give committed changes their positions in the log; the receipt is empty.
    NumberChanges,
    /// To bring the full text indexes up to date with some of what plain SQL changed; the receipt is empty.
    IndexWords,
    /// To take away what the log need not keep; the receipt is empty.
    PruneChanges,
    /// A step with messages, alone or with others; its answer comes by itself, before the receipt, which is empty.
    Messages(QueueStep, oneshot::Sender<Result<QueueAnswer>>),
    /// To take some of what is too old from the record of changes; the receipt is empty.
    PruneHistory,
    /// To decide on a fact; the receipt is empty.
    Fact(FactTask),
    /// To take away facts that expired; the receipt is empty.
    PruneFacts(Arc<PrunedFacts>),
    /// To keep servers out that take no part in a move, or to let them in; the receipt is empty.
    Door(Door),
    /// To tell which transactions are writing; the answer comes by itself, before the receipt, which is empty.
    Writers(oneshot::Sender<Result<Vec<String>>>),
}

/// What one thread has taken and not done yet.
pub(super) struct Queue {
    together: usize,
    waiting: VecDeque<Writing>,
}

impl Queue {
    pub(super) const fn new(together: usize) -> Self {
        Self { together, waiting: VecDeque::new() }
    }

    /// The next units, of which no two write one document, unless they change parts of it, and which come before
    /// everything they overlap with that came later. `None` when there will be none any more.
    fn next(&mut self, units: &mut Seat<'_, Writing>) -> Option<Vec<Writing>> {
        if self.waiting.is_empty() {
            let first = units.next()?;
            if is_alone(&first) {
                return Some(vec![first]);
            }
            self.waiting.push_back(first);
        }
        let more = self.together.saturating_sub(self.waiting.len());
        self.waiting.extend(units.take_while_free(more, |unit| Some(!is_alone(unit))));
        if self.together == 1
            && let Some(key) = self.waiting.front().and_then(|unit| part(unit)).cloned()
        {
            // what others wait for can be done on their own connection, but for this document
            let more = units.take_while_free(PARTS_TOGETHER, |unit| match part(unit) {
                Some(own) if *own == key => Some(true),
                _ => keys(unit).contains(&&key).then_some(false),
            });
            self.waiting.extend(more);
        }
        // documents that are written; `true`: only parts of them, and more of these may join
        let mut seen: BTreeMap<DocumentKey, bool> = BTreeMap::new();
        let (mut chosen, mut bytes) = (Vec::new(), 0);
        for unit in std::mem::take(&mut self.waiting) {
            let Task::Work(work) = &unit.0 else {
                chosen.push(unit);
                continue;
            };
            let (keys, is_part) = (work.keys(), work.part().is_some());
            let joins = |key: &&DocumentKey| seen.get(*key).is_none_or(|&open| open && is_part);
            let free = bytes < TOGETHER_BYTES && keys.iter().all(joins);
            seen.extend(keys.into_iter().map(|key| (key.clone(), free && is_part)));
            if free {
                bytes += work.size_bytes();
                chosen.push(unit);
            } else {
                self.waiting.push_back(unit);
            }
        }
        Some(chosen)
    }
}

fn is_alone(unit: &Writing) -> bool {
    matches!(unit.0, Task::Alone(_))
}

/// The document, when a unit changes a part of one and nothing else.
fn part(unit: &Writing) -> Option<&DocumentKey> {
    if let Task::Work(work) = &unit.0 { work.part() } else { None }
}

fn keys(unit: &Writing) -> Vec<&DocumentKey> {
    if let Task::Work(work) | Task::Alone(work) = &unit.0 { work.keys() } else { Vec::new() }
}

/// Does a task that shares its transactions with no other.
fn alone(scribe: &mut Scribe<'_>, task: Task, options: &RowStoreOptions) -> Result<()> {
    match task {
        Task::Settle(keys) => scribe.settle(&keys),
        Task::Fold(paths) => scribe.fold(&paths),
        Task::IndexWords => scribe.target.index_words(scribe.plan).map(drop),
        Task::NumberChanges => scribe.number_changes(),
        Task::PruneChanges => {
            scribe.prune_changes(options.changes)?;
            scribe.prune_history()?;
            scribe.prune_facts(&PrunedFacts::until(options.clock.now_ms()))
        }
        Task::PruneFacts(pruned) => scribe.prune_facts(&pruned),
        Task::PruneHistory => scribe.prune_history(),
        Task::Door(door) => scribe.set_door(&door),
        Task::Writers(to) => {
            let _nobody_asks_any_more = to.send(scribe.target.writers());
            Ok(())
        }
        // these are gathered
        Task::Work(_) | Task::Alone(_) | Task::Fact(_) | Task::Messages(..) => Ok(()),
    }
}

/// Does units of work in one transaction, and answers; those of which one is kept waiting by others wait again, each for itself, for
/// whatever connection is free.
fn apply(
    scribe: Result<&mut Scribe<'_>, &mut Error>,
    (works, answers): (Vec<Job>, Vec<Answer<Receipt>>),
    queue: &mut Queue,
    units: &Seat<'_, Writing>,
) {
    let named: Vec<&Job> = works.iter().collect();
    let done = match scribe {
        Ok(scribe) => scribe.apply(&named),
        Err(error) => Some(works.iter().map(|_| Err(same(error))).collect()),
    };
    let Some(done) = done else {
        let works = works.into_iter().map(Task::Alone).zip(answers);
        units.give_back(works.chain(queue.waiting.drain(..)));
        return;
    };
    for (answer, done) in answers.into_iter().zip(done) {
        answer.send(done);
    }
}

/// Writes until nobody can ask for it any more.
pub(super) fn write(
    target: Box<dyn Target>,
    (model, plan): (&Model, &Plan),
    layout: &Layout,
    (options, dictionaries): (&RowStoreOptions, Dictionaries),
    (mut queue, units): (Queue, &mut Seat<'_, Writing>),
) {
    let made = Routes::new(model, plan);
    let made = made.as_ref().map_err(same).and_then(|routes| {
        let tools = Some(Tools::new(plan, routes, options.json)?);
        let preparer = Preparer::new(plan, routes, options.json, dictionaries.clone())?;
        Ok((routes, Pen { tools, preparer }))
    });
    let mut scribe = made.map(|(routes, pen)| Scribe {
        plan,
        routes,
        layout,
        limits: options.json,
        target,
        dictionaries,
        clock: Arc::clone(&options.clock),
        document_bytes_max: options.document_bytes_max,
        leads: false,
        pen,
        beside: queue.together < TOGETHER,
    });
    while let Some(taken) = queue.next(units) {
        if let Ok(scribe) = &mut scribe
            && units.idled_ms() >= options.pool.check_ms.into()
        {
            // where it cannot be reached, the work says so
            let _unreachable = scribe.target.wake();
        }
        let (mut works, mut answers) = (Vec::new(), Vec::new());
        let (mut facts, mut noted) = (Vec::new(), Vec::new());
        let (mut messages, mut told) = (Steps::default(), Vec::new());
        for (task, answer) in taken.into_iter().inspect(|(_, answer)| answer.begin()) {
            let done = match (task, &mut scribe) {
                (Task::Work(work) | Task::Alone(work), _) => {
                    works.push(work);
                    answers.push(answer);
                    continue;
                }
                (Task::Fact(task), Ok(_)) => {
                    facts.push(task);
                    noted.push(answer);
                    continue;
                }
                (_, Err(error)) => Err(same(error)),
                (Task::Messages(step, to), _) => {
                    messages.push(step, to);
                    told.push(answer);
                    continue;
                }
                (task, Ok(scribe)) => alone(scribe, task, options),
            };
            answer.send(done.map(|()| Receipt::default()));
        }
        if let Ok(scribe) = &mut scribe {
            for (answer, done) in noted.into_iter().zip(scribe.decide_facts(&facts)) {
                answer.send(done.map(|()| Receipt::default()));
            }
            messages.run(scribe.target.as_mut());
        }
        for answer in told {
            answer.send(Ok(Receipt::default()));
        }
        if works.is_empty() {
            continue;
        }
        apply(scribe.as_mut(), (works, answers), &mut queue, units);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use repot_core::FixedClock;
    use repot_core::store::{Change, DocumentKey, Pointer, Precondition, Step, UnitOfWork, Write};

    use super::super::answer::Answer;
    use super::super::pool::{Bounds, Lane};
    use super::{Job, Queue, Task, Writing};

    fn unit(keys: &str) -> Writing {
        let delete = |key: char| Write::Delete {
            key: DocumentKey::new("notes", &key.to_string()),
            when: Precondition::Any,
        };
        let work = UnitOfWork { writes: keys.chars().map(delete).collect(), ..UnitOfWork::default() };
        (Task::Work(Job::Unit { work, steps: None, is_copy: false }), Answer::new().0)
    }

    /// An upper case letter: a change of a part of that document.
    fn some(keys: &str) -> Writing {
        let Some(key) = keys.chars().next().filter(char::is_ascii_uppercase) else { return unit(keys) };
        let key = DocumentKey::new("notes", &key.to_lowercase().to_string());
        let (list, element) = (Pointer::default(), Bytes::from_static(b"1"));
        let steps = Some(vec![vec![Step::Append(list.clone(), element.clone())]]);
        let change = Change::Append { list, element };
        let work = UnitOfWork {
            writes: vec![Write::Patch { key, change, when: Precondition::Any }],
            ..UnitOfWork::default()
        };
        (Task::Work(Job::Unit { work, steps, is_copy: false }), Answer::new().0)
    }

    /// A lane where these wait for a connection.
    fn lane<const N: usize>(units: [Writing; N]) -> Lane<Writing> {
        let bounds = Bounds { name: "writing", most: 2, kept: 2, least: 0, wait_ms: 1_000, idle_ms: 1_000 };
        let lane = Lane::new(bounds, Arc::new(FixedClock(0)), Arc::default());
        for unit in units {
            lane.submit(unit);
        }
        lane
    }

    fn keys(taken: Option<&Vec<Writing>>) -> Vec<String> {
        let name = |unit: &Writing| match &unit.0 {
            Task::Work(work) => work.keys().iter().map(|key| key.text()).collect(),
            _ => String::new(),
        };
        taken.into_iter().flatten().map(name).collect()
    }

    #[test]
    fn units_of_one_document_stay_in_their_order() {
        let lane = lane(["a", "b", "ac", "c", "d", "a"].map(unit));
        lane.end();
        let mut receiver = lane.seat();
        let mut queue = Queue::new(10);
        assert_eq!(keys(queue.next(&mut receiver).as_ref()), ["a", "b", "d"]);
        assert_eq!(keys(queue.next(&mut receiver).as_ref()), ["ac"]);
        assert_eq!(keys(queue.next(&mut receiver).as_ref()), ["c", "a"]);
        assert!(queue.next(&mut receiver).is_none());
    }

    #[test]
    fn changes_of_parts_of_one_document_are_made_together() {
        let taken = |together: usize| {
            let lane = lane(["A", "A", "b", "A", "a", "A", "B", "A"].map(some));
            lane.end();
            let (mut seat, mut queue, mut all) = (lane.seat(), Queue::new(together), Vec::new());
            while let Some(units) = queue.next(&mut seat) {
                all.push(keys(Some(&units)).concat());
            }
            all
        };
        assert_eq!(taken(10), ["aaba", "ab", "aa"].map(String::from));
        assert_eq!(taken(1), ["aaa", "b", "a", "aa", "b"].map(String::from));
    }

    #[test]
    fn one_at_a_time_leaves_the_rest_to_other_threads() {
        let lane = lane(["a", "b"].map(unit));
        lane.expect_one();
        let (mut here, mut there) = (lane.seat(), lane.seat());
        let (mut one, mut other) = (Queue::new(1), Queue::new(1));
        assert_eq!(
            (keys(one.next(&mut here).as_ref()), keys(other.next(&mut there).as_ref())),
            (vec!["a".into()], vec!["b".into()])
        );
    }
}
