//! A question in words: `red house`, `"red house"`, `hou*`.

use std::fmt;

use super::words::{WORD_KEPT, words};

/// Terms of one question.
pub const TERMS_MAX: usize = 32;
/// Words of one term that follow each other.
pub const WORDS_MAX: usize = 64;
/// Characters of a beginning.
pub const PREFIX_MAX: usize = WORD_KEPT;

/// Words that must follow each other in a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// At least one.
    pub words: Vec<String>,
    /// The last one is the beginning of a word.
    pub prefix: bool,
}

impl Term {
    /// As FTS5 of SQLite has it.
    #[must_use]
    pub fn fts5(&self) -> String {
        format!("\"{}\"{}", self.words.join(" "), if self.prefix { "*" } else { "" })
    }

    /// As PostgreSQL writes a `tsquery`.
    #[must_use]
    pub fn tsquery(&self) -> String {
        let quoted: Vec<String> = self.words.iter().map(|word| format!("'{word}'")).collect();
        format!("{}{}", quoted.join(" <-> "), if self.prefix { ":*" } else { "" })
    }
}

/// Why a question cannot be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// There is no word in it.
    NoWords,
    /// More than [`TERMS_MAX`] terms.
    Terms,
    /// More than [`WORDS_MAX`] words in one term.
    Words,
    /// More than [`PREFIX_MAX`] characters before `*`.
    Prefix,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoWords => f.write_str("a search needs a word"),
            Self::Terms => write!(f, "a search has at most {TERMS_MAX} words or phrases"),
            Self::Words => write!(f, "a phrase has at most {WORDS_MAX} words"),
            Self::Prefix => write!(f, "at most {PREFIX_MAX} characters stand before *"),
        }
    }
}

/// The terms of a question; a row must fulfil all of them. What stands between quotes, or without a space between, are
/// words that follow each other; a `*` right after a word means every word that begins so. A quote that is never closed
/// reaches to the end.
///
/// # Errors
/// When nothing is asked, or more than the bounds.
pub fn terms(question: &str) -> Result<Vec<Term>, Problem> {
    let mut found: Vec<Term> = Vec::new();
    for (at, outside) in question.split('"').enumerate() {
        // the star of a phrase stands after its quote
        let outside = match (at % 2, outside.strip_prefix('*')) {
            (0, Some(rest)) if at > 0 => {
                if let Some(term) = found.last_mut().filter(|_| !question_part_is_empty(question, at - 1)) {
                    term.prefix = true;
                }
                rest
            }
            _ => outside,
        };
        if at % 2 == 1 {
            found.extend(term(outside));
        } else {
            found.extend(outside.split_whitespace().filter_map(term));
        }
    }
    if found.is_empty() {
        return Err(Problem::NoWords);
    }
    if found.len() > TERMS_MAX {
        return Err(Problem::Terms);
    }
    if found.iter().any(|term| term.words.len() > WORDS_MAX) {
        return Err(Problem::Words);
    }
    let long = |term: &Term| term.words.last().is_some_and(|word| word.chars().count() > PREFIX_MAX);
    if found.iter().any(|term| term.prefix && long(term)) {
        return Err(Problem::Prefix);
    }
    Ok(found)
}

/// Whether the piece between two quotes has no words, so that a star after it belongs to nothing.
fn question_part_is_empty(question: &str, at: usize) -> bool {
    question.split('"').nth(at).and_then(term).is_none()
}

fn term(text: &str) -> Option<Term> {
    let mut all = Vec::new();
    words(text, &mut |word| all.push(word.to_owned()));
    let prefix = text.trim_end().strip_suffix('*').and_then(|before| before.chars().last());
    let ends_in_word = |last: char| {
        let mut any = false;
        words(last.encode_utf8(&mut [0; 4]), &mut |_| any = true);
        any || unicode_normalization::char::is_combining_mark(last)
    };
    (!all.is_empty()).then(|| Term { words: all, prefix: prefix.is_some_and(ends_in_word) })
}

#[cfg(test)]
mod tests {
    use super::{PREFIX_MAX, Problem, Term, terms};

    fn asked(question: &str) -> Vec<(String, String)> {
        terms(question).unwrap().iter().map(|term| (term.fts5(), term.tsquery())).collect()
    }

    fn pair(one: &str, other: &str) -> (String, String) {
        (one.to_owned(), other.to_owned())
    }

    #[test]
    fn words_phrases_and_beginnings() {
        assert_eq!(asked("Red  hou*"), [pair("\"red\"", "'red'"), pair("\"hou\"*", "'hou':*")]);
        assert_eq!(
            asked("\"red House\" x"),
            [pair("\"red house\"", "'red' <-> 'house'"), pair("\"x\"", "'x'")]
        );
        assert_eq!(asked("well-known"), [pair("\"well known\"", "'well' <-> 'known'")]);
        assert_eq!(asked("東京*"), [pair("\"東 京\"*", "'東' <-> '京':*")]);
        assert_eq!(asked("\"a b\"*"), [pair("\"a b\"*", "'a' <-> 'b':*")]);
        assert_eq!(
            asked("\"a b*\" \"c d"),
            [pair("\"a b\"*", "'a' <-> 'b':*"), pair("\"c d\"", "'c' <-> 'd'")]
        );
        assert_eq!(asked("a -- * b* !*"), [pair("\"a\"", "'a'"), pair("\"b\"*", "'b':*")]);
        assert_eq!(asked("a \"\"*"), [pair("\"a\"", "'a'")]);
    }

    #[test]
    fn what_cannot_be_asked() {
        assert_eq!(terms(" *** \"\""), Err(Problem::NoWords));
        assert_eq!(terms(&"a ".repeat(33)), Err(Problem::Terms));
        assert_eq!(terms(&"a-".repeat(65)), Err(Problem::Words));
        assert_eq!(terms(&("x".repeat(PREFIX_MAX + 1) + "*")), Err(Problem::Prefix));
        let fits = "x".repeat(PREFIX_MAX);
        assert_eq!(terms(&(fits.clone() + "*")), Ok(vec![Term { words: vec![fits], prefix: true }]));
    }
}
