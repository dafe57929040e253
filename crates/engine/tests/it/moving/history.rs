//! What apps did and were told, and whether one list that is only appended to can have given these answers (linearizability).

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Something that an app did to a list.
#[derive(Debug, Clone)]
pub(super) enum Did {
    /// Appended this; `true`: and was told so.
    Append(u64, bool),
    /// Read these.
    Read(Vec<u64>),
}

/// When it began and ended, by one counter.
#[derive(Debug, Clone)]
pub(super) struct Operation {
    pub began: u64,
    pub ended: u64,
    pub did: Did,
}

/// Everything that was done to one list.
#[derive(Debug, Default)]
pub(super) struct History {
    done: Mutex<Vec<Operation>>,
}

static NOW: AtomicU64 = AtomicU64::new(0);

impl History {
    pub(super) fn now() -> u64 {
        NOW.fetch_add(1, Ordering::SeqCst)
    }

    pub(super) fn did(&self, began: u64, did: Did) {
        // what was not acknowledged may happen at any later time
        let ended = if matches!(did, Did::Append(_, false)) { u64::MAX } else { Self::now() };
        self.done.lock().unwrap().push(Operation { began, ended, did });
    }

    pub(super) fn acknowledged(&self) -> usize {
        self.done.lock().unwrap().iter().filter(|done| matches!(done.did, Did::Append(_, true))).count()
    }

    /// Checks all answers against what the list is at the end.
    pub(super) fn check(&self, end: &[u64]) -> Result<(), String> {
        let mut done = self.done.lock().unwrap().clone();
        done.push(Operation { began: Self::now(), ended: Self::now(), did: Did::Read(end.to_vec()) });
        check(&done, end)
    }
}

/// In a list that is only appended to, every state is a beginning of the last one, so each operation has one place in the
/// order: an append where its element stands, a read after as many elements as it saw. What is left is whether the places go
/// with the times.
fn check(done: &[Operation], end: &[u64]) -> Result<(), String> {
    let mut stands = HashMap::new();
    for (at, element) in end.iter().enumerate() {
        if stands.insert(*element, at + 1).is_some() {
            return Err(format!("{element} is there twice: {end:?}"));
        }
    }
    let mut order = Vec::new();
    for operation in done {
        match &operation.did {
            Did::Append(element, acknowledged) => match stands.get(element) {
                Some(at) => order.push((operation, (*at, false))),
                None if *acknowledged => {
                    return Err(format!("{element} was acknowledged and is gone: {end:?}"));
                }
                None => {}
            },
            Did::Read(seen) if !end.starts_with(seen) => {
                return Err(format!("{seen:?} was read, which is no beginning of {end:?}"));
            }
            Did::Read(seen) => order.push((operation, (seen.len(), true))),
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

#[test]
fn answers_of_no_single_list_are_noticed() {
    let at = |began, ended, did| Operation { began, ended, did };
    let append = |began, ended, element| at(began, ended, Did::Append(element, true));
    let read = |began, ended, seen: &[u64]| at(began, ended, Did::Read(seen.to_vec()));
    let good = [append(0, 1, 7), append(2, 5, 8), read(3, 4, &[7]), read(3, 4, &[7, 8]), read(6, 7, &[7, 8])];
    check(&good, &[7, 8]).unwrap();
    let bad: [(&[Operation], &[u64]); 7] = [
        (&[append(0, 1, 7)], &[]),
        (&[append(0, 1, 7)], &[7, 7]),
        (&[append(0, 1, 7), append(2, 3, 8)], &[8, 7]),
        (&[append(0, 1, 7), read(2, 3, &[])], &[7]),
        (&[append(0, 9, 7), read(1, 2, &[7]), read(3, 4, &[])], &[7]),
        (&[append(0, 9, 7), read(1, 2, &[7])], &[8, 7]),
        (&[read(1, 2, &[7]), append(3, 4, 7)], &[7]),
    ];
    for (done, end) in bad {
        assert!(check(done, end).is_err(), "{done:?} {end:?}");
    }
    let lost = at(0, u64::MAX, Did::Append(7, false));
    check(std::slice::from_ref(&lost), &[]).unwrap();
    check(&[lost, read(1, 2, &[])], &[7]).unwrap();
}
