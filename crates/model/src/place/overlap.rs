//! Whether two templates can both match some path: the product of two small automata, searched whole.

use std::collections::BTreeSet;

use super::template::{Part, Template};

/// What one step reads.
#[derive(Debug, Clone, Copy)]
enum Reads {
    Only(char),
    /// Any character but `/`.
    NoSlash,
    Any,
}

impl Reads {
    const fn meets(self, other: Self) -> bool {
        match (self, other) {
            (Self::Only(one), Self::Only(other)) => one == other,
            (Self::Only(one), Self::NoSlash) | (Self::NoSlash, Self::Only(one)) => one != '/',
            _ => true,
        }
    }
}

/// Steps out of each state; the last state is the end.
struct Automaton {
    steps: Vec<Vec<(Reads, usize)>>,
    end: usize,
}

impl Automaton {
    fn of(template: &Template) -> Self {
        let mut automaton = Self { steps: vec![Vec::new()], end: 0 };
        for part in template.parts() {
            match part {
                Part::Literal(literal) => automaton.end = automaton.chain(automaton.end, literal),
                Part::Capture(index) => {
                    let Some(capture) = template.captures().get(*index) else { continue };
                    let from = automaton.end;
                    if capture.words.is_empty() {
                        let reads = if capture.rest { Reads::Any } else { Reads::NoSlash };
                        automaton.end = automaton.state();
                        automaton.step(from, reads, automaton.end);
                        automaton.step(automaton.end, reads, automaton.end);
                    } else {
                        automaton.words(from, &capture.words);
                    }
                }
            }
        }
        automaton
    }

    fn state(&mut self) -> usize {
        self.steps.push(Vec::new());
        self.steps.len() - 1
    }

    fn step(&mut self, from: usize, reads: Reads, to: usize) {
        if let Some(steps) = self.steps.get_mut(from) {
            steps.push((reads, to));
        }
    }

    fn chain(&mut self, from: usize, text: &str) -> usize {
        text.chars().fold(from, |from, character| {
            let to = self.state();
            self.step(from, Reads::Only(character), to);
            to
        })
    }

    /// All words lead from one state to one other.
    fn words(&mut self, from: usize, words: &[String]) {
        let end = self.state();
        for word in words {
            let mut characters = word.chars();
            if let Some(last) = characters.next_back() {
                let before = self.chain(from, characters.as_str());
                self.step(before, Reads::Only(last), end);
            }
        }
        self.end = end;
    }
}

/// Is there a path that both match?
pub(super) fn both_match_some_path(one: &Template, other: &Template) -> bool {
    let (a, b) = (one.prefix(), other.prefix());
    let (c, d) = (one.suffix(), other.suffix());
    if !(a.starts_with(b) || b.starts_with(a)) || !(c.ends_with(d) || d.ends_with(c)) {
        return false;
    }
    let (left, right) = (Automaton::of(one), Automaton::of(other));
    let mut seen = BTreeSet::from([(0, 0)]);
    let mut open = vec![(0, 0)];
    while let Some((at, beside)) = open.pop() {
        if at == left.end && beside == right.end {
            return true;
        }
        let (Some(ours), Some(theirs)) = (left.steps.get(at), right.steps.get(beside)) else { continue };
        for (reads, to) in ours {
            for (other_reads, other_to) in theirs {
                if reads.meets(*other_reads) && seen.insert((*to, *other_to)) {
                    open.push((*to, *other_to));
                }
            }
        }
    }
    false
}
