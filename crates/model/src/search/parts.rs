//! Words in the portions in which databases index them. PostgreSQL bounds what one `tsvector` holds: 1 MiB, positions
//! up to 16,383, and 256 of one word. Portions overlap by as much as a phrase can be long, so that each phrase of a
//! text is whole in one of them.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::WORDS_MAX;
use super::words::words;

/// Words of one part.
const PART_WORDS_MAX: usize = 16_000;
/// Bytes of the words of one part.
pub const PART_BYTES_MAX: usize = 256 << 10;
/// How often one word may stand in a part.
const SAME_WORD_MAX: u32 = 250;
/// Stands between two fields, so that no phrase goes from one into the next. No word has this character.
const BETWEEN: &str = "\u{e000}";

/// A portion of a row's words, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part(String);

impl Part {
    /// The words with a space between them, for a tokenizer that changes nothing more.
    #[must_use]
    pub fn spaced(&self) -> &str {
        &self.0
    }

    /// The words with their positions, as PostgreSQL writes a `tsvector`.
    #[must_use]
    pub fn tsvector(&self) -> String {
        let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
        for (at, word) in self.0.split(' ').enumerate().filter(|(_, word)| *word != BETWEEN) {
            places.entry(word).or_default().push(at + 1);
        }
        let mut all: Vec<(&str, Vec<usize>)> = places.into_iter().collect();
        all.sort_unstable();
        let mut out = String::with_capacity(self.0.len() * 2);
        for (word, places) in all {
            // words are letters, digits and marks, so nothing in them needs an escape
            write!(out, "'{word}'").expect("a String takes everything");
            for (number, place) in places.iter().enumerate() {
                write!(out, "{}{place}", if number == 0 { ':' } else { ',' })
                    .expect("a String takes everything");
            }
            out.push(' ');
        }
        out
    }
}

/// The parts of a row with these searched texts; none where there are no words.
#[must_use]
pub fn parts<'t>(texts: impl Iterator<Item = &'t str>) -> Vec<Part> {
    let mut maker = Maker::default();
    for text in texts {
        let mut first = true;
        words(text, &mut |word| {
            if std::mem::take(&mut first) && !maker.words.is_empty() {
                maker.push(BETWEEN);
            }
            maker.push(word);
        });
    }
    if maker.fresh > 0 {
        maker.end();
    }
    maker.parts
}

#[derive(Default)]
struct Maker {
    parts: Vec<Part>,
    words: Vec<String>,
    bytes: usize,
    times: HashMap<String, u32>,
    /// Words that stand in no part before this one.
    fresh: usize,
}

impl Maker {
    fn push(&mut self, word: &str) {
        let full = self.words.len() >= PART_WORDS_MAX || self.bytes + word.len() >= PART_BYTES_MAX;
        if full || self.times.get(word).is_some_and(|&times| times >= SAME_WORD_MAX) {
            self.end();
            let from = self.words.len().saturating_sub(WORDS_MAX - 1);
            let overlap = self.words.split_off(from);
            self.words.clear();
            self.times.clear();
            self.bytes = 0;
            overlap.iter().for_each(|word| self.keep(word));
            self.fresh = 0;
        }
        self.keep(word);
        self.fresh += 1;
    }

    fn keep(&mut self, word: &str) {
        self.bytes += word.len() + 1;
        match self.times.get_mut(word) {
            Some(times) => *times += 1,
            None => drop(self.times.insert(word.to_owned(), 1)),
        }
        self.words.push(word.to_owned());
    }

    fn end(&mut self) {
        self.parts.push(Part(self.words.join(" ")));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::{BETWEEN, PART_BYTES_MAX, PART_WORDS_MAX, parts};
    use crate::search::WORDS_MAX;

    #[test]
    fn a_row_without_words_has_no_part() {
        assert_eq!(parts(["", " -- "].into_iter()), []);
    }

    #[test]
    fn fields_are_kept_apart() {
        let made = parts(["a b", "!", "b c"].into_iter());
        assert_eq!(made.len(), 1);
        assert_eq!(made[0].spaced(), format!("a b {BETWEEN} b c"));
        assert_eq!(made[0].tsvector(), "'a':1 'b':2,4 'c':5 ");
    }

    #[test]
    fn parts_stay_within_the_bounds_and_hold_every_phrase() {
        // one word over and over, many different ones, long ones
        let mut words: Vec<String> =
            (0..2_000).map(|at| if at % 3 == 0 { "the".into() } else { format!("w{at}") }).collect();
        words.extend((0..40_000).map(|at| format!("n{at}")));
        words.extend((0..9_000).map(|at| format!("{at}{}", "é".repeat(90)).replace('é', "e")));
        let text = words.join(" ");
        let made = parts(std::iter::once(text.as_str()));
        assert!(made.len() > 5, "{}", made.len());
        let mut at = 0;
        for part in &made {
            let own: Vec<&str> = part.spaced().split(' ').collect();
            assert!(own.len() <= PART_WORDS_MAX && part.spaced().len() <= PART_BYTES_MAX);
            let mut times: HashMap<&str, usize> = HashMap::new();
            own.iter().for_each(|word| *times.entry(word).or_default() += 1);
            assert!(times.values().all(|&times| times <= 255));
            // goes on where the one before ended, with a phrase's length in common
            let back = if at == 0 { 0 } else { WORDS_MAX - 1 };
            assert_eq!(own[..], words[at - back..at - back + own.len()]);
            at += own.len() - back;
        }
        assert_eq!(at, words.len());
    }
}
