//! What apps did and were told, and whether one document that changes at one instant after the other can have given these
//! answers (linearizability). A [`List`] is only appended to, so each answer has one place in the order; of a [`Register`],
//! which is replaced and removed, all orders are tried.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The app was told that it is done.
    Done,
    /// The app was told that it is not done, so it never will be.
    Refused,
    /// Nobody told the app: it may have happened, or may still.
    Unknown,
}

/// Something that an app did to a list.
#[derive(Debug, Clone)]
pub enum Did {
    /// Appended this element, which nobody else appends.
    Append(u64, Outcome),
    /// The same on condition that the list is still what was read: these elements.
    Follow(Vec<u64>, u64, Outcome),
    /// Read these.
    Read(Vec<u64>),
}

/// Something that an app did to a document that comes, is replaced, and goes.
#[derive(Debug, Clone)]
pub enum Set {
    /// Read this; `None`: there was nothing.
    Read(Option<u64>),
    /// Put this value there, or nothing, on this condition. Nobody else puts this value.
    Put(When, Option<u64>, Outcome),
}

/// On which condition a document is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Whatever is there.
    Any,
    /// Nothing is there.
    Absent,
    /// This value is there.
    Is(u64),
}

impl When {
    fn holds(self, value: Option<u64>) -> bool {
        match self {
            Self::Any => true,
            Self::Absent => value.is_none(),
            Self::Is(wanted) => value == Some(wanted),
        }
    }
}

/// When something began and ended, by one counter, and what it was.
#[derive(Debug, Clone)]
struct Operation<T> {
    began: u64,
    ended: u64,
    did: T,
}

/// Now, for [`List::did`] and [`Register::did`]: later than everything that was asked for before.
#[must_use]
pub fn now() -> u64 {
    static NOW: AtomicU64 = AtomicU64::new(0);
    NOW.fetch_add(1, Ordering::SeqCst)
}

/// What was not acknowledged may happen at any later time.
fn ended(outcome: Option<Outcome>) -> u64 {
    if outcome == Some(Outcome::Unknown) { u64::MAX } else { now() }
}

fn locked<T>(done: &Mutex<T>) -> MutexGuard<'_, T> {
    done.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Everything that was done to one list.
#[derive(Debug, Default)]
pub struct List {
    done: Mutex<Vec<Operation<Did>>>,
}

impl List {
    /// This was done since `began`, which is of [`now`].
    pub fn did(&self, began: u64, did: Did) {
        let outcome = match &did {
            Did::Append(_, outcome) | Did::Follow(_, _, outcome) => Some(*outcome),
            Did::Read(_) => None,
        };
        locked(&self.done).push(Operation { began, ended: ended(outcome), did });
    }

    /// How many elements were acknowledged.
    #[must_use]
    pub fn acknowledged(&self) -> usize {
        let is_done =
            |did: &Did| matches!(did, Did::Append(_, Outcome::Done) | Did::Follow(_, _, Outcome::Done));
        locked(&self.done).iter().filter(|done| is_done(&done.did)).count()
    }

    /// Checks all answers against what the list is at the end.
    ///
    /// # Errors
    /// Which answer no single list can have given, for people.
    pub fn check(&self, end: &[u64]) -> Result<(), String> {
        let mut done = locked(&self.done).clone();
        done.push(Operation { began: now(), ended: now(), did: Did::Read(end.to_vec()) });
        check_list(&done, end)
    }
}

