//! Changes of one document that wait together are made together: one read, one write. A change goes into the batch
//! that is the next to be made for its document; batches of one document follow one another.
//!
//! A batch is a future that all who wait for it share, so it goes on as long as one of them waits. A change whose
//! caller has gone before its batch begins is not made.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use repot_json::patch;

use super::shelf::Shelf;
use super::{On, TRIES_MAX, absent};
use crate::error::{Error, Kind, Result, Retry};
use crate::store::barrier::Barrier;
use crate::store::change::Change;
use crate::store::deadline::deadline_over;
use crate::store::etag::{ETag, Precondition, is_overtaken};
use crate::store::key::DocumentKey;

/// Changes in one batch; more wait for the next.
const CHANGES_MAX: usize = 1_024;

/// One change without a precondition. One with a precondition is made alone: its caller may take the state that it
/// leaves for what was read and this change, and nothing else.
#[derive(Debug)]
struct Waiting {
    key: DocumentKey,
    change: Change,
    until_ms: Option<i64>,
    barrier: Option<Barrier>,
    outcome: Mutex<Option<Result<ETag>>>,
}

impl Waiting {
    /// The error of its barrier.
    fn cannot_pass(&self) -> Option<Error> {
        self.barrier.as_ref()?.known()?.err()
    }
}

/// Changes that are made together; `None` once they are.
type Batch = Arc<Mutex<Option<Vec<Weak<Waiting>>>>>;

/// The changes of one document that are on their way.
struct Queue {
    last: Batch,
    run: Shared<BoxFuture<'static, ()>>,
    callers: usize,
}

/// The queues of documents that are being changed.
#[derive(Default)]
pub(super) struct Queues(Mutex<HashMap<String, Queue>>);

/// A caller's place in a queue; the queue goes with the last of them.
struct Caller<'q> {
    queues: &'q Queues,
    path: &'q str,
}

impl fmt::Debug for Queues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queues").field("documents", &lock(&self.0).len()).finish()
    }
}

