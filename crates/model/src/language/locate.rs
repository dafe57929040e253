//! From byte offsets and words to lines and columns.

use super::Span;

/// Lines after a key in which a word of its value is looked for.
const LINES_SEARCHED: usize = 40;

/// The text of a file, by lines.
pub(super) struct Lines<'t> {
    text: &'t str,
}

impl<'t> Lines<'t> {
    pub(super) const fn new(text: &'t str) -> Self {
        Self { text }
    }

    /// Line and column of a byte offset.
    pub(super) fn span(&self, offset: usize) -> Span {
        let before = self.text.get(..offset.min(self.text.len())).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Span { line, column }
    }

    fn offset(&self, span: Span) -> usize {
        let mut offset = 0;
        for (index, line) in self.text.split_inclusive('\n').enumerate() {
            if index + 1 == span.line {
                return offset
                    + line.chars().take(span.column.saturating_sub(1)).map(char::len_utf8).sum::<usize>();
            }
            offset += line.len();
        }
        offset
    }

    /// The place of `word` at or behind `span`, in the value of `key` when one is given; the nearest of these
    /// that is there.
    pub(super) fn refine(&self, span: Span, key: Option<&str>, word: Option<&str>) -> Span {
        if span.line == 0 {
            return span;
        }
        let mut at = self.offset(span);
        if let Some(key) = key {
            match self.key(at, key) {
                Some(found) => at = found,
                None => return span,
            }
        }
        match word.and_then(|word| self.word(at, word)) {
            Some(found) => self.span(found),
            None => self.span(at),
        }
    }

    fn key(&self, from: usize, key: &str) -> Option<usize> {
        let mut offset = from;
        for line in self.text.get(from..)?.split_inclusive('\n') {
            let bare = line.trim_start();
            let stands =
                bare.strip_prefix(key).is_some_and(|after| after.trim_start().starts_with(['=', ']']));
            if stands {
                return Some(offset + line.len() - bare.len());
            }
            offset += line.len();
        }
        None
    }

    fn word(&self, from: usize, word: &str) -> Option<usize> {
        let text = self.text.get(from..)?;
        let region = text.split_inclusive('\n').take(LINES_SEARCHED).map(str::len).sum::<usize>();
        let text = text.get(..region)?;
        let part_of_name = |character: char| character.is_alphanumeric() || character == '_';
        let inner = word.starts_with(part_of_name);
        text.match_indices(word)
            .map(|(at, _)| at)
            .find(|&at| {
                let before = text.get(..at).and_then(|before| before.chars().next_back());
                let after = text.get(at + word.len()..).and_then(|after| after.chars().next());
                !inner || !(before.is_some_and(part_of_name) || after.is_some_and(part_of_name))
            })
            .map(|at| from + at)
    }
}

#[cfg(test)]
mod tests {
    use super::{Lines, Span};

    #[test]
    fn offsets_become_lines_and_columns_in_characters() {
        let lines = Lines::new("a = \"é\"\nb = 'x'\n");
        assert_eq!(lines.span(0), Span { line: 1, column: 1 });
        assert_eq!(lines.span(7), Span { line: 1, column: 7 });
        assert_eq!(lines.span(9), Span { line: 2, column: 1 });
        assert_eq!(lines.offset(Span { line: 1, column: 7 }), 7);
    }

    #[test]
    fn words_are_found_whole_and_behind_their_key() {
        let lines = Lines::new("[c]\nindex = [\"users, user\"]\ntenant = \"user\"\n");
        let start = Span { line: 1, column: 2 };
        assert_eq!(lines.refine(start, Some("index"), Some("user")), Span { line: 2, column: 18 });
        assert_eq!(lines.refine(start, Some("tenant"), Some("user")), Span { line: 3, column: 11 });
        assert_eq!(lines.refine(start, Some("tenant"), Some("nobody")), Span { line: 3, column: 1 });
        assert_eq!(lines.refine(start, Some("nothing"), None), start);
    }
}