/// In a list that is only appended to, every state is a beginning of the last one, so each operation has one place in the
/// order: an append where its element stands, a read after as many elements as it saw. What is left is whether the places go
/// with the times.
fn check_list(done: &[Operation<Did>], end: &[u64]) -> Result<(), String> {
    let mut stands = HashMap::new();
    for (at, element) in end.iter().enumerate() {
        if stands.insert(*element, at + 1).is_some() {
            return Err(format!("{element} is there twice: {end:?}"));
        }
    }
    let mut order = Vec::new();
    for operation in done {
        let (element, outcome) = match &operation.did {
            Did::Read(seen) if !end.starts_with(seen) => {
                return Err(format!("{seen:?} was read, which is no beginning of {end:?}"));
            }
            Did::Read(seen) => {
                order.push((operation, (seen.len(), true)));
                continue;
            }
            Did::Append(element, outcome) | Did::Follow(_, element, outcome) => (element, outcome),
        };
        match (stands.get(element), outcome) {
            (Some(_), Outcome::Refused) => {
                return Err(format!("{element} was refused and is there: {end:?}"));
            }
            (None, Outcome::Done) => return Err(format!("{element} was acknowledged and is gone: {end:?}")),
            (None, _) => {}
            (Some(&at), _) => {
                if let Did::Follow(seen, ..) = &operation.did
                    && end.get(..at - 1) != Some(seen)
                {
                    return Err(format!("{element} was to follow {seen:?}, and does not in {end:?}"));
                }
                order.push((operation, (at, false)));
            }
        }
    }
    for (one, before) in &order {
        for (other, after) in &order {
            if one.ended < other.began && before > after {
                return Err(format!("{one:?} ended before {other:?} began, and is after it in {end:?}"));
            }
        }
    }
    Ok(())
}

/// Everything that was done to one document that comes and goes. At first there is nothing.
#[derive(Debug, Default)]
pub struct Register {
    done: Mutex<Vec<Operation<Set>>>,
}

impl Register {
    /// This was done since `began`, which is of [`now`].
    pub fn did(&self, began: u64, did: Set) {
        let outcome = match did {
            // it never happens, so nothing has to be explained
            Set::Put(_, _, Outcome::Refused) => return,
            Set::Put(_, _, outcome) => Some(outcome),
            Set::Read(_) => None,
        };
        locked(&self.done).push(Operation { began, ended: ended(outcome), did });
    }

    /// How many writes nobody knows the outcome of. Each doubles the orders that are tried.
    #[must_use]
    pub fn unknown(&self) -> usize {
        locked(&self.done).iter().filter(|done| matches!(done.did, Set::Put(_, _, Outcome::Unknown))).count()
    }

    /// Checks all answers against what is there at the end.
    ///
    /// # Errors
    /// All that was done, where no order of it explains the answers.
    pub fn check(&self, end: Option<u64>) -> Result<(), String> {
        let mut done = locked(&self.done).clone();
        done.push(Operation { began: now(), ended: now(), did: Set::Read(end) });
        done.sort_by_key(|operation| operation.began);
        if is_in_order(&done) { Ok(()) } else { Err(format!("no order explains {done:?}")) }
    }
}

