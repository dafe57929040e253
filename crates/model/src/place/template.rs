//! One path template: parsed, matched against paths, rendered from values, and how literal it is.

use std::cmp::{Ordering, Reverse};
use std::collections::BTreeSet;
use std::fmt;

/// Failed attempts after which a match remembers where it failed, so that no path makes it slow.
const FAILURES_UNREMEMBERED: usize = 32;

/// A path template.
///
/// `{id}` stands for one or more characters without `/`, `{path...}` for one or more characters with it,
/// `{kind=games|clips}` for one of these words, `{{` and `}}` for braces; everything else for itself.
///
/// A path is split among the captures from left to right, each taking as much as it can while the rest still
/// matches: `{name}.{ext}` splits `a.tar.gz` into `a.tar` and `gz`. So a path has one list of values, and
/// [`Template::render`] refuses a list that would be read back as another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    text: String,
    parts: Vec<Part>,
    captures: Vec<Capture>,
}

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Literal(String),
    /// Index into the captures.
    Capture(usize),
}

/// `{id}`, `{path...}`, `{kind=games|clips}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capture {
    /// The field it fills.
    pub name: String,
    /// Only these words; empty: any.
    pub words: Vec<String>,
    /// `...`: slashes too.
    pub rest: bool,
}

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateProblem {
    /// Byte offset in the text.
    pub at: usize,
    /// What is wrong: lower case, no full stop.
    pub message: String,
    /// What to do: a full sentence.
    pub hint: String,
}

impl fmt::Display for TemplateProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (at character {})", self.message, self.at + 1)
    }
}

impl std::error::Error for TemplateProblem {}

fn problem<T>(at: usize, message: impl Into<String>, hint: &str) -> Result<T, TemplateProblem> {
    Err(TemplateProblem { at, message: message.into(), hint: hint.to_owned() })
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// What is wrong with the text, and where.
    pub fn parse(text: &str) -> Result<Self, TemplateProblem> {
        let mut template = Self { text: text.to_owned(), parts: Vec::new(), captures: Vec::new() };
        let mut literal = String::new();
        let mut rest = text;
        while let Some(next) = rest.chars().next() {
            let at = text.len() - rest.len();
            if let Some(after) = rest.strip_prefix("{{").or_else(|| rest.strip_prefix("}}")) {
                literal.push(next);
                rest = after;
            } else if let Some(inside) = rest.strip_prefix('{') {
                let Some((inside, after)) = inside.split_once('}') else {
                    return problem(
                        at,
                        "a `{` without its `}`",
                        "Close the capture, or write `{{` for the character itself.",
                    );
                };
                if literal.is_empty() && matches!(template.parts.last(), Some(Part::Capture(_))) {
                    let hint = "Put a character such as `/` or `_` between them: a path could be split in several ways.";
                    return problem(at, "two captures with nothing between them", hint);
                }
                template.push_literal(&mut literal);
                template.push_capture(at + 1, inside)?;
                rest = after;
            } else if next == '}' {
                return problem(at, "a `}` without its `{`", "Write `}}` for the character itself.");
            } else {
                literal.push(next);
                rest = rest.strip_prefix(next).unwrap_or_default();
            }
        }
        template.push_literal(&mut literal);
        template.check_parts()?;
        Ok(template)
    }

    fn push_literal(&mut self, literal: &mut String) {
        if !literal.is_empty() {
            self.parts.push(Part::Literal(std::mem::take(literal)));
        }
    }

    fn push_capture(&mut self, at: usize, inside: &str) -> Result<(), TemplateProblem> {
        let (name, words) = match inside.split_once('=') {
            Some((name, words)) => (name, words.split('|').map(str::to_owned).collect::<Vec<_>>()),
            None => (inside, Vec::new()),
        };
        let (name, rest) = match name.strip_suffix("...") {
            Some(name) => (name, true),
            None => (name, false),
        };
        let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if !starts || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            let hint =
                "Write `{name}`, `{name...}` or `{name=this|that}`; a name has letters, digits and `_`.";
            return problem(at, format!("`{name}` is no name for a capture"), hint);
        }
        if rest && !words.is_empty() {
            return problem(at, "a capture with `...` and with words", "Leave one of the two out.");
        }
        if let Some(word) = words.iter().find(|word| word.is_empty() || word.contains(['/', '{'])) {
            let hint = "List words as in `{kind=games|clips}`; none may be empty or hold `/` or a brace.";
            return problem(at, format!("`{word}` is no word for a capture"), hint);
        }
        if words.iter().enumerate().any(|(index, word)| words.iter().take(index).any(|other| other == word)) {
            return problem(at, "a word twice in one capture", "Leave one of them out.");
        }
        if self.captures.iter().any(|other| other.name == name) {
            return problem(
                at,
                format!("{{{name}}} twice in one template"),
                "Give the second one another name.",
            );
        }
        self.parts.push(Part::Capture(self.captures.len()));
        self.captures.push(Capture { name: name.to_owned(), words, rest });
        Ok(())
    }

    fn check_parts(&self) -> Result<(), TemplateProblem> {
        if self.text.is_empty() {
            return problem(0, "an empty template", "Write where the files are, such as `{id}.json`.");
        }
        if self.text.starts_with('/') {
            return problem(
                0,
                "a template that begins with `/`",
                "Write it relative to `source`, without the leading slash.",
            );
        }
        let mut at = 0;
        for part in self.text.split('/') {
            if part == "." || part == ".." {
                return problem(
                    at,
                    format!("`{part}` as a part of the path"),
                    "Write the path as the listing shows it, without `.` and `..`.",
                );
            }
            at += part.len() + 1;
        }
        Ok(())
    }

    /// The text it was read from.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// In the order they stand.
    #[must_use]
    pub fn captures(&self) -> &[Capture] {
        &self.captures
    }

    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The literal text it begins with; empty when it begins with a capture.
    #[must_use]
    pub fn prefix(&self) -> &str {
        match self.parts.first() {
            Some(Part::Literal(literal)) => literal,
            _ => "",
        }
    }

    /// The literal text it ends with; empty when it ends with a capture.
    #[must_use]
    pub fn suffix(&self) -> &str {
        match self.parts.last() {
            Some(Part::Literal(literal)) => literal,
            _ => "",
        }
    }

    /// The values of the captures, in their order, when the path matches. `render` of them is the path.
    ///
    /// A path with a part `.` or `..` matches nothing.
    #[must_use]
    pub fn matches<'p>(&self, path: &'p str) -> Option<Vec<&'p str>> {
        if !path.starts_with(self.prefix()) || !path.ends_with(self.suffix()) {
            return None;
        }
        let mut search = Search {
            template: self,
            values: Vec::with_capacity(self.captures.len()),
            failures: 0,
            dead: BTreeSet::new(),
        };
        (search.go(0, path) && !climbs(path)).then_some(search.values)
    }

    /// The path for these values, in the order of the captures; `None` when the path would be read back as
    /// other values or as none.
    #[must_use]
    pub fn render(&self, values: &[&str]) -> Option<String> {
        if values.len() != self.captures.len() {
            return None;
        }
        let mut path =
            String::with_capacity(self.text.len() + values.iter().map(|value| value.len()).sum::<usize>());
        for part in &self.parts {
            match part {
                Part::Literal(literal) => path.push_str(literal),
                Part::Capture(index) => path.push_str(values.get(*index)?),
            }
        }
        (self.matches(&path)? == values).then_some(path)
    }

    /// Orders the more literal template first.
    ///
    /// What counts, in this order: the number of literal characters (a capture with words counts as its
    /// shortest word), then fewer `...`, then fewer captures without words, then fewer words. A template that matches only
    /// part of what another matches always comes before it.
    #[must_use]
    pub fn specificity(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }

    fn rank(&self) -> (Reverse<usize>, usize, usize, usize) {
        let literal = self.parts.iter().map(|part| match part {
            Part::Literal(literal) => literal.chars().count(),
            Part::Capture(index) => {
                let words = self.captures.get(*index).map_or(&[][..], |capture| &capture.words);
                words.iter().map(|word| word.chars().count()).min().unwrap_or(0)
            }
        });
        let free = self.captures.iter().filter(|capture| capture.words.is_empty()).count();
        let rest = self.captures.iter().filter(|capture| capture.rest).count();
        (Reverse(literal.sum()), rest, free, self.captures.iter().map(|capture| capture.words.len()).sum())
    }
}

