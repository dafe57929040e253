//! From a text to its words: compatibility forms made one, lower case, without the marks of Latin, Greek, Cyrillic,
//! Hebrew and Arabic letters. A word is a run of letters, digits and marks; in scripts that write without spaces each
//! character is one.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};
use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

/// Changes when the same text may give other words.
pub const VERSION: &str = "1";

/// Characters of a word that is kept as it is.
const WORD_MAX: usize = 128;
/// Characters kept of a longer word; the digest of the whole follows them.
pub(super) const WORD_KEPT: usize = 100;

/// Calls `each` with the words of a text, in order. Each consists of letters, digits and marks, is in lower case, and
/// has at most 164 characters: of a longer one the beginning is kept, and a digest of all of it.
pub fn words(text: &str, each: &mut dyn FnMut(&str)) {
    let mut run = Run { word: String::new(), each };
    if text.is_ascii() {
        text.chars().for_each(|character| run.push(character.to_ascii_lowercase()));
    } else {
        // taken apart first, so that a mark is found whether or not it is written into its letter
        let plain = text
            .nfkd()
            .flat_map(char::to_lowercase)
            .map(|character| if character == 'ς' { 'σ' } else { character })
            .filter(|&character| !is_left_out(character));
        plain.nfkc().for_each(|character| run.push(character));
    }
    run.end();
}

struct Run<'e> {
    word: String,
    each: &'e mut dyn FnMut(&str),
}

impl Run<'_> {
    fn push(&mut self, character: char) {
        if stands_alone(character) {
            self.end();
            self.word.push(character);
        } else if is_combining_mark(character) {
            // a mark belongs to the character before it, and is nothing without one
            if !self.word.is_empty() {
                self.word.push(character);
            }
        } else if character.is_alphanumeric() {
            if self.word.chars().next().is_some_and(stands_alone) {
                self.end();
            }
            self.word.push(character);
        } else {
            self.end();
        }
    }

    fn end(&mut self) {
        if self.word.is_empty() {
            return;
        }
        if self.word.len() > WORD_MAX && self.word.chars().nth(WORD_MAX).is_some() {
            let digest = Sha256::digest(self.word.as_bytes());
            let kept = self.word.char_indices().nth(WORD_KEPT).map_or(0, |(at, _)| at);
            self.word.truncate(kept);
            for byte in digest {
                write!(self.word, "{byte:02x}").expect("a String takes everything");
            }
        }
        (self.each)(&self.word);
        self.word.clear();
    }
}

/// Marks that people leave out when they type a word.
const fn is_left_out(character: char) -> bool {
    matches!(
        character,
        '\u{300}'..='\u{36f}'
            | '\u{483}'..='\u{489}'
            | '\u{591}'..='\u{5bd}'
            | '\u{5bf}' | '\u{5c1}' | '\u{5c2}' | '\u{5c4}' | '\u{5c5}' | '\u{5c7}'
            | '\u{610}'..='\u{61a}'
            | '\u{640}'
            | '\u{64b}'..='\u{65f}'
            | '\u{670}'
            | '\u{6d6}'..='\u{6dc}'
            | '\u{6df}'..='\u{6e4}'
            | '\u{6e7}' | '\u{6e8}'
            | '\u{6ea}'..='\u{6ed}'
            | '\u{1ab0}'..='\u{1aff}'
            | '\u{1dc0}'..='\u{1dff}'
            | '\u{20d0}'..='\u{20ff}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{fe20}'..='\u{fe2f}'
            | '\u{ad}'
    )
}

/// Characters of scripts that write without spaces: Han, kana, Thai, Lao, Myanmar, Khmer. Their vowels above and below
/// are marks and stay with the character before.
fn stands_alone(character: char) -> bool {
    let script = matches!(
        character,
        '\u{e01}'..='\u{e5b}'
            | '\u{e81}'..='\u{edf}'
            | '\u{1000}'..='\u{109f}'
            | '\u{1780}'..='\u{17ff}'
            | '\u{3005}'..='\u{3007}'
            | '\u{3041}'..='\u{30ff}'
            | '\u{31f0}'..='\u{31ff}'
            | '\u{3400}'..='\u{4dbf}'
            | '\u{4e00}'..='\u{9fff}'
            | '\u{f900}'..='\u{faff}'
            | '\u{1b000}'..='\u{1b16f}'
            | '\u{20000}'..='\u{3ffff}'
    );
    script && character.is_alphanumeric() && !is_combining_mark(character)
}

#[cfg(test)]
mod tests {
    use super::{WORD_KEPT, WORD_MAX, words};

    fn of(text: &str) -> Vec<String> {
        let mut out = Vec::new();
        words(text, &mut |word| out.push(word.to_owned()));
        out
    }

    #[test]
    fn words_of_several_scripts() {
        assert_eq!(of("The Café's RÉSUMÉ, 2nd_ed."), ["the", "cafe", "s", "resume", "2nd", "ed"]);
        assert_eq!(of("cafe\u{301} Ångström ﬁne ² Ⅷ"), ["cafe", "angstrom", "fine", "2", "viii"]);
        assert_eq!(of("ΟΔΟΣ οδός"), ["οδοσ", "οδοσ"]);
        assert_eq!(of("Ёлка Й"), ["елка", "и"]);
        assert_eq!(of("東京abcタワー"), ["東", "京", "abc", "タ", "ワ", "ー"]);
        assert_eq!(of("ガ か\u{3099}"), ["ガ", "が"]);
        assert_eq!(of("हिन्दी की"), ["हिन्दी", "की"]);
        assert_eq!(of("한국어 ﾊﾝ"), ["한국어", "ハ", "ン"]);
        assert_eq!(of("İstanbul ISTANBUL"), ["istanbul", "istanbul"]);
        assert_eq!(of("שָׁלוֹם שלום"), ["שלום", "שלום"]);
        assert_eq!(of("ที่นี่"), ["ท\u{e35}\u{e48}", "น\u{e35}\u{e48}"]);
        assert_eq!(of(" \u{301} -- 😀 "), Vec::<String>::new());
    }

    #[test]
    fn a_long_word_keeps_its_beginning_and_is_told_from_others() {
        let long = "x".repeat(WORD_MAX);
        assert_eq!(of(&long), std::slice::from_ref(&long));
        let (one, other) = (of(&(long.clone() + "y")), of(&(long + "z")));
        assert_ne!(one, other);
        assert_eq!(one[0].chars().count(), WORD_KEPT + 64);
        assert!(one[0].starts_with(&"x".repeat(WORD_KEPT)));
    }
}