/// Whether some order explains all answers: one after the other is done next that began before any of the others ended
/// (Wing and Gong 1993), and no state is looked at twice.
fn is_in_order(done: &[Operation<Set>]) -> bool {
    let (mut seen, mut open) = (HashSet::new(), vec![(vec![false; done.len()], None)]);
    while let Some((past, value)) = open.pop() {
        let left = || done.iter().enumerate().filter(|(at, _)| !past.get(*at).is_some_and(|past| *past));
        let Some(first_end) = left().map(|(_, operation)| operation.ended).min() else { return true };
        if first_end == u64::MAX {
            // what nobody was told need not have happened
            return true;
        }
        for (at, operation) in left().filter(|(_, operation)| operation.began < first_end) {
            let after = match operation.did {
                Set::Read(read) if read != value => continue,
                Set::Read(_) => value,
                Set::Put(when, _, _) if !when.holds(value) => continue,
                Set::Put(_, to, _) => to,
            };
            let mut past = past.clone();
            if let Some(past) = past.get_mut(at) {
                *past = true;
            }
            if seen.insert((past.clone(), after)) {
                open.push((past, after));
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::Outcome::{Done, Refused, Unknown};
    use super::{Did, Operation, Set, When, check_list, is_in_order};

    fn at<T>(began: u64, ended: u64, did: T) -> Operation<T> {
        Operation { began, ended, did }
    }

    #[test]
    fn answers_of_no_single_list_are_noticed() {
        let append = |began, ended, element| at(began, ended, Did::Append(element, Done));
        let read = |began, ended, seen: &[u64]| at(began, ended, Did::Read(seen.to_vec()));
        let follow = |seen: &[u64], element, outcome| at(2, 3, Did::Follow(seen.to_vec(), element, outcome));
        let good =
            [append(0, 1, 7), append(2, 5, 8), read(3, 4, &[7]), read(3, 4, &[7, 8]), read(6, 7, &[7, 8])];
        check_list(&good, &[7, 8]).unwrap();
        check_list(&[append(0, 1, 7), follow(&[7], 8, Done), follow(&[7], 9, Refused)], &[7, 8]).unwrap();
        let bad: [(&[Operation<Did>], &[u64]); 10] = [
            (&[append(0, 1, 7)], &[]),
            (&[append(0, 1, 7)], &[7, 7]),
            (&[append(0, 1, 7), append(2, 3, 8)], &[8, 7]),
            (&[append(0, 1, 7), read(2, 3, &[])], &[7]),
            (&[append(0, 9, 7), read(1, 2, &[7]), read(3, 4, &[])], &[7]),
            (&[append(0, 9, 7), read(1, 2, &[7])], &[8, 7]),
            (&[read(1, 2, &[7]), append(3, 4, 7)], &[7]),
            (&[append(0, 1, 7), follow(&[], 8, Done)], &[7, 8]),
            (&[append(0, 1, 7), follow(&[], 8, Unknown)], &[7, 8]),
            (&[append(0, 1, 7), follow(&[7], 8, Refused)], &[7, 8]),
        ];
        for (done, end) in bad {
            assert!(check_list(done, end).is_err(), "{done:?} {end:?}");
        }
        let lost = at(0, u64::MAX, Did::Append(7, Unknown));
        check_list(std::slice::from_ref(&lost), &[]).unwrap();
        check_list(&[lost, read(1, 2, &[])], &[7]).unwrap();
    }

    #[test]
    fn answers_of_no_single_register_are_noticed() {
        let read = |began, ended, value| at(began, ended, Set::Read(value));
        let put = |began, ended, when, to| at(began, ended, Set::Put(when, to, Done));
        let lost = |began, when, to| at(began, u64::MAX, Set::Put(when, to, Unknown));
        let come = put(0, 1, When::Absent, Some(1));
        let good: [&[Operation<Set>]; 5] = [
            &[come.clone(), put(2, 5, When::Is(1), Some(2)), read(3, 4, Some(1)), read(3, 4, Some(2))],
            &[come.clone(), put(2, 3, When::Any, None), read(4, 5, None)],
            &[come.clone(), lost(2, When::Any, None), read(3, 4, Some(1)), read(5, 6, None)],
            &[come.clone(), lost(2, When::Is(1), Some(2)), read(3, 4, Some(1))],
            &[
                come.clone(),
                put(2, 9, When::Any, Some(2)),
                put(3, 4, When::Is(1), Some(3)),
                read(10, 11, Some(2)),
            ],
        ];
        for done in good {
            assert!(is_in_order(done), "{done:?}");
        }
        let bad: [&[Operation<Set>]; 6] = [
            &[come.clone(), read(2, 3, None)],
            &[come.clone(), put(2, 3, When::Absent, Some(2))],
            &[come.clone(), put(2, 3, When::Any, None), put(4, 5, When::Is(1), Some(2))],
            &[come.clone(), put(2, 3, When::Any, Some(2)), read(4, 5, Some(1))],
            &[come.clone(), lost(2, When::Any, None), read(3, 4, None), read(5, 6, Some(1))],
            &[come, put(2, 9, When::Is(1), Some(2)), put(3, 8, When::Is(1), Some(3))],
        ];
        for done in bad {
            assert!(!is_in_order(done), "{done:?}");
        }
    }
}
