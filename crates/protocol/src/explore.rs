//! Trying every order of steps, breadth first; or many orders by chance where there are too many.

use std::collections::{HashSet, VecDeque};
use std::fmt::{self, Display};
use std::hash::Hasher as _;

use xxhash_rust::xxh3::Xxh3Default;

use crate::model::{State, Step};
use crate::mutant::Mutant;
use crate::steps::successors;

/// Steps of a way by chance: a server may renew its lease without end.
const STEPS_MAX: usize = 400;

/// What exploring came to.
#[derive(Debug)]
pub struct Outcome {
    /// Different states that were looked at.
    pub states: usize,
    /// Whether there was no state left to look at.
    pub complete: bool,
    /// The shortest way to a state that must not be, if one was found.
    pub violation: Option<Violation>,
}

/// A way to a state that must not be.
#[derive(Debug)]
pub struct Violation {
    /// What does not hold there.
    pub invariant: &'static str,
    /// The steps from the beginning.
    pub steps: Vec<Step>,
}

impl Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}:", self.invariant)?;
        for Step { who: (who, number), what } in &self.steps {
            writeln!(f, "  {who} {number}: {what}")?;
        }
        Ok(())
    }
}

fn print(state: &State) -> u128 {
    let mut hasher = Xxh3Default::new();
    state.hash_unnumbered(&mut hasher);
    let low = hasher.finish();
    hasher.write_u8(1);
    u128::from(low) << 64 | u128::from(hasher.finish())
}

/// Tries every order of steps from `start`, the shortest first, until one breaks an invariant or `most` states were
/// seen. Two states are taken for
/// the same when 128 bits of their hash are, and servers, workers and drivers for alike.
#[must_use]
pub fn explore(start: State, mutant: Option<Mutant>, most: usize) -> Outcome {
    let mut seen = HashSet::from([print(&start)]);
    let mut ways: Vec<(usize, Step)> = vec![(0, Step { who: ("nobody", 0), what: "begins" })];
    let mut next = VecDeque::from([(0, start)]);
    while let Some((at, state)) = next.pop_front() {
        for (step, after) in successors(&state, mutant) {
            if !seen.insert(print(&after)) {
                continue;
            }
            ways.push((at, step));
            let here = ways.len() - 1;
            if let Err(invariant) = after.check() {
                let steps = way_to(&ways, here);
                return Outcome {
                    states: seen.len(),
                    complete: false,
                    violation: Some(Violation { invariant, steps }),
                };
            }
            next.push_back((here, after));
        }
        if seen.len() >= most {
            return Outcome { states: seen.len(), complete: false, violation: None };
        }
    }
    Outcome { states: seen.len(), complete: true, violation: None }
}

fn way_to(ways: &[(usize, Step)], mut at: usize) -> Vec<Step> {
    let mut steps = Vec::new();
    while let Some(&(before, step)) = ways.get(at).filter(|_| at > 0) {
        steps.push(step);
        at = before;
    }
    steps.reverse();
    steps
}

/// Goes `walks` ways from `start` to their end (400 steps at the most), each step chosen by chance from `seed`, until
/// one breaks an invariant.
#[must_use]
pub fn wander(start: &State, mutant: Option<Mutant>, seed: u64, walks: usize) -> Option<Violation> {
    let mut chance = seed;
    for _ in 0..walks {
        let mut state = start.clone();
        let mut steps = Vec::new();
        loop {
            let mut choices = successors(&state, mutant);
            if choices.is_empty() || steps.len() >= STEPS_MAX {
                break;
            }
            // splitmix64 (Steele, Lea and Flood 2014)
            chance = chance.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = chance;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            let count = u64::try_from(choices.len()).unwrap_or(u64::MAX);
            let pick = usize::try_from((mixed ^ (mixed >> 31)) % count).unwrap_or(0);
            let (step, after) = choices.swap_remove(pick);
            steps.push(step);
            if let Err(invariant) = after.check() {
                return Some(Violation { invariant, steps });
            }
            state = after;
        }
    }
    None
}