impl Drop for Caller<'_> {
    fn drop(&mut self) {
        let mut queues = lock(&self.queues.0);
        if let Some(queue) = queues.get_mut(self.path) {
            queue.callers -= 1;
            if queue.callers == 0 {
                let gone = queues.remove(self.path);
                drop(queues);
                drop(gone);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Queues {
    /// Changes the document at `path`, together with whoever else is waiting to.
    pub(super) async fn change(
        &self,
        shelf: &Arc<Shelf>,
        path: &str,
        (key, on): (&DocumentKey, On<'_>),
        change: &Change,
    ) -> Result<ETag> {
        let (key, change, barrier) = (key.clone(), change.clone(), on.barrier.cloned());
        let waiting =
            Arc::new(Waiting { key, change, until_ms: on.until_ms, barrier, outcome: Mutex::new(None) });
        let (run, _caller) = self.enter(shelf, path, &waiting);
        run.await;
        let outcome = lock(&waiting.outcome).take();
        outcome.unwrap_or_else(|| {
            let message = format!("nobody changed {}", waiting.key);
            Err(Error::new(Kind::Internal, "R0901", message).retry(Retry::Unknown))
        })
    }

    fn enter<'q>(
        &'q self,
        shelf: &Arc<Shelf>,
        path: &'q str,
        waiting: &Arc<Waiting>,
    ) -> (Shared<BoxFuture<'static, ()>>, Caller<'q>) {
        let mut queues = lock(&self.0);
        let caller = Caller { queues: self, path };
        let mut before = None;
        if let Some(queue) = queues.get_mut(path) {
            queue.callers += 1;
            let mut next = lock(&queue.last);
            if let Some(changes) = next.as_mut().filter(|changes| changes.len() < CHANGES_MAX) {
                changes.push(Arc::downgrade(waiting));
                return (queue.run.clone(), caller);
            }
            before = Some(queue.run.clone());
        }
        let last: Batch = Arc::new(Mutex::new(Some(vec![Arc::downgrade(waiting)])));
        let run = follow(before, Arc::clone(&last), Arc::clone(shelf), path.to_owned()).boxed().shared();
        let callers = queues.get(path).map_or(1, |queue| queue.callers);
        queues.insert(path.to_owned(), Queue { last, run: run.clone(), callers });
        (run, caller)
    }
}

/// Makes a batch after the one before it.
async fn follow(
    before: Option<Shared<BoxFuture<'static, ()>>>,
    batch: Batch,
    shelf: Arc<Shelf>,
    path: String,
) {
    if let Some(before) = before {
        before.await;
    }
    let changes = lock(&batch).take().unwrap_or_default();
    let changes: Vec<Arc<Waiting>> = changes.iter().filter_map(Weak::upgrade).collect();
    if changes.is_empty() {
        return;
    }
    if let Err(error) = make(&shelf, &path, changes.clone()).await {
        for waiting in &changes {
            lock(&waiting.outcome).get_or_insert_with(|| Err(error.clone()));
        }
    }
}

/// Reads, changes, writes; again when somebody else wrote meanwhile. An error is that of all changes that have no
/// outcome yet.
async fn make(shelf: &Shelf, path: &str, mut changes: Vec<Arc<Waiting>>) -> Result<()> {
    let (mut tries, mut most) = (0, changes.len());
    loop {
        let now_ms = shelf.clock.now_ms();
        leave(&mut changes, |until_ms| now_ms >= until_ms);
        turn_back(&mut changes);
        if changes.is_empty() {
            return Ok(());
        }
        let Some(object) = shelf.objects.get(path, shelf.document_bytes_max).await? else {
            for waiting in changes {
                *lock(&waiting.outcome) = Some(Err(absent(&waiting.key)));
            }
            return Ok(());
        };
        let now = &changes[..most.min(changes.len())];
        let (text, outcomes) = together(shelf, path, &object.bytes, now);
        // it must come before the deadline of each
        let until_ms = now.iter().filter_map(|waiting| waiting.until_ms).min();
        let put = if outcomes.iter().any(Result::is_ok) {
            tries += 1;
            let barrier = Barrier::all(now.iter().filter_map(|waiting| waiting.barrier.clone()).collect());
            let still = Precondition::Matches(object.etag);
            shelf.put(path, text, On { when: &still, until_ms, barrier: barrier.as_ref() }).await
        } else {
            Ok(object.etag)
        };
        if let (Err(error), Some(over_ms)) = (&put, until_ms)
            && error.code() == "R0452"
        {
            leave(&mut changes, |until_ms| until_ms <= over_ms);
            continue;
        }
        if put.is_err() && now.iter().any(|waiting| waiting.cannot_pass().is_some()) {
            continue;
        }
        let overtaken = matches!(&put, Err(error) if is_overtaken(error));
        if overtaken && tries < TRIES_MAX {
            // a long change always loses against short ones of other processes
            most = (now.len() / 2).max(1);
            continue;
        }
        let outcomes_count = outcomes.len();
        for (waiting, outcome) in now.iter().zip(outcomes) {
            let outcome = match (outcome, &put) {
                (Err(error), _) => Err(error),
                (Ok(()), Ok(etag)) => Ok(etag.clone()),
                (Ok(()), Err(error)) => {
                    let error = error.clone().detail(format!("document: {}", waiting.key));
                    Err(if overtaken { error.retry(Retry::Safe) } else { error })
                }
            };
            *lock(&waiting.outcome) = Some(outcome);
        }
        changes.drain(..outcomes_count);
        tries = 0;
    }
}

/// Refuses those whose deadline is over.
fn leave(changes: &mut Vec<Arc<Waiting>>, is_over: impl Fn(i64) -> bool) {
    changes.retain(|waiting| {
        let over = waiting.until_ms.is_some_and(&is_over);
        if over {
            let error = deadline_over().detail(format!("document: {}", waiting.key));
            *lock(&waiting.outcome) = Some(Err(error));
        }
        !over
    });
}

/// Refuses those whose barrier cannot be passed.
fn turn_back(changes: &mut Vec<Arc<Waiting>>) {
    changes.retain(|waiting| {
        let error = waiting.cannot_pass();
        let passes = error.is_none();
        if let Some(error) = error {
            *lock(&waiting.outcome) = Some(Err(error));
        }
        passes
    });
}

/// The text after all changes that can be made, and for each whether it was.
fn together(shelf: &Shelf, path: &str, text: &Bytes, changes: &[Arc<Waiting>]) -> (Bytes, Vec<Result<()>>) {
    if let Some(text) = appended(shelf, path, text, changes) {
        return (text, changes.iter().map(|_| Ok(())).collect());
    }
    let mut text = text.clone();
    let outcomes = changes.iter().map(|waiting| {
        text = shelf.changed((&waiting.key, path), &text, &waiting.change)?;
        Ok(())
    });
    let outcomes = outcomes.collect();
    (text, outcomes)
}

/// The text after all changes, where all are appends and none is refused: then the text is read, written and
/// checked once for each list. No later append could mend an element that the model refuses.
fn appended(shelf: &Shelf, path: &str, text: &Bytes, changes: &[Arc<Waiting>]) -> Option<Bytes> {
    let mut lists: Vec<(&patch::Pointer, Vec<&[u8]>)> = Vec::new();
    for waiting in changes {
        let Change::Append { list, element } = &waiting.change else { return None };
        match lists.iter_mut().find(|(known, _)| *known == list) {
            Some((_, elements)) => elements.push(element),
            None => lists.push((list, vec![element])),
        }
    }
    let mut after = text.clone();
    for (list, elements) in lists {
        after = patch::append_all(&after, list, &elements, shelf.layout.limits()).ok()?.into();
    }
    shelf.revise((&changes.first()?.key, path), &after, Some(text)).ok()
}