fn climbs(path: &str) -> bool {
    path.split('/').any(|part| part == "." || part == "..")
}

/// One attempt to match.
struct Search<'t, 'p> {
    template: &'t Template,
    values: Vec<&'p str>,
    failures: usize,
    /// (part, characters left) from where no match is possible.
    dead: BTreeSet<(usize, usize)>,
}

impl<'p> Search<'_, 'p> {
    fn go(&mut self, part: usize, left: &'p str) -> bool {
        let template = self.template;
        match template.parts.get(part) {
            None => left.is_empty(),
            Some(Part::Literal(literal)) => {
                left.strip_prefix(literal.as_str()).is_some_and(|left| self.go(part + 1, left))
            }
            Some(Part::Capture(index)) => {
                if self.failures > FAILURES_UNREMEMBERED && self.dead.contains(&(part, left.len())) {
                    return false;
                }
                let Some(capture) = template.captures.get(*index) else { return false };
                let found = if capture.words.is_empty() {
                    self.free(part, left, capture)
                } else {
                    self.word(part, left, capture)
                };
                if !found {
                    self.failures += 1;
                    if self.failures > FAILURES_UNREMEMBERED {
                        self.dead.insert((part, left.len()));
                    }
                }
                found
            }
        }
    }

    fn take(&mut self, part: usize, left: &'p str, length: usize) -> bool {
        let Some((value, after)) = left.split_at_checked(length) else { return false };
        self.values.push(value);
        let found = self.go(part + 1, after);
        if !found {
            self.values.pop();
        }
        found
    }

    fn word(&mut self, part: usize, left: &'p str, capture: &Capture) -> bool {
        let mut fitting: Vec<usize> =
            capture.words.iter().filter(|word| left.starts_with(word.as_str())).map(String::len).collect();
        fitting.sort_unstable_by_key(|&length| Reverse(length));
        fitting.into_iter().any(|length| self.take(part, left, length))
    }

    fn free(&mut self, part: usize, left: &'p str, capture: &Capture) -> bool {
        let most = if capture.rest { left.len() } else { left.find('/').unwrap_or(left.len()) };
        let Some(Part::Literal(next)) = self.template.parts.get(part + 1) else {
            return most == left.len() && most > 0 && self.take(part, left, most);
        };
        // the literal after the capture may begin where the capture must end, so the window is longer by it
        let mut window = boundary(left, left.len().min(most + next.len()));
        while let Some(at) = left.get(..window).and_then(|seen| seen.rfind(next.as_str())) {
            if at == 0 {
                return false;
            }
            if self.take(part, left, at) {
                return true;
            }
            window = boundary(left, at + next.len() - 1);
        }
        false
    }
}

/// The last character boundary at or before `at`.
fn boundary(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests;
